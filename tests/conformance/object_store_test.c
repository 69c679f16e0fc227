/* SPDX-License-Identifier: Apache-2.0
 * What every backend of ghee_object_store does, whatever it stores in. A backend is one line of `backends`. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "storage/object_store.h"
#include "../services/hdfs/variables.h"
#include "../services/s3/variables.h"

typedef struct backend {
  const struct ghee_object_store_ops *ops;
  char *(*root)(void); /* a place of its own for a test; new string */
} backend;

static char *file_root(void) {
  char name[] = "/tmp/ghee-store-XXXXXX";
  return mkdtemp(name) ? ghee_asprintf("file:%s", name) : NULL;
}

/* On the server that tests/services/s3/up starts (S3_RUN is its folder). */
static char *s3_root(void) {
  static int serial;
  return ghee_asprintf("s3://test/conformance/%d-%d", (int)getpid(), serial++);
}

/* In the cluster that tests/services/hdfs/up starts. */
static char *hdfs_root(void) {
  static int serial;
  char address[256];
  return hdfs_address(address) ? ghee_asprintf("%s/conformance/%d-%d", address, (int)getpid(), serial++) : NULL;
}

static const backend backends[] = {{&ghee_object_store_file, file_root}, {&ghee_object_store_s3, s3_root}, {&ghee_object_store_hdfs, hdfs_root}};
enum { BACKENDS = sizeof backends / sizeof *backends };

static ghee_object_store *store;
static char *root;

static void begin(const backend *of) {
  ghee_object_store_register(of->ops);
  root = of->root();
  assert_non_null(root);
  assert_int_equal(ghee_object_store_open(root, &store, NULL), GHEE_OK);
}

static void end(void) {
  assert_int_equal(store->ops->remove_all(store, root, NULL), GHEE_OK);
  ghee_object_store_close(store);
  ghee_free(root);
}

/* A few URIs may be in use at once. */
static const char *uri(const char *name) {
  static char uris[8][4096];
  static int next;
  char *made = ghee_uri_join(root, name), *out = uris[next++ % 8];
  snprintf(out, sizeof uris[0], "%s", made);
  ghee_free(made);
  return out;
}

static void put_uri(const char *where, const void *data, size_t size) {
  ghee_sink *sink;
  ghee_error err;
  if (store->ops->write(store, where, &sink, &err) != GHEE_OK) fail_msg("%s", err.message);
  assert_int_equal(sink->ops->write(sink, data, size / 2, NULL), GHEE_OK);
  assert_int_equal(sink->ops->write(sink, (const char *)data + size / 2, size - size / 2, NULL), GHEE_OK);
  assert_int_equal(sink->written_bytes, size);
  if (sink->ops->finish(sink, &err) != GHEE_OK) fail_msg("%s", err.message);
  sink->ops->close(sink);
}

static void put(const char *name, const char *text) { put_uri(uri(name), text, strlen(text)); }

static const char *get(const char *name) {
  static char text[4096];
  ghee_source *source;
  if (store->ops->read(store, uri(name), NULL, &source, NULL) != GHEE_OK) return "none";
  assert_true(source->size_bytes < sizeof text);
  assert_int_equal(source->ops->read(source, 0, source->size_bytes, text, NULL), GHEE_OK);
  text[source->size_bytes] = 0;
  source->ops->close(source);
  return text;
}

static ghee_status collect(void *user, const ghee_object_info *info, ghee_error *err) {
  ghee_object_info copy = {ghee_strdup(info->uri), info->size_bytes, ghee_strdup(info->version)};
  (void)err;
  assert_true(copy.uri && copy.version && ghee_array_push((ghee_object_list *)user, copy));
  return GHEE_OK;
}

/* "a=1 b/c=2 ": names and sizes below a URI. */
static const char *listing(const char *name) {
  static char text[8192];
  ghee_object_list list = {0};
  ghee_error err;
  text[0] = 0;
  ghee_status status = store->ops->list(store, uri(name), collect, &list, &err);
  if (status == GHEE_NOT_FOUND) return "none";
  if (status != GHEE_OK) fail_msg("%s", err.message);
  for (size_t i = 0; i < list.count; i++) {
    if (i > 0) assert_true(strcmp(list.items[i - 1].uri, list.items[i].uri) < 0);
    assert_int_equal(strncmp(list.items[i].uri, root, strlen(root)), 0);
    sprintf(text + strlen(text), "%s=%d ", list.items[i].uri + strlen(root) + 1, (int)list.items[i].size_bytes);
  }
  ghee_object_list_fini(&list);
  return text;
}

