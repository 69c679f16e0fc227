/* SPDX-License-Identifier: Apache-2.0
 * Comparing the values of a column with literals. */
#include "filter/condition.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ORDER(a, b) ((a) < (b) ? GHEE_LESS : (a) > (b) ? GHEE_MORE : (a) == (b) ? GHEE_SAME : GHEE_NONE)

/* ---- one value ---- */

static unsigned order_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size) {
  size_t common = a_size < b_size ? a_size : b_size;
  int order = common ? memcmp(a, b, common) : 0;
  return order ? ORDER(order, 0) : ORDER(a_size, b_size);
}

static unsigned order_whole(ghee_int128 value, const ghee_value *to) {
  if (value != to->whole) return ORDER(value, to->whole);
  return to->between ? GHEE_LESS : GHEE_SAME;
}

static ghee_int128 load_whole(const ghee_column *column, int64_t row) {
  const void *data = column->array->buffers[1];
  int64_t at = column->start + row;
  ghee_int128 decimal; /* the buffer may lie on 8 bytes only */
  switch (column->type.kind) {
    case GHEE_BOOL: return ghee_bit(data, at);
    case GHEE_DECIMAL128: memcpy(&decimal, (const char *)data + at * 16, sizeof decimal); return decimal;
    case GHEE_UINT64: return ((const uint64_t *)data)[at];
    default: return ghee_column_number(column, row);
  }
}

static unsigned order_at(const ghee_condition *of, const ghee_column *column, int64_t row, const ghee_value *to) {
  const void *data = column->array->buffers[1];
  int64_t at = column->start + row;
  if (of->values == GHEE_VALUES_WHOLE) return order_whole(load_whole(column, row), to);
  if (column->type.kind == GHEE_FLOAT32) return ORDER((double)((const float *)data)[at], to->real);
  if (column->type.kind == GHEE_FLOAT64) return ORDER(((const double *)data)[at], to->real);
  size_t size = (size_t)column->type.fixed_size;
  if (column->type.kind == GHEE_FIXED_BINARY) return order_bytes((const uint8_t *)data + (size_t)at * size, size, to->bytes, to->size);
  int64_t from = ghee_column_offset(column, row), end = ghee_column_offset(column, row + 1);
  const uint8_t *texts = column->array->buffers[2];
  return order_bytes(end > from ? texts + from : NULL, (size_t)(end - from), to->bytes, to->size);
}

static bool is_in_list(const ghee_condition *of, const ghee_column *column, int64_t row) {
  for (size_t low = 0, high = of->items.count; low < high;) {
    size_t middle = low + (high - low) / 2;
    unsigned order = order_at(of, column, row, &of->items.items[middle]);
    if (order == GHEE_SAME || order == GHEE_NONE) return order == GHEE_SAME;
    if (order == GHEE_LESS) high = middle;
    else low = middle + 1;
  }
  return false;
}

/* ---- whole columns ----
 * Whole numbers are compared as a range, or what is outside of one, in the width that they have. */

typedef struct range { ghee_int128 low, high; bool outside; } range;

static range range_of(const ghee_condition *of) {
  const ghee_value *to = &of->items.items[0];
  range all = {GHEE_INT128_MIN, GHEE_INT128_MAX, false}, none = {1, 0, false};
  range below = all, above = all, same = {to->whole, to->whole, false};
  below.high = to->between || to->whole == GHEE_INT128_MIN ? to->whole : to->whole - 1;
  if (!to->between && to->whole == GHEE_INT128_MIN) below = none;
  above.low = to->whole + (to->whole < GHEE_INT128_MAX);
  if (to->whole == GHEE_INT128_MAX) above = none;
  if (to->between) same = none;
  switch (of->orders) {
    case GHEE_SAME: return same;
    case GHEE_LESS: return below;
    case GHEE_MORE: return above;
    case GHEE_LESS | GHEE_SAME: return (range){above.low, above.high, true};
    case GHEE_MORE | GHEE_SAME: return (range){below.low, below.high, true};
    default: return (range){same.low, same.high, true};
  }
}

#define FILL_RANGE(type, least, most)                                                                                      \
  do {                                                                                                                     \
    const type *values = (const type *)column->array->buffers[1] + column->start;                                          \
    bool none = of.high < (ghee_int128)(least) || of.low > (ghee_int128)(most) || of.low > of.high;                        \
    type low = of.low < (ghee_int128)(least) ? (type)(least) : (type)of.low, high = of.high > (ghee_int128)(most) ? (type)(most) : (type)of.high; \
    for (int64_t i = 0; i < column->length; i++) truth[i] = (uint8_t)(((!none && values[i] >= low && values[i] <= high) != of.outside) * GHEE_TRUE); \
  } while (0)

