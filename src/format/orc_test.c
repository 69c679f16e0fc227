/* SPDX-License-Identifier: Apache-2.0 */
#include "format/orc_sample.h"

#include <stdio.h>

#include "format/shim.h"

enum { ROWS = 1000, WIDE = 40, WIDE_ROWS = 20000 };

static const sample_type types[] = {
    {"bool", "b", true, NULL, 0, NULL},     {"int8", "c", true, NULL, 0, NULL},        {"int16", "s", true, NULL, 0, NULL},
    {"int32", "i", false, NULL, 0, NULL},   {"int64", "l", true, NULL, 0, NULL},       {"float32", "f", true, NULL, 0, NULL},
    {"float64", "g", true, NULL, 0, NULL},  {"string", "u", true, NULL, 0, NULL},      {"binary", "z", true, NULL, 0, NULL},
    {"date32", "tdD", true, NULL, 0, NULL}, {"instant", "tsn:UTC", true, NULL, 0, NULL}, {"clock", "tsn:", true, NULL, 0, NULL},
};
enum { TYPES = sizeof types / sizeof *types };

static void every_type_comes_back(void **state) {
  (void)state;
  ghee_schema *schema = sample_schema(types, TYPES);
  for (int second = 0; second < 2; second++) {
    ghee_batch table, got = {0};
    ghee_buffer bytes = {0};
    sample_file in;
    int64_t rows;
    sample_batch(schema, types, TYPES, ROWS, 3, &table);
    orc_sample_write(schema, &table, 400, second, &bytes);
    SAMPLE_OK(sample_open(&ghee_orc_ops, bytes.data, bytes.size, &(ghee_read_options){.batch_rows = 77}, &in, err));
    SAMPLE_OK(sample_read_all(in.file, 0, 77, &got, &rows, err));
    assert_int_equal(rows, ROWS);
    assert_true(ghee_schema_equal(got.schema, schema));
    assert_true(ghee_batch_equal(&got, &table));
    sample_close(&in);
    ghee_batch_release(&got);
    ghee_batch_release(&table);
    ghee_buffer_fini(&bytes);
  }
  ghee_schema_unref(schema);
}

static void only_the_streams_of_wanted_columns_are_fetched(void **state) {
  (void)state;
  static char names[WIDE][8];
  sample_type wide[WIDE];
  for (int i = 0; i < WIDE; i++) {
    snprintf(names[i], sizeof names[i], "c%d", i);
    wide[i] = (sample_type){names[i], i % 2 ? "g" : "l", true, NULL, 0, NULL};
  }
  ghee_schema *schema = sample_schema(wide, WIDE);
  ghee_batch table;
  ghee_buffer bytes = {0};
  sample_batch(schema, wide, WIDE, WIDE_ROWS, 3, &table);
  orc_sample_write(schema, &table, WIDE_ROWS / 2, true, &bytes);
  sample_counted source = sample_count(&bytes);
  const char *some[] = {"c3", "c20", "c39"};
  ghee_file *file;
  SAMPLE_OK(ghee_orc_ops.open(&source.base, &(ghee_read_options){.columns = some, .n_columns = 3}, &file, err));
  assert_true(source.reads <= 2);
  sample_parts parts = {.count = 0};
  SAMPLE_OK(ghee_orc_ops.parts(file, 0, sample_each, &parts, err));
  assert_int_equal(parts.count, 2);
  source.reads = 0;
  source.bytes_read = 0;
  uint64_t wanted = 0;
  for (int i = 0; i < 2; i++) {
    ghee_batch batches[16];
    size_t n = 0;
    SAMPLE_OK(sample_read(file, &parts.items[i], 0, 8192, batches, &n, err));
    for (size_t k = 0; k < n; k++) ghee_batch_release(&batches[k]);
    wanted += parts.items[i].size_bytes;
  }
  assert_true(source.reads <= 2 * 4); /* a stripe's footer, and at most a read for each column */
  assert_true(source.bytes_read >= wanted);
  assert_true(source.bytes_read * 10 <= wanted * 11);
  assert_true(wanted < bytes.size / 10);
  ghee_orc_ops.close(file);
  ghee_buffer_fini(&bytes);
  ghee_batch_release(&table);
  ghee_schema_unref(schema);
}

