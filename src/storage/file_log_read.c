/* SPDX-License-Identifier: Apache-2.0
 * Reading a range of the file: backend: segment after segment, in blocks of a MiB that the records point into. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "storage/file_log.h"

enum { BLOCK_BYTES = 1 << 20 };

typedef struct file_reader {
  ghee_log_reader base;
  const ghee_file_log *log;
  ghee_log_range range;
  int64_t next;                /* offset that comes next */
  int fd;                      /* of the segment, -1 none */
  int64_t segment;             /* its first offset */
  ghee_buffer block;           /* bytes from `at` on are not parsed yet */
  size_t at;
  GHEE_ARRAY(ghee_record_header) headers; /* of the records given out last */
} file_reader;

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "reading a record log"); }

static ghee_status gone(const file_reader *of, ghee_error *err) {
  return ghee_error_set(err, GHEE_CHANGED, "offsets from %lld of partition %u of %s are gone: they were removed since the job was planned; cancel the job and run it anew",
                        (long long)of->next, of->range.partition, of->log->uri);
}

/* Opens the segment that begins at `offset`. */
static ghee_status open_segment(file_reader *of, int64_t offset, ghee_error *err) {
  char *path = ghee_file_log_path(of->log, of->range.partition, offset);
  if (!path) return no_memory(err);
  int fd = open(path, O_RDONLY | O_CLOEXEC), reason = errno;
  ghee_status status = fd >= 0 ? GHEE_OK : reason == ENOENT ? gone(of, err) : ghee_error_set_errno(err, reason, "cannot open %s", path);
  ghee_free(path);
  if (status != GHEE_OK) return status;
  if (of->fd >= 0) close(of->fd);
  of->fd = fd;
  of->segment = offset;
  of->block.size = of->at = 0;
  return GHEE_OK;
}

/* The last segment that begins at or before the first wanted offset. */
static ghee_status find_segment(file_reader *of, ghee_error *err) {
  ghee_log_ranges all = {0};
  ghee_status status = ghee_record_log_file.partitions((ghee_record_log *)of->log, &all, err);
  if (status == GHEE_OK && of->range.partition >= all.count)
    status = ghee_error_set(err, GHEE_NOT_FOUND, "%s has %zu partitions, no partition %u", of->log->uri, all.count, of->range.partition);
  if (status == GHEE_OK && (of->range.first < all.items[of->range.partition].first || of->range.end > all.items[of->range.partition].end)) status = gone(of, err);
  ghee_array_fini(&all);
  GHEE_TRY(status);
  int64_t oldest, holding;
  GHEE_TRY(ghee_file_log_segments(of->log, of->range.partition, of->range.first, &oldest, &holding, err));
  return holding < 0 ? gone(of, err) : open_segment(of, holding, err);
}

/* More bytes behind those that are not parsed. false: the segment has no more. */
static ghee_status fill(file_reader *of, bool *more, ghee_error *err) {
  size_t left = of->block.size - of->at;
  if (left) memmove(of->block.data, of->block.data + of->at, left);
  of->block.size = left;
  of->at = 0;
  uint8_t *room = ghee_buffer_room(&of->block, BLOCK_BYTES);
  if (!room) return no_memory(err);
  ssize_t got = read(of->fd, room, BLOCK_BYTES);
  if (got < 0) return ghee_error_set_errno(err, errno, "cannot read partition %u of %s", of->range.partition, of->log->uri);
  of->block.size += (size_t)got;
  *more = got > 0;
  return GHEE_OK;
}

static const void *take_bytes(ghee_reader *from, size_t *size) {
  bool null = ghee_reader_u8(from) == 0;
  const void *data = ghee_reader_bytes(from, size);
  return null ? NULL : data;
}

/* Headers are found by index, as the array may move while it grows. GHEE_CORRUPT, GHEE_NO_MEMORY. */
static ghee_status parse_body(file_reader *of, ghee_reader *from, ghee_record *out) {
  out->timestamp_ms = (int64_t)ghee_reader_u64(from);
  out->key = take_bytes(from, &out->key_bytes);
  out->value = take_bytes(from, &out->value_bytes);
  out->n_headers = ghee_reader_u32(from);
  for (size_t i = 0; i < out->n_headers && !from->bad; i++) {
    size_t n;
    ghee_record_header header = {.name = ghee_reader_bytes(from, &n)};
    if (from->bad || n == 0 || header.name[n - 1]) return GHEE_CORRUPT;
    header.value = take_bytes(from, &header.value_bytes);
    if (!ghee_array_push(&of->headers, header)) return GHEE_NO_MEMORY;
  }
  return ghee_reader_done(from) ? GHEE_OK : GHEE_CORRUPT;
}

