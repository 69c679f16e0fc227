/* SPDX-License-Identifier: Apache-2.0 */
#include "format/sample.h"

static void finds_by_name(void **state) {
  (void)state;
  assert_string_equal(ghee_format_named("parquet")->name, "parquet");
  assert_string_equal(ghee_format_named("jsonl")->name, "jsonl");
  assert_string_equal(ghee_format_named("orc")->name, "orc");
  assert_null(ghee_format_named("orc")->create);
  assert_null(ghee_format_named("xlsx"));
  assert_null(ghee_format_named(""));
  assert_null(ghee_format_named("Parquet"));
}

static void finds_by_suffix(void **state) {
  (void)state;
  assert_string_equal(ghee_format_of_path("a/b.parquet")->name, "parquet");
  assert_string_equal(ghee_format_of_path("a.b.csv")->name, "csv");
  assert_string_equal(ghee_format_of_path("x.ndjson")->name, "jsonl");
  assert_string_equal(ghee_format_of_path("x.arrow")->name, "ipc");
  assert_string_equal(ghee_format_of_path("x.orc")->name, "orc");
  assert_string_equal(ghee_format_of_path("x.csv.gz")->name, "csv");
  assert_string_equal(ghee_format_of_path("x.ndjson.zst")->name, "jsonl");
  assert_null(ghee_format_of_path("x.parquet.gz"));
  assert_null(ghee_format_of_path(".csv"));
  assert_null(ghee_format_of_path(""));
}

static void names_are_those_of_the_table(void **state) {
  (void)state;
  char *names = ghee_strdup(ghee_format_names());
  for (char *name = strtok(names, ", "); name; name = strtok(NULL, ", ")) assert_non_null(ghee_format_named(name));
  ghee_free(names);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_by_name),
      cmocka_unit_test(finds_by_suffix),
      cmocka_unit_test(names_are_those_of_the_table),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
