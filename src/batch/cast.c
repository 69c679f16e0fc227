/* SPDX-License-Identifier: Apache-2.0
 * Lossless casts of whole batches to a schema that was fixed before: every value must survive. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "batch/assemble.h"

/* A number with its kind: integers of either sign, or a double. */
typedef struct number { bool real; bool negative; uint64_t magnitude; double value; } number;

static number of_signed(int64_t v) { return (number){.negative = v < 0, .magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v, .value = (double)v}; }
static number of_unsigned(uint64_t v) { return (number){.magnitude = v, .value = (double)v}; }
static number of_real(double v) { return (number){.real = true, .value = v}; }

static number read_number(ghee_kind kind, const void *data, int64_t i) {
  switch (kind) {
    case GHEE_INT8: return of_signed(((const int8_t *)data)[i]);
    case GHEE_INT16: return of_signed(((const int16_t *)data)[i]);
    case GHEE_INT32: return of_signed(((const int32_t *)data)[i]);
    case GHEE_INT64: return of_signed(((const int64_t *)data)[i]);
    case GHEE_UINT8: return of_unsigned(((const uint8_t *)data)[i]);
    case GHEE_UINT16: return of_unsigned(((const uint16_t *)data)[i]);
    case GHEE_UINT32: return of_unsigned(((const uint32_t *)data)[i]);
    case GHEE_UINT64: return of_unsigned(((const uint64_t *)data)[i]);
    case GHEE_FLOAT32: return of_real(((const float *)data)[i]);
    default: return of_real(((const double *)data)[i]);
  }
}

static int64_t signed_of(const number *n) { return (int64_t)(n->negative ? 0 - n->magnitude : n->magnitude); }

/* The integer fits `bits` with or without a sign. */
static bool fits(const number *n, int bits, bool is_signed) {
  if (n->real || (n->negative && !is_signed)) return false;
  uint64_t most = is_signed ? ((uint64_t)1 << (bits - 1)) - !n->negative : bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
  return n->magnitude <= most;
}

/* An integer that a double says exactly, and a real that is one. */
static bool exact_real(const number *n, double *out) {
  *out = n->value;
  return n->real || (n->magnitude <= (uint64_t)1 << 53);
}

static bool write_number(ghee_kind kind, void *data, int64_t i, const number *n) {
  double real;
  switch (kind) {
    case GHEE_INT8: ((int8_t *)data)[i] = (int8_t)signed_of(n); return fits(n, 8, true);
    case GHEE_INT16: ((int16_t *)data)[i] = (int16_t)signed_of(n); return fits(n, 16, true);
    case GHEE_INT32: ((int32_t *)data)[i] = (int32_t)signed_of(n); return fits(n, 32, true);
    case GHEE_INT64: ((int64_t *)data)[i] = signed_of(n); return fits(n, 64, true);
    case GHEE_UINT8: ((uint8_t *)data)[i] = (uint8_t)n->magnitude; return fits(n, 8, false);
    case GHEE_UINT16: ((uint16_t *)data)[i] = (uint16_t)n->magnitude; return fits(n, 16, false);
    case GHEE_UINT32: ((uint32_t *)data)[i] = (uint32_t)n->magnitude; return fits(n, 32, false);
    case GHEE_UINT64: ((uint64_t *)data)[i] = n->magnitude; return fits(n, 64, false);
    case GHEE_FLOAT32: {
      bool ok = exact_real(n, &real);
      float narrow = fabs(real) <= 3.4028234663852886e38 || isnan(real) || isinf(real) ? (float)real : 0;
      ((float *)data)[i] = narrow;
      return ok && ((double)narrow == real || isnan(real));
    }
    default: {
      bool ok = exact_real(n, &real);
      ((double *)data)[i] = real;
      return ok;
    }
  }
}

static ghee_status refuse(const ghee_column *from, const struct ArrowSchema *to, int64_t row, ghee_error *err) {
  ghee_buffer text = {0};
  ghee_buffer_printf(&text, "column %s is ", from->field->name);
  ghee_type_describe(from->field, &text);
  ghee_buffer_printf(&text, ", was ");
  ghee_type_describe(to, &text);
  if (row >= 0) ghee_buffer_printf(&text, ", and row %lld of the batch would change its value", (long long)row);
  ghee_error_set(err, GHEE_SCHEMA, "%s", ghee_buffer_text(&text));
  ghee_buffer_fini(&text);
  return GHEE_SCHEMA;
}

