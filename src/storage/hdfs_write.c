/* SPDX-License-Identifier: Apache-2.0
 * Writing a file of HDFS, and small files of our own.
 *
 * Design notes
 * - A file is written under a hidden name beside its own and renamed once it is whole. What WebHDFS is sent it acknowledges only at the end
 *   of a request, and a writer that dies leaves a shorter file that looks well; so what was sent last is kept (hdfs_window.h).
 * - A request (CREATE, then APPEND) begins when a piece has been collected, takes what is written meanwhile, and ends when it has caught up. So
 *   who writes faster than HDFS needs one. An APPEND costs the cluster a lease and the opening and closing of the last block, so the pieces
 *   that are collected for the next grow with the file.
 * - A request that failed may have come through in part. Once nobody writes to the file any more (an empty APPEND makes the NameNode see to
 *   that, within a minute or so) its length tells how much, and the rest is appended. What a DataNode has not passed on when it dies, a few MiB
 *   in its queue and in sockets, is less than what is kept.
 * - At the end the length of the closed file must be what was written. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "storage/hdfs.h"
#include "storage/hdfs_window.h"

enum { FIRST_PIECE_BYTES = 8 << 20, LAST_PIECE_BYTES = GHEE_HDFS_AHEAD_BYTES, RECOVERY_MS = 120000 };
static const uint64_t REQUEST_MS = 24 * 3600 * 1000; /* of any length; one that stands still is given up earlier */

typedef struct hdfs_sink {
  ghee_sink base;
  ghee_hdfs_store *store;
  char *uri, *path, *temporary, *what;
  ghee_hdfs_window window;
  size_t piece_bytes;            /* that are collected before a request begins */
  uint64_t there_bytes;          /* acknowledged */
  bool created, begun;           /* the first request has ended well; the file may be there */
  char *location;                /* of the request under way */
  ghee_http_request request;
  ghee_http_call *call;
  ghee_status failed;            /* of an earlier call */
  bool finished, keep;           /* keep: what has the name already stays */
} hdfs_sink;

/* ---- one request ---- */

static ghee_status locate(const hdfs_sink *of, char **out, ghee_error *err) {
  if (of->created) return ghee_hdfs_locate(of->store, of->what, "POST", of->temporary, (const char *const[]){"op", "APPEND", NULL}, out, err);
  const char *parameters[12] = {"op", "CREATE", "overwrite", "true"};
  size_t n = 4;
  const char *const more[][2] = {{"blocksize", of->store->options.block_size}, {"replication", of->store->options.replication}};
  for (size_t i = 0; i < 2; i++) {
    if (!more[i][1]) continue;
    parameters[n++] = more[i][0];
    parameters[n++] = more[i][1];
  }
  return ghee_hdfs_locate(of->store, of->what, "PUT", of->temporary, parameters, out, err);
}

static ghee_status pull(void *user, void *into, size_t room, size_t *n, ghee_error *err) {
  (void)err;
  *n = ghee_hdfs_window_take(user, into, room);
  return GHEE_OK;
}

static void ended(void *user) { ghee_hdfs_window_end(user); }

/* A request that takes what is written from `offset` on: `size` bytes, which are there, or (UINT64_MAX) all until there are none. */
static ghee_status start(hdfs_sink *of, uint64_t offset, uint64_t size, ghee_error *err) {
  if (size > 0 && !ghee_hdfs_window_rewind(&of->window, offset))
    return ghee_error_set(err, GHEE_CORRUPT, "%s: HDFS has lost bytes of it, from %llu on", of->what, (unsigned long long)offset);
  ghee_status status = locate(of, &of->location, err);
  of->request = (ghee_http_request){.method = of->created ? "POST" : "PUT", .url = of->location, .body_bytes = size, .once = true, .deadline_ms = REQUEST_MS};
  if (size > 0) {
    of->request.pull = pull;
    of->request.ended = ended;
    of->request.user = &of->window;
  }
  if (status == GHEE_OK) {
    of->begun = true;
    status = ghee_http_start(of->store->data, &of->request, &of->call, err);
  }
  if (status == GHEE_OK) return GHEE_OK;
  ghee_hdfs_window_end(&of->window);
  ghee_free(of->location);
  of->location = NULL;
  return status;
}

static ghee_status answer(hdfs_sink *of, ghee_error *err) {
  ghee_http_response response = {0};
  ghee_http_call *call = of->call;
  of->call = NULL;
  ghee_status status = ghee_http_wait(call, &response, err);
  if (status == GHEE_OK) status = ghee_hdfs_judge(of->what, &of->request, &response, err);
  else ghee_error_prefix(err, "%s", of->what);
  ghee_http_response_fini(&response);
  ghee_free(of->location);
  of->location = NULL;
  return status;
}

static ghee_status send(hdfs_sink *of, uint64_t offset, uint64_t size, ghee_error *err) {
  GHEE_TRY(start(of, offset, size, err));
  return answer(of, err);
}

