/* SPDX-License-Identifier: Apache-2.0
 * Filters over columns of every type, and over bounds. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>

#include "batch/column.h"
#include "batch/types_sample.h"
#include "filter/predicate.h"
#include "ghee/batch.h"

enum { ROWS = 6 };
#define MICROS(days, hours) (((days) * 24LL + (hours)) * 3600 * 1000000)

/* Six rows of many types; the last is null everywhere. */
static const int8_t int8s[ROWS] = {-128, -1, 0, 1, 127, 5};
static const int16_t int16s[ROWS] = {-32768, -1, 0, 1, 32767, 5};
static const int32_t int32s[ROWS] = {INT32_MIN, -1, 0, 1, INT32_MAX, 5};
static const int64_t int64s[ROWS] = {INT64_MIN, -1, 0, 1, INT64_MAX, 5};
static const uint8_t uint8s[ROWS] = {0, 1, 2, 254, 255, 5};
static const uint16_t uint16s[ROWS] = {0, 1, 2, 65534, 65535, 5};
static const uint32_t uint32s[ROWS] = {0, 1, 2, UINT32_MAX - 1, UINT32_MAX, 5};
static const uint64_t uint64s[ROWS] = {0, 1, 2, UINT64_MAX - 1, UINT64_MAX, 5};
static const float floats[ROWS] = {-INFINITY, -0.0f, 0.1f, 16777217, NAN, 5};
static const double doubles[ROWS] = {-INFINITY, -0.0, 0.1, INFINITY, NAN, 5};
static const uint64_t decimals[ROWS][2] = {{(uint64_t)-12345, UINT64_MAX}, {0, 0}, {1500, 0}, {1501, 0}, {0, 1}, {5, 0}}; /* -12.345 0 1.5 1.501 2^64/1000 */
static const int32_t days[ROWS] = {-1, 0, 11016, 19782, 2932896, 5}; /* 1969-12-31 1970-01-01 2000-02-29 2024-02-29 9999-12-31 */
static const int64_t seconds[ROWS] = {-1, 0, 951782400, 1709208000, 253402300799, 5};
static const int64_t micros[ROWS] = {-1, 0, MICROS(11016, 0), MICROS(19782, 12), MICROS(19782, 12) + 1, 5};
static const uint8_t bools[ROWS] = {0, 1, 0, 1, 1, 1}, valid[ROWS] = {1, 1, 1, 1, 1, 0};
static const char *const words[ROWS] = {"", "a", "ab", "b", "\xc3\xa4", NULL};

static void release_nothing(void *owner) { (void)owner; }

static void add(ghee_builder *to, const char *name, const char *format, const void *data) {
  static const uint8_t bits = 0x1f;
  SAMPLE_OK(ghee_builder_add_fixed(to, name, format, ROWS, data, &bits, 1, NULL, 0, release_nothing, NULL, err));
}

static void add_words(ghee_builder *to, const char *name, int binary) {
  SAMPLE_OK(ghee_builder_begin_text(to, name, binary, err));
  for (int i = 0; i < ROWS; i++) {
    if (words[i]) SAMPLE_OK(ghee_builder_append_text(to, words[i], strlen(words[i]), err));
    else SAMPLE_OK(ghee_builder_append_null(to, err));
  }
  SAMPLE_OK(ghee_builder_end_text(to, err));
}

static void finish(ghee_builder *from, ghee_batch *out) {
  struct ArrowSchema arrow;
  struct ArrowArray array;
  ghee_schema *schema;
  SAMPLE_OK(ghee_builder_finish(from, &arrow, &array, err));
  SAMPLE_OK(ghee_schema_new(&arrow, &schema, err));
  SAMPLE_OK(ghee_batch_new(schema, &array, false, out, err));
  ghee_schema_unref(schema);
  ghee_builder_free(from);
}

