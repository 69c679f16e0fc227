/* SPDX-License-Identifier: Apache-2.0
 * Writing to Kafka: an idempotent producer, or a transactional one.
 *
 * Design notes
 * - An abort right behind records in flight can end the producer for good (EndTxn overtakes what it ends), so abort flushes first.
 * - Which record failed is told by the delivery report; the first failure is kept and is what flush, commit and append return. */
#include <string.h>

#include "base/clock.h"
#include "storage/kafka.h"

enum { STEP_MS = 2000 }; /* of a wait in librdkafka, between two looks at what its callbacks said */

typedef struct kafka_writer {
  ghee_log_writer base;
  ghee_kafka *log;
  ghee_kafka_client *client;
  bool transactional, begun;
  GHEE_ARRAY(rd_kafka_vu_t) parts;  /* of the record that is being appended */
} kafka_writer;

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "writing to Kafka"); }

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
  ghee_kafka_client *client = opaque;
  (void)rk;
  if (!message->err || client->undelivered) return;
  client->undelivered = message->err;
  client->undelivered_partition = message->partition;
}

static void prepare(rd_kafka_conf_t *conf) { rd_kafka_conf_set_dr_msg_cb(conf, on_delivery); }

/* What a writer cannot recover from, so far. */
static ghee_status state_of(kafka_writer *of, ghee_error *err) {
  ghee_kafka_client *client = of->client;
  if (ghee_kafka_hopeless(client)) return ghee_kafka_fail(of->log, client, client->said, err, "write to");
  if (client->undelivered) return ghee_kafka_fail(of->log, client, client->undelivered, err, "write to partition %d of", (int)client->undelivered_partition);
  return GHEE_OK;
}

/* A failed step of a transaction. Takes `error`. */
static ghee_status transaction_error(kafka_writer *of, rd_kafka_error_t *error, const char *doing, ghee_error *err) {
  rd_kafka_resp_err_t code = rd_kafka_error_code(error);
  ghee_status status = ghee_kafka_status(code);
  if (status == GHEE_BUSY)
    ghee_error_set(err, GHEE_BUSY, "cannot %s %s: another writer has taken over its transactional id; two jobs of one name must not run at once", doing, of->log->uri);
  else
    ghee_error_set(err, status == GHEE_OK ? GHEE_IO : status, "cannot %s %s: %s", doing, of->log->uri, rd_kafka_error_string(error));
  rd_kafka_error_destroy(error);
  return status == GHEE_OK ? GHEE_IO : status;
}

typedef rd_kafka_error_t *(*step)(kafka_writer *of, void *user, int timeout_ms);

/* One step of a transaction, again while it may yet succeed. */
static ghee_status run_step(kafka_writer *of, step how, void *user, const char *doing, ghee_error *err) {
  for (uint64_t end = ghee_clock_ms() + of->log->timeout_ms;;) {
    uint64_t now = ghee_clock_ms(), left = now < end ? end - now : 1;
    rd_kafka_error_t *error = how(of, user, left < STEP_MS ? (int)left : STEP_MS);
    if (!error) return GHEE_OK;
    if (ghee_kafka_hopeless(of->client) || !rd_kafka_error_is_retriable(error) || ghee_clock_ms() >= end) return transaction_error(of, error, doing, err);
    rd_kafka_error_destroy(error);
  }
}

static rd_kafka_error_t *do_init(kafka_writer *of, void *user, int timeout_ms) { return (void)user, rd_kafka_init_transactions(of->client->rk, timeout_ms); }
static rd_kafka_error_t *do_begin(kafka_writer *of, void *user, int timeout_ms) { return (void)user, (void)timeout_ms, rd_kafka_begin_transaction(of->client->rk); }
static rd_kafka_error_t *do_commit(kafka_writer *of, void *user, int timeout_ms) { return (void)user, rd_kafka_commit_transaction(of->client->rk, timeout_ms); }
static rd_kafka_error_t *do_abort(kafka_writer *of, void *user, int timeout_ms) { return (void)user, rd_kafka_abort_transaction(of->client->rk, timeout_ms); }

