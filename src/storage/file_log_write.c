/* SPDX-License-Identifier: Apache-2.0
 * Writing to the file: backend: records are kept in memory until flush or commit, which append them under the log's lock. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "storage/file_log.h"

enum { SEGMENT_BYTES = 16 << 20, FOLDER_MODE = 0755 };

/* Records that wait, encoded, their offsets still counted from 0. */
typedef struct waiting { ghee_buffer bytes; uint64_t records; } waiting;

typedef struct file_writer {
  ghee_log_writer base;
  const ghee_file_log *log;
  char *transactional_id;
  uint64_t epoch;               /* of the transactional id */
  waiting *partitions;
  uint32_t n_partitions, next_partition;
} file_writer;

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "writing to a record log"); }

/* ---- one change of the state, under the lock ---- */

static ghee_status lock_log(const ghee_file_log *log, int *fd, ghee_error *err) {
  GHEE_TRY(ghee_dir_make_all(log->folder, FOLDER_MODE, err));
  char *path = ghee_path_join(log->folder, "lock");
  if (!path) return no_memory(err);
  *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  bool held = *fd >= 0 && flock(*fd, LOCK_EX) == 0;
  ghee_status status = held ? GHEE_OK : ghee_error_set_errno(err, errno, "cannot lock %s", path);
  if (!held && *fd >= 0) close(*fd);
  ghee_free(path);
  return status;
}

static ghee_status make_partitions(const ghee_file_log *log, ghee_file_log_state *state, ghee_error *err) {
  for (uint32_t i = 0; i < log->new_partitions; i++)
    if (!ghee_array_push(&state->partitions, (ghee_file_log_partition){.segment = -1})) return no_memory(err);
  return GHEE_OK;
}

typedef ghee_status (*change)(const ghee_file_log *log, ghee_file_log_state *state, void *user, ghee_error *err);

/* Reads the state (makes the log where there is none), changes it, makes the change durable. */
static ghee_status change_state(const ghee_file_log *log, change how, void *user, ghee_error *err) {
  int fd = -1;
  ghee_file_log_state state = {0};
  GHEE_TRY(lock_log(log, &fd, err));
  ghee_status status = ghee_file_log_state_read(log, &state, err);
  if (status == GHEE_NOT_FOUND) status = make_partitions(log, &state, err);
  if (status == GHEE_OK) status = how(log, &state, user, err);
  if (status == GHEE_OK) status = ghee_file_log_state_write(log, &state, err);
  ghee_file_log_state_fini(&state);
  close(fd);
  return status;
}

typedef struct marks { const char *group; const ghee_log_mark *items; size_t n; } marks;

static ghee_status put_mark(ghee_file_log_state *state, const char *group, const ghee_log_mark *mark, ghee_error *err) {
  ghee_file_log_group made = {.group = ghee_strdup(group), .partition = mark->partition, .offset = mark->offset, .note = ghee_strdup(mark->note ? mark->note : "")};
  bool ok = made.group && made.note;
  ghee_file_log_group *old = NULL;
  for (size_t i = 0; i < state->groups.count && !old; i++) {
    ghee_file_log_group *one = &state->groups.items[i];
    if (one->partition == mark->partition && strcmp(one->group, group) == 0) old = one;
  }
  if (ok && old) {
    ghee_file_log_group swap = *old;
    *old = made;
    made = swap;
  } else if (ok && ghee_array_push(&state->groups, made)) {
    return GHEE_OK;
  } else {
    ok = false;
  }
  ghee_free(made.group);
  ghee_free(made.note);
  return ok ? GHEE_OK : no_memory(err);
}

static ghee_status put_marks(const ghee_file_log *log, ghee_file_log_state *state, void *user, ghee_error *err) {
  const marks *all = user;
  (void)log;
  for (size_t i = 0; i < all->n; i++) GHEE_TRY(put_mark(state, all->group, &all->items[i], err));
  return GHEE_OK;
}

ghee_status ghee_file_log_set_marks(ghee_record_log *log, const char *group, const ghee_log_mark *items, size_t n, ghee_error *err) {
  return change_state((const ghee_file_log *)log, put_marks, &(marks){group, items, n}, err);
}

/* ---- encoding ---- */

static void put_bytes(ghee_buffer *out, const void *data, size_t size) {
  ghee_buffer_put_u8(out, data != NULL);
  ghee_buffer_put_bytes(out, data ? data : "", data ? size : 0);
}

