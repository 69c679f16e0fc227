/* SPDX-License-Identifier: Apache-2.0
 * Reading a file of HDFS, in ranges and side by side.
 *
 * Design notes
 * - A range is an OPEN at the NameNode and a GET at the DataNode that it names. Nothing in either tells which file the bytes are of, so
 *   after them the file is looked at again: files of HDFS never change, and one that still has its id, size and time was the same before.
 * - A large range is read in pieces side by side, each within one block: the NameNode then names a DataNode that has all of it.
 * - A DataNode that fails is left out of the next OPEN. The NameNode knows it by its data port, its URL has the HTTP port: the file's block
 *   locations have both.
 * - The last bytes are kept: a footer is read in several small pieces. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "net/url.h"
#include "storage/hdfs.h"

enum { TAIL_BYTES = 64 << 10, PIECE_BYTES = 16 << 20, TRIES = 8, AT_ONCE = 8, RANGES_A_ROUND = 64 };

typedef struct hdfs_source {
  ghee_source base;
  ghee_hdfs_store *store;
  char *uri, *path, *what;
  char version[GHEE_HDFS_VERSION_SIZE];
  uint64_t block_bytes;
  struct {
    pthread_mutex_t mutex;
    uint8_t *tail;               /* the last bytes from `tail_at` on, once they were read */
    uint64_t tail_at;
  } locked;
} hdfs_source;

static ghee_status changed(const hdfs_source *of, ghee_error *err) {
  return ghee_error_set(err, GHEE_CHANGED, "%s has changed since the job was planned; start a new job to read it as it is now", of->uri);
}

static ghee_status check_version(hdfs_source *of, ghee_error *err) {
  ghee_hdfs_status now;
  ghee_error why;
  char version[GHEE_HDFS_VERSION_SIZE];
  ghee_status status = ghee_hdfs_stat(of->store, of->what, of->path, &now, &why);
  if (status == GHEE_NOT_FOUND) return changed(of, err);
  if (status != GHEE_OK) return ghee_error_set(err, status, "%s", why.message);
  ghee_hdfs_version(&now, version);
  return strcmp(version, of->version) == 0 ? GHEE_OK : changed(of, err);
}

/* ---- one range ---- */

/* A GET that runs. */
typedef struct transfer {
  ghee_range range;
  char *location;
  ghee_http_request request;
  ghee_http_call *call;
} transfer;

static ghee_status begin(hdfs_source *of, transfer *one, const char *excluded, ghee_error *err) {
  char offset[24], length[24];
  snprintf(offset, sizeof offset, "%llu", (unsigned long long)one->range.offset);
  snprintf(length, sizeof length, "%llu", (unsigned long long)one->range.size_bytes);
  const char *parameters[] = {"op", "OPEN", "offset", offset, "length", length, *excluded ? "excludedatanodes" : NULL, excluded, NULL};
  GHEE_TRY(ghee_hdfs_locate(of->store, of->what, "GET", of->path, parameters, &one->location, err));
  one->request = (ghee_http_request){.method = "GET", .url = one->location, .into = one->range.into, .into_bytes = one->range.size_bytes};
  return ghee_http_start(of->store->data, &one->request, &one->call, err);
}

/* The end of a transfer, whether it began or not. */
static ghee_status end(hdfs_source *of, transfer *one, ghee_error *err) {
  ghee_http_response response = {0};
  ghee_http_call *call = one->call;
  one->call = NULL;
  ghee_status status = ghee_http_wait(call, &response, err);
  if (status == GHEE_OK) status = ghee_hdfs_judge(of->what, &one->request, &response, err);
  else ghee_error_prefix(err, "%s", of->what);
  ghee_http_response_fini(&response);
  return status;
}

static bool names_datanode(json_t *location, const ghee_url *url) {
  const char *ip = json_string_value(json_object_get(location, "ipAddr")), *host = json_string_value(json_object_get(location, "hostName"));
  json_int_t port = json_integer_value(json_object_get(location, "infoPort")), secure = json_integer_value(json_object_get(location, "infoSecurePort"));
  return (port == url->port || secure == url->port) && ((ip && strcmp(ip, url->host) == 0) || (host && strcmp(host, url->host) == 0));
}

