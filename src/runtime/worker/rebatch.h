/* SPDX-License-Identifier: Apache-2.0
 * Batches of the size that a stage asks for, from those that come: rows of one attempt are gathered and cut, never across a chunk. */
#ifndef GHEE_WORKER_REBATCH_H
#define GHEE_WORKER_REBATCH_H

#include "runtime/worker/worker.h"

/** rows > 0 of a batch. out gives: ghee_rebatch_free. Owner: the host's thread. */
ghee_status ghee_rebatch_new(int64_t rows, ghee_rebatch **out, ghee_error *err);
void ghee_rebatch_free(ghee_rebatch *of);
/** Takes the rows of a BATCH item. What it holds of the item's memory it gives back at once, copied where rows have to wait. */
ghee_status ghee_rebatch_put(ghee_rebatch *of, ghee_item *item, ghee_error *err);
/** The next whole batch of an attempt, numbered anew; with `rest` also a last smaller one. GHEE_AGAIN: there is none. */
ghee_status ghee_rebatch_take(ghee_rebatch *of, const ghee_attempt *attempt, bool rest, ghee_item *out, ghee_error *err);
/** Forgets an attempt, which has ended or died: how many batches it gave. */
uint32_t ghee_rebatch_end(ghee_rebatch *of, const ghee_attempt *attempt);
/** Forgets what `alive` says is dead. */
void ghee_rebatch_sweep(ghee_rebatch *of, ghee_attempts *attempts);

#endif