static ghee_status copy_validity(const ghee_column *from, struct ArrowArray *out, ghee_error *err) {
  out->null_count = ghee_column_nulls(from);
  if (out->null_count == 0) return GHEE_OK;
  uint8_t *bits = ghee_array_buffer(out, 0, ghee_bits_bytes(from->length));
  if (!bits) return ghee_error_no_memory(err, "casting a column");
  ghee_bits_copy(from->array->buffers[0], from->start, from->length, bits);
  return GHEE_OK;
}

static ghee_status cast_numbers(const ghee_column *from, const ghee_field *to, struct ArrowArray *out, ghee_error *err) {
  GHEE_TRY(copy_validity(from, out, err));
  void *data = ghee_array_buffer(out, 1, from->length * to->type.width_bits / 8);
  if (!data) return ghee_error_no_memory(err, "casting a column");
  for (int64_t i = 0; i < from->length; i++) {
    number n = read_number(from->type.kind, from->array->buffers[1], from->start + i);
    if (!write_number(to->type.kind, data, i, &n) && ghee_column_valid(from, i)) return refuse(from, to->arrow, i, err);
  }
  return GHEE_OK;
}

static ghee_status cast_texts(const ghee_column *from, const ghee_type *type, struct ArrowArray *out, ghee_error *err) {
  GHEE_TRY(copy_validity(from, out, err));
  bool large = ghee_kind_is_large(type->kind);
  int64_t first = from->length ? ghee_column_offset(from, 0) : 0, size = from->length ? ghee_column_offset(from, from->length) - first : 0;
  if (!large && size > INT32_MAX) return ghee_error_set(err, GHEE_LIMIT, "column %s has more than 2 GiB in one batch: lower batch_size", from->field->name);
  void *offsets = ghee_array_buffer(out, 1, (from->length + 1) * (large ? 8 : 4)), *data = ghee_array_buffer(out, 2, size);
  if (!offsets || !data) return ghee_error_no_memory(err, "casting a column");
  for (int64_t i = 0; i <= from->length; i++) {
    int64_t offset = from->length ? ghee_column_offset(from, i) - first : 0;
    if (large) ((int64_t *)offsets)[i] = offset;
    else ((int32_t *)offsets)[i] = (int32_t)offset;
  }
  if (size) memcpy(data, (const uint8_t *)from->array->buffers[2] + first, (size_t)size);
  return GHEE_OK;
}

static bool same_text_kind(ghee_kind a, ghee_kind b) {
  bool a_text = a == GHEE_STRING || a == GHEE_LARGE_STRING, b_text = b == GHEE_STRING || b == GHEE_LARGE_STRING;
  return ghee_kind_is_text(a) && ghee_kind_is_text(b) && a_text == b_text;
}

/* Nulls among the indices are nulls among the values. */
static ghee_status add_nulls(const ghee_column *from, struct ArrowArray *values, ghee_error *err) {
  if (ghee_column_nulls(from) == 0 || values->n_buffers == 0) return GHEE_OK; /* values of the null type have no bits */
  uint8_t *bits = (uint8_t *)values->buffers[0];
  if (!bits) {
    bits = ghee_array_buffer(values, 0, ghee_bits_bytes(from->length));
    if (!bits) return ghee_error_no_memory(err, "casting a column");
    memset(bits, 0xff, (size_t)ghee_bits_bytes(from->length));
  }
  for (int64_t i = 0; i < from->length; i++)
    if (!ghee_column_valid(from, i)) bits[i >> 3] &= (uint8_t)~(1 << (i & 7));
  values->null_count = from->length - ghee_bits_count(bits, 0, from->length);
  return GHEE_OK;
}

/* A dictionary column as its values. Without any entry all rows are null. */
static ghee_status decode(const ghee_column *from, struct ArrowArray *out, ghee_error *err) {
  ghee_column values = ghee_column_dictionary(from);
  if (values.length == 0 && from->length > 0) {
    GHEE_TRY(ghee_array_zeros(values.field, from->length, out, err));
  } else {
    ghee_run *runs = ghee_alloc((size_t)from->length * sizeof *runs);
    if (!runs) return ghee_error_no_memory(err, "casting a column");
    for (int64_t i = 0; i < from->length; i++) runs[i] = (ghee_run){.first = ghee_column_valid(from, i) ? ghee_column_number(from, i) : 0, .n = 1};
    ghee_status status = ghee_assemble(values.field, &(ghee_selection){&values, 1, runs, (size_t)from->length}, NULL, out, err);
    ghee_free(runs);
    GHEE_TRY(status);
  }
  ghee_status status = add_nulls(from, out, err);
  if (status != GHEE_OK) out->release(out);
  return status;
}

