/* SPDX-License-Identifier: Apache-2.0
 * Batches of every type, and of random ones: slices, copies, rows by index, zeros, sizes, equality, checks of what is taken. */
#include "batch/types_sample.h"

static ghee_batch all_types(int64_t rows, unsigned seed) {
  ghee_schema *schema = sample_schema(sample_all_types, SAMPLE_TYPES);
  ghee_batch batch;
  sample_batch(schema, sample_all_types, SAMPLE_TYPES, rows, seed, &batch);
  ghee_schema_unref(schema);
  return batch;
}

/* Another batch of the same schema object, so that they can be put together. */
static ghee_batch more_like(const ghee_batch *batch, const sample_type *types, int64_t rows, unsigned seed) {
  ghee_batch more;
  sample_batch(batch->schema, types, (int)ghee_schema_columns(batch->schema), rows, seed, &more);
  return more;
}

static ghee_batch slice(ghee_batch *batch, int64_t offset, int64_t rows) {
  ghee_batch out = {0};
  SAMPLE_OK(ghee_batch_slice(batch, offset, rows, &out, err));
  assert_int_equal(ghee_batch_rows(&out), rows);
  return out;
}

static ghee_batch take(const ghee_batch *batch, const uint32_t *rows, size_t n) {
  ghee_batch out = {0};
  SAMPLE_OK(ghee_batch_take(batch, rows, n, &out, err));
  assert_int_equal(ghee_batch_rows(&out), n);
  return out;
}

static void same(const ghee_batch *a, const ghee_batch *b, const char *what, uint64_t seed) {
  if (!ghee_batch_equal(a, b)) fail_msg("%s, seed %llu: the rows differ", what, (unsigned long long)seed);
}

/* ---- slices, concat and take agree ---- */

static void check_pieces(ghee_batch *whole, ghee_random *random, uint64_t seed) {
  ghee_batch pieces[8] = {{0}}, back = {0};
  int64_t rows = ghee_batch_rows(whole), at = 0;
  size_t n = 0;
  while (n < 7 && at < rows) {
    int64_t size = (int64_t)ghee_random_below(random, (uint64_t)(rows - at) + 1);
    pieces[n++] = slice(whole, at, size);
    at += size;
  }
  pieces[n++] = slice(whole, at, rows - at);
  SAMPLE_OK(ghee_batch_concat(pieces, n, &back, err));
  same(whole, &back, "cut and put together", seed);
  for (size_t i = 0; i < n; i++) ghee_batch_release(&pieces[i]);
  ghee_batch_release(&back);
}

static void check_rows(ghee_batch *whole, ghee_random *random, uint64_t seed) {
  uint32_t rows[40];
  size_t n = ghee_batch_rows(whole) ? ghee_random_below(random, 40) : 0;
  for (size_t i = 0; i < n; i++) rows[i] = (uint32_t)ghee_random_below(random, (uint64_t)ghee_batch_rows(whole));
  ghee_batch taken = take(whole, rows, n);
  for (size_t i = 0; i < n; i++) {
    ghee_batch is = slice(&taken, (int64_t)i, 1), want = slice(whole, rows[i], 1);
    same(&is, &want, "a row by its index", seed);
    ghee_batch_release(&is);
    ghee_batch_release(&want);
  }
  ghee_batch_release(&taken);
}

static void test_random_batches(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 400; seed++) {
    ghee_random random;
    ghee_random_init(&random, seed, 0, 0);
    int columns = 1 + (int)ghee_random_below(&random, 6);
    const sample_type *types = sample_random_types(&random, columns);
    ghee_schema *schema = sample_schema(types, columns);
    ghee_batch batch, cut;
    sample_batch(schema, types, columns, (int64_t)ghee_random_below(&random, 100), (unsigned)seed, &batch);
    int64_t first = (int64_t)ghee_random_below(&random, (uint64_t)ghee_batch_rows(&batch) + 1);
    cut = slice(&batch, first, (int64_t)ghee_random_below(&random, (uint64_t)(ghee_batch_rows(&batch) - first) + 1));
    check_pieces(&batch, &random, seed);
    check_rows(&batch, &random, seed);
    check_pieces(&cut, &random, seed); /* with an offset of its own */
    check_rows(&cut, &random, seed);
    ghee_batch_release(&batch);
    check_rows(&cut, &random, seed); /* a slice outlives what it was cut from */
    ghee_batch_release(&cut);
    ghee_schema_unref(schema);
  }
}