/* ---- cases ---- */

static void case_write_and_read(void) {
  enum { SIZE = 3 << 20 };
  char *data = malloc(SIZE), *back = malloc(SIZE);
  for (size_t i = 0; i < SIZE; i++) data[i] = (char)(i * 2654435761u >> 13);
  put_uri(uri("big"), data, SIZE);
  ghee_source *source;
  assert_int_equal(store->ops->read(store, uri("big"), NULL, &source, NULL), GHEE_OK);
  assert_int_equal(source->size_bytes, SIZE);
  assert_non_null(source->name);
  static const size_t pieces[][2] = {{0, 1}, {SIZE - 1, 1}, {SIZE, 0}, {0, 0}, {4095, 4099}, {1234567, 1000000}, {0, SIZE}};
  for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
    if (source->ops->will_read) source->ops->will_read(source, pieces[i][0], pieces[i][1]);
    assert_int_equal(source->ops->read(source, pieces[i][0], pieces[i][1], back, NULL), GHEE_OK);
    assert_memory_equal(back, data + pieces[i][0], pieces[i][1]);
  }
  source->ops->close(source);
  put("empty", "");
  assert_string_equal(get("empty"), "");
  free(data);
  free(back);
}

/* One read behind the other, as text formats do, from two places in turn; then several ranges at once. */
static void case_read_in_order(void) {
  enum { SIZE = 9 << 20, PIECE = 300001 };
  char *data = malloc(SIZE), *back = malloc(SIZE);
  for (size_t i = 0; i < SIZE; i++) data[i] = (char)(i * 2654435761u >> 17);
  put_uri(uri("big"), data, SIZE);
  ghee_source *source;
  ghee_error err;
  assert_int_equal(store->ops->read(store, uri("big"), NULL, &source, NULL), GHEE_OK);
  for (size_t start = 0; start < 2; start++)
    for (size_t at = start * 4000000; at < SIZE; at += PIECE) {
      size_t n = SIZE - at < PIECE ? SIZE - at : PIECE;
      if (source->ops->read(source, at, n, back, &err) != GHEE_OK) fail_msg("%s", err.message);
      assert_memory_equal(back, data + at, n);
    }
  static const size_t places[][2] = {{5, 7}, {SIZE - 10, 10}, {1 << 20, 4 << 20}, {0, SIZE / 3}, {77, 0}};
  enum { N = sizeof places / sizeof *places };
  ghee_range ranges[N];
  memset(back, 0, SIZE);
  for (size_t i = 0; i < N; i++) ranges[i] = (ghee_range){places[i][0], places[i][1], malloc(places[i][1] + 1)};
  if (ghee_source_read_many(source, ranges, N, &err) != GHEE_OK) fail_msg("%s", err.message);
  for (size_t i = 0; i < N; i++) {
    assert_memory_equal(ranges[i].into, data + places[i][0], places[i][1]);
    free(ranges[i].into);
  }
  source->ops->close(source);
  free(data);
  free(back);
}

static void case_odd_names(void) {
  static const char *const odd[] = {"a b", "50%", "a%20b", "ä", "日本", "a+b", "a=b&c", "k=v/w=x/part", "#1?x", "'q\"", "-"};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    put(odd[i], odd[i]);
    assert_string_equal(get(odd[i]), odd[i]);
  }
  ghee_object_list list = {0};
  assert_int_equal(store->ops->list(store, root, collect, &list, NULL), GHEE_OK);
  assert_int_equal(list.count, sizeof odd / sizeof *odd);
  for (size_t i = 0; i < list.count; i++) { /* a URI of a listing opens what was listed, with its version */
    ghee_source *source;
    assert_int_equal(store->ops->read(store, list.items[i].uri, list.items[i].version, &source, NULL), GHEE_OK);
    assert_int_equal(source->size_bytes, list.items[i].size_bytes);
    source->ops->close(source);
  }
  ghee_object_list_fini(&list);
}

