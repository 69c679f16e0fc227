/* SPDX-License-Identifier: Apache-2.0
 * A worker process: opening, the loop around the user function, and what the coordinator says. */
#include "runtime/worker/worker.h"

#include <fcntl.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "launch/fork_server.h"
#include "runtime/worker/rebatch.h"
#include "launch/gate.h"
#include "text/json.h"
#include "transport/control/control.h"

/* ---- shared state ---- */

bool ghee_worker_ending(ghee_worker *worker) {
  pthread_mutex_lock(&worker->locked.mutex);
  bool ending = worker->locked.ending;
  pthread_mutex_unlock(&worker->locked.mutex);
  return ending;
}

void ghee_worker_stop(ghee_worker *worker) {
  pthread_mutex_lock(&worker->locked.mutex);
  worker->locked.ending = true;
  pthread_cond_broadcast(&worker->locked.changed);
  pthread_mutex_unlock(&worker->locked.mutex);
  if (worker->source) ghee_source_cancel(worker->source);
  if (worker->inlet) ghee_inlet_wake(worker->inlet);
  if (worker->outlet) ghee_outlet_cancel(worker->outlet);
  if (worker->output) ghee_output_cancel(worker->output);
  if (worker->train) ghee_train_wake(worker->train);
}

ghee_status ghee_worker_fail(ghee_worker *worker, const ghee_error *failure) {
  pthread_mutex_lock(&worker->locked.mutex);
  bool first = worker->locked.failure == GHEE_OK && !worker->locked.ending;
  if (first) worker->locked.failure = failure->status;
  pthread_mutex_unlock(&worker->locked.mutex);
  if (!first) return failure->status;
  ghee_say_message message = {.what = GHEE_SAY_FAILED, .failed = {.status = failure->status, .message = (char *)failure->message}};
  (void)ghee_link_say(worker->link, &message); /* without a coordinator the exit code tells */
  if (!worker->facts.hosted) fprintf(stderr, "%s\n", failure->message); /* else the host raises it */
  ghee_worker_stop(worker);
  return failure->status;
}

ghee_schema *ghee_worker_fixed(ghee_worker *worker, uint32_t stage) {
  pthread_mutex_lock(&worker->locked.mutex);
  ghee_schema *schema = worker->locked.fixed[stage] ? ghee_schema_ref(worker->locked.fixed[stage]) : NULL;
  pthread_mutex_unlock(&worker->locked.mutex);
  return schema;
}

static void learn_fixed(ghee_worker *worker, const ghee_say_schema *said) {
  ghee_schema *schema;
  ghee_error err;
  if (said->stage >= GHEE_MAX_STAGES || ghee_schema_decode(said->data, said->size_bytes, &schema, &err) != GHEE_OK) {
    ghee_log(GHEE_LOG_ERROR, "a schema of the coordinator cannot be read");
    return;
  }
  pthread_mutex_lock(&worker->locked.mutex);
  ghee_schema_unref(worker->locked.fixed[said->stage]);
  worker->locked.fixed[said->stage] = schema;
  pthread_cond_broadcast(&worker->locked.changed);
  pthread_mutex_unlock(&worker->locked.mutex);
}

static ghee_status propose(ghee_worker *worker, const ghee_schema *schema, ghee_error *err) {
  ghee_buffer bytes = {0};
  ghee_status status = ghee_schema_encode(schema, &bytes, err);
  ghee_say_message message = {.what = GHEE_SAY_SCHEMA, .schema = {.stage = worker->stage, .data = bytes.data, .size_bytes = bytes.size}};
  if (status == GHEE_OK) (void)ghee_link_say(worker->link, &message);
  ghee_buffer_fini(&bytes);
  return status;
}

