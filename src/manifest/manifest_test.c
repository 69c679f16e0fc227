/* SPDX-License-Identifier: Apache-2.0
 * Manifests as data and JSON: what goes out comes back, and nothing else comes in. Checksums against published vectors. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nth_alloc.h"
#include "base/memory.h"
#include "manifest/checksum.h"
#include "manifest/manifest.h"

#define SUM "blake2b:0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"

static ghee_manifest made(const char *name) {
  ghee_manifest of = {.job = ghee_strdup("scores-1a2b"), .format = ghee_strdup("parquet"), .created_ms = 1700000000123};
  static const uint32_t chunks[] = {0, 1, 2, 4, 7, 8, UINT32_MAX};
  uint32_t older, newer;
  assert_int_equal(ghee_manifest_begin(&of, "scores-0", &older, NULL), GHEE_OK);
  assert_int_equal(ghee_manifest_begin(&of, "scores-1a2b", &newer, NULL), GHEE_OK);
  for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) assert_int_equal(ghee_manifest_hold(&of, newer, chunks[i], NULL), GHEE_OK);
  assert_int_equal(ghee_manifest_hold(&of, older, 4, NULL), GHEE_OK); /* another job's */
  assert_int_equal(ghee_manifest_add(&of, name, 12, UINT64_C(1) << 40, SUM, newer, NULL), GHEE_OK);
  assert_int_equal(ghee_manifest_add(&of, "sub/part-2.parquet", 0, INT64_MAX, SUM, older, NULL), GHEE_OK);
  return of;
}

static void back_is_equal(const ghee_manifest *of) {
  ghee_buffer json = {0};
  ghee_manifest back = {0};
  ghee_error err;
  if (ghee_manifest_encode(of, &json, &err) != GHEE_OK) fail_msg("%s", err.message);
  if (ghee_manifest_decode((const char *)json.data, json.size, &back, &err) != GHEE_OK) fail_msg("%s", err.message);
  assert_string_equal(back.job, of->job);
  assert_string_equal(back.format, of->format);
  assert_true(back.created_ms == of->created_ms && back.count == of->count);
  for (size_t i = 0; i < of->count; i++) {
    assert_string_equal(back.files[i].name, of->files[i].name);
    assert_string_equal(back.files[i].checksum, of->files[i].checksum);
    assert_true(back.files[i].rows == of->files[i].rows && back.files[i].size_bytes == of->files[i].size_bytes);
    assert_int_equal(back.files[i].commit, of->files[i].commit);
  }
  assert_int_equal(back.n_commits, of->n_commits);
  for (size_t i = 0; i < of->n_commits; i++) {
    assert_string_equal(back.commits[i].job, of->commits[i].job);
    assert_int_equal(back.commits[i].count, of->commits[i].count);
    for (size_t j = 0; j < of->commits[i].count; j++)
      assert_true(back.commits[i].ranges[j].first == of->commits[i].ranges[j].first && back.commits[i].ranges[j].last == of->commits[i].ranges[j].last);
  }
  ghee_manifest_fini(&back);
  ghee_buffer_fini(&json);
}

static void test_round_trip(void **state) {
  (void)state;
  static const char *const names[] = {"part-1.parquet", "a b", " a ", "\"", "\\", "a\"b\\c'd", "#", "- a", "{}", "k: v", "\t\n\r\a", "~", "null", "1", "日本", "😀", "%41"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    ghee_manifest of = made(names[i]);
    back_is_equal(&of);
    ghee_free(of.job);
    of.job = ghee_strdup(names[i]);
    back_is_equal(&of);
    ghee_manifest_fini(&of);
  }
  ghee_manifest empty = {.job = ghee_strdup(""), .format = ghee_strdup(""), .created_ms = -1};
  back_is_equal(&empty);
  ghee_manifest_fini(&empty);
}