static void case_list(void) {
  put("in/b", "22");
  put("in/a.txt", "1");
  put("in/a/z", "4444");
  put("in/a/y/x", "333");
  put("in/a0", "");
  put("in/_SUCCESS", "");
  put("in/.hidden", "");
  put("in/_temporary/0/part", "");
  put("in/a/.x/y", "");
  put("in2", "");
  put("_odd/.root/a", "1");
  assert_string_equal(listing("in"), "in/a.txt=1 in/a/y/x=3 in/a/z=4 in/a0=0 in/b=2 ");
  assert_string_equal(listing("in/"), "in/a.txt=1 in/a/y/x=3 in/a/z=4 in/a0=0 in/b=2 ");
  assert_string_equal(listing("in/a"), "in/a/y/x=3 in/a/z=4 ");
  assert_string_equal(listing("in/b"), "in/b=2 ");
  assert_string_equal(listing("in/_SUCCESS"), "in/_SUCCESS=0 ");
  assert_string_equal(listing("_odd/.root"), "_odd/.root/a=1 ");
  assert_string_equal(listing("i"), "none");
  assert_string_equal(listing("in/b/c"), "none");
}

static ghee_status stop(void *user, const ghee_object_info *info, ghee_error *err) {
  (void)user;
  return ghee_error_set(err, GHEE_CANCELED, "at %s", info->uri);
}

static void case_list_stops(void) {
  ghee_error err;
  put("in/a", "");
  assert_int_equal(store->ops->list(store, uri("in"), stop, NULL, &err), GHEE_CANCELED);
  assert_non_null(strstr(err.message, uri("in/a")));
}

static void case_not_there(void) {
  ghee_source *source = NULL;
  ghee_error err = {0};
  bool there = true;
  assert_int_equal(store->ops->read(store, uri("none"), NULL, &source, &err), GHEE_NOT_FOUND);
  assert_int_equal(err.status, GHEE_NOT_FOUND);
  assert_non_null(strstr(err.message, "none"));
  assert_null(source);
  assert_int_equal(store->ops->list(store, uri("none"), stop, NULL, &err), GHEE_NOT_FOUND);
  assert_int_equal(store->ops->exists(store, uri("none"), &there, &err), GHEE_OK);
  assert_false(there);
  assert_int_equal(store->ops->remove(store, uri("none"), &err), GHEE_OK);
  assert_int_equal(store->ops->remove_all(store, uri("none"), &err), GHEE_OK);
}

static void case_invisible_until_finished(void) {
  ghee_sink *sink;
  assert_int_equal(store->ops->write(store, uri("out/a"), &sink, NULL), GHEE_OK);
  assert_int_equal(sink->ops->write(sink, "half", 4, NULL), GHEE_OK);
  assert_string_equal(get("out/a"), "none");
  assert_true(strcmp(listing("out"), "") == 0 || strcmp(listing("out"), "none") == 0);
  sink->ops->close(sink);
  assert_string_equal(get("out/a"), "none");
  put("out/a", "old");
  assert_int_equal(store->ops->write(store, uri("out/a"), &sink, NULL), GHEE_OK);
  assert_int_equal(sink->ops->write(sink, "new", 3, NULL), GHEE_OK);
  assert_string_equal(get("out/a"), "old");
  assert_int_equal(sink->ops->finish(sink, NULL), GHEE_OK);
  assert_string_equal(get("out/a"), "new");
  sink->ops->close(sink);
  assert_string_equal(get("out/a"), "new");
  assert_string_equal(listing("out"), "out/a=3 ");
}

static void case_version(void) {
  ghee_object_list list = {0};
  ghee_source *source;
  ghee_error err;
  put("a", "one");
  assert_int_equal(store->ops->list(store, uri("a"), collect, &list, NULL), GHEE_OK);
  assert_int_equal(store->ops->read(store, uri("a"), list.items[0].version, &source, NULL), GHEE_OK);
  put("a", "two"); /* the same size, maybe in the same moment */
  char text[3]; /* the old bytes where the store still has them */
  ghee_status status = source->ops->read(source, 0, 3, text, &err);
  if (status == GHEE_OK) assert_memory_equal(text, "one", 3);
  else if (status != GHEE_CHANGED) fail_msg("%s", err.message);
  source->ops->close(source);
  assert_int_equal(store->ops->read(store, uri("a"), list.items[0].version, &source, &err), GHEE_CHANGED);
  assert_non_null(strstr(err.message, "changed"));
  ghee_object_list_fini(&list);
}

static void case_remove(void) {
  bool there = false;
  put("d/a", "1");
  put("d/b/.c", "2");
  put("d2", "3");
  assert_int_equal(store->ops->remove(store, uri("d/a"), NULL), GHEE_OK);
  assert_string_equal(get("d/a"), "none");
  assert_int_equal(store->ops->exists(store, uri("d"), &there, NULL), GHEE_OK);
  assert_true(there); /* by a hidden name */
  assert_int_equal(store->ops->remove_all(store, uri("d"), NULL), GHEE_OK);
  assert_int_equal(store->ops->exists(store, uri("d"), &there, NULL), GHEE_OK);
  assert_false(there);
  assert_string_equal(get("d2"), "3");
}

