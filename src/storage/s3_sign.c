/* SPDX-License-Identifier: Apache-2.0
 * The signer. HMAC-SHA-256 and SHA-256 are libcrypto's, which libcurl brings: several times as fast as libsodium's where the CPU has
 * instructions for them, and bodies are hashed as fast as they are sent. */
#include "storage/s3_sign.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"

enum { HASH = 32, MOST = 16 };

static void hex(const uint8_t *bytes, char out[GHEE_S3_HASH_SIZE]) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < HASH; i++) {
    out[2 * i] = digits[bytes[i] >> 4];
    out[2 * i + 1] = digits[bytes[i] & 15];
  }
  out[2 * HASH] = 0;
}

ghee_status ghee_s3_hash(const void *data, size_t size_bytes, char out[GHEE_S3_HASH_SIZE], ghee_error *err) {
  uint8_t hash[HASH];
  if (!EVP_Digest(size_bytes ? data : "", size_bytes, hash, NULL, EVP_sha256(), NULL)) return ghee_error_no_memory(err, "hashing a body");
  hex(hash, out);
  return GHEE_OK;
}

void ghee_s3_date(int64_t wall_s, char out[GHEE_S3_DATE_SIZE]) {
  time_t when = (time_t)wall_s;
  struct tm tm;
  gmtime_r(&when, &tm);
  strftime(out, GHEE_S3_DATE_SIZE, "%Y%m%dT%H%M%SZ", &tm);
}

static bool hmac(const void *key, size_t key_bytes, const char *text, size_t size, uint8_t out[HASH]) {
  return HMAC(EVP_sha256(), key, (int)key_bytes, (const unsigned char *)text, size, out, NULL);
}

static size_t name_length(const char *header) { return strcspn(header, ":"); }

static int by_name(const void *a, const void *b) {
  const char *x = *(const char *const *)a, *y = *(const char *const *)b;
  size_t m = name_length(x), n = name_length(y);
  int order = memcmp(x, y, m < n ? m : n);
  return order ? order : (m > n) - (m < n);
}

/* "b&a=1" → "a=1&b=": pairs in the order of their escaped texts. */
static ghee_status put_query(const char *query, ghee_buffer *out, ghee_error *err) {
  char *copy = ghee_strdup(query);
  if (!copy) return ghee_error_no_memory(err, "signing a request");
  const char *pairs[MOST];
  size_t n = 0;
  char *rest = NULL;
  for (char *pair = strtok_r(copy, "&", &rest); pair && n < MOST; pair = strtok_r(NULL, "&", &rest)) pairs[n++] = pair;
  for (size_t i = 1; i < n; i++)
    for (size_t k = i; k > 0 && strcmp(pairs[k], pairs[k - 1]) < 0; k--) {
      const char *swap = pairs[k];
      pairs[k] = pairs[k - 1];
      pairs[k - 1] = swap;
    }
  for (size_t i = 0; i < n; i++) ghee_buffer_printf(out, strchr(pairs[i], '=') ? "%s%s" : "%s%s=", i ? "&" : "", pairs[i]);
  ghee_free(copy);
  return GHEE_OK;
}

static void put_names(const char *const *headers, size_t n, ghee_buffer *out) {
  for (size_t i = 0; i < n; i++) ghee_buffer_printf(out, "%s%.*s", i ? ";" : "", (int)name_length(headers[i]), headers[i]);
}

static ghee_status canonical(const ghee_s3_signing *of, const char *const *headers, ghee_buffer *out, ghee_error *err) {
  ghee_buffer_printf(out, "%s\n%s\n", of->method, of->path);
  GHEE_TRY(put_query(of->query, out, err));
  ghee_buffer_put(out, "\n", 1);
  for (size_t i = 0; i < of->n_headers; i++) {
    size_t name = name_length(headers[i]);
    const char *value = headers[i] + name + 1;
    ghee_buffer_printf(out, "%.*s:%s\n", (int)name, headers[i], value + strspn(value, " "));
  }
  ghee_buffer_put(out, "\n", 1);
  put_names(headers, of->n_headers, out);
  ghee_buffer_printf(out, "\n%s", of->payload_hash);
  return ghee_buffer_check(out, "signing a request", err);
}

static bool signature(const ghee_s3_signing *of, const char *to_sign, size_t size, const char *start, size_t start_bytes, char out[GHEE_S3_HASH_SIZE]) {
  uint8_t key[HASH];
  bool done = hmac(start, start_bytes, of->date, 8, key) && hmac(key, HASH, of->region, strlen(of->region), key) && hmac(key, HASH, "s3", 2, key) &&
              hmac(key, HASH, "aws4_request", 12, key) && hmac(key, HASH, to_sign, size, key);
  hex(key, out);
  return done;
}

ghee_status ghee_s3_sign(const ghee_s3_signing *of, ghee_buffer *out, ghee_error *err) {
  const char *headers[MOST];
  char hash[GHEE_S3_HASH_SIZE];
  ghee_buffer text = {0}, start = {0};
  for (size_t i = 0; i < of->n_headers; i++) headers[i] = of->headers[i];
  qsort(headers, of->n_headers, sizeof *headers, by_name);
  ghee_status status = canonical(of, headers, &text, err);
  if (status == GHEE_OK) status = ghee_s3_hash(text.data, text.size, hash, err);
  if (status == GHEE_OK) {
    ghee_buffer_clear(&text);
    ghee_buffer_printf(&text, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/s3/aws4_request\n%s", of->date, of->date, of->region, hash);
    ghee_buffer_printf(&start, "AWS4%s", of->secret);
    status = text.failed || start.failed ? ghee_error_no_memory(err, "signing a request") : GHEE_OK;
  }
  if (status == GHEE_OK && !signature(of, (const char *)text.data, text.size, (const char *)start.data, start.size, hash))
    status = ghee_error_no_memory(err, "signing a request");
  if (status == GHEE_OK) {
    ghee_buffer_printf(out, "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/s3/aws4_request,SignedHeaders=", of->key, of->date, of->region);
    put_names(headers, of->n_headers, out);
    ghee_buffer_printf(out, ",Signature=%s", hash);
    status = ghee_buffer_check(out, "signing a request", err);
  }
  if (start.data) OPENSSL_cleanse(start.data, start.size);
  ghee_buffer_fini(&start);
  ghee_buffer_fini(&text);
  return status;
}
