/* SPDX-License-Identifier: Apache-2.0
 * Batches: taken with a check, moved, measured. */
#include "batch/batch.h"

#include <string.h>

#include "batch/column.h"

void ghee_batch_release(ghee_batch *batch) {
  if (batch->array.release) batch->array.release(&batch->array);
  ghee_schema_unref(batch->schema);
  *batch = (ghee_batch){0};
}

void ghee_batch_move(ghee_batch *from, ghee_batch *to) {
  *to = *from;
  *from = (ghee_batch){0};
}

/* ---- checks ---- */

typedef struct checker { bool trusted; ghee_error *err; } checker;

static ghee_status bad(const checker *by, const struct ArrowSchema *field, const char *what) {
  return ghee_error_set(by->err, GHEE_CORRUPT, "column %s of a batch %s", field->name && *field->name ? field->name : "(nameless)", what);
}

/* Offsets of rows [start, start + length] rise within [0, limit]. */
static bool offsets_rise(const ghee_column *column, int64_t limit) {
  int64_t last = ghee_column_offset(column, 0);
  if (last < 0) return false;
  for (int64_t i = 1; i <= column->length; i++) {
    int64_t now = ghee_column_offset(column, i);
    if (now < last) return false;
    last = now;
  }
  return last <= limit;
}

static bool indices_fit(const ghee_column *column) {
  for (int64_t i = 0; i < column->length; i++) {
    int64_t index = ghee_column_number(column, i);
    if (ghee_column_valid(column, i) && (index < 0 || index >= column->array->dictionary->length)) return false;
  }
  return true;
}

static bool buffers_there(const ghee_column *column) {
  const struct ArrowArray *array = column->array;
  if (array->n_buffers != column->type.n_buffers) return false;
  if (column->type.n_buffers > 0 && array->null_count > 0 && !array->buffers[0]) return false;
  if (column->length == 0) return true;
  if (column->type.n_buffers > 1 && !array->buffers[1] && column->type.width_bits != 0) return false;
  return !ghee_kind_has_offsets(column->type.kind) || array->buffers[1];
}

static ghee_status check(const checker *by, const ghee_column *column) {
  const struct ArrowArray *array = column->array;
  const struct ArrowSchema *field = column->field;
  if (array->length < 0 || array->offset < 0 || array->length > INT64_MAX - array->offset) return bad(by, field, "has a wrong length");
  if (column->start + column->length > array->offset + array->length) return bad(by, field, "is shorter than the batch");
  if (array->n_children != field->n_children || !array->dictionary != !field->dictionary) return bad(by, field, "has other children than its type");
  if (!buffers_there(column)) return bad(by, field, "lacks a buffer");
  bool per_row = !by->trusted && column->length > 0;
  if (per_row && ghee_kind_is_text(column->type.kind) && !offsets_rise(column, INT64_MAX)) return bad(by, field, "has offsets that do not rise");
  if (per_row && ghee_kind_is_list(column->type.kind) && !offsets_rise(column, array->children[0]->length)) return bad(by, field, "has offsets outside of its items");
  for (int64_t i = 0; i < field->n_children; i++) {
    if (!array->children[i]) return bad(by, field, "lacks a child");
    ghee_column child = ghee_column_child(column, i);
    GHEE_TRY(check(by, &child));
  }
  if (!field->dictionary) return GHEE_OK;
  ghee_column dictionary = ghee_column_dictionary(column);
  GHEE_TRY(check(by, &dictionary));
  return per_row && !indices_fit(column) ? bad(by, field, "has dictionary indices outside of its dictionary") : GHEE_OK;
}

static ghee_status check_batch(const ghee_batch *batch, bool trusted, ghee_error *err) {
  checker by = {.trusted = trusted, .err = err};
  int64_t n = ghee_schema_columns(batch->schema);
  if (batch->array.n_children != n) return ghee_error_set(err, GHEE_CORRUPT, "a batch has %lld columns, its schema %lld", (long long)batch->array.n_children, (long long)n);
  if (batch->array.length < 0 || batch->array.offset < 0 || batch->array.null_count > 0) return ghee_error_set(err, GHEE_CORRUPT, "a batch has a wrong length or null rows");
  for (int64_t i = 0; i < n; i++) {
    if (!batch->array.children[i]) return ghee_error_set(err, GHEE_CORRUPT, "a batch lacks a column");
    ghee_column column = ghee_column_at(batch, i);
    GHEE_TRY(check(&by, &column));
  }
  return GHEE_OK;
}

ghee_status ghee_batch_new(ghee_schema *schema, struct ArrowArray *array, bool trusted, ghee_batch *out, ghee_error *err) {
  ghee_batch batch = {.schema = ghee_schema_ref(schema), .array = *array};
  array->release = NULL;
  ghee_status status = check_batch(&batch, trusted, err);
  if (status == GHEE_OK) *out = batch;
  else ghee_batch_release(&batch);
  return status;
}

/* ---- size ---- */

static uint64_t column_bytes(const ghee_column *column) {
  uint64_t n = (uint64_t)column->length, bytes = ghee_column_nulls(column) ? (n + 7) / 8 : 0;
  if (ghee_kind_has_offsets(column->type.kind)) bytes += (n + 1) * (uint64_t)ghee_kind_offset_bytes(column->type.kind);
  if (ghee_kind_is_text(column->type.kind) && n) bytes += (uint64_t)(ghee_column_offset(column, column->length) - ghee_column_offset(column, 0));
  bytes += (n * (uint64_t)column->type.width_bits + 7) / 8;
  for (int64_t i = 0; i < column->field->n_children; i++) {
    ghee_column child = ghee_column_child(column, i);
    bytes += column_bytes(&child);
  }
  if (column->field->dictionary) {
    ghee_column dictionary = ghee_column_dictionary(column);
    bytes += column_bytes(&dictionary);
  }
  return bytes;
}

uint64_t ghee_batch_bytes(const ghee_batch *batch) {
  uint64_t bytes = 0;
  for (int64_t i = 0; batch->schema && i < ghee_schema_columns(batch->schema); i++) {
    ghee_column column = ghee_column_at(batch, i);
    bytes += column_bytes(&column);
  }
  return bytes;
}

int64_t ghee_batch_rows_within(const ghee_batch *batch, int64_t offset, uint64_t size_bytes) {
  int64_t left = batch->array.length - offset, low = 1, high = left;
  while (low < high) {
    int64_t middle = low + (high - low + 1) / 2;
    ghee_batch part = *batch; /* a view for measuring only */
    part.array.offset += offset;
    part.array.length = middle;
    if (ghee_batch_bytes(&part) <= size_bytes) low = middle;
    else high = middle - 1;
  }
  return left > 0 ? low : 0;
}