static void stage(const char *staging, const char *name, const char *text) {
  char *full = ghee_uri_join(staging, name);
  put_uri(full, text, strlen(text));
  ghee_free(full);
}

static char *staging_of(const char *job) {
  char *staging = NULL, *again = NULL;
  assert_int_equal(store->ops->staging(store, uri("out"), job, &staging, NULL), GHEE_OK);
  assert_int_equal(store->ops->staging(store, uri("out"), job, &again, NULL), GHEE_OK);
  assert_string_equal(staging, again);
  ghee_free(again);
  return staging;
}

static const char *const names[] = {"p1", "sub/p2", "_manifest.json", "_SUCCESS"};

static char *staged(const char *job, const char *text) {
  char *staging = staging_of(job);
  for (size_t i = 0; i < 4; i++) stage(staging, names[i], text);
  stage(staging, "of-a-dead-attempt", text);
  return staging;
}

static void nothing_left(const char *staging) {
  bool there = true;
  assert_int_equal(store->ops->exists(store, staging, &there, NULL), GHEE_OK);
  assert_false(there);
}

static void case_staging_is_hidden(void) {
  char *one = staged("one", "1"), *two = staging_of("two");
  bool there = true;
  assert_string_not_equal(one, two);
  assert_string_equal(listing(""), "");
  assert_int_equal(store->ops->exists(store, uri("out"), &there, NULL), GHEE_OK);
  assert_false(there);
  ghee_free(one);
  ghee_free(two);
}

static void case_publish(void) {
  char *staging = staged("j", "1");
  for (int times = 0; times < 2; times++) {
    assert_int_equal(store->ops->publish(store, staging, uri("out"), GHEE_PUBLISH_ERROR, names, 4, NULL), GHEE_OK);
    assert_string_equal(listing("out"), "out/p1=1 out/sub/p2=1 ");
    assert_string_equal(get("out/_manifest.json"), "1");
    assert_string_equal(get("out/_SUCCESS"), "1");
    assert_string_equal(get("out/of-a-dead-attempt"), "none");
    nothing_left(staging);
  }
  ghee_free(staging);
}

static void case_publish_refuses(void) {
  put("out/old", "");
  char *staging = staged("j", "1");
  ghee_error err;
  assert_int_equal(store->ops->publish(store, staging, uri("out"), GHEE_PUBLISH_ERROR, names, 4, &err), GHEE_EXISTS);
  assert_string_equal(listing("out"), "out/old=0 ");
  assert_int_equal(store->ops->publish(store, staging, uri("out"), GHEE_PUBLISH_OVERWRITE, names, 4, &err), GHEE_OK);
  ghee_free(staging);
}

static void case_publish_overwrites(void) {
  put("out/old", "");
  put("out/p1", "old");
  put("out/_SUCCESS", "old");
  char *staging = staged("j", "1");
  for (int times = 0; times < 2; times++) {
    assert_int_equal(store->ops->publish(store, staging, uri("out"), GHEE_PUBLISH_OVERWRITE, names, 4, NULL), GHEE_OK);
    assert_string_equal(listing("out"), "out/p1=1 out/sub/p2=1 ");
    assert_string_equal(get("out/_SUCCESS"), "1");
    nothing_left(staging);
  }
  ghee_free(staging);
}

static void case_publish_appends(void) {
  put("out/old", "");
  put("out/_SUCCESS", "old");
  char *staging = staged("j", "1");
  for (int times = 0; times < 2; times++) {
    assert_int_equal(store->ops->publish(store, staging, uri("out"), GHEE_PUBLISH_APPEND, names, 4, NULL), GHEE_OK);
    assert_string_equal(listing("out"), "out/old=0 out/p1=1 out/sub/p2=1 ");
    assert_string_equal(get("out/_SUCCESS"), "1");
    assert_string_equal(get("out/of-a-dead-attempt"), "none");
    nothing_left(staging);
  }
  ghee_free(staging);
}

static void case_publish_what_is_not_there(void) {
  char *staging = staging_of("j");
  ghee_error err;
  stage(staging, "p1", "");
  for (ghee_publish_mode mode = GHEE_PUBLISH_ERROR; mode <= GHEE_PUBLISH_APPEND; mode++) {
    assert_int_equal(store->ops->publish(store, staging, uri("out"), mode, names, 4, &err), GHEE_NOT_FOUND);
    assert_non_null(strstr(err.message, "sub/p2"));
  }
  ghee_free(staging);
}

