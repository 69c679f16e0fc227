/* SPDX-License-Identifier: Apache-2.0
 * Batches off the transport, in order, as steps, one ahead.
 *
 * Design notes
 * - The state of the rows belongs to the thread from prepare until it says READY, to the host's thread else; the lock hands it over.
 * - Tokens are not asked here: an attempt that was begun again gives the same batches, and the order drops what it has had.
 * - Rows that are taken in order but are in no step yet are `pending`.
 * - `want` is sent when what is missing may be stuck behind a full window: at once if much is held out of turn, else after a pause. */
#include "runtime/worker/steps.h"

#include <string.h>

#include "base/clock.h"
#include "runtime/worker/order.h"
#include "runtime/worker/producers.h"

enum { PATIENCE_MS = 20 };

typedef struct pending { ghee_batch batch; ghee_place place; int64_t taken; } pending; /* rows [taken, …) are left */

struct ghee_steps {
  ghee_worker *worker;
  void (*on_ready)(void *user, bool have);
  void *user;
  const struct ghee_stream_ops *ops;
  ghee_receiver *receiver;
  size_t window_bytes;
  pthread_t thread;
  bool started;
  /* of whoever's turn it is */
  ghee_order_queue order;
  ghee_producers producers;
  GHEE_ARRAY(pending) pending;
  int64_t pending_rows, skip_rows;       /* skip_rows: of the first batch, after a resume */
  bool epoch_over;                       /* its rows have all come */
  ghee_schema *schema;
  ghee_step step;                        /* READY */
  ghee_status status;
  ghee_error failure;
  struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum { IDLE, ASKED, READY } turn;
    bool stopping;
  } locked;
};

/* ---- what comes ---- */

static ghee_status learn_schema(ghee_steps *steps, const ghee_message *message, ghee_error *err) {
  GHEE_TRY(ghee_producers_learn(&steps->producers, message, err));
  if (!steps->schema) steps->schema = ghee_schema_ref(ghee_producers_schema(&steps->producers, message->peer));
  return GHEE_OK;
}

static ghee_status take_batch(ghee_steps *steps, ghee_message *message, ghee_error *err) {
  const ghee_stream_head head = message->head;
  ghee_batch batch = {0};
  GHEE_TRY(ghee_producers_open(&steps->producers, message, &batch, err));
  return ghee_order_put(&steps->order, head.epoch, head.chunk, head.seq, &batch, err);
}

/* Takes one message in. GHEE_AGAIN: none within timeout_ms. */
static ghee_status receive(ghee_steps *steps, int timeout_ms, ghee_error *err) {
  ghee_message message;
  GHEE_TRY(steps->ops->pop(steps->receiver, timeout_ms, &message, err));
  if (message.what == GHEE_MESSAGE_GONE) {
    ghee_producers_forget(&steps->producers, message.peer);
    return GHEE_OK;
  }
  const ghee_stream_head head = message.head;
  if (head.kind == GHEE_FRAME_BATCH) return take_batch(steps, &message, err);
  ghee_status status = GHEE_OK;
  if (head.kind == GHEE_FRAME_SCHEMA) status = learn_schema(steps, &message, err);
  if (head.kind == GHEE_FRAME_END) {
    status = ghee_order_end(&steps->order, head.epoch, head.chunk, head.seq, err);
    if (status == GHEE_OK) (void)steps->ops->ack(steps->receiver, message.peer, &head, NULL); /* a dead producer needs none */
  }
  steps->ops->release(&message);
  return status;
}

/* ---- rows in order ---- */

static ghee_status add_pending(ghee_steps *steps, ghee_order_next *next, ghee_error *err) {
  int64_t rows = next->batch.schema ? ghee_batch_rows(&next->batch) : 0;
  int64_t skip = steps->skip_rows < rows ? steps->skip_rows : rows;
  steps->skip_rows = 0; /* it belongs to the batch that was first */
  if (rows - skip == 0) {
    ghee_batch_release(&next->batch);
    return GHEE_OK;
  }
  if (!ghee_array_push(&steps->pending, ((pending){.batch = next->batch, .place = next->place, .taken = skip}))) {
    ghee_batch_release(&next->batch);
    return ghee_error_no_memory(err, "taking a batch");
  }
  steps->pending_rows += rows - skip;
  steps->worker->meter.rows_in += (uint64_t)(rows - skip);
  if (!steps->worker->meter.first_batch_ns) steps->worker->meter.first_batch_ns = ghee_clock_ns();
  return GHEE_OK;
}

