/* SPDX-License-Identifier: Apache-2.0
 * The file: backend of record logs, inside: a folder of this machine, written by one process at a time (a lock sees to it).
 *
 *   FOLDER/state                            what is committed: the truth; replaced as a whole
 *   FOLDER/lock                             held while something is committed
 *   FOLDER/partition-00000/OFFSET.records   records one behind the other, the first has OFFSET; a new file after 16 MiB
 *
 * Design notes
 * - A commit appends to the partitions, makes them durable, then replaces the state, in which the new ends stand. What lies behind the
 *   ends that the state names was never committed; the next commit cuts it off.
 * - Old files may be removed at any time: offsets begin where the first file that is there begins. */
#ifndef GHEE_STORAGE_FILE_LOG_H
#define GHEE_STORAGE_FILE_LOG_H

#include "base/buffer.h"
#include "storage/record_log.h"

enum {
  GHEE_FILE_LOG_HEAD = 4 + 8 + 8, /* before each record's body: its bytes, offset, hash of the body */
  GHEE_FILE_LOG_MOST = 1 << 30    /* bytes of a record */
};

typedef struct ghee_file_log {
  ghee_record_log base;
  char *uri, *folder;
  const char *topic;               /* last part of the folder */
  uint32_t new_partitions;         /* of a log that is not there yet */
} ghee_file_log;

typedef struct ghee_file_log_partition { int64_t end, segment; uint64_t segment_bytes; } ghee_file_log_partition;
typedef struct ghee_file_log_producer { char *id; uint64_t epoch; } ghee_file_log_producer;
typedef struct ghee_file_log_group { char *group; uint32_t partition; int64_t offset; char *note; } ghee_file_log_group;

typedef struct ghee_file_log_state {
  GHEE_ARRAY(ghee_file_log_partition) partitions;
  GHEE_ARRAY(ghee_file_log_producer) producers;
  GHEE_ARRAY(ghee_file_log_group) groups;
} ghee_file_log_state;

/** GHEE_NOT_FOUND: there is no log. `out` empty before; fini, also on failure. */
ghee_status ghee_file_log_state_read(const ghee_file_log *log, ghee_file_log_state *out, ghee_error *err);
ghee_status ghee_file_log_state_write(const ghee_file_log *log, const ghee_file_log_state *state, ghee_error *err);
void ghee_file_log_state_fini(ghee_file_log_state *state);
/** Path of a segment, or of the partition's folder (offset -1). New string. */
char *ghee_file_log_path(const ghee_file_log *log, uint32_t partition, int64_t offset);
/** First offsets of the oldest segment and of the one that holds `at`; -1 where there is none. */
ghee_status ghee_file_log_segments(const ghee_file_log *log, uint32_t partition, int64_t at, int64_t *oldest, int64_t *holding, ghee_error *err);

ghee_status ghee_file_log_read(ghee_record_log *log, const ghee_log_range *range, ghee_log_reader **out, ghee_error *err);
ghee_status ghee_file_log_next(ghee_log_reader *reader, ghee_record *out, size_t capacity, size_t *n, ghee_error *err);
void ghee_file_log_end(ghee_log_reader *reader);

ghee_status ghee_file_log_open_writer(ghee_record_log *log, const char *transactional_id, ghee_log_writer **out, ghee_error *err);
ghee_status ghee_file_log_append(ghee_log_writer *writer, const ghee_record *records, size_t n, ghee_error *err);
ghee_status ghee_file_log_flush(ghee_log_writer *writer, ghee_error *err);
ghee_status ghee_file_log_commit(ghee_log_writer *writer, const char *group, const ghee_log_mark *marks, size_t n, ghee_error *err);
ghee_status ghee_file_log_abort(ghee_log_writer *writer, ghee_error *err);
void ghee_file_log_close_writer(ghee_log_writer *writer);
ghee_status ghee_file_log_set_marks(ghee_record_log *log, const char *group, const ghee_log_mark *marks, size_t n, ghee_error *err);

#endif