static void fill_range(range of, const ghee_column *column, uint8_t *truth) {
  switch (column->type.kind) {
    case GHEE_INT8: FILL_RANGE(int8_t, INT8_MIN, INT8_MAX); return;
    case GHEE_INT16: FILL_RANGE(int16_t, INT16_MIN, INT16_MAX); return;
    case GHEE_INT32: case GHEE_DATE32: FILL_RANGE(int32_t, INT32_MIN, INT32_MAX); return;
    case GHEE_INT64: case GHEE_DATE64: case GHEE_TIMESTAMP: FILL_RANGE(int64_t, INT64_MIN, INT64_MAX); return;
    case GHEE_UINT8: FILL_RANGE(uint8_t, 0, UINT8_MAX); return;
    case GHEE_UINT16: FILL_RANGE(uint16_t, 0, UINT16_MAX); return;
    case GHEE_UINT32: FILL_RANGE(uint32_t, 0, UINT32_MAX); return;
    case GHEE_UINT64: FILL_RANGE(uint64_t, 0, UINT64_MAX); return;
    default: break;
  }
  for (int64_t i = 0; i < column->length; i++) {
    ghee_int128 value = load_whole(column, i);
    truth[i] = (uint8_t)(((value >= of.low && value <= of.high) != of.outside) * GHEE_TRUE);
  }
}

#define FILL_REAL(type)                                                                                                \
  do {                                                                                                                 \
    const type *values = (const type *)column->array->buffers[1] + column->start, to = (type)of->items.items[0].real;   \
    for (int64_t i = 0; i < column->length; i++) truth[i] = (uint8_t)(((of->orders & (unsigned)ORDER(values[i], to)) != 0) * GHEE_TRUE); \
  } while (0)

/* Of a column that is no dictionary; what stands under nulls does not matter. */
static void fill(const ghee_condition *of, const ghee_column *column, uint8_t *truth) {
  if (of->is_list) {
    for (int64_t i = 0; i < column->length; i++) truth[i] = is_in_list(of, column, i) ? GHEE_TRUE : GHEE_FALSE;
  } else if (of->values == GHEE_VALUES_WHOLE) {
    fill_range(range_of(of), column, truth);
  } else if (column->type.kind == GHEE_FLOAT32) {
    FILL_REAL(float);
  } else if (column->type.kind == GHEE_FLOAT64) {
    FILL_REAL(double);
  } else {
    for (int64_t i = 0; i < column->length; i++) truth[i] = of->orders & order_at(of, column, i, &of->items.items[0]) ? GHEE_TRUE : GHEE_FALSE;
  }
  const uint8_t *valid = ghee_column_validity(column);
  for (int64_t i = 0; valid && i < column->length; i++)
    if (!ghee_bit(valid, column->start + i)) truth[i] = GHEE_UNKNOWN;
}

/* Values of a dictionary are compared once each. */
ghee_status ghee_condition_apply(const ghee_condition *of, const ghee_column *column, uint8_t *truth, ghee_error *err) {
  if (!column->field->dictionary) {
    if (column->length > 0) fill(of, column, truth);
    return GHEE_OK;
  }
  ghee_column values = ghee_column_dictionary(column);
  uint8_t *of_value = ghee_alloc((size_t)values.length + 1);
  if (!of_value) return ghee_error_no_memory(err, "filtering rows");
  if (values.length > 0) fill(of, &values, of_value);
  for (int64_t i = 0; i < column->length; i++) truth[i] = ghee_column_valid(column, i) ? of_value[ghee_column_number(column, i)] : GHEE_UNKNOWN;
  ghee_free(of_value);
  return GHEE_OK;
}

void ghee_condition_nulls(const ghee_column *column, uint8_t *truth) {
  bool dictionary = column->field->dictionary;
  ghee_column values = dictionary ? ghee_column_dictionary(column) : *column;
  for (int64_t i = 0; i < column->length; i++) {
    bool valid = ghee_column_valid(column, i);
    if (valid && dictionary) valid = ghee_column_valid(&values, ghee_column_number(column, i));
    truth[i] = valid ? GHEE_FALSE : GHEE_TRUE;
  }
}

/* ---- bounds ---- */