static void make_batch(ghee_batch *out) {
  ghee_builder *to;
  SAMPLE_OK(ghee_builder_new(&to, err));
  add(to, "i8", "c", int8s);
  add(to, "i16", "s", int16s);
  add(to, "i32", "i", int32s);
  add(to, "i64", "l", int64s);
  add(to, "u8", "C", uint8s);
  add(to, "u16", "S", uint16s);
  add(to, "u32", "I", uint32s);
  add(to, "u64", "L", uint64s);
  add(to, "f32", "f", floats);
  add(to, "f64", "g", doubles);
  add(to, "dec", "d:20,3", decimals);
  add(to, "day", "tdD", days);
  add(to, "s", "tss:UTC", seconds);
  add(to, "us", "tsu:", micros);
  add(to, "time", "ttu", micros);
  add(to, "fixed", "w:2", "aaabacadaexx");
  SAMPLE_OK(ghee_builder_add_bool(to, "yes", ROWS, bools, valid, err));
  add_words(to, "word", 0);
  add_words(to, "bytes", 1);
  finish(to, out);
}

/* '1' for each row that passes. */
static void select_rows(const ghee_batch *batch, const char *text, char *out) {
  ghee_filter *filter;
  ghee_predicate *predicate;
  uint32_t rows[ROWS];
  size_t n = 0;
  SAMPLE_OK(ghee_filter_parse(text, &filter, err));
  SAMPLE_OK(ghee_predicate_new(filter, batch->schema, &predicate, err));
  SAMPLE_OK(ghee_predicate_select(predicate, batch, rows, &n, err));
  size_t count = (size_t)ghee_batch_rows(batch);
  memset(out, '0', count);
  out[count] = 0;
  for (size_t i = 0; i < n; i++) out[rows[i]] = '1';
  for (size_t i = 1; i < n; i++) assert_true(rows[i - 1] < rows[i]);
  ghee_predicate_free(predicate);
  ghee_filter_free(filter);
}