/* The types of a file of one column `a`, by the number of its kind. */
static void put_types(ghee_buffer *footer, uint64_t kind) {
  ghee_buffer type = {0};
  orc_number(&type, 1, 12);
  orc_number(&type, 2, 1);
  orc_text(&type, 3, "a");
  orc_bytes(footer, 4, &type);
  orc_number(&type, 1, kind);
  orc_bytes(footer, 4, &type);
  ghee_buffer_fini(&type);
}

/* A file of one column `a` of a type by its number, without stripes, whose footer and postscript hold these bytes as well. */
static void make(ghee_buffer *out, uint64_t kind, uint64_t codec, uint64_t more_footer) {
  ghee_buffer footer = {0}, inner = {0};
  put_types(&footer, kind);
  if (more_footer) orc_text(&footer, more_footer, "");
  orc_number(&inner, 1, footer.size);
  orc_number(&inner, 2, codec);
  orc_end(&footer, &inner, out);
}

static void what_cannot_be_held_is_named(void **state) {
  (void)state;
  static const struct {
    uint64_t kind, codec, more;
    ghee_status status;
    const char *words;
  } cases[] = {
      {13, 0, 0, GHEE_UNSUPPORTED, "column a: union"},
      {77, 0, 0, GHEE_UNSUPPORTED, "column a: its type has the number 77"},
      {4, 3, 0, GHEE_UNSUPPORTED, "LZO"},
      {4, 6, 0, GHEE_UNSUPPORTED, "Brotli"},
      {4, 9, 0, GHEE_CORRUPT, "codec has the number 9"},
      {4, 0, 10, GHEE_UNSUPPORTED, "encrypted"},
      {10, 0, 0, GHEE_CORRUPT, "type 1 has 0 types inside"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ghee_buffer bytes = {0};
    ghee_error err = {0};
    sample_file in;
    make(&bytes, cases[i].kind, cases[i].codec, cases[i].more);
    assert_int_equal(sample_open(&ghee_orc_ops, bytes.data, bytes.size, NULL, &in, &err), cases[i].status);
    if (!strstr(err.message, cases[i].words)) fail_msg("%s", err.message);
    assert_non_null(strstr(err.message, "sample"));
    ghee_buffer_fini(&bytes);
  }
}

/* A stripe of one column; `a` bytes of data, as they are, claimed to be so many rows. */
static ghee_status read_stripe(uint64_t kind, const char *data, size_t size, const char *secondary, size_t secondary_size, const char *zone,
                               int64_t rows, ghee_batch *got, ghee_error *err) {
  ghee_buffer bytes = {0}, stripe = {0}, footer = {0}, inner = {0}, part = {0};
  sample_file in;
  ghee_buffer_put(&bytes, "ORC", 3);
  ghee_buffer_put(&part, data, size);
  orc_stream(&bytes, &part, ORC_DATA, 1, &stripe);
  ghee_buffer_put(&part, secondary, secondary_size);
  orc_stream(&bytes, &part, ORC_SECONDARY, 1, &stripe);
  for (int i = 0; i < 2; i++) {
    orc_number(&inner, 1, i ? 2 : 0);
    orc_bytes(&stripe, 2, &inner);
  }
  orc_text(&stripe, 3, zone);
  orc_number(&inner, 1, 3);
  orc_number(&inner, 3, size + secondary_size);
  orc_number(&inner, 4, stripe.size);
  orc_number(&inner, 5, (uint64_t)rows);
  orc_bytes(&footer, 3, &inner);
  ghee_buffer_put(&bytes, stripe.data, stripe.size);
  put_types(&footer, kind);
  orc_number(&inner, 1, footer.size);
  orc_end(&footer, &inner, &bytes);
  ghee_status status = sample_open(&ghee_orc_ops, bytes.data, bytes.size, NULL, &in, err);
  if (status == GHEE_OK) {
    int64_t read;
    status = sample_read_all(in.file, 0, 8192, got, &read, err);
    sample_close(&in);
  }
  ghee_buffer_fini(&bytes);
  ghee_buffer_fini(&stripe);
  return status;
}

#define BYTES(text) text, sizeof text - 1

static void runs_of_the_second_version_are_those_of_the_specification(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t size;
    int64_t rows, numbers[20];
  } cases[] = {
      {BYTES("\x0a\x4e\x20"), 5, {10000, 10000, 10000, 10000, 10000}},
      {BYTES("\x5e\x03\xb9\x42\xa1\xe2\xc7\x74\xfd\xc1"), 4, {23713, 20721, 25530, -32481}},
      {BYTES("\x8e\x13\x2b\x21\x07\xd0\x1e\x00\x14\x70\x28\x32\x3c\x46\x50\x5a\x64\x6e\x78\x82\x8c\x96\xa0\xaa\xb4\xbe\xfc\xe8"),
       20, {2030, 2000, 2020, 1000000, 2040, 2050, 2060, 2070, 2080, 2090, 2100, 2110, 2120, 2130, 2140, 2150, 2160, 2170, 2180, 2190}},
      {BYTES("\xc6\x09\x04\x02\x22\x42\x42\x46"), 10, {2, 3, 5, 7, 11, 13, 17, 19, 23, 29}},
      {BYTES("\xc0\x03\x04\x03"), 4, {2, 0, -2, -4}},
      {BYTES("\xc0\x00\x04\x03"), 1, {2}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ghee_batch got = {0};
    SAMPLE_OK(read_stripe(4, cases[i].bytes, cases[i].size, "", 0, "", cases[i].rows, &got, err));
    ghee_column column = ghee_column_at(&got, 0);
    assert_int_equal(column.length, cases[i].rows);
    for (int64_t row = 0; row < column.length; row++) assert_int_equal(ghee_column_number(&column, row), cases[i].numbers[row]);
    ghee_batch_release(&got);
  }
}

/* Seconds 0 of a plain timestamp are the writer's 2015-01-01, whatever its zone; summer comes with an hour more. */
static void timestamps_are_what_the_writers_clock_showed(void **state) {
  (void)state;
  static const char *const zones[] = {"", "UTC", "US/Pacific", "Europe/Berlin", "Asia/Kolkata"};
  static const int64_t summer[] = {0, 0, 3600, 3600, 0};
  for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
    ghee_batch got = {0};
    /* 0 and 200 days (17280000 s), signed and in 32 bits; 0.5 s as 5 with eight zeros behind it, and 1 ns */
    SAMPLE_OK(read_stripe(9, BYTES("\x76\x01\x00\x00\x00\x00\x02\x0f\x58\x00"), BYTES("\x4e\x01\x2f\x08"), zones[i], 2, &got, err));
    ghee_column column = ghee_column_at(&got, 0);
    assert_int_equal(ghee_column_number(&column, 0), ORC_BEGIN * INT64_C(1000000000) + 500000000);
    assert_int_equal(ghee_column_number(&column, 1), (ORC_BEGIN + 17280000 + summer[i]) * INT64_C(1000000000) + 1);
    ghee_batch_release(&got);
  }
  ghee_error err = {0};
  assert_int_equal(read_stripe(9, BYTES("\x42\x00\x00"), BYTES("\x42\x00\x00"), "Mars/Olympus", 1, NULL, &err), GHEE_UNSUPPORTED);
  assert_non_null(strstr(err.message, "Mars/Olympus"));
  assert_int_equal(read_stripe(9, BYTES("\x7e\x00\x00\x00\x00\x7f\xff\xff\xff\xff"), BYTES("\x42\x00\x00"), "", 1, NULL, &err), GHEE_UNSUPPORTED);
  assert_non_null(strstr(err.message, "stripe 0: column a: a timestamp outside of the years"));
}

static void claims_that_the_bytes_do_not_keep_are_refused(void **state) {
  (void)state;
  ghee_error err = {0};
  assert_int_equal(read_stripe(4, BYTES("\x0a\x4e\x20"), "", 0, "", INT64_C(1) << 40, NULL, &err), GHEE_CORRUPT);
  assert_non_null(strstr(err.message, "stripe 0: column a: a stream ends before its values do"));
  assert_int_equal(read_stripe(2, BYTES("\x10\x01\x00\x00\x00"), "", 0, "", 3, NULL, &err), GHEE_CORRUPT);
  assert_non_null(strstr(err.message, "beyond its type"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_comes_back),
      cmocka_unit_test(only_the_streams_of_wanted_columns_are_fetched),
      cmocka_unit_test(what_cannot_be_held_is_named),
      cmocka_unit_test(runs_of_the_second_version_are_those_of_the_specification),
      cmocka_unit_test(timestamps_are_what_the_writers_clock_showed),
      cmocka_unit_test(claims_that_the_bytes_do_not_keep_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
