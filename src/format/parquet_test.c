/* SPDX-License-Identifier: Apache-2.0 */
#include "format/types_sample.h"

#include <stdio.h>

#include "batch/column.h"
#include "format/shim.h"

static void every_type_comes_back_or_is_refused(void **state) {
  (void)state;
  sample_check_types(&ghee_parquet_ops, false, "interval_month_day_nano", "");
}

static const sample_type wide[] = {
    {"a", "l", false, NULL, 0, NULL}, {"b", "g", true, NULL, 0, NULL}, {"c", "u", true, NULL, 0, NULL},
    {"d", "l", false, NULL, 0, NULL}, {"e", "g", true, NULL, 0, NULL}, {"f", "u", true, NULL, 0, NULL},
};

static void write_wide(int64_t rows, int64_t group_rows, const char *codec, ghee_buffer *out) {
  ghee_schema *schema = sample_schema(wide, 6);
  ghee_batch batch;
  sample_batch(schema, wide, 6, rows, 5, &batch);
  ghee_write_options how = {.row_group_rows = group_rows, .codec = codec};
  SAMPLE_OK(sample_write(&ghee_parquet_ops, schema, &batch, 1, &how, out, err));
  ghee_batch_release(&batch);
  ghee_schema_unref(schema);
}

static void column_chunks_are_fetched_whole(void **state) {
  (void)state;
  ghee_buffer bytes = {0};
  write_wide(200000, 50000, "none", &bytes);
  sample_counted source = sample_count(&bytes);
  const char *names[] = {"a", "e"};
  ghee_read_options how = {.columns = names, .n_columns = 2};
  ghee_file *file;
  SAMPLE_OK(ghee_parquet_ops.open(&source.base, &how, &file, err));
  assert_true(source.reads <= 3);
  sample_parts parts = {.count = 0};
  SAMPLE_OK(ghee_parquet_ops.parts(file, 0, sample_each, &parts, err));
  assert_int_equal(parts.count, 4);
  source.reads = 0;
  source.bytes_read = 0;
  uint64_t wanted = 0;
  for (int i = 0; i < 4; i++) {
    ghee_batch batches[16];
    size_t n = 0;
    SAMPLE_OK(sample_read(file, &parts.items[i], 0, 8192, batches, &n, err));
    for (size_t k = 0; k < n; k++) ghee_batch_release(&batches[k]);
    wanted += parts.items[i].size_bytes;
  }
  assert_true(source.reads <= 2 * 4); /* at most one for each chunk */
  assert_true(source.bytes_read >= wanted);
  assert_true(wanted < bytes.size / 2); /* the other four columns stay where they are, but for small gaps */
  ghee_parquet_ops.close(file);
  ghee_buffer_fini(&bytes);
}

static void every_codec_is_read_back(void **state) {
  (void)state;
  static const char *const codecs[] = {"zstd", "snappy", "lz4", "gzip", "none"};
  size_t plain = 0;
  for (int i = 4; i >= 0; i--) {
    ghee_buffer bytes = {0};
    write_wide(20000, 0, codecs[i], &bytes);
    if (i == 4) plain = bytes.size;
    else assert_true(bytes.size < plain);
    sample_file in;
    int64_t rows;
    SAMPLE_OK(sample_open(&ghee_parquet_ops, bytes.data, bytes.size, NULL, &in, err));
    SAMPLE_OK(sample_read_all(in.file, 0, 8192, NULL, &rows, err));
    assert_int_equal(rows, 20000);
    sample_close(&in);
    ghee_buffer_fini(&bytes);
  }
}

