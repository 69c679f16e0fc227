/* SPDX-License-Identifier: Apache-2.0
 * A rank's order: rounds over the chunks of a window, one batch of each a round, chunks that have ended left out. */
#include "runtime/worker/order.h"

#include "base/memory.h"

/* Keys of `held`: epochs and sequence numbers of the few windows under way do not meet in their low bits by design of the bounds:
 * 2^14 epochs, 2^26 chunks, 2^24 batches a chunk. */
static uint64_t key_of(uint32_t epoch, uint32_t chunk, uint32_t seq) {
  return ((uint64_t)epoch & 0x3fff) << 50 | ((uint64_t)chunk & 0x3ffffff) << 24 | (seq & 0xffffff);
}
static uint64_t end_key(uint32_t epoch, uint32_t chunk) { return (uint64_t)epoch << 32 | chunk; }

void ghee_order_init(ghee_order_queue *queue, uint32_t rank, uint32_t world, uint32_t interleave, uint32_t chunks) {
  *queue = (ghee_order_queue){.rank = rank, .world = world, .interleave = interleave, .chunks = chunks};
}

static void drop_held(ghee_order_queue *queue) {
  size_t at = 0;
  ghee_batch *batch;
  while ((batch = ghee_map_next(&queue->held, &at, NULL))) {
    ghee_batch_release(batch);
    ghee_free(batch);
  }
  ghee_map_fini(&queue->held);
  queue->held = (ghee_map){0};
  queue->held_bytes = 0;
}

void ghee_order_fini(ghee_order_queue *queue) {
  drop_held(queue);
  ghee_map_fini(&queue->ends);
}

void ghee_order_seek(ghee_order_queue *queue, const ghee_place *place) {
  queue->epoch = place->epoch;
  queue->window = place->window;
  queue->seq = place->seq;
  queue->lane = place->chunk - place->window * queue->interleave;
}

ghee_place ghee_order_place(const ghee_order_queue *queue) {
  return (ghee_place){.epoch = queue->epoch, .window = queue->window, .seq = queue->seq, .chunk = queue->window * queue->interleave + queue->lane};
}

ghee_status ghee_order_put(ghee_order_queue *queue, uint32_t epoch, uint32_t chunk, uint32_t seq, ghee_batch *batch, ghee_error *err) {
  ghee_place place = ghee_plan_place(epoch, chunk, seq, queue->interleave), now = ghee_order_place(queue);
  uint64_t key = key_of(epoch, chunk, seq);
  if (ghee_place_compare(&place, &now) < 0 || ghee_map_get(&queue->held, key)) {
    ghee_batch_release(batch);
    return GHEE_OK;
  }
  ghee_batch *kept = ghee_alloc_zero(1, sizeof *kept);
  if (!kept || !ghee_map_put(&queue->held, key, kept)) {
    ghee_free(kept);
    ghee_batch_release(batch);
    return ghee_error_no_memory(err, "keeping a batch for its turn");
  }
  if (batch->schema) queue->held_bytes += ghee_batch_bytes(batch);
  ghee_batch_move(batch, kept);
  return GHEE_OK;
}

ghee_status ghee_order_end(ghee_order_queue *queue, uint32_t epoch, uint32_t chunk, uint32_t count, ghee_error *err) {
  if (epoch < queue->epoch || (epoch == queue->epoch && chunk / queue->interleave < queue->window)) return GHEE_OK;
  uint64_t known = (uint64_t)(uintptr_t)ghee_map_get(&queue->ends, end_key(epoch, chunk));
  if (known && known != (uint64_t)count + 1)
    return ghee_error_set(err, GHEE_USER, "chunk %u gave %u batches when it was made again, %llu before: preprocess must give the same for the same rows",
                          chunk, count, (unsigned long long)known - 1);
  if (!known && !ghee_map_put(&queue->ends, end_key(epoch, chunk), (void *)(uintptr_t)((uint64_t)count + 1)))
    return ghee_error_no_memory(err, "keeping the end of a chunk");
  return GHEE_OK;
}

/* The window is over: its ends are not needed any more. */
static void next_window(ghee_order_queue *queue, uint32_t lanes) {
  for (uint32_t lane = 0; lane < lanes; lane++)
    (void)ghee_map_remove(&queue->ends, end_key(queue->epoch, queue->window * queue->interleave + lane));
  queue->window++;
  queue->seq = queue->lane = 0;
}

static bool ended_before(ghee_order_queue *queue, uint32_t chunk, uint32_t seq) {
  uint64_t known = (uint64_t)(uintptr_t)ghee_map_get(&queue->ends, end_key(queue->epoch, chunk));
  return known && seq >= known - 1;
}

static bool window_over(ghee_order_queue *queue, uint32_t first, uint32_t lanes) {
  for (uint32_t lane = 0; lane < lanes; lane++)
    if (!ended_before(queue, first + lane, queue->seq)) return false;
  return true;
}

void ghee_order_take(ghee_order_queue *queue, ghee_order_next *out) {
  *out = (ghee_order_next){.what = GHEE_ORDER_EPOCH_END};
  for (;;) {
    uint64_t first = (uint64_t)queue->window * queue->interleave;
    if (first >= queue->chunks) return;
    uint32_t lanes = queue->chunks - first < queue->interleave ? (uint32_t)(queue->chunks - first) : queue->interleave;
    if (queue->lane >= lanes) {
      queue->lane = 0;
      queue->seq++;
    }
    if (queue->lane == 0 && window_over(queue, (uint32_t)first, lanes)) {
      next_window(queue, lanes);
      continue;
    }
    uint32_t chunk = (uint32_t)first + queue->lane;
    if (ghee_plan_rank(chunk, queue->seq, queue->world) != queue->rank || ended_before(queue, chunk, queue->seq)) {
      queue->lane++;
      continue;
    }
    out->place = ghee_order_place(queue);
    ghee_batch *held = ghee_map_remove(&queue->held, key_of(queue->epoch, chunk, queue->seq));
    out->what = held ? GHEE_ORDER_BATCH : GHEE_ORDER_WAIT;
    if (!held) return;
    if (held->schema) queue->held_bytes -= ghee_batch_bytes(held);
    ghee_batch_move(held, &out->batch);
    ghee_free(held);
    queue->lane++;
    return;
  }
}

void ghee_order_next_epoch(ghee_order_queue *queue) {
  queue->epoch++;
  queue->window = queue->seq = queue->lane = 0;
}
