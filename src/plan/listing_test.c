/* SPDX-License-Identifier: Apache-2.0
 * Which files an input is: folders, wildcards, manifests, over real files. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/nth_alloc.h"
#include "manifest/job_sample.h"
#include "plan/glob.h"
#include "plan/listing.h"

static char root[64];
static ghee_object_store *store;

static int setup(void **state) {
  (void)state;
  snprintf(root, sizeof root, "/tmp/ghee_listing_XXXXXX");
  if (!mkdtemp(root)) return 1;
  ghee_object_store_register(&ghee_object_store_file);
  return ghee_object_store_open(root, &store, NULL);
}

static int teardown(void **state) {
  (void)state;
  ghee_object_store_close(store);
  return ghee_dir_remove_all(root, NULL);
}

static const char *at(const char *name) {
  static char path[4][512];
  static int next;
  char *to = path[next = (next + 1) % 4];
  snprintf(to, sizeof path[0], "file:%s/%s", root, name);
  return to;
}

static void make(const char *name) {
  ghee_sink *sink;
  assert_int_equal(store->ops->write(store, at(name), &sink, NULL), GHEE_OK);
  assert_int_equal(sink->ops->finish(sink, NULL), GHEE_OK);
  sink->ops->close(sink);
}

/* The names of what `uris` lists, each with a blank behind it, or the message; both without the root. */
static const char *listed(const char *const *uris, size_t n, uint64_t left_out) {
  static char text[8192];
  const char *full[4];
  ghee_error err = {0};
  ghee_plan_listing list = {0};
  text[0] = 0;
  for (size_t i = 0; i < n; i++) full[i] = at(uris[i]);
  ghee_job_spec spec = {.input_uris = full, .n_input_uris = n};
  ghee_status status = ghee_plan_list(store, &spec, &list, &err);
  for (size_t i = 0; i < list.files.count && status == GHEE_OK; i++) sprintf(text + strlen(text), "%s ", list.files.items[i].uri + strlen(at("")));
  if (status != GHEE_OK) snprintf(text, sizeof text, "%s: %s", ghee_status_name(status), err.message);
  if (status == GHEE_OK) assert_int_equal(list.left_out, left_out);
  if (status == GHEE_OK) assert_int_equal(list.prefixes.count, list.files.count);
  ghee_plan_listing_fini(&list);
  return text;
}

static const char *one(const char *uri) {
  return listed(&uri, 1, 0);
}

static void says(const char *text, const char *words) {
  if (!strstr(text, words)) fail_msg("'%s' is not in: %s", words, text);
}

static void test_wildcards(void **state) {
  (void)state;
  static const char *const files[] = {"a.csv", "b.csv", "b.txt", "day=1/x.csv", "day=2/x.csv", "day=2/y.csv", "day=12/deep/x.csv", "day=1/_hidden.csv", "[odd].csv"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) make(files[i]);
  static const struct { const char *uri, *want; } cases[] = {
      {"*.csv", "[odd].csv a.csv b.csv "},
      {"?.csv", "a.csv b.csv "},
      {"[ab].*", "a.csv b.csv b.txt "},
      {"[!a].csv", "b.csv "},
      {"day=*", "day=1/x.csv day=12/deep/x.csv day=2/x.csv day=2/y.csv "},
      {"day=?", "day=1/x.csv day=2/x.csv day=2/y.csv "},
      {"day=?/", "day=1/x.csv day=2/x.csv day=2/y.csv "},
      {"day=*/x.csv", "day=1/x.csv day=2/x.csv "},
      {"day={1,2}/x.csv", "day=1/x.csv day=2/x.csv "},
      {"{a,day={1,2}/x}.csv", "a.csv day=1/x.csv day=2/x.csv "},
      {"**/x.csv", "day=1/x.csv day=12/deep/x.csv day=2/x.csv "},
      {"day=*/**", "day=1/x.csv day=12/deep/x.csv day=2/x.csv day=2/y.csv "},
      {"**/deep/*", "day=12/deep/x.csv "},
      {"day=2/*", "day=2/x.csv day=2/y.csv "},
      {"[odd].csv", "[odd].csv "}, /* there is a file of this very name */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *got = one(cases[i].uri);
    if (strcmp(got, cases[i].want) != 0) fail_msg("%s: %s", cases[i].uri, got);
  }
  says(one("*.parquet"), "not_found: no file matches the input file:");
  says(one("none/*.csv"), "not_found");
  says(one("{a"), "invalid: cannot use the input");
  says(one("{a"), "a { without its }");
}

