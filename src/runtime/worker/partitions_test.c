/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/nth_alloc.h"
#include "batch/types_sample.h"
#include "runtime/worker/partition_name.h"
#include "runtime/worker/partitions.h"

static const sample_type columns[] = {{"flag", "b", true, NULL, 0, NULL}, {"id", "l", false, NULL, 0, NULL}, {"word", "c", true, NULL, 0, &sample_words},
                                      {"text", "u", true, NULL, 0, NULL}};
static const char *const by[] = {"flag", "word"};

static void make(int64_t rows, unsigned seed, ghee_batch *out) {
  ghee_schema *schema = sample_schema(columns, 4);
  sample_batch(schema, columns, 4, rows, seed, out);
  ghee_schema_unref(schema);
}

/* The name that a row's folder has, by the pieces of it. */
static void name_of(const ghee_batch *batch, int64_t row, ghee_buffer *out) {
  for (int c = 0; c < 2; c++) {
    ghee_column column = ghee_column_at(batch, ghee_schema_find(batch->schema, by[c]));
    if (c) ghee_buffer_put(out, "/", 1);
    ghee_partition_name_put(out, &column, row);
  }
}

/* The rows of one folder, in order: what must come out of its partition. */
static void expect(const ghee_batch *batch, const char *folder, ghee_batch *out) {
  static const char *const kept[] = {"id", "text"};
  uint32_t rows[1000];
  size_t n = 0;
  ghee_batch chosen = {0}, copy = {0};
  for (int64_t row = 0; row < ghee_batch_rows(batch); row++) {
    ghee_buffer name = {0};
    name_of(batch, row, &name);
    if (strcmp(ghee_buffer_text(&name), folder) == 0) rows[n++] = (uint32_t)row;
    ghee_buffer_fini(&name);
  }
  SAMPLE_OK(ghee_batch_take(batch, rows, n, &copy, err));
  SAMPLE_OK(ghee_batch_project(&copy, kept, 2, &chosen, err));
  ghee_batch_release(&copy);
  ghee_batch_move(&chosen, out);
}

static void check(size_t budget_bytes) {
  ghee_partitions *of;
  ghee_batch pieces[2] = {{0}}, all = {0};
  SAMPLE_OK(ghee_partitions_new(by, 2, budget_bytes, "/tmp", &of, err));
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 2; i++) {
      make(300, (unsigned)(round * 2 + i), &pieces[i]);
      SAMPLE_OK(ghee_partitions_push(of, &pieces[i], err));
    }
    SAMPLE_OK(ghee_batch_concat(pieces, 2, &all, err));
    size_t n = ghee_partitions_count(of);
    int64_t rows = 0;
    assert_true(n > 4 && ghee_partitions_bytes(of) > 0);
    for (size_t i = 0; i < n; i++) {
      ghee_batch got[2] = {{0}}, together = {0}, wanted = {0};
      size_t popped = 0;
      while (popped < 2 && ghee_partitions_pop(of, i, &got[popped], NULL) == GHEE_OK) popped++;
      SAMPLE_OK(ghee_batch_concat(got, popped, &together, err));
      expect(&all, ghee_partitions_name(of, i), &wanted);
      if (!ghee_batch_equal(&together, &wanted)) fail_msg("the rows of %s", ghee_partitions_name(of, i));
      rows += ghee_batch_rows(&together);
      for (size_t k = 0; k < popped; k++) ghee_batch_release(&got[k]);
      ghee_batch_release(&together);
      ghee_batch_release(&wanted);
    }
    assert_int_equal(rows, 600);
    for (int i = 0; i < 2; i++) ghee_batch_release(&pieces[i]);
    ghee_batch_release(&all);
    ghee_partitions_clear(of);
    assert_int_equal(ghee_partitions_count(of), 0);
  }
  ghee_partitions_free(of);
}

static void test_rows_come_out_of_their_partition(void **state) {
  (void)state;
  check(1 << 20);
  check(4000); /* most of them by the file */
}

static ghee_batch pushed;

static ghee_status push(void *user, ghee_error *err) {
  ghee_partitions *of;
  ghee_batch got = {0};
  GHEE_TRY(ghee_partitions_new(by, 2, *(size_t *)user, "/tmp", &of, err));
  ghee_status status = ghee_partitions_push(of, &pushed, err);
  for (size_t i = 0; i < ghee_partitions_count(of) && status == GHEE_OK; i++) {
    status = ghee_partitions_pop(of, i, &got, err);
    ghee_batch_release(&got);
  }
  ghee_partitions_free(of);
  return status;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  make(20, 1, &pushed);
  for (size_t budget = 1; budget <= 1 << 20; budget <<= 20) nth_alloc_each(push, &budget, GHEE_OK);
  ghee_batch_release(&pushed);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows_come_out_of_their_partition), cmocka_unit_test(test_memory_runs_out)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