/* Adds the DataNode of a URL, as the NameNode knows it, to those that are left out. Not finding it costs only a try. */
static void exclude(hdfs_source *of, const transfer *failed, ghee_buffer *excluded) {
  char offset[24];
  ghee_url url = {0};
  json_t *json = NULL, *block, *location;
  snprintf(offset, sizeof offset, "%llu", (unsigned long long)failed->range.offset);
  const char *const parameters[] = {"op", "GET_BLOCK_LOCATIONS", "offset", offset, "length", "1", NULL};
  if (ghee_url_parse(failed->location, &url, NULL) == GHEE_OK && ghee_hdfs_ask(of->store, of->what, "GET", of->path, parameters, &json, NULL) == GHEE_OK) {
    size_t i, k;
    json_array_foreach(json_object_get(json_object_get(json, "LocatedBlocks"), "locatedBlocks"), i, block) {
      json_array_foreach(json_object_get(block, "locations"), k, location) {
        if (!names_datanode(location, &url)) continue;
        ghee_buffer_printf(excluded, "%s%s:%lld", excluded->size ? "," : "", json_string_value(json_object_get(location, "ipAddr")),
                           (long long)json_integer_value(json_object_get(location, "xferPort")));
      }
    }
  }
  json_decref(json);
  ghee_url_fini(&url);
}

/* Tries of a range after a first one that failed, until it is there. */
static ghee_status again(hdfs_source *of, transfer *one, ghee_error *err) {
  ghee_buffer excluded = {0};
  ghee_status status = GHEE_OK;
  for (unsigned try = 2; try <= TRIES; try++) {
    if (one->location) exclude(of, one, &excluded);
    ghee_free(one->location);
    one->location = NULL;
    status = begin(of, one, ghee_buffer_text(&excluded), err);
    if (status == GHEE_OK) status = end(of, one, err);
    if (status == GHEE_OK || status == GHEE_NOT_FOUND || status == GHEE_DENIED || status == GHEE_NO_MEMORY) break;
    if (!one->location) ghee_buffer_clear(&excluded); /* no DataNode is left: one may have come back */
    ghee_hdfs_pause(of->store, try);
  }
  ghee_buffer_fini(&excluded);
  return status;
}

/* ---- many ranges ---- */

/* Of what is left of a range: at most a piece, and at most to the end of its block. */
static size_t piece_of(const hdfs_source *of, uint64_t offset, size_t left) {
  uint64_t in_block = of->block_bytes ? of->block_bytes - offset % of->block_bytes : left;
  uint64_t most = in_block < PIECE_BYTES ? in_block : PIECE_BYTES;
  return left < most ? left : (size_t)most;
}

static ghee_status settle(hdfs_source *of, transfer *one, ghee_error *err) {
  ghee_status status = one->call ? end(of, one, err) : GHEE_IO;
  if (status != GHEE_OK) status = again(of, one, err);
  ghee_free(one->location);
  *one = (transfer){0};
  return status;
}

/* Reads ranges in pieces, AT_ONCE of them at a time. */
static ghee_status fetch(hdfs_source *of, const ghee_range *ranges, size_t n, ghee_error *err) {
  transfer all[AT_ONCE] = {0};
  ghee_status status = GHEE_OK;
  size_t started = 0, ended = 0;
  for (size_t i = 0; i < n && status == GHEE_OK; i++)
    for (size_t done = 0; done < ranges[i].size_bytes && status == GHEE_OK; started++) {
      uint64_t offset = ranges[i].offset + done;
      size_t size = piece_of(of, offset, ranges[i].size_bytes - done);
      transfer *one = &all[started % AT_ONCE];
      if (started - ended == AT_ONCE) GHEE_GOTO(status, out, settle(of, &all[ended++ % AT_ONCE], err));
      one->range = (ghee_range){.offset = offset, .size_bytes = size, .into = (char *)ranges[i].into + done};
      (void)begin(of, one, "", NULL); /* what fails is tried again when its turn comes */
      done += size;
    }
  for (; ended < started && status == GHEE_OK; ended++) status = settle(of, &all[ended % AT_ONCE], err);
out:
  for (size_t i = 0; i < AT_ONCE; i++) {
    ghee_http_cancel(all[i].call);
    ghee_free(all[i].location);
  }
  return status;
}

static ghee_status read_some(hdfs_source *of, const ghee_range *ranges, size_t n, ghee_error *err) {
  ghee_error why;
  ghee_status status = fetch(of, ranges, n, &why);
  if (status == GHEE_OK) return check_version(of, err);
  if (status == GHEE_NOT_FOUND) return changed(of, err);
  return ghee_error_set(err, status, "%s", why.message);
}

