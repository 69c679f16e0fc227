/* SPDX-License-Identifier: Apache-2.0
 * The inside of the coordinator: one thread, one loop over descriptors. Nothing blocks in it but the ledger's rare writes and the
 * publication. coordinator.c: life and loop; crew.c: workers and what they say; ranks.c: training; commits.c and publication.c: the
 * output; progress.c: what users see. */
#ifndef GHEE_COORDINATOR_COORDINATOR_H
#define GHEE_COORDINATOR_COORDINATOR_H

#include "launch/launch.h"
#include "ledger/ledger.h"
#include "runtime/coordinator/chunks.h"
#include "runtime/coordinator/takeover.h"
#include "runtime/job/folder.h"
#include "runtime/coordinator/lanes.h"
#include "runtime/job/wire.h"
#include "transport/control/control.h"

/** One worker of one stage, through all its lives. */
typedef struct ghee_crew_member {
  bool wanted;                    /* to be started, or running: false once the job ends */
  bool running;                   /* the launcher has it */
  ghee_process_id id;
  uint64_t peer;                  /* its control connection, 0 none */
  char *address;                  /* of its receiver */
  bool ready;                     /* said READY in this life */
  bool asked;                     /* said WANT on this connection */
  uint32_t deaths, early_deaths;  /* in all; in a row before READY */
  uint32_t idle_deaths; uint64_t done_before; /* in a row with chunks in hand, while this number of chunks were done */
  ghee_say_metrics now, before;   /* of this life; of earlier ones, added up */
  GHEE_ARRAY(ghee_say_file) files;/* of sinks: said on this connection, their STAGED has not come yet */
  ghee_takeover *takeover;        /* of sinks of a topic: from the life before, on its way; else NULL */
  /* ranks */
  bool said_step; ghee_say_step step;
  bool said_checkpoint; uint64_t checkpoint_step; char *checkpoint_file; ghee_buffer checkpoint_position;
  bool said_result; char *result_file;
} ghee_crew_member;

typedef struct ghee_crew {
  const ghee_stage_spec *of;
  ghee_crew_member *members;
  ghee_buffer schema;             /* encoded, once fixed; size 0 before */
} ghee_crew;

/** A commit that the ledger has not answered yet; it answers in order. */
typedef struct ghee_commit {
  struct ghee_commit *next;
  uint64_t ticket, peer, worker_ticket;
  uint64_t rows, rejected;
  size_t n_chunks;
  uint32_t chunks[];
} ghee_commit;

/** Deaths inside one batch. */
typedef struct ghee_crash { uint32_t stage, epoch, chunk, seq, deaths; } ghee_crash;

typedef struct ghee_coordinator {
  char *folder, *id;
  ghee_job_spec *spec;
  ghee_plan *plan;
  ghee_launch_facts facts;
  ghee_stream_key key;
  int lock_fd, epoll, timer, client, client_pidfd;
  uint64_t started_ns;            /* of the client's call */
  uint64_t oom_before, oom_told;  /* kills for want of memory in our control group: before the start, and told to the user */
  ghee_control_server *control;
  ghee_launcher *launcher;
  ghee_ledger *ledger;
  ghee_object_store *store;       /* of the output */
  char *staging;
  ghee_crew crews[GHEE_MAX_STAGES];
  ghee_chunks chunks;
  ghee_lanes lanes;               /* of crews[0] */
  uint32_t generation;
  bool recovering;                /* waits for survivors before it leases */
  bool flushed;                   /* FLUSH was said, and nothing has come back since */
  bool over, stopping;            /* the job has an outcome; the client wants it to stop */
  ghee_job_state outcome;
  ghee_error failure;
  ghee_commit *commits, *last_commit; /* oldest first; last_commit is valid while there are any */
  uint64_t next_ticket;
  GHEE_ARRAY(ghee_crash) crashes;
  struct ghee_rounds *rounds;     /* of a job without end, else NULL */
  /* training */
  uint64_t stored_step; ghee_place stored_place;
  uint32_t incarnation;           /* of the ranks */
  bool restarting_ranks;          /* being killed, all to be started when the last has ended */
  uint32_t fruitless;             /* deaths of ranks since the last checkpoint */
  char *value_path;
  /* progress */
  uint64_t rows_committed, rows_rejected, limit_rows_leased;
  uint64_t rate_at_ns, rate_rows; double rate;
  uint32_t log_lines;
} ghee_coordinator;