/* Every character of the basic plane, a hundred to a name. */
static void test_every_character(void **state) {
  (void)state;
  ghee_manifest of = {.job = ghee_strdup("j"), .format = ghee_strdup("csv")};
  char name[512];
  size_t n = 0;
  for (unsigned code = 1; code < 0x10000; code++) {
    if (code >= 0xd800 && code < 0xe000) continue;
    if (code == '/') continue;
    if (code < 0x80) name[n++] = (char)code;
    else if (code < 0x800) n += (size_t)sprintf(name + n, "%c%c", (int)(0xc0 | code >> 6), (int)(0x80 | (code & 0x3f)));
    else n += (size_t)sprintf(name + n, "%c%c%c", (int)(0xe0 | code >> 12), (int)(0x80 | (code >> 6 & 0x3f)), (int)(0x80 | (code & 0x3f)));
    if (n < 300 && code != 0xffff) continue;
    name[n] = 0;
    n = 0;
    assert_int_equal(ghee_manifest_add(&of, name, code, 0, SUM, GHEE_MANIFEST_NO_COMMIT, NULL), GHEE_OK);
  }
  back_is_equal(&of);
  ghee_manifest_fini(&of);
}

static void test_many_files(void **state) {
  (void)state;
  ghee_manifest of = {.job = ghee_strdup("j"), .format = ghee_strdup("csv")};
  ghee_error err;
  char name[32];
  uint32_t commit;
  for (uint32_t i = 0; i < GHEE_MANIFEST_MOST_FILES; i++) {
    snprintf(name, sizeof name, "part-%06d", (int)i);
    assert_int_equal(ghee_manifest_begin(&of, "j", &commit, NULL), GHEE_OK);
    assert_int_equal(ghee_manifest_hold(&of, commit, i, NULL), GHEE_OK);
    assert_int_equal(ghee_manifest_add(&of, name, 1, 1, SUM, commit, NULL), GHEE_OK);
  }
  assert_int_equal(ghee_manifest_add(&of, "one more", 1, 1, SUM, commit, &err), GHEE_LIMIT);
  assert_non_null(strstr(err.message, "target_file_size"));
  back_is_equal(&of);
  ghee_manifest_fini(&of);
}

static void test_encode_refuses(void **state) {
  (void)state;
  static const struct { const char *name, *checksum; uint64_t rows, size_bytes; } bad[] = {
      {"", SUM, 0, 0}, {"/etc/passwd", SUM, 0, 0}, {"../a", SUM, 0, 0}, {"a/../b", SUM, 0, 0}, {"\xff", SUM, 0, 0}, {"a\xc3", SUM, 0, 0},
      {"\xed\xa0\x80", SUM, 0, 0}, {"a", "", 0, 0}, {"a", "md5:0", 0, 0}, {"a", SUM "0", 0, 0}, {"a", SUM, UINT64_MAX, 0}, {"a", SUM, 0, UINT64_MAX},
      {"sub/part-2.parquet", SUM, 0, 0}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ghee_manifest of = made("good");
    ghee_buffer json = {0};
    ghee_error err;
    assert_int_equal(ghee_manifest_add(&of, bad[i].name, bad[i].rows, bad[i].size_bytes, bad[i].checksum, 1, NULL), GHEE_OK);
    assert_int_equal(ghee_manifest_encode(&of, &json, &err), GHEE_INVALID);
    assert_int_equal(json.size, 0);
    ghee_buffer_fini(&json);
    ghee_manifest_fini(&of);
  }
}

static void test_encode_refuses_chunks(void **state) {
  (void)state;
  ghee_manifest of = made("good");
  ghee_buffer json = {0};
  ghee_error err;
  uint32_t commit;
  assert_int_equal(ghee_manifest_hold(&of, 0, 4, &err), GHEE_INVALID); /* it has that one */
  assert_int_equal(ghee_manifest_hold(&of, 0, 3, &err), GHEE_INVALID);
  assert_int_equal(ghee_manifest_begin(&of, "scores-1a2b", &commit, NULL), GHEE_OK);
  assert_int_equal(ghee_manifest_hold(&of, commit, 3, NULL), GHEE_OK);
  assert_int_equal(ghee_manifest_hold(&of, commit, 8, NULL), GHEE_OK);
  assert_int_equal(ghee_manifest_encode(&of, &json, &err), GHEE_INVALID);
  assert_string_equal(err.message, "chunk 8 of job scores-1a2b is in two commits");
  ghee_manifest_fini(&of);
  of = made("good");
  assert_int_equal(ghee_manifest_add(&of, "a", 0, 0, SUM, 2, NULL), GHEE_OK);
  assert_int_equal(ghee_manifest_encode(&of, &json, &err), GHEE_INVALID);
  assert_string_equal(err.message, "there is no commit 2 (of a)");
  ghee_manifest_fini(&of);
  ghee_buffer_fini(&json);
}

