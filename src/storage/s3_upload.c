/* SPDX-License-Identifier: Apache-2.0
 * Multipart uploads: the beginning, the end, and copies that are larger than one request makes. */
#include "storage/s3_upload.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "storage/xml.h"

ghee_status ghee_s3_upload_begin(ghee_s3_store *store, const char *what, const char *key, char id[GHEE_S3_UPLOAD_ID_SIZE], ghee_error *err) {
  ghee_s3_request request = {.what = what, .method = "POST", .key = key};
  ghee_url_add_query(&request.query, "uploads", NULL);
  ghee_status status = ghee_s3_do(store, &request, err);
  const ghee_buffer *body = &request.response.body;
  if (status == GHEE_OK && !ghee_xml_find(body->data, body->size, "UploadId", id, GHEE_S3_UPLOAD_ID_SIZE))
    status = ghee_error_set(err, GHEE_IO, "%s: the server began an upload without a name for it", what);
  ghee_s3_request_fini(&request);
  return status;
}

void ghee_s3_upload_abort(ghee_s3_store *store, const char *what, const char *key, const char *id) {
  ghee_s3_request request = {.what = what, .method = "DELETE", .key = key};
  ghee_url_add_query(&request.query, "uploadId", id);
  (void)ghee_s3_do(store, &request, NULL);
  ghee_s3_request_fini(&request);
}

/* ---- the end ---- */

static void put_escaped(ghee_buffer *out, const char *text) {
  for (; *text; text++) {
    if (*text == '"') ghee_buffer_printf(out, "&quot;");
    else if (*text == '&') ghee_buffer_printf(out, "&amp;");
    else if (*text == '<') ghee_buffer_printf(out, "&lt;");
    else ghee_buffer_put_u8(out, (uint8_t)*text);
  }
}

/* An answer that was lost leaves the second try without its upload: then the object must be there. */
static bool completed_before(ghee_s3_store *store, const char *key, ghee_status status, uint64_t size_bytes) {
  uint64_t size = 0;
  return status == GHEE_NOT_FOUND && ghee_s3_head(store, key, &size, NULL, NULL) == GHEE_OK && size == size_bytes;
}

ghee_status ghee_s3_upload_complete(ghee_s3_store *store, const char *what, const char *key, const char *id, char *const *etags, size_t n, uint64_t size_bytes,
                                    ghee_error *err) {
  ghee_buffer xml = {0};
  ghee_buffer_printf(&xml, "<CompleteMultipartUpload>");
  for (size_t i = 0; i < n; i++) {
    ghee_buffer_printf(&xml, "<Part><PartNumber>%zu</PartNumber><ETag>", i + 1);
    put_escaped(&xml, etags[i]);
    ghee_buffer_printf(&xml, "</ETag></Part>");
  }
  ghee_buffer_printf(&xml, "</CompleteMultipartUpload>");
  ghee_s3_request request = {.what = what, .method = "POST", .key = key, .body = xml.data, .body_bytes = xml.size};
  ghee_url_add_query(&request.query, "uploadId", id);
  ghee_error why = {0};
  ghee_status status = ghee_buffer_check(&xml, "completing an upload", &why);
  if (status == GHEE_OK) status = ghee_s3_do(store, &request, &why);
  ghee_s3_request_fini(&request);
  ghee_buffer_fini(&xml);
  return status == GHEE_OK || completed_before(store, key, status, size_bytes) ? GHEE_OK : ghee_error_set(err, status, "%s", why.message);
}

/* ---- copies ---- */

typedef struct copying {
  ghee_s3_store *store;
  const char *what, *to;
  char id[GHEE_S3_UPLOAD_ID_SIZE];
  ghee_buffer source;      /* the header line */
  GHEE_ARRAY(char *) etags;
} copying;

static ghee_status copy_part(copying *of, uint64_t at, uint64_t size, ghee_error *err) {
  char range[96], number[24], etag[GHEE_S3_ETAG_SIZE];
  snprintf(range, sizeof range, "x-amz-copy-source-range: bytes=%llu-%llu", (unsigned long long)at, (unsigned long long)(at + size - 1));
  snprintf(number, sizeof number, "%zu", of->etags.count + 1);
  ghee_s3_request request = {.what = of->what, .method = "PUT", .key = of->to, .headers = {ghee_buffer_text(&of->source), range}, .n_headers = 2};
  ghee_url_add_query(&request.query, "partNumber", number);
  ghee_url_add_query(&request.query, "uploadId", of->id);
  ghee_status status = ghee_s3_do(of->store, &request, err);
  const ghee_buffer *body = &request.response.body;
  if (status == GHEE_OK && !ghee_xml_find(body->data, body->size, "ETag", etag, sizeof etag)) status = ghee_error_set(err, GHEE_IO, "%s: part %s got no ETag", of->what, number);
  ghee_s3_request_fini(&request);
  GHEE_TRY(status);
  char *copy = ghee_strdup(etag);
  if (copy && ghee_array_push(&of->etags, copy)) return GHEE_OK;
  ghee_free(copy);
  return ghee_error_no_memory(err, "copying an object");
}

static ghee_status copy_all(copying *of, uint64_t size_bytes, uint64_t part_bytes, ghee_error *err) {
  GHEE_TRY(ghee_buffer_check(&of->source, "copying an object", err));
  GHEE_TRY(ghee_s3_upload_begin(of->store, of->what, of->to, of->id, err));
  for (uint64_t at = 0; at < size_bytes; at += part_bytes) GHEE_TRY(copy_part(of, at, size_bytes - at < part_bytes ? size_bytes - at : part_bytes, err));
  GHEE_TRY(ghee_s3_upload_complete(of->store, of->what, of->to, of->id, of->etags.items, of->etags.count, size_bytes, err));
  of->id[0] = 0;
  return GHEE_OK;
}

ghee_status ghee_s3_upload_copy(ghee_s3_store *store, const char *from, const char *to, uint64_t size_bytes, uint64_t part_bytes, ghee_error *err) {
  char *what = ghee_asprintf("cannot copy to %s%s", store->head, to);
  if (!what) return ghee_error_no_memory(err, "copying an object");
  copying of = {.store = store, .what = what, .to = to};
  ghee_buffer_printf(&of.source, "x-amz-copy-source: /%s/", store->bucket);
  ghee_url_escape(&of.source, from, true);
  ghee_status status = copy_all(&of, size_bytes, part_bytes, err);
  if (*of.id) ghee_s3_upload_abort(store, what, to, of.id);
  for (size_t i = 0; i < of.etags.count; i++) ghee_free(of.etags.items[i]);
  ghee_array_fini(&of.etags);
  ghee_buffer_fini(&of.source);
  ghee_free(what);
  return status;
}
