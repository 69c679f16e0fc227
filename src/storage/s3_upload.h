/* SPDX-License-Identifier: Apache-2.0
 * Inside storage/: multipart uploads: an object made of parts, which is there once the upload is completed. */
#ifndef GHEE_STORAGE_S3_UPLOAD_H
#define GHEE_STORAGE_S3_UPLOAD_H

#include "storage/s3.h"

enum { GHEE_S3_UPLOAD_ID_SIZE = 2048, GHEE_S3_MOST_PARTS = 10000 };

/** `what` begins the messages of failures. */
ghee_status ghee_s3_upload_begin(ghee_s3_store *store, const char *what, const char *key, char id[GHEE_S3_UPLOAD_ID_SIZE], ghee_error *err);
/** Of the parts 1 … n with their entity tags, `size_bytes` together. */
ghee_status ghee_s3_upload_complete(ghee_s3_store *store, const char *what, const char *key, const char *id, char *const *etags, size_t n, uint64_t size_bytes,
                                    ghee_error *err);
/** As far as the server lets us: what stays is found by publish and by cancel. */
void ghee_s3_upload_abort(ghee_s3_store *store, const char *what, const char *key, const char *id);
/** Copies an object in parts, by the server: one copy takes at most 5 GiB. */
ghee_status ghee_s3_upload_copy(ghee_s3_store *store, const char *from, const char *to, uint64_t size_bytes, uint64_t part_bytes, ghee_error *err);

#endif