#define FILE_OF(name, rest) "{\"name\": \"" name "\", \"rows\": 1, \"size_bytes\": 2, \"checksum\": \"" SUM "\"" rest "}"
#define COMMITS(list, rest) "{\"version\": 2, \"job\": \"j\", \"format\": \"csv\", \"created_ms\": 0, \"commits\": " list ", \"files\": [" rest "]}"
#define HOLDS(chunks) "{\"job\": \"j\", \"chunks\": \"" chunks "\"}"
#define HEAD "{\"version\": 1, \"job\": \"j\", \"format\": \"csv\", \"created_ms\": 0, \"files\": "

static void test_decode_refuses(void **state) {
  (void)state;
  static const struct { const char *json, *where; ghee_status status; } bad[] = {
      {"", "", GHEE_CORRUPT},
      {"[]", "1:1", GHEE_CORRUPT},
      {"null", "1:1", GHEE_CORRUPT},
      {"{", "", GHEE_CORRUPT},
      {"{}", "1:1", GHEE_CORRUPT},
      {HEAD "{}}", "1:1", GHEE_CORRUPT},
      {HEAD "[1]}", ":1:", GHEE_CORRUPT},
      {HEAD "[],\n \"x\": 1}", ":2:", GHEE_CORRUPT},
      {HEAD "[{}]}", ":1:", GHEE_CORRUPT},
      {HEAD "[" FILE_OF("a", ", \"x\": 0") "]}", ":1:", GHEE_CORRUPT},
      {HEAD "[\n  " FILE_OF("../a", "") "]}", ":2:3", GHEE_CORRUPT},
      {HEAD "[\n  " FILE_OF("/a", "") "]}", ":2:3", GHEE_CORRUPT},
      {HEAD "[" FILE_OF("a", "") ", " FILE_OF("a", "") "]}", "twice", GHEE_CORRUPT},
      {HEAD "[{\"name\": \"a\", \"rows\": -1, \"size_bytes\": 2, \"checksum\": \"" SUM "\"}]}", ":1:", GHEE_CORRUPT},
      {HEAD "[{\"name\": \"a\", \"rows\": 1.5, \"size_bytes\": 2, \"checksum\": \"" SUM "\"}]}", ":1:", GHEE_CORRUPT},
      {HEAD "[{\"name\": \"a\", \"rows\": 1, \"size_bytes\": 99999999999999999999, \"checksum\": \"" SUM "\"}]}", ":1:", GHEE_CORRUPT},
      {HEAD "[{\"name\": \"a\", \"rows\": 1, \"size_bytes\": 2, \"checksum\": \"blake2b:xyz\"}]}", "blake2b:xyz", GHEE_CORRUPT},
      {HEAD "[{\"name\": [], \"rows\": 1, \"size_bytes\": 2, \"checksum\": \"" SUM "\"}]}", ":1:", GHEE_CORRUPT},
      {COMMITS("{}", ""), "must be a list", GHEE_CORRUPT},
      {COMMITS("[1]", ""), "must be a map", GHEE_CORRUPT},
      {COMMITS("[{}]", ""), "needs job and chunks", GHEE_CORRUPT},
      {COMMITS("[" HOLDS("a") "]", ""), "0-5,9", GHEE_CORRUPT},
      {COMMITS("[" HOLDS("1,") "]", ""), "0-5,9", GHEE_CORRUPT},
      {COMMITS("[" HOLDS("1-") "]", ""), "0-5,9", GHEE_CORRUPT},
      {COMMITS("[" HOLDS("-1") "]", ""), "0-5,9", GHEE_CORRUPT},
      {COMMITS("[" HOLDS("1 2") "]", ""), "0-5,9", GHEE_CORRUPT},
      {COMMITS("[" HOLDS("4294967296") "]", ""), "0-5,9", GHEE_CORRUPT},
      {COMMITS("[" HOLDS("5-4") "]", ""), "must rise", GHEE_CORRUPT},
      {COMMITS("[" HOLDS("1-4,4") "]", ""), "must rise", GHEE_CORRUPT},
      {COMMITS("[" HOLDS("1-4") ", " HOLDS("0,3") "]", ""), "chunk 3 of job j is in two commits", GHEE_CORRUPT},
      {COMMITS("[" HOLDS("1") "]", FILE_OF("a", ", \"commit\": 1")), "no commit 1", GHEE_CORRUPT},
      {COMMITS("[" HOLDS("1") "]", FILE_OF("a", ", \"commit\": -1")), ":1:", GHEE_CORRUPT},
      {"{\"version\": 3, \"new\": []}", "newer", GHEE_UNSUPPORTED},
      {"{\"version\": 0, \"job\": \"j\", \"format\": \"f\", \"files\": []}", "", GHEE_CORRUPT},
      {"{\"job\": \"j\", \"format\": \"f\", \"files\": []}", "", GHEE_CORRUPT},
      {"{\"version\": 1, \"format\": \"f\", \"files\": []}", "", GHEE_CORRUPT},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ghee_manifest out = {.created_ms = 77};
    ghee_error err = {0};
    assert_int_equal(ghee_manifest_decode(bad[i].json, strlen(bad[i].json), &out, &err), bad[i].status);
    assert_int_equal(err.status, bad[i].status);
    if (!strstr(err.message, bad[i].where)) fail_msg("%s: %s", bad[i].json, err.message);
    assert_true(out.created_ms == 77 && !out.job);
  }
}

