/* SPDX-License-Identifier: Apache-2.0
 * The file: backend of record logs: the state, and asking for it. */
#include "storage/file_log.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "storage/object_store.h"

enum { STATE_MOST_BYTES = 64 << 20, MOST_PARTITIONS = 100000 };
#define STATE_MAGIC 0x31676f6c65656867u /* "gheelog1" */

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "using a record log"); }

char *ghee_file_log_path(const ghee_file_log *log, uint32_t partition, int64_t offset) {
  return offset < 0 ? ghee_asprintf("%s/partition-%05u", log->folder, partition)
                    : ghee_asprintf("%s/partition-%05u/%020lld.records", log->folder, partition, (long long)offset);
}

/* ---- state ---- */

void ghee_file_log_state_fini(ghee_file_log_state *state) {
  for (size_t i = 0; i < state->producers.count; i++) ghee_free(state->producers.items[i].id);
  for (size_t i = 0; i < state->groups.count; i++) {
    ghee_free(state->groups.items[i].group);
    ghee_free(state->groups.items[i].note);
  }
  ghee_array_fini(&state->partitions);
  ghee_array_fini(&state->producers);
  ghee_array_fini(&state->groups);
}

/* As ghee_reader_text, but a reader that is not bad tells that it was the memory. */
static char *decode_text(ghee_reader *from) {
  size_t size;
  const char *at = ghee_reader_bytes(from, &size);
  return from->bad ? NULL : ghee_strndup(at ? at : "", size);
}

/* GHEE_CORRUPT, GHEE_NO_MEMORY */
static ghee_status decode_state(ghee_reader *from, ghee_file_log_state *out) {
  bool ok = true;
  for (uint32_t n = ghee_reader_u32(from); n > 0 && ok && !from->bad; n--) {
    ghee_file_log_partition one = {.end = (int64_t)ghee_reader_u64(from)};
    one.segment = (int64_t)ghee_reader_u64(from);
    one.segment_bytes = ghee_reader_u64(from);
    ok = ghee_array_push(&out->partitions, one);
  }
  for (uint32_t n = ghee_reader_u32(from); n > 0 && ok && !from->bad; n--) {
    ghee_file_log_producer one = {.id = decode_text(from)};
    one.epoch = ghee_reader_u64(from);
    ok = one.id && ghee_array_push(&out->producers, one);
    if (!ok) ghee_free(one.id);
  }
  for (uint32_t n = ghee_reader_u32(from); n > 0 && ok && !from->bad; n--) {
    ghee_file_log_group one = {.group = decode_text(from)};
    one.partition = ghee_reader_u32(from);
    one.offset = (int64_t)ghee_reader_u64(from);
    one.note = decode_text(from);
    ok = one.group && one.note && ghee_array_push(&out->groups, one);
    if (ok) continue;
    ghee_free(one.group);
    ghee_free(one.note);
  }
  if (!ok && !from->bad) return GHEE_NO_MEMORY;
  return ghee_reader_done(from) ? GHEE_OK : GHEE_CORRUPT;
}

ghee_status ghee_file_log_state_read(const ghee_file_log *log, ghee_file_log_state *out, ghee_error *err) {
  ghee_buffer bytes = {0};
  char *path = ghee_path_join(log->folder, "state");
  ghee_status status = path ? ghee_file_read_all(path, STATE_MOST_BYTES, &bytes, err) : no_memory(err);
  ghee_free(path);
  if (status == GHEE_NOT_FOUND) ghee_error_set(err, GHEE_NOT_FOUND, "there is no record log at %s", log->uri);
  if (status == GHEE_OK) {
    ghee_reader from = ghee_reader_of(bytes.data, bytes.size);
    bool ours = ghee_reader_u64(&from) == STATE_MAGIC;
    bool whole = ghee_reader_u64(&from) == ghee_hash(bytes.data + 16, bytes.size < 16 ? 0 : bytes.size - 16, 0);
    status = ours && whole ? decode_state(&from, out) : GHEE_CORRUPT;
    if (status == GHEE_CORRUPT) ghee_error_set(err, status, "the state of the record log %s is damaged", log->uri);
    if (status == GHEE_NO_MEMORY) no_memory(err);
  }
  ghee_buffer_fini(&bytes);
  return status;
}