static void case_no_memory(void) {
  put("a", "1");
  for (long n = 1;; n++) {
    ghee_source *source = NULL;
    const char *where = uri("a");
    ghee_memory_fail_at(n);
    ghee_status status = store->ops->read(store, where, NULL, &source, NULL);
    ghee_memory_fail_at(0);
    if (status == GHEE_OK) {
      source->ops->close(source);
      break;
    }
    assert_int_equal(status, GHEE_NO_MEMORY);
  }
  for (long n = 1;; n++) {
    ghee_sink *sink = NULL;
    const char *where = uri("b");
    ghee_memory_fail_at(n);
    ghee_status status = store->ops->write(store, where, &sink, NULL);
    if (status == GHEE_OK) status = sink->ops->write(sink, "2", 1, NULL);
    if (status == GHEE_OK) status = sink->ops->finish(sink, NULL);
    ghee_memory_fail_at(0);
    if (sink) sink->ops->close(sink);
    if (status == GHEE_OK) break;
    assert_int_equal(status, GHEE_NO_MEMORY);
    /* Nothing, or (where only the store's answer was lost) all of it. */
    if (strcmp(get("b"), "none") != 0) assert_string_equal(get("b"), "2");
  }
  assert_string_equal(get("b"), "2");
  assert_string_equal(listing(""), "a=1 b=1 ");
}

typedef struct told { uint64_t bytes; size_t blocks; } told;

static ghee_status next_block(void *user, const ghee_object_block *block, ghee_error *err) {
  told *so_far = user;
  (void)err;
  assert_int_equal(block->offset, so_far->bytes);
  assert_true(block->size_bytes > 0 && block->n_hosts > 0);
  for (size_t i = 0; i < block->n_hosts; i++)
    for (size_t k = 0; k < i; k++) assert_string_not_equal(block->hosts[i], block->hosts[k]);
  so_far->bytes += block->size_bytes;
  so_far->blocks++;
  return GHEE_OK;
}

static ghee_status stop_at_once(void *user, const ghee_object_block *block, ghee_error *err) {
  (void)user;
  (void)block;
  return ghee_error_set(err, GHEE_CANCELED, "enough");
}

/* Where a store tells of blocks, they are in order and all of the object, and each of their hosts is named once. */
static void case_blocks(void) {
  enum { SIZE = 100000 };
  static char data[SIZE];
  told of_big = {0}, of_empty = {0};
  if (!store->ops->blocks) return;
  put_uri(uri("big"), data, SIZE);
  put("empty", "");
  assert_int_equal(store->ops->blocks(store, uri("big"), next_block, &of_big, NULL), GHEE_OK);
  assert_int_equal(of_big.bytes, SIZE);
  assert_int_equal(store->ops->blocks(store, uri("empty"), next_block, &of_empty, NULL), GHEE_OK);
  assert_int_equal(of_empty.blocks, 0);
  assert_int_equal(store->ops->blocks(store, uri("big"), stop_at_once, NULL, NULL), GHEE_CANCELED);
  assert_int_equal(store->ops->blocks(store, uri("none"), next_block, NULL, NULL), GHEE_NOT_FOUND);
}

static void (*const cases[])(void) = {
    case_write_and_read, case_read_in_order, case_odd_names, case_list, case_list_stops, case_not_there, case_invisible_until_finished, case_version, case_remove,
    case_staging_is_hidden, case_publish, case_publish_refuses, case_publish_overwrites, case_publish_appends, case_publish_what_is_not_there,
    case_blocks, case_no_memory};

static void test_backend(void **state) {
  const char *scheme = ((const backend *)*state)->ops->scheme;
  if (strcmp(scheme, "s3") == 0 && !s3_variables()) {
    print_message("no S3 server: S3_RUN does not name the folder of a running one\n");
    skip();
  }
  char address[256];
  if (strcmp(scheme, "hdfs") == 0 && !hdfs_address(address)) {
    print_message("no HDFS: HDFS_RUN does not name the folder of a running cluster\n");
    skip();
  }
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    begin(*state);
    cases[i]();
    end();
  }
}

int main(void) {
  struct CMUnitTest tests[BACKENDS];
  for (size_t i = 0; i < BACKENDS; i++)
    tests[i] = (struct CMUnitTest){.name = backends[i].ops->scheme, .test_func = test_backend, .initial_state = (void *)&backends[i]};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
