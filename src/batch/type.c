/* SPDX-License-Identifier: Apache-2.0
 * Format strings of the Arrow C data interface (its section "Data type description") read into a ghee_type,
 * and types in words for messages. */
#include <stdlib.h>
#include <string.h>

#include "batch/field.h"
#include "batch/metadata.h"
#include "batch/schema.h"

enum { DESCRIBE_DEPTH = 16 };

typedef struct simple_format {
  const char *format;
  ghee_kind kind;
  int width_bits;
  char unit;
  int n_buffers;
} simple_format;

static const simple_format SIMPLE[] = {
    {"n", GHEE_NULL, 0, 0, 0},          {"b", GHEE_BOOL, 1, 0, 2},
    {"c", GHEE_INT8, 8, 0, 2},          {"C", GHEE_UINT8, 8, 0, 2},
    {"s", GHEE_INT16, 16, 0, 2},        {"S", GHEE_UINT16, 16, 0, 2},
    {"i", GHEE_INT32, 32, 0, 2},        {"I", GHEE_UINT32, 32, 0, 2},
    {"l", GHEE_INT64, 64, 0, 2},        {"L", GHEE_UINT64, 64, 0, 2},
    {"e", GHEE_FLOAT16, 16, 0, 2},      {"f", GHEE_FLOAT32, 32, 0, 2},
    {"g", GHEE_FLOAT64, 64, 0, 2},      {"z", GHEE_BINARY, 0, 0, 3},
    {"Z", GHEE_LARGE_BINARY, 0, 0, 3},  {"u", GHEE_STRING, 0, 0, 3},
    {"U", GHEE_LARGE_STRING, 0, 0, 3},  {"tdD", GHEE_DATE32, 32, 0, 2},
    {"tdm", GHEE_DATE64, 64, 0, 2},     {"tts", GHEE_TIME32, 32, 's', 2},
    {"ttm", GHEE_TIME32, 32, 'm', 2},   {"ttu", GHEE_TIME64, 64, 'u', 2},
    {"ttn", GHEE_TIME64, 64, 'n', 2},   {"tDs", GHEE_DURATION, 64, 's', 2},
    {"tDm", GHEE_DURATION, 64, 'm', 2}, {"tDu", GHEE_DURATION, 64, 'u', 2},
    {"tDn", GHEE_DURATION, 64, 'n', 2}, {"tiM", GHEE_INTERVAL_MONTHS, 32, 0, 2},
    {"tiD", GHEE_INTERVAL_DAYS, 64, 0, 2}, {"tin", GHEE_INTERVAL_MONTH_DAY_NANO, 128, 0, 2},
    {"+l", GHEE_LIST, 0, 0, 2},         {"+L", GHEE_LARGE_LIST, 0, 0, 2},
    {"+m", GHEE_MAP, 0, 0, 2},          {"+s", GHEE_STRUCT, 0, 0, 1},
};

/** A whole number up to `end` (a character of the text), which is passed over. */
static bool take_number(const char **at, char end, long least, long most, int32_t *out) {
  const char *text = *at;
  if (*text != '-' && (*text < '0' || *text > '9')) return false;
  char *stop;
  long value = strtol(text, &stop, 10);
  if (*stop != end || value < least || value > most) return false;
  *at = end ? stop + 1 : stop;
  *out = (int32_t)value;
  return true;
}

static bool parse_decimal(const char *at, ghee_type *type) {
  int32_t bits = 128;
  bool has_width = strchr(at, ',') && strchr(strchr(at, ',') + 1, ',');
  if (!take_number(&at, ',', 1, 76, &type->precision)) return false;
  if (!take_number(&at, has_width ? ',' : 0, -128, 128, &type->scale)) return false;
  if (has_width && !take_number(&at, 0, 1, 1024, &bits)) return false;
  if (bits != 128 && bits != 256) return false;
  type->kind = bits == 128 ? GHEE_DECIMAL128 : GHEE_DECIMAL256;
  type->width_bits = bits;
  type->n_buffers = 2;
  return bits == 256 || type->precision <= 38;
}

