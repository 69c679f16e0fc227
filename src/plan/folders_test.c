/* SPDX-License-Identifier: Apache-2.0
 * Folders as columns: names, types, values. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/nth_alloc.h"
#include "batch/bits.h"
#include "batch/column.h"
#include "batch/types_sample.h"
#include "plan/folders.h"

static ghee_schema *schema; /* of the files */

static int setup(void **state) {
  (void)state;
  schema = sample_schema(sample_pair, 2);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  ghee_schema_unref(schema);
  return 0;
}

/* Paths below "file:/in/". */
static ghee_plan_listing listing_of(const char *const *paths, size_t n) {
  ghee_plan_listing of = {0};
  for (size_t i = 0; i < n; i++) {
    ghee_object_info info = {.uri = ghee_asprintf("file:/in/%s", paths[i]), .version = ghee_strdup("")};
    assert_true(info.uri && info.version && ghee_array_push(&of.files, info));
    assert_true(ghee_array_push(&of.prefixes, (uint32_t)strlen("file:/in/")));
  }
  return of;
}

/* "name kind" of each key, or the message. */
static const char *keys_of(const char *const *paths, size_t n) {
  static char text[GHEE_ERROR_SIZE + 64];
  ghee_plan_listing listing = listing_of(paths, n);
  ghee_folder_keys keys = {0};
  ghee_error err = {0};
  text[0] = 0;
  if (ghee_folder_keys_find(&listing, &keys, &err) != GHEE_OK) snprintf(text, sizeof text, "%s: %s", ghee_status_name(err.status), err.message);
  else
    for (size_t i = 0; i < keys.count; i++) sprintf(text + strlen(text), "%s %s ", keys.items[i].name, ghee_folder_format(keys.items[i].kind));
  ghee_folder_keys_fini(&keys);
  ghee_plan_listing_fini(&listing);
  return text;
}

static void test_names_and_types(void **state) {
  (void)state;
  static const struct { const char *paths[3], *want; } cases[] = {
      {{"a.csv", "b=1.csv"}, ""},
      {{"x/y/a.csv"}, ""},
      {{"=1/a.csv"}, ""},
      {{"k=1/a.csv", "k=-20/a.csv", "k=0/deep/a.csv"}, "k l "},
      {{"k=1/a.csv", "k=__HIVE_DEFAULT_PARTITION__/a.csv"}, "k l "},
      {{"k=__HIVE_DEFAULT_PARTITION__/a.csv"}, "k u "},
      {{"k=01/a.csv", "k=2/a.csv"}, "k u "},
      {{"k=9223372036854775807/a.csv"}, "k l "},
      {{"k=9223372036854775808/a.csv"}, "k u "},
      {{"k=/a.csv"}, "k u "},
      {{"day=2024-02-29/a.csv", "day=1969-12-31/b.csv"}, "day tdD "},
      {{"day=2023-02-29/a.csv"}, "day u "},
      {{"day=2024-2-9/a.csv"}, "day u "},
      {{"k=true/a.csv", "k=false/a.csv"}, "k b "},
      {{"k=true/a.csv", "k=1/a.csv"}, "k u "},
      {{"t/a=1/b=x%2Fy/c.csv", "t/a=2/x/b=z/c.csv"}, "a l b u "},
      {{"a%20b=1=2/c.csv"}, "a b u "},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t n = 0;
    while (n < 3 && cases[i].paths[n]) n++;
    const char *got = keys_of(cases[i].paths, n);
    if (strcmp(got, cases[i].want) != 0) fail_msg("%s …: '%s', not '%s'", cases[i].paths[0], got, cases[i].want);
  }
}