ghee_status ghee_file_log_state_write(const ghee_file_log *log, const ghee_file_log_state *state, ghee_error *err) {
  ghee_buffer body = {0}, whole = {0};
  ghee_buffer_put_u32(&body, (uint32_t)state->partitions.count);
  for (size_t i = 0; i < state->partitions.count; i++) {
    ghee_buffer_put_u64(&body, (uint64_t)state->partitions.items[i].end);
    ghee_buffer_put_u64(&body, (uint64_t)state->partitions.items[i].segment);
    ghee_buffer_put_u64(&body, state->partitions.items[i].segment_bytes);
  }
  ghee_buffer_put_u32(&body, (uint32_t)state->producers.count);
  for (size_t i = 0; i < state->producers.count; i++) {
    ghee_buffer_put_text(&body, state->producers.items[i].id);
    ghee_buffer_put_u64(&body, state->producers.items[i].epoch);
  }
  ghee_buffer_put_u32(&body, (uint32_t)state->groups.count);
  for (size_t i = 0; i < state->groups.count; i++) {
    ghee_buffer_put_text(&body, state->groups.items[i].group);
    ghee_buffer_put_u32(&body, state->groups.items[i].partition);
    ghee_buffer_put_u64(&body, (uint64_t)state->groups.items[i].offset);
    ghee_buffer_put_text(&body, state->groups.items[i].note);
  }
  ghee_buffer_put_u64(&whole, STATE_MAGIC);
  ghee_buffer_put_u64(&whole, ghee_hash(body.data, body.size, 0));
  ghee_buffer_put(&whole, body.data, body.size);
  char *path = ghee_path_join(log->folder, "state");
  ghee_status status = path && !body.failed && !whole.failed ? ghee_file_write_atomic(path, whole.data, whole.size, err) : no_memory(err);
  ghee_free(path);
  ghee_buffer_fini(&body);
  ghee_buffer_fini(&whole);
  return status;
}

/* ---- the log ---- */

static void close_log(ghee_record_log *base) {
  ghee_file_log *log = (ghee_file_log *)base;
  ghee_free(log->uri);
  ghee_free(log->folder);
  ghee_free(log);
}

static ghee_status read_settings(ghee_file_log *log, const ghee_settings *settings, ghee_error *err) {
  log->new_partitions = 1;
  for (size_t i = 0; i < settings->count; i++) {
    const ghee_setting *one = &settings->items[i];
    char *end;
    long n = strtol(one->value, &end, 10);
    if (strcmp(one->key, "partitions") != 0) return ghee_error_set(err, GHEE_INVALID, "%s: a file: record log has no option %s; it has `partitions`", log->uri, one->key);
    if (*end || n < 1 || n > MOST_PARTITIONS) return ghee_error_set(err, GHEE_INVALID, "%s: partitions must be 1 to %d, not '%s'", log->uri, MOST_PARTITIONS, one->value);
    log->new_partitions = (uint32_t)n;
  }
  return GHEE_OK;
}

static ghee_status open_log(const char *uri, const ghee_settings *settings, ghee_record_log **out, ghee_error *err) {
  ghee_file_log *log = ghee_alloc_zero(1, sizeof *log);
  if (!log) return no_memory(err);
  log->base.ops = &ghee_record_log_file;
  ghee_status status = ghee_uri_canonical(uri, &log->uri, err);
  if (status == GHEE_OK && !(log->folder = ghee_strdup(log->uri + strlen("file:")))) status = no_memory(err);
  if (status == GHEE_OK) status = read_settings(log, settings, err);
  if (status != GHEE_OK) {
    close_log(&log->base);
    return status;
  }
  log->topic = strrchr(log->folder, '/') + 1;
  *out = &log->base;
  return GHEE_OK;
}

static const char *topic_of(const ghee_record_log *base) { return ((const ghee_file_log *)base)->topic; }

