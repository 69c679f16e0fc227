/* SPDX-License-Identifier: Apache-2.0
 * Reading a range of a partition from Kafka, with the simple consumer: no group, no rebalance. */
#include <string.h>

#include "base/clock.h"
#include "storage/kafka.h"

enum { MOST_MESSAGES = 1024 };

typedef struct kafka_reader {
  ghee_log_reader base;
  ghee_kafka *log;
  ghee_kafka_client *client;
  ghee_log_range range;
  int64_t next;                             /* lowest offset that may still come */
  int64_t seen_end;                         /* where the partition ended when its end was last met, -1 never */
  bool started, over;
  uint64_t silent_since_ms;
  rd_kafka_message_t *messages[MOST_MESSAGES]; /* those from `done` on are not given out yet */
  size_t n_messages, given, done;           /* [given, done) were given out last */
  GHEE_ARRAY(ghee_record_header) headers;   /* of the records given out last */
} kafka_reader;

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "reading from Kafka"); }

static void drop_given(kafka_reader *of) {
  for (; of->given < of->done; of->given++) rd_kafka_message_destroy(of->messages[of->given]);
  of->headers.count = 0;
}

static void drop_all(kafka_reader *of) {
  of->done = of->n_messages;
  drop_given(of);
  of->n_messages = of->given = of->done = 0;
}

static ghee_status gone(const kafka_reader *of, ghee_error *err) {
  return ghee_error_set(err, GHEE_CHANGED,
                        "offsets %lld to %lld of partition %u of %s are gone: the topic's retention has removed them, or it was made anew; "
                        "cancel the job and run it again from what is left",
                        (long long)of->next, (long long)of->range.end - 1, of->range.partition, of->log->uri);
}

/* Nothing has come for too long. */
static ghee_status silent(const kafka_reader *of, ghee_error *err) {
  if (of->seen_end >= 0 && of->seen_end < of->range.end && !of->client->said)
    return ghee_error_set(err, GHEE_CHANGED, "partition %u of %s ends at offset %lld, though offsets up to %lld were there when the job was planned: "
                          "the topic was made anew or has lost records; cancel the job and run it again",
                          of->range.partition, of->log->uri, (long long)of->seen_end, (long long)of->range.end - 1);
  return ghee_kafka_fail(of->log, of->client, RD_KAFKA_RESP_ERR__TIMED_OUT, err, "read offset %lld of partition %u of", (long long)of->next, of->range.partition);
}

/* A message that is none. GHEE_AGAIN: it will pass. */
static ghee_status on_event(kafka_reader *of, const rd_kafka_message_t *message, ghee_error *err) {
  if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    of->seen_end = message->offset;
    return message->offset >= of->range.end ? GHEE_CLOSED : GHEE_AGAIN;
  }
  switch (ghee_kafka_status(message->err)) {
    case GHEE_IO: return GHEE_AGAIN;
    case GHEE_CHANGED: return gone(of, err);
    case GHEE_CORRUPT:
      if (message->offset >= of->range.end) return GHEE_CLOSED; /* behind what is read, but came with it */
      return ghee_error_set(err, GHEE_CORRUPT, "the records at offset %lld of partition %u of %s are damaged: %s", (long long)message->offset, of->range.partition, of->log->uri,
                            rd_kafka_message_errstr(message));
    default: return ghee_kafka_fail(of->log, of->client, message->err, err, "read partition %u of", of->range.partition);
  }
}

/* Gets messages, at least one; or the end; or a failure. */
static ghee_status fetch(kafka_reader *of, ghee_error *err) {
  for (;;) {
    ssize_t n = rd_kafka_consume_batch_queue(of->client->queue, GHEE_KAFKA_SLICE_MS, of->messages, MOST_MESSAGES);
    of->n_messages = n > 0 ? (size_t)n : 0;
    if (n > 0) return GHEE_OK;
    if (ghee_kafka_hopeless(of->client)) return ghee_kafka_fail(of->log, of->client, of->client->said, err, "read partition %u of", of->range.partition);
    if (ghee_clock_ms() - of->silent_since_ms >= of->log->timeout_ms) return silent(of, err);
  }
}

