/* SPDX-License-Identifier: Apache-2.0
 * The loop around the user function: an item in, the function over its rows, what it gives on to the next stage or the output. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/worker/rebatch.h"
#include "runtime/worker/worker.h"
#include "text/json.h"

/* ---- one batch ---- */

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
  if (status == GHEE_OK && given) status = ghee_worker_fix_schema(worker, out, err);
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
    GHEE_TRY(ghee_worker_agree(worker, schema, &fixed, err));
    bool same = ghee_schema_equal(fixed, schema);
    ghee_schema_unref(fixed);
    if (same) return ghee_outlet_gather(worker->outlet, item, err);
  }
  GHEE_TRY(settle(item, err));
  GHEE_TRY(ghee_worker_fix_schema(worker, &item->batch, err));
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

ghee_status ghee_worker_loop(ghee_worker *worker, const ghee_worker_ops *ops, void *user, ghee_error *err) {
  for (;;) {
    ghee_item item;
    GHEE_TRY(next_item(worker, &item, err));
    ghee_status status = on_item(worker, ops, user, &item, err);
    item_done(worker, &item);
    GHEE_TRY(status);
  }
}

/* ---- refused rows ---- */

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
