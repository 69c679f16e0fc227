/* SPDX-License-Identifier: Apache-2.0
 * A rank of a training job: batches in planned order, cut into steps, the same number of steps on all ranks, checkpoints.
 *
 * Design notes
 * - Tokens are not asked here: an attempt that was begun again gives the same batches, and the order drops what it has had.
 * - Rows that are taken in order but not handed out yet are `pending`; the position of a checkpoint is the first of them: its place and
 *   row. A resumed rank seeks there and leaves out the rows before.
 * - With several ranks a step is handed out once all have said what they have (STEP, answered GO). The next step is announced as soon as
 *   its rows are there, so that the answer is usually waiting when the user asks.
 * - `want` is sent when what is missing may be stuck behind a full window: at once if much is held out of turn, else after a pause. */
#include "runtime/worker.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "batch/frame.h"
#include "runtime/order.h"

enum { PATIENCE_MS = 20 };

typedef struct pending { ghee_batch batch; ghee_place place; int64_t taken; } pending; /* rows [taken, …) are left */
typedef struct producer { uint64_t peer; ghee_schema *schema; } producer;

struct ghee_train {
  ghee_worker *worker;
  const struct ghee_stream_ops *ops;
  ghee_receiver *receiver;
  size_t window_bytes;
  /* the host's thread only */
  ghee_order_queue order;
  GHEE_ARRAY(producer) producers;
  GHEE_ARRAY(pending) pending;
  int64_t pending_rows, skip_rows;       /* skip_rows: of the first batch, after a resume */
  bool epoch_open, epoch_over;           /* the user is inside one; its rows have all come */
  uint64_t epoch_step;                   /* steps handed out in this epoch */
  uint64_t announced;                    /* epoch_step + 1 that was said last, 0 none */
  ghee_schema *schema;
  char checkpoint_path[512];
  uint64_t state_step;
  char *state_path, *rendezvous, *value_file;
  bool begun;
  uint64_t asked_ns;                     /* when the user got the last step: his time until the next call */
  struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool welcome; ghee_say_welcome as; char *state_file; ghee_buffer position; /* of the first WELCOME */
    bool go; ghee_say_step answer;       /* the newest GO */
    ghee_say_step asked; bool asking;    /* the STEP that waits for its GO: said again to a new coordinator */
    ghee_place place; uint64_t step;     /* for METRICS and HELLO */
    struct { bool waiting; ghee_say_checkpoint what; char *file; ghee_buffer position; } checkpoint; /* not STORED yet */
    bool finished;
  } locked;
};

/* ---- what comes ---- */

static producer *producer_of(ghee_train *train, uint64_t peer) {
  for (size_t i = 0; i < train->producers.count; i++)
    if (train->producers.items[i].peer == peer) return &train->producers.items[i];
  return NULL;
}

static ghee_status learn_schema(ghee_train *train, const ghee_message *message, ghee_error *err) {
  ghee_schema *schema;
  GHEE_TRY(ghee_schema_decode(message->data, message->size_bytes, &schema, err));
  producer *known = producer_of(train, message->peer);
  if (known) ghee_schema_unref(known->schema);
  else if (ghee_array_push(&train->producers, ((producer){.peer = message->peer}))) known = producer_of(train, message->peer);
  if (!known) {
    ghee_schema_unref(schema);
    return ghee_error_no_memory(err, "learning a producer's schema");
  }
  known->schema = schema;
  if (!train->schema) train->schema = ghee_schema_ref(schema);
  return GHEE_OK;
}

static void forget_producer(ghee_train *train, uint64_t peer) {
  producer *known = producer_of(train, peer);
  if (!known) return;
  ghee_schema_unref(known->schema);
  *known = train->producers.items[--train->producers.count];
}

typedef struct hold { const struct ghee_stream_ops *ops; ghee_message message; } hold;
static void release_hold(void *user) {
  hold *of = user;
  of->ops->release(&of->message);
  ghee_free(of);
}

