/* SPDX-License-Identifier: Apache-2.0
 * Inside storage/: AWS Signature Version 4 for S3 ("Authenticating Requests", Amazon S3 API Reference), in headers. */
#ifndef GHEE_STORAGE_S3_SIGN_H
#define GHEE_STORAGE_S3_SIGN_H

#include <stdint.h>

#include "base/buffer.h"

enum { GHEE_S3_DATE_SIZE = 17, GHEE_S3_HASH_SIZE = 65 };

typedef struct ghee_s3_signing {
  const char *method;
  const char *path, *query;       /* as sent: escaped; query without its '?' */
  const char *const *headers;     /* "name: value", names in lower case, host among them: all are signed */
  size_t n_headers;               /* at most 16 */
  const char *payload_hash, *date;
  const char *key, *secret, *region;
} ghee_s3_signing;

/** Appends the value of the Authorization header. */
ghee_status ghee_s3_sign(const ghee_s3_signing *of, ghee_buffer *out, ghee_error *err);
/** SHA-256 in lower-case hex digits. */
ghee_status ghee_s3_hash(const void *data, size_t size_bytes, char out[GHEE_S3_HASH_SIZE], ghee_error *err);
/** "20130524T000000Z" */
void ghee_s3_date(int64_t wall_s, char out[GHEE_S3_DATE_SIZE]);

#endif