static void test_every_type(void **state) {
  (void)state;
  ghee_random random;
  ghee_random_init(&random, 1, 0, 0);
  for (int64_t rows = 0; rows < 80; rows += 1 + rows / 2) {
    ghee_batch batch = all_types(rows, 5);
    check_pieces(&batch, &random, 0);
    check_rows(&batch, &random, 0);
    ghee_batch_release(&batch);
  }
}

static void test_concat_of_strangers(void **state) {
  (void)state;
  ghee_batch batches[3], whole = {0};
  batches[0] = all_types(20, 1); /* each with its own dictionaries */
  batches[1] = more_like(&batches[0], sample_all_types, 0, 2);
  batches[2] = more_like(&batches[0], sample_all_types, 33, 3);
  SAMPLE_OK(ghee_batch_concat(batches, 3, &whole, err));
  ghee_batch head = slice(&whole, 0, 20), tail = slice(&whole, 20, 33);
  same(&head, &batches[0], "the first", 0);
  same(&tail, &batches[2], "the last", 0);
  ghee_batch_release(&head);
  ghee_batch_release(&tail);
  ghee_batch_release(&whole);
  for (int i = 0; i < 3; i++) ghee_batch_release(&batches[i]);
}

static void test_dictionaries_that_overlap_are_unified(void **state) {
  (void)state;
  static const sample_type type[] = {{"word", "c", true, NULL, 0, &sample_words}};
  ghee_schema *schema = sample_schema(type, 1);
  ghee_batch batches[60], whole = {0};
  for (int i = 0; i < 60; i++) sample_batch(schema, type, 1, 10, (unsigned)i % 3, &batches[i]); /* 60 × 5 entries; int8 says 127 */
  SAMPLE_OK(ghee_batch_concat(batches, 60, &whole, err));
  for (int i = 0; i < 60; i++) {
    ghee_batch part = slice(&whole, i * 10, 10);
    same(&part, &batches[i], "a part", (uint64_t)i);
    ghee_batch_release(&part);
    ghee_batch_release(&batches[i]);
  }
  ghee_batch_release(&whole);
  ghee_schema_unref(schema);
}

/* ---- equality ---- */

static void test_any_change_is_seen(void **state) {
  (void)state;
  for (int i = 0; i < SAMPLE_TYPES; i++) {
    const sample_type *type = &sample_all_types[i];
    ghee_schema *schema = sample_schema(type, 1);
    ghee_batch a, b, shorter;
    sample_batch(schema, type, 1, 50, 1, &a);
    sample_batch(schema, type, 1, 50, 2, &b);
    same(&a, &a, type->name, 0);
    if (strcmp(type->format, "n") != 0 && ghee_batch_equal(&a, &b)) fail_msg("%s: other values look equal", type->name);
    shorter = slice(&a, 0, 49);
    assert_false(ghee_batch_equal(&a, &shorter));
    ghee_batch_release(&shorter);
    ghee_batch_release(&a);
    ghee_batch_release(&b);
    ghee_schema_unref(schema);
  }
}

/* ---- sizes ---- */

