/* SPDX-License-Identifier: Apache-2.0
 * The order in which a rank takes its batches (plan.h): what has come out of turn waits here. No transport, no threads: batches
 * and ends are put in, and taken out in order. */
#ifndef GHEE_WORKER_ORDER_H
#define GHEE_WORKER_ORDER_H

#include "base/hash.h"
#include "plan/plan.h"

/** Owner: one thread. */
typedef struct ghee_order_queue {
  uint32_t rank, world, interleave, chunks;  /* chunks of an epoch */
  uint32_t epoch, window, seq, lane;         /* the batch that is next: chunk = window × interleave + lane */
  ghee_map held;                             /* batches out of turn, by (epoch, chunk, seq) */
  ghee_map ends;                             /* (epoch, chunk) → number of batches + 1 */
  uint64_t held_bytes;
} ghee_order_queue;

typedef struct ghee_order_next {
  enum { GHEE_ORDER_BATCH, GHEE_ORDER_WAIT, GHEE_ORDER_EPOCH_END } what;
  ghee_batch batch;                          /* BATCH: given; empty for a batch without rows */
  ghee_place place;                          /* BATCH: where it stood; WAIT: what is missing */
} ghee_order_next;

void ghee_order_init(ghee_order_queue *queue, uint32_t rank, uint32_t world, uint32_t interleave, uint32_t chunks);
void ghee_order_fini(ghee_order_queue *queue);
/** Goes on at `place` instead of the beginning of epoch 0. */
void ghee_order_seek(ghee_order_queue *queue, const ghee_place *place);
/** Takes `batch` (also on failure); one that was had already, or lies before the place, is dropped. */
ghee_status ghee_order_put(ghee_order_queue *queue, uint32_t epoch, uint32_t chunk, uint32_t seq, ghee_batch *batch, ghee_error *err);
/** The chunk has `count` batches. Said again with another count: GHEE_USER (the function is not repeatable). */
ghee_status ghee_order_end(ghee_order_queue *queue, uint32_t epoch, uint32_t chunk, uint32_t count, ghee_error *err);
/** The next batch, what it waits for, or the end of the epoch (said until ghee_order_next_epoch). */
void ghee_order_take(ghee_order_queue *queue, ghee_order_next *out);
void ghee_order_next_epoch(ghee_order_queue *queue);
ghee_place ghee_order_place(const ghee_order_queue *queue);

#endif