/* Gathers rows for one step, or all that the epoch still has. */
static ghee_status gather(ghee_steps *steps, ghee_error *err) {
  int64_t rows = steps->worker->of->batch_rows;
  ghee_status status;
  do status = receive(steps, 0, err);
  while (status == GHEE_OK);
  if (status != GHEE_AGAIN) return status;
  bool wanted = false;
  ghee_place asked = {0};                /* what was wanted: when it turns out not to exist, something else may be stuck */
  while (steps->pending_rows < rows && !steps->epoch_over) {
    if (ghee_worker_ending(steps->worker)) return GHEE_CANCELED;
    ghee_order_next next;
    ghee_order_take(&steps->order, &next);
    if (next.what == GHEE_ORDER_EPOCH_END) {
      steps->epoch_over = true;
    } else if (next.what == GHEE_ORDER_BATCH) {
      GHEE_TRY(add_pending(steps, &next, err));
    } else {
      wanted = wanted && ghee_place_compare(&asked, &next.place) == 0;
      bool stuck = steps->order.held_bytes >= steps->window_bytes / 2;
      status = receive(steps, wanted ? -1 : stuck ? 0 : PATIENCE_MS, err);
      if (status == GHEE_AGAIN && !wanted) {
        wanted = true;
        asked = next.place;
        status = steps->ops->want(steps->receiver, next.place.epoch, next.place.chunk, next.place.seq, err);
      }
      if (status != GHEE_OK && status != GHEE_AGAIN) return status;
    }
  }
  return GHEE_OK;
}

static void drop_pending(ghee_steps *steps, size_t n) {
  if (n == 0) return;
  for (size_t i = 0; i < n; i++) ghee_batch_release(&steps->pending.items[i].batch);
  steps->pending.count -= n;
  memmove(steps->pending.items, steps->pending.items + n, steps->pending.count * sizeof *steps->pending.items);
}

/* The next rows as one batch of its own memory. */
static ghee_status cut(ghee_steps *steps, ghee_batch *out, ghee_error *err) {
  int64_t want = steps->worker->of->batch_rows, left = steps->pending_rows < want ? steps->pending_rows : want;
  GHEE_ARRAY(ghee_batch) slices = {0};
  size_t used_up = 0;
  ghee_status status = GHEE_OK;
  steps->pending_rows -= left;
  for (size_t i = 0; i < steps->pending.count && left > 0 && status == GHEE_OK; i++) {
    pending *of = &steps->pending.items[i];
    int64_t rows = ghee_batch_rows(&of->batch) - of->taken;
    if (rows > left) rows = left;
    ghee_batch slice = {0};
    status = ghee_batch_slice(&of->batch, of->taken, rows, &slice, err);
    if (status == GHEE_OK && !ghee_array_push(&slices, slice)) {
      ghee_batch_release(&slice);
      status = ghee_error_no_memory(err, "cutting a step");
    }
    of->taken += rows;
    left -= rows;
    if (of->taken == ghee_batch_rows(&of->batch)) used_up++;
  }
  if (status == GHEE_OK) status = ghee_batch_concat(slices.items, slices.count, out, err);
  for (size_t i = 0; i < slices.count; i++) ghee_batch_release(&slices.items[i]);
  ghee_array_fini(&slices);
  drop_pending(steps, used_up);
  return status;
}

/* ---- the thread ---- */

static ghee_position first_left(const ghee_steps *steps) {
  if (steps->pending.count) return (ghee_position){.place = steps->pending.items[0].place, .row = steps->pending.items[0].taken};
  return (ghee_position){.place = ghee_order_place(&steps->order), .row = steps->skip_rows};
}

static ghee_status make_ready(ghee_steps *steps, ghee_error *err) {
  GHEE_TRY(gather(steps, err));
  steps->step = (ghee_step){.have = steps->pending_rows > 0};
  steps->on_ready(steps->user, steps->step.have);
  if (steps->step.have) GHEE_TRY(cut(steps, &steps->step.batch, err));
  steps->step.left = first_left(steps);
  return GHEE_OK;
}

static bool await_turn(ghee_steps *steps) {
  pthread_mutex_lock(&steps->locked.mutex);
  while (steps->locked.turn != ASKED && !steps->locked.stopping) pthread_cond_wait(&steps->locked.changed, &steps->locked.mutex);
  bool go = !steps->locked.stopping;
  pthread_mutex_unlock(&steps->locked.mutex);
  return go;
}