typedef struct offsets { rd_kafka_topic_partition_list_t *list; rd_kafka_consumer_group_metadata_t *group; } offsets;

static rd_kafka_error_t *do_offsets(kafka_writer *of, void *user, int timeout_ms) {
  offsets *with = user;
  return rd_kafka_send_offsets_to_transaction(of->client->rk, with->list, with->group, timeout_ms);
}

static ghee_status begin(kafka_writer *of, ghee_error *err) {
  if (!of->transactional || of->begun) return GHEE_OK;
  GHEE_TRY(run_step(of, do_begin, NULL, "begin a transaction in", err));
  of->begun = true;
  return GHEE_OK;
}

/* ---- records ---- */

static bool add(kafka_writer *of, rd_kafka_vu_t part) { return ghee_array_push(&of->parts, part); }

static bool describe(kafka_writer *of, const ghee_record *record) {
  of->parts.count = 0;
  rd_kafka_vu_t topic = record->topic ? (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = record->topic} : (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = of->client->topic};
  bool ok = add(of, topic) &&
            add(of, (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = record->partition == GHEE_ANY_PARTITION ? RD_KAFKA_PARTITION_UA : (int32_t)record->partition}) &&
            add(of, (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY});
  if (ok && record->key) ok = add(of, (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)record->key, record->key_bytes}});
  if (ok && record->value) ok = add(of, (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)record->value, record->value_bytes}});
  if (ok && record->timestamp_ms >= 0) ok = add(of, (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = record->timestamp_ms});
  for (size_t i = 0; i < record->n_headers && ok; i++)
    ok = add(of, (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_HEADER, .u.header = {record->headers[i].name, record->headers[i].value,
                                                                             record->headers[i].value ? (ssize_t)record->headers[i].value_bytes : 0}});
  return ok;
}

/* Hands one record over. The plain call is the cheaper one, but knows neither time nor headers nor other topics. */
static rd_kafka_resp_err_t produce(kafka_writer *of, const ghee_record *record, bool plain) {
  if (plain) {
    int32_t partition = record->partition == GHEE_ANY_PARTITION ? RD_KAFKA_PARTITION_UA : (int32_t)record->partition;
    int failed = rd_kafka_produce(of->client->topic, partition, RD_KAFKA_MSG_F_COPY, (void *)record->value, record->value_bytes, record->key, record->key_bytes, NULL);
    return failed ? rd_kafka_last_error() : RD_KAFKA_RESP_ERR_NO_ERROR;
  }
  rd_kafka_error_t *error = rd_kafka_produceva(of->client->rk, of->parts.items, of->parts.count);
  rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
  if (error) rd_kafka_error_destroy(error);
  return code;
}

static ghee_status append_one(kafka_writer *of, const ghee_record *record, ghee_error *err) {
  bool plain = record->timestamp_ms < 0 && record->n_headers == 0 && !record->topic;
  if (!plain && !describe(of, record)) return no_memory(err);
  for (uint64_t end = 0;;) {
    rd_kafka_resp_err_t code = produce(of, record, plain);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return GHEE_OK;
    uint64_t now = ghee_clock_ms();
    if (!end) end = now + of->log->timeout_ms;
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || now >= end) {
      GHEE_TRY(state_of(of, err));
      if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION) return ghee_error_set(err, GHEE_NOT_FOUND, "%s has no partition %u", of->log->uri, record->partition);
      return ghee_kafka_fail(of->log, of->client, code, err, "write a record of %zu bytes to", record->key_bytes + record->value_bytes);
    }
    rd_kafka_poll(of->client->rk, GHEE_KAFKA_SLICE_MS);
    GHEE_TRY(state_of(of, err));
  }
}

ghee_status ghee_kafka_append(ghee_log_writer *base, const ghee_record *records, size_t n, ghee_error *err) {
  kafka_writer *of = (kafka_writer *)base;
  GHEE_TRY(state_of(of, err));
  GHEE_TRY(begin(of, err));
  for (size_t i = 0; i < n; i++) GHEE_TRY(append_one(of, &records[i], err));
  return GHEE_OK;
}

