/* SPDX-License-Identifier: Apache-2.0
 * The inside of a worker process: what its threads share. The public face is ghee/worker.h.
 *
 * Design notes
 * - Threads: the host's thread runs the function and all that is in order around it (loop.c, inlet.c, outlet.c, train.c); the link
 *   thread talks to the coordinator and watches the client, time limits and memory (link.c); in the first stage a reading
 *   thread decodes ahead (source.c); in the last stage of a job with output a writing thread encodes (output.c); in train a thread
 *   makes the next step ready (steps.c). The transport's sender has a thread of its own, which only reports events.
 * - Each part has its own lock. They are taken alone, never inside each other, but for `attempts`, which is a leaf and may be asked
 *   under any of them.
 * - Whether an attempt is alive is asked wherever one is met (ghee_attempts_alive); what is dead is dropped there. */
#ifndef GHEE_WORKER_WORKER_H
#define GHEE_WORKER_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/budget.h"
#include "base/hash.h"
#include "ghee/worker.h"
#include "plan/plan.h"
#include "runtime/job/folder.h"
#include "runtime/job/protocol.h"
#include "runtime/worker/shuffled.h"
#include "transport/stream/stream.h"

typedef struct ghee_link ghee_link;
typedef struct ghee_source_reader ghee_source_reader;
typedef struct ghee_inlet ghee_inlet;
typedef struct ghee_rebatch ghee_rebatch;
typedef struct ghee_outlet ghee_outlet;
typedef struct ghee_output ghee_output;
typedef struct ghee_train ghee_train;

/** Which attempts were revoked. Thread: any. */
typedef struct ghee_attempts {
  pthread_mutex_t mutex;
  ghee_map dead;           /* (epoch, chunk) → newest dead token + 1, boxed in the pointer */
  uint64_t dead_below;     /* tokens below are dead whatever their chunk */
} ghee_attempts;

/** Totals that the link reports. Written by the host's thread, read by the link. Times count while work flows: waiting for the first
 *  batch and behind the last one, and waiting for a next stage that is still starting, is nobody's fault. */
typedef struct ghee_meter {
  _Atomic uint64_t busy_ns, starved_ns, blocked_ns, batches, rows_in, rows_out, first_batch_ns;
} ghee_meter;

struct ghee_worker {
  char *folder;
  ghee_job_spec *spec;
  ghee_plan *plan;
  ghee_launch_facts facts;
  ghee_stream_key key;
  char *code_path;
  uint32_t stage, index;
  const ghee_stage_spec *of;         /* this stage's */
  bool first, last;
  const struct ghee_stream_ops *transport;

  ghee_link *link;
  ghee_source_reader *source;        /* first stage */
  ghee_inlet *inlet;                 /* others, but train */
  ghee_rebatch *rebatch;             /* where an inlet's batches are to be of one size */
  ghee_outlet *outlet;               /* all but the last */
  ghee_output *output;               /* last of a job with output */
  ghee_train *train;
  ghee_attempts attempts;
  ghee_meter meter;
  ghee_mark *mark;

  struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t generation;             /* of the coordinator, 0 before the first WELCOME */
    bool ready;                      /* everything is open: said at once, and again at WELCOME */
    bool ending;                     /* END came: leave */
    ghee_schema *fixed[GHEE_MAX_STAGES]; /* what each stage gives out, once known */
    ghee_status failure;             /* first one */
    bool ended;                      /* the host wants it to end */
    ghee_link *told;                 /* the link, while ghee_worker_end may tell it */
  } locked;

  uint64_t waited_ns;                /* since the last batch; host's thread only */
  ghee_attempt in_work;              /* of the batch that the function has now; host's thread only */
  ghee_buffer rejects;               /* JSON lines of the batch in work */
  uint64_t rejected_rows;
  const ghee_worker_batch *current;
  bool copy_inputs;                  /* the function keeps views past its call */
};

