/* SPDX-License-Identifier: Apache-2.0
 * Values to names of folders. */
#include "runtime/worker/partition_name.h"

#include <stdio.h>
#include <string.h>

static const char null_name[] = "__HIVE_DEFAULT_PARTITION__";

static bool can_name(ghee_kind kind) {
  switch (kind) {
    case GHEE_BOOL: case GHEE_STRING: case GHEE_LARGE_STRING: case GHEE_DATE32: case GHEE_DATE64: case GHEE_TIMESTAMP: return true;
    default: return ghee_kind_is_int(kind);
  }
}

ghee_status ghee_partition_name_check(const struct ArrowSchema *field, ghee_error *err) {
  ghee_type type;
  GHEE_TRY(ghee_type_parse(field->dictionary ? field->dictionary->format : field->format, &type, err));
  if (can_name(type.kind)) return GHEE_OK;
  ghee_buffer text = {0};
  ghee_type_describe(field, &text);
  ghee_error_set(err, GHEE_SCHEMA, "partition_by: column %s is %s, which cannot name a folder: it takes bool, integers, text, dates and timestamps", field->name,
                 ghee_buffer_text(&text));
  ghee_buffer_fini(&text);
  return GHEE_SCHEMA;
}

/* ---- text ---- */

/* The characters that Hive escapes. */
static bool must_escape(unsigned char c) { return c < 0x20 || c == 0x7f || strchr("\"#%'*/:=?\\{}[]^", c); }

static void put_escaped(ghee_buffer *name, const char *text, size_t size) {
  for (size_t i = 0; i < size; i++) {
    if (must_escape((unsigned char)text[i])) ghee_buffer_printf(name, "%%%02X", (unsigned char)text[i]);
    else ghee_buffer_put(name, &text[i], 1);
  }
}

/* ---- times ---- */

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/* Days since 1970 in the proleptic Gregorian calendar; years begin in March, so that the leap day comes last. */
static void put_date(ghee_buffer *name, int64_t days) {
  int64_t shifted = days + 719468, era = floor_div(shifted, 146097), of_era = shifted - era * 146097;
  int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365, of_year = of_era - (365 * year + year / 4 - year / 100);
  int64_t month = (5 * of_year + 2) / 153, day = of_year - (153 * month + 2) / 5 + 1;
  month += month < 10 ? 3 : -9;
  ghee_buffer_printf(name, "%04lld-%02d-%02d", (long long)(year + era * 400 + (month <= 2)), (int)month, (int)day);
}

static void put_timestamp(ghee_buffer *name, int64_t value, char unit) {
  int64_t ticks = unit == 's' ? 1 : unit == 'm' ? 1000 : unit == 'u' ? 1000000 : 1000000000;
  int64_t seconds = floor_div(value, ticks), fraction = value - seconds * ticks, days = floor_div(seconds, 86400), of_day = seconds - days * 86400;
  put_date(name, days);
  ghee_buffer_printf(name, " %02d%%3A%02d%%3A%02d", (int)(of_day / 3600), (int)(of_day / 60 % 60), (int)(of_day % 60));
  if (fraction == 0) return;
  char digits[16];
  snprintf(digits, sizeof digits, "%0*lld", unit == 'm' ? 3 : unit == 'u' ? 6 : 9, (long long)fraction);
  size_t n = strlen(digits);
  while (n > 1 && digits[n - 1] == '0') n--;
  ghee_buffer_printf(name, ".%.*s", (int)n, digits);
}

/* ---- values ---- */

static void put_value(ghee_buffer *name, const ghee_column *column, int64_t row) {
  const ghee_type *type = &column->type;
  if (type->kind == GHEE_BOOL) {
    ghee_buffer_printf(name, "%s", ghee_bit(column->array->buffers[1], column->start + row) ? "true" : "false");
  } else if (ghee_kind_is_text(type->kind)) {
    int64_t begin = ghee_column_offset(column, row), end = ghee_column_offset(column, row + 1);
    if (begin == end) ghee_buffer_printf(name, "%s", null_name);
    else put_escaped(name, (const char *)column->array->buffers[2] + begin, (size_t)(end - begin));
  } else if (type->kind == GHEE_DATE32) {
    put_date(name, ghee_column_number(column, row));
  } else if (type->kind == GHEE_DATE64) {
    put_date(name, floor_div(ghee_column_number(column, row), 86400000));
  } else if (type->kind == GHEE_TIMESTAMP) {
    put_timestamp(name, ghee_column_number(column, row), type->unit);
  } else if (ghee_kind_is_signed(type->kind)) {
    ghee_buffer_printf(name, "%lld", (long long)ghee_column_number(column, row));
  } else {
    ghee_buffer_printf(name, "%llu", (unsigned long long)ghee_column_number(column, row));
  }
}

void ghee_partition_name_put(ghee_buffer *name, const ghee_column *column, int64_t row) {
  put_escaped(name, column->field->name, strlen(column->field->name));
  ghee_buffer_put(name, "=", 1);
  if (!ghee_column_valid(column, row)) {
    ghee_buffer_printf(name, "%s", null_name);
  } else if (column->field->dictionary) {
    ghee_column values = ghee_column_dictionary(column);
    int64_t index = ghee_column_number(column, row);
    if (ghee_column_valid(&values, index)) put_value(name, &values, index);
    else ghee_buffer_printf(name, "%s", null_name);
  } else {
    put_value(name, column, row);
  }
}