static ghee_status take_batch(ghee_train *train, ghee_message *message, ghee_error *err) {
  ghee_batch batch = {0};
  if (message->size_bytes == 0) {
    train->ops->release(message);
  } else {
    producer *from = producer_of(train, message->peer);
    hold *of = from ? ghee_alloc(sizeof *of) : NULL;
    if (!of) {
      train->ops->release(message);
      return from ? ghee_error_no_memory(err, "taking a batch") : ghee_error_set(err, GHEE_CORRUPT, "a batch came before its schema");
    }
    *of = (hold){.ops = train->ops, .message = *message};
    GHEE_TRY(ghee_frame_read(from->schema, message->data, message->size_bytes, true, release_hold, of, &batch, err));
  }
  return ghee_order_put(&train->order, message->head.epoch, message->head.chunk, message->head.seq, &batch, err);
}

/* Takes one message in. GHEE_AGAIN: none within timeout_ms. */
static ghee_status receive(ghee_train *train, int timeout_ms, ghee_error *err) {
  ghee_message message;
  GHEE_TRY(train->ops->pop(train->receiver, timeout_ms, &message, err));
  if (message.what == GHEE_MESSAGE_GONE) {
    forget_producer(train, message.peer);
    return GHEE_OK;
  }
  const ghee_stream_head head = message.head;
  if (head.kind == GHEE_FRAME_BATCH) return take_batch(train, &message, err);
  ghee_status status = GHEE_OK;
  if (head.kind == GHEE_FRAME_SCHEMA) status = learn_schema(train, &message, err);
  if (head.kind == GHEE_FRAME_END) {
    status = ghee_order_end(&train->order, head.epoch, head.chunk, head.seq, err);
    if (status == GHEE_OK) (void)train->ops->ack(train->receiver, message.peer, &head, NULL); /* a dead producer needs none */
  }
  train->ops->release(&message);
  return status;
}

/* ---- rows in order ---- */

static ghee_status add_pending(ghee_train *train, ghee_order_next *next, ghee_error *err) {
  int64_t rows = next->batch.schema ? ghee_batch_rows(&next->batch) : 0;
  int64_t skip = train->skip_rows < rows ? train->skip_rows : rows;
  train->skip_rows = 0; /* it belongs to the batch that was first */
  if (rows - skip == 0) {
    ghee_batch_release(&next->batch);
    return GHEE_OK;
  }
  if (!ghee_array_push(&train->pending, ((pending){.batch = next->batch, .place = next->place, .taken = skip}))) {
    ghee_batch_release(&next->batch);
    return ghee_error_no_memory(err, "taking a batch");
  }
  train->pending_rows += rows - skip;
  train->worker->meter.rows_in += (uint64_t)(rows - skip);
  if (!train->worker->meter.first_batch_ns) train->worker->meter.first_batch_ns = ghee_clock_ns();
  return GHEE_OK;
}

/* Gathers rows for one step, or all that the epoch still has. `wait` false: only what is there; *enough says. */
static ghee_status gather(ghee_train *train, bool wait, bool *enough, ghee_error *err) {
  int64_t rows = train->worker->of->batch_rows;
  ghee_status status;
  do status = receive(train, 0, err);
  while (status == GHEE_OK);
  if (status != GHEE_AGAIN) return status;
  bool wanted = false;
  ghee_place asked = {0};                /* what was wanted: when it turns out not to exist, something else may be stuck */
  while (train->pending_rows < rows && !train->epoch_over) {
    if (ghee_worker_ending(train->worker)) return GHEE_CANCELED;
    ghee_order_next next;
    ghee_order_take(&train->order, &next);
    if (next.what == GHEE_ORDER_EPOCH_END) {
      train->epoch_over = true;
    } else if (next.what == GHEE_ORDER_BATCH) {
      GHEE_TRY(add_pending(train, &next, err));
    } else if (!wait) {
      *enough = false;
      return GHEE_OK;
    } else {
      wanted = wanted && ghee_place_compare(&asked, &next.place) == 0;
      bool stuck = train->order.held_bytes >= train->window_bytes / 2;
      status = receive(train, wanted ? -1 : stuck ? 0 : PATIENCE_MS, err);
      if (status == GHEE_AGAIN && !wanted) {
        wanted = true;
        asked = next.place;
        status = train->ops->want(train->receiver, next.place.epoch, next.place.chunk, next.place.seq, err);
      }
      if (status != GHEE_OK && status != GHEE_AGAIN) return status;
    }
  }
  *enough = true;
  return GHEE_OK;
}

