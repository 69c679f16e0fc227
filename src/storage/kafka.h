/* SPDX-License-Identifier: Apache-2.0
 * The kafka: backend of record logs, inside: what its files share. The only place with librdkafka.
 *
 * Design notes
 * - A log keeps client handles of librdkafka in a pool: asking for offsets takes one for a moment, a reader has one for itself until it
 *   ends, a writer always makes its own. So connections outlive the readers, and readers do not disturb each other.
 * - A handle is used by one thread at a time, which also serves its callbacks; what they said last is the reason in messages.
 * - librdkafka tries again by itself whatever may go away. ghee only counts how long nothing has come: `timeout`. */
#ifndef GHEE_STORAGE_KAFKA_H
#define GHEE_STORAGE_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>

#include "storage/record_log.h"

enum { GHEE_KAFKA_SLICE_MS = 100 }; /* how long a call waits before it looks at what the callbacks said */

typedef struct ghee_kafka {
  ghee_record_log base;
  char *uri, *brokers, *topic;
  ghee_settings settings;            /* of librdkafka */
  uint64_t timeout_ms, most_bytes;   /* of a record */
  struct {
    pthread_mutex_t mutex;
    GHEE_ARRAY(struct ghee_kafka_client *) idle;
    struct ghee_kafka_client *grouped;   /* an idle one that names a group, as finding its coordinator takes a while */
    char *group;
  } locked;
} ghee_kafka;

/** A handle of librdkafka. Owner: one thread at a time. */
typedef struct ghee_kafka_client {
  rd_kafka_t *rk;
  rd_kafka_topic_t *topic;
  rd_kafka_queue_t *queue;
  bool broken;                       /* not to be used again */
  rd_kafka_resp_err_t said;          /* by the error callback, last */
  char reason[256];
  rd_kafka_resp_err_t undelivered;   /* writers: why the first record that could not be written was not */
  int32_t undelivered_partition;
} ghee_kafka_client;

/** A client with the log's settings and `more` (pairs, NULL at the end). `opaque` goes to callbacks set by `prepare`, which may be NULL. */
ghee_status ghee_kafka_client_new(const ghee_kafka *log, rd_kafka_type_t type, const char *const *more, void (*prepare)(rd_kafka_conf_t *conf),
                                  ghee_kafka_client **out, ghee_error *err);
void ghee_kafka_client_free(ghee_kafka_client *client);
/** A consumer from the pool, or a new one. Given back by release. */
ghee_status ghee_kafka_take(ghee_kafka *log, ghee_kafka_client **out, ghee_error *err);
void ghee_kafka_give_back(ghee_kafka *log, ghee_kafka_client *client);

/** The status that an error of librdkafka is. */
ghee_status ghee_kafka_status(rd_kafka_resp_err_t code);
/** "cannot <doing>: <reason>", the reason completed by what the callbacks said. */
ghee_status ghee_kafka_fail(const ghee_kafka *log, const ghee_kafka_client *client, rd_kafka_resp_err_t code, ghee_error *err, const char *format, ...)
    GHEE_PRINTF(5, 6);
/** Serves the callbacks. True: what they said will not go away by waiting. */
bool ghee_kafka_hopeless(ghee_kafka_client *client);
/** Tries `call` again, with more and more time, while it fails for a reason that may go away, until the log's timeout. */
ghee_status ghee_kafka_try(ghee_kafka *log, ghee_kafka_client *client, rd_kafka_resp_err_t (*call)(void *user, int timeout_ms), void *user, const char *doing,
                           ghee_error *err);

/** How many partitions the topic has; a topic that is not there is not made. */
ghee_status ghee_kafka_count(ghee_kafka *log, uint32_t *out, ghee_error *err);
ghee_status ghee_kafka_partitions(ghee_record_log *log, ghee_log_ranges *out, ghee_error *err);
ghee_status ghee_kafka_seek_time(ghee_record_log *log, int64_t time_ms, ghee_log_ranges *ranges, ghee_error *err);

ghee_status ghee_kafka_read(ghee_record_log *log, const ghee_log_range *range, ghee_log_reader **out, ghee_error *err);
ghee_status ghee_kafka_next(ghee_log_reader *reader, ghee_record *out, size_t capacity, size_t *n, ghee_error *err);
void ghee_kafka_end(ghee_log_reader *reader);

ghee_status ghee_kafka_open_writer(ghee_record_log *log, const char *transactional_id, ghee_log_writer **out, ghee_error *err);
ghee_status ghee_kafka_append(ghee_log_writer *writer, const ghee_record *records, size_t n, ghee_error *err);
ghee_status ghee_kafka_flush(ghee_log_writer *writer, ghee_error *err);
ghee_status ghee_kafka_commit(ghee_log_writer *writer, const char *group, const ghee_log_mark *marks, size_t n, ghee_error *err);
ghee_status ghee_kafka_abort(ghee_log_writer *writer, ghee_error *err);
void ghee_kafka_close_writer(ghee_log_writer *writer);

ghee_status ghee_kafka_set_marks(ghee_record_log *log, const char *group, const ghee_log_mark *marks, size_t n, ghee_error *err);
ghee_status ghee_kafka_get_marks(ghee_record_log *log, const char *group, ghee_status (*each)(void *user, const ghee_log_mark *mark, ghee_error *err),
                                 void *user, ghee_error *err);
/** `marks` as librdkafka wants them; NULL topics are the log's. NULL without memory. */
rd_kafka_topic_partition_list_t *ghee_kafka_marks(const ghee_kafka *log, const ghee_log_mark *marks, size_t n);

#endif
