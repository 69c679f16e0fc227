/* SPDX-License-Identifier: Apache-2.0
 * Copies of batches: several behind each other, rows by index, zeros. */
#include <string.h>

#include "base/memory.h"
#include "batch/assemble.h"

/* One output column of the same column of each batch. */
static ghee_status column_of(const ghee_batch *batches, size_t n, int64_t i, const uint32_t *rows, int64_t n_rows, struct ArrowArray *out, ghee_error *err) {
  ghee_piece *pieces = ghee_alloc_zero(n, sizeof *pieces);
  if (!pieces) return ghee_error_no_memory(err, "copying a batch");
  for (size_t b = 0; b < n; b++) {
    pieces[b].column = ghee_column_at(&batches[b], i);
    pieces[b].rows = rows;
    pieces[b].n = rows ? n_rows : pieces[b].column.length;
  }
  ghee_status status = ghee_assemble(ghee_schema_arrow(batches[0].schema)->children[i], pieces, n, out, err);
  ghee_free(pieces);
  return status;
}

static ghee_status copy(const ghee_batch *batches, size_t n, const uint32_t *rows, int64_t n_rows, ghee_batch *out, ghee_error *err) {
  int64_t all = rows ? n_rows : 0;
  for (size_t b = 0; b < n && !rows; b++) all += batches[b].array.length;
  ghee_batch made = {0};
  GHEE_TRY(ghee_batch_own(batches[0].schema, all, &made, err));
  ghee_status status = GHEE_OK;
  for (int64_t i = 0; i < made.array.n_children && status == GHEE_OK; i++) status = column_of(batches, n, i, rows, n_rows, made.array.children[i], err);
  if (status == GHEE_OK) *out = made;
  else ghee_batch_release(&made);
  return status;
}

ghee_status ghee_batch_concat(const ghee_batch *batches, size_t n, ghee_batch *out, ghee_error *err) { return copy(batches, n, NULL, 0, out, err); }

ghee_status ghee_batch_take(const ghee_batch *batch, const uint32_t *rows, size_t n, ghee_batch *out, ghee_error *err) {
  static const uint32_t none;
  return copy(batch, 1, rows ? rows : &none, (int64_t)n, out, err);
}

/* ---- zeros ---- */

ghee_status ghee_array_zeros(const struct ArrowSchema *field, int64_t rows, struct ArrowArray *out, ghee_error *err) {
  ghee_type type;
  GHEE_TRY(ghee_type_parse(field->format, &type, err));
  struct ArrowArray array;
  GHEE_TRY(ghee_array_own(rows, type.n_buffers, field->n_children, &array, err));
  if (type.kind == GHEE_NULL) array.null_count = rows;
  ghee_status status = GHEE_OK;
  for (int i = 1; i < type.n_buffers && status == GHEE_OK; i++) {
    int64_t size = i == 2 ? 0 : ghee_kind_has_offsets(type.kind) ? (rows + 1) * ghee_kind_offset_bytes(type.kind) : (rows * type.width_bits + 7) / 8;
    void *memory = ghee_array_buffer(&array, i, size);
    if (memory) memset(memory, 0, (size_t)size);
    else status = ghee_error_no_memory(err, "making rows of zeros");
  }
  int64_t below = type.kind == GHEE_STRUCT ? rows : type.kind == GHEE_FIXED_LIST ? rows * type.fixed_size : 0;
  for (int64_t i = 0; i < field->n_children && status == GHEE_OK; i++) status = ghee_array_zeros(field->children[i], below, array.children[i], err);
  if (field->dictionary && status == GHEE_OK) {
    array.dictionary = ghee_alloc_zero(1, sizeof *array.dictionary);
    status = array.dictionary ? ghee_array_zeros(field->dictionary, 1, array.dictionary, err) : ghee_error_no_memory(err, "making rows of zeros");
  }
  if (status == GHEE_OK) *out = array;
  else array.release(&array);
  return status;
}

ghee_status ghee_batch_zeros(ghee_schema *schema, int64_t rows, ghee_batch *out, ghee_error *err) {
  ghee_batch made = {0};
  GHEE_TRY(ghee_batch_own(schema, rows, &made, err));
  ghee_status status = GHEE_OK;
  for (int64_t i = 0; i < made.array.n_children && status == GHEE_OK; i++) status = ghee_array_zeros(ghee_schema_arrow(schema)->children[i], rows, made.array.children[i], err);
  if (status == GHEE_OK) *out = made;
  else ghee_batch_release(&made);
  return status;
}