/* Place and row of the first row that was not handed out; between two epochs that is the beginning of the next. */
static ghee_place first_left(const ghee_train *train, int64_t *row) {
  *row = 0;
  if (train->epoch_over && !train->epoch_open) return (ghee_place){.epoch = train->order.epoch + 1};
  *row = train->pending.count ? train->pending.items[0].taken : train->skip_rows;
  return train->pending.count ? train->pending.items[0].place : ghee_order_place(&train->order);
}

static void publish_place(ghee_train *train) {
  int64_t row;
  ghee_place place = first_left(train, &row);
  pthread_mutex_lock(&train->locked.mutex);
  train->locked.place = place;
  pthread_mutex_unlock(&train->locked.mutex);
}

static void drop_pending(ghee_train *train, size_t n) {
  for (size_t i = 0; i < n; i++) ghee_batch_release(&train->pending.items[i].batch);
  train->pending.count -= n;
  memmove(train->pending.items, train->pending.items + n, train->pending.count * sizeof *train->pending.items);
}

/* The next rows as one batch of its own memory. */
static ghee_status cut(ghee_train *train, ghee_batch *out, ghee_error *err) {
  int64_t want = train->worker->of->batch_rows, left = train->pending_rows < want ? train->pending_rows : want;
  GHEE_ARRAY(ghee_batch) slices = {0};
  size_t used_up = 0;
  ghee_status status = GHEE_OK;
  train->pending_rows -= left;
  for (size_t i = 0; i < train->pending.count && left > 0 && status == GHEE_OK; i++) {
    pending *of = &train->pending.items[i];
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
  drop_pending(train, used_up);
  return status;
}

/* ---- steps together ---- */

/* mutex held, or an older step could be said after a newer one. A new coordinator is told at WELCOME. */
static void say_step(ghee_train *train) {
  ghee_say_message message = {.what = GHEE_SAY_STEP, .step = train->locked.asked};
  (void)ghee_link_say(train->worker->link, &message);
}

static void announce(ghee_train *train, bool have) {
  if (train->announced == train->epoch_step + 1) return;
  train->announced = train->epoch_step + 1;
  pthread_mutex_lock(&train->locked.mutex);
  train->locked.asked = (ghee_say_step){.epoch = train->order.epoch, .step = train->epoch_step, .have = have};
  train->locked.asking = true;
  say_step(train);
  pthread_mutex_unlock(&train->locked.mutex);
}

/* Waits for GO of the step announced; *any: somebody has rows. */
static ghee_status await_go(ghee_train *train, bool *any) {
  pthread_mutex_lock(&train->locked.mutex);
  while (!ghee_worker_ending(train->worker) &&
         !(train->locked.go && train->locked.answer.epoch == train->order.epoch && train->locked.answer.step == train->epoch_step))
    pthread_cond_wait(&train->locked.changed, &train->locked.mutex);
  bool ended = ghee_worker_ending(train->worker);
  *any = train->locked.answer.have;
  train->locked.asking = false;
  pthread_mutex_unlock(&train->locked.mutex);
  return ended ? GHEE_CANCELED : GHEE_OK;
}

/* Collective end of a step's preparation: *any false ends the epoch on all ranks. */
static ghee_status agree(ghee_train *train, bool have, bool *any) {
  *any = have;
  if (train->order.world == 1) return GHEE_OK;
  announce(train, have);
  return await_go(train, any);
}

/* ---- the public face ---- */

ghee_status ghee_train_begin(ghee_worker *worker, ghee_train_info *out, ghee_error *err) {
  ghee_train *train = worker->train;
  pthread_mutex_lock(&train->locked.mutex);
  while (!ghee_worker_ending(worker) && !train->locked.welcome) pthread_cond_wait(&train->locked.changed, &train->locked.mutex);
  ghee_say_welcome as = train->locked.as;
  pthread_mutex_unlock(&train->locked.mutex);
  if (ghee_worker_ending(worker)) return ghee_error_set(err, GHEE_CANCELED, "the job has ended");
  train->order.world = as.world;
  train->rendezvous = ghee_asprintf("%s/train/rendezvous-%u", worker->folder, as.incarnation);
  if (train->locked.state_file) train->state_path = ghee_job_folder_file(worker->folder, train->locked.state_file);
  if (!train->rendezvous || (train->locked.state_file && !train->state_path)) return ghee_error_no_memory(err, "beginning to train");
  if (train->state_path) {
    ghee_reader position = ghee_reader_of(train->locked.position.data, train->locked.position.size);
    ghee_place place = {.epoch = ghee_reader_u32(&position), .window = ghee_reader_u32(&position), .seq = ghee_reader_u32(&position),
                        .chunk = ghee_reader_u32(&position)};
    train->skip_rows = (int64_t)ghee_reader_u64(&position);
    train->epoch_step = ghee_reader_u64(&position);
    if (!ghee_reader_done(&position)) return ghee_error_set(err, GHEE_CORRUPT, "the position of the stored state cannot be read");
    ghee_order_seek(&train->order, &place);
  }
  train->state_step = as.step;
  train->begun = true;
  publish_place(train);
  *out = (ghee_train_info){.rank = worker->index, .world = as.world, .epoch = train->order.epoch, .epochs = worker->spec->epochs,
                           .step = as.step, .state_path = train->state_path, .rendezvous = train->rendezvous};
  train->asked_ns = ghee_clock_ns();
  return GHEE_OK;
}

/* A whole step, or the end of the epoch as GHEE_CLOSED. */
static ghee_status next_step(ghee_train *train, ghee_batch *out, bool *padding, ghee_error *err) {
  bool enough, any;
  GHEE_TRY(gather(train, true, &enough, err));
  bool have = train->pending_rows > 0;
  GHEE_TRY(agree(train, have, &any));
  if (!any) return GHEE_CLOSED;
  *padding = !have;
  if (have) {
    GHEE_TRY(cut(train, out, err));
  } else {
    if (!train->schema) train->schema = ghee_worker_fixed(train->worker, train->worker->stage - 1);
    if (!train->schema) return ghee_error_set(err, GHEE_INTERNAL, "rows to pad a step with are asked for before any schema is known");
    GHEE_TRY(ghee_batch_zeros(train->schema, train->worker->of->batch_rows, out, err));
  }
  train->epoch_step++;
  train->state_step++;
  publish_place(train);
  if (train->order.world > 1) {
    GHEE_TRY(gather(train, false, &enough, err));
    if (enough) announce(train, train->pending_rows > 0);
  }
  return GHEE_OK;
}

ghee_status ghee_train_next(ghee_worker *worker, struct ArrowSchema *out_schema, struct ArrowArray *out, bool *padding, ghee_error *err) {
  ghee_train *train = worker->train;
  if (!train->epoch_open) return GHEE_CLOSED;
  uint64_t start = ghee_clock_ns();
  bool flows = worker->meter.batches > 0;
  if (flows) worker->meter.busy_ns += start - train->asked_ns;
  ghee_batch batch = {0};
  ghee_status status = next_step(train, &batch, padding, err);
  train->asked_ns = ghee_clock_ns();
  if (flows && status == GHEE_OK) worker->meter.starved_ns += train->asked_ns - start;
  if (status == GHEE_CLOSED) train->epoch_open = false;
  if (status != GHEE_OK) return status;
  if (!*padding) worker->meter.rows_out += (uint64_t)ghee_batch_rows(&batch);
  worker->meter.batches++;
  status = ghee_schema_export(batch.schema, out_schema, err);
  if (status == GHEE_OK) {
    *out = batch.array;
    batch.array.release = NULL;
  }
  ghee_batch_release(&batch);
  return status;
}

ghee_status ghee_train_epoch(ghee_worker *worker, uint32_t *epoch, ghee_error *err) {
  ghee_train *train = worker->train;
  if (!train->begun) return ghee_error_set(err, GHEE_INTERNAL, "an epoch is asked for before the training has begun");
  while (train->epoch_open) {
    ghee_batch batch = {0};
    bool padding;
    ghee_status status = next_step(train, &batch, &padding, err);
    ghee_batch_release(&batch);
    if (status == GHEE_CLOSED) train->epoch_open = false;
    else GHEE_TRY(status);
  }
  if (train->epoch_over) {
    ghee_order_next_epoch(&train->order);
    train->epoch_over = false;
    train->epoch_step = train->announced = 0;
    publish_place(train);
  }
  if (train->order.epoch >= worker->spec->epochs) return GHEE_CLOSED;
  train->epoch_open = true;
  *epoch = train->order.epoch;
  return GHEE_OK;
}

/* ---- checkpoints and the result ---- */

ghee_status ghee_train_checkpoint_path(ghee_worker *worker, char *out, size_t size_bytes, ghee_error *err) {
  ghee_train *train = worker->train;
  snprintf(train->checkpoint_path, sizeof train->checkpoint_path, "train/%llu-%u.%u", (unsigned long long)train->state_step,
           train->locked.as.incarnation, worker->index);
  char *path = ghee_job_folder_file(worker->folder, train->checkpoint_path);
  if (!path) return ghee_error_no_memory(err, "naming a checkpoint");
  bool fits = (size_t)snprintf(out, size_bytes, "%s", path) < size_bytes;
  ghee_free(path);
  return fits ? GHEE_OK : ghee_error_set(err, GHEE_LIMIT, "the job's folder has too long a path for a checkpoint");
}

static void say_checkpoint(ghee_train *train) { /* mutex held, waiting */
  ghee_say_message message = {.what = GHEE_SAY_CHECKPOINT, .checkpoint = train->locked.checkpoint.what};
  message.checkpoint.file = train->locked.checkpoint.file;
  message.checkpoint.position = train->locked.checkpoint.position.data;
  message.checkpoint.position_bytes = train->locked.checkpoint.position.size;
  (void)ghee_link_say(train->worker->link, &message);
}

ghee_status ghee_train_checkpoint_commit(ghee_worker *worker, ghee_error *err) {
  ghee_train *train = worker->train;
  char *path = ghee_job_folder_file(worker->folder, train->checkpoint_path);
  if (!path) return ghee_error_no_memory(err, "storing a checkpoint");
  ghee_status status = ghee_file_sync(path, err);
  ghee_free(path);
  GHEE_TRY(status);
  int64_t row;
  ghee_place place = first_left(train, &row);
  pthread_mutex_lock(&train->locked.mutex);
  ghee_free(train->locked.checkpoint.file);
  train->locked.checkpoint.file = ghee_strdup(train->checkpoint_path);
  ghee_buffer *position = &train->locked.checkpoint.position;
  ghee_buffer_clear(position);
  ghee_buffer_put_u32(position, place.epoch);
  ghee_buffer_put_u32(position, place.window);
  ghee_buffer_put_u32(position, place.seq);
  ghee_buffer_put_u32(position, place.chunk);
  ghee_buffer_put_u64(position, (uint64_t)row);
  ghee_buffer_put_u64(position, place.epoch == train->order.epoch ? train->epoch_step : 0);
  status = train->locked.checkpoint.file ? ghee_buffer_check(position, "storing a checkpoint", err) : ghee_error_no_memory(err, "storing a checkpoint");
  if (status == GHEE_OK) {
    train->locked.checkpoint.what = (ghee_say_checkpoint){.step = train->state_step, .place = place};
    train->locked.checkpoint.waiting = true;
    say_checkpoint(train);
  }
  pthread_mutex_unlock(&train->locked.mutex);
  return status;
}

ghee_status ghee_train_log(ghee_worker *worker, const char *key, double value, ghee_error *err) {
  ghee_say_message message = {.what = GHEE_SAY_LOG, .log = {.text = (char *)key, .value = value}};
  ghee_status status = ghee_link_say(worker->link, &message);
  return status == GHEE_CLOSED ? GHEE_OK : status == GHEE_OK ? GHEE_OK : ghee_error_no_memory(err, "logging a value");
}

static void say_result(ghee_train *train) {
  ghee_say_message message = {.what = GHEE_SAY_RESULT, .result = {.step = train->state_step, .file = train->value_file ? train->value_file : ""}};
  (void)ghee_link_say(train->worker->link, &message);
}

ghee_status ghee_train_finish(ghee_train *train, const char *value_file, ghee_error *err) {
  train->value_file = ghee_strdup(value_file ? value_file : "");
  if (!train->value_file) return ghee_error_no_memory(err, "handing in the result");
  say_result(train);
  pthread_mutex_lock(&train->locked.mutex);
  train->locked.finished = true;
  while (!ghee_worker_ending(train->worker)) pthread_cond_wait(&train->locked.changed, &train->locked.mutex);
  pthread_mutex_unlock(&train->locked.mutex);
  return GHEE_OK;
}

/* ---- the link's side ---- */

void ghee_train_welcome(ghee_train *train, const ghee_say_welcome *welcome) {
  pthread_mutex_lock(&train->locked.mutex);
  bool again = train->locked.welcome;
  if (!again) {
    train->locked.as = *welcome;
    train->locked.as.state_file = NULL;
    train->locked.as.position = NULL;
    if (welcome->state_file && *welcome->state_file) train->locked.state_file = ghee_strdup(welcome->state_file);
    ghee_buffer_put(&train->locked.position, welcome->position, welcome->position_bytes);
    train->locked.welcome = true;
  }
  bool finished = train->locked.finished;
  if (again && train->locked.asking) say_step(train);
  if (again && train->locked.checkpoint.waiting) say_checkpoint(train);
  pthread_cond_broadcast(&train->locked.changed);
  pthread_mutex_unlock(&train->locked.mutex);
  if (again && finished) say_result(train);
}

void ghee_train_go(ghee_train *train, const ghee_say_step *step) {
  pthread_mutex_lock(&train->locked.mutex);
  train->locked.answer = *step;
  train->locked.go = true;
  pthread_cond_broadcast(&train->locked.changed);
  pthread_mutex_unlock(&train->locked.mutex);
}

void ghee_train_stored(ghee_train *train, uint64_t step) {
  pthread_mutex_lock(&train->locked.mutex);
  if (train->locked.checkpoint.what.step <= step) train->locked.checkpoint.waiting = false;
  pthread_mutex_unlock(&train->locked.mutex);
}

void ghee_train_hello(ghee_train *train, ghee_say_hello *hello) {
  pthread_mutex_lock(&train->locked.mutex);
  hello->place = train->locked.place;
  hello->step = train->locked.step;
  pthread_mutex_unlock(&train->locked.mutex);
}

ghee_place ghee_train_place(ghee_train *train) {
  pthread_mutex_lock(&train->locked.mutex);
  ghee_place place = train->locked.place;
  pthread_mutex_unlock(&train->locked.mutex);
  return place;
}

void ghee_train_wake(ghee_train *train) {
  pthread_mutex_lock(&train->locked.mutex);
  pthread_cond_broadcast(&train->locked.changed);
  pthread_mutex_unlock(&train->locked.mutex);
  train->ops->receiver_wake(train->receiver);
}

ghee_status ghee_train_open(ghee_worker *worker, ghee_train **out, const char **address, ghee_error *err) {
  ghee_train *train = ghee_alloc_zero(1, sizeof *train);
  if (!train) return ghee_error_no_memory(err, "opening the training");
  train->worker = worker;
  train->ops = worker->transport;
  pthread_mutex_init(&train->locked.mutex, NULL);
  pthread_cond_init(&train->locked.changed, NULL);
  const ghee_plan_totals *totals = ghee_plan_totals_of(worker->plan);
  ghee_order_init(&train->order, worker->index, worker->of->workers, totals->interleave, (uint32_t)totals->chunks);
  train->window_bytes = worker->of->buffer_bytes / worker->spec->stages[worker->stage - 1].workers + 1;
  ghee_stream_options options = {.key = worker->key, .folder = worker->folder, .host = "127.0.0.1", .window_bytes = train->window_bytes};
  ghee_status status = train->ops->receiver_open(&options, &train->receiver, address, err);
  if (status != GHEE_OK) {
    ghee_free(train);
    return status;
  }
  *out = train;
  return GHEE_OK;
}

void ghee_train_close(ghee_train *train) {
  if (!train) return;
  drop_pending(train, train->pending.count);
  ghee_order_fini(&train->order);
  train->ops->receiver_close(train->receiver);
  for (size_t i = 0; i < train->producers.count; i++) ghee_schema_unref(train->producers.items[i].schema);
  ghee_array_fini(&train->producers);
  ghee_array_fini(&train->pending);
  ghee_schema_unref(train->schema);
  ghee_free(train->state_path);
  ghee_free(train->rendezvous);
  ghee_free(train->value_file);
  ghee_free(train->locked.state_file);
  ghee_free(train->locked.checkpoint.file);
  ghee_buffer_fini(&train->locked.position);
  ghee_buffer_fini(&train->locked.checkpoint.position);
  pthread_cond_destroy(&train->locked.changed);
  pthread_mutex_destroy(&train->locked.mutex);
  ghee_free(train);
}
