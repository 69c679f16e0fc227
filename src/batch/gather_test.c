/* SPDX-License-Identifier: Apache-2.0
 * Rows of several batches: every type and random ones, as a batch and as a frame; each row is compared with where it came from. */
#include "batch/frame.h"
#include "batch/frame_layout.h"
#include "batch/gather.h"
#include "batch/types_sample.h"

enum { MOST_BATCHES = 6, MOST_ROWS = 60 };

/* Batches of one schema, each with dictionaries of its own, some of them slices and some empty. */
typedef struct parts { ghee_schema *schema; ghee_batch batches[MOST_BATCHES]; size_t n; int64_t rows; } parts;

static void parts_init(parts *of, const sample_type *types, int columns, ghee_random *random, uint64_t seed) {
  *of = (parts){.schema = sample_schema(types, columns), .n = 1 + ghee_random_below(random, MOST_BATCHES)};
  for (size_t b = 0; b < of->n; b++) {
    ghee_batch whole;
    int64_t all = (int64_t)ghee_random_below(random, 40), first = (int64_t)ghee_random_below(random, (uint64_t)all + 1);
    sample_batch(of->schema, types, columns, all, (unsigned)seed + (unsigned)b, &whole);
    SAMPLE_OK(ghee_batch_slice(&whole, first, (int64_t)ghee_random_below(random, (uint64_t)(all - first) + 1), &of->batches[b], err));
    ghee_batch_release(&whole);
    of->rows += ghee_batch_rows(&of->batches[b]);
  }
}

static void parts_fini(parts *of) {
  for (size_t b = 0; b < of->n; b++) ghee_batch_release(&of->batches[b]);
  ghee_schema_unref(of->schema);
}

/* Row `i` of `got` is row `row` of the parts. */
static void check_row(parts *of, ghee_batch *got, int64_t i, int64_t row, const char *what, uint64_t seed) {
  size_t b = 0;
  while (row >= ghee_batch_rows(&of->batches[b])) row -= ghee_batch_rows(&of->batches[b++]);
  ghee_batch is = {0}, want = {0};
  SAMPLE_OK(ghee_batch_slice(got, i, 1, &is, err));
  SAMPLE_OK(ghee_batch_slice(&of->batches[b], row, 1, &want, err));
  if (!ghee_batch_equal(&is, &want)) fail_msg("%s, seed %llu: row %lld is not row %lld of batch %zu", what, (unsigned long long)seed, (long long)i, (long long)row, b);
  ghee_batch_release(&is);
  ghee_batch_release(&want);
}

static void check_rows(parts *of, ghee_batch *got, const uint32_t *rows, size_t n, const char *what, uint64_t seed) {
  assert_int_equal(ghee_batch_rows(got), n);
  for (size_t i = 0; i < n; i++) check_row(of, got, (int64_t)i, rows[i], what, seed);
}

/* In a block of exactly the size that was asked for, filled with rubbish before. An untrusting reader takes it. */
static void check_frame(parts *of, const ghee_gather *gather, const uint32_t *rows, uint64_t seed) {
  uint64_t size, used = 0;
  SAMPLE_OK(ghee_gather_frame_size(gather, &size, err));
  uint8_t *frame = ghee_alloc_aligned(size);
  memset(frame, 0xee, size);
  SAMPLE_OK(ghee_gather_write(gather, frame, size, &used, err));
  assert_true(used <= size && used % 64 == 0);
  ghee_batch got = {0};
  SAMPLE_OK(ghee_frame_read(of->schema, frame, used, false, NULL, NULL, &got, err));
  check_rows(of, &got, rows, (size_t)gather->rows, "a frame", seed);
  ghee_batch_release(&got);
  ghee_free_aligned(frame);
}

static void check(parts *of, ghee_random *random, uint64_t seed) {
  uint32_t rows[MOST_ROWS];
  size_t n = of->rows ? ghee_random_below(random, MOST_ROWS) : 0;
  for (size_t i = 0; i < n; i++) /* half of them follow their neighbours */
    rows[i] = i && rows[i - 1] + 1 < of->rows && (seed & 1) ? rows[i - 1] + 1 : (uint32_t)ghee_random_below(random, (uint64_t)of->rows);
  ghee_gather gather = {0};
  ghee_batch got = {0};
  SAMPLE_OK(ghee_gather_init(&gather, of->batches, of->n, rows, n, err));
  assert_int_equal(gather.rows, n);
  SAMPLE_OK(ghee_gather_copy(&gather, &got, err));
  check_rows(of, &got, rows, n, "a copy", seed);
  check_frame(of, &gather, rows, seed);
  ghee_batch_release(&got);
  ghee_gather_fini(&gather);
}

static void test_random_batches(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 400; seed++) {
    ghee_random random;
    ghee_random_init(&random, seed, 1, 0);
    int columns = 1 + (int)ghee_random_below(&random, 6);
    parts of;
    parts_init(&of, sample_random_types(&random, columns), columns, &random, seed);
    check(&of, &random, seed);
    parts_fini(&of);
  }
}

static void test_every_type(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 20; seed++) {
    ghee_random random;
    ghee_random_init(&random, seed, 2, 0);
    parts of;
    parts_init(&of, sample_all_types, SAMPLE_TYPES, &random, seed);
    check(&of, &random, seed);
    parts_fini(&of);
  }
}

