/* SPDX-License-Identifier: Apache-2.0 */
#include "format/types_sample.h"

#include "format/shim.h"

static void every_type_comes_back(void **state) {
  (void)state;
  sample_check_types(&ghee_ipc_ops, false, "", "dictionary8 dictionary32 dictionary_u16 dictionary_of_reals");
}

static const sample_type two[] = {{"id", "l", false, NULL, 0, NULL}, {"word", "u", true, NULL, 0, NULL}};

static void batches_are_cut_and_compressed(void **state) {
  (void)state;
  static const char *const codecs[] = {"none", "zstd", "lz4"};
  ghee_schema *schema = sample_schema(two, 2);
  ghee_batch batch;
  sample_batch(schema, two, 2, 10000, 1, &batch);
  size_t plain = 0;
  for (int i = 0; i < 3; i++) {
    ghee_buffer bytes = {0};
    ghee_write_options how = {.codec = codecs[i], .row_group_rows = 3000};
    SAMPLE_OK(sample_write(&ghee_ipc_ops, schema, &batch, 1, &how, &bytes, err));
    if (i == 0) plain = bytes.size;
    else assert_true(bytes.size < plain);
    sample_file in;
    sample_parts parts = {.count = 0};
    ghee_batch got = {0};
    int64_t rows;
    SAMPLE_OK(sample_open(&ghee_ipc_ops, bytes.data, bytes.size, NULL, &in, err));
    SAMPLE_OK(ghee_ipc_ops.parts(in.file, 0, sample_each, &parts, err));
    assert_int_equal(parts.count, 4);
    assert_int_equal(parts.items[0].rows, 3000);
    assert_int_equal(parts.items[3].rows, 1000);
    SAMPLE_OK(sample_read_all(in.file, 0, 8192, &got, &rows, err));
    assert_true(ghee_batch_equal(&got, &batch));
    ghee_batch_release(&got);
    sample_close(&in);
    ghee_buffer_fini(&bytes);
  }
  ghee_batch_release(&batch);
  ghee_schema_unref(schema);
}

static void expect_refusal(const void *data, size_t size, ghee_status status, const char *words) {
  sample_file in;
  ghee_error why = {0};
  assert_int_equal(sample_open(&ghee_ipc_ops, data, size, NULL, &in, &why), status);
  assert_non_null(strstr(why.message, words));
}

/* Between its magic bytes and its footer a file holds a stream. */
static void a_stream_reads_as_its_file(void **state) {
  (void)state;
  ghee_schema *schema = sample_schema(two, 2);
  ghee_batch batch, got = {0};
  sample_batch(schema, two, 2, 1000, 1, &batch);
  ghee_buffer bytes = {0};
  ghee_write_options how = {.row_group_rows = 300};
  SAMPLE_OK(sample_write(&ghee_ipc_ops, schema, &batch, 1, &how, &bytes, err));
  size_t magic = 8; /* and what it is padded with */
  while (magic < 64 && memcmp(bytes.data + magic, "\xff\xff\xff\xff", 4)) magic += 8;
  sample_file in;
  sample_parts parts = {.count = 0};
  int64_t rows;
  SAMPLE_OK(sample_open(&ghee_ipc_ops, bytes.data + magic, bytes.size - magic, NULL, &in, err));
  SAMPLE_OK(ghee_ipc_ops.parts(in.file, 0, sample_each, &parts, err));
  assert_int_equal(parts.count, 4);
  assert_int_equal(parts.items[3].rows, 100);
  SAMPLE_OK(sample_read_all(in.file, 0, 8192, &got, &rows, err));
  assert_true(ghee_batch_equal(&got, &batch));
  ghee_batch_release(&got);
  sample_close(&in);
  ghee_part *last = &parts.items[3];
  expect_refusal(bytes.data + magic, last->offset + last->size_bytes - 1, GHEE_CORRUPT, "truncated");
  expect_refusal(bytes.data + magic, last->offset + 20, GHEE_CORRUPT, "truncated");
  ghee_buffer_fini(&bytes);
  ghee_batch_release(&batch);
  ghee_schema_unref(schema);
}

static void foreign_bytes_are_named(void **state) {
  (void)state;
  expect_refusal("\xff\xff\xff\xff\x10\0\0\0 and so on, longer", 30, GHEE_CORRUPT, "head of a block");
  expect_refusal("\xff\xff\xff\xff\0\0\0\0", 8, GHEE_CORRUPT, "without a schema");
  expect_refusal("\xff\xff\xff\xff\x10\0", 6, GHEE_CORRUPT, "no length");
  expect_refusal("FEA1 and so on, longer than that", 30, GHEE_UNSUPPORTED, "Feather");
  expect_refusal("ARROW1\0\0", 8, GHEE_CORRUPT, "sample");
  expect_refusal("", 0, GHEE_CORRUPT, "sample");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_comes_back),
      cmocka_unit_test(batches_are_cut_and_compressed),
      cmocka_unit_test(a_stream_reads_as_its_file),
      cmocka_unit_test(foreign_bytes_are_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