/* What the job has fixed for this stage, which is `schema` if that is its first. out gives. */
static ghee_status agree(ghee_worker *worker, const ghee_schema *schema, ghee_schema **out, ghee_error *err) {
  uint32_t asked = 0; /* generation that was asked */
  pthread_mutex_lock(&worker->locked.mutex);
  while (!worker->locked.fixed[worker->stage] && !worker->locked.ending) {
    if (asked == worker->locked.generation) {
      pthread_cond_wait(&worker->locked.changed, &worker->locked.mutex);
      continue;
    }
    asked = worker->locked.generation;
    pthread_mutex_unlock(&worker->locked.mutex);
    GHEE_TRY(propose(worker, schema, err));
    pthread_mutex_lock(&worker->locked.mutex);
  }
  ghee_schema *fixed = worker->locked.fixed[worker->stage];
  if (fixed) *out = ghee_schema_ref(fixed);
  pthread_mutex_unlock(&worker->locked.mutex);
  return fixed ? GHEE_OK : GHEE_CANCELED;
}

/* Fixes what this stage gives out by its first batch (waits for the coordinator's word), and casts `batch` to it. */
static ghee_status fix_schema(ghee_worker *worker, ghee_batch *batch, ghee_error *err) {
  ghee_schema *fixed;
  GHEE_TRY(agree(worker, batch->schema, &fixed, err));
  ghee_status status = GHEE_OK;
  if (!ghee_schema_equal(fixed, batch->schema)) {
    ghee_batch cast = {0};
    status = ghee_batch_cast(batch, fixed, &cast, err);
    if (status == GHEE_OK) *batch = cast;
    else {
      ghee_error_prefix(err, "%s gives other columns than in its first batch", worker->of->name);
      ghee_error_suffix(err, "; give the same columns and types each time (astype helps)");
    }
  }
  ghee_schema_unref(fixed);
  return status;
}

/* ---- what the coordinator says ---- */

static void sweep(ghee_worker *worker) {
  if (worker->source) ghee_source_sweep(worker->source);
  if (worker->outlet) ghee_outlet_sweep(worker->outlet);
  if (worker->output) ghee_output_sweep(worker->output);
}

static void say_ready(ghee_worker *worker) {
  ghee_say_message ready = {.what = GHEE_SAY_READY};
  (void)ghee_link_say(worker->link, &ready);
}

static void welcome(ghee_worker *worker, const ghee_say_welcome *said) {
  pthread_mutex_lock(&worker->locked.mutex);
  bool again = worker->locked.generation != 0 && said->generation != worker->locked.generation;
  worker->locked.generation = said->generation;
  bool ready = worker->locked.ready;
  pthread_cond_broadcast(&worker->locked.changed);
  pthread_mutex_unlock(&worker->locked.mutex);
  if (ready) say_ready(worker);
  if (again) {
    ghee_attempt all = {.chunk = UINT32_MAX, .token = ((uint64_t)said->generation << 32) - 1};
    ghee_attempts_revoke(&worker->attempts, &all);
    sweep(worker);
    if (worker->output) ghee_output_restart(worker->output);
  }
  if (worker->source) ghee_source_restart(worker->source);
  if (worker->train) ghee_train_welcome(worker->train, said);
}

void ghee_worker_heard(ghee_worker *worker, const ghee_say_message *message) {
  switch (message->what) {
    case GHEE_SAY_WELCOME: welcome(worker, &message->welcome); break;
    case GHEE_SAY_PEER: if (worker->outlet) ghee_outlet_peer(worker->outlet, &message->peer); break;
    case GHEE_SAY_NO_PEER: if (worker->outlet) ghee_outlet_no_peer(worker->outlet, message->peer.worker); break;
    case GHEE_SAY_LEASE: if (worker->source) ghee_source_lease(worker->source, &message->lease); break;
    case GHEE_SAY_REVOKE:
    case GHEE_SAY_REFUSE:
      ghee_attempts_revoke(&worker->attempts, &message->attempt);
      sweep(worker);
      break;
    case GHEE_SAY_ACCEPT: if (worker->output) ghee_output_accept(worker->output, &message->attempt); break;
    case GHEE_SAY_COMMITTED: if (worker->output) ghee_output_committed(worker->output, message->ticket); break;
    case GHEE_SAY_FLUSH: if (worker->output) ghee_output_flush(worker->output); break;
    case GHEE_SAY_FIXED_SCHEMA: learn_fixed(worker, &message->schema); break;
    case GHEE_SAY_GO: if (worker->train) ghee_train_go(worker->train, &message->step); break;
    case GHEE_SAY_STORED: if (worker->train) ghee_train_stored(worker->train, message->ticket); break;
    case GHEE_SAY_END: ghee_worker_stop(worker); break;
    default: ghee_log(GHEE_LOG_ERROR, "the coordinator said %d, which is not for workers", message->what);
  }
}

