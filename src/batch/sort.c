/* SPDX-License-Identifier: Apache-2.0
 * Comparing rows by columns, and sorting their numbers. */
#include "batch/sort.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "batch/column.h"

typedef struct key {
  ghee_column column, values; /* `values`: of a dictionary, else the column itself */
  bool nulls, descending;
} key;

typedef struct keys { const key *items; size_t n; } keys;

static bool has_order(const ghee_type *type) {
  switch (type->kind) {
    case GHEE_BOOL: case GHEE_FLOAT32: case GHEE_FLOAT64: case GHEE_FIXED_BINARY: case GHEE_DECIMAL128: case GHEE_DATE32: case GHEE_DATE64:
    case GHEE_TIME32: case GHEE_TIME64: case GHEE_TIMESTAMP: case GHEE_DURATION: return true;
    default: return ghee_kind_is_int(type->kind) || ghee_kind_is_text(type->kind);
  }
}

static ghee_status check_order(const struct ArrowSchema *field, ghee_error *err) {
  ghee_type type;
  GHEE_TRY(ghee_type_parse(field->dictionary ? field->dictionary->format : field->format, &type, err));
  if (has_order(&type)) return GHEE_OK;
  ghee_buffer text = {0};
  ghee_type_describe(field, &text);
  ghee_error_set(err, GHEE_SCHEMA, "column %s is %s, by which rows cannot be sorted", field->name, ghee_buffer_text(&text));
  ghee_buffer_fini(&text);
  return GHEE_SCHEMA;
}

/* ---- values ---- */

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int order_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size) {
  size_t common = a_size < b_size ? a_size : b_size;
  int order = common ? memcmp(a, b, common) : 0;
  return order ? order : ORDER(a_size, b_size);
}

static int order_texts(const ghee_column *of, int64_t a, int64_t b) {
  const uint8_t *data = of->array->buffers[2];
  int64_t at_a = ghee_column_offset(of, a), at_b = ghee_column_offset(of, b);
  return order_bytes(data + at_a, (size_t)(ghee_column_offset(of, a + 1) - at_a), data + at_b, (size_t)(ghee_column_offset(of, b + 1) - at_b));
}

static int order_reals(double a, double b) {
  if (isnan(a) || isnan(b)) return isnan(a) - isnan(b);
  return ORDER(a, b);
}

static int order_decimals(const void *data, int64_t a, int64_t b) {
  __int128 of_a, of_b; /* the buffer may lie on 8 bytes only */
  memcpy(&of_a, (const char *)data + a * 16, sizeof of_a);
  memcpy(&of_b, (const char *)data + b * 16, sizeof of_b);
  return ORDER(of_a, of_b);
}

static int order_values(const ghee_column *of, int64_t a, int64_t b) {
  const void *data = of->array->buffers[1];
  int64_t at_a = of->start + a, at_b = of->start + b;
  switch (of->type.kind) {
    case GHEE_BOOL: return ghee_bit(data, at_a) - ghee_bit(data, at_b);
    case GHEE_FLOAT32: return order_reals(((const float *)data)[at_a], ((const float *)data)[at_b]);
    case GHEE_FLOAT64: return order_reals(((const double *)data)[at_a], ((const double *)data)[at_b]);
    case GHEE_DECIMAL128: return order_decimals(data, at_a, at_b);
    case GHEE_FIXED_BINARY: return memcmp((const char *)data + at_a * of->type.fixed_size, (const char *)data + at_b * of->type.fixed_size, (size_t)of->type.fixed_size);
    case GHEE_UINT64: return ORDER(((const uint64_t *)data)[at_a], ((const uint64_t *)data)[at_b]);
    default: break;
  }
  return ghee_kind_is_text(of->type.kind) ? order_texts(of, a, b) : ORDER(ghee_column_number(of, a), ghee_column_number(of, b));
}

/* ---- rows ---- */

/* The row of `values` that a row's value is; false: null. */
static bool value_row(const key *of, int64_t row, int64_t *out) {
  if (of->nulls && !ghee_column_valid(&of->column, row)) return false;
  *out = of->column.field->dictionary ? ghee_column_number(&of->column, row) : row;
  return !of->nulls || ghee_column_valid(&of->values, *out);
}

static int order_rows(const void *a, const void *b, void *user) {
  const keys *by = user;
  uint32_t row_a = *(const uint32_t *)a, row_b = *(const uint32_t *)b;
  for (size_t i = 0; i < by->n; i++) {
    const key *of = &by->items[i];
    int64_t at_a = 0, at_b = 0;
    bool has_a = value_row(of, row_a, &at_a), has_b = value_row(of, row_b, &at_b);
    if (!has_a && !has_b) continue;
    if (!has_a || !has_b) return has_a ? -1 : 1;
    int order = order_values(&of->values, at_a, at_b);
    if (order) return of->descending ? -order : order;
  }
  return ORDER(row_a, row_b);
}

static ghee_status find_key(const ghee_batch *batch, const ghee_sort_key *wanted, key *out, ghee_error *err) {
  int64_t index = ghee_schema_find(batch->schema, wanted->column);
  if (index < 0) {
    ghee_status status = ghee_schema_not_found(batch->schema, wanted->column, err);
    ghee_error_prefix(err, "sort_by");
    return status;
  }
  GHEE_TRY(check_order(ghee_schema_arrow(batch->schema)->children[index], err));
  key made = {.column = ghee_column_at(batch, index), .descending = wanted->descending};
  made.values = made.column.field->dictionary ? ghee_column_dictionary(&made.column) : made.column;
  made.nulls = ghee_column_nulls(&made.column) > 0 || ghee_column_nulls(&made.values) > 0;
  *out = made;
  return GHEE_OK;
}

ghee_status ghee_batch_sort(const ghee_batch *batch, const ghee_sort_key *wanted, size_t n, uint32_t *rows, ghee_error *err) {
  key *found = ghee_alloc_zero(n + 1, sizeof *found);
  if (!found) return ghee_error_no_memory(err, "sorting rows");
  ghee_status status = GHEE_OK;
  for (size_t i = 0; i < n && status == GHEE_OK; i++) status = find_key(batch, &wanted[i], &found[i], err);
  if (status == GHEE_OK) {
    size_t count = (size_t)ghee_batch_rows(batch);
    for (size_t i = 0; i < count; i++) rows[i] = (uint32_t)i;
    qsort_r(rows, count, sizeof *rows, order_rows, &(keys){.items = found, .n = n});
  }
  ghee_free(found);
  return status;
}