static ghee_status add_headers(kafka_reader *of, rd_kafka_message_t *message, ghee_record *out, ghee_error *err) {
  rd_kafka_headers_t *headers;
  if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return GHEE_OK;
  ghee_record_header header;
  for (size_t i = 0; rd_kafka_header_get_all(headers, i, &header.name, &header.value, &header.value_bytes) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
    if (!ghee_array_push(&of->headers, header)) return no_memory(err);
    out->n_headers++;
  }
  return GHEE_OK;
}

static ghee_status take(kafka_reader *of, rd_kafka_message_t *message, ghee_record *out, ghee_error *err) {
  rd_kafka_timestamp_type_t type;
  int64_t time_ms = rd_kafka_message_timestamp(message, &type);
  *out = (ghee_record){.partition = of->range.partition, .offset = message->offset, .timestamp_ms = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : time_ms,
                       .key = message->key, .key_bytes = message->key_len, .value = message->payload, .value_bytes = message->len};
  of->next = message->offset + 1;
  return add_headers(of, message, out, err);
}

/* Records out of the messages that are there. GHEE_AGAIN: there were none among them. */
static ghee_status give(kafka_reader *of, ghee_record *out, size_t capacity, size_t *made, ghee_error *err) {
  while (of->done < of->n_messages && *made < capacity) {
    rd_kafka_message_t *message = of->messages[of->done];
    ghee_status status = GHEE_OK;
    if (message->err) {
      status = on_event(of, message, err);
    } else if (message->offset >= of->range.end) {
      status = GHEE_CLOSED;
    } else if (message->offset >= of->range.first) {
      status = take(of, message, &out[*made], err);
      if (status == GHEE_OK) ++*made;
    }
    of->done++;
    if (status != GHEE_OK && status != GHEE_AGAIN) return status;
  }
  return *made ? GHEE_OK : GHEE_AGAIN;
}

ghee_status ghee_kafka_next(ghee_log_reader *base, ghee_record *out, size_t capacity, size_t *n, ghee_error *err) {
  kafka_reader *of = (kafka_reader *)base;
  size_t made = 0;
  drop_given(of);
  of->silent_since_ms = ghee_clock_ms();
  while (!of->over) {
    if (of->next >= of->range.end) return GHEE_CLOSED;
    if (of->done == of->n_messages) {
      drop_all(of);
      GHEE_TRY(fetch(of, err));
    }
    ghee_status status = give(of, out, capacity, &made, err);
    if (status == GHEE_AGAIN) {
      drop_given(of);
      continue;
    }
    of->over = status == GHEE_CLOSED;
    if (status != GHEE_OK && !of->over) return status;
    if (made == 0) break;
    const ghee_record_header *headers = of->headers.items; /* the array has stopped moving */
    for (size_t i = 0; i < made; i++) {
      out[i].headers = out[i].n_headers ? headers : NULL;
      headers += out[i].n_headers;
    }
    *n = made;
    return GHEE_OK;
  }
  return GHEE_CLOSED;
}

void ghee_kafka_end(ghee_log_reader *base) {
  kafka_reader *of = (kafka_reader *)base;
  if (!of) return;
  drop_all(of);
  if (of->started && rd_kafka_consume_stop(of->client->topic, (int32_t)of->range.partition) != 0) of->client->broken = true;
  if (of->client) ghee_kafka_give_back(of->log, of->client);
  ghee_array_fini(&of->headers);
  ghee_free(of);
}

ghee_status ghee_kafka_read(ghee_record_log *base, const ghee_log_range *range, ghee_log_reader **out, ghee_error *err) {
  kafka_reader *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return no_memory(err);
  of->base.ops = base->ops;
  of->log = (ghee_kafka *)base;
  of->range = *range;
  of->next = range->first;
  of->seen_end = -1;
  ghee_status status = range->first < range->end ? ghee_kafka_take(of->log, &of->client, err) : GHEE_OK;
  if (status == GHEE_OK && of->client) {
    of->started = rd_kafka_consume_start_queue(of->client->topic, (int32_t)range->partition, range->first, of->client->queue) == 0;
    if (!of->started) status = ghee_kafka_fail(of->log, of->client, rd_kafka_last_error(), err, "read partition %u of", range->partition);
  }
  if (status != GHEE_OK) {
    ghee_kafka_end(&of->base);
    return status;
  }
  *out = &of->base;
  return GHEE_OK;
}
