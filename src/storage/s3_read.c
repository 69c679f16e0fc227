/* SPDX-License-Identifier: Apache-2.0
 * Reading an object of an S3 store by ranges.
 *
 * Design notes
 * - Opening fetches the last 64 KiB in one request, which also tells size and entity tag: small objects are whole then, and so is the
 *   footer of most Parquet files. Every later range is asked for with If-Match, so what was replaced or removed is noticed.
 * - A large range is fetched in pieces of 8 MiB side by side, straight into the caller's memory; several ranges of one call likewise.
 * - Small reads one behind the other (text formats, verify) come from windows: while one is used up the next is under way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "storage/s3.h"

enum { TAIL_BYTES = 64 << 10, PIECE_BYTES = 8 << 20, WINDOW_BYTES = 2 << 20, WINDOWS = 2, SMALL_BYTES = WINDOW_BYTES, AT_ONCE = 8, HEADER_SIZE = GHEE_S3_ETAG_SIZE + 16 };

typedef struct window {
  uint64_t at;
  size_t size_bytes;       /* 0: empty */
  uint64_t serial;         /* of its start; 0: never */
  bool under_way;
  uint8_t *data;
  ghee_s3_request request;
  char range[64];
} window;

typedef struct s3_source {
  ghee_source base;
  ghee_s3_store *store;
  char *uri, *what;
  char *key;               /* in `uri` */
  char if_match[HEADER_SIZE];
  ghee_buffer tail;
  uint64_t tail_at;
  struct {
    pthread_mutex_t mutex;
    uint64_t expected;     /* where a reader would go on */
    uint64_t serial;
    window windows[WINDOWS];
  } locked;
} s3_source;

/* ---- ranges ---- */

static void ask(const s3_source *of, ghee_s3_request *request, char range[64], uint64_t at, size_t size, void *into) {
  snprintf(range, 64, "range: bytes=%llu-%llu", (unsigned long long)at, (unsigned long long)(at + size - 1));
  *request = (ghee_s3_request){.what = of->what, .method = "GET", .key = of->key, .headers = {range, of->if_match}, .n_headers = 2, .into = into, .into_bytes = size};
}

static ghee_status changed(const s3_source *of, ghee_error *err) {
  return ghee_error_set(err, GHEE_CHANGED, "%s has changed since the job was planned; start a new job to read it as it is now", of->uri);
}

static ghee_status settle(const s3_source *of, ghee_s3_request *request, ghee_error *err) {
  GHEE_TRY(ghee_s3_wait(of->store, request, err));
  int status = request->response.status;
  if (status == 412 || status == 416) return changed(of, err);
  if (status == 404) return ghee_error_set(err, GHEE_CHANGED, "%s has been removed while it was read; start a new job", of->uri);
  GHEE_TRY(ghee_s3_refused(of->store, request, err));
  return GHEE_OK;
}

/* Fetches ranges in pieces, AT_ONCE of them at a time. */
static ghee_status fetch(const s3_source *of, const ghee_range *ranges, size_t n, ghee_error *err) {
  ghee_s3_request requests[AT_ONCE] = {0};
  char texts[AT_ONCE][64];
  ghee_status status = GHEE_OK;
  size_t started = 0, ended = 0;
  for (size_t i = 0; i < n && status == GHEE_OK; i++)
    for (size_t done = 0; done < ranges[i].size_bytes && status == GHEE_OK;) {
      size_t left = ranges[i].size_bytes - done, size = left < PIECE_BYTES ? left : PIECE_BYTES, slot = started % AT_ONCE;
      if (started - ended == AT_ONCE) {
        GHEE_GOTO(status, out, settle(of, &requests[slot], err));
        ghee_s3_request_fini(&requests[slot]);
        ended++;
      }
      ask(of, &requests[slot], texts[slot], ranges[i].offset + done, size, (char *)ranges[i].into + done);
      GHEE_GOTO(status, out, ghee_s3_start(of->store, &requests[slot], err));
      started++;
      done += size;
    }
  for (; ended < started && status == GHEE_OK; ended++) status = settle(of, &requests[ended % AT_ONCE], err);
out:
  for (size_t i = 0; i < AT_ONCE; i++) ghee_s3_request_fini(&requests[i]);
  return status;
}

/* ---- windows ---- */

