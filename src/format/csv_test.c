/* SPDX-License-Identifier: Apache-2.0 */
#include "format/types_sample.h"

#include <stdio.h>

#include "format/shim.h"

static void types_come_back_or_are_refused(void **state) {
  (void)state;
  sample_least = 1;
  sample_check_types(&ghee_csv_ops, true,
                     "binary large_binary fixed_binary list large_list fixed_list map struct list_of_lists list_of_structs "
                     "interval_months interval_days interval_month_day_nano",
                     "");
}

/* The rows of a text as "a|b;c|d", nulls as "-", whatever the part size. */
static ghee_status rows_of(const char *text, size_t size, ghee_read_options how, uint64_t part_bytes, ghee_buffer *out, ghee_error *why) {
  sample_file in;
  ghee_batch got = {0};
  int64_t rows;
  GHEE_TRY(sample_open(&ghee_csv_ops, text, size, &how, &in, why));
  ghee_status status = sample_read_all(in.file, part_bytes, 8192, &got, &rows, why);
  if (status == GHEE_OK) {
    for (int64_t r = 0; r < rows; r++) {
      if (r) ghee_buffer_put(out, ";", 1);
      for (int64_t c = 0; c < got.array.n_children; c++) {
        const struct ArrowArray *column = got.array.children[c];
        const char *format = ghee_schema_arrow(got.schema)->children[c]->format;
        const uint8_t *valid = column->buffers[0];
        int64_t at = r + column->offset;
        if (c) ghee_buffer_put(out, "|", 1);
        if (valid && !(valid[at / 8] >> at % 8 & 1)) ghee_buffer_put(out, "-", 1);
        else if (*format == 'l') ghee_buffer_printf(out, "%lld", (long long)((const int64_t *)column->buffers[1])[at]);
        else if (*format == 'g') ghee_buffer_printf(out, "%g", ((const double *)column->buffers[1])[at]);
        else if (*format == 'u') {
          const int32_t *ends = column->buffers[1];
          ghee_buffer_put(out, (const char *)column->buffers[2] + ends[at], (size_t)(ends[at + 1] - ends[at]));
        } else ghee_buffer_printf(out, "?%s", format);
      }
    }
  }
  ghee_batch_release(&got);
  sample_close(&in);
  return status;
}

static void expect(const char *text, const char *rows, ghee_read_options how) {
  for (uint64_t part_bytes = 1; part_bytes < 64; part_bytes = part_bytes * 2 + 1) {
    ghee_buffer got = {0};
    SAMPLE_OK(rows_of(text, strlen(text), how, part_bytes, &got, err));
    assert_string_equal(ghee_buffer_text(&got), rows);
    ghee_buffer_fini(&got);
  }
}

static void text_in_all_its_habits(void **state) {
  (void)state;
  ghee_read_options plain = {0};
  expect("a,b\n1,x\n2,y\n", "1|x;2|y", plain);
  expect("a,b\n1,x\n2,y", "1|x;2|y", plain);                       /* no last line end */
  expect("a,b\r\n1,x\r\n2,y\r\n", "1|x;2|y", plain);
  expect("a,b\r1,x\r2,y\r", "1|x;2|y", plain);
  expect("\xef\xbb\xbf" "a,b\n1,x\n", "1|x", plain);               /* byte order mark */
  expect("\n\na,b\n\n1,x\n\n\n2,y\n\n", "1|x;2|y", plain);         /* blank lines */
  expect("a,b\n,\n2,\n", "-|-;2|-", plain);
  expect("a,b\n1.5,x\n2,y\n", "1.5|x;2|y", plain);
  expect("a,b\n", "", plain);
  expect("a,b", "", plain);
  expect("", "", plain);
  expect("a\n\xc3\xa9\n", "\xc3\xa9", plain);
}

static void quotes_hide_what_is_inside(void **state) {
  (void)state;
  ghee_read_options plain = {0};
  expect("a,b\n1,\"x\ny\"\n2,z\n", "1|x\ny;2|z", plain);
  expect("a,b\n1,\"x,y\"\n2,\"\"\"q\"\"\n\"\"\"\n3,\"\"\n", "1|x,y;2|\"q\"\n\";3|-", plain);
  expect("a,b\r\n1,\"x\r\ny\"\r\n2,z\r\n", "1|x\r\ny;2|z", plain);
  expect("a,b\n1,5\" pipe\n2,6\"\n3,\"7\"\"\n\"\n", "1|5\" pipe;2|6\";3|7\"\n", plain); /* a quote inside a bare field */
  expect("\"a\nb\",c\n1,x\n2,y\n", "1|x;2|y", plain);
  expect("\xef\xbb\xbf\"a\",b\n1,x\n", "1|x", plain);
}

static void options_are_heeded(void **state) {
  (void)state;
  expect("1;x\n2;y\n", "1|x;2|y", (ghee_read_options){.csv_delimiter = ';', .csv_no_header = true});
  expect("a,b\nNA,x\n2,NA\n", "-|x;2|-", (ghee_read_options){.csv_null = "NA"});
  expect("a,b\n*,x\n2,**\n", "-|x;2|**", (ghee_read_options){.csv_null = "*"});
  const char *names[] = {"column_2"};
  expect("1,x\n2,y\n", "x;y", (ghee_read_options){.csv_no_header = true, .columns = names, .n_columns = 1});
}

static void what_looks_like_a_time_and_is_none_stays_text(void **state) {
  (void)state;
  ghee_read_options plain = {0};
  expect("at\n2024-01-02 03:04:05 Mars\n", "2024-01-02 03:04:05 Mars", plain);
  expect("on\n2024-13-45\n", "2024-13-45", plain);
}

