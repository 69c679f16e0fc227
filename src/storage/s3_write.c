/* SPDX-License-Identifier: Apache-2.0
 * Writing an object of an S3 store: one PUT where it fits into a part, else a multipart upload with a few parts on their way. The object
 * is there when the upload is completed, and not before; a sink that is closed without that aborts its upload.
 *
 * Design notes
 * - A part leaves when more bytes come than it holds, so the last one is never empty and an object of one part needs no upload.
 * - Parts double in size every 1,000, so that 10,000 of them, the most there may be, reach the 5 TiB that an object may have. */
#include <stdio.h>
#include <string.h>

#include "base/copy.h"
#include "base/memory.h"
#include "storage/s3_upload.h"

enum { FIRST_PART_BYTES = 8 << 20, PARTS_OF_A_SIZE = 1000, MOST_DOUBLINGS = 9, ON_THE_WAY = 4 };

typedef struct part {
  uint8_t *data;
  size_t size, capacity;
  unsigned number;         /* of the one that is on its way; 0: free */
  ghee_s3_request request;
} part;

typedef struct s3_sink {
  ghee_sink base;
  ghee_s3_store *store;
  char *uri, *what, *key;
  char id[GHEE_S3_UPLOAD_ID_SIZE];      /* of the upload; "" without one */
  part parts[ON_THE_WAY];
  size_t at;               /* the part that is being filled */
  GHEE_ARRAY(char *) etags;
  unsigned numbers;        /* parts that have been sent */
  bool finished;
  ghee_status failed;
} s3_sink;

static size_t part_bytes(unsigned number) {
  unsigned doublings = (number - 1) / PARTS_OF_A_SIZE;
  return (size_t)FIRST_PART_BYTES << (doublings < MOST_DOUBLINGS ? doublings : MOST_DOUBLINGS);
}

/* ---- parts ---- */

static ghee_status settle_part(s3_sink *of, part *p, ghee_error *err) {
  char etag[GHEE_S3_ETAG_SIZE];
  if (p->number == 0) return GHEE_OK;
  unsigned number = p->number;
  p->number = 0;
  ghee_status status = ghee_s3_wait(of->store, &p->request, err);
  if (status == GHEE_OK) status = ghee_s3_refused(of->store, &p->request, err);
  if (status == GHEE_OK && !ghee_http_header(&p->request.response, "etag", etag, sizeof etag)) status = ghee_error_set(err, GHEE_IO, "%s: part %u got no ETag", of->what, number);
  ghee_s3_request_fini(&p->request);
  GHEE_TRY(status);
  char *copy = ghee_strdup(etag);
  if (!copy) return ghee_error_no_memory(err, "uploading an object");
  of->etags.items[number - 1] = copy;
  p->size = 0;
  return GHEE_OK;
}

static ghee_status send_part(s3_sink *of, part *p, ghee_error *err) {
  char number[16];
  if (of->numbers == GHEE_S3_MOST_PARTS) return ghee_error_set(err, GHEE_LIMIT, "%s: an object has at most %d parts; write smaller files (target_file_size)", of->what, GHEE_S3_MOST_PARTS);
  if (!*of->id) GHEE_TRY(ghee_s3_upload_begin(of->store, of->what, of->key, of->id, err));
  if (!ghee_array_push(&of->etags, NULL)) return ghee_error_no_memory(err, "uploading an object");
  snprintf(number, sizeof number, "%u", ++of->numbers);
  p->request = (ghee_s3_request){.what = of->what, .method = "PUT", .key = of->key, .body = p->data, .body_bytes = p->size};
  ghee_url_add_query(&p->request.query, "partNumber", number);
  ghee_url_add_query(&p->request.query, "uploadId", of->id);
  ghee_status status = ghee_s3_start(of->store, &p->request, err);
  if (status != GHEE_OK) ghee_s3_request_fini(&p->request);
  else p->number = of->numbers;
  return status;
}