/** One step of the input: what a reader or an inlet hands to the host's thread. */
typedef struct ghee_item {
  enum { GHEE_ITEM_BATCH, GHEE_ITEM_END, GHEE_ITEM_ABORT, GHEE_ITEM_REJECTS } what;
  ghee_attempt attempt;
  uint32_t seq;                      /* BATCH: its number; END: how many there were */
  uint32_t file;
  uint64_t row;
  ghee_batch batch;                  /* BATCH; empty when it had no rows, or they are only named: */
  ghee_gather gather;                /* rows of `shuffled`, not copied yet */
  ghee_shuffled *shuffled;           /* a reference that ghee_source_done gives back */
  char *text;                        /* REJECTS; owned */
  size_t budget_bytes;               /* what ghee_source_done gives back */
} ghee_item;
void ghee_item_fini(ghee_item *item);
static inline int64_t ghee_item_rows(const ghee_item *item) { return item->gather.rows ? item->gather.rows : item->batch.array.length; }

/* ---- attempts.c ---- */
void ghee_attempts_init(ghee_attempts *attempts);
void ghee_attempts_fini(ghee_attempts *attempts);
bool ghee_attempts_alive(ghee_attempts *attempts, const ghee_attempt *attempt);
/** This one and all older of its chunk; chunk UINT32_MAX: every attempt with a token ≤ attempt->token. */
void ghee_attempts_revoke(ghee_attempts *attempts, const ghee_attempt *attempt);

/* ---- worker.c: shared state ---- */
bool ghee_worker_ending(ghee_worker *worker);
/** END, or a failure: wakes every thread of the worker that waits. Thread: any. */
void ghee_worker_stop(ghee_worker *worker);
/** Tells the coordinator once that the job cannot go on, and stops. Returns the status of `failure`. Thread: any. */
ghee_status ghee_worker_fail(ghee_worker *worker, const ghee_error *failure);

/* ---- hear.c: what the coordinator says ---- */
/** Called by the link's thread. */
void ghee_worker_heard(ghee_worker *worker, const ghee_say_message *message);
void ghee_worker_say_ready(ghee_worker *worker);
/** The schema of a stage's output if it is known by now: a reference, or NULL. Thread: any. */
ghee_schema *ghee_worker_fixed(ghee_worker *worker, uint32_t stage);
/** What the job has fixed for this stage, which is `schema` if that is its first: a reference. Waits for the coordinator's word. GHEE_CANCELED: the
 *  worker ends. */
ghee_status ghee_worker_agree(ghee_worker *worker, const ghee_schema *schema, ghee_schema **out, ghee_error *err);
/** Fixes what this stage gives out by its first batch, as ghee_worker_agree does, and casts `batch` to it. */
ghee_status ghee_worker_fix_schema(ghee_worker *worker, ghee_batch *batch, ghee_error *err);

/* ---- loop.c ---- */
/** Calls the function over all that comes, until something fails; GHEE_CANCELED: the worker ends. */
ghee_status ghee_worker_loop(ghee_worker *worker, const ghee_worker_ops *ops, void *user, ghee_error *err);

/* ---- link.c ---- */
/** Sets worker->link before anything is heard. */
ghee_status ghee_link_start(ghee_worker *worker, const char *address, ghee_error *err);
/** The worker shall end, as END would have it. Thread: any. */
void ghee_link_end(ghee_link *link);
/** Ends the thread, says BYE if it can: nothing is heard from now on, and nothing said. */
void ghee_link_stop(ghee_link *link);
void ghee_link_free(ghee_link *link);
/** GHEE_CLOSED while there is no coordinator: what is void with a generation may be forgotten, the rest is said again by
 *  those who own it when WELCOME comes. Thread: any. */
ghee_status ghee_link_say(ghee_link *link, const ghee_say_message *message);

/* ---- source.c ---- */
ghee_status ghee_source_start(ghee_worker *worker, ghee_source_reader **out, ghee_error *err);
void ghee_source_stop(ghee_source_reader *source);
void ghee_source_cancel(ghee_source_reader *source); /* wakes; Thread: any */
void ghee_source_lease(ghee_source_reader *source, const ghee_say_lease *lease);
/** Drops leases that are not alive any more. */
void ghee_source_sweep(ghee_source_reader *source);
/** A new coordinator: nothing is leased, everything is wanted again. */
void ghee_source_restart(ghee_source_reader *source);
/** GHEE_CANCELED: stop. Blocks: yes. */
ghee_status ghee_source_next(ghee_source_reader *source, ghee_item *out, ghee_error *err);
/** The host is done with an item that it was given; frees it. */
void ghee_source_done(ghee_source_reader *source, ghee_item *item);
/** True while this worker holds a lease of that chunk: a batch of it is yet to come. */
bool ghee_source_has(ghee_source_reader *source, uint32_t epoch, uint32_t chunk);