ghee_status ghee_file_log_segments(const ghee_file_log *log, uint32_t partition, int64_t at, int64_t *oldest, int64_t *holding, ghee_error *err) {
  char *path = ghee_file_log_path(log, partition, -1);
  if (!path) return no_memory(err);
  DIR *dir = opendir(path);
  int reason = errno;
  *oldest = *holding = -1;
  for (struct dirent *entry; dir && (entry = readdir(dir));) {
    char *behind;
    int64_t offset = strtoll(entry->d_name, &behind, 10);
    if (behind == entry->d_name || strcmp(behind, ".records") != 0) continue;
    if (*oldest < 0 || offset < *oldest) *oldest = offset;
    if (offset <= at && offset > *holding) *holding = offset;
  }
  ghee_status status = dir || reason == ENOENT ? GHEE_OK : ghee_error_set_errno(err, reason, "cannot list %s", path);
  if (dir) closedir(dir);
  ghee_free(path);
  return status;
}

static ghee_status list_partitions(ghee_record_log *base, ghee_log_ranges *out, ghee_error *err) {
  const ghee_file_log *log = (const ghee_file_log *)base;
  ghee_file_log_state state = {0};
  ghee_status status = ghee_file_log_state_read(log, &state, err);
  for (size_t i = 0; i < state.partitions.count && status == GHEE_OK; i++) {
    ghee_log_range range = {.partition = (uint32_t)i, .end = state.partitions.items[i].end};
    int64_t holding;
    status = ghee_file_log_segments(log, range.partition, range.end, &range.first, &holding, err);
    if (range.first < 0 || range.first > range.end) range.first = range.end; /* all removed; or never committed */
    if (status == GHEE_OK && !ghee_array_push(out, range)) status = no_memory(err);
  }
  ghee_file_log_state_fini(&state);
  return status;
}

/* By reading: there is no index. */
static ghee_status seek_one(ghee_record_log *base, int64_t time_ms, ghee_log_range *range, ghee_error *err) {
  ghee_log_reader *reader;
  ghee_record records[64];
  size_t n;
  int64_t found = range->end;
  GHEE_TRY(ghee_file_log_read(base, range, &reader, err));
  ghee_status status;
  while (found == range->end && (status = ghee_file_log_next(reader, records, 64, &n, err)) == GHEE_OK)
    for (size_t i = n; i-- > 0;)
      if (records[i].timestamp_ms >= time_ms) found = records[i].offset;
  ghee_file_log_end(reader);
  if (found == range->end && status != GHEE_CLOSED) return status;
  range->first = found;
  return GHEE_OK;
}

static ghee_status seek_time(ghee_record_log *base, int64_t time_ms, ghee_log_ranges *ranges, ghee_error *err) {
  for (size_t i = 0; i < ranges->count; i++) GHEE_TRY(seek_one(base, time_ms, &ranges->items[i], err));
  return GHEE_OK;
}

static ghee_status get_marks(ghee_record_log *base, const char *group, ghee_status (*each)(void *user, const ghee_log_mark *mark, ghee_error *err), void *user,
                             ghee_error *err) {
  const ghee_file_log *log = (const ghee_file_log *)base;
  ghee_file_log_state state = {0};
  ghee_status status = ghee_file_log_state_read(log, &state, err);
  for (uint32_t p = 0; p < state.partitions.count; p++)
    for (size_t i = 0; i < state.groups.count && status == GHEE_OK; i++) {
      const ghee_file_log_group *one = &state.groups.items[i];
      if (one->partition != p || strcmp(one->group, group) != 0) continue;
      status = each(user, &(ghee_log_mark){.topic = log->topic, .partition = p, .offset = one->offset, .note = one->note}, err);
    }
  ghee_file_log_state_fini(&state);
  return status;
}

static uint64_t most_bytes(const ghee_record_log *base) { return (void)base, (uint64_t)GHEE_FILE_LOG_MOST; }

const struct ghee_record_log_ops ghee_record_log_file = {
    .scheme = "file", .open = open_log, .close = close_log, .topic = topic_of, .most_bytes = most_bytes, .partitions = list_partitions, .seek_time = seek_time,
    .read = ghee_file_log_read, .next = ghee_file_log_next, .end = ghee_file_log_end,
    .open_writer = ghee_file_log_open_writer, .append = ghee_file_log_append, .flush = ghee_file_log_flush, .commit = ghee_file_log_commit,
    .abort = ghee_file_log_abort, .close_writer = ghee_file_log_close_writer, .set_marks = ghee_file_log_set_marks, .get_marks = get_marks};
