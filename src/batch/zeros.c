/* SPDX-License-Identifier: Apache-2.0
 * Rows of zeros. */
#include <string.h>

#include "base/memory.h"
#include "batch/assemble.h"

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
