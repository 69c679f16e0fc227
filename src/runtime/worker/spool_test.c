/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nth_alloc.h"
#include "batch/types_sample.h"
#include "runtime/worker/spool.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

enum { TYPES = sizeof sample_all_types / sizeof *sample_all_types, ROWS = 50, BATCHES = 8 };

static char folder[64];
static ghee_schema *schema;
static ghee_batch batches[BATCHES];

static int setup(void **state) {
  (void)state;
  strcpy(folder, "/tmp/ghee-spool-XXXXXX");
  schema = sample_schema(sample_all_types, TYPES);
  for (unsigned i = 0; i < BATCHES; i++) sample_batch(schema, sample_all_types, TYPES, ROWS + i, i, &batches[i]);
  return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  for (int i = 0; i < BATCHES; i++) ghee_batch_release(&batches[i]);
  ghee_schema_unref(schema);
  return rmdir(folder); /* nothing with a name was left in it */
}

static bool folder_is_empty(void) {
  DIR *dir = opendir(folder);
  int n = 0;
  while (readdir(dir)) n++;
  closedir(dir);
  return n == 2;
}

static ghee_status push_all(ghee_spool *spool, ghee_budget *budget, ghee_error *err) {
  for (int i = 0; i < BATCHES; i++) GHEE_TRY(ghee_spool_push(spool, &batches[i], budget, folder, err));
  return GHEE_OK;
}

/* So many of the batches are in memory, the rest in the file; all come out as they went in. */
static void round_trip(size_t limit_bytes, size_t in_memory) {
  ghee_spool spool = {0};
  ghee_budget *budget;
  uint64_t rows = 0;
  SAMPLE_OK(ghee_budget_new(limit_bytes, &budget, err));
  SAMPLE_OK(push_all(&spool, budget, err));
  assert_int_equal(spool.batches.count, in_memory);
  assert_int_equal(spool.frames.count, BATCHES - in_memory);
  assert_true(folder_is_empty());
  if (limit_bytes > 1) assert_true(ghee_budget_used(budget) <= limit_bytes);
  for (int i = 0; i < BATCHES; i++) {
    ghee_batch out = {0};
    SAMPLE_OK(ghee_spool_pop(&spool, &out, err));
    assert_true(ghee_batch_equal(&out, &batches[i]));
    ghee_batch_release(&out);
    rows += (uint64_t)ghee_batch_rows(&batches[i]);
  }
  ghee_batch none;
  assert_int_equal(ghee_spool_pop(&spool, &none, NULL), GHEE_CLOSED);
  assert_int_equal(spool.rows, rows);
  ghee_spool_fini(&spool, budget);
  assert_int_equal(ghee_budget_used(budget), 0);
  ghee_budget_free(budget);
}

static void test_batches_come_out_as_they_went_in(void **state) {
  (void)state;
  size_t first = ghee_batch_bytes(&batches[0]), all = 0;
  for (int i = 0; i < BATCHES; i++) all += ghee_batch_bytes(&batches[i]);
  round_trip(all, BATCHES);
  round_trip(first, 1);
  round_trip(first + ghee_batch_bytes(&batches[1]), 2);
  round_trip(1, 1); /* a budget lets one through in any case */
}

/* What comes later must not overtake what is in the file, though there is room again. */
static void test_behind_the_file_all_goes_into_the_file(void **state) {
  (void)state;
  ghee_spool full = {0}, spool = {0};
  ghee_budget *budget;
  SAMPLE_OK(ghee_budget_new(ghee_batch_bytes(&batches[7]), &budget, err));
  SAMPLE_OK(ghee_spool_push(&full, &batches[7], budget, folder, err));
  SAMPLE_OK(ghee_spool_push(&spool, &batches[0], budget, folder, err));
  ghee_spool_fini(&full, budget);
  SAMPLE_OK(ghee_spool_push(&spool, &batches[1], budget, folder, err));
  assert_int_equal(ghee_budget_used(budget), 0);
  for (int i = 0; i < 2; i++) {
    ghee_batch out = {0};
    SAMPLE_OK(ghee_spool_pop(&spool, &out, err));
    assert_true(ghee_batch_equal(&out, &batches[i]));
    ghee_batch_release(&out);
  }
  ghee_spool_fini(&spool, budget);
  ghee_budget_free(budget);
}

static void test_what_is_not_taken_out_is_given_back(void **state) {
  (void)state;
  ghee_spool spool = {0};
  ghee_budget *budget;
  ghee_batch empty = {0}, out = {0};
  sample_batch(schema, sample_all_types, TYPES, 0, 0, &empty);
  SAMPLE_OK(ghee_budget_new(3 * ghee_batch_bytes(&batches[7]), &budget, err));
  SAMPLE_OK(ghee_spool_push(&spool, &empty, budget, folder, err));
  assert_int_equal(ghee_spool_pop(&spool, &out, NULL), GHEE_CLOSED); /* no rows, no batch */
  SAMPLE_OK(push_all(&spool, budget, err));
  SAMPLE_OK(ghee_spool_pop(&spool, &out, err));
  ghee_batch_release(&out);
  ghee_spool_fini(&spool, budget);
  assert_int_equal(ghee_budget_used(budget), 0);
  ghee_batch_release(&empty);
  ghee_budget_free(budget);
}

static void test_a_folder_that_is_not_there(void **state) {
  (void)state;
  ghee_spool spool = {0};
  ghee_budget *budget;
  ghee_error why = {0};
  SAMPLE_OK(ghee_budget_new(1, &budget, err));
  SAMPLE_OK(ghee_spool_push(&spool, &batches[0], budget, "/nowhere", err)); /* a budget lets one through in any case */
  assert_int_equal(ghee_spool_push(&spool, &batches[1], budget, "/nowhere", &why), GHEE_NOT_FOUND);
  assert_non_null(strstr(why.message, "/nowhere"));
  assert_int_equal(spool.rows, ROWS);
  ghee_spool_fini(&spool, budget);
  ghee_budget_free(budget);
}

static ghee_status fill_and_drain(void *user, ghee_error *err) {
  ghee_spool spool = {0};
  ghee_batch out = {0};
  ghee_status status = push_all(&spool, user, err);
  while (status == GHEE_OK && (status = ghee_spool_pop(&spool, &out, err)) == GHEE_OK) ghee_batch_release(&out);
  ghee_spool_fini(&spool, user);
  assert_int_equal(ghee_budget_used(user), 0);
  return status == GHEE_CLOSED ? GHEE_OK : status;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  ghee_budget *budget;
  SAMPLE_OK(ghee_budget_new(3 * ghee_batch_bytes(&batches[7]), &budget, err));
  assert_true(nth_alloc_each(fill_and_drain, budget, GHEE_OK) > BATCHES);
  ghee_budget_free(budget);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {TEST(test_batches_come_out_as_they_went_in), TEST(test_behind_the_file_all_goes_into_the_file),
                                     TEST(test_what_is_not_taken_out_is_given_back), TEST(test_a_folder_that_is_not_there), TEST(test_memory_runs_out)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
