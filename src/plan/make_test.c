/* SPDX-License-Identifier: Apache-2.0
 * Plans of real files: what is in them, how they are cut, and inputs that are refused. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "batch/types_sample.h"
#include "format/sample.h"
#include "ghee/batch.h"
#include "plan/plan_file.h"

enum { GROUP = 500 };

static char root[64];
static const sample_type other_columns[] = {{"x", "l", true, NULL, 0, NULL}, {"y", "u", true, NULL, 0, NULL}};

static int setup(void **state) {
  (void)state;
  char in[80];
  strcpy(root, "/tmp/ghee-make-XXXXXX");
  ghee_object_store_register(&ghee_object_store_file);
  if (!mkdtemp(root)) return -1;
  snprintf(in, sizeof in, "%s/in", root);
  return mkdir(in, 0700);
}

static int teardown(void **state) {
  (void)state;
  return ghee_dir_remove_all(root, NULL) == GHEE_OK ? 0 : -1;
}

static const char *in_input(const char *name) {
  static char path[128];
  snprintf(path, sizeof path, "%s/in/%s", root, name);
  return path;
}

static void write_bytes(const char *name, const void *data, size_t size) { SAMPLE_OK(ghee_file_write_atomic(in_input(name), data, size, err)); }

/* Rows of two columns, x and y, in row groups of GROUP. */
static void write_rows(const char *name, const sample_type *columns, int64_t rows) {
  const struct ghee_format_ops *format = ghee_format_of_path(name);
  ghee_schema *schema = sample_schema(columns, 2);
  ghee_batch batch = {0};
  ghee_buffer bytes = {0};
  ghee_write_options options = {.row_group_rows = GROUP, .csv_delimiter = ','};
  sample_batch(schema, columns, 2, rows, 1, &batch);
  SAMPLE_OK(sample_write(format, schema, &batch, 1, &options, &bytes, err));
  write_bytes(name, bytes.data, bytes.size);
  ghee_buffer_fini(&bytes);
  ghee_batch_release(&batch);
  ghee_schema_unref(schema);
}

static void release_nothing(void *owner) { (void)owner; }

/* Rows of x, which rises from `first` on, and y, in row groups of GROUP. */
static void write_rising(const char *name, int64_t first, int64_t rows) {
  struct ArrowSchema arrow;
  struct ArrowArray array;
  ghee_schema *schema;
  ghee_batch batch = {0};
  ghee_buffer bytes = {0};
  ghee_builder *builder;
  ghee_write_options options = {.row_group_rows = GROUP, .csv_delimiter = ','};
  int64_t *numbers = ghee_alloc((size_t)rows * sizeof *numbers);
  for (int64_t i = 0; i < rows; i++) numbers[i] = first + i;
  SAMPLE_OK(ghee_builder_new(&builder, err));
  SAMPLE_OK(ghee_builder_add_fixed(builder, "x", "l", rows, numbers, NULL, 0, NULL, 0, release_nothing, NULL, err));
  SAMPLE_OK(ghee_builder_add_fixed(builder, "y", "l", rows, numbers, NULL, 0, NULL, 0, release_nothing, NULL, err));
  SAMPLE_OK(ghee_builder_finish(builder, &arrow, &array, err));
  SAMPLE_OK(ghee_schema_new(&arrow, &schema, err));
  SAMPLE_OK(ghee_batch_new(schema, &array, true, &batch, err));
  SAMPLE_OK(sample_write(ghee_format_of_path(name), schema, &batch, 1, &options, &bytes, err));
  write_bytes(name, bytes.data, bytes.size);
  ghee_buffer_fini(&bytes);
  ghee_batch_release(&batch);
  ghee_schema_unref(schema);
  ghee_builder_free(builder);
  ghee_free(numbers);
}

static ghee_job_spec *spec_of(const char *input, const char *rest) {
  char text[1024];
  ghee_document *document = NULL;
  ghee_job_spec *spec = NULL;
  snprintf(text, sizeof text, "input: {uri: in%s}\noutput: {uri: out}\n%s\n", input, rest);
  SAMPLE_OK(ghee_document_parse(text, strlen(text), "job", &document, err));
  SAMPLE_OK(ghee_job_spec_new(document, root, &spec, err));
  ghee_document_free(document);
  return spec;
}