static void test_sizes(void **state) {
  (void)state;
  static const sample_type numbers[] = {{"a", "l", false, NULL, 0, NULL}, {"b", "b", false, NULL, 0, NULL}, {"c", "+w:3", false, sample_item, 1, NULL}};
  ghee_schema *schema = sample_schema(numbers, 2);
  ghee_batch batch;
  sample_batch(schema, numbers, 2, 800, 1, &batch);
  assert_int_equal(ghee_batch_bytes(&batch), 800 * 8 + 100);
  assert_int_equal(ghee_batch_rows_within(&batch, 0, 820), 100);  /* 100 × 8 + 13 */
  assert_int_equal(ghee_batch_rows_within(&batch, 700, 1 << 20), 100);
  assert_int_equal(ghee_batch_rows_within(&batch, 0, 0), 1); /* at least one */
  assert_int_equal(ghee_batch_rows_within(&batch, 800, 1000), 0);
  ghee_batch_release(&batch);
  ghee_schema_unref(schema);
  batch = all_types(100, 3);
  uint64_t sum = 0, all = ghee_batch_bytes(&batch), least = 0;
  for (int64_t rows = 0; rows <= 100; rows += 10) { /* more rows are never smaller */
    ghee_batch part = slice(&batch, 0, rows);
    sum = ghee_batch_bytes(&part);
    assert_true(sum >= least);
    least = sum;
    ghee_batch_release(&part);
  }
  assert_int_equal(sum, all);
  ghee_batch_release(&batch);
}

static void test_zeros(void **state) {
  (void)state;
  ghee_batch some = all_types(1, 1), zeros = {0}, none = {0};
  SAMPLE_OK(ghee_batch_zeros(some.schema, 70, &zeros, err));
  SAMPLE_OK(ghee_batch_zeros(some.schema, 0, &none, err));
  assert_int_equal(ghee_batch_rows(&zeros), 70);
  assert_int_equal(ghee_batch_rows(&none), 0);
  for (int i = 0; i < SAMPLE_TYPES; i++) {
    const struct ArrowArray *column = zeros.array.children[i];
    assert_int_equal(column->length, 70);
    assert_int_equal(column->null_count, i == 0 ? 70 : 0);
    if (strcmp(sample_all_types[i].format, "l") == 0)
      for (int k = 0; k < 70; k++) assert_int_equal(((const int64_t *)column->buffers[1])[k], 0);
  }
  ghee_batch copy = take(&zeros, (const uint32_t[]){0, 69, 3}, 3), want = slice(&zeros, 10, 3); /* all rows are alike */
  same(&copy, &want, "rows of zeros", 0);
  ghee_batch_release(&copy);
  ghee_batch_release(&want);
  ghee_batch_release(&zeros);
  ghee_batch_release(&none);
  ghee_batch_release(&some);
}

static void test_projection(void **state) {
  (void)state;
  ghee_batch batch = all_types(10, 1), out = {0}, back = {0};
  static const char *const names[] = {"string", "int8", "map"}, *const wrong[] = {"string", "nope"};
  ghee_error why;
  memset(&out, 7, sizeof out);
  assert_int_equal(ghee_batch_project(&batch, wrong, 2, &out, &why), GHEE_NOT_FOUND);
  assert_true(nth_alloc_untouched(&out, 7));
  assert_non_null(strstr(why.message, "no column \"nope\""));
  SAMPLE_OK(ghee_batch_project(&batch, names, 3, &out, err));
  assert_ptr_equal(out.array.children[1]->buffers[1], batch.array.children[2]->buffers[1]); /* shared */
  ghee_batch_release(&batch);
  assert_int_equal(ghee_schema_find(out.schema, "map"), 2);
  SAMPLE_OK(ghee_batch_concat(&out, 1, &back, err));
  same(&out, &back, "three columns", 0);
  ghee_batch_release(&out);
  ghee_batch_release(&back);
}

static void test_wrong_slices(void **state) {
  (void)state;
  ghee_batch batch = all_types(10, 1), out;
  static const int64_t wrong[][2] = {{-1, 1}, {0, -1}, {0, 11}, {10, 1}, {11, 0}, {INT64_MAX, 1}, {1, INT64_MAX}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    memset(&out, 7, sizeof out);
    assert_int_equal(ghee_batch_slice(&batch, wrong[i][0], wrong[i][1], &out, NULL), GHEE_INVALID);
    assert_true(nth_alloc_untouched(&out, 7));
  }
  ghee_batch_release(&batch);
}

/* ---- what is taken is checked ---- */