/* ---- the loop ---- */

static ghee_status next_item(ghee_worker *worker, ghee_item *item, ghee_error *err) {
  uint64_t start = ghee_clock_ns();
  ghee_status status = worker->source ? ghee_source_next(worker->source, item, err) : ghee_inlet_next(worker->inlet, item, err);
  worker->waited_ns += ghee_clock_ns() - start;
  if (status != GHEE_OK || item->what != GHEE_ITEM_BATCH) return status;
  if (worker->meter.first_batch_ns) worker->meter.starved_ns += worker->waited_ns;
  worker->waited_ns = 0;
  return GHEE_OK;
}

static void item_done(ghee_worker *worker, ghee_item *item) {
  if (worker->source) ghee_source_done(worker->source, item);
  else ghee_item_fini(item);
}

/* Rows that are only named, copied. */
static ghee_status settle(ghee_item *item, ghee_error *err) {
  if (item->gather.rows == 0) return GHEE_OK;
  GHEE_TRY(ghee_gather_copy(&item->gather, &item->batch, err));
  ghee_gather_fini(&item->gather);
  return GHEE_OK;
}

static const char *item_uri(const ghee_worker *worker, const ghee_item *item) {
  return item->file < ghee_plan_totals_of(worker->plan)->files ? ghee_plan_file_uri(worker->plan, item->file) : "";
}

/* Where a failure happened: "…, at rows 8192 to 16383 of file:/…" (chunk and batch where the row is not known). */
static void say_where(ghee_worker *worker, const ghee_item *item, int64_t rows, ghee_error *err) {
  const char *uri = item_uri(worker, item);
  if (item->row != UINT64_MAX && *uri)
    ghee_error_prefix(err, "%s failed on rows %llu to %llu of %s (chunk %u)", worker->of->name, (unsigned long long)item->row,
                      (unsigned long long)item->row + (unsigned long long)(rows > 0 ? rows - 1 : 0), uri, item->attempt.chunk);
  else
    ghee_error_prefix(err, "%s failed on batch %u of chunk %u of epoch %u", worker->of->name, item->seq, item->attempt.chunk, item->attempt.epoch);
}

static void begin_mark(ghee_worker *worker, const ghee_item *item) {
  ghee_mark *mark = worker->mark;
  mark->epoch = item->attempt.epoch;
  mark->chunk = item->attempt.chunk;
  mark->seq = item->seq;
  mark->since_ms = ghee_clock_ms();
  mark->busy = 1;
}

/* In place of memory that others wait for, memory of its own. */
static ghee_status copy_input(ghee_item *item, ghee_error *err) {
  ghee_batch copy = {0};
  GHEE_TRY(ghee_batch_concat(&item->batch, 1, &copy, err));
  ghee_batch_release(&item->batch);
  item->batch = copy;
  return GHEE_OK;
}

void ghee_worker_copy_inputs(ghee_worker *worker) {
  if (worker->copy_inputs) return;
  worker->copy_inputs = true;
  ghee_say_message message = {.what = GHEE_SAY_LOG,
                              .log = {.text = (char *)"the function keeps arrays of a batch past its call: from now on it gets copies; copy what you keep, to be faster", .value = NAN}};
  (void)ghee_link_say(worker->link, &message);
}

