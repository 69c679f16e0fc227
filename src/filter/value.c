/* SPDX-License-Identifier: Apache-2.0
 * Literals in the units of columns. */
#include "filter/value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_EXPONENT = 100000 };

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* ---- numbers ---- */

/* A digit more; what does not fit any more is as great as can be. */
static ghee_int128 push_digit(ghee_int128 number, int digit) {
  return number > (GHEE_INT128_MAX - digit) / 10 ? GHEE_INT128_MAX : number * 10 + digit;
}

static bool read_exponent(const char *text, long *out) {
  const char *at = strpbrk(text, "eE");
  *out = at ? strtol(at + 1, NULL, 10) : 0;
  return *out >= -MOST_EXPONENT && *out <= MOST_EXPONENT;
}

bool ghee_value_of_digits(const char *text, int32_t scale, ghee_value *out) {
  bool negative = *text == '-', rest = false;
  ghee_int128 whole = 0;
  long left, exponent;
  if (!read_exponent(text, &exponent)) return false;
  text += *text == '-' || *text == '+';
  size_t before_point = strspn(text, "0123456789");
  left = (long)before_point + exponent + scale; /* so many digits, from the first on, are of the whole number */
  for (; is_digit(*text) || *text == '.'; text++) {
    if (*text == '.') continue;
    if (left-- > 0) whole = push_digit(whole, *text - '0');
    else rest |= *text != '0';
  }
  for (; left > 0 && whole > 0 && whole < GHEE_INT128_MAX; left--) whole = push_digit(whole, 0);
  rest |= whole == GHEE_INT128_MAX;
  *out = (ghee_value){.whole = negative ? -whole - rest : whole, .between = rest};
  return true;
}

/* ---- literals ---- */

ghee_status ghee_value_class_of(const struct ArrowSchema *column, const ghee_type *type, ghee_value_class *out, ghee_error *err) {
  switch (type->kind) {
    case GHEE_BOOL: case GHEE_DECIMAL128: case GHEE_DATE32: case GHEE_DATE64: case GHEE_TIMESTAMP: *out = GHEE_VALUES_WHOLE; return GHEE_OK;
    case GHEE_FLOAT32: case GHEE_FLOAT64: *out = GHEE_VALUES_REAL; return GHEE_OK;
    case GHEE_FIXED_BINARY: *out = GHEE_VALUES_BYTES; return GHEE_OK;
    default: break;
  }
  if (ghee_kind_is_int(type->kind) || ghee_kind_is_text(type->kind)) {
    *out = ghee_kind_is_int(type->kind) ? GHEE_VALUES_WHOLE : GHEE_VALUES_BYTES;
    return GHEE_OK;
  }
  ghee_buffer text = {0};
  ghee_type_describe(column, &text);
  ghee_error_set(err, GHEE_SCHEMA, "the filter compares column %s, which is %s: only `is null` can be asked of it", column->name, ghee_buffer_text(&text));
  ghee_buffer_fini(&text);
  return GHEE_SCHEMA;
}

static ghee_status refuse(const ghee_literal *literal, const struct ArrowSchema *column, const char *instead, ghee_error *err) {
  bool text = literal->kind == GHEE_LITERAL_TEXT;
  ghee_buffer type = {0};
  ghee_type_describe(column, &type);
  ghee_error_set(err, GHEE_SCHEMA, "the filter, character %zu: column %s is %s, and %s%.100s%s is not: %s", literal->at, column->name, ghee_buffer_text(&type),
                 text ? "'" : "", literal->text, text ? "'" : "", instead);
  ghee_buffer_fini(&type);
  return GHEE_SCHEMA;
}

static ghee_status number_of(const ghee_literal *literal, const struct ArrowSchema *column, const ghee_type *type, ghee_value *out, ghee_error *err) {
  if (literal->kind != GHEE_LITERAL_NUMBER) return refuse(literal, column, "write a number, without quotes", err);
  if (type->kind == GHEE_FLOAT32 || type->kind == GHEE_FLOAT64) {
    double real = type->kind == GHEE_FLOAT32 ? (double)strtof(literal->text, NULL) : strtod(literal->text, NULL);
    if (isinf(real)) return refuse(literal, column, "it is beyond the largest number of this type", err);
    *out = (ghee_value){.real = real};
    return GHEE_OK;
  }
  if (ghee_value_of_digits(literal->text, type->kind == GHEE_DECIMAL128 ? type->scale : 0, out)) return GHEE_OK;
  return refuse(literal, column, "its exponent is beyond what can be compared", err);
}

static int64_t unit_ns(const ghee_type *type) {
  if (type->kind == GHEE_DATE32) return GHEE_NS_PER_DAY;
  if (type->kind == GHEE_DATE64) return GHEE_NS_PER_SECOND / 1000;
  return type->unit == 's' ? GHEE_NS_PER_SECOND : type->unit == 'm' ? GHEE_NS_PER_SECOND / 1000 : type->unit == 'u' ? 1000 : 1;
}

static ghee_status moment_of(const ghee_literal *literal, const struct ArrowSchema *column, const ghee_type *type, ghee_value *out, ghee_error *err) {
  bool date = type->kind != GHEE_TIMESTAMP;
  ghee_moment moment;
  const char *form = date ? "write 'YYYY-MM-DD'" : "write 'YYYY-MM-DD' or 'YYYY-MM-DD HH:MM:SS.fraction', with Z or +HH:MM behind it where it is not UTC";
  if (literal->kind != GHEE_LITERAL_TEXT || !ghee_moment_parse(literal->text, &moment) || (date && moment.has_time)) return refuse(literal, column, form, err);
  if (moment.has_offset && !*type->zone) return refuse(literal, column, "the column has no time zone, so leave the offset out", err);
  ghee_int128 unit = unit_ns(type), whole = moment.ns / unit;
  bool between = moment.ns % unit != 0;
  *out = (ghee_value){.whole = whole - (between && moment.ns < 0), .between = between};
  return GHEE_OK;
}

ghee_status ghee_value_of(const ghee_literal *literal, const struct ArrowSchema *column, const ghee_type *type, ghee_value *out, ghee_error *err) {
  switch (type->kind) {
    case GHEE_BOOL:
      if (literal->kind != GHEE_LITERAL_BOOL) return refuse(literal, column, "write true or false", err);
      *out = (ghee_value){.whole = *literal->text == 't'};
      return GHEE_OK;
    case GHEE_DATE32: case GHEE_DATE64: case GHEE_TIMESTAMP: return moment_of(literal, column, type, out, err);
    default: break;
  }
  if (type->kind != GHEE_FIXED_BINARY && !ghee_kind_is_text(type->kind)) return number_of(literal, column, type, out, err);
  if (literal->kind != GHEE_LITERAL_TEXT) return refuse(literal, column, "write text in single quotes", err);
  *out = (ghee_value){.bytes = (const uint8_t *)literal->text, .size = strlen(literal->text)};
  return GHEE_OK;
}
