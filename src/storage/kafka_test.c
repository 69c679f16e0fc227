/* SPDX-License-Identifier: Apache-2.0
 * Brokers that do not answer one kind of request, or answer late: calls end with GHEE_IO once `timeout` is over, and not before. The brokers
 * are librdkafka's own mocks, as a real one cannot be made to hold back an answer. What real ones do is in tests/conformance/record_log_test.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>
#include <stdio.h>

#include "storage/c11_threads.h"
#include "storage/kafka.h"

/* Requests of Kafka's protocol, by their numbers. */
enum { PRODUCE = 0, LIST_OFFSETS = 2, OFFSET_COMMIT = 8, OFFSET_FETCH = 9, FIND_COORDINATOR = 10, INIT_PRODUCER_ID = 22, ADD_PARTITIONS = 24,
       ADD_OFFSETS = 25, END_TRANSACTION = 26, TRANSACTION_OFFSETS = 28 };
enum { ANSWERS = 200, PARTITIONS = 3 };
enum { QUESTIONS = 15, ASKED_AGAIN = 6 }; /* the first ones, by ghee; librdkafka goes on with the others */
enum { NEVER_MS = 30000, LATE_MS = 400 }; /* far behind the timeout, and who waits for it all the same succeeds; behind the first try's end */
static const char short_s[] = "0.5", short_ms[] = "500", patient_s[] = "8";

static rd_kafka_t *host;
static rd_kafka_mock_cluster_t *brokers;
static ghee_record_log *rlog;
static pthread_t endings[QUESTIONS + ASKED_AGAIN];
static size_t n_endings;

static int open_host(void **state) {
  char reason[256];
  (void)state;
  return (host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), reason, sizeof reason)) ? 0 : -1;
}

static int close_host(void **state) {
  (void)state;
  while (n_endings > 0) pthread_join(endings[--n_endings], NULL);
  rd_kafka_destroy(host);
  return 0;
}

static int start_brokers(void **state) {
  (void)state;
  if (!(brokers = rd_kafka_mock_cluster_new(host, 1))) return -1;
  return rd_kafka_mock_topic_create(brokers, "topic", PARTITIONS, 1) == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : -1;
}

static void *destroy(void *of) {
  rd_kafka_mock_cluster_destroy(of);
  return NULL;
}

/* That takes them up to a second, while the next case runs. */
static int stop_brokers(void **state) {
  (void)state;
  return pthread_create(&endings[n_endings++], NULL, destroy, brokers) == 0 ? 0 : -1;
}

static void open_log(const char *timeout_s, const char *socket_timeout_ms) {
  char uri[512];
  ghee_settings settings = {0};
  snprintf(uri, sizeof uri, "kafka://%s/topic", rd_kafka_mock_cluster_bootstraps(brokers));
  assert_int_equal(ghee_settings_put(&settings, "timeout", timeout_s, NULL), GHEE_OK);
  if (socket_timeout_ms) assert_int_equal(ghee_settings_put(&settings, "socket.timeout.ms", socket_timeout_ms, NULL), GHEE_OK);
  assert_int_equal(ghee_record_log_kafka.open(uri, &settings, &rlog, NULL), GHEE_OK);
  ghee_settings_fini(&settings);
}

static void close_log(void) { rlog->ops->close(rlog); }

static void hold_back(int16_t request, int for_ms) {
  for (int i = 0; i < ANSWERS; i++)
    assert_int_equal(rd_kafka_mock_broker_push_request_error_rtts(brokers, 1, request, 1, RD_KAFKA_RESP_ERR_NO_ERROR, for_ms), RD_KAFKA_RESP_ERR_NO_ERROR);
}

static ghee_status ignore(void *user, const ghee_log_mark *mark, ghee_error *err) { return (void)user, (void)mark, (void)err, GHEE_OK; }

static ghee_status ask_partitions(ghee_error *err) {
  ghee_log_ranges ranges = {0};
  ghee_status status = rlog->ops->partitions(rlog, &ranges, err);
  if (status == GHEE_OK) assert_int_equal(ranges.count, PARTITIONS);
  ghee_array_fini(&ranges);
  return status;
}