/** Formats with parameters; false if it is none of them. */
static bool parse_parameters(const char *format, ghee_type *type) {
  const char *at;
  if (strncmp(format, "w:", 2) == 0) {
    at = format + 2;
    if (!take_number(&at, 0, 0, INT32_MAX / 8, &type->fixed_size)) return false;
    type->kind = GHEE_FIXED_BINARY;
    type->width_bits = type->fixed_size * 8;
    type->n_buffers = 2;
    return true;
  }
  if (strncmp(format, "+w:", 3) == 0) {
    at = format + 3;
    type->kind = GHEE_FIXED_LIST;
    type->n_buffers = 1;
    return take_number(&at, 0, 0, INT32_MAX, &type->fixed_size);
  }
  if (strncmp(format, "d:", 2) == 0) return parse_decimal(format + 2, type);
  if (strncmp(format, "ts", 2) == 0 && format[2] && strchr("smun", format[2]) && format[3] == ':') {
    *type = (ghee_type){.kind = GHEE_TIMESTAMP, .width_bits = 64, .unit = format[2], .zone = format + 4, .n_buffers = 2};
    return true;
  }
  return false;
}

ghee_status ghee_type_parse(const char *format, ghee_type *out, ghee_error *err) {
  if (!format) return ghee_error_set(err, GHEE_CORRUPT, "a field has no format string: the schema was released or never filled");
  ghee_type type = {.zone = ""};
  for (size_t i = 0; i < sizeof SIMPLE / sizeof SIMPLE[0]; i++) {
    const simple_format *simple = &SIMPLE[i];
    if (strcmp(format, simple->format) != 0) continue;
    type.kind = simple->kind;
    type.width_bits = simple->width_bits;
    type.unit = simple->unit;
    type.n_buffers = simple->n_buffers;
    *out = type;
    return GHEE_OK;
  }
  if (parse_parameters(format, &type)) {
    *out = type;
    return GHEE_OK;
  }
  const char *what = format[0] == 'v' || strncmp(format, "+v", 2) == 0 ? "a view"
                     : strncmp(format, "+u", 2) == 0                  ? "a union"
                     : strcmp(format, "+r") == 0                      ? "run-end encoded"
                                                                      : "not a type that ghee knows";
  return ghee_error_set(err, GHEE_UNSUPPORTED, "Arrow type \"%.80s\" is %s; cast the column to a plain type first", format, what);
}

static const char *unit_name(char unit) {
  return unit == 's' ? "s" : unit == 'm' ? "ms" : unit == 'u' ? "us" : "ns";
}

static void describe(const struct ArrowSchema *field, ghee_buffer *text, int depth);

static void describe_child(const struct ArrowSchema *field, int64_t i, ghee_buffer *text, int depth) {
  if (depth < DESCRIBE_DEPTH && field->children && i < field->n_children && field->children[i])
    describe(field->children[i], text, depth + 1);
  else
    ghee_buffer_put(text, "…", strlen("…"));
}

static void describe_struct(const struct ArrowSchema *field, ghee_buffer *text, int depth) {
  ghee_buffer_printf(text, "struct<");
  for (int64_t i = 0; field->children && i < field->n_children; i++) {
    const char *name = field->children[i] ? field->children[i]->name : NULL;
    ghee_buffer_printf(text, "%s%s: ", i ? ", " : "", name ? name : "");
    describe_child(field, i, text, depth);
  }
  ghee_buffer_printf(text, ">");
}

static void describe_fixed_list(const struct ArrowSchema *field, const ghee_type *type, ghee_buffer *text, int depth) {
  size_t size;
  const char *shape = ghee_metadata_find(field->metadata, GHEE_SHAPE_KEY, &size);
  ghee_buffer_printf(text, shape ? "tensor<" : "fixed_list<");
  describe_child(field, 0, text, depth);
  if (shape)
    ghee_buffer_printf(text, ", [%.*s]>", (int)size, shape);
  else
    ghee_buffer_printf(text, ", %d>", type->fixed_size);
}

