/* SPDX-License-Identifier: Apache-2.0
 * Equality of values, whatever the layout. */
#include <string.h>

#include "batch/column.h"

static ghee_column part(const ghee_column *column, int64_t first, int64_t length) {
  ghee_column cut = *column;
  cut.start += first;
  cut.length = length;
  return cut;
}

/* Items of row i of a list or fixed list, as a column of their own. */
static ghee_column items(const ghee_column *column, int64_t i) {
  ghee_column row = part(column, i, 1);
  return ghee_column_child(&row, 0);
}

static bool same_items(const ghee_column *a, const ghee_column *b) {
  if (a->length != b->length) return false;
  for (int64_t i = 0; i < a->length; i++)
    if (!ghee_column_same(a, i, b, i)) return false;
  return true;
}

static bool same_text(const ghee_column *a, int64_t i, const ghee_column *b, int64_t k) {
  int64_t from_a = ghee_column_offset(a, i), from_b = ghee_column_offset(b, k), size = ghee_column_offset(a, i + 1) - from_a;
  if (size != ghee_column_offset(b, k + 1) - from_b) return false;
  return size == 0 || memcmp((const uint8_t *)a->array->buffers[2] + from_a, (const uint8_t *)b->array->buffers[2] + from_b, (size_t)size) == 0;
}

bool ghee_column_same(const ghee_column *a, int64_t i, const ghee_column *b, int64_t k) {
  bool valid = ghee_column_valid(a, i);
  if (valid != ghee_column_valid(b, k)) return false;
  if (!valid) return true;
  if (a->field->dictionary) {
    ghee_column x = ghee_column_dictionary(a), y = ghee_column_dictionary(b);
    return ghee_column_same(&x, ghee_column_number(a, i), &y, ghee_column_number(b, k));
  }
  if (ghee_kind_is_text(a->type.kind)) return same_text(a, i, b, k);
  if (ghee_kind_is_list(a->type.kind) || a->type.kind == GHEE_FIXED_LIST) {
    ghee_column x = items(a, i), y = items(b, k);
    return same_items(&x, &y);
  }
  if (a->type.kind == GHEE_STRUCT) {
    for (int64_t c = 0; c < a->field->n_children; c++) {
      ghee_column x = ghee_column_child(a, c), y = ghee_column_child(b, c);
      if (!ghee_column_same(&x, i, &y, k)) return false;
    }
    return true;
  }
  if (a->type.kind == GHEE_BOOL) return ghee_bit(a->array->buffers[1], a->start + i) == ghee_bit(b->array->buffers[1], b->start + k);
  size_t width = (size_t)a->type.width_bits / 8;
  return width == 0 || memcmp((const uint8_t *)a->array->buffers[1] + (size_t)(a->start + i) * width,
                              (const uint8_t *)b->array->buffers[1] + (size_t)(b->start + k) * width, width) == 0;
}

bool ghee_batch_equal(const ghee_batch *a, const ghee_batch *b) {
  if (a->array.length != b->array.length || !ghee_schema_equal(a->schema, b->schema)) return false;
  for (int64_t i = 0; i < ghee_schema_columns(a->schema); i++) {
    ghee_column x = ghee_column_at(a, i), y = ghee_column_at(b, i);
    if (!same_items(&x, &y)) return false;
  }
  return true;
}