static void estimates_are_near_the_truth(void **state) {
  (void)state;
  ghee_buffer bytes = {0};
  write_wide(100000, 0, NULL, &bytes);
  sample_file in;
  sample_parts parts = {.count = 0};
  ghee_batch got = {0};
  int64_t rows;
  SAMPLE_OK(sample_open(&ghee_parquet_ops, bytes.data, bytes.size, NULL, &in, err));
  SAMPLE_OK(ghee_parquet_ops.parts(in.file, 0, sample_each, &parts, err));
  SAMPLE_OK(sample_read_all(in.file, 0, 8192, &got, &rows, err));
  assert_int_equal(parts.items[0].rows, 100000);
  uint64_t truth = ghee_batch_bytes(&got);
  assert_in_range(parts.items[0].memory_bytes, truth / 2, truth * 2);
  ghee_batch_release(&got);
  sample_close(&in);
  ghee_buffer_fini(&bytes);
}

static void a_projection_may_be_empty(void **state) {
  (void)state;
  ghee_buffer bytes = {0};
  write_wide(1000, 0, NULL, &bytes);
  const char *none[] = {NULL};
  ghee_read_options how = {.columns = none, .n_columns = 0};
  sample_file in;
  int64_t rows;
  SAMPLE_OK(sample_open(&ghee_parquet_ops, bytes.data, bytes.size, &how, &in, err));
  assert_int_equal(ghee_schema_columns(ghee_parquet_ops.schema(in.file)), 0);
  SAMPLE_OK(sample_read_all(in.file, 0, 8192, NULL, &rows, err));
  assert_int_equal(rows, 1000);
  sample_close(&in);
  ghee_buffer_fini(&bytes);
}

static void a_part_that_is_not_there_is_refused(void **state) {
  (void)state;
  ghee_buffer bytes = {0};
  write_wide(10, 0, NULL, &bytes);
  sample_file in;
  SAMPLE_OK(sample_open(&ghee_parquet_ops, bytes.data, bytes.size, NULL, &in, err));
  ghee_part part = {.index = 7};
  ghee_rows *rows;
  ghee_error why = {0};
  assert_int_equal(ghee_parquet_ops.read(in.file, &part, 0, &rows, &why), GHEE_INVALID);
  assert_non_null(strstr(why.message, "row group 7"));
  sample_close(&in);
  ghee_buffer_fini(&bytes);
}

static void a_batch_of_another_shape_is_refused(void **state) {
  (void)state;
  ghee_schema *schema = sample_schema(wide, 6);
  ghee_buffer out = {0};
  ghee_sink *sink;
  ghee_writer *writer;
  ghee_error why = {0};
  SAMPLE_OK(ghee_sink_to_buffer(&out, "sample", &sink, err));
  SAMPLE_OK(ghee_parquet_ops.create(sink, schema, NULL, &writer, err));
  ghee_schema *other = sample_schema(wide, 2);
  ghee_batch batch;
  sample_batch(other, wide, 2, 10, 1, &batch);
  assert_int_not_equal(ghee_parquet_ops.write(writer, &batch, &why), GHEE_OK);
  assert_non_null(strstr(why.message, "sample"));
  ghee_parquet_ops.abandon(writer);
  sink->ops->close(sink);
  ghee_batch_release(&batch);
  ghee_schema_unref(other);
  ghee_schema_unref(schema);
  ghee_buffer_fini(&out);
}

/* A small file with some zeros in place of its bytes, anywhere, its rows skipped: an end comes, good or bad. */
static void skipping_in_a_damaged_file_ends(void **state) {
  (void)state;
  const sample_type type = {"list", "+l", true, sample_item, 1, NULL};
  ghee_schema *schema = sample_schema(&type, 1);
  ghee_buffer bytes = {0};
  ghee_batch batch;
  sample_batch(schema, &type, 1, 12, 1, &batch);
  SAMPLE_OK(sample_write(&ghee_parquet_ops, schema, &batch, 1, &(ghee_write_options){.codec = "none"}, &bytes, err));
  uint8_t *spoilt = malloc(bytes.size);
  for (size_t zeros = 1; zeros <= 32; zeros *= 2)
    for (size_t i = 0; i + zeros <= bytes.size; i++) {
      sample_file in;
      ghee_batch got[64];
      size_t count = 0;
      sample_parts parts = {.count = 0};
      memcpy(spoilt, bytes.data, bytes.size);
      memset(spoilt + i, 0, zeros);
      if (sample_open(&ghee_parquet_ops, spoilt, bytes.size, NULL, &in, NULL) != GHEE_OK) continue;
      (void)ghee_parquet_ops.parts(in.file, 0, sample_each, &parts, NULL);
      for (int part = 0; part < parts.count; part++) (void)sample_read(in.file, &parts.items[part], 3, 8192, got, &count, NULL);
      while (count) ghee_batch_release(&got[--count]);
      sample_close(&in);
    }
  free(spoilt);
  ghee_batch_release(&batch);
  ghee_buffer_fini(&bytes);
  ghee_schema_unref(schema);
}