static ghee_plan *plan_of(const char *input, const char *rest, int64_t limit_rows) {
  ghee_job_spec *spec = spec_of(input, rest);
  ghee_plan *plan = NULL;
  SAMPLE_OK(ghee_plan_make(spec, limit_rows, &plan, err));
  ghee_job_spec_free(spec);
  return plan;
}

/* The plan is refused with this status, and words that are all in the message. */
static void refused(const char *input, const char *rest, ghee_status status, const char *const words[3]) {
  ghee_job_spec *spec = spec_of(input, rest);
  ghee_plan *plan = NULL;
  ghee_error why = {0};
  if (ghee_plan_make(spec, 0, &plan, &why) != status) fail_msg("%s: %s", ghee_status_name(why.status), why.message);
  assert_null(plan);
  for (int i = 0; i < 3 && words[i]; i++)
    if (!strstr(why.message, words[i])) fail_msg("'%s' is not in: %s", words[i], why.message);
  ghee_job_spec_free(spec);
}

/* ---- what is planned ---- */

static void test_every_part_is_in_one_chunk_in_the_order_of_files(void **state) {
  (void)state;
  write_rows("b.parquet", sample_pair, 3 * GROUP);
  write_rows("a.parquet", sample_pair, 2 * GROUP + 7);
  write_rows("_left_out.parquet", other_columns, 1);
  for (int workers = 1; workers < 4; workers++) {
    char rest[64];
    snprintf(rest, sizeof rest, "predict: {run: 'm:f', workers: %d}", workers);
    ghee_plan *plan = plan_of("", rest, 0);
    const ghee_plan_totals *totals = ghee_plan_totals_of(plan);
    assert_true(totals->files == 2 && totals->parts == 6 && totals->rows == 5 * GROUP + 7);
    assert_string_equal(strrchr(ghee_plan_file_uri(plan, 0), '/'), "/a.parquet");
    assert_int_equal(totals->chunk_bytes, totals->memory_bytes / (4 * (unsigned)workers));
    assert_true(totals->chunks > 1 && totals->chunks <= 6);
    int64_t rows = 0;
    uint64_t file_row = 0;
    uint32_t file = 0;
    for (uint32_t chunk = 0; chunk < totals->chunks; chunk++) {
      uint64_t bytes = 0;
      for (uint32_t i = 0; i < ghee_plan_chunk_parts(plan, 0, chunk); i++) {
        ghee_plan_part part = ghee_plan_chunk_part(plan, 0, chunk, i);
        if (part.file != file) file_row = 0;
        assert_true(part.file == file || part.file == file + 1);
        assert_int_equal(part.first_row, file_row);
        file = part.file;
        file_row += (uint64_t)part.part.rows;
        rows += part.part.rows;
        bytes += part.part.memory_bytes;
      }
      assert_true(bytes > 0 && bytes <= totals->largest_chunk_bytes && bytes <= totals->chunk_bytes * 3 / 2 + totals->largest_part_bytes);
    }
    assert_int_equal(rows, totals->rows);
    ghee_plan_free(plan);
  }
}

static void test_the_same_input_gives_the_same_plan(void **state) {
  (void)state;
  for (char name[] = "a.parquet"; *name < 'k'; ++*name) write_rows(name, sample_pair, 100 * (*name - 'a' + 1));
  ghee_plan *first = plan_of(", shuffle: {seed: 3, window: 2}", "predict: {run: 'm:f'}", 0), *second = plan_of(", shuffle: {seed: 3, window: 2}", "predict: {run: 'm:f'}", 0);
  assert_int_equal(first->size_bytes, second->size_bytes);
  assert_memory_equal(first->data, second->data, first->size_bytes);
  ghee_plan_free(first);
  ghee_plan_free(second);
}

static void test_only_wanted_columns(void **state) {
  (void)state;
  write_rows("a.parquet", sample_pair, 100);
  ghee_plan *all = plan_of("", "predict: {run: 'm:f'}", 0), *one = plan_of(", columns: [y]", "predict: {run: 'm:f'}", 0);
  assert_int_equal(ghee_schema_columns(ghee_plan_schema(all)), 2);
  assert_int_equal(ghee_schema_columns(ghee_plan_schema(one)), 1);
  assert_int_equal(ghee_schema_find(ghee_plan_schema(one), "y"), 0);
  assert_true(ghee_plan_totals_of(one)->read_bytes < ghee_plan_totals_of(all)->read_bytes);
  ghee_plan_free(all);
  ghee_plan_free(one);
}