static window *window_at(s3_source *of, uint64_t at) {
  for (size_t i = 0; i < WINDOWS; i++) {
    window *w = &of->locked.windows[i];
    if (w->size_bytes > 0 && at >= w->at && at < w->at + w->size_bytes) return w;
  }
  return NULL;
}

static void forget(window *w) {
  ghee_s3_request_fini(&w->request);
  w->under_way = false;
  w->size_bytes = 0;
  w->serial = 0;
}

/* In place of the window that was started longest ago, or is empty, but not of `keep`. */
static ghee_status start_window(s3_source *of, uint64_t at, const window *keep, ghee_error *err) {
  uint64_t end = of->base.size_bytes;
  if (at >= end || window_at(of, at)) return GHEE_OK;
  window *w = NULL;
  for (size_t i = 0; i < WINDOWS; i++) {
    window *other = &of->locked.windows[i];
    if (other != keep && (!w || other->serial < w->serial)) w = other;
  }
  forget(w);
  if (!w->data && !(w->data = ghee_alloc(WINDOW_BYTES))) return ghee_error_no_memory(err, "reading ahead");
  w->at = at;
  w->serial = ++of->locked.serial;
  size_t size = end - at < WINDOW_BYTES ? (size_t)(end - at) : WINDOW_BYTES;
  ask(of, &w->request, w->range, at, size, w->data);
  GHEE_TRY(ghee_s3_start(of->store, &w->request, err));
  w->under_way = true;
  w->size_bytes = size;
  return GHEE_OK;
}

/* Copies what the window of `at` has; starts the next one. */
static ghee_status take(s3_source *of, uint64_t at, size_t most, void *into, size_t *taken, ghee_error *err) {
  GHEE_TRY(start_window(of, at, NULL, err));
  window *w = window_at(of, at);
  GHEE_TRY(start_window(of, w->at + w->size_bytes, w, err));
  if (w->under_way) {
    ghee_status status = settle(of, &w->request, err);
    ghee_s3_request_fini(&w->request);
    w->under_way = false;
    if (status != GHEE_OK) {
      w->size_bytes = 0;
      return status;
    }
  }
  size_t skip = (size_t)(at - w->at), have = w->size_bytes - skip;
  *taken = have < most ? have : most;
  memcpy(into, w->data + skip, *taken);
  return GHEE_OK;
}

static ghee_status read_through_windows(s3_source *of, uint64_t at, size_t size, void *into, ghee_error *err) {
  for (size_t done = 0, taken = 0; done < size; done += taken) GHEE_TRY(take(of, at + done, size - done, (char *)into + done, &taken, err));
  return GHEE_OK;
}

/* ---- the source ---- */

static ghee_status source_read(ghee_source *source, uint64_t offset, size_t size, void *into, ghee_error *err) {
  s3_source *of = (s3_source *)source;
  if (size == 0) return GHEE_OK;
  if (offset >= of->tail_at) {
    memcpy(into, of->tail.data + (offset - of->tail_at), size);
    return GHEE_OK;
  }
  pthread_mutex_lock(&of->locked.mutex);
  bool in_order = size <= SMALL_BYTES && offset > 0 && offset == of->locked.expected;
  of->locked.expected = offset + size;
  ghee_status status = in_order ? read_through_windows(of, offset, size, into, err) : GHEE_OK;
  pthread_mutex_unlock(&of->locked.mutex);
  return in_order ? status : fetch(of, &(ghee_range){offset, size, into}, 1, err);
}

static ghee_status source_read_many(ghee_source *source, const ghee_range *ranges, size_t n, ghee_error *err) {
  return fetch((s3_source *)source, ranges, n, err);
}

static void source_close(ghee_source *source) {
  s3_source *of = (s3_source *)source;
  for (size_t i = 0; i < WINDOWS; i++) {
    forget(&of->locked.windows[i]);
    ghee_free(of->locked.windows[i].data);
  }
  pthread_mutex_destroy(&of->locked.mutex);
  ghee_buffer_fini(&of->tail);
  ghee_free(of->what);
  ghee_free(of->uri);
  ghee_free(of);
}

/* ---- opening ---- */

/* "bytes 3-9/10": where the body begins and how long the whole is. */
static bool read_content_range(const char *text, uint64_t *at, uint64_t *size) {
  char *end;
  if (strncmp(text, "bytes ", 6) != 0) return false;
  *at = strtoull(text + 6, &end, 10);
  if (*end != '-') return false;
  (void)strtoull(end + 1, &end, 10);
  if (*end != '/' || end[1] == '*') return false;
  *size = strtoull(end + 1, &end, 10);
  return !*end && *at <= *size;
}