/* Runs the function over one batch. `out` may end empty: no rows. */
static ghee_status call(ghee_worker *worker, const ghee_worker_ops *ops, void *user, ghee_item *item, ghee_batch *out, ghee_error *err) {
  struct ArrowSchema schema = {0};
  struct ArrowArray array = {0};
  int64_t rows = ghee_item_rows(item);
  if (item->gather.rows) GHEE_TRY(settle(item, err));
  else if (worker->copy_inputs) GHEE_TRY(copy_input(item, err));
  ghee_worker_batch in = {.schema = ghee_schema_arrow(item->batch.schema), .array = &item->batch.array, .epoch = item->attempt.epoch,
                          .chunk = item->attempt.chunk, .seq = item->seq, .uri = item_uri(worker, item), .row = item->row};
  worker->current = &in;
  ghee_buffer_clear(&worker->rejects);
  worker->rejected_rows = 0;
  uint64_t start = ghee_clock_ns();
  begin_mark(worker, item);
  ghee_status status = ops->call(user, worker, &in, &schema, &array, err);
  worker->mark->busy = 0;
  worker->meter.busy_ns += ghee_clock_ns() - start;
  worker->meter.batches++;
  worker->meter.rows_in += (uint64_t)rows;
  if (!worker->meter.first_batch_ns) worker->meter.first_batch_ns = start;
  worker->current = NULL;
  ghee_schema *given = NULL;
  if (status == GHEE_OK && schema.release) status = ghee_schema_new(&schema, &given, err);
  if (status == GHEE_OK && given) status = ghee_batch_new(given, &array, false, out, err);
  if (status == GHEE_OK && given && worker->of->same_rows && ghee_batch_rows(out) + (int64_t)worker->rejected_rows != rows)
    status = ghee_error_set(err, GHEE_USER, "the function got %lld rows and returned %lld, though the stage says `rows: same`",
                            (long long)rows, (long long)ghee_batch_rows(out));
  if (status == GHEE_OK && given) status = fix_schema(worker, out, err);
  if (status == GHEE_OK && given) worker->meter.rows_out += (uint64_t)ghee_batch_rows(out);
  ghee_schema_unref(given);
  if (array.release) array.release(&array);
  if (status != GHEE_OK) {
    ghee_batch_release(out);
    if (status != GHEE_CANCELED) say_where(worker, item, rows, err);
  }
  return status;
}

static ghee_status pass_rejects(ghee_worker *worker, const ghee_attempt *attempt, const char *lines, ghee_error *err) {
  uint64_t rows = 0;
  for (const char *at = lines; (at = strchr(at, '\n')); at++) rows++;
  return worker->output ? ghee_output_rejects(worker->output, attempt, lines, rows, err)
                        : ghee_outlet_rejects(worker->outlet, attempt, lines, err);
}

/* `out` NULL: no rows. */
static ghee_status give_out(ghee_worker *worker, const ghee_item *item, const ghee_batch *out, ghee_error *err) {
  return worker->output ? ghee_output_batch(worker->output, &item->attempt, out, err) : ghee_outlet_batch(worker->outlet, item, out, err);
}

/* A stage without a function. Rows that are only named are copied once, to where they go. */
static ghee_status pass_on(ghee_worker *worker, ghee_item *item, ghee_error *err) {
  uint64_t rows = (uint64_t)ghee_item_rows(item);
  worker->meter.batches++;
  worker->meter.rows_in += rows;
  worker->meter.rows_out += rows;
  if (!worker->meter.first_batch_ns) worker->meter.first_batch_ns = ghee_clock_ns();
  if (item->gather.rows && worker->outlet) {
    ghee_schema *fixed, *schema = item->gather.batches[0].schema;
    GHEE_TRY(agree(worker, schema, &fixed, err));
    bool same = ghee_schema_equal(fixed, schema);
    ghee_schema_unref(fixed);
    if (same) return ghee_outlet_gather(worker->outlet, item, err);
  }
  GHEE_TRY(settle(item, err));
  GHEE_TRY(fix_schema(worker, &item->batch, err));
  return give_out(worker, item, &item->batch, err);
}

static ghee_status on_batch(ghee_worker *worker, const ghee_worker_ops *ops, void *user, ghee_item *item, ghee_error *err) {
  ghee_batch out = {0};
  int64_t rows = ghee_item_rows(item);
  if (rows > 0 && !ops->call) return pass_on(worker, item, err);
  if (rows > 0) GHEE_TRY(call(worker, ops, user, item, &out, err));
  if (out.schema && ghee_batch_rows(&out) != rows) item->row = UINT64_MAX; /* its rows are not those of the file any more */
  ghee_status status = give_out(worker, item, out.schema ? &out : NULL, err);
  ghee_batch_release(&out);
  if (status == GHEE_OK && worker->rejects.size > 0) status = pass_rejects(worker, &item->attempt, ghee_buffer_text(&worker->rejects), err);
  ghee_buffer_clear(&worker->rejects);
  return status;
}