static void describe_nested(const struct ArrowSchema *field, const ghee_type *type, ghee_buffer *text, int depth) {
  switch (type->kind) {
    case GHEE_STRUCT: describe_struct(field, text, depth); return;
    case GHEE_FIXED_LIST: describe_fixed_list(field, type, text, depth); return;
    case GHEE_MAP: {
      const struct ArrowSchema *entries = field->children && field->n_children == 1 ? field->children[0] : NULL;
      ghee_buffer_printf(text, "map<");
      if (entries) {
        describe_child(entries, 0, text, depth + 1);
        ghee_buffer_printf(text, ", ");
        describe_child(entries, 1, text, depth + 1);
      }
      break;
    }
    default:
      ghee_buffer_printf(text, type->kind == GHEE_LIST ? "list<" : "large_list<");
      describe_child(field, 0, text, depth);
  }
  ghee_buffer_printf(text, ">");
}

static const char *const NAMES[] = {
    [GHEE_NULL] = "null",     [GHEE_BOOL] = "bool",       [GHEE_INT8] = "int8",       [GHEE_INT16] = "int16",
    [GHEE_INT32] = "int32",   [GHEE_INT64] = "int64",     [GHEE_UINT8] = "uint8",     [GHEE_UINT16] = "uint16",
    [GHEE_UINT32] = "uint32", [GHEE_UINT64] = "uint64",   [GHEE_FLOAT16] = "float16", [GHEE_FLOAT32] = "float32",
    [GHEE_FLOAT64] = "float64", [GHEE_BINARY] = "binary", [GHEE_LARGE_BINARY] = "large_binary",
    [GHEE_STRING] = "string", [GHEE_LARGE_STRING] = "large_string", [GHEE_DATE32] = "date32", [GHEE_DATE64] = "date64",
    [GHEE_INTERVAL_MONTHS] = "interval[months]", [GHEE_INTERVAL_DAYS] = "interval[days, ms]",
    [GHEE_INTERVAL_MONTH_DAY_NANO] = "interval[months, days, ns]",
};

static void describe_plain(const struct ArrowSchema *field, ghee_buffer *text, int depth) {
  ghee_type type;
  if (!field->format || ghee_type_parse(field->format, &type, NULL) != GHEE_OK) {
    ghee_buffer_printf(text, "\"%.80s\"", field->format ? field->format : "");
    return;
  }
  switch (type.kind) {
    case GHEE_FIXED_BINARY: ghee_buffer_printf(text, "fixed_binary[%d]", type.fixed_size); break;
    case GHEE_DECIMAL128: ghee_buffer_printf(text, "decimal128(%d, %d)", type.precision, type.scale); break;
    case GHEE_DECIMAL256: ghee_buffer_printf(text, "decimal256(%d, %d)", type.precision, type.scale); break;
    case GHEE_TIME32: ghee_buffer_printf(text, "time32[%s]", unit_name(type.unit)); break;
    case GHEE_TIME64: ghee_buffer_printf(text, "time64[%s]", unit_name(type.unit)); break;
    case GHEE_DURATION: ghee_buffer_printf(text, "duration[%s]", unit_name(type.unit)); break;
    case GHEE_TIMESTAMP:
      ghee_buffer_printf(text, "timestamp[%s%s%.80s]", unit_name(type.unit), type.zone[0] ? ", " : "", type.zone);
      break;
    case GHEE_LIST: case GHEE_LARGE_LIST: case GHEE_FIXED_LIST: case GHEE_MAP: case GHEE_STRUCT:
      describe_nested(field, &type, text, depth);
      break;
    default: ghee_buffer_printf(text, "%s", NAMES[type.kind]);
  }
}

static void describe(const struct ArrowSchema *field, ghee_buffer *text, int depth) {
  if (!field->dictionary) {
    describe_plain(field, text, depth);
    return;
  }
  ghee_buffer_printf(text, "dictionary<");
  describe_plain(field, text, depth);
  ghee_buffer_printf(text, ", ");
  if (depth < DESCRIBE_DEPTH) describe(field->dictionary, text, depth + 1);
  ghee_buffer_printf(text, ">");
}

void ghee_type_describe(const struct ArrowSchema *field, ghee_buffer *text) { describe(field, text, 0); }
