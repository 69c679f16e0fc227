/* SPDX-License-Identifier: Apache-2.0
 * The order of a shuffled chunk: the one that its seed draws over all its rows, however they are cut. */
#include "runtime/worker/shuffled.h"

#include "batch/types_sample.h"

static const sample_type types[] = {{"n", "l", false, NULL, 0, NULL}, {"t", "u", true, NULL, 0, NULL}};

/* Batches of 3, 0, 5 and 2 rows, numbered through in the first column. */
static ghee_schema *make(ghee_batch *batches) {
  static const int64_t rows[] = {3, 0, 5, 2};
  ghee_schema *schema = sample_schema(types, 2);
  int64_t number = 0;
  for (unsigned b = 0; b < 4; b++) {
    sample_batch(schema, types, 2, rows[b], b, &batches[b]);
    int64_t *numbers = (int64_t *)(uintptr_t)batches[b].array.children[0]->buffers[1];
    for (int64_t i = 0; i < rows[b]; i++) numbers[i] = number++;
  }
  return schema;
}

static ghee_shuffled *shuffled(uint32_t epoch, ghee_error *err) {
  ghee_batch batches[4];
  ghee_random random;
  ghee_shuffled *of = NULL;
  ghee_schema *schema = make(batches);
  ghee_random_init(&random, 7, epoch, 1);
  ghee_status status = ghee_shuffled_new(batches, 4, &random, &of, err);
  for (int b = 0; b < 4; b++) assert_null(batches[b].schema); /* taken, also on failure */
  assert_true((status == GHEE_OK) == (of != NULL));
  ghee_schema_unref(schema);
  return of;
}

/* The numbers of the rows, taken `size` at a time from `first` on. */
static void numbers_of(ghee_shuffled *of, int64_t first, int64_t size, int64_t *out) {
  for (int64_t at = first; at < ghee_shuffled_rows(of); at += size) {
    ghee_gather gather;
    ghee_batch batch;
    int64_t left = ghee_shuffled_rows(of) - at;
    SAMPLE_OK(ghee_shuffled_gather(of, at, left < size ? left : size, &gather, err));
    SAMPLE_OK(ghee_gather_copy(&gather, &batch, err));
    memcpy(out + at, batch.array.children[0]->buffers[1], (size_t)ghee_batch_rows(&batch) * sizeof *out);
    ghee_gather_fini(&gather);
    ghee_batch_release(&batch);
  }
}

/* Results that were trained with a seed can be had again with every version: these numbers do not change. */
static void test_the_order_of_a_seed_stays(void **state) {
  (void)state;
  static const int64_t first[] = {3, 2, 8, 0, 1, 5, 9, 7, 6, 4}, second[] = {0, 6, 9, 3, 1, 2, 7, 4, 8, 5};
  for (uint32_t epoch = 0; epoch < 2; epoch++) {
    ghee_shuffled *of = shuffled(epoch, NULL);
    assert_int_equal(ghee_shuffled_rows(of), 10);
    for (int64_t size = 1; size <= 11; size++) {
      int64_t got[10];
      numbers_of(of, 0, size, got);
      assert_memory_equal(got, epoch ? second : first, sizeof got);
    }
    int64_t rest[10];
    numbers_of(of, 6, 3, rest); /* from the middle, as after a resume */
    assert_memory_equal(rest + 6, (epoch ? second : first) + 6, 4 * sizeof *rest);
    assert_true(ghee_shuffled_unref(of));
  }
}

static void test_rows_live_as_long_as_a_reference(void **state) {
  (void)state;
  ghee_shuffled *of = shuffled(0, NULL), *same = ghee_shuffled_ref(of);
  int64_t got[10];
  assert_false(ghee_shuffled_unref(of));
  numbers_of(same, 0, 4, got);
  assert_true(ghee_shuffled_unref(same));
  assert_false(ghee_shuffled_unref(NULL));
}

static ghee_status attempt(void *user, ghee_error *err) {
  (void)user;
  ghee_batch batch = {.array = {.length = 10}};
  ghee_random random;
  ghee_shuffled *of;
  ghee_random_init(&random, 7, 0, 1);
  GHEE_TRY(ghee_shuffled_new(&batch, 1, &random, &of, err));
  ghee_shuffled_unref(of);
  return GHEE_OK;
}

static void test_too_many_rows(void **state) {
  (void)state;
  ghee_batch batches[2] = {{.array = {.length = UINT32_MAX}}, {.array = {.length = 1}}};
  ghee_random random;
  ghee_error err;
  ghee_shuffled *of = NULL;
  ghee_random_init(&random, 7, 0, 1);
  assert_int_equal(ghee_shuffled_new(batches, 2, &random, &of, &err), GHEE_LIMIT);
  assert_null(of);
}

static void test_memory_runs_out(void **state) {
  (void)state;
  assert_int_equal(nth_alloc_each(attempt, NULL, GHEE_OK), 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_order_of_a_seed_stays), cmocka_unit_test(test_rows_live_as_long_as_a_reference),
                                     cmocka_unit_test(test_too_many_rows), cmocka_unit_test(test_memory_runs_out)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