static bool text_is(const ghee_column *a, int64_t i, const ghee_column *b, int64_t k, bool less) {
  int64_t a_at = ghee_column_offset(a, i), a_size = ghee_column_offset(a, i + 1) - a_at, b_at = ghee_column_offset(b, k), b_size = ghee_column_offset(b, k + 1) - b_at;
  int order = memcmp((const char *)a->array->buffers[2] + a_at, (const char *)b->array->buffers[2] + b_at, (size_t)(a_size < b_size ? a_size : b_size));
  return (order ? order < 0 : a_size <= b_size) == less || (order == 0 && a_size == b_size);
}

/* The rows of one part lie within its bounds, and reach them. Columns a and c: whole numbers and texts. */
static void check_bounds(const ghee_batch *bounds, const ghee_part *part, const ghee_batch *rows) {
  ghee_column least = ghee_column_at(bounds, 0), greatest = ghee_column_at(bounds, 1), first = ghee_column_at(bounds, 3), last = ghee_column_at(bounds, 4);
  ghee_column nulls = ghee_column_at(bounds, 5), numbers = ghee_column_at(rows, 0), texts = ghee_column_at(rows, 2);
  int64_t low = ghee_column_number(&least, part->index), high = ghee_column_number(&greatest, part->index);
  bool reached_low = false, reached_high = false;
  for (int64_t i = 0; i < ghee_batch_rows(rows); i++) {
    int64_t number = ghee_column_number(&numbers, i);
    assert_true(number >= low && number <= high);
    reached_low |= number == low;
    reached_high |= number == high;
    if (!ghee_column_valid(&texts, i)) continue;
    assert_true(text_is(&texts, i, &first, part->index, false) && text_is(&texts, i, &last, part->index, true));
  }
  assert_true(reached_low && reached_high);
  assert_int_equal(ghee_column_number(&nulls, part->index), ghee_column_nulls(&texts));
}

static void bounds_are_those_of_the_rows(void **state) {
  (void)state;
  ghee_buffer bytes = {0};
  write_wide(5000, 1000, "none", &bytes);
  const char *names[] = {"a", "c"};
  ghee_read_options how = {.bounds = true, .batch_rows = 1000};
  sample_file file;
  ghee_batch bounds = {0};
  sample_parts parts = {.count = 0};
  SAMPLE_OK(sample_open(&ghee_parquet_ops, bytes.data, bytes.size, &how, &file, err));
  SAMPLE_OK(ghee_parquet_ops.bounds(file.file, names, 2, &bounds, err));
  SAMPLE_OK(ghee_parquet_ops.parts(file.file, 0, sample_each, &parts, err));
  assert_true(parts.count == 5 && ghee_batch_rows(&bounds) == 5 && ghee_schema_columns(bounds.schema) == 6);
  for (int i = 0; i < parts.count; i++) {
    ghee_batch rows[1] = {{0}};
    size_t n = 0;
    SAMPLE_OK(sample_read(file.file, &parts.items[i], 0, 1000, rows, &n, err));
    check_bounds(&bounds, &parts.items[i], rows);
    ghee_batch_release(rows);
  }
  ghee_batch_release(&bounds);
  ghee_error why;
  const char *missing[] = {"nothing"};
  assert_int_not_equal(ghee_parquet_ops.bounds(file.file, missing, 1, &bounds, &why), GHEE_OK);
  sample_close(&file);
  ghee_buffer_fini(&bytes);
}

