/* SPDX-License-Identifier: Apache-2.0
 * Ranges of columns. */
#include "batch/column.h"

#include <string.h>

ghee_column ghee_column_of(const struct ArrowSchema *field, const struct ArrowArray *array, int64_t start, int64_t length) {
  ghee_column column = {.field = field, .array = array, .start = array->offset + start, .length = length};
  (void)ghee_type_parse(field->format, &column.type, NULL);
  return column;
}

ghee_column ghee_column_at(const ghee_batch *batch, int64_t i) {
  return ghee_column_of(ghee_schema_arrow(batch->schema)->children[i], batch->array.children[i], batch->array.offset, batch->array.length);
}

ghee_column ghee_column_child(const ghee_column *column, int64_t i) {
  const struct ArrowSchema *field = column->field->children[i];
  const struct ArrowArray *array = column->array->children[i];
  if (column->type.kind == GHEE_STRUCT) return ghee_column_of(field, array, column->start, column->length);
  if (column->type.kind == GHEE_FIXED_LIST)
    return ghee_column_of(field, array, column->start * column->type.fixed_size, column->length * column->type.fixed_size);
  int64_t first = column->length ? ghee_column_offset(column, 0) : 0;
  int64_t end = column->length ? ghee_column_offset(column, column->length) : 0;
  return ghee_column_of(field, array, first, end - first);
}

ghee_column ghee_column_dictionary(const ghee_column *column) {
  return ghee_column_of(column->field->dictionary, column->array->dictionary, 0, column->array->dictionary->length);
}

const uint8_t *ghee_column_validity(const ghee_column *column) {
  if (column->type.kind == GHEE_NULL || column->array->n_buffers == 0 || column->array->null_count == 0) return NULL;
  return column->array->buffers[0];
}

bool ghee_column_valid(const ghee_column *column, int64_t row) {
  if (column->type.kind == GHEE_NULL) return false;
  const uint8_t *bits = ghee_column_validity(column);
  return !bits || ghee_bit(bits, column->start + row);
}

int64_t ghee_column_nulls(const ghee_column *column) {
  if (column->type.kind == GHEE_NULL) return column->length;
  const uint8_t *bits = ghee_column_validity(column);
  return bits ? column->length - ghee_bits_count(bits, column->start, column->length) : 0;
}

int64_t ghee_column_offset(const ghee_column *column, int64_t row) {
  const void *offsets = column->array->buffers[1];
  if (!offsets) return 0; /* an array without rows may have none */
  return ghee_kind_is_large(column->type.kind) ? ((const int64_t *)offsets)[column->start + row] : ((const int32_t *)offsets)[column->start + row];
}

int64_t ghee_column_number(const ghee_column *column, int64_t row) {
  const void *data = column->array->buffers[1];
  int64_t at = column->start + row;
  switch (column->type.kind) {
    case GHEE_INT8: return ((const int8_t *)data)[at];
    case GHEE_UINT8: return ((const uint8_t *)data)[at];
    case GHEE_INT16: return ((const int16_t *)data)[at];
    case GHEE_UINT16: return ((const uint16_t *)data)[at];
    case GHEE_INT32: case GHEE_DATE32: case GHEE_TIME32: return ((const int32_t *)data)[at];
    case GHEE_UINT32: return ((const uint32_t *)data)[at];
    default: return ((const int64_t *)data)[at];
  }
}
