/* SPDX-License-Identifier: Apache-2.0
 * Contract: a topic of partitions, each a growing row of records known by their offsets. `kafka:` (librdkafka) and `file:` (a folder of this
 * machine, for tests and local runs) are its backends; every backend passes tests/conformance/record_log.
 * URIs: "kafka://host:port[,host:port]/topic", "file:/folder".
 *
 * Design notes
 * - A reader sees committed records only: those of open and aborted transactions and the log's own markers are left out, so are
 *   records that compaction removed. Offsets rise, but not always by one.
 * - There is no endless read: who follows a topic asks for its ends again and again and reads from one to the next. So each thing
 *   that was read has exact ends, which can be stored, and be read a second time.
 * - Failures: GHEE_IO may go away and was already tried again for `timeout` (a setting of ghee, in seconds, 120); GHEE_CHANGED: these offsets are gone;
 *   GHEE_DENIED; GHEE_NOT_FOUND: no such topic; GHEE_LIMIT: a record is too large; GHEE_CORRUPT names partition and offset; GHEE_BUSY: another
 *   writer of the same transactional id has taken over. After a failure a reader or writer is only to be closed. */
#ifndef GHEE_STORAGE_RECORD_LOG_H
#define GHEE_STORAGE_RECORD_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"
#include "storage/settings.h"

/** `name` is terminated; `value` NULL: null. */
typedef struct ghee_record_header { const char *name; const void *value; size_t value_bytes; } ghee_record_header;

/** Views: they borrow from the reader until its next call, or from the writer's caller during append. */
typedef struct ghee_record {
  uint32_t partition;            /* append: GHEE_ANY_PARTITION lets the key choose (Java's murmur2), or spreads records without a key */
  int64_t offset;                /* append: ignored */
  int64_t timestamp_ms;          /* since 1970 UTC; -1: none (append: now) */
  const void *key, *value;       /* NULL: null, which is not the same as empty */
  size_t key_bytes, value_bytes;
  const ghee_record_header *headers;
  size_t n_headers;
  const char *topic;             /* append: another topic of the same brokers, in the same transaction (kafka:); NULL: the log's. Read: NULL */
} ghee_record;
#define GHEE_ANY_PARTITION UINT32_MAX

/** Offsets [first, end): the oldest that is there, one past the newest that is committed. */
typedef struct ghee_log_range { uint32_t partition; int64_t first, end; } ghee_log_range;
/** In order of the partitions, which count from 0. ghee_array_fini. */
typedef struct ghee_log_ranges { ghee_log_range *items; size_t count, capacity; } ghee_log_ranges;

/** What a group of readers has done: the next offset, and a text of its own. */
typedef struct ghee_log_mark { const char *topic; uint32_t partition; int64_t offset; const char *note; } ghee_log_mark;

typedef struct ghee_record_log ghee_record_log;
typedef struct ghee_log_reader ghee_log_reader;
typedef struct ghee_log_writer ghee_log_writer;

struct ghee_record_log_ops {
  const char *scheme;
  /** Checks URI and settings: GHEE_INVALID names the setting (never the value of a secret). Blocks: no. out gives: close, after its
   *  readers and writers. Thread of all calls with `log`: any. */
  ghee_status (*open)(const char *uri, const ghee_settings *settings, ghee_record_log **out, ghee_error *err);
  void (*close)(ghee_record_log *log);
  /** The topic's name: borrowed. */
  const char *(*topic)(const ghee_record_log *log);
  /** Key, value and headers of a record may have so many bytes together; more is GHEE_LIMIT at append. */
  uint64_t (*most_bytes)(const ghee_record_log *log);
  /** All partitions as they are now. `out` is appended to. Blocks: yes. */
  ghee_status (*partitions)(ghee_record_log *log, ghee_log_ranges *out, ghee_error *err);
  /** For each of the `ranges`: `first` becomes the first offset whose record is not older than `time_ms`, `end` if there is none.
   *  Blocks: yes. */
  ghee_status (*seek_time)(ghee_record_log *log, int64_t time_ms, ghee_log_ranges *ranges, ghee_error *err);

  /** The records of a range. Offsets that are gone: GHEE_CHANGED, here or at the first next. Several readers of a log may be open at
   *  once; the owner of each is one thread. Memory: a few MiB each, whatever the range. Blocks: may. */
  ghee_status (*read)(ghee_record_log *log, const ghee_log_range *range, ghee_log_reader **out, ghee_error *err);
  /** 1 to `capacity` records. GHEE_CLOSED at the end of the range. Blocks: yes. */
  ghee_status (*next)(ghee_log_reader *reader, ghee_record *out, size_t capacity, size_t *n, ghee_error *err);
  void (*end)(ghee_log_reader *reader);

  /** `transactional_id` NULL: records are written once and in order (idempotent), and are durable at flush. Else they become visible by
   *  commit (to a reader who asks a moment later), all or none; a writer of the same id that was there before is fenced off, and what it had not committed is undone.
   *  Owner: one thread. Blocks: yes. */
  ghee_status (*open_writer)(ghee_record_log *log, const char *transactional_id, ghee_log_writer **out, ghee_error *err);
  /** Copies. A transaction begins with its first append. Blocks: when the buffer is full. */
  ghee_status (*append)(ghee_log_writer *writer, const ghee_record *records, size_t n, ghee_error *err);
  /** All that was appended is stored; first failure of any of it. Blocks: yes. */
  ghee_status (*flush)(ghee_log_writer *writer, ghee_error *err);
  /** Ends the transaction: records and marks of `group` together (no marks: group may be NULL). Also without records. Blocks: yes. */
  ghee_status (*commit)(ghee_log_writer *writer, const char *group, const ghee_log_mark *marks, size_t n, ghee_error *err);
  ghee_status (*abort)(ghee_log_writer *writer, ghee_error *err);
  /** What is not flushed or committed is thrown away where the log can do so. */
  void (*close_writer)(ghee_log_writer *writer);

  /** Records what a group has done with this topic, outside of any transaction: for others to look at. Blocks: yes. */
  ghee_status (*set_marks)(ghee_record_log *log, const char *group, const ghee_log_mark *marks, size_t n, ghee_error *err);
  /** Calls back for each mark of the group in this topic, by partition. Blocks: yes. */
  ghee_status (*get_marks)(ghee_record_log *log, const char *group, ghee_status (*each)(void *user, const ghee_log_mark *mark, ghee_error *err),
                           void *user, ghee_error *err);
};
struct ghee_record_log { const struct ghee_record_log_ops *ops; };
struct ghee_log_reader { const struct ghee_record_log_ops *ops; };
struct ghee_log_writer { const struct ghee_record_log_ops *ops; };

/** The backend for a URI's scheme, its settings completed ("${NAME}", environment). GHEE_UNSUPPORTED lists the schemes that there are. */
ghee_status ghee_record_log_open(const char *uri, const ghee_settings *settings, ghee_record_log **out, ghee_error *err);
void ghee_record_log_close(ghee_record_log *log);
/** Called by src/builtin.c for each backend before anything else. */
void ghee_record_log_register(const struct ghee_record_log_ops *ops);
/** A URI that can be nothing but a record log ("kafka://…"). */
bool ghee_uri_is_record_log(const char *uri);

extern const struct ghee_record_log_ops ghee_record_log_file, ghee_record_log_kafka;

#endif
