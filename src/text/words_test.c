/* SPDX-License-Identifier: Apache-2.0
 * Words for people, sizes and durations, UTF-8, JSON. */
#include "text/sample.h"

#include <math.h>

#include "text/json.h"
#include "text/scalar.h"
#include "text/utf8.h"

static void test_nearest(void **state) {
  (void)state;
  static const char *const keys[] = {"input", "output", "preprocess", "postprocess", "workers", "memory", "batch_size", "gpu", NULL};
  static const char *const cases[][2] = {
      {"inptu", "input"},        {"imput", "input"},   {"outptu", "output"},      {"preproces", "preprocess"}, {"prepocess", "preprocess"},
      {"postproccess", "postprocess"}, {"worker", "workers"}, {"batchsize", "batch_size"}, {"gpus", "gpu"},     {"Input", "input"},
      {"image", NULL},           {"zzz", NULL},        {"", NULL},                {"x", NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *is = ghee_text_nearest(cases[i][0], keys), *want = cases[i][1];
    if (!want != !is || (want && strcmp(is, want) != 0)) fail_msg("%s: %s, wanted %s", cases[i][0], is ? is : "none", want ? want : "none");
  }
  char wide[300];
  memset(wide, 'w', sizeof wide - 1);
  wide[sizeof wide - 1] = 0;
  assert_null(ghee_text_nearest(wide, keys)); /* too long to be near anything */
  assert_null(ghee_text_nearest("x", (const char *const[]){wide, NULL}));
}

static void said(void (*say)(ghee_buffer *, uint64_t), uint64_t n, const char *want) {
  ghee_buffer out = {0};
  say(&out, n);
  assert_string_equal(ghee_buffer_text(&out), want);
  ghee_buffer_fini(&out);
}

static void test_counts_and_sizes(void **state) {
  (void)state;
  said(ghee_text_count, 0, "0");
  said(ghee_text_count, 999, "999");
  said(ghee_text_count, 1000, "1,000");
  said(ghee_text_count, 20000263, "20,000,263");
  said(ghee_text_count, UINT64_MAX, "18,446,744,073,709,551,615");
  said(ghee_text_size, 0, "0 B");
  said(ghee_text_size, 1023, "1023 B");
  said(ghee_text_size, 1024, "1 KiB");
  said(ghee_text_size, 1536, "1.5 KiB");
  said(ghee_text_size, (uint64_t)150 << 20, "150 MiB");
  said(ghee_text_size, UINT64_MAX, "16 EiB");
}

static void test_bytes(void **state) {
  (void)state;
  static const struct { const char *text; uint64_t want; } good[] = {
      {"0", 0}, {"17", 17}, {"17B", 17}, {"64k", 64000}, {"64kB", 64000}, {"64KB", 64000}, {"64Ki", 65536}, {"64 KiB", 65536}, {"1.5GB", 1500000000},
      {"256MiB", 256u << 20}, {"2Gi", 2u << 30}, {"1T", 1000000000000}, {"2TiB", (uint64_t)2 << 40}, {"1e3", 1000}, {"0.5Ki", 512},
      {"9007199254740993", 9007199254740993}, /* not one that a double says */
  };
  static const char *const bad[] = {"", "-1", "MiB", "1X", "1 Mi B", "1MiBs", "abc", "1e30", "20000000TB", ".5k", "+1", " 1", "0x10", "1e400", "infinity", "nan"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    uint64_t is = 1;
    if (!ghee_scalar_bytes(good[i].text, &is) || is != good[i].want) fail_msg("%s: %llu", good[i].text, (unsigned long long)is);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    uint64_t is = 77;
    if (ghee_scalar_bytes(bad[i], &is)) fail_msg("%s is %llu bytes", bad[i], (unsigned long long)is);
    assert_int_equal(is, 77);
  }
}

static void test_durations(void **state) {
  (void)state;
  static const struct { const char *text; uint64_t want; } good[] = {
      {"0", 0}, {"30", 30000}, {"30s", 30000}, {"500ms", 500}, {"0.5", 500}, {"2m", 120000}, {"2min", 120000}, {"1.5h", 5400000}, {"1d", 86400000}, {"2 s", 2000},
  };
  static const char *const bad[] = {"", "-1s", "s", "1x", "1hour", "1e20s", "1s2", "ms"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    uint64_t is = 1;
    if (!ghee_scalar_duration(good[i].text, &is) || is != good[i].want) fail_msg("%s: %llu", good[i].text, (unsigned long long)is);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    uint64_t is = 77;
    if (ghee_scalar_duration(bad[i], &is)) fail_msg("%s is %llu ms", bad[i], (unsigned long long)is);
  }
}

/* Every code point by the definition of RFC 3629, and everything of up to 3 bytes that is none. */
static void test_utf8_against_its_definition(void **state) {
  (void)state;
  for (uint32_t code = 0; code < 0x110000; code++) {
    unsigned char bytes[4];
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1;) bytes[i] = (unsigned char)(0x80 | (code >> (6 * (n - 1 - i)) & 63));
    bytes[0] = (unsigned char)(lead[n] | code >> (6 * (n - 1)));
    bool surrogate = code >= 0xd800 && code < 0xe000;
    assert_int_equal(ghee_utf8_length(bytes, n), surrogate ? 0 : n);
    if (n > 1) assert_int_equal(ghee_utf8_length(bytes, n - 1), 0);
  }
  size_t valid = 0;
  for (uint32_t word = 0; word < 1u << 24; word++) {
    unsigned char bytes[3] = {(unsigned char)(word >> 16), (unsigned char)(word >> 8), (unsigned char)word};
    valid += ghee_utf8_length(bytes, 3) == 3;
  }
  assert_int_equal(valid, 0x10000 - 0x800 - 0x800); /* the three-byte characters and no more: nothing overlong */
  assert_true(ghee_utf8_valid("", 0));
  assert_true(ghee_utf8_valid("a\xc3\xa9", 3));
  assert_false(ghee_utf8_valid("a\xc3", 2));
  assert_false(ghee_utf8_valid("\xf4\x90\x80\x80", 4)); /* above U+10FFFF */
}

static void test_json_by_hand(void **state) {
  (void)state;
  ghee_buffer out = {0};
  ghee_json json = {.out = &out};
  ghee_json_begin_map(&json, NULL);
  ghee_json_begin_list(&json, "list");
  ghee_json_int(&json, NULL, INT64_MIN);
  ghee_json_uint(&json, NULL, UINT64_MAX);
  ghee_json_real(&json, NULL, 0.1);
  ghee_json_real(&json, NULL, NAN);
  ghee_json_real(&json, NULL, -INFINITY);
  ghee_json_end_list(&json);
  ghee_json_begin_map(&json, "empty");
  ghee_json_end_map(&json);
  ghee_json_text(&json, "bad\xff", "a\xc0\x80z");
  ghee_json_raw(&json, "raw", "[1,2]");
  ghee_json_bool(&json, "b", false);
  ghee_json_end_map(&json);
  assert_string_equal(ghee_buffer_text(&out),
                      "{\"list\": [-9223372036854775808, 18446744073709551615, 0.1, null, null], \"empty\": {}, "
                      "\"bad\xef\xbf\xbd\": \"a\xef\xbf\xbd\xef\xbf\xbdz\", \"raw\": [1,2], \"b\": false}");
  ghee_buffer_fini(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nearest), cmocka_unit_test(test_counts_and_sizes), cmocka_unit_test(test_bytes),
      cmocka_unit_test(test_durations), cmocka_unit_test(test_utf8_against_its_definition), cmocka_unit_test(test_json_by_hand),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