static void test_what_is_refused(void **state) {
  (void)state;
  static const struct { const char *paths[2], *words; } cases[] = {
      {{"a=1/x.csv", "x.csv"}, "file:/in/x.csv does not lie in folders of the same keys as file:/in/a=1/x.csv"},
      {{"a=1/b=1/x.csv", "b=1/c=1/x.csv"}, "same keys"},
      {{"a=1/x.csv", "a=1/b=1/x.csv"}, "same keys"},
      {{"a=1/a=2/x.csv", "a=1/a=2/y.csv"}, "the key a is twice"},
      {{"a=%FF/x.csv", "a=1/x.csv"}, "not UTF-8"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *got = keys_of(cases[i].paths, 2);
    if (strncmp(got, "schema: ", 8) != 0 || !strstr(got, cases[i].words)) fail_msg("%s …: %s", cases[i].paths[0], got);
  }
}

static ghee_status read_one(const ghee_folder_keys *keys, const char *path, ghee_batch *out, ghee_error *err) {
  ghee_schema *whole = NULL;
  static const char *const columns[] = {"t", "y", "n", "d", "b", "none"};
  ghee_folder_values values = {0};
  ghee_batch batch = {0};
  ghee_status status = ghee_folder_schema(keys, schema, columns, 6, &whole, err);
  if (status == GHEE_OK) status = ghee_folder_values_read(keys, path, &values, err);
  if (status == GHEE_OK) status = ghee_batch_zeros(schema, 3, &batch, err);
  if (status == GHEE_OK) status = ghee_folder_add(keys, &values, whole, &batch, out, err);
  assert_null(batch.schema);
  ghee_folder_values_fini(&values);
  ghee_schema_unref(whole);
  return status;
}

static ghee_folder_key all_keys[] = {{"t", GHEE_STRING}, {"n", GHEE_INT64}, {"d", GHEE_DATE32}, {"b", GHEE_BOOL}, {"none", GHEE_STRING}};
static const ghee_folder_keys keys_of_all = {.items = all_keys, .count = 5};
#define PATH_OF_ALL "t=a%2Fb/n=-7/d=1970-01-03/b=true/none=__HIVE_DEFAULT_PARTITION__/x.parquet"

static void test_values_are_in_every_row(void **state) {
  (void)state;
  ghee_batch batch = {0};
  SAMPLE_OK(read_one(&keys_of_all, PATH_OF_ALL, &batch, err));
  assert_int_equal(ghee_batch_rows(&batch), 3);
  assert_int_equal(ghee_schema_columns(batch.schema), 6);
  ghee_column t = ghee_column_at(&batch, 0), n = ghee_column_at(&batch, 2), d = ghee_column_at(&batch, 3), b = ghee_column_at(&batch, 4), none = ghee_column_at(&batch, 5);
  assert_memory_equal(t.array->buffers[2], "a/ba/ba/b", 9);
  for (int64_t row = 0; row < 3; row++) {
    assert_int_equal(ghee_column_offset(&t, row + 1), 3 * (row + 1));
    assert_int_equal(ghee_column_number(&n, row), -7);
    assert_int_equal(ghee_column_number(&d, row), 2);
    assert_true(ghee_bit(b.array->buffers[1], row));
    assert_true(ghee_column_valid(&t, row) && !ghee_column_valid(&none, row));
  }
  assert_int_equal(ghee_column_nulls(&none), 3);
  ghee_batch_release(&batch);

  ghee_error err;
  assert_int_equal(read_one(&keys_of_all, "t=a/n=x/d=1970-01-03/b=true/none=1/x.parquet", &batch, &err), GHEE_CORRUPT);
  assert_string_equal(err.message, "x is no value of the key n");
  assert_int_equal(read_one(&keys_of_all, "t=a/x.parquet", &batch, &err), GHEE_CORRUPT);
}

static ghee_status use_all(void *user, ghee_error *err) {
  ghee_folder_keys keys = {0};
  ghee_batch batch = {0};
  ghee_status status = ghee_folder_keys_find(user, &keys, err);
  if (status == GHEE_OK) status = read_one(&keys_of_all, PATH_OF_ALL, &batch, err);
  ghee_batch_release(&batch);
  ghee_folder_keys_fini(&keys);
  return status;
}

static void test_no_memory(void **state) {
  (void)state;
  static const char *const paths[] = {"k=1/j=a/a.csv", "k=2/j=b/b.csv"};
  ghee_plan_listing listing = listing_of(paths, 2);
  nth_alloc_each(use_all, &listing, GHEE_OK);
  ghee_plan_listing_fini(&listing);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_names_and_types), cmocka_unit_test(test_what_is_refused), cmocka_unit_test(test_values_are_in_every_row),
                                     cmocka_unit_test(test_no_memory)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
