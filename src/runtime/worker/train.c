/* SPDX-License-Identifier: Apache-2.0
 * A rank of a training job: the same number of steps on all ranks, checkpoints, the result. The steps are made in steps.c.
 *
 * Design notes
 * - The position of a checkpoint is the first row that was not handed out, whatever lies ready. A resumed rank seeks there and leaves out the rows before.
 * - With several ranks a step is handed out once all have said what they have (STEP, answered GO). The next step is announced by the thread that makes
 *   it ready, so that the answer is usually waiting when the user asks. */
#include "runtime/worker/worker.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "runtime/worker/steps.h"

struct ghee_train {
  ghee_worker *worker;
  ghee_steps *steps;
  /* the host's thread only */
  uint32_t world, epoch;
  bool epoch_open, epoch_over;           /* the user is inside one; he has come to its end */
  uint64_t epoch_step;                   /* steps handed out in this epoch */
  ghee_position left;                    /* behind them */
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

/* What METRICS and HELLO say of it. */
static void publish_left(ghee_train *train, const ghee_position *left) {
  train->left = *left;
  pthread_mutex_lock(&train->locked.mutex);
  train->locked.place = left->place;
  pthread_mutex_unlock(&train->locked.mutex);
}

/* ---- steps together ---- */

/* mutex held, or an older step could be said after a newer one. A new coordinator is told at WELCOME. */
static void say_step(ghee_train *train) {
  ghee_say_message message = {.what = GHEE_SAY_STEP, .step = train->locked.asked};
  (void)ghee_link_say(train->worker->link, &message);
}

/* Thread: of the steps. The host's does not touch what is read here until it has taken the step. */
static void announce(void *user, bool have) {
  ghee_train *train = user;
  if (train->world == 1) return;
  pthread_mutex_lock(&train->locked.mutex);
  train->locked.asked = (ghee_say_step){.epoch = train->epoch, .step = train->epoch_step, .have = have};
  train->locked.asking = true;
  say_step(train);
  pthread_mutex_unlock(&train->locked.mutex);
}

/* Waits for GO of the step announced; *any: somebody has rows. */
static ghee_status await_go(ghee_train *train, bool *any) {
  pthread_mutex_lock(&train->locked.mutex);
  while (!ghee_worker_ending(train->worker) &&
         !(train->locked.go && train->locked.answer.epoch == train->epoch && train->locked.answer.step == train->epoch_step))
    pthread_cond_wait(&train->locked.changed, &train->locked.mutex);
  bool ended = ghee_worker_ending(train->worker);
  *any = train->locked.answer.have;
  train->locked.asking = false;
  pthread_mutex_unlock(&train->locked.mutex);
  return ended ? GHEE_CANCELED : GHEE_OK;
}

/* ---- the public face ---- */

ghee_status ghee_train_begin(ghee_worker *worker, ghee_train_info *out, ghee_error *err) {
  ghee_train *train = worker->train;
  pthread_mutex_lock(&train->locked.mutex);
  while (!ghee_worker_ending(worker) && !train->locked.welcome) pthread_cond_wait(&train->locked.changed, &train->locked.mutex);
  ghee_say_welcome as = train->locked.as;
  pthread_mutex_unlock(&train->locked.mutex);
  if (ghee_worker_ending(worker)) return ghee_error_set(err, GHEE_CANCELED, "the job has ended");
  train->world = as.world;
  ghee_steps_set_world(train->steps, as.world);
  train->rendezvous = ghee_asprintf("%s/train/rendezvous-%u", worker->folder, as.incarnation);
  if (train->locked.state_file) train->state_path = ghee_job_folder_file(worker->folder, train->locked.state_file);
  if (!train->rendezvous || (train->locked.state_file && !train->state_path)) return ghee_error_no_memory(err, "beginning to train");
  if (train->state_path) {
    ghee_reader position = ghee_reader_of(train->locked.position.data, train->locked.position.size);
    ghee_place place = {.epoch = ghee_reader_u32(&position), .window = ghee_reader_u32(&position), .seq = ghee_reader_u32(&position),
                        .chunk = ghee_reader_u32(&position)};
    train->left = (ghee_position){.place = place, .row = (int64_t)ghee_reader_u64(&position)};
    train->epoch_step = ghee_reader_u64(&position);
    if (!ghee_reader_done(&position)) return ghee_error_set(err, GHEE_CORRUPT, "the position of the stored state cannot be read");
    ghee_steps_seek(train->steps, &train->left);
    train->epoch = place.epoch;
  }
  train->state_step = as.step;
  train->begun = true;
  publish_left(train, &train->left);
  *out = (ghee_train_info){.rank = worker->index, .world = as.world, .epoch = train->epoch, .epochs = worker->spec->epochs,
                           .step = as.step, .state_path = train->state_path, .rendezvous = train->rendezvous};
  train->asked_ns = ghee_clock_ns();
  return GHEE_OK;
}

/* Zeros in place of rows that this rank has not. */
static ghee_status pad(ghee_train *train, ghee_batch *out, ghee_error *err) {
  ghee_schema *schema = ghee_steps_schema(train->steps);
  if (!schema) schema = ghee_worker_fixed(train->worker, train->worker->stage - 1);
  if (!schema) return ghee_error_set(err, GHEE_INTERNAL, "rows to pad a step with are asked for before any schema is known");
  ghee_status status = ghee_batch_zeros(schema, train->worker->of->batch_rows, out, err);
  ghee_schema_unref(schema);
  return status;
}

/* The user has come to the end of the epoch: what is left is the next. */
static void end_epoch(ghee_train *train) {
  train->epoch_open = false;
  train->epoch_over = true;
  train->left = (ghee_position){.place = {.epoch = train->epoch + 1}};
}

/* A whole step, or the end of the epoch as GHEE_CLOSED. */
static ghee_status next_step(ghee_train *train, ghee_batch *out, bool *padding, ghee_error *err) {
  ghee_step step;
  GHEE_TRY(ghee_steps_take(train->steps, &step, err));
  bool any = step.have;
  ghee_status status = train->world > 1 ? await_go(train, &any) : GHEE_OK;
  if (status == GHEE_OK && !any) {
    end_epoch(train);
    status = GHEE_CLOSED;
  }
  if (status == GHEE_OK && !step.have) status = pad(train, &step.batch, err);
  if (status != GHEE_OK) {
    ghee_batch_release(&step.batch);
    return status;
  }
  *padding = !step.have;
  *out = step.batch;
  train->epoch_step++;
  train->state_step++;
  publish_left(train, &step.left);
  ghee_steps_prepare(train->steps);
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
    if (status != GHEE_CLOSED) GHEE_TRY(status);
  }
  if (train->epoch_over) {
    ghee_steps_next_epoch(train->steps);
    train->epoch++;
    train->epoch_over = false;
    train->epoch_step = 0;
    publish_left(train, &train->left);
  }
  if (train->epoch >= worker->spec->epochs) return GHEE_CLOSED;
  train->epoch_open = true;
  ghee_steps_prepare(train->steps);
  *epoch = train->epoch;
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
  ghee_place place = train->left.place;
  pthread_mutex_lock(&train->locked.mutex);
  ghee_free(train->locked.checkpoint.file);
  train->locked.checkpoint.file = ghee_strdup(train->checkpoint_path);
  ghee_buffer *position = &train->locked.checkpoint.position;
  ghee_buffer_clear(position);
  ghee_buffer_put_u32(position, place.epoch);
  ghee_buffer_put_u32(position, place.window);
  ghee_buffer_put_u32(position, place.seq);
  ghee_buffer_put_u32(position, place.chunk);
  ghee_buffer_put_u64(position, (uint64_t)train->left.row);
  ghee_buffer_put_u64(position, place.epoch == train->epoch ? train->epoch_step : 0);
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
  ghee_steps_wake(train->steps);
}

ghee_status ghee_train_open(ghee_worker *worker, ghee_train **out, const char **address, ghee_error *err) {
  ghee_train *train = ghee_alloc_zero(1, sizeof *train);
  if (!train) return ghee_error_no_memory(err, "opening the training");
  train->worker = worker;
  train->world = worker->of->workers;
  pthread_mutex_init(&train->locked.mutex, NULL);
  pthread_cond_init(&train->locked.changed, NULL);
  ghee_status status = ghee_steps_open(worker, announce, train, &train->steps, address, err);
  if (status != GHEE_OK) {
    ghee_train_close(train);
    return status;
  }
  *out = train;
  return GHEE_OK;
}

void ghee_train_close(ghee_train *train) {
  if (!train) return;
  ghee_steps_close(train->steps);
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