static void test_version_1(void **state) {
  (void)state;
  static const char json[] = HEAD "[" FILE_OF("a", "") "]}";
  ghee_manifest of = {0};
  assert_int_equal(ghee_manifest_decode(json, strlen(json), &of, NULL), GHEE_OK);
  assert_true(of.count == 1 && of.n_commits == 0 && of.files[0].commit == GHEE_MANIFEST_NO_COMMIT);
  back_is_equal(&of);
  ghee_manifest_fini(&of);
}

static void test_truncated_and_flipped(void **state) {
  (void)state;
  ghee_manifest of = made("part-1");
  ghee_buffer json = {0};
  assert_int_equal(ghee_manifest_encode(&of, &json, NULL), GHEE_OK);
  for (size_t size = 0; size + 2 < json.size; size++) {
    ghee_manifest out = {0};
    assert_int_equal(ghee_manifest_decode((const char *)json.data, size, &out, NULL), GHEE_CORRUPT);
  }
  for (size_t i = 0; i < json.size; i++)
    for (int bit = 0; bit < 8; bit++) {
      ghee_manifest out = {0};
      json.data[i] ^= (uint8_t)(1 << bit);
      if (ghee_manifest_decode((const char *)json.data, json.size, &out, NULL) == GHEE_OK) ghee_manifest_fini(&out);
      json.data[i] ^= (uint8_t)(1 << bit);
    }
  ghee_buffer_fini(&json);
  ghee_manifest_fini(&of);
}

static ghee_status all_calls(void *user, ghee_error *err) {
  (void)user;
  ghee_manifest of = {0}, back = {0};
  ghee_buffer json = {0};
  ghee_status status;
  uint32_t commit;
  GHEE_GOTO(status, done, ghee_manifest_begin(&of, "j", &commit, err));
  GHEE_GOTO(status, done, ghee_manifest_hold(&of, commit, 1, err));
  GHEE_GOTO(status, done, ghee_manifest_hold(&of, commit, 3, err));
  GHEE_GOTO(status, done, ghee_manifest_add(&of, "a", 1, 2, SUM, commit, err));
  GHEE_GOTO(status, done, ghee_manifest_add(&of, "b", 1, 2, SUM, commit, err));
  GHEE_GOTO(status, done, ghee_manifest_encode(&of, &json, err));
  GHEE_GOTO(status, done, ghee_manifest_decode((const char *)json.data, json.size, &back, err));
done:
  assert_int_equal(status, err->status);
  ghee_manifest_fini(&of);
  ghee_manifest_fini(&back);
  ghee_buffer_fini(&json);
  return status;
}

