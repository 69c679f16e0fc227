/* SPDX-License-Identifier: Apache-2.0
 * URIs as text, and the registry of backends. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/nth_alloc.h"
#include "storage/object_store.h"
#include "storage/uri.h"

static void canonical_is(const char *uri, const char *want) {
  char *out = NULL;
  ghee_error err;
  if (ghee_uri_canonical(uri, &out, &err) != GHEE_OK) fail_msg("%s: %s", uri, err.message);
  assert_string_equal(out, want);
  ghee_free(out);
}

static void test_canonical(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"/", "file:/"}, {"file:/", "file:/"}, {"file:///", "file:/"}, {"/a", "file:/a"}, {"/a/", "file:/a"}, {"//a//b", "file:/a/b"},
      {"file:/a/./b/.", "file:/a/b"}, {"file:/a/../b", "file:/b"}, {"file:/a/b/..", "file:/a"}, {"/..", "file:/"}, {"/../../a", "file:/a"},
      {"/a/../../b", "file:/b"}, {"file:///a", "file:/a"}, {"file://localhost/a", "file:/a"}, {"/a:b", "file:/a:b"}, {"/.../a..b", "file:/.../a..b"},
      {"/a%20b", "file:/a%20b"}, {"s3://bucket/a//b/../c", "s3://bucket/a//b/../c"}, {"hdfs://nn", "hdfs://nn"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) canonical_is(cases[i][0], cases[i][1]);
}

static void test_canonical_relative(void **state) {
  (void)state;
  char folder[4096], want[4200], parent[4096];
  assert_non_null(getcwd(folder, sizeof folder));
  snprintf(want, sizeof want, "file:%s%sa/b", folder, folder[1] ? "/" : "");
  canonical_is("a/b", want);
  canonical_is("file:a/b", want);
  canonical_is("./a//c/../b/", want);
  snprintf(want, sizeof want, "file:%s%s1:2", folder, folder[1] ? "/" : "");
  canonical_is("1:2", want);
  snprintf(want, sizeof want, "file:%s", folder);
  canonical_is(".", want);
  snprintf(parent, sizeof parent, "%s", folder);
  *strrchr(parent, '/') = 0;
  snprintf(want, sizeof want, "file:%s", *parent ? parent : "/");
  canonical_is("..", want);
}

static void test_canonical_refuses(void **state) {
  (void)state;
  static const char *const bad[] = {"", "file:", "file://host/a", "file://localhost.example/a"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char *out = (char *)1;
    ghee_error err = {0};
    assert_int_equal(ghee_uri_canonical(bad[i], &out, &err), GHEE_INVALID);
    assert_ptr_equal(out, (char *)1);
    assert_non_null(strstr(err.message, "file:/"));
  }
}

static ghee_status canonical(void *uri, ghee_error *err) {
  char *out = NULL;
  ghee_status status = ghee_uri_canonical(uri, &out, err);
  assert_int_equal(out != NULL, status == GHEE_OK);
  ghee_free(out);
  return status;
}

static void test_no_memory(void **state) {
  (void)state;
  static char *const uris[] = {"/a", "a", "s3://b"};
  for (size_t i = 0; i < 3; i++) assert_true(nth_alloc_each(canonical, uris[i], GHEE_OK) > 0);
  ghee_memory_fail_at(1);
  assert_null(ghee_uri_join("a", "b"));
  ghee_memory_fail_at(0);
}

static void test_join(void **state) {
  (void)state;
  static const char *const cases[][3] = {{"file:/a", "b", "file:/a/b"}, {"file:/a/", "b", "file:/a/b"}, {"s3://b", "c/d", "s3://b/c/d"}, {"file:/", "a", "file:/a"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *out = ghee_uri_join(cases[i][0], cases[i][1]);
    assert_string_equal(out, cases[i][2]);
    ghee_free(out);
  }
}

static void test_scheme(void **state) {
  (void)state;
  assert_int_equal(ghee_uri_scheme("s3://a"), 2);
  assert_int_equal(ghee_uri_scheme("a+b-c.9:x"), 7);
  static const char *const none[] = {"", "a", "/a:b", "a/b:c", "9a:b", ":", "a b:c", "ä:b"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) assert_int_equal(ghee_uri_scheme(none[i]), 0);
}

static const char *opened;
static ghee_status fake_open(const char *uri, ghee_object_store **out, ghee_error *err) {
  static ghee_object_store store;
  (void)err;
  opened = uri;
  *out = &store;
  return GHEE_OK;
}

static void test_registry(void **state) {
  (void)state;
  static const struct ghee_object_store_ops fake = {.scheme = "fake", .open = fake_open};
  ghee_object_store *store = NULL;
  ghee_error err;
  assert_int_equal(ghee_object_store_open("fake:x", &store, &err), GHEE_UNSUPPORTED);
  assert_non_null(strstr(err.message, "none"));
  ghee_object_store_register(&ghee_object_store_file);
  ghee_object_store_register(&fake);
  ghee_object_store_register(&fake);
  assert_int_equal(ghee_object_store_open("fake:x", &store, &err), GHEE_OK);
  assert_string_equal(opened, "fake:x");
  assert_int_equal(ghee_object_store_open("fak:x", &store, &err), GHEE_UNSUPPORTED);
  assert_non_null(strstr(err.message, "file:, fake:"));
  assert_non_null(strstr(err.message, "fak:"));
  assert_int_equal(ghee_object_store_open("/a:b", &store, &err), GHEE_OK);
  assert_ptr_equal(store->ops, &ghee_object_store_file);
  ghee_object_store_close(store);
  ghee_object_store_close(NULL);
}

static void test_list_fini(void **state) {
  (void)state;
  ghee_object_list list = {0};
  ghee_object_info info = {.uri = ghee_strdup("a"), .version = ghee_strdup("1")};
  assert_true(ghee_array_push(&list, info));
  ghee_object_list_fini(&list);
  assert_null(list.items);
  ghee_object_list_fini(&list);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_canonical), cmocka_unit_test(test_canonical_relative), cmocka_unit_test(test_canonical_refuses),
      cmocka_unit_test(test_no_memory), cmocka_unit_test(test_join),               cmocka_unit_test(test_scheme),
      cmocka_unit_test(test_registry),  cmocka_unit_test(test_list_fini),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
