/* SPDX-License-Identifier: Apache-2.0
 * The signer against the examples that AWS publishes ("Signature Calculations for the Authorization Header", Amazon S3 API Reference). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/memory.h"
#include "storage/s3_sign.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define WELCOME "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"

static const ghee_s3_signing base = {.method = "GET", .path = "/", .query = "", .payload_hash = EMPTY, .date = "20130524T000000Z", .key = "AKIAIOSFODNN7EXAMPLE",
                                     .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", .region = "us-east-1"};

static void expect(ghee_s3_signing of, const char *const *headers, size_t n, const char *names, const char *signature) {
  ghee_buffer out = {0}, want = {0};
  of.headers = headers;
  of.n_headers = n;
  assert_int_equal(ghee_s3_sign(&of, &out, NULL), GHEE_OK);
  ghee_buffer_printf(&want, "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=%s,Signature=%s", names, signature);
  assert_string_equal(ghee_buffer_text(&out), ghee_buffer_text(&want));
  ghee_buffer_fini(&out);
  ghee_buffer_fini(&want);
}

#define COMMON "host: examplebucket.s3.amazonaws.com", "x-amz-date: 20130524T000000Z"

static void test_get(void **state) {
  (void)state;
  ghee_s3_signing of = base;
  of.path = "/test.txt";
  expect(of, (const char *const[]){COMMON, "x-amz-content-sha256: " EMPTY, "range: bytes=0-9"}, 4, "host;range;x-amz-content-sha256;x-amz-date",
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void test_put(void **state) {
  (void)state;
  char hash[GHEE_S3_HASH_SIZE];
  ghee_s3_signing of = base;
  assert_int_equal(ghee_s3_hash("Welcome to Amazon S3.", 21, hash, NULL), GHEE_OK);
  assert_string_equal(hash, WELCOME);
  of.method = "PUT";
  of.path = "/test%24file.text";
  of.payload_hash = hash;
  expect(of, (const char *const[]){"date: Fri, 24 May 2013 00:00:00 GMT", COMMON, "x-amz-storage-class: REDUCED_REDUNDANCY", ("x-amz-content-sha256: " WELCOME)}, 5,
         "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void test_queries(void **state) {
  (void)state;
  static const char *const headers[] = {COMMON, ("x-amz-content-sha256: " EMPTY)};
  ghee_s3_signing of = base;
  of.query = "lifecycle";
  expect(of, headers, 3, "host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  of.query = "prefix=J&max-keys=2"; /* in any order */
  expect(of, headers, 3, "host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void test_date(void **state) {
  (void)state;
  char date[GHEE_S3_DATE_SIZE];
  ghee_s3_date(1369353600, date);
  assert_string_equal(date, "20130524T000000Z");
}

static void test_no_memory(void **state) {
  (void)state;
  ghee_buffer out = {0};
  for (long n = 1;; n++) {
    ghee_memory_fail_at(n);
    ghee_status status = ghee_s3_sign(&base, &out, NULL);
    bool reached = ghee_memory_count() >= n;
    ghee_memory_fail_at(0);
    ghee_buffer_fini(&out);
    assert_int_equal(status, reached ? GHEE_NO_MEMORY : GHEE_OK);
    if (!reached) break;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_get), cmocka_unit_test(test_put), cmocka_unit_test(test_queries), cmocka_unit_test(test_date),
                                     cmocka_unit_test(test_no_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
