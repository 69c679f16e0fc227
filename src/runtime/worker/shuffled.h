/* SPDX-License-Identifier: Apache-2.0
 * The rows of a chunk in a drawn order: its batches as they were read, and a permutation of their rows. Nothing is copied until rows are. */
#ifndef GHEE_WORKER_SHUFFLED_H
#define GHEE_WORKER_SHUFFLED_H

#include "base/random.h"
#include "batch/gather.h"

/** Shared by counting; does not change. Thread: any. */
typedef struct ghee_shuffled ghee_shuffled;

/** Takes the n batches, also on failure; they have equal schemas. `random` draws the order. out gives a reference: ghee_shuffled_unref.
 *  GHEE_LIMIT: more than 2³² − 1 rows. */
ghee_status ghee_shuffled_new(ghee_batch *batches, size_t n, ghee_random *random, ghee_shuffled **out, ghee_error *err);
ghee_shuffled *ghee_shuffled_ref(ghee_shuffled *of);
/** True when it was the last reference, and the rows are gone. NULL is none. */
bool ghee_shuffled_unref(ghee_shuffled *of);

int64_t ghee_shuffled_rows(const ghee_shuffled *of);
/** Rows [first, first + n) of the order, not copied yet. out gives: ghee_gather_fini, before the reference is given back. */
ghee_status ghee_shuffled_gather(const ghee_shuffled *of, int64_t first, int64_t n, ghee_gather *out, ghee_error *err);

#endif
