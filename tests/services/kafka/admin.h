/* SPDX-License-Identifier: Apache-2.0
 * What tests ask of a broker besides records: topics, partitions, retention. Each returns false when the broker did not do it. */
#ifndef TESTS_KAFKA_ADMIN_H
#define TESTS_KAFKA_ADMIN_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { KAFKA_ADMIN_MS = 30000 };

static inline rd_kafka_t *kafka_admin_client(const char *address) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", address, NULL, 0);
  return rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
}

/** The address of the broker that `up` started, or NULL. */
static inline const char *kafka_admin_address(void) {
  static char address[64];
  char path[4096];
  const char *run = getenv("KAFKA_RUN");
  snprintf(path, sizeof path, "%s/address", run ? run : "");
  FILE *file = run ? fopen(path, "r") : NULL;
  bool got = file && fscanf(file, "%63s", address) == 1;
  if (file) fclose(file);
  return got ? address : NULL;
}

/* Waits for the answer to a request, and gives whether each part of it went well. */
static inline bool kafka_admin_answer(rd_kafka_t *rk, rd_kafka_queue_t *queue) {
  rd_kafka_event_t *event = rd_kafka_queue_poll(queue, KAFKA_ADMIN_MS);
  bool ok = event && !rd_kafka_event_error(event);
  size_t n = 0;
  const rd_kafka_topic_result_t **topics = NULL;
  if (ok && rd_kafka_event_type(event) == RD_KAFKA_EVENT_CREATETOPICS_RESULT) topics = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
  if (ok && rd_kafka_event_type(event) == RD_KAFKA_EVENT_DELETETOPICS_RESULT) topics = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &n);
  for (size_t i = 0; i < n; i++) ok = ok && !rd_kafka_topic_result_error(topics[i]);
  if (event) rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
  rd_kafka_destroy(rk);
  return ok;
}

static inline rd_kafka_AdminOptions_t *kafka_admin_wait(rd_kafka_t *rk) {
  rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_ANY);
  rd_kafka_AdminOptions_set_operation_timeout(options, KAFKA_ADMIN_MS, NULL, 0);
  return options;
}

/** `key` and `value`: a setting of the topic, or NULL. */
static inline bool kafka_admin_create(const char *address, const char *topic, int partitions, const char *key, const char *value) {
  rd_kafka_t *rk = kafka_admin_client(address);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
  rd_kafka_NewTopic_t *made = rd_kafka_NewTopic_new(topic, partitions, 1, NULL, 0);
  if (key) rd_kafka_NewTopic_set_config(made, key, value);
  rd_kafka_AdminOptions_t *options = kafka_admin_wait(rk);
  rd_kafka_CreateTopics(rk, &made, 1, options, queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_NewTopic_destroy(made);
  return kafka_admin_answer(rk, queue);
}

static inline bool kafka_admin_delete(const char *address, const char *topic) {
  rd_kafka_t *rk = kafka_admin_client(address);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
  rd_kafka_DeleteTopic_t *which = rd_kafka_DeleteTopic_new(topic);
  rd_kafka_AdminOptions_t *options = kafka_admin_wait(rk);
  rd_kafka_DeleteTopics(rk, &which, 1, options, queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_DeleteTopic_destroy(which);
  return kafka_admin_answer(rk, queue);
}

/** Removes the records before `offset`. */
static inline bool kafka_admin_trim(const char *address, const char *topic, int partition, int64_t offset) {
  rd_kafka_t *rk = kafka_admin_client(address);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
  rd_kafka_DeleteRecords_t *which = rd_kafka_DeleteRecords_new(list);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_AdminOptions_t *options = kafka_admin_wait(rk);
  rd_kafka_DeleteRecords(rk, &which, 1, options, queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_DeleteRecords_destroy(which);
  return kafka_admin_answer(rk, queue);
}

#endif