/* Runs the function over the batches that have come together; with `rest`, at the end of a chunk, over what is left. */
static ghee_status on_gathered(ghee_worker *worker, const ghee_worker_ops *ops, void *user, const ghee_attempt *attempt, bool rest, ghee_error *err) {
  for (;;) {
    ghee_item item;
    ghee_status status = ghee_rebatch_take(worker->rebatch, attempt, rest, &item, err);
    if (status == GHEE_AGAIN) return GHEE_OK;
    GHEE_TRY(status);
    status = on_batch(worker, ops, user, &item, err);
    ghee_item_fini(&item);
    GHEE_TRY(status);
  }
}

static ghee_status on_end(ghee_worker *worker, const ghee_worker_ops *ops, void *user, const ghee_item *item, ghee_error *err) {
  uint32_t count = item->seq;
  if (worker->rebatch) {
    GHEE_TRY(on_gathered(worker, ops, user, &item->attempt, true, err));
    count = ghee_rebatch_end(worker->rebatch, &item->attempt);
  }
  GHEE_TRY(worker->output ? ghee_output_end(worker->output, &item->attempt, err)
                          : ghee_outlet_end(worker->outlet, &item->attempt, count, err));
  return worker->inlet ? ghee_inlet_ack(worker->inlet, item, err) : GHEE_OK;
}

static ghee_status on_item(ghee_worker *worker, const ghee_worker_ops *ops, void *user, ghee_item *item, ghee_error *err) {
  bool alive = ghee_attempts_alive(&worker->attempts, &item->attempt);
  if (worker->rebatch) ghee_rebatch_sweep(worker->rebatch, &worker->attempts);
  if (item->what == GHEE_ITEM_ABORT || !alive) {
    if (worker->rebatch) (void)ghee_rebatch_end(worker->rebatch, &item->attempt);
    if (worker->output) ghee_output_abort(worker->output, &item->attempt);
    return worker->outlet ? ghee_outlet_abort(worker->outlet, &item->attempt, err) : GHEE_OK;
  }
  switch (item->what) {
    case GHEE_ITEM_BATCH:
      if (!worker->rebatch) return on_batch(worker, ops, user, item, err);
      GHEE_TRY(ghee_rebatch_put(worker->rebatch, item, err));
      return on_gathered(worker, ops, user, &item->attempt, false, err);
    case GHEE_ITEM_END: return on_end(worker, ops, user, item, err);
    default: return pass_rejects(worker, &item->attempt, item->text, err);
  }
}

static ghee_status loop(ghee_worker *worker, const ghee_worker_ops *ops, void *user, ghee_error *err) {
  for (;;) {
    ghee_item item;
    GHEE_TRY(next_item(worker, &item, err));
    ghee_status status = on_item(worker, ops, user, &item, err);
    item_done(worker, &item);
    GHEE_TRY(status);
  }
}

static ghee_status train(ghee_worker *worker, const ghee_worker_ops *ops, void *user, ghee_error *err) {
  char *path = ghee_job_folder_file(worker->folder, "value.tmp");
  if (!path) return ghee_error_no_memory(err, "training");
  worker->mark->busy = 0;
  ghee_status status = ops->train(user, worker, path, err);
  bool has_value = status == GHEE_OK && worker->index == 0 && access(path, R_OK) == 0;
  if (has_value) status = ghee_file_sync(path, err);
  ghee_free(path);
  return status == GHEE_OK ? ghee_train_finish(worker->train, has_value ? "value.tmp" : "", err) : status;
}

/* ---- life ---- */

