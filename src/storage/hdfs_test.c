/* SPDX-License-Identifier: Apache-2.0
 * What of the hdfs: backend a cluster without Kerberos and without a second NameNode cannot show, against scripted answers: delegation tokens,
 * a standby, where large reads are cut. What a real cluster does is in the conformance suite and in tests/integration. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "net/scripted_server.h"
#include "storage/hdfs.h"

static scripted_server server;
static ghee_object_store *store;
static ghee_error err;
static char head[256];
static const struct ghee_object_store_ops *const ops = &ghee_object_store_hdfs;

#define FOUND(type, exception) "HTTP/1.1 " type "\r\nConnection: close\r\n\r\n{\"RemoteException\":{\"exception\":\"" exception "\",\"message\":\"it says\\n\\tat x\"}}"
#define STATUS(length, id) "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"FileStatus\":{\"type\":\"FILE\",\"length\":" length ",\"fileId\":" id ",\"modificationTime\":1,\"blockSize\":3145728}}"

/* A store on a server that plays `steps`; twice its name, as if there were two NameNodes. */
#define play(...) play_steps((const scripted_step[]){__VA_ARGS__}, sizeof((const scripted_step[]){__VA_ARGS__}) / sizeof(scripted_step))
static void play_steps(const scripted_step *steps, size_t n) {
  static scripted_step kept[SCRIPTED_MOST];
  memcpy(kept, steps, n * sizeof *steps);
  scripted_start(&server, kept, n);
  const char *address = server.url + strlen("http://");
  snprintf(head, sizeof head, "hdfs://%.64s,%.64s;user=me", address, address);
  if (ops->open(head, &store, &err) != GHEE_OK) fail_msg("%s", err.message);
}

static void stop(void) {
  ops->close(store);
  scripted_stop(&server);
}

static const char *uri(const char *path) {
  static char text[512];
  snprintf(text, sizeof text, "%s%s", head, path);
  return text;
}

static void expect_request(size_t at, const char *text) {
  if (!server.requests[at] || !strstr(server.requests[at], text)) fail_msg("%s is not in request %zu: %.300s", text, at, server.requests[at] ? server.requests[at] : "none");
}

static void test_delegation_token(void **state) {
  (void)state;
  ghee_source *source;
  setenv("GHEE_HDFS_TOKEN", "a/token", 1);
  play({STATUS("5", "7"), CLOSE}, {FOUND("403 No", "InvalidToken"), CLOSE}, {FOUND("401 No", "SecurityException"), CLOSE});
  unsetenv("GHEE_HDFS_TOKEN");
  assert_int_equal(ops->read(store, uri("/a"), NULL, &source, &err), GHEE_OK);
  source->ops->close(source);
  assert_int_equal(ops->read(store, uri("/a"), NULL, &source, &err), GHEE_DENIED);
  assert_non_null(strstr(err.message, "InvalidToken: it says"));
  assert_non_null(strstr(err.message, "GHEE_HDFS_TOKEN is not valid any more"));
  assert_int_equal(ops->read(store, uri("/a"), NULL, &source, &err), GHEE_DENIED);
  assert_non_null(strstr(err.message, "give a delegation token"));
  stop();
  expect_request(0, "GET /webhdfs/v1/a?op=GETFILESTATUS&delegation=a%2Ftoken HTTP");
  scripted_free(&server);
}

static void test_a_standby_is_passed_over(void **state) {
  (void)state;
  ghee_source *source;
  play({FOUND("403 No", "StandbyException"), CLOSE}, {STATUS("5", "7"), CLOSE});
  assert_int_equal(ops->read(store, uri("/a"), NULL, &source, &err), GHEE_OK);
  assert_int_equal(source->size_bytes, 5);
  source->ops->close(source);
  stop();
  expect_request(1, "op=GETFILESTATUS&user.name=me HTTP");
  scripted_free(&server);
}

/* Blocks of 3 MiB: of 5 MiB from 1 MiB on there are two pieces, each of one block. */
static void test_pieces_end_with_their_block(void **state) {
  (void)state;
  enum { SIZE = 5 << 20 };
  ghee_source *source;
  char *into = malloc(SIZE);
  play({STATUS("12582912", "7"), CLOSE}, {FOUND("404 No", "FileNotFoundException"), CLOSE}, {FOUND("404 No", "FileNotFoundException"), CLOSE},
       {FOUND("404 No", "FileNotFoundException"), CLOSE});
  assert_int_equal(ops->read(store, uri("/a"), NULL, &source, &err), GHEE_OK);
  assert_int_equal(source->ops->read(source, 1 << 20, SIZE, into, &err), GHEE_CHANGED);
  source->ops->close(source);
  stop();
  expect_request(1, "op=OPEN&offset=1048576&length=2097152&noredirect=true");
  expect_request(2, "op=OPEN&offset=3145728&length=3145728&noredirect=true");
  scripted_free(&server);
  free(into);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_delegation_token), cmocka_unit_test(test_a_standby_is_passed_over), cmocka_unit_test(test_pieces_end_with_their_block)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
