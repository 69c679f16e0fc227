/* SPDX-License-Identifier: Apache-2.0
 * Text in gzip and in zstd: one part, read as it is unpacked. */
#include "format/packed_sample.h"

#include <stdio.h>

#include "format/sample.h"
#include "format/shim.h"

enum { LINES = 150000 };

static const struct {
  const struct ghee_format_ops *ops;
  const char *line, *head;
  void (*pack)(const void *data, size_t size, ghee_buffer *out);
} cases[] = {
    {&ghee_csv_ops, "%d,\"word %d\"\n", "a,b\n", packed_gzip},
    {&ghee_csv_ops, "%d,\"word %d\"\n", "a,b\n", packed_zstd},
    {&ghee_jsonl_ops, "{\"a\":%d,\"b\":\"word %d\"}\n", "", packed_gzip},
    {&ghee_jsonl_ops, "{\"a\":%d,\"b\":\"word %d\"}\n", "", packed_zstd},
};
enum { CASES = sizeof cases / sizeof *cases };

static void text_of(size_t c, int lines, ghee_buffer *text) {
  ghee_buffer_put(text, cases[c].head, strlen(cases[c].head));
  for (int i = 0; i < lines; i++) ghee_buffer_printf(text, cases[c].line, i, i % 1000);
}

/* A file of two members or frames, the second beginning in the middle of a line. */
static void packed_of(size_t c, const ghee_buffer *text, ghee_buffer *out) {
  cases[c].pack(text->data, text->size / 2, out);
  cases[c].pack(text->data + text->size / 2, text->size - text->size / 2, out);
}

static void comes_out_as_the_text_does(void **state) {
  (void)state;
  for (size_t c = 0; c < CASES; c++) {
    ghee_buffer text = {0}, packed = {0};
    sample_file plain_in, in;
    ghee_batch want, got;
    int64_t rows;
    sample_parts parts = {.count = 0};
    text_of(c, LINES, &text);
    packed_of(c, &text, &packed);
    SAMPLE_OK(sample_open(cases[c].ops, text.data, text.size, NULL, &plain_in, err));
    SAMPLE_OK(sample_open(cases[c].ops, packed.data, packed.size, NULL, &in, err));
    SAMPLE_OK(cases[c].ops->parts(in.file, 1000, sample_each, &parts, err));
    assert_int_equal(parts.count, 1);
    assert_int_equal(parts.items[0].size_bytes, packed.size);
    SAMPLE_OK(sample_read_all(plain_in.file, UINT64_MAX, 8192, &want, &rows, err));
    SAMPLE_OK(sample_read_all(in.file, 1000, 8192, &got, &rows, err));
    assert_int_equal(rows, LINES);
    assert_true(ghee_batch_equal(&got, &want));
    ghee_batch_release(&got);
    ghee_batch batches[64], some;
    size_t n = 0;
    SAMPLE_OK(sample_read(in.file, &parts.items[0], LINES - 10, 8192, batches, &n, err));
    assert_int_equal(n, 1);
    SAMPLE_OK(ghee_batch_slice(&want, LINES - 10, 10, &some, err));
    assert_true(ghee_batch_equal(&batches[0], &some));
    ghee_batch_release(&some);
    ghee_batch_release(&batches[0]);
    ghee_batch_release(&want);
    sample_close(&plain_in);
    sample_close(&in);
    ghee_buffer_fini(&text);
    ghee_buffer_fini(&packed);
  }
}

static ghee_status read_whole(size_t c, const uint8_t *data, size_t size, int64_t *rows, ghee_error *err) {
  sample_file in;
  uint8_t *copy = malloc(size + 1); /* its own allocation, so that a sanitizer sees a read behind it */
  memcpy(copy, data, size);
  ghee_status status = sample_open(cases[c].ops, copy, size, NULL, &in, err);
  if (status == GHEE_OK) {
    status = sample_read_all(in.file, 0, 8192, NULL, rows, err);
    sample_close(&in);
  }
  free(copy);
  return status;
}

static void a_truncated_file_is_refused(void **state) {
  (void)state;
  for (size_t c = 0; c < CASES; c++) {
    ghee_buffer text = {0}, packed = {0};
    text_of(c, 2000, &text);
    cases[c].pack(text.data, text.size, &packed);
    for (size_t size = 5; size < packed.size; size += size < 40 || size + 40 > packed.size ? 1 : 4999) {
      ghee_error err = {0};
      int64_t rows = 0;
      assert_int_equal(read_whole(c, packed.data, size, &rows, &err), GHEE_CORRUPT);
      if (!strstr(err.message, "truncated: its") || !strstr(err.message, "sample")) fail_msg("%zu of %zu: %s", size, packed.size, err.message);
    }
    ghee_buffer_fini(&text);
    ghee_buffer_fini(&packed);
  }
}

static void damage_is_seen_and_placed(void **state) {
  (void)state;
  ghee_buffer text = {0}, packed = {0};
  text_of(0, 3000, &text);
  packed_gzip(text.data, text.size, &packed);
  packed.data[packed.size - 7] ^= 1; /* of the checksum */
  ghee_error err = {0};
  int64_t rows = 0;
  assert_int_equal(read_whole(0, packed.data, packed.size, &rows, &err), GHEE_CORRUPT);
  assert_non_null(strstr(err.message, "its gzip data is damaged before byte"));
  for (size_t at = 0; at < packed.size; at += at < 40 ? 1 : 997) {
    packed.data[at] ^= 0x41;
    (void)read_whole(0, packed.data, packed.size, &rows, NULL);
    packed.data[at] ^= 0x41;
  }
  ghee_buffer_clear(&packed);
  ghee_buffer_clear(&text);
  text_of(0, 100000, &text);
  ghee_buffer_printf(&text, "x,y\n");
  packed_gzip(text.data, text.size, &packed);
  assert_int_equal(read_whole(0, packed.data, packed.size, &rows, &err), GHEE_CORRUPT);
  assert_non_null(strstr(err.message, "line 100002 (byte"));
  ghee_buffer_fini(&text);
  ghee_buffer_fini(&packed);
}

static void what_is_packed_twice_is_named(void **state) {
  (void)state;
  ghee_buffer once = {0}, twice = {0};
  packed_gzip("a\n1\n", 4, &once);
  packed_gzip(once.data, once.size, &twice);
  sample_file in;
  ghee_error err = {0};
  assert_int_equal(sample_open(&ghee_csv_ops, twice.data, twice.size, NULL, &in, &err), GHEE_UNSUPPORTED);
  assert_non_null(strstr(err.message, "compressed twice"));
  ghee_buffer_fini(&once);
  ghee_buffer_fini(&twice);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(comes_out_as_the_text_does),
      cmocka_unit_test(a_truncated_file_is_refused),
      cmocka_unit_test(damage_is_seen_and_placed),
      cmocka_unit_test(what_is_packed_twice_is_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