static void encode(waiting *to, const ghee_record *record) {
  size_t start = to->bytes.size;
  ghee_buffer_put_u32(&to->bytes, 0); /* head: filled in at commit */
  ghee_buffer_put_u64(&to->bytes, 0);
  ghee_buffer_put_u64(&to->bytes, 0);
  ghee_buffer_put_u64(&to->bytes, (uint64_t)(record->timestamp_ms < 0 ? ghee_clock_wall_ms() : record->timestamp_ms));
  put_bytes(&to->bytes, record->key, record->key_bytes);
  put_bytes(&to->bytes, record->value, record->value_bytes);
  ghee_buffer_put_u32(&to->bytes, (uint32_t)record->n_headers);
  for (size_t i = 0; i < record->n_headers; i++) {
    ghee_buffer_put_bytes(&to->bytes, record->headers[i].name, strlen(record->headers[i].name) + 1);
    put_bytes(&to->bytes, record->headers[i].value, record->headers[i].value_bytes);
  }
  if (to->bytes.failed) return;
  uint32_t body = (uint32_t)(to->bytes.size - start - GHEE_FILE_LOG_HEAD);
  memcpy(to->bytes.data + start, &body, sizeof body);
  to->records++;
}

/* Offsets and hashes, now that the first offset is known. */
static void number(waiting *of, int64_t offset) {
  for (uint8_t *at = of->bytes.data, *end = at + of->bytes.size; at < end; offset++) {
    uint32_t body;
    memcpy(&body, at, sizeof body);
    uint64_t hash = ghee_hash(at + GHEE_FILE_LOG_HEAD, body, (uint64_t)offset);
    memcpy(at + 4, &offset, 8);
    memcpy(at + 12, &hash, 8);
    at += GHEE_FILE_LOG_HEAD + body;
  }
}

/* ---- committing ---- */

static ghee_status write_all(int fd, const ghee_buffer *bytes, uint64_t at, const char *path, ghee_error *err) {
  if (ftruncate(fd, (off_t)at) != 0) return ghee_error_set_errno(err, errno, "cannot cut %s", path);
  for (size_t done = 0; done < bytes->size;) {
    ssize_t n = pwrite(fd, bytes->data + done, bytes->size - done, (off_t)(at + done));
    if (n < 0) return ghee_error_set_errno(err, errno, "cannot write %s", path);
    done += (size_t)n;
  }
  return fdatasync(fd) == 0 ? GHEE_OK : ghee_error_set_errno(err, errno, "cannot make %s durable", path);
}

static ghee_status store(const ghee_file_log *log, uint32_t partition, waiting *of, ghee_file_log_partition *state, ghee_error *err) {
  if (of->records == 0) return GHEE_OK;
  bool fresh = state->segment < 0 || state->segment_bytes >= SEGMENT_BYTES;
  if (fresh) {
    state->segment = state->end;
    state->segment_bytes = 0;
  }
  number(of, state->end);
  char *folder = ghee_file_log_path(log, partition, -1), *path = ghee_file_log_path(log, partition, state->segment);
  ghee_status status = folder && path ? ghee_dir_make_all(folder, FOLDER_MODE, err) : no_memory(err);
  int fd = -1;
  if (status == GHEE_OK && (fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644)) < 0) status = ghee_error_set_errno(err, errno, "cannot open %s", path);
  if (status == GHEE_OK) status = write_all(fd, &of->bytes, state->segment_bytes, path, err);
  if (status == GHEE_OK && fresh) status = ghee_dir_sync(folder, err);
  if (fd >= 0) close(fd);
  ghee_free(folder);
  ghee_free(path);
  state->end += (int64_t)of->records;
  state->segment_bytes += of->bytes.size;
  return status;
}

static ghee_file_log_producer *producer_of(ghee_file_log_state *state, const char *id) {
  for (size_t i = 0; i < state->producers.count; i++)
    if (strcmp(state->producers.items[i].id, id) == 0) return &state->producers.items[i];
  return NULL;
}

typedef struct commit { file_writer *writer; marks marks; } commit;

static ghee_status commit_all(const ghee_file_log *log, ghee_file_log_state *state, void *user, ghee_error *err) {
  commit *of = user;
  file_writer *writer = of->writer;
  if (writer->transactional_id) {
    const ghee_file_log_producer *producer = producer_of(state, writer->transactional_id);
    if (!producer || producer->epoch != writer->epoch)
      return ghee_error_set(err, GHEE_BUSY, "cannot commit to %s: another writer has taken over the transactional id %s; two jobs of one name must not run at once",
                            log->uri, writer->transactional_id);
  }
  for (uint32_t i = 0; i < writer->n_partitions; i++) GHEE_TRY(store(log, i, &writer->partitions[i], &state->partitions.items[i], err));
  return put_marks(log, state, &of->marks, err);
}

static void drop_all(file_writer *writer) {
  for (uint32_t i = 0; i < writer->n_partitions; i++) {
    ghee_buffer_clear(&writer->partitions[i].bytes);
    writer->partitions[i].records = 0;
  }
}