static ghee_status start_parts(ghee_worker *worker, ghee_error *err) {
  const char *address = "";
  GHEE_TRY(ghee_mark_open(worker->folder, worker->of->name, worker->index, &worker->mark, err));
  if (!worker->last) GHEE_TRY(ghee_outlet_open(worker, &worker->outlet, err));
  if (worker->of->role == GHEE_ROLE_TRAIN) GHEE_TRY(ghee_train_open(worker, &worker->train, &address, err));
  else if (!worker->first) GHEE_TRY(ghee_inlet_open(worker, &worker->inlet, &address, err));
  if (worker->inlet && worker->of->batch_rows > 0) GHEE_TRY(ghee_rebatch_new(worker->of->batch_rows, &worker->rebatch, err));
  if (worker->last && !worker->train) GHEE_TRY(ghee_output_open(worker, &worker->output, err));
  if (worker->first) GHEE_TRY(ghee_source_start(worker, &worker->source, err));
  return ghee_link_start(worker, address, err);
}

static void stop_parts(ghee_worker *worker) {
  ghee_worker_stop(worker);
  ghee_link_stop(worker->link); /* nothing is heard from now on: what it would be handed to may go */
  ghee_source_stop(worker->source);
  ghee_output_close(worker->output);
  ghee_outlet_close(worker->outlet);
  ghee_rebatch_free(worker->rebatch);
  ghee_inlet_close(worker->inlet);
  ghee_train_close(worker->train);
  ghee_link_free(worker->link);
  if (worker->mark) ghee_mark_close(worker->mark);
  worker->source = NULL;
  worker->output = NULL;
  worker->link = NULL;
  worker->outlet = NULL;
  worker->inlet = NULL;
  worker->rebatch = NULL;
  worker->train = NULL;
  worker->mark = NULL;
}

/* From now on the worker can be ended from outside. False: it already was. */
static bool begin(ghee_worker *worker) {
  pthread_mutex_lock(&worker->locked.mutex);
  worker->locked.ready = true;
  worker->locked.told = worker->link;
  bool go = !worker->locked.ended;
  pthread_mutex_unlock(&worker->locked.mutex);
  return go;
}

void ghee_worker_end(ghee_worker *worker) {
  pthread_mutex_lock(&worker->locked.mutex);
  worker->locked.ended = true;
  if (worker->locked.told) ghee_link_end(worker->locked.told);
  pthread_mutex_unlock(&worker->locked.mutex);
}

static void no_end_any_more(ghee_worker *worker) {
  pthread_mutex_lock(&worker->locked.mutex);
  worker->locked.told = NULL;
  pthread_mutex_unlock(&worker->locked.mutex);
}

ghee_status ghee_worker_run(ghee_worker *worker, const ghee_worker_ops *ops, void *user, ghee_error *err) {
  ghee_error failure = {0};
  ghee_status status = start_parts(worker, &failure);
  if (status == GHEE_OK && !begin(worker)) {
    status = GHEE_CANCELED;
  } else if (status == GHEE_OK) {
    say_ready(worker);
    status = worker->train ? train(worker, ops, user, &failure) : loop(worker, ops, user, &failure);
    if (status != GHEE_OK && status != GHEE_CANCELED) ghee_worker_fail(worker, &failure);
  } else if (worker->link) {
    ghee_worker_fail(worker, &failure);
  } else {
    (void)ghee_worker_report(worker, &failure, NULL);
  }
  no_end_any_more(worker);
  if (ghee_worker_ending(worker) && worker->locked.failure == GHEE_OK && (status == GHEE_CANCELED || status == GHEE_OK)) status = GHEE_OK;
  if (status != GHEE_OK && err) *err = failure;
  stop_parts(worker);
  return status;
}

static ghee_status find_stage(ghee_worker *worker, const char *name, ghee_error *err) {
  for (uint32_t i = 0; i < worker->spec->n_stages; i++) {
    if (strcmp(worker->spec->stages[i].name, name) != 0) continue;
    worker->stage = i;
    worker->of = &worker->spec->stages[i];
    worker->first = i == 0;
    worker->last = i + 1 == worker->spec->n_stages;
    return GHEE_OK;
  }
  return ghee_error_set(err, GHEE_NOT_FOUND, "the job has no stage %s", name);
}

