/* SPDX-License-Identifier: Apache-2.0
 * A rank's batches in planned order, cut into steps. A thread of its own makes the next step ready while the user works on the last one: it takes what
 * comes, puts it in order, copies the rows together and gives credit back. */
#ifndef GHEE_WORKER_STEPS_H
#define GHEE_WORKER_STEPS_H

#include "runtime/worker/worker.h"

/** The first row that was not handed out: `row` of the batch at `place`. */
typedef struct ghee_position { ghee_place place; int64_t row; } ghee_position;

typedef struct ghee_step {
  bool have;                  /* false: the epoch has no more rows for this rank */
  ghee_batch batch;           /* batch_rows of them, fewer only at the end of the epoch, in memory of its own; empty without rows */
  ghee_position left;         /* behind the step */
} ghee_step;

/** Owner: the host's thread. From prepare to take all calls but these two and wake are forbidden. */
typedef struct ghee_steps ghee_steps;

/** `on_ready` runs on the thread as soon as it is known whether there are rows, and must not wait. `address` is what senders connect to: borrowed. */
ghee_status ghee_steps_open(ghee_worker *worker, void (*on_ready)(void *user, bool have), void *user, ghee_steps **out, const char **address, ghee_error *err);
/** After ghee_worker_stop. */
void ghee_steps_close(ghee_steps *steps);
void ghee_steps_set_world(ghee_steps *steps, uint32_t world);
/** Goes on behind what was handed out before. */
void ghee_steps_seek(ghee_steps *steps, const ghee_position *from);
void ghee_steps_next_epoch(ghee_steps *steps);
/** What the stage before gives, NULL while it is not known: a reference. */
ghee_schema *ghee_steps_schema(ghee_steps *steps);
/** Asks for the next step of the epoch.  Blocks: no. */
void ghee_steps_prepare(ghee_steps *steps);
/** The step that was asked for; out gives. GHEE_CANCELED: the job has ended. After a failure the same again.  Blocks: yes. */
ghee_status ghee_steps_take(ghee_steps *steps, ghee_step *out, ghee_error *err);
/** After END.  Thread: any. */
void ghee_steps_wake(ghee_steps *steps);

#endif