/* ---- coordinator.c ---- */
/** Readable, it ends the loop's wait. */
ghee_status ghee_coordinator_watch(ghee_coordinator *of, int fd, ghee_error *err);
/** The job is done. */
void ghee_coordinator_succeed(ghee_coordinator *of);
void ghee_coordinator_line(ghee_coordinator *of, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- crew.c ---- */
ghee_status ghee_crew_open(ghee_coordinator *of, ghee_error *err);
void ghee_crew_close(ghee_coordinator *of);
/** Starts what should run and does not; leases what is wanted. Called after every round of events. */
ghee_status ghee_crew_settle(ghee_coordinator *of, ghee_error *err);
ghee_status ghee_crew_on_launch(ghee_coordinator *of, const ghee_launch_event *event, ghee_error *err);
ghee_status ghee_crew_on_control(ghee_coordinator *of, const ghee_control_event *event, ghee_error *err);
void ghee_crew_say(ghee_coordinator *of, const ghee_crew_member *to, const ghee_say_message *message);
/** To every connected worker of a stage; `stage` UINT32_MAX: of all. */
void ghee_crew_tell(ghee_coordinator *of, uint32_t stage, const ghee_say_message *message);
void ghee_crew_revoke(ghee_coordinator *of, const ghee_attempt *attempt);
static inline uint32_t ghee_last_stage(const ghee_coordinator *of) { return of->spec->n_stages - 1; }

/* ---- ranks.c ---- */
ghee_status ghee_ranks_open(ghee_coordinator *of, ghee_error *err);
void ghee_ranks_fill_welcome(ghee_coordinator *of, uint32_t rank, ghee_say_welcome *welcome, ghee_ledger_checkpoint *held);
ghee_status ghee_ranks_on_message(ghee_coordinator *of, uint32_t rank, ghee_say_message *message, ghee_error *err);
/** A rank has died: all begin again. */
ghee_status ghee_ranks_died(ghee_coordinator *of, ghee_error *err);
/** Where a chunk that is leased again has to begin: all ranks have used what lies before. */
uint32_t ghee_ranks_from_seq(const ghee_coordinator *of, const ghee_attempt *attempt);

/* ---- commits.c ---- */
ghee_status ghee_commits_open(ghee_coordinator *of, ghee_error *err);
void ghee_commits_close(ghee_coordinator *of);
ghee_status ghee_commits_on_complete(ghee_coordinator *of, uint32_t worker, const ghee_say_complete *said, ghee_error *err);
/** Keeps a file until its STAGED comes; takes its texts. */
ghee_status ghee_commits_on_file(ghee_coordinator *of, uint32_t worker, ghee_say_file *said, ghee_error *err);
/** A connection has ended, or another begins: what was said of files without their STAGED is void. */
void ghee_commits_forget_files(ghee_crew_member *member);
ghee_status ghee_commits_on_staged(ghee_coordinator *of, uint32_t worker, ghee_say_staged *said, ghee_error *err);
ghee_status ghee_commits_on_ledger(ghee_coordinator *of, ghee_error *err);
/** Before a sink of a topic is started: what an earlier life left open there is undone, what it had committed is recorded. GHEE_AGAIN: not
 *  yet; the loop wakes up when it is. Blocks: no. */
ghee_status ghee_commits_before_sink(ghee_coordinator *of, uint32_t worker, ghee_error *err);
/** FLUSH when every chunk is whole at a sink, publication when all are committed. */
ghee_status ghee_commits_settle(ghee_coordinator *of, ghee_error *err);

/* ---- publication.c ---- */
/** Publishes what the ledger holds, the dead letters first. Idempotent. */
ghee_status ghee_publication_run(ghee_coordinator *of, ghee_error *err);

/* ---- rounds.c: jobs without end ---- */
typedef struct ghee_rounds ghee_rounds;
bool ghee_rounds_endless(const ghee_coordinator *of);
ghee_status ghee_rounds_open(ghee_coordinator *of, ghee_error *err);
/** Gives the plan of the round up, not of->plan. */
void ghee_rounds_close(ghee_coordinator *of);
/** Readable when the topic has been asked. */
int ghee_rounds_fd(const ghee_coordinator *of);
/** Hears what the topic has, and begins a round when there is none and it is time. */
ghee_status ghee_rounds_settle(ghee_coordinator *of, ghee_error *err);
bool ghee_rounds_active(const ghee_coordinator *of);
/** The round is published: the next may come. */
ghee_status ghee_rounds_end(ghee_coordinator *of, ghee_error *err);
uint32_t ghee_rounds_number(const ghee_coordinator *of);
/** Records of the topic that are in no output yet; -1: not known yet. */
int64_t ghee_rounds_lag(const ghee_coordinator *of);

/* ---- progress.c ---- */
void ghee_progress_fill(ghee_coordinator *of, ghee_job_progress *out);
/** One line on who is slow, from shares that were long enough measured; "" where nothing can be said. */
void ghee_progress_verdict(const ghee_stage_progress *stages, uint32_t n, unsigned processors, char *out, size_t size);

#endif