/* ---- the source ---- */

/* True where the kept tail has all of it. */
static bool from_tail(hdfs_source *of, const ghee_range *range) {
  pthread_mutex_lock(&of->locked.mutex);
  bool has = of->locked.tail && range->offset >= of->locked.tail_at;
  if (has) memcpy(range->into, of->locked.tail + (range->offset - of->locked.tail_at), range->size_bytes);
  pthread_mutex_unlock(&of->locked.mutex);
  return has;
}

static ghee_status load_tail(hdfs_source *of, ghee_error *err) {
  uint64_t size = of->base.size_bytes < TAIL_BYTES ? of->base.size_bytes : TAIL_BYTES, at = of->base.size_bytes - size;
  uint8_t *tail = ghee_alloc(size);
  if (!tail) return ghee_error_no_memory(err, "reading a file");
  ghee_status status = read_some(of, &(ghee_range){.offset = at, .size_bytes = size, .into = tail}, 1, err);
  pthread_mutex_lock(&of->locked.mutex);
  if (status == GHEE_OK && !of->locked.tail) {
    of->locked.tail = tail;
    of->locked.tail_at = at;
    tail = NULL;
  }
  pthread_mutex_unlock(&of->locked.mutex);
  ghee_free(tail);
  return status;
}

static ghee_status source_read_many(ghee_source *source, const ghee_range *ranges, size_t n, ghee_error *err) {
  hdfs_source *of = (hdfs_source *)source;
  for (size_t at = 0; at < n;) {
    ghee_range wanted[RANGES_A_ROUND];
    size_t left = 0;
    for (; at < n && left < RANGES_A_ROUND; at++)
      if (!from_tail(of, &ranges[at])) wanted[left++] = ranges[at];
    if (left > 0) GHEE_TRY(read_some(of, wanted, left, err));
  }
  return GHEE_OK;
}

static ghee_status source_read(ghee_source *source, uint64_t offset, size_t size_bytes, void *into, ghee_error *err) {
  hdfs_source *of = (hdfs_source *)source;
  ghee_range range = {.offset = offset, .size_bytes = size_bytes, .into = into};
  if (size_bytes == 0 || from_tail(of, &range)) return GHEE_OK;
  if (source->size_bytes - offset > TAIL_BYTES) return source_read_many(source, &range, 1, err);
  GHEE_TRY(load_tail(of, err));
  return from_tail(of, &range) ? GHEE_OK : ghee_error_set(err, GHEE_INTERNAL, "%s: the end of the file is not where it was", of->what);
}

static void source_close(ghee_source *source) {
  hdfs_source *of = (hdfs_source *)source;
  pthread_mutex_destroy(&of->locked.mutex);
  ghee_free(of->locked.tail);
  ghee_free(of->uri);
  ghee_free(of->path);
  ghee_free(of->what);
  ghee_free(of);
}

static ghee_status source_open(hdfs_source *of, const char *version, ghee_error *err) {
  ghee_hdfs_status now;
  GHEE_TRY(ghee_hdfs_stat(of->store, of->what, of->path, &now, err));
  if (now.folder) return ghee_error_set(err, GHEE_INVALID, "%s: it is a folder, not a file", of->what);
  ghee_hdfs_version(&now, of->version);
  of->block_bytes = now.block_bytes;
  of->base.size_bytes = now.size_bytes;
  return version && strcmp(version, of->version) != 0 ? changed(of, err) : GHEE_OK;
}

ghee_status ghee_hdfs_store_read(ghee_object_store *base, const char *uri, const char *version, ghee_source **out, ghee_error *err) {
  static const struct ghee_source_ops ops = {.read = source_read, .read_many = source_read_many, .close = source_close};
  hdfs_source *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return ghee_error_no_memory(err, "opening a file");
  pthread_mutex_init(&of->locked.mutex, NULL);
  of->base.ops = &ops;
  of->store = (ghee_hdfs_store *)base;
  of->uri = ghee_strdup(uri);
  of->what = ghee_asprintf("cannot read %s", uri);
  of->base.name = of->uri;
  ghee_status status = of->uri && of->what ? ghee_hdfs_path(of->store, uri, &of->path, err) : ghee_error_no_memory(err, "opening a file");
  if (status == GHEE_OK) status = source_open(of, version, err);
  if (status != GHEE_OK) {
    source_close(&of->base);
    return status;
  }
  *out = &of->base;
  return GHEE_OK;
}