/* The next whole record in the block. GHEE_AGAIN: more bytes are needed. */
static ghee_status parse(file_reader *of, ghee_record *out, ghee_error *err) {
  size_t left = of->block.size - of->at;
  if (left < GHEE_FILE_LOG_HEAD) return GHEE_AGAIN;
  ghee_reader head = ghee_reader_of(of->block.data + of->at, GHEE_FILE_LOG_HEAD);
  uint32_t size = ghee_reader_u32(&head);
  *out = (ghee_record){.partition = of->range.partition, .offset = (int64_t)ghee_reader_u64(&head)};
  uint64_t hash = ghee_reader_u64(&head);
  if (left - GHEE_FILE_LOG_HEAD < size) return GHEE_AGAIN;
  const uint8_t *body = of->block.data + of->at + GHEE_FILE_LOG_HEAD;
  ghee_reader from = ghee_reader_of(body, size);
  ghee_status status = ghee_hash(body, size, (uint64_t)out->offset) == hash ? parse_body(of, &from, out) : GHEE_CORRUPT;
  if (status == GHEE_NO_MEMORY) return no_memory(err);
  if (status != GHEE_OK)
    return ghee_error_set(err, GHEE_CORRUPT, "the record at offset %lld of partition %u of %s is damaged", (long long)of->next, of->range.partition, of->log->uri);
  of->at += GHEE_FILE_LOG_HEAD + size;
  return GHEE_OK;
}

/* One record that is wanted, if the block has it. Behind a segment comes the one that begins where it ends. */
static ghee_status next_record(file_reader *of, bool may_fill, ghee_record *out, ghee_error *err) {
  for (;;) {
    if (of->next >= of->range.end) return GHEE_CLOSED;
    size_t headers = of->headers.count;
    ghee_status status = parse(of, out, err);
    if (status == GHEE_OK && out->offset < of->next) {
      of->headers.count = headers;
      continue;
    }
    if (status == GHEE_OK) {
      of->next = out->offset + 1;
      return out->offset < of->range.end ? GHEE_OK : GHEE_CLOSED;
    }
    if (status != GHEE_AGAIN || !may_fill) return status;
    bool more = true;
    GHEE_TRY(fill(of, &more, err));
    if (!more && of->next == of->segment) return gone(of, err);
    if (!more) GHEE_TRY(open_segment(of, of->next, err));
  }
}

ghee_status ghee_file_log_next(ghee_log_reader *base, ghee_record *out, size_t capacity, size_t *n, ghee_error *err) {
  file_reader *of = (file_reader *)base;
  of->headers.count = 0;
  size_t made = 0;
  ghee_status status = GHEE_OK;
  while (made < capacity && (status = next_record(of, made == 0, &out[made], err)) == GHEE_OK) made++;
  if (made == 0) return status;
  if (status != GHEE_OK && status != GHEE_AGAIN && status != GHEE_CLOSED) return status;
  const ghee_record_header *headers = of->headers.items;
  for (size_t i = 0; i < made; i++) {
    out[i].headers = out[i].n_headers ? headers : NULL;
    headers += out[i].n_headers;
  }
  *n = made;
  return GHEE_OK;
}

void ghee_file_log_end(ghee_log_reader *base) {
  file_reader *of = (file_reader *)base;
  if (!of) return;
  if (of->fd >= 0) close(of->fd);
  ghee_buffer_fini(&of->block);
  ghee_array_fini(&of->headers);
  ghee_free(of);
}

ghee_status ghee_file_log_read(ghee_record_log *log, const ghee_log_range *range, ghee_log_reader **out, ghee_error *err) {
  file_reader *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return no_memory(err);
  *of = (file_reader){.base.ops = log->ops, .log = (const ghee_file_log *)log, .range = *range, .next = range->first, .fd = -1};
  ghee_status status = range->first < range->end ? find_segment(of, err) : GHEE_OK;
  if (status != GHEE_OK) {
    ghee_file_log_end(&of->base);
    return status;
  }
  *out = &of->base;
  return GHEE_OK;
}
