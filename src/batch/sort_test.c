/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>

#include "base/nth_alloc.h"
#include "batch/column.h"
#include "batch/sort.h"
#include "batch/types_sample.h"

enum { ROWS = 200 };

/* All types that have an order: nulls last, values of a sort next to each other rising, equal rows in their old order. */
static void test_all_types(void **state) {
  (void)state;
  ghee_schema *schema = sample_schema(sample_all_types, SAMPLE_TYPES);
  ghee_batch batch = {0};
  sample_batch(schema, sample_all_types, SAMPLE_TYPES, ROWS, 1, &batch);
  int sorted = 0;
  for (int64_t c = 0; c < SAMPLE_TYPES; c++) {
    uint32_t rows[2][ROWS];
    ghee_sort_key up = {sample_all_types[c].name, false}, down = {sample_all_types[c].name, true};
    ghee_error err;
    ghee_status status = ghee_batch_sort(&batch, &up, 1, rows[0], &err);
    if (status == GHEE_SCHEMA) {
      assert_non_null(strstr(err.message, sample_all_types[c].name));
      continue;
    }
    assert_int_equal(status, GHEE_OK);
    assert_int_equal(ghee_batch_sort(&batch, &down, 1, rows[1], NULL), GHEE_OK);
    ghee_column column = ghee_column_at(&batch, c);
    bool seen[2][ROWS] = {{false}};
    for (int d = 0; d < 2; d++) {
      for (int i = 0; i < ROWS; i++) {
        assert_false(seen[d][rows[d][i]]);
        seen[d][rows[d][i]] = true;
        if (i == 0) continue;
        bool before = ghee_column_valid(&column, rows[d][i - 1]), now = ghee_column_valid(&column, rows[d][i]);
        if (!column.field->dictionary) assert_true(before || !now);
        if (ghee_column_same(&column, rows[d][i - 1], &column, rows[d][i])) assert_true(rows[d][i - 1] < rows[d][i]);
      }
    }
    sorted++;
  }
  assert_int_equal(sorted, 35);
  ghee_batch_release(&batch);
  ghee_schema_unref(schema);
}

/* Values against an order that is written down. */
static void check(const sample_type *type, const void *data, const uint32_t *want, bool descending) {
  ghee_schema *schema = sample_schema(type, 1);
  uint8_t validity = 0x1f; /* row 5 is null */
  const void *buffers[3] = {&validity, data, NULL}, *none = NULL;
  struct ArrowArray child = {.length = 6, .null_count = 1, .n_buffers = 2, .buffers = buffers}, *children = &child;
  ghee_batch batch = {.schema = schema, .array = {.length = 6, .n_buffers = 1, .buffers = &none, .n_children = 1, .children = &children}};
  uint32_t rows[6];
  assert_int_equal(ghee_batch_sort(&batch, &(ghee_sort_key){type->name, descending}, 1, rows, NULL), GHEE_OK);
  assert_memory_equal(rows, want, sizeof rows);
  ghee_schema_unref(schema);
}

static void test_numbers(void **state) {
  (void)state;
  static const sample_type real = {"r", "g", true, NULL, 0, NULL}, wide = {"u", "L", true, NULL, 0, NULL}, narrow = {"i", "c", true, NULL, 0, NULL};
  const double reals[6] = {NAN, 0.0, -INFINITY, -0.0, INFINITY, 7};
  const uint64_t wides[6] = {UINT64_MAX, 0, 1ULL << 63, 5, 5, 7};
  const int8_t narrows[6] = {-1, 0, -128, 127, 0, 7};
  check(&real, reals, (const uint32_t[]){2, 1, 3, 4, 0, 5}, false);
  check(&real, reals, (const uint32_t[]){0, 4, 1, 3, 2, 5}, true);
  check(&wide, wides, (const uint32_t[]){1, 3, 4, 2, 0, 5}, false);
  check(&narrow, narrows, (const uint32_t[]){2, 0, 1, 4, 3, 5}, false);
  check(&narrow, narrows, (const uint32_t[]){3, 1, 4, 0, 2, 5}, true);
}

static void test_what_is_not_there(void **state) {
  (void)state;
  ghee_schema *schema = sample_schema(sample_pair, 2);
  ghee_batch batch = {0};
  uint32_t rows[3];
  ghee_error err;
  sample_batch(schema, sample_pair, 2, 3, 1, &batch);
  assert_int_equal(ghee_batch_sort(&batch, &(ghee_sort_key){"z", false}, 1, rows, &err), GHEE_NOT_FOUND);
  ghee_batch_release(&batch);
  ghee_schema_unref(schema);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_types), cmocka_unit_test(test_numbers), cmocka_unit_test(test_what_is_not_there)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