/* Nothing is in flight any more, delivered or not. */
static ghee_status drain(kafka_writer *of, ghee_error *err) {
  int left = rd_kafka_outq_len(of->client->rk);
  for (uint64_t since = ghee_clock_ms(); rd_kafka_flush(of->client->rk, GHEE_KAFKA_SLICE_MS) != RD_KAFKA_RESP_ERR_NO_ERROR;) {
    int now_left = rd_kafka_outq_len(of->client->rk);
    if (now_left != left) since = ghee_clock_ms();
    left = now_left;
    if (ghee_kafka_hopeless(of->client) || ghee_clock_ms() - since >= of->log->timeout_ms)
      return ghee_kafka_fail(of->log, of->client, of->client->said ? of->client->said : RD_KAFKA_RESP_ERR__TIMED_OUT, err, "write the last %d records to", left);
  }
  return GHEE_OK;
}

ghee_status ghee_kafka_flush(ghee_log_writer *base, ghee_error *err) {
  kafka_writer *of = (kafka_writer *)base;
  GHEE_TRY(drain(of, err));
  return state_of(of, err);
}

ghee_status ghee_kafka_commit(ghee_log_writer *base, const char *group, const ghee_log_mark *marks, size_t n, ghee_error *err) {
  kafka_writer *of = (kafka_writer *)base;
  GHEE_TRY(begin(of, err));
  GHEE_TRY(ghee_kafka_flush(base, err));
  if (n > 0) {
    offsets with = {.list = ghee_kafka_marks(of->log, marks, n)};
    if (!with.list) return no_memory(err);
    with.group = rd_kafka_consumer_group_metadata_new(group);
    ghee_status status = run_step(of, do_offsets, &with, "put the offsets of a group into a transaction of", err);
    rd_kafka_topic_partition_list_destroy(with.list);
    rd_kafka_consumer_group_metadata_destroy(with.group);
    GHEE_TRY(status);
  }
  GHEE_TRY(run_step(of, do_commit, NULL, "commit a transaction in", err));
  of->begun = false;
  return GHEE_OK;
}

ghee_status ghee_kafka_abort(ghee_log_writer *base, ghee_error *err) {
  kafka_writer *of = (kafka_writer *)base;
  if (!of->begun) return GHEE_OK;
  GHEE_TRY(drain(of, err));
  GHEE_TRY(run_step(of, do_abort, NULL, "abort a transaction in", err));
  of->begun = false;
  of->client->undelivered = RD_KAFKA_RESP_ERR_NO_ERROR;
  return GHEE_OK;
}

void ghee_kafka_close_writer(ghee_log_writer *base) {
  kafka_writer *of = (kafka_writer *)base;
  if (!of) return;
  if (of->client) {
    if (of->begun) (void)ghee_kafka_abort(base, NULL); /* else the broker holds readers up until it times out */
    rd_kafka_purge(of->client->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    ghee_kafka_client_free(of->client);
  }
  ghee_array_fini(&of->parts);
  ghee_free(of);
}

ghee_status ghee_kafka_open_writer(ghee_record_log *base, const char *transactional_id, ghee_log_writer **out, ghee_error *err) {
  static const char *const idempotent[] = {"enable.idempotence", "true", NULL};
  const char *const transactional[] = {"transactional.id", transactional_id, NULL};
  kafka_writer *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return no_memory(err);
  of->base.ops = base->ops;
  of->log = (ghee_kafka *)base;
  of->transactional = transactional_id != NULL;
  uint32_t partitions;
  ghee_status status = ghee_kafka_count(of->log, &partitions, err); /* a topic that is not there is told now, and never made */
  if (status == GHEE_OK) status = ghee_kafka_client_new(of->log, RD_KAFKA_PRODUCER, of->transactional ? transactional : idempotent, prepare, &of->client, err);
  if (status == GHEE_OK && of->transactional) status = run_step(of, do_init, NULL, "begin to write in transactions to", err);
  if (status != GHEE_OK) {
    ghee_kafka_close_writer(&of->base);
    return status;
  }
  *out = &of->base;
  return GHEE_OK;
}