static void test_a_filter_rules_parts_out(void **state) {
  (void)state;
  static const struct { const char *input; uint64_t parts, out_parts, out_files, first_row; } cases[] = {
      {", filter: x >= 500 and x < 1600", 3, 2, 0, GROUP}, {", filter: x < 10", 1, 4, 1, 0}, {", filter: x < 0", 0, 5, 2, 0},
      {", filter: x is null", 0, 5, 2, 0}, {", filter: x >= 0", 5, 0, 0, 0}, {", columns: [y], filter: x in (1499)", 1, 4, 1, 2 * GROUP}};
  write_rising("a.parquet", 0, 3 * GROUP);
  write_rising("b.parquet", 3 * GROUP, 2 * GROUP);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ghee_plan *plan = plan_of(cases[i].input, "predict: {run: 'm:f'}", 0);
    const ghee_plan_totals *totals = ghee_plan_totals_of(plan);
    if (totals->parts != cases[i].parts || totals->ruled_out_parts != cases[i].out_parts || totals->ruled_out_files != cases[i].out_files)
      fail_msg("%s: %llu parts, %llu ruled out", cases[i].input, (unsigned long long)totals->parts, (unsigned long long)totals->ruled_out_parts);
    assert_true(totals->files == 2 && totals->rows == -1 && totals->most_rows == (int64_t)cases[i].parts * GROUP);
    if (totals->parts == 0) assert_int_equal(totals->chunks, 0);
    else assert_int_equal(ghee_plan_chunk_part(plan, 0, 0, 0).first_row, cases[i].first_row);
    if (totals->parts > 0) assert_int_equal(ghee_plan_chunk_rows(plan, 0, 0), -1);
    ghee_plan_free(plan);
  }
}

static void test_columns_of_the_filter_are_read_besides(void **state) {
  (void)state;
  write_rising("a.parquet", 0, GROUP);
  ghee_plan *plan = plan_of(", columns: [y], filter: x >= 0", "predict: {run: 'm:f'}", 0);
  assert_int_equal(ghee_schema_columns(ghee_plan_schema(plan)), 1);
  assert_int_equal(ghee_schema_find(ghee_plan_schema(plan), "y"), 0);
  assert_int_equal(ghee_schema_columns(ghee_plan_read_schema(plan)), 2);
  assert_int_equal(ghee_schema_find(ghee_plan_read_schema(plan), "x"), 1);
  ghee_plan_free(plan);
}

static void test_a_limit_takes_whole_parts(void **state) {
  (void)state;
  static const struct { int64_t limit, rows; } limits[] = {{1, GROUP}, {GROUP, GROUP}, {GROUP + 1, 2 * GROUP}, {3 * GROUP + 1, 4 * GROUP}, {0, 6 * GROUP}, {99999, 6 * GROUP}};
  write_rows("a.parquet", sample_pair, 3 * GROUP);
  write_rows("b.parquet", sample_pair, 3 * GROUP);
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    ghee_plan *plan = plan_of("", "predict: {run: 'm:f'}", limits[i].limit);
    assert_int_equal(ghee_plan_totals_of(plan)->rows, limits[i].rows);
    ghee_plan_free(plan);
  }
}

static void test_rows_of_text_are_not_known(void **state) {
  (void)state;
  write_rows("a.csv", sample_pair, 100);
  ghee_plan *plan = plan_of("", "predict: {run: 'm:f'}", 0);
  assert_int_equal(ghee_plan_totals_of(plan)->rows, -1);
  assert_int_equal(ghee_plan_chunk_rows(plan, 0, 0), -1);
  assert_string_equal(ghee_plan_format(plan), "csv");
  ghee_plan_free(plan);
}

static void test_a_shuffle_is_cut_to_the_buffer(void **state) {
  (void)state;
  write_rows("a.parquet", sample_pair, 40 * GROUP);
  ghee_plan *free_one = plan_of(", shuffle: {seed: 1, window: 9}", "predict: {run: 'm:f'}", 0);
  assert_int_equal(ghee_plan_totals_of(free_one)->shuffle_window, 9);
  assert_int_equal(ghee_plan_totals_of(free_one)->chunks, 5);
  uint64_t part = ghee_plan_totals_of(free_one)->largest_part_bytes;
  ghee_plan_free(free_one);
  assert_true(part < 64 << 10 && 30 * part > 64 << 10); /* or the buffer below cuts nothing */
  ghee_plan *plan = plan_of(", shuffle: {seed: 1, window: 9}", "predict: {run: 'm:f'}\nbuffer: 64KiB", 0);
  const ghee_plan_totals *totals = ghee_plan_totals_of(plan);
  assert_true(totals->shuffle_window >= 1 && totals->shuffle_window < 9);
  assert_true(totals->reader_bytes <= 64 << 10);
  assert_int_equal(totals->chunks, (40 + totals->shuffle_window - 1) / totals->shuffle_window);
  ghee_plan_free(plan);
}

