/* SPDX-License-Identifier: Apache-2.0
 * Statuses and messages: names, errno, cutting, prefixes. */
#include "base/nth_alloc.h"

#include <errno.h>
#include <stdio.h>

static void test_names_are_distinct(void **state) {
  (void)state;
  const char *names[256];
  int n = 0;
  for (int status = 0; status < 256; status++) {
    const char *name = ghee_status_name((ghee_status)status);
    if (strcmp(name, "unknown") == 0) continue;
    for (int i = 0; i < n; i++) assert_string_not_equal(names[i], name);
    names[n++] = name;
  }
  assert_int_equal(n, 22);
  assert_string_equal(ghee_status_name(GHEE_CANCELED), "canceled");
  assert_string_equal(ghee_status_name((ghee_status)77), "unknown");
}

static void test_errno(void **state) {
  (void)state;
  static const struct { int number; ghee_status status; } cases[] = {
      {ENOENT, GHEE_NOT_FOUND}, {EACCES, GHEE_DENIED}, {ENOSPC, GHEE_NO_SPACE}, {EDQUOT, GHEE_NO_SPACE}, {EEXIST, GHEE_EXISTS},
      {ENOMEM, GHEE_NO_MEMORY}, {EPIPE, GHEE_CLOSED},  {ECONNRESET, GHEE_CLOSED}, {EAGAIN, GHEE_AGAIN},  {EMFILE, GHEE_LIMIT},
      {EIO, GHEE_IO},           {0, GHEE_IO},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ghee_error err;
    assert_int_equal(ghee_status_of_errno(cases[i].number), cases[i].status);
    assert_int_equal(ghee_error_set_errno(&err, cases[i].number, "cannot read %s", "a.csv"), cases[i].status);
    assert_int_equal(err.status, cases[i].status);
    assert_int_equal(strncmp(err.message, "cannot read a.csv: ", 19), 0);
    assert_non_null(strstr(err.message, strerror(cases[i].number)));
  }
  ghee_error err;
  ghee_error_set_errno(&err, EMFILE, "cannot open x");
  assert_non_null(strstr(err.message, "ulimit -n")); /* says what to do */
}

static void test_nobody_asks(void **state) {
  (void)state;
  assert_int_equal(ghee_error_set(NULL, GHEE_CORRUPT, "%d", 1), GHEE_CORRUPT);
  assert_int_equal(ghee_error_set_errno(NULL, ENOENT, "x"), GHEE_NOT_FOUND);
  assert_int_equal(ghee_error_no_memory(NULL, "x"), GHEE_NO_MEMORY);
  ghee_error_prefix(NULL, "x");
}

static void test_long_messages_are_cut(void **state) {
  (void)state;
  char *text = malloc(3 * GHEE_ERROR_SIZE);
  for (size_t size = GHEE_ERROR_SIZE - 8; size < GHEE_ERROR_SIZE + 8; size++) {
    ghee_error err;
    memset(text, 'x', size);
    text[size] = 0;
    ghee_error_set(&err, GHEE_IO, "%s", text);
    assert_int_equal(strlen(err.message), size < GHEE_ERROR_SIZE ? size : GHEE_ERROR_SIZE - 1);
    ghee_error_set_errno(&err, ENOENT, "%s", text);
    assert_true(strlen(err.message) < GHEE_ERROR_SIZE);
    ghee_error_prefix(&err, "%s", text);
    assert_true(strlen(err.message) < GHEE_ERROR_SIZE);
    ghee_error_set(&err, GHEE_IO, "inner");
    ghee_error_prefix(&err, "%s", text);
    assert_int_equal(strncmp(err.message, "xxx", 3), 0);
    assert_int_equal(err.status, GHEE_IO);
  }
  free(text);
}

static void test_prefixes(void **state) {
  (void)state;
  ghee_error err;
  ghee_error_set(&err, GHEE_CORRUPT, "page %d is short", 3);
  ghee_error_prefix(&err, "file %s", "a.parquet");
  ghee_error_prefix(&err, "stage preprocess");
  assert_string_equal(err.message, "stage preprocess: file a.parquet: page 3 is short");
  ghee_error_set(&err, GHEE_IO, "again: %s", err.message); /* made of the message that it replaces */
  assert_string_equal(err.message, "again: stage preprocess: file a.parquet: page 3 is short");
  ghee_error_no_memory(&err, "reading a plan");
  assert_string_equal(err.message, "out of memory while reading a plan");
}

static ghee_status third_fails(int n) {
  GHEE_TRY(n == 3 ? GHEE_LIMIT : GHEE_OK);
  return GHEE_CLOSED;
}

static void test_try(void **state) {
  (void)state;
  assert_int_equal(third_fails(3), GHEE_LIMIT);
  assert_int_equal(third_fails(2), GHEE_CLOSED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names_are_distinct), cmocka_unit_test(test_errno),    cmocka_unit_test(test_nobody_asks),
      cmocka_unit_test(test_long_messages_are_cut), cmocka_unit_test(test_prefixes), cmocka_unit_test(test_try),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
