/* SPDX-License-Identifier: Apache-2.0
 * Rows by index become runs; columns are assembled from those, in memory of their own or in a frame. Putting batches behind each other and taking rows
 * of one are cases of it. */
#include "batch/gather.h"

#include "base/memory.h"
#include "batch/frame_layout.h"

static const char *const DOING = "gathering rows";

/* ---- which rows ---- */

/* The batch of row `row`: starts[b] is the number of its first, starts[n] that of all. */
static size_t batch_of(const int64_t *starts, size_t n, int64_t row) {
  size_t low = 0;
  for (size_t high = n; high - low > 1;) {
    size_t middle = low + (high - low) / 2;
    if (starts[middle] <= row) low = middle;
    else high = middle;
  }
  return low;
}

/* Rows that follow each other become one run. */
static void add_run(ghee_gather *to, uint32_t batch, int64_t first, int64_t n) {
  ghee_run *last = to->n_runs ? &to->runs[to->n_runs - 1] : NULL;
  to->rows += n;
  if (last && last->column == batch && last->first + last->n == first) last->n += n;
  else if (n > 0) to->runs[to->n_runs++] = (ghee_run){.first = first, .n = n, .column = batch};
}

ghee_status ghee_gather_init(ghee_gather *out, const ghee_batch *batches, size_t n_batches, const uint32_t *rows, size_t n, ghee_error *err) {
  ghee_gather made = {.batches = batches, .n_batches = n_batches, .runs = ghee_alloc(n * sizeof *made.runs)};
  int64_t *starts = ghee_alloc((n_batches + 1) * sizeof *starts);
  if (!made.runs || !starts) {
    ghee_free(made.runs);
    ghee_free(starts);
    return ghee_error_no_memory(err, DOING);
  }
  starts[0] = 0;
  for (size_t b = 0; b < n_batches; b++) starts[b + 1] = starts[b] + batches[b].array.length;
  for (size_t i = 0, b = 0; i < n; i++) {
    if (rows[i] < starts[b] || rows[i] >= starts[b + 1]) b = batch_of(starts, n_batches, rows[i]);
    add_run(&made, (uint32_t)b, rows[i] - starts[b], 1);
  }
  ghee_free(starts);
  *out = made;
  return GHEE_OK;
}

ghee_status ghee_gather_init_all(ghee_gather *out, const ghee_batch *batches, size_t n_batches, ghee_error *err) {
  ghee_gather made = {.batches = batches, .n_batches = n_batches, .runs = ghee_alloc(n_batches * sizeof *made.runs)};
  if (!made.runs) return ghee_error_no_memory(err, DOING);
  for (size_t b = 0; b < n_batches; b++) add_run(&made, (uint32_t)b, 0, batches[b].array.length);
  *out = made;
  return GHEE_OK;
}

void ghee_gather_fini(ghee_gather *gather) {
  ghee_free(gather->runs);
  *gather = (ghee_gather){0};
}

/* Column i of all batches, into `columns`. */
static ghee_selection select_column(const ghee_gather *gather, int64_t i, ghee_column *columns) {
  for (size_t b = 0; b < gather->n_batches; b++) columns[b] = ghee_column_at(&gather->batches[b], i);
  return (ghee_selection){columns, gather->n_batches, gather->runs, gather->n_runs};
}

/* ---- copied ---- */

static ghee_status copy_into(const ghee_gather *gather, ghee_room *room, ghee_batch *out, ghee_error *err) {
  ghee_schema *schema = gather->batches[0].schema;
  ghee_column *columns = ghee_alloc(gather->n_batches * sizeof *columns);
  if (!columns) return ghee_error_no_memory(err, DOING);
  ghee_batch made = {0};
  ghee_status status = ghee_batch_own(schema, gather->rows, &made, err);
  for (int64_t i = 0; status == GHEE_OK && i < ghee_schema_columns(schema); i++) {
    ghee_selection of = select_column(gather, i, columns);
    status = ghee_assemble(ghee_schema_arrow(schema)->children[i], &of, room, made.array.children[i], err);
  }
  ghee_free(columns);
  if (status == GHEE_OK) *out = made;
  else ghee_batch_release(&made);
  return status;
}

ghee_status ghee_gather_copy(const ghee_gather *gather, ghee_batch *out, ghee_error *err) { return copy_into(gather, NULL, out, err); }

static ghee_status copy_and_fini(ghee_gather *gather, ghee_batch *out, ghee_error *err) {
  ghee_status status = ghee_gather_copy(gather, out, err);
  ghee_gather_fini(gather);
  return status;
}

ghee_status ghee_batch_concat(const ghee_batch *batches, size_t n, ghee_batch *out, ghee_error *err) {
  ghee_gather all;
  GHEE_TRY(ghee_gather_init_all(&all, batches, n, err));
  return copy_and_fini(&all, out, err);
}

ghee_status ghee_batch_take(const ghee_batch *batch, const uint32_t *rows, size_t n, ghee_batch *out, ghee_error *err) {
  ghee_gather some;
  GHEE_TRY(ghee_gather_init(&some, batch, 1, rows, n, err));
  return copy_and_fini(&some, out, err);
}

/* ---- as a frame: room for all buffers first, then the tables that say where they came to lie ---- */

ghee_status ghee_gather_frame_size(const ghee_gather *gather, uint64_t *out_bytes, ghee_error *err) {
  ghee_schema *schema = gather->batches[0].schema;
  ghee_column *columns = ghee_alloc(gather->n_batches * sizeof *columns);
  if (!columns) return ghee_error_no_memory(err, DOING);
  uint64_t sum = ghee_frame_head_bytes(schema);
  ghee_status status = GHEE_OK;
  for (int64_t i = 0; status == GHEE_OK && i < ghee_schema_columns(schema); i++) {
    ghee_selection of = select_column(gather, i, columns);
    status = ghee_assemble_bytes(ghee_schema_arrow(schema)->children[i], &of, &sum, err);
  }
  ghee_free(columns);
  if (status == GHEE_OK) *out_bytes = sum;
  return status;
}

ghee_status ghee_gather_write(const ghee_gather *gather, void *into, uint64_t size_bytes, uint64_t *used, ghee_error *err) {
  uint64_t head = ghee_frame_head_bytes(gather->batches[0].schema);
  if (size_bytes < head) return ghee_error_set(err, GHEE_INTERNAL, "a frame's head does not fit into %llu bytes", (unsigned long long)size_bytes);
  ghee_room room = {.at = (uint8_t *)into + head, .end = (uint8_t *)into + size_bytes};
  ghee_batch placed;
  GHEE_TRY(copy_into(gather, &room, &placed, err));
  *used = (uint64_t)(room.at - (uint8_t *)into);
  ghee_frame_write_head(&placed, into, *used);
  ghee_batch_release(&placed);
  return GHEE_OK;
}