static void give_turn(ghee_steps *steps, int turn) {
  pthread_mutex_lock(&steps->locked.mutex);
  steps->locked.turn = turn;
  pthread_cond_broadcast(&steps->locked.changed);
  pthread_mutex_unlock(&steps->locked.mutex);
}

static void *run(void *user) {
  ghee_steps *steps = user;
  while (await_turn(steps)) {
    steps->status = make_ready(steps, &steps->failure);
    give_turn(steps, READY);
  }
  return NULL;
}

/* ---- the owner's calls ---- */

void ghee_steps_prepare(ghee_steps *steps) { give_turn(steps, ASKED); }

ghee_status ghee_steps_take(ghee_steps *steps, ghee_step *out, ghee_error *err) {
  pthread_mutex_lock(&steps->locked.mutex);
  while (steps->locked.turn == ASKED) pthread_cond_wait(&steps->locked.changed, &steps->locked.mutex);
  pthread_mutex_unlock(&steps->locked.mutex);
  if (steps->status != GHEE_OK) {
    if (err) *err = steps->failure;
    return steps->status;
  }
  *out = steps->step;
  steps->step = (ghee_step){0};
  return GHEE_OK;
}

void ghee_steps_set_world(ghee_steps *steps, uint32_t world) { steps->order.world = world; }

void ghee_steps_seek(ghee_steps *steps, const ghee_position *from) {
  ghee_order_seek(&steps->order, &from->place);
  steps->skip_rows = from->row;
}

void ghee_steps_next_epoch(ghee_steps *steps) {
  ghee_order_next_epoch(&steps->order);
  steps->epoch_over = false;
}

ghee_schema *ghee_steps_schema(ghee_steps *steps) { return steps->schema ? ghee_schema_ref(steps->schema) : NULL; }

void ghee_steps_wake(ghee_steps *steps) { steps->ops->receiver_wake(steps->receiver); }

ghee_status ghee_steps_open(ghee_worker *worker, void (*on_ready)(void *, bool), void *user, ghee_steps **out, const char **address, ghee_error *err) {
  ghee_steps *steps = ghee_alloc_zero(1, sizeof *steps);
  if (!steps) return ghee_error_no_memory(err, "opening the training");
  *steps = (ghee_steps){.worker = worker, .on_ready = on_ready, .user = user, .ops = worker->transport, .producers = {.ops = worker->transport}};
  pthread_mutex_init(&steps->locked.mutex, NULL);
  pthread_cond_init(&steps->locked.changed, NULL);
  const ghee_plan_totals *totals = ghee_plan_totals_of(worker->plan);
  ghee_order_init(&steps->order, worker->index, worker->of->workers, totals->interleave, (uint32_t)totals->chunks);
  steps->window_bytes = worker->of->buffer_bytes / worker->spec->stages[worker->stage - 1].workers + 1;
  ghee_stream_options options = {.key = worker->key, .folder = worker->folder, .host = "127.0.0.1", .window_bytes = steps->window_bytes};
  ghee_status status = steps->ops->receiver_open(&options, &steps->receiver, address, err);
  if (status == GHEE_OK && pthread_create(&steps->thread, NULL, run, steps) != 0) status = ghee_error_set(err, GHEE_IO, "cannot start the thread that makes steps ready");
  steps->started = status == GHEE_OK;
  if (status != GHEE_OK) {
    ghee_steps_close(steps);
    return status;
  }
  *out = steps;
  return GHEE_OK;
}

void ghee_steps_close(ghee_steps *steps) {
  if (!steps) return;
  pthread_mutex_lock(&steps->locked.mutex);
  steps->locked.stopping = true;
  pthread_cond_broadcast(&steps->locked.changed);
  pthread_mutex_unlock(&steps->locked.mutex);
  if (steps->started) pthread_join(steps->thread, NULL);
  ghee_batch_release(&steps->step.batch);
  drop_pending(steps, steps->pending.count);
  ghee_order_fini(&steps->order);
  if (steps->receiver) steps->ops->receiver_close(steps->receiver);
  ghee_producers_fini(&steps->producers);
  ghee_array_fini(&steps->pending);
  ghee_schema_unref(steps->schema);
  pthread_cond_destroy(&steps->locked.changed);
  pthread_mutex_destroy(&steps->locked.mutex);
  ghee_free(steps);
}