static ghee_status commit_writer(file_writer *writer, const marks *with, ghee_error *err) {
  GHEE_TRY(change_state(writer->log, commit_all, &(commit){writer, *with}, err));
  drop_all(writer);
  return GHEE_OK;
}

/* ---- the writer ---- */

static size_t bytes_of(const ghee_record *record) {
  size_t bytes = record->key_bytes + record->value_bytes;
  for (size_t i = 0; i < record->n_headers; i++) bytes += strlen(record->headers[i].name) + record->headers[i].value_bytes;
  return bytes;
}

ghee_status ghee_file_log_append(ghee_log_writer *base, const ghee_record *records, size_t n, ghee_error *err) {
  file_writer *writer = (file_writer *)base;
  for (size_t i = 0; i < n; i++) {
    uint32_t partition = records[i].partition;
    if (partition == GHEE_ANY_PARTITION)
      partition = (uint32_t)((records[i].key ? ghee_hash(records[i].key, records[i].key_bytes, 0) : writer->next_partition++) % writer->n_partitions);
    if (records[i].topic) return ghee_error_set(err, GHEE_UNSUPPORTED, "%s is a log of this machine, which has no other topics", writer->log->uri);
    if (bytes_of(&records[i]) > GHEE_FILE_LOG_MOST)
      return ghee_error_set(err, GHEE_LIMIT, "a record of %zu bytes is too large for %s, which takes %d at most", bytes_of(&records[i]), writer->log->uri, GHEE_FILE_LOG_MOST);
    if (partition >= writer->n_partitions)
      return ghee_error_set(err, GHEE_INVALID, "%s has %u partitions, no partition %u", writer->log->uri, writer->n_partitions, partition);
    encode(&writer->partitions[partition], &records[i]);
    GHEE_TRY(ghee_buffer_check(&writer->partitions[partition].bytes, "writing to a record log", err));
  }
  return GHEE_OK;
}

ghee_status ghee_file_log_flush(ghee_log_writer *base, ghee_error *err) {
  file_writer *writer = (file_writer *)base;
  return writer->transactional_id ? GHEE_OK : commit_writer(writer, &(marks){0}, err);
}

ghee_status ghee_file_log_commit(ghee_log_writer *base, const char *group, const ghee_log_mark *items, size_t n, ghee_error *err) {
  return commit_writer((file_writer *)base, &(marks){group, items, n}, err);
}

ghee_status ghee_file_log_abort(ghee_log_writer *base, ghee_error *err) {
  (void)err;
  drop_all((file_writer *)base);
  return GHEE_OK;
}

/* A newer writer of a transactional id counts from now on. */
static ghee_status begin_writer(const ghee_file_log *log, ghee_file_log_state *state, void *user, ghee_error *err) {
  file_writer *writer = user;
  (void)log;
  writer->n_partitions = (uint32_t)state->partitions.count;
  if (!writer->transactional_id) return GHEE_OK;
  ghee_file_log_producer *producer = producer_of(state, writer->transactional_id);
  if (!producer) {
    ghee_file_log_producer made = {.id = ghee_strdup(writer->transactional_id)};
    if (!made.id || !ghee_array_push(&state->producers, made)) {
      ghee_free(made.id);
      return no_memory(err);
    }
    producer = &state->producers.items[state->producers.count - 1];
  }
  writer->epoch = ++producer->epoch;
  return GHEE_OK;
}

void ghee_file_log_close_writer(ghee_log_writer *base) {
  file_writer *writer = (file_writer *)base;
  if (!writer) return;
  for (uint32_t i = 0; writer->partitions && i < writer->n_partitions; i++) ghee_buffer_fini(&writer->partitions[i].bytes);
  ghee_free(writer->partitions);
  ghee_free(writer->transactional_id);
  ghee_free(writer);
}

ghee_status ghee_file_log_open_writer(ghee_record_log *log, const char *transactional_id, ghee_log_writer **out, ghee_error *err) {
  file_writer *writer = ghee_alloc_zero(1, sizeof *writer);
  if (!writer) return no_memory(err);
  writer->base.ops = log->ops;
  writer->log = (const ghee_file_log *)log;
  ghee_status status = GHEE_OK;
  if (transactional_id && !(writer->transactional_id = ghee_strdup(transactional_id))) status = no_memory(err);
  if (status == GHEE_OK) status = change_state(writer->log, begin_writer, writer, err);
  if (status == GHEE_OK && !(writer->partitions = ghee_alloc_zero(writer->n_partitions, sizeof *writer->partitions))) status = no_memory(err);
  if (status != GHEE_OK) {
    ghee_file_log_close_writer(&writer->base);
    return status;
  }
  *out = &writer->base;
  return GHEE_OK;
}