/* A part with room, the filled one being sent. */
static ghee_status next_part(s3_sink *of, part **out, ghee_error *err) {
  part *p = &of->parts[of->at];
  if (p->size > 0 && p->size == p->capacity) {
    GHEE_TRY(send_part(of, p, err));
    of->at = (of->at + 1) % ON_THE_WAY;
    p = &of->parts[of->at];
    GHEE_TRY(settle_part(of, p, err));
  }
  size_t capacity = part_bytes(of->numbers + 1);
  if (p->capacity < capacity) {
    ghee_free(p->data);
    p->capacity = 0;
    if (!(p->data = ghee_alloc(capacity))) return ghee_error_no_memory(err, "uploading an object");
    p->capacity = capacity;
  }
  *out = p;
  return GHEE_OK;
}

static ghee_status sink_write(ghee_sink *sink, const void *data, size_t size, ghee_error *err) {
  s3_sink *of = (s3_sink *)sink;
  if (of->failed) return ghee_error_set(err, of->failed, "%s is not whole, since an earlier write failed", of->uri);
  if (of->finished) return ghee_error_set(err, GHEE_INTERNAL, "%s is written to after its end", of->uri);
  for (size_t done = 0; done < size;) {
    part *p = NULL;
    if ((of->failed = next_part(of, &p, err)) != GHEE_OK) return of->failed;
    size_t n = p->capacity - p->size < size - done ? p->capacity - p->size : size - done;
    ghee_copy_out(p->data + p->size, (const char *)data + done, n);
    p->size += n;
    done += n;
    sink->written_bytes += n;
  }
  return GHEE_OK;
}

/* ---- the end ---- */

static ghee_status put_whole(s3_sink *of, ghee_error *err) {
  const part *p = &of->parts[of->at];
  ghee_s3_request request = {.what = of->what, .method = "PUT", .key = of->key, .body = p->data, .body_bytes = p->size};
  ghee_status status = ghee_s3_do(of->store, &request, err);
  ghee_s3_request_fini(&request);
  return status;
}

static ghee_status finish(s3_sink *of, ghee_error *err) {
  if (!*of->id) return put_whole(of, err);
  GHEE_TRY(send_part(of, &of->parts[of->at], err));
  for (size_t i = 0; i < ON_THE_WAY; i++) GHEE_TRY(settle_part(of, &of->parts[i], err));
  GHEE_TRY(ghee_s3_upload_complete(of->store, of->what, of->key, of->id, of->etags.items, of->etags.count, of->base.written_bytes, err));
  of->id[0] = 0;
  return GHEE_OK;
}

static ghee_status sink_finish(ghee_sink *sink, ghee_error *err) {
  s3_sink *of = (s3_sink *)sink;
  if (of->failed) return ghee_error_set(err, of->failed, "%s is not whole, since an earlier write failed", of->uri);
  if (of->finished) return GHEE_OK;
  of->failed = finish(of, err);
  of->finished = of->failed == GHEE_OK;
  return of->failed;
}

static void sink_close(ghee_sink *sink) {
  s3_sink *of = (s3_sink *)sink;
  for (size_t i = 0; i < ON_THE_WAY; i++) {
    ghee_s3_request_fini(&of->parts[i].request);
    ghee_free(of->parts[i].data);
  }
  if (*of->id) ghee_s3_upload_abort(of->store, of->what, of->key, of->id);
  for (size_t i = 0; i < of->etags.count; i++) ghee_free(of->etags.items[i]);
  ghee_array_fini(&of->etags);
  ghee_free(of->what);
  ghee_free(of->uri);
  ghee_free(of);
}

ghee_status ghee_s3_store_write(ghee_object_store *base, const char *uri, ghee_sink **out, ghee_error *err) {
  static const struct ghee_sink_ops ops = {.write = sink_write, .finish = sink_finish, .close = sink_close};
  s3_sink *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return ghee_error_no_memory(err, "writing an object");
  of->base.ops = &ops;
  of->store = (ghee_s3_store *)base;
  of->uri = ghee_strdup(uri);
  of->what = ghee_asprintf("cannot write %s", uri);
  of->base.name = of->uri;
  ghee_status status = of->uri && of->what ? ghee_s3_key(of->store, of->uri, &of->key, err) : ghee_error_no_memory(err, "writing an object");
  if (status == GHEE_OK && !*of->key) status = ghee_error_set(err, GHEE_EXISTS, "cannot write %s: it is a bucket", uri);
  if (status != GHEE_OK) {
    sink_close(&of->base);
    return status;
  }
  *out = &of->base;
  return GHEE_OK;
}