static const struct { const char *filter, *passed; } selections[] = {
    {"i8 = -128", "100000"}, {"i8 != 0", "110110"}, {"i8 < 0", "110000"}, {"i8 <= 0", "111000"}, {"i8 > 0", "000110"}, {"i8 >= 0", "001110"},
    {"i8 > 127", "000000"}, {"i8 < 1000", "111110"}, {"i8 <> 1000", "111110"}, {"i8 > -1000", "111110"}, {"i8 = 128", "000000"},
    {"i8 < 0.5", "111000"}, {"i8 <= -0.5", "110000"}, {"i8 >= 0.5", "000110"}, {"i8 = 0.5", "000000"}, {"i8 != 0.5", "111110"}, {"i8 > -0.5", "001110"},
    {"i8 = 1e0", "000100"}, {"i8 = 10e-1", "000100"}, {"i8 = 1.000", "000100"}, {"i8 < 1e400", "111110"}, {"i8 > -1e400", "111110"}, {"i8 < 1e-400", "111000"},
    {"i8 in (1, 127, 128, 0.5)", "000110"}, {"i8 not in (1, 127)", "111000"}, {"i8 in (300)", "000000"}, {"i8 not in (0.5)", "111110"},
    {"i16 >= 32767", "000010"}, {"i16 > 32767", "000000"}, {"i32 = 2147483647", "000010"}, {"i32 < -2147483647", "100000"},
    {"i64 = 9223372036854775807", "000010"}, {"i64 = 9223372036854775808", "000000"}, {"i64 < 9223372036854775808", "111110"}, {"i64 <= -9223372036854775808", "100000"},
    {"i64 < -9223372036854775808", "000000"}, {"i64 > 9223372036854775806", "000010"}, {"i64 > 9223372036854775806.5", "000010"},
    {"i64 < 170141183460469231731687303715884105727", "111110"}, {"i64 > 999999999999999999999999999999999999999999", "000000"},
    {"u8 > -1", "111110"}, {"u8 < 0", "000000"}, {"u8 = 255", "000010"}, {"u16 >= 65534", "000110"}, {"u32 > 4294967294", "000010"},
    {"u64 = 18446744073709551615", "000010"}, {"u64 < 18446744073709551615", "111100"}, {"u64 > 9223372036854775807", "000110"}, {"u64 = -1", "000000"},
    {"u64 in (18446744073709551615, 2)", "001010"},
    {"f32 = 0.1", "001000"}, {"f32 = 0", "010000"}, {"f32 = -0.0", "010000"}, {"f32 < 0", "100000"}, {"f32 <= 0", "110000"}, {"f32 in (0.1, 0)", "011000"},
    {"f32 = 16777217", "000100"}, {"f32 > 0", "001100"}, {"f32 != 0", "101110"}, {"f32 not in (0)", "101110"}, {"not f32 > 0", "110010"},
    {"f64 = 0.1", "001000"}, {"f64 < 0", "100000"}, {"f64 >= 0", "011100"}, {"f64 <= 1e308", "111000"}, {"f64 > 1e308", "000100"}, {"f64 != 0.1", "110110"},
    {"f64 is null", "000001"}, {"not (f64 < 0 or f64 >= 0)", "000010"},
    {"dec = 1.5", "001000"}, {"dec > 1.5", "000110"}, {"dec > 1.5005", "000110"}, {"dec < 1.5005", "111000"}, {"dec = 1.5005", "000000"}, {"dec <= -12.345", "100000"},
    {"dec < -12.3449", "100000"}, {"dec = 18446744073709551.616", "000010"}, {"dec in (0, 1.501, 1.5011)", "010100"}, {"dec < 1e50", "111110"},
    {"day = '1969-12-31'", "100000"}, {"day < '1970-01-01'", "100000"}, {"day >= '2000-02-29'", "001110"}, {"day = '2024-02-29'", "000100"},
    {"day in ('9999-12-31', '1970-01-01')", "010010"},
    {"s < '1970-01-01'", "100000"}, {"s = '1969-12-31T23:59:59Z'", "100000"}, {"s = '2000-02-29 01:00+01:00'", "001000"}, {"s >= '2024-02-29 12:00:00'", "000110"},
    {"s > '1969-12-31 23:59:58.999999999'", "111110"}, {"s = '1969-12-31 23:59:59.5'", "000000"}, {"s < '1969-12-31 23:59:59.5'", "100000"},
    {"s = '9999-12-31 23:59:59'", "000010"},
    {"us = '2024-02-29 12:00'", "000100"}, {"us = '2024-02-29 12:00:00.000001'", "000010"}, {"us > '2024-02-29 12:00:00.0000001'", "000010"}, {"us <= '1970-01-01'", "110000"},
    {"yes = true", "010110"}, {"yes = false", "101000"}, {"yes < true", "101000"}, {"yes != false", "010110"}, {"yes in (true, false)", "111110"},
    {"word = ''", "100000"}, {"word = 'a'", "010000"}, {"word > 'a'", "001110"}, {"word >= 'ab'", "001110"}, {"word < 'ab'", "110000"}, {"word != 'b'", "111010"},
    {"word = 'ä'", "000010"}, {"word in ('b', 'a', 'zz', '')", "110100"}, {"bytes < 'b'", "111000"}, {"bytes in ('ab')", "001000"},
    {"fixed = 'ac'", "001000"}, {"fixed > 'a'", "111110"}, {"fixed in ('aa', 'ae')", "100010"}, {"time is not null", "111110"},
    /* three values */
    {"i8 = 5 or word is null", "000001"}, {"not i8 = 5", "111110"}, {"i8 is null and word is null", "000001"}, {"not i8 is null", "111110"},
    {"i8 = 0 or i8 != 0", "111110"}, {"not (i8 = 0 and word = 'x')", "111110"}, {"i8 is not null or i8 = 5", "111110"},
    {"i8 >= 0 and u8 in (2, 254) and not (word is null)", "001100"}, {"i8 < 0 and (f64 < 0 or f64 = 0)", "110000"},
};

static void test_comparisons(void **state) {
  (void)state;
  ghee_batch batch = {0}, slice = {0};
  char passed[ROWS + 1];
  make_batch(&batch);
  SAMPLE_OK(ghee_batch_slice(&batch, 1, ROWS - 1, &slice, err));
  for (size_t i = 0; i < sizeof selections / sizeof *selections; i++) {
    select_rows(&batch, selections[i].filter, passed);
    if (strcmp(passed, selections[i].passed) != 0) fail_msg("%s: %s, not %s", selections[i].filter, passed, selections[i].passed);
    select_rows(&slice, selections[i].filter, passed);
    if (strcmp(passed, selections[i].passed + 1) != 0) fail_msg("%s: of a slice %s, not %s", selections[i].filter, passed, selections[i].passed + 1);
  }
  ghee_batch_release(&slice);
  ghee_batch_release(&batch);
}