static void test_no_memory(void **state) {
  (void)state;
  nth_alloc_each(all_calls, NULL, GHEE_OK);
}

/* ---- checksums ---- */

static void sum_is(const char *data, size_t piece, const char *want) {
  ghee_buffer bytes = {0};
  ghee_sink *inner, *sink;
  assert_int_equal(ghee_sink_to_buffer(&bytes, "memory", &inner, NULL), GHEE_OK);
  assert_int_equal(ghee_checksum_sink(inner, &sink, NULL), GHEE_OK);
  size_t size = strlen(data);
  for (size_t at = 0; at < size; at += piece)
    assert_int_equal(sink->ops->write(sink, data + at, size - at < piece ? size - at : piece, NULL), GHEE_OK);
  assert_string_equal(ghee_checksum_sink_text(sink), "");
  for (int times = 0; times < 2; times++) {
    assert_int_equal(sink->ops->finish(sink, NULL), GHEE_OK);
    assert_string_equal(ghee_checksum_sink_text(sink), want);
  }
  assert_int_equal(sink->written_bytes, size);
  assert_int_equal(bytes.size, size);
  if (size) assert_memory_equal(bytes.data, data, size);
  sink->ops->close(sink);
  ghee_buffer_fini(&bytes);
}

/* Values of Python's hashlib.blake2b(digest_size=32), RFC 7693. */
static void test_checksum(void **state) {
  (void)state;
  static const char *const abc = "blake2b:bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319";
  sum_is("", 1, SUM);
  sum_is("abc", 3, abc);
  sum_is("abc", 1, abc);
  assert_true(ghee_checksum_is(SUM));
  assert_false(ghee_checksum_is("blake2b:"));
  assert_false(ghee_checksum_is("blake2b:0E5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"));
}

static ghee_status fail_write(ghee_sink *sink, const void *data, size_t size, ghee_error *err) {
  (void)sink, (void)data, (void)size;
  return ghee_error_set(err, GHEE_NO_SPACE, "full");
}
static ghee_status fail_finish(ghee_sink *sink, ghee_error *err) { return fail_write(sink, NULL, 0, err); }
static void close_nothing(ghee_sink *sink) { sink->written_bytes = 99; }

static void test_checksum_of_failure(void **state) {
  (void)state;
  static const struct ghee_sink_ops ops = {.write = fail_write, .finish = fail_finish, .close = close_nothing};
  ghee_sink inner = {.ops = &ops, .name = "full"}, *sink = NULL;
  for (long n = 1; n < 3; n++) {
    ghee_memory_fail_at(n);
    assert_int_equal(ghee_checksum_sink(&inner, &sink, NULL), GHEE_NO_MEMORY);
    ghee_memory_fail_at(0);
    assert_true(!sink && inner.written_bytes == 0); /* still the caller's */
  }
  assert_int_equal(ghee_checksum_sink(&inner, &sink, NULL), GHEE_OK);
  assert_int_equal(sink->ops->write(sink, "a", 1, NULL), GHEE_NO_SPACE);
  assert_int_equal(sink->written_bytes, 0);
  assert_int_equal(sink->ops->finish(sink, NULL), GHEE_NO_SPACE);
  assert_string_equal(ghee_checksum_sink_text(sink), "");
  sink->ops->close(sink);
  assert_int_equal(inner.written_bytes, 99);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),      cmocka_unit_test(test_every_character),       cmocka_unit_test(test_many_files),
      cmocka_unit_test(test_encode_refuses), cmocka_unit_test(test_encode_refuses_chunks),  cmocka_unit_test(test_decode_refuses),        cmocka_unit_test(test_version_1), cmocka_unit_test(test_truncated_and_flipped),
      cmocka_unit_test(test_no_memory),       cmocka_unit_test(test_checksum),              cmocka_unit_test(test_checksum_of_failure),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
