/* SPDX-License-Identifier: Apache-2.0
 * Sources and sinks over memory. */
#include "base/nth_alloc.h"

#include "base/buffer.h"
#include "base/io.h"

static void test_a_source_keeps_to_its_bytes(void **state) {
  (void)state;
  ghee_source *source;
  ghee_error err;
  char into[8];
  assert_int_equal(ghee_source_of_memory("0123456789", 10, "digits", &source, NULL), GHEE_OK);
  assert_int_equal(source->size_bytes, 10);
  assert_string_equal(source->name, "digits");
  for (uint64_t from = 0; from <= 12; from++)
    for (size_t size = 0; size <= 8; size++) {
      ghee_status status = source->ops->read(source, from, size, into, &err);
      if (from + size <= 10) {
        assert_int_equal(status, GHEE_OK);
        assert_memory_equal(into, "0123456789" + from, size);
      } else {
        assert_int_equal(status, GHEE_CORRUPT);
        assert_non_null(strstr(err.message, "digits ends at byte 10"));
      }
    }
  assert_int_equal(source->ops->read(source, UINT64_MAX, 2, into, NULL), GHEE_CORRUPT); /* no wrap */
  source->ops->close(source);
  assert_int_equal(ghee_source_of_memory(NULL, 0, "empty", &source, NULL), GHEE_OK);
  assert_int_equal(source->ops->read(source, 0, 0, into, NULL), GHEE_OK);
  source->ops->close(source);
}

static ghee_status write_some(void *user, ghee_error *err) {
  (void)user;
  ghee_buffer buffer = {0};
  ghee_sink *sink;
  ghee_status status = ghee_sink_to_buffer(&buffer, "memory", &sink, err);
  if (status != GHEE_OK) return status;
  uint64_t written = 0;
  for (int i = 0; i < 100 && status == GHEE_OK; i++) {
    status = sink->ops->write(sink, "0123456789", 10, err);
    if (status == GHEE_OK) written += 10;
    assert_int_equal(sink->written_bytes, written);
  }
  assert_int_equal(sink->ops->finish(sink, NULL), status);
  if (status == GHEE_OK) {
    assert_int_equal(buffer.size, 1000);
    assert_memory_equal(buffer.data + 990, "0123456789", 10);
  }
  sink->ops->close(sink);
  ghee_buffer_fini(&buffer);
  return status;
}

static ghee_status open_source(void *user, ghee_error *err) {
  (void)user;
  ghee_source *source = NULL;
  ghee_status status = ghee_source_of_memory("x", 1, "x", &source, err);
  if (status == GHEE_OK) source->ops->close(source);
  else assert_null(source);
  return status;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  nth_alloc_each(write_some, NULL, GHEE_OK);
  assert_int_equal(nth_alloc_each(open_source, NULL, GHEE_OK), 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_source_keeps_to_its_bytes), cmocka_unit_test(test_memory_runs_out)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