static const sample_type number[] = {{"n", "l", false, NULL, 0, NULL}};

static void test_neighbours_are_one_run(void **state) {
  (void)state;
  ghee_schema *schema = sample_schema(number, 1);
  ghee_batch both[2];
  ghee_gather gather = {0};
  for (unsigned b = 0; b < 2; b++) sample_batch(schema, number, 1, 4, b, &both[b]);
  SAMPLE_OK(ghee_gather_init(&gather, both, 2, (const uint32_t[]){2, 3, 4, 5, 7, 7}, 6, err)); /* 4 is the first of the second */
  assert_int_equal(gather.n_runs, 4);
  assert_int_equal(gather.runs[0].n, 2);
  assert_int_equal(gather.runs[1].n, 2);
  assert_int_equal(gather.runs[1].column, 1);
  assert_int_equal(gather.runs[3].first, 3);
  ghee_gather_fini(&gather);
  SAMPLE_OK(ghee_gather_init_all(&gather, both, 2, err));
  assert_int_equal(gather.n_runs, 2);
  assert_int_equal(gather.rows, 8);
  ghee_gather_fini(&gather);
  for (unsigned b = 0; b < 2; b++) ghee_batch_release(&both[b]);
  ghee_schema_unref(schema);
}

/* int8 names 128 entries. Sixty dictionaries have 300, of which the rows of one batch of three name few. */
static void test_entries_that_no_row_names_are_left_out(void **state) {
  (void)state;
  static const sample_type type[] = {{"word", "c", true, NULL, 0, &sample_words}};
  ghee_schema *schema = sample_schema(type, 1);
  ghee_batch batches[60], out = {0};
  uint32_t rows[3] = {0, 100, 599};
  for (unsigned b = 0; b < 60; b++) sample_batch(schema, type, 1, 10, b, &batches[b]);
  ghee_gather gather = {0};
  SAMPLE_OK(ghee_gather_init(&gather, batches, 60, rows, 3, err));
  SAMPLE_OK(ghee_gather_copy(&gather, &out, err));
  assert_true(out.array.children[0]->dictionary->length <= 3);
  ghee_gather_fini(&gather);
  ghee_batch_release(&out);
  for (unsigned b = 0; b < 60; b++) ghee_batch_release(&batches[b]);
  ghee_schema_unref(schema);
}

static void test_a_frame_that_is_too_small(void **state) {
  (void)state;
  ghee_random random;
  ghee_random_init(&random, 7, 3, 0);
  parts of;
  do {
    parts_init(&of, sample_all_types, SAMPLE_TYPES, &random, 7);
    if (of.rows == 0) parts_fini(&of);
  } while (of.rows == 0);
  ghee_gather all = {0};
  uint64_t size, used = 0, head = ghee_frame_head_bytes(of.schema);
  SAMPLE_OK(ghee_gather_init_all(&all, of.batches, of.n, err));
  SAMPLE_OK(ghee_gather_frame_size(&all, &size, err));
  for (uint64_t room = 0; room < size; room += 64) { /* each block ends where the room does */
    ghee_error err;
    uint8_t *frame = ghee_alloc_aligned(room);
    ghee_status status = ghee_gather_write(&all, frame, room, &used, &err);
    if (room <= head) assert_int_equal(status, GHEE_INTERNAL);
    if (status == GHEE_OK) assert_true(used <= room);
    ghee_free_aligned(frame);
  }
  ghee_gather_fini(&all);
  parts_fini(&of);
}

/* ---- every allocation failing ---- */

static ghee_status gathers(void *user, ghee_error *err) {
  parts *of = user;
  ghee_gather gather = {0};
  ghee_batch copy = {0};
  uint64_t size = 0, used;
  uint8_t *frame = NULL;
  ghee_status status = ghee_gather_init(&gather, of->batches, of->n, (const uint32_t[]){0, 3, 1}, 3, err);
  if (status == GHEE_OK) status = ghee_gather_copy(&gather, &copy, err);
  if (status == GHEE_OK) status = ghee_gather_frame_size(&gather, &size, err);
  if (status == GHEE_OK && !(frame = ghee_alloc_aligned(size))) status = ghee_error_no_memory(err, "testing");
  if (status == GHEE_OK) status = ghee_gather_write(&gather, frame, size, &used, err);
  ghee_free_aligned(frame);
  ghee_batch_release(&copy);
  ghee_gather_fini(&gather);
  return status;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  parts of = {.schema = sample_schema(sample_all_types, SAMPLE_TYPES), .n = 2};
  for (unsigned b = 0; b < 2; b++) sample_batch(of.schema, sample_all_types, SAMPLE_TYPES, 2, b, &of.batches[b]);
  assert_true(nth_alloc_each(gathers, &of, GHEE_OK) > 100);
  parts_fini(&of);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_type), cmocka_unit_test(test_random_batches), cmocka_unit_test(test_neighbours_are_one_run),
      cmocka_unit_test(test_entries_that_no_row_names_are_left_out), cmocka_unit_test(test_a_frame_that_is_too_small), cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