static void test_what_is_refused(void **state) {
  (void)state;
  static const struct { const char *filter; ghee_status status; const char *words[2]; } cases[] = {
      {"wrod = 'a'", GHEE_NOT_FOUND, {"\"wrod\"", "\"word\" meant"}},
      {"nothing = 'a'", GHEE_NOT_FOUND, {"\"nothing\"", "i8, i16"}},
      {"i8 = 1 and word = 5", GHEE_SCHEMA, {"character 19", "single quotes"}},
      {"i8 = '1'", GHEE_SCHEMA, {"column i8 is int8", "without quotes"}},
      {"i8 = true", GHEE_SCHEMA, {"i8", "a number"}},
      {"yes = 1", GHEE_SCHEMA, {"yes", "true or false"}},
      {"f32 < 1e39", GHEE_SCHEMA, {"f32", "beyond"}},
      {"f64 < 1e309", GHEE_SCHEMA, {"f64", "beyond"}},
      {"i8 < 1e100001", GHEE_SCHEMA, {"i8", "exponent"}},
      {"day = '2024-02-30'", GHEE_SCHEMA, {"day", "YYYY-MM-DD"}},
      {"day = '2023-02-29'", GHEE_SCHEMA, {"day", "YYYY-MM-DD"}},
      {"day = '2024-02-29 12:00'", GHEE_SCHEMA, {"day", "YYYY-MM-DD"}},
      {"day = 20240229", GHEE_SCHEMA, {"day", "YYYY-MM-DD"}},
      {"s = '2024-02-29 24:00'", GHEE_SCHEMA, {"timestamp", "+HH:MM"}},
      {"s = '2024-02-29 12:00 '", GHEE_SCHEMA, {"timestamp", "+HH:MM"}},
      {"us = '2024-02-29 12:00Z'", GHEE_SCHEMA, {"no time zone", "offset"}},
      {"time = '12:00'", GHEE_SCHEMA, {"time", "only `is null`"}},
  };
  ghee_batch batch = {0};
  make_batch(&batch);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ghee_filter *filter;
    ghee_predicate *predicate = NULL;
    ghee_error why = {0};
    SAMPLE_OK(ghee_filter_parse(cases[i].filter, &filter, err));
    if (ghee_predicate_new(filter, batch.schema, &predicate, &why) != cases[i].status) fail_msg("%s: %s", cases[i].filter, why.message);
    assert_null(predicate);
    for (int w = 0; w < 2; w++)
      if (!strstr(why.message, cases[i].words[w])) fail_msg("%s: '%s' is not in: %s", cases[i].filter, cases[i].words[w], why.message);
    ghee_filter_free(filter);
  }
  ghee_batch_release(&batch);
}

static size_t count(const ghee_batch *batch, const char *column, const char *test, uint32_t *rows) {
  char text[100];
  ghee_filter *filter;
  ghee_predicate *predicate;
  size_t n = 0;
  snprintf(text, sizeof text, "`%s` %s", column, test);
  SAMPLE_OK(ghee_filter_parse(text, &filter, err));
  SAMPLE_OK(ghee_predicate_new(filter, batch->schema, &predicate, err));
  SAMPLE_OK(ghee_predicate_select(predicate, batch, rows, &n, err));
  ghee_predicate_free(predicate);
  ghee_filter_free(filter);
  return n;
}

static void test_nulls_of_all_types(void **state) {
  (void)state;
  enum { MANY = 300 };
  ghee_schema *schema = sample_schema(sample_all_types, SAMPLE_TYPES);
  ghee_batch batch = {0};
  uint32_t rows[MANY];
  sample_batch(schema, sample_all_types, SAMPLE_TYPES, MANY, 1, &batch);
  for (int64_t c = 0; c < SAMPLE_TYPES; c++) {
    ghee_column column = ghee_column_at(&batch, c);
    size_t nulls = count(&batch, sample_all_types[c].name, "is null", rows);
    if (!column.field->dictionary) assert_int_equal(nulls, ghee_column_nulls(&column));
    assert_int_equal(count(&batch, sample_all_types[c].name, "is not null", rows), MANY - nulls);
  }
  ghee_batch_release(&batch);
  ghee_schema_unref(schema);
}