/* ---- what is refused ---- */

static void test_inputs_that_are_refused(void **state) {
  (void)state;
  const char *predict = "predict: {run: 'm:f'}";
  refused("", predict, GHEE_NOT_FOUND, (const char *const[3]){"holds no files"});
  write_rows("a.parquet", sample_pair, 10);
  write_rows("b.parquet", other_columns, 10);
  refused("", predict, GHEE_SCHEMA, (const char *const[3]){"a.parquet", "b.parquet", "x"});
  refused(", columns: [z]", predict, GHEE_NOT_FOUND, (const char *const[3]){"z"});
  unlink(in_input("b.parquet"));
  write_rows("c.parquet", other_columns, 10);
  refused(", filter: x > 1", predict, GHEE_SCHEMA, (const char *const[3]){"a.parquet", "c.parquet", "x"});
  unlink(in_input("c.parquet"));
  refused(", columns: [y], filter: xx = 1", predict, GHEE_NOT_FOUND, (const char *const[3]){"\"xx\"", "there are: x, y"});
  refused(", filter: x = 'a'", predict, GHEE_SCHEMA, (const char *const[3]){"column x", "without quotes"});
  write_bytes("b.parquet", "PAR1 but not really", 19);
  write_bytes("c.parquet", "", 0);
  refused("", predict, GHEE_CORRUPT, (const char *const[3]){"b.parquet", "repair the file"}); /* the first, however the readers race */
  write_rows("b.csv", sample_pair, 10);
  refused("", predict, GHEE_INVALID, (const char *const[3]){"mixes formats", "a.parquet", "b.csv"});
  unlink(in_input("a.parquet"));
  write_bytes("a.data", "?", 1);
  refused("", predict, GHEE_INVALID, (const char *const[3]){"a.data", "input.format"});
}

static void test_what_does_not_fit_is_refused_with_numbers(void **state) {
  (void)state;
  write_rows("a.csv", sample_pair, 20000);
  refused("", "predict: {run: 'm:f'}\nbuffer: 64KiB", GHEE_LIMIT, (const char *const[3]){"batch_size", "buffer", "8192 rows"});
  refused(", shuffle: true", "predict: {run: 'm:f'}\nbuffer: 64KiB", GHEE_LIMIT, (const char *const[3]){"shuffling needs", "raise buffer"});
}

static void test_input_that_has_changed(void **state) {
  (void)state;
  ghee_error why;
  write_rows("a.parquet", sample_pair, 10);
  write_rows("b.parquet", sample_pair, 10);
  ghee_job_spec *spec = spec_of("", "predict: {run: 'm:f'}");
  ghee_plan *plan = NULL;
  SAMPLE_OK(ghee_plan_make(spec, 0, &plan, err));
  SAMPLE_OK(ghee_plan_check_input(plan, spec, err));
  write_rows("b.parquet", sample_pair, 11);
  assert_int_equal(ghee_plan_check_input(plan, spec, &why), GHEE_CHANGED);
  assert_non_null(strstr(why.message, "b.parquet"));
  unlink(in_input("a.parquet"));
  assert_int_equal(ghee_plan_check_input(plan, spec, &why), GHEE_CHANGED);
  assert_non_null(strstr(why.message, "a.parquet"));
  ghee_plan_free(plan);
  ghee_job_spec_free(spec);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {TEST(test_every_part_is_in_one_chunk_in_the_order_of_files), TEST(test_the_same_input_gives_the_same_plan),
                                     TEST(test_only_wanted_columns), TEST(test_a_filter_rules_parts_out), TEST(test_columns_of_the_filter_are_read_besides),
                                     TEST(test_a_limit_takes_whole_parts), TEST(test_rows_of_text_are_not_known),
                                     TEST(test_a_shuffle_is_cut_to_the_buffer), TEST(test_inputs_that_are_refused),
                                     TEST(test_what_does_not_fit_is_refused_with_numbers), TEST(test_input_that_has_changed)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
