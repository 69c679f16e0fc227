/* SPDX-License-Identifier: Apache-2.0
 * The inside of a worker process, for the programs that host user functions: `ghee-worker` (native) and the Python worker. The host
 * loads the function, calls ghee_worker_run, and is called back on its own thread; all other threads are ghee's and
 * never enter the host.
 *
 *     ghee_worker_open → load the function → [ghee_worker_fork_server] → ghee_worker_run → ghee_worker_exit */
#ifndef GHEE_WORKER_H
#define GHEE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghee/arrow.h"
#include "ghee/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ghee_worker ghee_worker;

/** One batch for the function. The arrays are borrowed for the call; `adopt` keeps them longer. */
typedef struct ghee_worker_batch {
  const struct ArrowSchema *schema;
  struct ArrowArray *array;   /* the host may move it out (set array->release to NULL) and then releases it itself */
  uint32_t epoch, chunk, seq;
  const char *uri;            /* file of its first row, "" if unknown */
  uint64_t row;               /* number of its first row in the file, UINT64_MAX if unknown or shuffled */
} ghee_worker_batch;

/** The user function, seen from ghee. Every slot runs on the thread that called ghee_worker_run. */
typedef struct ghee_worker_ops {
  /** One batch in, one out (given: ghee releases both). NULL: rows go on as they are. Not used for train. GHEE_USER with the traceback. */
  ghee_status (*call)(void *user, ghee_worker *worker, ghee_worker_batch *in, struct ArrowSchema *out_schema,
                      struct ArrowArray *out, ghee_error *err);
  /** The whole training; calls ghee_train_*. `value_path` is a file that the host may write as its result. */
  ghee_status (*train)(void *user, ghee_worker *worker, const char *value_path, ghee_error *err);
} ghee_worker_ops;

/** `folder` is the job's, `stage` its name; reads description and plan. The signature of shipped code is checked:
 *  GHEE_DENIED. No thread is started. out gives: ghee_worker_close. */
GHEE_API ghee_status ghee_worker_open(const char *folder, const char *stage, ghee_worker **out, ghee_error *err);
GHEE_API void ghee_worker_close(ghee_worker *worker);

/** Facts for the host; borrow from the worker. */
GHEE_API const char *ghee_worker_run_text(const ghee_worker *worker);   /* `run` of the description */
GHEE_API const char *ghee_worker_code_path(const ghee_worker *worker);  /* file of a "code:" run, else NULL */
GHEE_API const char *ghee_worker_args_json(const ghee_worker *worker);
GHEE_API const char *ghee_worker_form(const ghee_worker *worker);       /* numpy, arrow, pandas, rows, torch */
GHEE_API const char *ghee_worker_role(const ghee_worker *worker);       /* preprocess, train, predict, postprocess */
GHEE_API const char *ghee_worker_folder(const ghee_worker *worker);     /* where the description lay: put it on the module path */
GHEE_API bool ghee_worker_same_rows(const ghee_worker *worker);
GHEE_API int64_t ghee_worker_batch_rows(const ghee_worker *worker);
GHEE_API uint32_t ghee_worker_count(const ghee_worker *worker);
GHEE_API uint32_t ghee_worker_index(const ghee_worker *worker);         /* valid once running */

/** Becomes the fork server of the stage: returns GHEE_OK with *child true in each new worker, and with *child false when it is
 *  to end. The process must have no other threads. */
GHEE_API ghee_status ghee_worker_fork_server(ghee_worker *worker, bool *child, ghee_error *err);
/** For a process that was started for one worker. */
GHEE_API ghee_status ghee_worker_set_index(ghee_worker *worker, uint32_t index, ghee_error *err);
/** Tells the coordinator that the function could not be loaded (import error, no such name): the job stops with this text. */
GHEE_API ghee_status ghee_worker_report(ghee_worker *worker, const ghee_error *failure, ghee_error *err);

/** Works until the job is over. `ops` and `user` are borrowed.  Blocks: yes (release the GIL around it). */
GHEE_API ghee_status ghee_worker_run(ghee_worker *worker, const ghee_worker_ops *ops, void *user, ghee_error *err);
/** Ends ghee_worker_run from outside, also before it has begun: for a host that is more than this worker.  Thread: any.  Blocks: no. */
GHEE_API void ghee_worker_end(ghee_worker *worker);
/** Leaves the process at once, without the destructors of libraries; flushes nothing of the host. */
GHEE_API void ghee_worker_exit(ghee_worker *worker, ghee_status status);

/* ---- inside `call` ---- */
/** Refuses rows of the batch in work. GHEE_USER where the description says stop: return it. */
GHEE_API ghee_status ghee_worker_reject(ghee_worker *worker, const int64_t *rows, size_t n, const char *reason, ghee_error *err);

/** From the next batch on the function gets copies: the host has seen that views of an earlier batch are kept past their call, which
 *  would hold memory that others wait for. Says so to the user, once. */
GHEE_API void ghee_worker_copy_inputs(ghee_worker *worker);

/* ---- inside `train` ---- */
typedef struct ghee_train_info {
  uint32_t rank, world;
  uint32_t epoch, epochs;       /* where it goes on */
  uint64_t step;                /* steps done when the state was stored; 0 at the start */
  const char *state_path;       /* this rank's stored state, NULL at the start */
  const char *rendezvous;       /* a file path for torch.distributed's file store, new for every start of the ranks */
} ghee_train_info;
GHEE_API ghee_status ghee_train_begin(ghee_worker *worker, ghee_train_info *out, ghee_error *err);

/** The next epoch to go through (the first may be entered in its middle). GHEE_CLOSED: none is left. Drains what is left of the
 *  running one. */
GHEE_API ghee_status ghee_train_epoch(ghee_worker *worker, uint32_t *epoch, ghee_error *err);
/** The next step's rows: batch_rows of them, fewer only at the end of the epoch, in memory that the caller owns and may write.
 *  `weighted` false: every row counts. true: this rank has run dry and the rows are zeros of weight 0, so that all ranks make the
 *  same number of steps. GHEE_CLOSED: the epoch is over (for all ranks at the same step). */
GHEE_API ghee_status ghee_train_next(ghee_worker *worker, struct ArrowSchema *out_schema, struct ArrowArray *out, bool *padding, ghee_error *err);
/** A path (in the job's folder, new) to which the host writes its state; then commit. Collective: every rank does it at the
 *  same step, and it counts once all have. Does not wait for the others. */
GHEE_API ghee_status ghee_train_checkpoint_path(ghee_worker *worker, char *out, size_t size_bytes, ghee_error *err);
GHEE_API ghee_status ghee_train_checkpoint_commit(ghee_worker *worker, ghee_error *err);
/** A number for the log and the progress line. */
GHEE_API ghee_status ghee_train_log(ghee_worker *worker, const char *key, double value, ghee_error *err);

/** For the host's reports: the worker as a program. main() of ghee-worker and ghee-coordinator. */
GHEE_API int ghee_worker_main(int argc, char **argv);
GHEE_API int ghee_coordinator_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