/* One column of `type` with 8 rows, spoilt by `spoil`. */
static void refused(const sample_type *type, void (*spoil)(struct ArrowArray *column), const char *words) {
  ghee_schema *schema = sample_schema(type, 1);
  sample_type top = {"", "+s", false, type, 1, NULL};
  struct ArrowArray array;
  ghee_batch out;
  ghee_error err = {0};
  sample_array_fill(&top, 8, 1, &array);
  spoil(array.children[0]);
  memset(&out, 7, sizeof out);
  assert_int_equal(ghee_batch_new(schema, &array, false, &out, &err), GHEE_CORRUPT);
  assert_null(array.release); /* taken all the same */
  assert_true(nth_alloc_untouched(&out, 7));
  if (!strstr(err.message, words) || !strstr(err.message, type->name)) fail_msg("'%s' is not in: %s", words, err.message);
  ghee_schema_unref(schema);
}

static int32_t *offsets(struct ArrowArray *column) { return (int32_t *)(uintptr_t)column->buffers[1]; }
static void falling(struct ArrowArray *column) { offsets(column)[3] = offsets(column)[4] + 1; }
static void negative(struct ArrowArray *column) { offsets(column)[0] = -1; }
static void outside(struct ArrowArray *column) { offsets(column)[8] += 1; }
static void shorter(struct ArrowArray *column) { column->length = 7; }
static void less_than_nothing(struct ArrowArray *column) { column->length = -1; }
static void moved(struct ArrowArray *column) { column->offset = -1; }
static void endless(struct ArrowArray *column) { column->offset = INT64_MAX; }
static void no_validity(struct ArrowArray *column) {
  free((void *)(uintptr_t)column->buffers[0]);
  column->buffers[0] = NULL;
  column->null_count = 2;
}
static void no_data(struct ArrowArray *column) {
  free((void *)(uintptr_t)column->buffers[1]);
  column->buffers[1] = NULL;
}
static void fewer_buffers(struct ArrowArray *column) { column->n_buffers--; free((void *)(uintptr_t)column->buffers[column->n_buffers]); }
static void short_child(struct ArrowArray *column) { column->children[0]->length = 5; }
static void index_out(struct ArrowArray *column) {
  column->null_count = 0;
  free((void *)(uintptr_t)column->buffers[0]);
  column->buffers[0] = NULL;
  ((int8_t *)(uintptr_t)column->buffers[1])[2] = 5;
}
static void index_negative(struct ArrowArray *column) {
  index_out(column);
  ((int8_t *)(uintptr_t)column->buffers[1])[2] = -1;
}

static void test_what_lies_outside_is_refused(void **state) {
  (void)state;
  static const sample_type text = {"t", "u", true, NULL, 0, NULL}, list = {"l", "+l", true, sample_item, 1, NULL}, number = {"n", "l", true, NULL, 0, NULL},
                           fixed = {"f", "+w:3", true, sample_item, 1, NULL}, pair = {"s", "+s", true, sample_pair, 2, NULL},
                           words = {"d", "c", true, NULL, 0, &sample_words};
  refused(&text, falling, "rise");
  refused(&text, negative, "rise");
  refused(&list, falling, "outside of its items");
  refused(&list, outside, "outside of its items");
  refused(&number, shorter, "shorter than the batch");
  refused(&number, less_than_nothing, "wrong length");
  refused(&number, moved, "wrong length");
  refused(&number, endless, "wrong length");
  refused(&number, no_validity, "lacks a buffer");
  refused(&number, no_data, "lacks a buffer");
  refused(&text, no_data, "lacks a buffer");
  refused(&number, fewer_buffers, "lacks a buffer");
  refused(&words, index_out, "outside of its dictionary");
  refused(&words, index_negative, "outside of its dictionary");
  sample_type named = fixed;
  named.children = (const sample_type[]){{"f", "i", true, NULL, 0, NULL}}; /* the message names the child */
  refused(&named, short_child, "shorter than the batch");
  named = pair;
  named.children = (const sample_type[]){{"s", "g", true, NULL, 0, NULL}, {"y", "u", true, NULL, 0, NULL}};
  refused(&named, short_child, "shorter than the batch");
}

/* ---- every allocation failing ---- */

static ghee_batch failing, failing_more;