static bool is_known(const ghee_condition *of, const ghee_column *bound, int64_t row) {
  const ghee_type *is = &bound->type, *wanted = &of->type;
  bool same = is->kind == wanted->kind && is->unit == wanted->unit && is->scale == wanted->scale && is->fixed_size == wanted->fixed_size;
  return same && !bound->field->dictionary && ghee_column_valid(bound, row);
}

/* Orders of a literal that values between two others may have. */
static unsigned orders_between(unsigned of_least, unsigned of_greatest) {
  unsigned orders = (of_least & GHEE_LESS) | (of_greatest & GHEE_MORE);
  return of_least != GHEE_MORE && of_greatest != GHEE_LESS ? orders | GHEE_SAME : orders;
}

unsigned ghee_condition_reach(const ghee_condition *of, const ghee_column *least, const ghee_column *greatest, int64_t row) {
  unsigned reach = of->values == GHEE_VALUES_REAL && of->is_list ? GHEE_MAY_BE_FALSE : 0, listed = 0;
  if (!is_known(of, least, row) || !is_known(of, greatest, row)) return GHEE_MAY_BE_TRUE | GHEE_MAY_BE_FALSE;
  for (size_t i = 0; i < of->items.count; i++) {
    unsigned low = order_at(of, least, row, &of->items.items[i]), high = order_at(of, greatest, row, &of->items.items[i]);
    if ((low | high) & GHEE_NONE) return GHEE_MAY_BE_TRUE | GHEE_MAY_BE_FALSE;
    unsigned orders = orders_between(low, high);
    if (of->is_list) {
      listed |= orders & GHEE_SAME;
      if (orders == GHEE_SAME) return reach | GHEE_MAY_BE_TRUE; /* all are this one */
      continue;
    }
    if (of->values == GHEE_VALUES_REAL) orders |= GHEE_NONE;
    if (orders & of->orders) reach |= GHEE_MAY_BE_TRUE;
    if (orders & ~of->orders) reach |= GHEE_MAY_BE_FALSE;
  }
  if (!of->is_list) return reach;
  return reach | GHEE_MAY_BE_FALSE | (listed ? GHEE_MAY_BE_TRUE : 0);
}

/* ---- making ---- */

static unsigned orders_of(ghee_filter_order order) {
  static const unsigned orders[] = {
      [GHEE_FILTER_EQUAL] = GHEE_SAME,   [GHEE_FILTER_UNEQUAL] = GHEE_LESS | GHEE_MORE | GHEE_NONE,
      [GHEE_FILTER_LESS] = GHEE_LESS,    [GHEE_FILTER_AT_MOST] = GHEE_LESS | GHEE_SAME,
      [GHEE_FILTER_GREATER] = GHEE_MORE, [GHEE_FILTER_AT_LEAST] = GHEE_MORE | GHEE_SAME};
  return orders[order];
}

static int order_values(const void *a, const void *b, void *user) {
  const ghee_condition *of = user;
  const ghee_value *x = a, *y = b;
  unsigned order = of->values == GHEE_VALUES_WHOLE  ? (unsigned)ORDER(x->whole, y->whole)
                   : of->values == GHEE_VALUES_REAL ? (unsigned)ORDER(x->real, y->real)
                                                    : order_bytes(x->bytes, x->size, y->bytes, y->size);
  return order == GHEE_LESS ? -1 : order == GHEE_MORE;
}

ghee_status ghee_condition_init(const ghee_filter_node *node, const struct ArrowSchema *column, ghee_condition *out, ghee_error *err) {
  ghee_condition of = {.is_list = node->kind == GHEE_FILTER_IN, .orders = orders_of(node->order)};
  GHEE_TRY(ghee_type_parse(column->dictionary ? column->dictionary->format : column->format, &of.type, err));
  GHEE_TRY(ghee_value_class_of(column, &of.type, &of.values, err));
  ghee_status status = GHEE_OK;
  for (size_t i = 0; i < node->literals.count && status == GHEE_OK; i++) {
    ghee_value value;
    status = ghee_value_of(&node->literals.items[i], column, &of.type, &value, err);
    if (status == GHEE_OK && of.is_list && value.between) continue;
    if (status == GHEE_OK && !ghee_array_push(&of.items, value)) status = ghee_error_no_memory(err, "reading a filter");
  }
  if (status != GHEE_OK) {
    ghee_condition_fini(&of);
    return status;
  }
  if (of.items.count > 1) qsort_r(of.items.items, of.items.count, sizeof *of.items.items, order_values, &of);
  *out = of;
  return GHEE_OK;
}

void ghee_condition_fini(ghee_condition *of) { ghee_array_fini(&of->items); }