static ghee_status take_tail(s3_source *of, ghee_s3_request *request, char *etag, ghee_error *err) {
  char range[128];
  uint64_t at = 0, size = request->response.body.size;
  if (ghee_http_header(&request->response, "content-range", range, sizeof range) && !read_content_range(range, &at, &size))
    return ghee_error_set(err, GHEE_IO, "%s: the server's Content-Range \"%s\" cannot be read", of->what, range);
  if (size - at != request->response.body.size)
    return ghee_error_set(err, GHEE_IO, "%s: the server sent %zu bytes and says \"%s\"", of->what, request->response.body.size, range);
  if (!ghee_http_header(&request->response, "etag", etag, GHEE_S3_ETAG_SIZE))
    return ghee_error_set(err, GHEE_UNSUPPORTED, "%s: the server gives no ETag, so a change while it is read could not be noticed", of->what);
  of->base.size_bytes = size;
  of->tail_at = at;
  of->tail = request->response.body;
  request->response.body = (ghee_buffer){0};
  return GHEE_OK;
}

static ghee_status first_request(s3_source *of, const char *if_match, char *etag, ghee_error *err) {
  ghee_s3_request request = {.what = of->what, .method = "GET", .key = of->key, .headers = {"range: bytes=-65536", if_match}, .n_headers = *if_match ? 2 : 1,
                             .most_body_bytes = TAIL_BYTES};
  ghee_error why = {0};
  ghee_status status = ghee_s3_start(of->store, &request, &why);
  if (status == GHEE_OK) status = ghee_s3_wait(of->store, &request, &why);
  int answer = request.response.status;
  /* An empty object has no last bytes; and some servers send all of it whatever the range. */
  bool ask_again = (status == GHEE_OK && answer == 416) || status == GHEE_LIMIT;
  if (ask_again) {
    status = ghee_s3_head(of->store, of->key, &of->base.size_bytes, etag, &why);
    of->tail_at = of->base.size_bytes;
  } else if (status == GHEE_OK && answer == 412) {
    status = changed(of, &why);
  } else if (status == GHEE_OK) {
    status = ghee_s3_refused(of->store, &request, &why);
    if (status == GHEE_OK) status = take_tail(of, &request, etag, &why);
  }
  ghee_s3_request_fini(&request);
  return status == GHEE_OK ? GHEE_OK : ghee_error_set(err, status, "%s", why.message);
}

static ghee_status source_open(s3_source *of, const char *version, ghee_error *err) {
  char etag[GHEE_S3_ETAG_SIZE], wanted[HEADER_SIZE] = "";
  if (version) snprintf(wanted, sizeof wanted, "if-match: \"%s\"", version);
  GHEE_TRY(first_request(of, wanted, etag, err));
  ghee_s3_bare_etag(etag);
  if (version && strcmp(version, etag) != 0) return changed(of, err);
  snprintf(of->if_match, sizeof of->if_match, "if-match: \"%s\"", etag);
  return GHEE_OK;
}

ghee_status ghee_s3_store_read(ghee_object_store *base, const char *uri, const char *version, ghee_source **out, ghee_error *err) {
  static const struct ghee_source_ops ops = {.read = source_read, .read_many = source_read_many, .close = source_close};
  s3_source *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return ghee_error_no_memory(err, "opening an object");
  pthread_mutex_init(&of->locked.mutex, NULL);
  of->base.ops = &ops;
  of->store = (ghee_s3_store *)base;
  of->uri = ghee_strdup(uri);
  of->what = ghee_asprintf("cannot read %s", uri);
  of->base.name = of->uri;
  ghee_status status = of->uri && of->what ? ghee_s3_key(of->store, of->uri, &of->key, err) : ghee_error_no_memory(err, "opening an object");
  if (status == GHEE_OK && !*of->key) status = ghee_error_set(err, GHEE_INVALID, "cannot read %s: it is a bucket, not an object", uri);
  if (status == GHEE_OK) status = source_open(of, version, err);
  if (status != GHEE_OK) {
    source_close(&of->base);
    return status;
  }
  *out = &of->base;
  return GHEE_OK;
}