static ghee_status ask_time(ghee_error *err) {
  ghee_log_range one = {.partition = 0};
  ghee_log_ranges ranges = {.items = &one, .count = 1};
  return rlog->ops->seek_time(rlog, 1, &ranges, err);
}

static const ghee_log_mark mark = {.partition = 0, .offset = 1, .note = "note"};

static ghee_status put_marks(ghee_error *err) { return rlog->ops->set_marks(rlog, "group", &mark, 1, err); }
static ghee_status ask_marks(ghee_error *err) { return rlog->ops->get_marks(rlog, "group", ignore, NULL, err); }

static ghee_status write_records(const char *id, ghee_error *err) {
  ghee_log_writer *writer;
  ghee_record record = {.partition = 0, .timestamp_ms = -1, .value = "value", .value_bytes = 5};
  GHEE_TRY(rlog->ops->open_writer(rlog, id, &writer, err));
  ghee_status status = writer->ops->append(writer, &record, 1, err);
  if (status == GHEE_OK) status = id ? writer->ops->commit(writer, "group", &mark, 1, err) : writer->ops->flush(writer, err);
  writer->ops->close_writer(writer);
  return status;
}
static ghee_status write_plain(ghee_error *err) { return write_records(NULL, err); }
static ghee_status write_transaction(ghee_error *err) { return write_records("id", err); }

typedef struct question {
  const char *name;
  int16_t request;
  ghee_status (*call)(ghee_error *err);
  const char *socket_timeout_ms; /* where only this ends librdkafka's wait */
} question;

static const question questions[QUESTIONS] = {
    {"offsets, partitions", LIST_OFFSETS, ask_partitions, NULL}, {"offsets, time", LIST_OFFSETS, ask_time, NULL},
    {"coordinator, marks asked for", FIND_COORDINATOR, ask_marks, NULL}, {"marks, asked for", OFFSET_FETCH, ask_marks, NULL},
    {"coordinator, marks stored", FIND_COORDINATOR, put_marks, NULL}, {"marks, stored", OFFSET_COMMIT, put_marks, short_ms},
    {"produce", PRODUCE, write_plain, NULL}, {"producer id", INIT_PRODUCER_ID, write_plain, NULL},
    {"coordinator, transaction", FIND_COORDINATOR, write_transaction, NULL}, {"producer id, transaction", INIT_PRODUCER_ID, write_transaction, NULL},
    {"partitions of a transaction", ADD_PARTITIONS, write_transaction, NULL}, {"produce, transaction", PRODUCE, write_transaction, NULL},
    {"group of a transaction", ADD_OFFSETS, write_transaction, short_ms}, {"marks of a transaction", TRANSACTION_OFFSETS, write_transaction, short_ms},
    {"end of a transaction", END_TRANSACTION, write_transaction, NULL}};

static void test_an_answer_that_never_comes(void **state) {
  const question *of = *state;
  ghee_error err;
  open_log(patient_s, NULL);
  assert_int_equal(of->call(&err), GHEE_OK);
  close_log();
  open_log(short_s, of->socket_timeout_ms);
  hold_back(of->request, NEVER_MS);
  assert_int_equal(of->call(&err), GHEE_IO);
  close_log();
}

static void test_answers_that_come_late(void **state) {
  const question *of = *state;
  ghee_error err;
  open_log(patient_s, NULL);
  hold_back(of->request, LATE_MS);
  assert_int_equal(of->call(&err), GHEE_OK);
  close_log();
}

int main(void) {
  struct CMUnitTest tests[QUESTIONS + ASKED_AGAIN];
  for (size_t i = 0; i < QUESTIONS + ASKED_AGAIN; i++) {
    const question *of = &questions[i % QUESTIONS];
    tests[i] = (struct CMUnitTest){.name = of->name, .test_func = i < QUESTIONS ? test_an_answer_that_never_comes : test_answers_that_come_late,
                                   .setup_func = start_brokers, .teardown_func = stop_brokers, .initial_state = (void *)of};
  }
  return cmocka_run_group_tests(tests, open_host, close_host);
}
