/* SPDX-License-Identifier: Apache-2.0
 * A job's folder: what lies where, its locks, keys and signatures. The one place that knows these names.
 *
 *   lock               held by the client for its life          coordinator.lock   held by the coordinator
 *   job.json           canonical spec                           launch.json        client's id, python command, module folder
 *   plan               ghee_plan_save                           key                job's stream key (0600); its secret signs code/
 *   code/NAME, code/NAME.sig                                    ledger.db          ghee_ledger
 *   control.sock, launch.sock, processes                        s-*                stream sockets
 *   state/STAGE-INDEX  8×u64, mapped by the worker: the batch in work (for deaths inside a batch)
 *   state/round-N      plan of a round of a job without end
 *   train/STEP-RUN.RANK states of checkpoints                   train/rendezvous-RUN  where the ranks find each other
 *   value              what rank 0 returned
 *   logs/STAGE-INDEX.log, logs/coordinator.log
 *   progress           the last ghee_job_progress, written by the client
 *   canceled           `ghee cancel` is at work: for the client that it stops
 *   id                 names this run: NAME-RANDOM; of the staging folder */
#ifndef GHEE_JOB_FOLDER_H
#define GHEE_JOB_FOLDER_H

#include "plan/spec.h"
#include "process/process.h"
#include "transport/stream/stream.h"

typedef struct ghee_job_folder {
  char *path;
  int lock_fd;              /* -1 if not held */
} ghee_job_folder;

/** $XDG_STATE_HOME/ghee/jobs. New string. */
ghee_status ghee_jobs_root(char **out, ghee_error *err);
/** Opens (makes with 0700 if `create`) the folder of a job. GHEE_NOT_FOUND; to be made, GHEE_INVALID: no name. */
ghee_status ghee_job_folder_open(const char *name, bool create, ghee_job_folder *out, ghee_error *err);
void ghee_job_folder_fini(ghee_job_folder *folder);
/** Takes a lock file (flock, exclusive) waiting at most wait_ms. GHEE_BUSY says who has it. The fd is CLOEXEC. */
ghee_status ghee_job_folder_lock(const char *path, const char *which, uint32_t wait_ms, int *out_fd, ghee_error *err);
/** path + "/" + name; new string. */
char *ghee_job_folder_file(const char *path, const char *name);
/** The plan of a round of a job without end; new string. */
char *ghee_job_folder_round(const char *path, uint32_t number);
ghee_status ghee_job_folder_read_spec(const char *path, ghee_job_spec **out, ghee_error *err);
ghee_status ghee_job_folder_read_key(const char *path, ghee_stream_key *out, ghee_error *err);
ghee_status ghee_job_folder_write_key(const char *path, const ghee_stream_key *key, ghee_error *err);
/** The run's id: written once by the client. read gives: ghee_free. */
ghee_status ghee_job_folder_write_id(const char *path, const char *name, ghee_error *err);
ghee_status ghee_job_folder_read_id(const char *path, char **out, ghee_error *err);
/** Stores code with its signature (keyed BLAKE2b-256 by the job's secret key), and checks it: GHEE_DENIED. */
ghee_status ghee_job_folder_write_code(const char *path, const char *name, const void *data, size_t size_bytes, const ghee_stream_key *key, ghee_error *err);
ghee_status ghee_job_folder_check_code(const char *path, const char *name, const ghee_stream_key *key, ghee_error *err);

/** The mark of who cancels a job whose client runs, for that client; as well as it can be left. */
void ghee_job_folder_mark_canceled(const char *path, bool on);
bool ghee_job_folder_is_canceled(const char *path);

/** The sockets of processes that were killed; those of a job that runs must not be touched. */
void ghee_job_folder_remove_sockets(const char *path);

/** launch.json */
typedef struct ghee_launch_facts {
  ghee_process_id client;
  char **python;            /* NULL-terminated command */
  char *module_folder;      /* of the description */
  int64_t limit_rows;
  bool hosted;              /* the client is the workers of the Python stages */
} ghee_launch_facts;
ghee_status ghee_launch_facts_write(const char *path, const ghee_launch_facts *facts, ghee_error *err);
ghee_status ghee_launch_facts_read(const char *path, ghee_launch_facts *out, ghee_error *err);
void ghee_launch_facts_fini(ghee_launch_facts *facts);

/** The mark of the batch in work, shared with the worker through a mapped file that outlives it. */
typedef struct ghee_mark { _Atomic uint64_t busy, epoch, chunk, seq, since_ms, spare[3]; } ghee_mark;
ghee_status ghee_mark_open(const char *path, const char *stage, uint32_t worker, ghee_mark **out, ghee_error *err);
void ghee_mark_close(ghee_mark *mark);

#endif