static void test_dictionaries_are_what_their_values_are(void **state) {
  (void)state;
  enum { MANY = 300 };
  static const sample_type dictionary = {"x", "c", true, NULL, 0, &sample_words}, plain = {"x", "u", true, NULL, 0, NULL};
  static const char *const tests[] = {"< 'm'", "!= ''", "in ('', '1', '12')", "is null", "is not null", ">= '2'"};
  ghee_schema *coded = sample_schema(&dictionary, 1), *decoded = sample_schema(&plain, 1);
  ghee_batch batch = {0}, values = {0};
  uint32_t rows[2][MANY];
  sample_batch(coded, &dictionary, 1, MANY, 3, &batch);
  SAMPLE_OK(ghee_batch_slice(&batch, 0, MANY, &values, err));
  ghee_batch cast = {0};
  SAMPLE_OK(ghee_batch_cast(&values, decoded, &cast, err));
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
    size_t n = count(&batch, "x", tests[i], rows[0]);
    assert_int_equal(n, count(&cast, "x", tests[i], rows[1]));
    assert_memory_equal(rows[0], rows[1], n * sizeof *rows[0]);
  }
  ghee_batch_release(&cast);
  ghee_batch_release(&values);
  ghee_batch_release(&batch);
  ghee_schema_unref(coded);
  ghee_schema_unref(decoded);
}

/* ---- bounds ---- */

/* Rows of what is known of an int64, a float64 and a text: 0: 10 to 20, "b" to "d", no nulls; 1: the same, some nulls; 2: nothing but nulls;
 * 3: nothing is known; 4: all are 10, "b"; 5: the greatest real is NaN. */
enum { KNOWN = 6, OF_10 = 10 };

static void add_bound(ghee_builder *to, const char *name, const char *format, const void *data) {
  static const uint8_t bits = 0x33;
  SAMPLE_OK(ghee_builder_add_fixed(to, name, format, KNOWN, data, &bits, 2, NULL, 0, release_nothing, NULL, err));
}

static void add_nulls(ghee_builder *to, const char *name) {
  static const uint8_t bits = 0x37;
  static const int64_t nulls[KNOWN] = {0, 3, OF_10, 0, 0, 0};
  SAMPLE_OK(ghee_builder_add_fixed(to, name, "l", KNOWN, nulls, &bits, 1, NULL, 0, release_nothing, NULL, err));
}

static void add_text_bound(ghee_builder *to, const char *name, const char *usual, const char *single) {
  SAMPLE_OK(ghee_builder_begin_text(to, name, 0, err));
  for (int i = 0; i < KNOWN; i++) {
    if (i == 2 || i == 3) SAMPLE_OK(ghee_builder_append_null(to, err));
    else SAMPLE_OK(ghee_builder_append_text(to, i == 4 ? single : usual, 1, err));
  }
  SAMPLE_OK(ghee_builder_end_text(to, err));
}

static void make_bounds(const char *column, ghee_batch *out) {
  static const int64_t low[KNOWN] = {10, 10, 0, 0, 10, 10}, high[KNOWN] = {20, 20, 0, 0, 10, 20};
  static const double real_low[KNOWN] = {10, 10, 0, 0, 10, 10}, real_high[KNOWN] = {20, 20, 0, 0, 10, NAN};
  ghee_builder *to;
  SAMPLE_OK(ghee_builder_new(&to, err));
  if (*column == 'i') {
    add_bound(to, "least", "l", low);
    add_bound(to, "greatest", "l", high);
  } else if (*column == 'f') {
    add_bound(to, "least", "g", real_low);
    add_bound(to, "greatest", "g", real_high);
  } else {
    add_text_bound(to, "least", "b", "b");
    add_text_bound(to, "greatest", "d", "b");
  }
  add_nulls(to, "nulls");
  finish(to, out);
}

