/* SPDX-License-Identifier: Apache-2.0
 * Memory that is kept: a second reading touches no new pages, and beyond the limit nothing is kept. */
#include <sys/resource.h>
#include <unistd.h>

#include "format/sample.h"
#include "format/shim.h"

enum { ROWS = 6000000 }; /* 48 MB read, 48 MB decoded: more than malloc would keep */

static long faults(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

/* Reads the one part as one batch; how many pages were touched for the first time. */
static long read_once(ghee_file *file, const ghee_part *part) {
  ghee_batch batches[4];
  size_t n = 0;
  long before = faults();
  SAMPLE_OK(sample_read(file, part, 0, ROWS, batches, &n, err));
  long touched = faults() - before;
  assert_int_equal(n, 1);
  assert_int_equal(ghee_batch_rows(&batches[0]), ROWS);
  ghee_batch_release(&batches[0]);
  return touched;
}

static void test_a_second_reading_touches_no_new_pages(void **state) {
  (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip(); /* pages of their shadow memory would be counted */
#endif
  static const sample_type number[] = {{"n", "l", false, NULL, 0, NULL}};
  ghee_schema *schema = sample_schema(number, 1);
  ghee_batch batch;
  ghee_buffer bytes = {0};
  sample_file file;
  sample_parts *parts = calloc(1, sizeof *parts);
  sample_batch(schema, number, 1, ROWS, 1, &batch);
  SAMPLE_OK(sample_write(&ghee_parquet_ops, schema, &batch, 1, &(ghee_write_options){.row_group_rows = ROWS, .codec = "none"}, &bytes, err));
  SAMPLE_OK(sample_open(&ghee_parquet_ops, bytes.data, bytes.size, &(ghee_read_options){.batch_rows = ROWS}, &file, err));
  SAMPLE_OK(file.file->ops->parts(file.file, 0, sample_each, parts, err));
  assert_int_equal(parts->count, 1);
  long pages = (long)ROWS * 8 / sysconf(_SC_PAGESIZE);
  ghee_format_keep(1 << 20); /* less than what is in use: nothing is kept */
  (void)read_once(file.file, &parts->items[0]);
  assert_true(read_once(file.file, &parts->items[0]) > pages / 2);
  ghee_format_keep(128 << 20); /* room for it, and for nothing else */
  (void)read_once(file.file, &parts->items[0]);
  assert_true(read_once(file.file, &parts->items[0]) < pages / 8);
  ghee_format_keep(0); /* gives back what was kept */
  assert_true(read_once(file.file, &parts->items[0]) > pages / 2);
  sample_close(&file);
  ghee_buffer_fini(&bytes);
  ghee_batch_release(&batch);
  ghee_schema_unref(schema);
  free(parts);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_second_reading_touches_no_new_pages)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