static void a_given_schema_is_found_by_name(void **state) {
  (void)state;
  static const sample_type given[] = {{"b", "u", true, NULL, 0, NULL}, {"a", "g", true, NULL, 0, NULL}};
  ghee_schema *schema = sample_schema(given, 2);
  ghee_read_options how = {.schema = schema};
  expect("a,b\n1,2\n", "2|1", how);
  expect("b,other,a\n1,zzz,2\n", "1|2", how);
  expect("", "", how);
  sample_file in;
  ghee_error why = {0};
  assert_int_equal(sample_open(&ghee_csv_ops, "a,c\n1,2\n", 8, &how, &in, &why), GHEE_SCHEMA);
  assert_non_null(strstr(why.message, "column b"));
  ghee_schema_unref(schema);
}

static void expect_failure(const char *text, ghee_read_options how, const char *words) {
  ghee_buffer got = {0};
  ghee_error why = {0};
  assert_int_equal(rows_of(text, strlen(text), how, 1 << 20, &got, &why), GHEE_CORRUPT);
  if (!strstr(why.message, words) || !strstr(why.message, "sample")) fail_msg("%s", why.message);
  ghee_buffer_fini(&got);
}

static void bad_rows_are_named(void **state) {
  (void)state;
  static const sample_type given[] = {{"a", "l", true, NULL, 0, NULL}, {"b", "u", true, NULL, 0, NULL}};
  ghee_schema *schema = sample_schema(given, 2);
  ghee_read_options typed = {.schema = schema}, plain = {0};
  expect_failure("a,b\n1,x\n\n2,\"y\nz\"\nfoo,z\n", typed, "line 6 (byte 17)");
  expect_failure("a,b\n1,x\n2\n", typed, "line 3 (byte 8)");
  expect_failure("a,b\n1,x\n2,\"y\n3,z\n", typed, "line 3 (byte 8): a quoted field");
  expect_failure("a,b\n1,x\n2,\xff\n", typed, "line 3");
  expect_failure("\na,b\n1,x,3\n", plain, "line 3: 2 columns expected, 3 found");
  expect_failure("a,b\n1,\"x\ny\"\n\n2\n", plain, "line 5: 2 columns expected, 1 found");
  expect_failure("a,b\n1,\xff\n", plain, "line 2");
  expect_failure("a,\xff\n1,x\n", plain, "line 1");
  expect_failure("a,b\n1,x\n2,\"y\"z\n3,x\n", plain, "line 3 (byte 8): text stands behind the closing quote");
  expect_failure("a,\"b\" \n1,x\n", plain, "line 1: text stands behind the closing quote");
  expect_failure("a,\"b\n1,x\n", plain, "line 1: a quoted field is not closed");
  ghee_schema_unref(schema);
}

static void a_bad_row_behind_many_is_named(void **state) {
  (void)state;
  ghee_buffer text = {0}, got = {0};
  ghee_buffer_printf(&text, "a,b\n");
  for (int i = 0; i < 200000; i++) ghee_buffer_printf(&text, "%d,word%d\n", i, i % 100);
  size_t at = text.size;
  ghee_buffer_printf(&text, "many,words\n1,x\n");
  char want[64];
  ghee_error why = {0};
  snprintf(want, sizeof want, "line 200002 (byte %zu)", at);
  assert_int_equal(rows_of((char *)text.data, text.size, (ghee_read_options){0}, 1 << 20, &got, &why), GHEE_CORRUPT);
  if (!strstr(why.message, want)) fail_msg("%s", why.message);
  ghee_buffer_fini(&text);
  ghee_buffer_fini(&got);
}

static void lines_may_be_very_long(void **state) {
  (void)state;
  enum { LONG = 5 << 20 };
  ghee_buffer text = {0}, got = {0};
  ghee_buffer_printf(&text, "a,b\n1,\"");
  for (int i = 0; i < LONG / 8; i++) ghee_buffer_put(&text, i % 100 ? "12345678" : "123\n\"\"78", 8);
  ghee_buffer_printf(&text, "\"\n2,x\n");
  SAMPLE_OK(rows_of((char *)text.data, text.size, (ghee_read_options){0}, 1000, &got, err));
  assert_string_equal(ghee_buffer_text(&got) + got.size - 4, ";2|x");
  assert_true(got.size > LONG - LONG / 50);
  ghee_buffer_fini(&text);
  ghee_buffer_fini(&got);
}

static void other_encodings_are_named(void **state) {
  (void)state;
  sample_file in;
  ghee_error why = {0};
  assert_int_equal(sample_open(&ghee_csv_ops, "\xff\xfe" "a\0,\0", 6, NULL, &in, &why), GHEE_UNSUPPORTED);
  assert_non_null(strstr(why.message, "UTF-16"));
  ghee_read_options odd = {.csv_delimiter = '"'};
  assert_int_equal(sample_open(&ghee_csv_ops, "a\n1\n", 4, &odd, &in, &why), GHEE_INVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(types_come_back_or_are_refused), cmocka_unit_test(text_in_all_its_habits),
      cmocka_unit_test(quotes_hide_what_is_inside),     cmocka_unit_test(options_are_heeded),
      cmocka_unit_test(what_looks_like_a_time_and_is_none_stays_text),
      cmocka_unit_test(a_given_schema_is_found_by_name), cmocka_unit_test(bad_rows_are_named),
      cmocka_unit_test(a_bad_row_behind_many_is_named), cmocka_unit_test(lines_may_be_very_long),
      cmocka_unit_test(other_encodings_are_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
