/* SPDX-License-Identifier: Apache-2.0 */
#include "format/types_sample.h"

#include <stdio.h>

#include "format/shim.h"

static void types_come_back_or_are_refused(void **state) {
  (void)state;
  sample_check_types(&ghee_jsonl_ops, true, "interval_months interval_days interval_month_day_nano", "");
}

static ghee_status read_text(const char *text, size_t size, uint64_t part_bytes, ghee_batch *out, int64_t *rows, ghee_error *why) {
  sample_file in;
  *rows = 0;
  GHEE_TRY(sample_open(&ghee_jsonl_ops, text, size, NULL, &in, why));
  ghee_status status = sample_read_all(in.file, part_bytes, 8192, out, rows, why);
  sample_close(&in);
  return status;
}

static void expect_rows(const char *text, int64_t want) {
  for (uint64_t part_bytes = 1; part_bytes < 64; part_bytes = part_bytes * 2 + 1) {
    int64_t rows;
    SAMPLE_OK(read_text(text, strlen(text), part_bytes, NULL, &rows, err));
    assert_int_equal(rows, want);
  }
}

static void lines_in_all_their_habits(void **state) {
  (void)state;
  expect_rows("{\"a\":1}\n{\"a\":2}\n", 2);
  expect_rows("{\"a\":1}\n{\"a\":2}", 2);
  expect_rows("{\"a\":1}\r\n{\"a\":2}\r\n", 2);
  expect_rows("\xef\xbb\xbf{\"a\":1}\n", 1);
  expect_rows("\n\n{\"a\":1}\n \t\n\n{\"b\":\"\\n\"}\n\n", 2);
  expect_rows("{}\n{}\n", 2);
  expect_rows("", 0);
  expect_rows("\n", 0);
}

static void columns_come_in_order_of_appearance(void **state) {
  (void)state;
  const char *text = "{\"z\":1,\"a\":null}\n{\"m\":[{\"k\":1}],\"z\":2.5}\n";
  sample_file in;
  SAMPLE_OK(sample_open(&ghee_jsonl_ops, text, strlen(text), NULL, &in, err));
  ghee_schema *schema = ghee_jsonl_ops.schema(in.file);
  assert_int_equal(ghee_schema_find(schema, "z"), 0);
  assert_int_equal(ghee_schema_find(schema, "a"), 1);
  assert_int_equal(ghee_schema_find(schema, "m"), 2);
  assert_string_equal(ghee_schema_arrow(schema)->children[0]->format, "g");
  assert_string_equal(ghee_schema_arrow(schema)->children[1]->format, "u");
  assert_string_equal(ghee_schema_arrow(schema)->children[2]->format, "+l");
  sample_close(&in);
}

static void expect_failure(const char *text, const char *words) {
  int64_t rows;
  ghee_error why = {0};
  assert_int_equal(read_text(text, strlen(text), 1 << 20, NULL, &rows, &why), GHEE_CORRUPT);
  if (!strstr(why.message, words) || !strstr(why.message, "sample")) fail_msg("%s", why.message);
}

static void bad_lines_are_named(void **state) {
  (void)state;
  expect_failure("{\"a\":1}\n\n[2]\n", "line 3");
  expect_failure("{\"a\":1}\n{\"a\":\n", "line 2");
  expect_failure("{\"a\":1}\n{\"a\":1}}\n", "line 2");
  expect_failure("not json\n", "line 1");
  expect_failure("{\"a\":1e999}\n", "head: ");
}

static void expect_unsupported(const char *text, const char *words) {
  sample_file in;
  ghee_error why = {0};
  assert_int_equal(sample_open(&ghee_jsonl_ops, text, strlen(text), NULL, &in, &why), GHEE_UNSUPPORTED);
  if (!strstr(why.message, words) || !strstr(why.message, "sample")) fail_msg("%s", why.message);
}

static void other_json_is_named(void **state) {
  (void)state;
  expect_unsupported("[{\"a\":1},\n {\"a\":2}]\n", "not JSON lines");
  expect_unsupported("{\n  \"a\": 1\n}\n", "not JSON lines");
  expect_unsupported("{\"a\":1} {\"a\":2}\n", "not JSON lines");
  expect_unsupported("\n{\"a\":{\"b\":1}}\n{\"a\":2}\n", "mixes kinds");
  expect_unsupported("{\"a\":1}\n{\"a\":[1]}\n", "mixes kinds");
  expect_unsupported("{\"a\\u0000b\":1}\n", "NUL");
}

/* Beyond the head, where types are settled. */
static void a_bad_line_behind_many_is_named(void **state) {
  (void)state;
  static const char *const bad[] = {"{\"a\":\"many\"}\n", "{\"a\":1\n", "[1]\n", "{\"a\":\"\xff\xfe\"}\n"};
  for (int i = 0; i < 4; i++) {
    ghee_buffer text = {0};
    for (int k = 0; k < 150000; k++) ghee_buffer_printf(&text, "{\"a\":%d}\n", k);
    char want[64];
    snprintf(want, sizeof want, "line 150001 (byte %zu)", text.size);
    ghee_buffer_printf(&text, "%s", bad[i]);
    if (i != 1) ghee_buffer_printf(&text, "{\"a\":1}\n");
    expect_failure(ghee_buffer_text(&text), want);
    ghee_buffer_fini(&text);
  }
}

static void deep_nesting_does_no_harm(void **state) {
  (void)state;
  enum { DEPTH = 200000 };
  ghee_buffer text = {0};
  ghee_buffer_printf(&text, "{\"a\":");
  for (int i = 0; i < DEPTH; i++) ghee_buffer_put(&text, "[", 1);
  for (int i = 0; i < DEPTH; i++) ghee_buffer_put(&text, "]", 1);
  ghee_buffer_printf(&text, "}\n");
  int64_t rows;
  assert_int_equal(read_text((char *)text.data, text.size, 1 << 20, NULL, &rows, NULL), GHEE_CORRUPT);
  ghee_buffer_fini(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(types_come_back_or_are_refused),
      cmocka_unit_test(lines_in_all_their_habits),
      cmocka_unit_test(columns_come_in_order_of_appearance),
      cmocka_unit_test(bad_lines_are_named),
      cmocka_unit_test(other_json_is_named),
      cmocka_unit_test(a_bad_line_behind_many_is_named),
      cmocka_unit_test(deep_nesting_does_no_harm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