static ghee_status cast_column(const ghee_column *from, const ghee_field *was, const ghee_field *to, struct ArrowArray *out, ghee_error *err);

static ghee_status cast_decoded(const ghee_column *from, const ghee_field *was, const ghee_field *to, struct ArrowArray *out, ghee_error *err) {
  struct ArrowArray values;
  GHEE_TRY(decode(from, &values, err));
  if (ghee_field_equal(was->dictionary, to)) {
    *out = values;
    return GHEE_OK;
  }
  struct ArrowSchema field = *from->field->dictionary;
  field.name = from->field->name;
  ghee_column column = ghee_column_of(&field, &values, 0, values.length);
  ghee_status status = cast_column(&column, was->dictionary, to, out, err);
  values.release(&values);
  return status;
}

static bool is_number(const ghee_field *field) {
  ghee_kind kind = field->type.kind;
  return !field->dictionary && (ghee_kind_is_int(kind) || kind == GHEE_FLOAT32 || kind == GHEE_FLOAT64);
}

static ghee_status cast_column(const ghee_column *from, const ghee_field *was, const ghee_field *to, struct ArrowArray *out, ghee_error *err) {
  if (was->dictionary && !to->dictionary) return cast_decoded(from, was, to, out, err);
  bool numbers = is_number(was) && is_number(to);
  bool texts = !was->dictionary && !to->dictionary && same_text_kind(was->type.kind, to->type.kind);
  if (!numbers && !texts) return refuse(from, to->arrow, -1, err);
  struct ArrowArray array;
  GHEE_TRY(ghee_array_own(from->length, to->type.n_buffers, 0, &array, err));
  ghee_status status = numbers ? cast_numbers(from, to, &array, err) : cast_texts(from, &to->type, &array, err);
  if (status == GHEE_OK) *out = array;
  else array.release(&array);
  return status;
}

/* A column as it is, copied. */
static ghee_status keep_column(const ghee_column *from, struct ArrowArray *out, ghee_error *err) {
  ghee_run all = {.n = from->length};
  return ghee_assemble(from->field, &(ghee_selection){from, 1, &all, 1}, NULL, out, err);
}

static ghee_status same_columns(const ghee_batch *batch, ghee_schema *schema, ghee_error *err) {
  bool same = ghee_schema_columns(batch->schema) == ghee_schema_columns(schema);
  for (int64_t i = 0; same && i < ghee_schema_columns(schema); i++) same = ghee_schema_find(batch->schema, ghee_schema_arrow(schema)->children[i]->name) >= 0;
  if (same) return GHEE_OK;
  ghee_buffer text = {0};
  ghee_schema_difference(schema, batch->schema, &text);
  ghee_error_set(err, GHEE_SCHEMA, "%s", ghee_buffer_text(&text));
  ghee_buffer_fini(&text);
  return GHEE_SCHEMA;
}

ghee_status ghee_batch_cast(ghee_batch *batch, ghee_schema *schema, ghee_batch *out, ghee_error *err) {
  GHEE_TRY(same_columns(batch, schema, err));
  ghee_batch made = {0};
  GHEE_TRY(ghee_batch_own(schema, batch->array.length, &made, err));
  ghee_status status = GHEE_OK;
  for (int64_t i = 0; i < made.array.n_children && status == GHEE_OK; i++) {
    int64_t at = ghee_schema_find(batch->schema, ghee_schema_arrow(schema)->children[i]->name);
    const ghee_field *was = &ghee_schema_root(batch->schema)->children[at], *to = &ghee_schema_root(schema)->children[i];
    ghee_column from = ghee_column_at(batch, at);
    status = ghee_field_equal(was, to) ? keep_column(&from, made.array.children[i], err) : cast_column(&from, was, to, made.array.children[i], err);
  }
  if (status != GHEE_OK) {
    ghee_batch_release(&made);
    return status;
  }
  ghee_batch_release(batch);
  *out = made;
  return GHEE_OK;
}