/* ---- pieces ---- */

static bool is_final(ghee_status status) {
  return status == GHEE_DENIED || status == GHEE_NO_SPACE || status == GHEE_INVALID || status == GHEE_NO_MEMORY || status == GHEE_UNSUPPORTED || status == GHEE_NOT_FOUND;
}

/* Length of the hidden file. GHEE_BUSY: somebody still writes to it. */
static ghee_status closed_length(hdfs_sink *of, uint64_t *out, ghee_error *err) {
  json_t *json;
  const char *const parameters[] = {"op", "GET_BLOCK_LOCATIONS", "offset", "0", "length", "1", NULL};
  GHEE_TRY(ghee_hdfs_ask(of->store, of->what, "GET", of->temporary, parameters, &json, err));
  json_t *blocks = json_object_get(json, "LocatedBlocks"), *length = json_object_get(blocks, "fileLength");
  ghee_status status = GHEE_OK;
  if (!json_is_integer(length)) status = ghee_error_set(err, GHEE_CORRUPT, "%s: the NameNode does not tell how long it is", of->what);
  else if (json_is_true(json_object_get(blocks, "isUnderConstruction"))) status = ghee_error_set(err, GHEE_BUSY, "%s: what an earlier try wrote is not settled yet", of->what);
  if (status == GHEE_OK) *out = (uint64_t)json_integer_value(length);
  json_decref(json);
  return status;
}

/* One more try after a request that failed, of all that is written. */
static ghee_status repair_once(hdfs_sink *of, ghee_error *err) {
  uint64_t written = of->base.written_bytes, length;
  if (!of->created && ghee_hdfs_window_keeps(&of->window, 0)) return send(of, 0, written, err);
  of->created = true;
  ghee_status status = closed_length(of, &length, err);
  if (status == GHEE_BUSY) return send(of, written, 0, err) == GHEE_OK ? GHEE_BUSY : status; /* settled now: look again */
  GHEE_TRY(status);
  if (length < of->there_bytes || length > written)
    return ghee_error_set(err, GHEE_CORRUPT, "%s: HDFS has %llu bytes of it, of %llu that were written", of->what, (unsigned long long)length, (unsigned long long)written);
  return length == written ? GHEE_OK : send(of, length, written - length, err);
}

/* Until what the request under way has taken, or after a failure all that is written, is there. */
static ghee_status settle(hdfs_sink *of, ghee_error *err) {
  bool taking;
  if (!of->call) return GHEE_OK;
  ghee_status status = answer(of, err);
  uint64_t deadline = ghee_clock_ms() + RECOVERY_MS, there = of->base.written_bytes;
  if (status == GHEE_OK) there -= ghee_hdfs_window_waiting(&of->window, &taking);
  for (unsigned next = 2; status != GHEE_OK && !is_final(status) && status != GHEE_CORRUPT && ghee_clock_ms() < deadline; next++) {
    ghee_hdfs_pause(of->store, next);
    status = repair_once(of, err);
  }
  if (status != GHEE_OK) return of->failed = status;
  of->created = true;
  of->there_bytes = there;
  (void)ghee_hdfs_window_rewind(&of->window, there);
  ghee_hdfs_window_end(&of->window);
  return GHEE_OK;
}

/* Sees to it that what is put gets away: begins a request where none takes and a piece is there; where the window is full, waits. */
static ghee_status send_on(hdfs_sink *of, bool full, ghee_error *err) {
  bool taking;
  if (full) ghee_hdfs_window_wait(&of->window);
  if (ghee_hdfs_window_waiting(&of->window, &taking) < of->piece_bytes || taking) return GHEE_OK;
  GHEE_TRY(settle(of, err));
  if (ghee_hdfs_window_waiting(&of->window, &taking) == 0) return GHEE_OK;
  if (of->piece_bytes < LAST_PIECE_BYTES) of->piece_bytes *= 2;
  /* A NameNode is asked again and again; what it says in the end is final. */
  ghee_status status = start(of, of->there_bytes, UINT64_MAX, err);
  return status == GHEE_OK ? GHEE_OK : (of->failed = status);
}

/* ---- the sink ---- */

static ghee_status refuse(const hdfs_sink *of, ghee_error *err) {
  return ghee_error_set(err, of->failed, "%s is not whole, since an earlier write failed", of->uri);
}

static ghee_status sink_write(ghee_sink *sink, const void *data, size_t size_bytes, ghee_error *err) {
  hdfs_sink *of = (hdfs_sink *)sink;
  if (of->failed != GHEE_OK) return refuse(of, err);
  if (of->finished) return ghee_error_set(err, GHEE_INTERNAL, "%s is written to after its end", of->uri);
  for (const char *at = data; size_bytes > 0;) {
    size_t n;
    ghee_status status = ghee_hdfs_window_put(&of->window, at, size_bytes, &n, err);
    if (status != GHEE_OK) return of->failed = status;
    at += n;
    size_bytes -= n;
    sink->written_bytes += n;
    GHEE_TRY(send_on(of, n == 0, err));
  }
  return GHEE_OK;
}

