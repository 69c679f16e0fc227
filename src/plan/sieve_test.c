/* SPDX-License-Identifier: Apache-2.0
 * What passes, in batches of bounded size, each row once and in order. */
#include <stdio.h>

#include "batch/column.h"
#include "batch/types_sample.h"
#include "ghee/batch.h"
#include "plan/sieve.h"

enum { MOST = 10 };

typedef struct fixture {
  ghee_job_spec *spec;
  ghee_predicate *predicate;
  ghee_sieve sieve;
} fixture;

static void release_nothing(void *owner) { (void)owner; }

/* Rows of x, which rises from `first` on, and y = -x. */
static void make_batch(int64_t first, int64_t rows, ghee_batch *out) {
  static int64_t x[200], y[200];
  struct ArrowSchema arrow;
  struct ArrowArray array;
  ghee_schema *schema;
  ghee_builder *to;
  for (int64_t i = 0; i < 200; i++) y[i] = -(x[i] = i);
  SAMPLE_OK(ghee_builder_new(&to, err));
  SAMPLE_OK(ghee_builder_add_fixed(to, "x", "l", rows, x + first, NULL, 0, NULL, 0, release_nothing, NULL, err));
  SAMPLE_OK(ghee_builder_add_fixed(to, "y", "l", rows, y + first, NULL, 0, NULL, 0, release_nothing, NULL, err));
  SAMPLE_OK(ghee_builder_finish(to, &arrow, &array, err));
  SAMPLE_OK(ghee_schema_new(&arrow, &schema, err));
  SAMPLE_OK(ghee_batch_new(schema, &array, true, out, err));
  ghee_schema_unref(schema);
  ghee_builder_free(to);
}

static void open_sieve(const char *input, fixture *of) {
  char text[300];
  ghee_document *document;
  ghee_batch batch = {0};
  snprintf(text, sizeof text, "input: {uri: in, %s}\npreprocess: {}\noutput: {uri: out}\n", input);
  *of = (fixture){0};
  SAMPLE_OK(ghee_document_parse(text, strlen(text), "job", &document, err));
  SAMPLE_OK(ghee_job_spec_new(document, "/home", &of->spec, err));
  ghee_document_free(document);
  make_batch(0, 1, &batch);
  SAMPLE_OK(ghee_predicate_new(of->spec->filter, batch.schema, &of->predicate, err));
  ghee_batch_release(&batch);
  of->sieve = (ghee_sieve){.spec = of->spec, .predicate = of->predicate, .most_rows = MOST};
}

static void close_sieve(fixture *of) {
  ghee_sieve_fini(&of->sieve);
  ghee_predicate_free(of->predicate);
  ghee_job_spec_free(of->spec);
}

static void push(fixture *of, int64_t first, int64_t rows, uint64_t number) {
  ghee_batch batch = {0};
  make_batch(first, rows, &batch);
  SAMPLE_OK(ghee_sieve_push(&of->sieve, &batch, number, err));
  assert_null(batch.schema);
}

/* Pops a batch whose column 0 is `scale` × (first, first + step, …). */
static void pops(fixture *of, int64_t rows, int64_t first, int64_t step, int64_t scale, uint64_t number) {
  ghee_batch batch = {0};
  uint64_t row = 1;
  SAMPLE_OK(ghee_sieve_pop(&of->sieve, &batch, &row, err));
  assert_int_equal(ghee_batch_rows(&batch), rows);
  ghee_column column = ghee_column_at(&batch, 0);
  for (int64_t i = 0; i < rows; i++) assert_int_equal(ghee_column_number(&column, i), scale * (first + i * step));
  assert_true(row == number);
  ghee_batch_release(&batch);
}

static void test_little_is_gathered(void **state) {
  (void)state;
  fixture of;
  open_sieve("filter: 'x in (3, 23, 43, 63, 83)'", &of);
  for (int64_t at = 0; at < 100; at += MOST) {
    assert_false(ghee_sieve_is_full(&of.sieve));
    push(&of, at, MOST, (uint64_t)at);
  }
  pops(&of, 5, 3, 20, 1, UINT64_MAX);
  assert_int_equal(ghee_sieve_pop(&of.sieve, &(ghee_batch){0}, &(uint64_t){0}, NULL), GHEE_CLOSED);
  close_sieve(&of);
}

static void test_no_batch_is_too_long(void **state) {
  (void)state;
  fixture of;
  open_sieve("filter: x >= 4", &of);
  push(&of, 0, MOST, 100);
  assert_false(ghee_sieve_is_full(&of.sieve));
  push(&of, 10, MOST, 110);
  assert_true(ghee_sieve_is_full(&of.sieve));
  pops(&of, 6, 4, 1, 1, 104);
  assert_true(ghee_sieve_is_full(&of.sieve));
  pops(&of, MOST, 10, 1, 1, 110);
  assert_false(ghee_sieve_is_full(&of.sieve));
  push(&of, 20, 3, UINT64_MAX);
  pops(&of, 3, 20, 1, 1, UINT64_MAX);
  close_sieve(&of);
}

static void test_columns_of_the_filter_are_dropped(void **state) {
  (void)state;
  fixture of;
  open_sieve("columns: [y], filter: x > 5", &of);
  push(&of, 0, MOST, 0);
  ghee_batch batch = {0};
  uint64_t row;
  assert_int_equal(ghee_schema_columns(of.sieve.kept.items[0].batch.schema), 1);
  pops(&of, 4, 6, 1, -1, 6);
  push(&of, 6, 4, 6); /* all pass */
  SAMPLE_OK(ghee_sieve_pop(&of.sieve, &batch, &row, err));
  assert_int_equal(ghee_schema_find(batch.schema, "y"), 0);
  assert_int_equal(ghee_schema_columns(batch.schema), 1);
  ghee_batch_release(&batch);
  close_sieve(&of);
}

/* Batches that the user has, as making them must not fail. */
static ghee_status sift(void *user, ghee_error *err) {
  fixture *of = user;
  ghee_sieve sieve = {.spec = of->spec, .predicate = of->predicate, .most_rows = MOST};
  ghee_status status = GHEE_OK;
  ghee_batch out = {0};
  uint64_t row;
  for (size_t i = 0; i < of->sieve.kept.count && status == GHEE_OK; i++) {
    ghee_batch view = {0};
    ghee_batch *batch = &of->sieve.kept.items[i].batch;
    status = ghee_batch_slice(batch, 0, ghee_batch_rows(batch), &view, err);
    if (status == GHEE_OK) status = ghee_sieve_push(&sieve, &view, 0, err);
    assert_null(view.schema);
  }
  if (status == GHEE_OK) status = ghee_sieve_pop(&sieve, &out, &row, err);
  ghee_batch_release(&out);
  ghee_sieve_fini(&sieve);
  return status;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  fixture of;
  open_sieve("filter: 'x in (1, 2, 6, 9, 12)'", &of);
  for (int64_t at = 0; at < 15; at += 5) {
    ghee_sifted kept = {.n = 5};
    make_batch(at, 5, &kept.batch);
    assert_true(ghee_array_push(&of.sieve.kept, kept));
  }
  assert_true(nth_alloc_each(sift, &of, GHEE_OK) > 10);
  close_sieve(&of);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_little_is_gathered), cmocka_unit_test(test_no_batch_is_too_long), cmocka_unit_test(test_columns_of_the_filter_are_dropped),
      cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
