/* SPDX-License-Identifier: Apache-2.0
 * What Hadoop's configuration makes of the authority of a URI. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "storage/hdfs_conf.h"

static char folder[] = "/tmp/ghee-hdfs-conf-XXXXXX";
static ghee_error err;

#define PROPERTY(name, value) "  <property>\n    <name> " name "</name>\n    <value>" value "\n</value><final>true</final>\n  </property>\n"

static void write_file(const char *name, const char *properties) {
  char path[128], text[8192];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int n = snprintf(text, sizeof text, "<?xml version=\"1.0\"?>\n<?xml-stylesheet href=\"x.xsl\"?>\n<!-- <property> -->\n<configuration>\n%s</configuration>\n", properties);
  assert_int_equal(ghee_file_write_atomic(path, text, (size_t)n, NULL), GHEE_OK);
}

static int setup(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return -1;
  setenv("HADOOP_CONF_DIR", folder, 1);
  setenv("GHEE_TEST_HOST", "there", 1);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  return ghee_dir_remove_all(folder, NULL) == GHEE_OK ? 0 : -1;
}

static ghee_status namenodes(const char *authority, bool tls, char out[256]) {
  ghee_settings conf = {0};
  char *found = NULL;
  ghee_status status = ghee_hdfs_conf_read(&conf, &err);
  if (status == GHEE_OK) status = ghee_hdfs_conf_namenodes(&conf, authority, tls, &found, &err);
  ghee_settings_fini(&conf);
  snprintf(out, 256, "%s", found ? found : "-");
  ghee_free(found);
  return status;
}

static void expect(const char *authority, bool tls, const char *wanted) {
  char found[256];
  if (namenodes(authority, tls, found) != GHEE_OK) fail_msg("%s: %s", authority, err.message);
  assert_string_equal(found, wanted);
}

static void test_no_configuration(void **state) {
  (void)state;
  char found[256];
  expect("host:9870", false, "-");
  assert_int_equal(namenodes("", false, found), GHEE_INVALID);
  assert_non_null(strstr(err.message, "fs.defaultFS"));
}

static void test_one_namenode(void **state) {
  (void)state;
  char found[256];
  write_file("core-site.xml", PROPERTY("fs.defaultFS", "hdfs://nn:8020/"));
  expect("", false, "nn:9870");
  expect("nn:8020", true, "nn:9871");
  expect("nn:9870", false, "-"); /* HTTP already */
  write_file("hdfs-site.xml", PROPERTY("dfs.namenode.http-address", "0.0.0.0:50070"));
  expect("", false, "nn:50070");
  write_file("hdfs-site.xml", PROPERTY("dfs.namenode.rpc-address", "other:1") PROPERTY("dfs.namenode.http-address", "web:2"));
  expect("other:1", false, "web:2");
  write_file("core-site.xml", PROPERTY("fs.defaultFS", "file:///"));
  assert_int_equal(namenodes("", false, found), GHEE_INVALID);
}

static void test_nameservices(void **state) {
  (void)state;
  write_file("core-site.xml", PROPERTY("fs.defaultFS", "hdfs://b") PROPERTY("host", "${env.GHEE_TEST_HOST}"));
  write_file("hdfs-site.xml", PROPERTY("dfs.nameservices", "a, b") PROPERTY("dfs.ha.namenodes.b", "nn1,nn2") PROPERTY("dfs.namenode.http-address.b.nn1", "b1:50070")
             PROPERTY("dfs.namenode.rpc-address.b.nn1", "b1:8020") PROPERTY("dfs.namenode.rpc-address.b.nn2", "${host}2:8020")
             PROPERTY("dfs.namenode.https-address.b.nn1", "s1:50470") PROPERTY("dfs.namenode.rpc-address.a", "a1:8020") PROPERTY("dfs.http.policy", "HTTPS_ONLY"));
  expect("b", false, "b1:50070,there2:9870");
  expect("", false, "b1:50070,there2:9870");
  expect("b", true, "s1:50470,there2:9871");
  expect("a", false, "a1:9870");
  expect("there2:8020", false, "there2:9870");
  expect("c", false, "-");
  ghee_settings conf = {0};
  assert_int_equal(ghee_hdfs_conf_read(&conf, &err), GHEE_OK);
  assert_true(ghee_hdfs_conf_tls(&conf));
  assert_false(ghee_hdfs_conf_kerberos(&conf));
  ghee_settings_fini(&conf);
}

static void test_references(void **state) {
  (void)state;
  write_file("core-site.xml", PROPERTY("fs.defaultFS", "hdfs://${a}${no}${:1") PROPERTY("a", "x${b}") PROPERTY("b", "y"));
  expect("", false, "xy${no}${:9870");
  write_file("core-site.xml", PROPERTY("fs.defaultFS", "hdfs://${a}:1") PROPERTY("a", "${a}")); /* round and round */
  expect("", false, "${a}:9870");
}

static void test_no_memory(void **state) {
  (void)state;
  char found[256];
  write_file("core-site.xml", PROPERTY("fs.defaultFS", "hdfs://b"));
  for (long n = 1;; n++) {
    ghee_memory_fail_at(n);
    ghee_status status = namenodes("", false, found);
    bool reached = ghee_memory_count() >= n;
    ghee_memory_fail_at(0);
    assert_int_equal(status, reached ? GHEE_NO_MEMORY : GHEE_OK);
    if (!reached) break;
  }
}

static void test_what_is_no_configuration(void **state) {
  (void)state;
  char found[256], path[128];
  snprintf(path, sizeof path, "%s/hdfs-site.xml", folder);
  assert_int_equal(ghee_file_write_atomic(path, "<configuration><property>", 25, NULL), GHEE_OK);
  assert_int_equal(namenodes("b", false, found), GHEE_CORRUPT);
  assert_non_null(strstr(err.message, path));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_no_configuration), cmocka_unit_test(test_one_namenode), cmocka_unit_test(test_nameservices),
      cmocka_unit_test(test_references),       cmocka_unit_test(test_no_memory),    cmocka_unit_test(test_what_is_no_configuration),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