static ghee_status check_code(ghee_worker *worker, ghee_error *err) {
  const char *run = worker->of->run;
  if (!run || strncmp(run, "code:", 5) != 0) return GHEE_OK;
  GHEE_TRY(ghee_job_folder_check_code(worker->folder, run + 5, &worker->key, err));
  char *name = ghee_asprintf("code/%s", run + 5);
  worker->code_path = name ? ghee_job_folder_file(worker->folder, name) : NULL;
  ghee_free(name);
  return worker->code_path ? GHEE_OK : ghee_error_no_memory(err, "opening a worker");
}

/* Batches come and go, each as large as the one before: their pages are kept, since giving them back and faulting them in again would cost
 * more than what is done to them. Few arenas, or each thread would keep its own. */
static void keep_pages(void) {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
  mallopt(M_ARENA_MAX, 2);
}

ghee_status ghee_worker_open(const char *folder, const char *stage, ghee_worker **out, ghee_error *err) {
  ghee_launch_pass_gate();
  keep_pages();
  ghee_worker *worker = ghee_alloc_zero(1, sizeof *worker);
  if (!worker) return ghee_error_no_memory(err, "opening a worker");
  pthread_mutex_init(&worker->locked.mutex, NULL);
  pthread_cond_init(&worker->locked.changed, NULL);
  ghee_attempts_init(&worker->attempts);
  ghee_status status = (worker->folder = ghee_strdup(folder)) ? GHEE_OK : ghee_error_no_memory(err, "opening a worker");
  char *plan_path = ghee_job_folder_file(folder, "plan");
  if (status == GHEE_OK && !plan_path) status = ghee_error_no_memory(err, "opening a worker");
  if (status == GHEE_OK) status = ghee_job_folder_read_key(folder, &worker->key, err);
  if (status == GHEE_OK) status = ghee_job_folder_read_spec(folder, &worker->spec, err);
  if (status == GHEE_OK) worker->transport = worker->spec->transport == GHEE_TRANSPORT_ZMQ ? &ghee_stream_zmq : &ghee_stream_shm;
  if (status == GHEE_OK) status = ghee_launch_facts_read(folder, &worker->facts, err);
  if (status == GHEE_OK) status = ghee_plan_load(plan_path, &worker->plan, err);
  if (status == GHEE_OK) status = find_stage(worker, stage, err);
  if (status == GHEE_OK) status = check_code(worker, err);
  ghee_free(plan_path);
  if (status != GHEE_OK) {
    ghee_worker_close(worker);
    return status;
  }
  *out = worker;
  return GHEE_OK;
}

void ghee_worker_close(ghee_worker *worker) {
  if (!worker) return;
  for (int i = 0; i < GHEE_MAX_STAGES; i++) ghee_schema_unref(worker->locked.fixed[i]);
  ghee_plan_free(worker->plan);
  ghee_job_spec_free(worker->spec);
  ghee_launch_facts_fini(&worker->facts);
  ghee_attempts_fini(&worker->attempts);
  ghee_buffer_fini(&worker->rejects);
  ghee_free(worker->folder);
  ghee_free(worker->code_path);
  pthread_cond_destroy(&worker->locked.changed);
  pthread_mutex_destroy(&worker->locked.mutex);
  ghee_free(worker);
}

ghee_status ghee_worker_fork_server(ghee_worker *worker, bool *child, ghee_error *err) {
  char *logs = ghee_job_folder_file(worker->folder, "logs");
  if (!logs) return ghee_error_no_memory(err, "starting a fork server");
  ghee_status status = ghee_fork_server_run(worker->folder, worker->key.secret_key, worker->of->name, &worker->facts.client, logs,
                                            &worker->index, child, err);
  ghee_free(logs);
  return status;
}

ghee_status ghee_worker_set_index(ghee_worker *worker, uint32_t index, ghee_error *err) {
  if (index >= worker->of->workers)
    return ghee_error_set(err, GHEE_USAGE, "worker %u is asked for, stage %s has %u", index, worker->of->name, worker->of->workers);
  worker->index = index;
  return GHEE_OK;
}