/* Not asked for when the file was opened, they are not decoded: nothing is known. */
static void bounds_that_were_not_asked_for(void **state) {
  (void)state;
  ghee_buffer bytes = {0};
  write_wide(100, 100, "none", &bytes);
  const char *names[] = {"a"};
  sample_file file;
  ghee_batch bounds = {0};
  SAMPLE_OK(sample_open(&ghee_parquet_ops, bytes.data, bytes.size, NULL, &file, err));
  SAMPLE_OK(ghee_parquet_ops.bounds(file.file, names, 1, &bounds, err));
  for (int i = 0; i < 3; i++) {
    ghee_column column = ghee_column_at(&bounds, i);
    assert_false(ghee_column_valid(&column, 0));
  }
  ghee_batch_release(&bounds);
  sample_close(&file);
  ghee_buffer_fini(&bytes);
}

/* 100 numbers in a dictionary, whose page's header comes to claim 8,191: the crate would make room for all that a header claims. */
static void a_dictionary_of_more_than_its_bytes_is_refused(void **state) {
  (void)state;
  static const uint8_t header_of_100[] = {0x4c, 0x15, 0xc8, 0x01}; /* field 7, a struct, whose field 1 is 100 */
  static const sample_type number[] = {{"n", "l", false, NULL, 0, NULL}};
  enum { ROWS = 1000, DISTINCT = 100 };
  ghee_schema *schema = sample_schema(number, 1);
  ghee_batch batch;
  ghee_buffer bytes = {0};
  sample_batch(schema, number, 1, ROWS, 1, &batch);
  int64_t *values = (int64_t *)(uintptr_t)batch.array.children[0]->buffers[1];
  for (int64_t i = 0; i < ROWS; i++) values[i] = i % DISTINCT;
  SAMPLE_OK(sample_write(&ghee_parquet_ops, schema, &batch, 1, &(ghee_write_options){.codec = "none"}, &bytes, err));
  uint8_t *header = memmem(bytes.data, 64, header_of_100, sizeof header_of_100);
  assert_non_null(header);
  sample_file file;
  sample_parts parts = {.count = 0};
  ghee_rows *rows;
  ghee_error why;
  SAMPLE_OK(sample_open(&ghee_parquet_ops, bytes.data, bytes.size, &(ghee_read_options){.batch_rows = ROWS}, &file, err));
  SAMPLE_OK(file.file->ops->parts(file.file, 0, sample_each, &parts, err));
  SAMPLE_OK(file.file->ops->read(file.file, &parts.items[0], 0, &rows, err));
  file.file->ops->end(rows);
  memcpy(header + 2, (uint8_t[]){0xfe, 0x7f}, 2);
  assert_int_equal(file.file->ops->read(file.file, &parts.items[0], 0, &rows, &why), GHEE_CORRUPT);
  assert_non_null(strstr(why.message, "column n of row group 0: its dictionary of 800 bytes claims to have 8191 values"));
  sample_close(&file);
  ghee_buffer_fini(&bytes);
  ghee_batch_release(&batch);
  ghee_schema_unref(schema);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_comes_back_or_is_refused),
      cmocka_unit_test(column_chunks_are_fetched_whole),
      cmocka_unit_test(every_codec_is_read_back),
      cmocka_unit_test(estimates_are_near_the_truth),
      cmocka_unit_test(a_projection_may_be_empty),
      cmocka_unit_test(a_part_that_is_not_there_is_refused),
      cmocka_unit_test(a_batch_of_another_shape_is_refused),
      cmocka_unit_test(skipping_in_a_damaged_file_ends),
      cmocka_unit_test(a_dictionary_of_more_than_its_bytes_is_refused),
      cmocka_unit_test(bounds_are_those_of_the_rows),
      cmocka_unit_test(bounds_that_were_not_asked_for),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