static void test_wildcards_begin_with_the_path(void **state) {
  (void)state;
  static const struct { const char *uri, *folder; size_t prefix_bytes; } cases[] = {
      {"s3://bucket/a/*", "s3://bucket/a", 14}, {"s3://bucket/*", "s3://bucket/", 12}, {"hdfs://host:9870/logs/*/x", "hdfs://host:9870/logs", 22},
      {"file:/*", "file:/", 6}, {"s3://b;endpoint=http://[::1]:9000;region=x/a/*", "s3://b;endpoint=http://[::1]:9000;region=x/a", 45}, {"file:/data/x*", "file:/data", 11}, {"file:/a/b{c,d}/e", "file:/a", 8}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ghee_glob glob;
    assert_true(ghee_glob_is(cases[i].uri));
    assert_int_equal(ghee_glob_init(cases[i].uri, &glob, NULL), GHEE_OK);
    assert_string_equal(glob.folder, cases[i].folder);
    assert_int_equal(glob.prefix_bytes, cases[i].prefix_bytes);
    ghee_glob_fini(&glob);
  }
  static const char *const plain[] = {"s3://buck*et/a", "file:/data/x", "hdfs://h[1]/x", "s3://b", "s3://b;endpoint=http://[::1]:9000/a", "s3://b;endpoint=http://[::1]:9000"};
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) assert_false(ghee_glob_is(plain[i]));
  ghee_glob glob;
  char many[] = "file:/{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}";
  ghee_error err;
  assert_int_equal(ghee_glob_init(many, &glob, &err), GHEE_INVALID);
  says(err.message, "more than 1000");
}

static void test_a_file_counts_once(void **state) {
  (void)state;
  make("in/a.csv");
  make("in/b.csv");
  static const char *const apart[] = {"in/b.csv", "in/a.csv"}, *const twice[] = {"in/a.csv", "in/*.csv"};
  assert_string_equal(listed(apart, 2, 0), "in/b.csv in/a.csv ");
  says(listed(twice, 2, 0), "invalid");
  says(listed(twice, 2, 0), "in/a.csv is in the input twice");
}

static void publish(const char *name, size_t n, ghee_publish_mode mode) {
  job of = job_of(store, at("out"), name, n);
  assert_int_equal(ghee_manifest_publish(store, of.staging, at("out"), mode, &of.manifest, NULL), GHEE_OK);
  job_fini(&of);
}

static void test_an_output_is_what_its_manifest_names(void **state) {
  (void)state;
  publish("one", 2, GHEE_PUBLISH_ERROR);
  publish("two", 1, GHEE_PUBLISH_APPEND);
  assert_string_equal(one("out"), "out/part-one-1 out/sub/part-one-0 out/sub/part-two-0 ");
  make("out/half_published.csv");
  make("out/sub/other.csv");
  static const char *const out = "out";
  assert_string_equal(listed(&out, 1, 2), "out/part-one-1 out/sub/part-one-0 out/sub/part-two-0 ");
  assert_string_equal(one("out/half_published.csv"), "out/half_published.csv "); /* asked for by its name */

  FILE *file = fopen(at("out/part-one-1") + 5, "w");
  assert_non_null(file);
  fclose(file);
  says(listed(&out, 1, 2), "corrupt");
  says(listed(&out, 1, 2), "part-one-1 has 0 bytes, the manifest says 3");
  assert_int_equal(unlink(at("out/part-one-1") + 5), 0);
  says(listed(&out, 1, 2), "part-one-1, which the manifest of");
  file = fopen(at("out/_manifest.json") + 5, "w");
  assert_non_null(file);
  fclose(file);
  says(listed(&out, 1, 2), "corrupt");
}

static ghee_status list_both(void *user, ghee_error *err) {
  (void)user;
  const char *uris[] = {at("out"), at("in/{a,b}*")};
  ghee_job_spec spec = {.input_uris = uris, .n_input_uris = 2};
  ghee_plan_listing list = {0};
  ghee_status status = ghee_plan_list(store, &spec, &list, err);
  ghee_plan_listing_fini(&list);
  return status;
}

static void test_no_memory(void **state) {
  (void)state;
  publish("one", 3, GHEE_PUBLISH_ERROR);
  make("out/other.csv");
  make("in/a.csv");
  nth_alloc_each(list_both, NULL, GHEE_OK);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {TEST(test_wildcards), TEST(test_wildcards_begin_with_the_path), TEST(test_a_file_counts_once),
                                     TEST(test_an_output_is_what_its_manifest_names), TEST(test_no_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