/* Before the link runs: a connection of its own, as any worker's: HELLO, then the failure. */
ghee_status ghee_worker_report(ghee_worker *worker, const ghee_error *failure, ghee_error *err) {
  char *path = ghee_job_folder_file(worker->folder, "control.sock");
  if (!path) return ghee_error_no_memory(err, "reporting a failure");
  ghee_control_client *control;
  ghee_status status = ghee_control_client_open(path, worker->key.secret_key, &control, err);
  ghee_free(path);
  GHEE_TRY(status);
  ghee_say_message said[] = {
      {.what = GHEE_SAY_HELLO, .hello = {.stage = worker->stage, .worker = worker->index, .pid = getpid(), .address = (char *)""}},
      {.what = GHEE_SAY_FAILED, .failed = {.status = failure->status, .message = (char *)failure->message}}};
  for (int i = 0; i < 2 && status == GHEE_OK; i++) {
    ghee_buffer bytes = {0};
    status = ghee_say_encode(&said[i], &bytes, err);
    if (status == GHEE_OK) status = ghee_control_client_send(control, bytes.data, bytes.size, err);
    ghee_buffer_fini(&bytes);
  }
  ghee_control_client_close(control);
  return status;
}

void ghee_worker_exit(ghee_worker *worker, ghee_status status) {
  (void)worker;
  fflush(NULL);
  _exit(status);
}

ghee_status ghee_worker_reject(ghee_worker *worker, const int64_t *rows, size_t n, const char *reason, ghee_error *err) {
  const ghee_worker_batch *in = worker->current;
  if (!in) return ghee_error_set(err, GHEE_USER, "reject is for rows of the batch in work; there is none");
  for (size_t i = 0; i < n; i++)
    if (rows[i] < 0 || rows[i] >= in->array->length)
      return ghee_error_set(err, GHEE_USER, "row %lld is rejected, but the batch has rows 0 to %lld", (long long)rows[i], (long long)in->array->length - 1);
  if (!worker->spec->divert)
    return ghee_error_set(err, GHEE_USER, "%zu rows were rejected (%s), the first is row %lld of the batch; `on_reject: divert` would go on without them",
                          n, reason, n ? (long long)rows[0] : 0);
  for (size_t i = 0; i < n; i++) {
    ghee_json json = {.out = &worker->rejects};
    ghee_json_begin_map(&json, NULL);
    ghee_json_text(&json, "stage", worker->of->name);
    ghee_json_text(&json, "file", in->uri);
    if (in->row != UINT64_MAX) ghee_json_uint(&json, "row", in->row + (uint64_t)rows[i]);
    ghee_json_uint(&json, "chunk", in->chunk);
    ghee_json_uint(&json, "batch", in->seq);
    ghee_json_uint(&json, "row_in_batch", (uint64_t)rows[i]);
    ghee_json_text(&json, "reason", reason);
    ghee_json_end_map(&json);
    ghee_buffer_put(&worker->rejects, "\n", 1);
  }
  worker->rejected_rows += n;
  return ghee_buffer_check(&worker->rejects, "keeping rejected rows", err);
}

/* ---- facts ---- */

const char *ghee_worker_run_text(const ghee_worker *worker) { return worker->of->run ? worker->of->run : ""; }
const char *ghee_worker_code_path(const ghee_worker *worker) { return worker->code_path; }
const char *ghee_worker_args_json(const ghee_worker *worker) { return worker->of->args_json; }
const char *ghee_worker_folder(const ghee_worker *worker) { return worker->facts.module_folder; }
bool ghee_worker_same_rows(const ghee_worker *worker) { return worker->of->same_rows; }
int64_t ghee_worker_batch_rows(const ghee_worker *worker) { return worker->of->batch_rows; }
uint32_t ghee_worker_count(const ghee_worker *worker) { return worker->of->workers; }
uint32_t ghee_worker_index(const ghee_worker *worker) { return worker->index; }

const char *ghee_worker_form(const ghee_worker *worker) {
  static const char *const names[] = {"numpy", "arrow", "pandas", "rows", "torch"};
  return names[worker->of->form];
}

const char *ghee_worker_role(const ghee_worker *worker) {
  static const char *const names[] = {"read", "preprocess", "train", "predict", "postprocess"};
  return names[worker->of->role];
}