static ghee_status put_in_place(hdfs_sink *of, ghee_error *err) {
  ghee_hdfs_status found;
  GHEE_TRY(ghee_hdfs_stat(of->store, of->what, of->temporary, &found, err));
  if (found.size_bytes != of->base.written_bytes)
    return ghee_error_set(err, GHEE_CORRUPT, "%s: HDFS has %llu bytes of it, of %llu that were written", of->what, (unsigned long long)found.size_bytes,
                          (unsigned long long)of->base.written_bytes);
  return ghee_hdfs_rename(of->store, of->what, of->temporary, of->path, !of->keep, err);
}

static ghee_status sink_finish(ghee_sink *sink, ghee_error *err) {
  hdfs_sink *of = (hdfs_sink *)sink;
  if (of->failed != GHEE_OK) return refuse(of, err);
  if (of->finished) return GHEE_OK;
  GHEE_TRY(settle(of, err));
  uint64_t left = sink->written_bytes - of->there_bytes;
  ghee_status status = left > 0 || !of->begun ? start(of, of->there_bytes, left, err) : GHEE_OK;
  if (status == GHEE_OK) status = settle(of, err);
  if (status == GHEE_OK) status = put_in_place(of, err);
  of->finished = status == GHEE_OK;
  return status == GHEE_OK ? GHEE_OK : (of->failed = status);
}

static void sink_close(ghee_sink *sink) {
  hdfs_sink *of = (hdfs_sink *)sink;
  ghee_http_cancel(of->call);
  if (of->begun && !of->finished) (void)ghee_hdfs_delete(of->store, of->what, of->temporary, false, NULL); /* its hidden name keeps it from readers in any case */
  ghee_hdfs_window_fini(&of->window);
  ghee_free(of->location);
  ghee_free(of->uri);
  ghee_free(of->path);
  ghee_free(of->temporary);
  ghee_free(of->what);
  ghee_free(of);
}

/* A hidden name beside `path` that nobody else uses. */
static char *hidden_name(ghee_hdfs_store *store, const char *path) {
  ghee_random random;
  pthread_mutex_lock(&store->locked.mutex);
  ghee_random_init(&random, ghee_clock_ns(), store->locked.random++, (uint64_t)(uintptr_t)path);
  pthread_mutex_unlock(&store->locked.mutex);
  const char *name = ghee_hdfs_name(path);
  return ghee_asprintf("%.*s.ghee-%016llx%016llx.tmp", (int)(name - path), path, (unsigned long long)ghee_random_next(&random), (unsigned long long)ghee_random_next(&random));
}

static ghee_status sink_open(hdfs_sink *of, ghee_error *err) {
  ghee_hdfs_status found;
  ghee_error why;
  GHEE_TRY(ghee_hdfs_path(of->store, of->uri, &of->path, err));
  ghee_status status = ghee_hdfs_stat(of->store, of->what, of->path, &found, &why);
  if (status == GHEE_OK && found.folder) return ghee_error_set(err, GHEE_EXISTS, "%s: it is a folder", of->what);
  if (status != GHEE_OK && status != GHEE_NOT_FOUND) return ghee_error_set(err, status, "%s", why.message);
  of->temporary = hidden_name(of->store, of->path);
  return of->temporary ? GHEE_OK : ghee_error_no_memory(err, "writing a file");
}

ghee_status ghee_hdfs_store_write(ghee_object_store *base, const char *uri, ghee_sink **out, ghee_error *err) {
  static const struct ghee_sink_ops ops = {.write = sink_write, .finish = sink_finish, .close = sink_close};
  hdfs_sink *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return ghee_error_no_memory(err, "writing a file");
  of->base.ops = &ops;
  of->store = (ghee_hdfs_store *)base;
  of->piece_bytes = FIRST_PIECE_BYTES;
  ghee_hdfs_window_init(&of->window);
  of->uri = ghee_strdup(uri);
  of->what = ghee_asprintf("cannot write %s", uri);
  of->base.name = of->uri;
  ghee_status status = of->uri && of->what ? sink_open(of, err) : ghee_error_no_memory(err, "writing a file");
  if (status != GHEE_OK) {
    sink_close(&of->base);
    return status;
  }
  *out = &of->base;
  return GHEE_OK;
}

/* ---- small files of our own ---- */

ghee_status ghee_hdfs_create(ghee_hdfs_store *store, const char *uri, const char *text, ghee_error *err) {
  ghee_sink *sink;
  GHEE_TRY(ghee_hdfs_store_write(&store->base, uri, &sink, err));
  ((hdfs_sink *)sink)->keep = true;
  ghee_status status = sink->ops->write(sink, text, strlen(text), err);
  if (status == GHEE_OK) status = sink->ops->finish(sink, err);
  sink->ops->close(sink);
  return status;
}