static ghee_status copies(void *user, ghee_error *err) {
  (void)user;
  ghee_batch made[5], both[2] = {failing, failing_more};
  memset(made, 7, sizeof made);
  ghee_status status[5];
  status[0] = ghee_batch_concat(both, 2, &made[0], err);
  status[1] = ghee_batch_take(&failing, (const uint32_t[]){3, 1, 1}, 3, &made[1], err);
  status[2] = ghee_batch_zeros(failing.schema, 9, &made[2], err);
  status[3] = ghee_batch_slice(&failing, 1, 2, &made[3], err);
  status[4] = ghee_batch_project(&failing, (const char *const[]){"int8"}, 1, &made[4], err);
  ghee_status first = GHEE_OK;
  for (int i = 0; i < 5; i++) {
    if (status[i] == GHEE_OK) ghee_batch_release(&made[i]);
    else assert_true(nth_alloc_untouched(&made[i], 7));
    if (first == GHEE_OK) first = status[i];
  }
  return first;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  failing = all_types(10, 1);
  failing_more = more_like(&failing, sample_all_types, 5, 2);
  nth_alloc_each(copies, NULL, GHEE_OK);
  ghee_batch_release(&failing);
  ghee_batch_release(&failing_more);
}

/* ---- more than 2 GiB of text: what offsets claim, without the bytes ---- */

static ghee_batch claimed(const char *format, int64_t size) {
  static char byte;
  static const void *buffers[3];
  static int64_t wide[2];
  static int32_t narrow[2];
  ghee_schema *schema = sample_schema(&(sample_type){"text", format, false, NULL, 0, NULL}, 1);
  struct ArrowArray *column = calloc(1, sizeof *column), **children = calloc(1, sizeof *children);
  wide[1] = size;
  narrow[1] = (int32_t)size;
  buffers[1] = *format == 'U' ? (const void *)wide : narrow;
  buffers[2] = &byte;
  *column = (struct ArrowArray){.length = 1, .n_buffers = 3, .buffers = buffers};
  children[0] = column;
  return (ghee_batch){.schema = schema, .array = {.length = 1, .n_children = 1, .children = children}};
}

static void forget(ghee_batch *batch) {
  ghee_schema_unref(batch->schema);
  free(batch->array.children[0]);
  free(batch->array.children);
}

static void test_two_gigabytes_of_text(void **state) {
  (void)state;
  ghee_error err;
  ghee_batch one = claimed("u", INT32_MAX - 10), two[2] = {one, one}, out;
  memset(&out, 7, sizeof out);
  assert_int_equal(ghee_batch_concat(two, 2, &out, &err), GHEE_LIMIT);
  assert_non_null(strstr(err.message, "column text would have more than 2 GiB in one batch: lower batch_size"));
  assert_int_equal(ghee_batch_take(&one, (const uint32_t[]){0, 0}, 2, &out, &err), GHEE_LIMIT);
  assert_int_equal(ghee_batch_bytes(&one), (uint64_t)INT32_MAX - 10 + 8);
  forget(&one);
  ghee_batch large = claimed("U", (int64_t)3 << 30);
  ghee_schema *small = sample_schema(&(sample_type){"text", "u", false, NULL, 0, NULL}, 1);
  assert_int_equal(ghee_batch_bytes(&large), ((uint64_t)3 << 30) + 16);
  assert_int_equal(ghee_batch_cast(&large, small, &out, &err), GHEE_LIMIT);
  assert_non_null(strstr(err.message, "lower batch_size"));
  assert_true(nth_alloc_untouched(&out, 7));
  ghee_schema_unref(small);
  forget(&large);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_type), cmocka_unit_test(test_random_batches), cmocka_unit_test(test_concat_of_strangers),
      cmocka_unit_test(test_dictionaries_that_overlap_are_unified), cmocka_unit_test(test_any_change_is_seen), cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_zeros), cmocka_unit_test(test_projection), cmocka_unit_test(test_wrong_slices),
      cmocka_unit_test(test_what_lies_outside_is_refused), cmocka_unit_test(test_memory_runs_out), cmocka_unit_test(test_two_gigabytes_of_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
