/* SPDX-License-Identifier: Apache-2.0
 * Which files stay open, seen by a store and a format that count. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "plan/open_files.h"

static int opened, closed, sources;
static ghee_status refusal;

static void close_source(ghee_source *source) {
  sources--;
  ghee_free(source);
}

static ghee_status read_object(ghee_object_store *store, const char *uri, const char *version, ghee_source **out, ghee_error *err) {
  static const struct ghee_source_ops ops = {.close = close_source};
  (void)store, (void)uri, (void)version;
  if (!(*out = ghee_alloc_zero(1, sizeof **out))) return ghee_error_no_memory(err, "opening an object");
  (*out)->ops = &ops;
  sources++;
  return GHEE_OK;
}

static ghee_status open_file(ghee_source *source, const ghee_read_options *options, ghee_file **out, ghee_error *err) {
  static ghee_file file;
  (void)source, (void)options;
  if (refusal) return ghee_error_set(err, refusal, "refused");
  *out = &file;
  opened++;
  return GHEE_OK;
}

static void close_file(ghee_file *file) {
  (void)file;
  closed++;
}

static const struct ghee_object_store_ops store_ops = {.read = read_object};
static const struct ghee_format_ops format_ops = {.open = open_file, .close = close_file};
static ghee_object_store store = {&store_ops};

static ghee_open_files begin(void) {
  opened = closed = sources = 0;
  refusal = GHEE_OK;
  return (ghee_open_files){.store = &store, .format = &format_ops};
}

static ghee_open_file *take(ghee_open_files *files, int k, const char *version) {
  char uri[16];
  ghee_open_file *of;
  snprintf(uri, sizeof uri, "file:/%d", k);
  assert_int_equal(ghee_open_files_take(files, uri, version, &of, NULL), GHEE_OK);
  return of;
}

static void test_part_after_part(void **state) {
  (void)state;
  ghee_open_files files = begin();
  for (int i = 0; i < 10; i++) ghee_open_files_give(&files, take(&files, 1, "v"));
  assert_int_equal(opened, 1);
  ghee_open_file *a = take(&files, 1, "v"), *b = take(&files, 1, "v");
  assert_ptr_equal(a, b);
  assert_ptr_not_equal(take(&files, 1, "w"), a); /* another version is another file */
  assert_int_equal(opened, 2);
  ghee_open_files_give(&files, a);
  for (int k = 2; k < 20; k++) ghee_open_files_give(&files, take(&files, k, "v"));
  assert_ptr_equal(take(&files, 1, "v"), b); /* what is in use stays */
  assert_int_equal(opened - closed, 2 + 4);
  opened = 0;
  for (int k = 16; k < 20; k++) take(&files, k, "v"); /* and the last four */
  assert_int_equal(opened, 0);
  ghee_open_files_fini(&files);
  assert_int_equal(sources, 0);
}

static void test_failures(void **state) {
  (void)state;
  ghee_open_files files = begin();
  ghee_open_file *of;
  refusal = GHEE_CORRUPT;
  assert_int_equal(ghee_open_files_take(&files, "file:/1", "v", &of, NULL), GHEE_CORRUPT);
  assert_int_equal(sources, 0);
  refusal = GHEE_OK;
  for (long n = 1;; n++) {
    ghee_memory_fail_at(n);
    ghee_status status = ghee_open_files_take(&files, "file:/1", "v", &of, NULL);
    bool reached = ghee_memory_count() >= n;
    ghee_memory_fail_at(0);
    assert_int_equal(status, reached ? GHEE_NO_MEMORY : GHEE_OK);
    assert_int_equal(sources, status == GHEE_OK);
    if (!reached) break;
  }
  ghee_open_files_fini(&files);
  assert_int_equal(sources, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_part_after_part), cmocka_unit_test(test_failures)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