/* ---- inlet.c: batches from the stage before, each attempt in order ---- */
ghee_status ghee_inlet_open(ghee_worker *worker, ghee_inlet **out, const char **address, ghee_error *err);
void ghee_inlet_close(ghee_inlet *inlet);
void ghee_inlet_wake(ghee_inlet *inlet);
ghee_status ghee_inlet_next(ghee_inlet *inlet, ghee_item *out, ghee_error *err); /* GHEE_CANCELED */
/** An END was passed on as far as it must: tells the producer. */
ghee_status ghee_inlet_ack(ghee_inlet *inlet, const ghee_item *end, ghee_error *err);

/* ---- outlet.c: batches to the stage behind ---- */
ghee_status ghee_outlet_open(ghee_worker *worker, ghee_outlet **out, ghee_error *err);
void ghee_outlet_close(ghee_outlet *outlet);
void ghee_outlet_cancel(ghee_outlet *outlet);
void ghee_outlet_peer(ghee_outlet *outlet, const ghee_say_peer *peer);      /* Thread: link */
void ghee_outlet_no_peer(ghee_outlet *outlet, uint32_t worker);             /* Thread: link */
void ghee_outlet_sweep(ghee_outlet *outlet);                                /* Thread: any */
/** Takes the batch's rows over into the transport. An attempt that has died is no error: GHEE_OK. */
ghee_status ghee_outlet_batch(ghee_outlet *outlet, const ghee_item *item, const ghee_batch *batch, ghee_error *err);
/** The same with the rows that the item names, written where they go. */
ghee_status ghee_outlet_gather(ghee_outlet *outlet, const ghee_item *item, ghee_error *err);
ghee_status ghee_outlet_rejects(ghee_outlet *outlet, const ghee_attempt *attempt, const char *lines, ghee_error *err);
ghee_status ghee_outlet_end(ghee_outlet *outlet, const ghee_attempt *attempt, uint32_t count, ghee_error *err);
ghee_status ghee_outlet_abort(ghee_outlet *outlet, const ghee_attempt *attempt, ghee_error *err);

/* ---- output.c: open chunks and the files of the last stage ---- */
ghee_status ghee_output_open(ghee_worker *worker, ghee_output **out, ghee_error *err);
void ghee_output_close(ghee_output *output);
void ghee_output_cancel(ghee_output *output);
/** Copies the rows. */
ghee_status ghee_output_batch(ghee_output *output, const ghee_attempt *attempt, const ghee_batch *batch, ghee_error *err);
ghee_status ghee_output_rejects(ghee_output *output, const ghee_attempt *attempt, const char *lines, uint64_t rows, ghee_error *err);
ghee_status ghee_output_end(ghee_output *output, const ghee_attempt *attempt, ghee_error *err);
void ghee_output_abort(ghee_output *output, const ghee_attempt *attempt);
/* Thread: link */
void ghee_output_accept(ghee_output *output, const ghee_attempt *attempt);
void ghee_output_committed(ghee_output *output, uint64_t ticket);
void ghee_output_flush(ghee_output *output);
void ghee_output_sweep(ghee_output *output);
/** Accepted and not yet committed: for HELLO. */
bool ghee_output_accepted(ghee_output *output, ghee_say_hello *hello);
/** A new coordinator: says again what is staged and not confirmed. */
void ghee_output_restart(ghee_output *output);

/* ---- train.c, and order.c below it ---- */
ghee_status ghee_train_open(ghee_worker *worker, ghee_train **out, const char **address, ghee_error *err);
void ghee_train_close(ghee_train *train);
void ghee_train_wake(ghee_train *train);
void ghee_train_welcome(ghee_train *train, const ghee_say_welcome *welcome); /* Thread: link */
void ghee_train_go(ghee_train *train, const ghee_say_step *step);            /* Thread: link */
void ghee_train_stored(ghee_train *train, uint64_t step);                    /* Thread: link */
void ghee_train_hello(ghee_train *train, ghee_say_hello *hello);
ghee_place ghee_train_place(ghee_train *train);                              /* Thread: any */
/** train() returned: says RESULT and waits for END. */
ghee_status ghee_train_finish(ghee_train *train, const char *value_file, ghee_error *err);

#endif