static void test_bounds_rule_out(void **state) {
  (void)state;
  static const struct { const char *filter, *may; } cases[] = {
      {"i = 9", "000100"}, {"i = 10", "110111"}, {"i = 15", "110101"}, {"i = 21", "000100"}, {"i < 10", "000100"}, {"i <= 10", "110111"},
      {"i > 20", "000100"}, {"i >= 20", "110101"}, {"i > 19.5", "110101"}, {"i > 20.5", "000100"}, {"i != 10", "110101"}, {"i != 15", "110111"},
      {"i in (1, 30)", "000100"}, {"i in (1, 12)", "110101"}, {"i not in (10)", "110101"}, {"i not in (10, 11)", "110101"}, {"i not in (9)", "110111"},
      {"not i = 10", "110101"}, {"not i >= 10", "000100"}, {"not i < 15", "110101"}, {"not (i < 10 or i > 20)", "110111"},
      {"i is null", "011100"}, {"i is not null", "110111"}, {"not (i is null)", "110111"}, {"i is null or i = 9", "011100"}, {"i is null and i = 9", "000100"},
      {"i = 15 and i = 9", "000100"}, {"i = 15 or i = 9", "110101"}, {"not (i = 15 and i = 9)", "110111"}, {"not (i >= 10 and i <= 20)", "000100"},
      {"f = 9", "000101"}, {"f >= 10", "110111"}, {"f < 10", "000101"}, {"f != 10", "110111"}, {"not f >= 10", "110111"}, {"not f < 10", "110111"},
      {"f not in (10)", "110111"}, {"f in (9, 21)", "000101"}, {"f is null", "011100"},
      {"t = 'a'", "000100"}, {"t = 'bx'", "110101"}, {"t < 'b'", "000100"}, {"t > 'd'", "000100"}, {"t >= 'd'", "110101"}, {"t in ('a', 'e')", "000100"},
      {"t != 'b'", "110101"}, {"t not in ('b')", "110101"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    static const sample_type columns[] = {{"i", "l", true, NULL, 0, NULL}, {"f", "g", true, NULL, 0, NULL}, {"t", "u", true, NULL, 0, NULL}};
    ghee_schema *schema = sample_schema(columns, 3);
    ghee_filter *filter;
    ghee_predicate *predicate;
    ghee_batch bounds = {0};
    SAMPLE_OK(ghee_filter_parse(cases[i].filter, &filter, err));
    SAMPLE_OK(ghee_predicate_new(filter, schema, &predicate, err));
    make_bounds(ghee_filter_columns(filter, &(size_t){0})[0], &bounds);
    for (int64_t at = 0; at < KNOWN; at++)
      if (ghee_predicate_may_pass(predicate, &bounds, at, OF_10) != (cases[i].may[at] == '1')) fail_msg("%s: row %d", cases[i].filter, (int)at);
    ghee_batch_release(&bounds);
    ghee_predicate_free(predicate);
    ghee_filter_free(filter);
    ghee_schema_unref(schema);
  }
}

static ghee_status select_once(void *user, ghee_error *err) {
  ghee_filter *filter = NULL;
  ghee_predicate *predicate = NULL;
  uint32_t rows[ROWS];
  size_t n;
  GHEE_TRY(ghee_filter_parse("not (i8 = 1 or word in ('a', 'b')) and f64 < 1", &filter, err));
  ghee_status status = ghee_predicate_new(filter, ((ghee_batch *)user)->schema, &predicate, err);
  if (status == GHEE_OK) status = ghee_predicate_select(predicate, user, rows, &n, err);
  ghee_predicate_free(predicate);
  ghee_filter_free(filter);
  return status;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  ghee_batch batch = {0};
  make_batch(&batch);
  assert_true(nth_alloc_each(select_once, &batch, GHEE_OK) > 10);
  ghee_batch_release(&batch);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_comparisons), cmocka_unit_test(test_what_is_refused), cmocka_unit_test(test_nulls_of_all_types),
      cmocka_unit_test(test_dictionaries_are_what_their_values_are), cmocka_unit_test(test_bounds_rule_out), cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
