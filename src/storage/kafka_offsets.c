/* SPDX-License-Identifier: Apache-2.0
 * What Kafka knows by offsets: where partitions begin and end, where a time is, what groups have done. Calls of librdkafka that
 * have no deadline in some of its versions are left out. */
#include <string.h>

#include "storage/kafka.h"

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "asking Kafka for offsets"); }

/* ---- partitions and times ---- */

typedef struct metadata { ghee_kafka_client *client; uint32_t partitions; } metadata;

static rd_kafka_resp_err_t ask_metadata(void *user, int timeout_ms) {
  metadata *of = user;
  const struct rd_kafka_metadata *got;
  rd_kafka_resp_err_t code = rd_kafka_metadata(of->client->rk, 0, of->client->topic, &got, timeout_ms);
  if (code) return code;
  code = got->topic_cnt == 1 ? got->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
  of->partitions = code ? 0 : (uint32_t)got->topics[0].partition_cnt;
  rd_kafka_metadata_destroy(got);
  return code;
}

static ghee_status count(ghee_kafka *log, ghee_kafka_client *client, uint32_t *out, ghee_error *err) {
  metadata of = {.client = client};
  GHEE_TRY(ghee_kafka_try(log, client, ask_metadata, &of, "find topic", err));
  *out = of.partitions;
  return GHEE_OK;
}

ghee_status ghee_kafka_count(ghee_kafka *log, uint32_t *out, ghee_error *err) {
  ghee_kafka_client *client;
  GHEE_TRY(ghee_kafka_take(log, &client, err));
  ghee_status status = count(log, client, out, err);
  ghee_kafka_give_back(log, client);
  return status;
}

typedef struct times { ghee_kafka_client *client; rd_kafka_topic_partition_list_t *list; } times;

static rd_kafka_resp_err_t ask_times(void *user, int timeout_ms) {
  times *of = user;
  rd_kafka_topic_partition_list_t *copy = rd_kafka_topic_partition_list_copy(of->list);
  rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(of->client->rk, copy, timeout_ms);
  for (int i = 0; i < copy->cnt && !code; i++) code = copy->elems[i].err;
  rd_kafka_topic_partition_list_t *old = of->list;
  if (!code) of->list = copy;
  rd_kafka_topic_partition_list_destroy(code ? copy : old);
  return code;
}

/* The offsets of the partitions of `ranges` at a time, of which two are beginning and end. out gives; a partition has −1 where it has nothing so new. */
static ghee_status offsets_at(ghee_kafka *log, ghee_kafka_client *client, int64_t time_ms, const ghee_log_ranges *ranges, rd_kafka_topic_partition_list_t **out,
                              ghee_error *err) {
  times of = {.client = client, .list = rd_kafka_topic_partition_list_new((int)ranges->count)};
  for (size_t i = 0; i < ranges->count; i++) rd_kafka_topic_partition_list_add(of.list, log->topic, (int32_t)ranges->items[i].partition)->offset = time_ms;
  ghee_status status = ghee_kafka_try(log, client, ask_times, &of, "ask for the offsets of", err);
  if (status == GHEE_OK) *out = of.list;
  else rd_kafka_topic_partition_list_destroy(of.list);
  return status;
}

/* One request each to a broker for all its partitions, and an end: rd_kafka_query_watermark_offsets asks for one partition after the other, and
 * before 2.3 waits without end. */
static ghee_status find_ends(ghee_kafka *log, ghee_kafka_client *client, ghee_log_ranges *ranges, ghee_error *err) {
  rd_kafka_topic_partition_list_t *first = NULL, *end = NULL;
  ghee_status status = offsets_at(log, client, RD_KAFKA_OFFSET_BEGINNING, ranges, &first, err);
  if (status == GHEE_OK) status = offsets_at(log, client, RD_KAFKA_OFFSET_END, ranges, &end, err);
  for (size_t i = 0; i < ranges->count && status == GHEE_OK; i++) {
    ranges->items[i].first = first->elems[i].offset;
    ranges->items[i].end = end->elems[i].offset;
  }
  if (first) rd_kafka_topic_partition_list_destroy(first);
  if (end) rd_kafka_topic_partition_list_destroy(end);
  return status;
}

ghee_status ghee_kafka_partitions(ghee_record_log *base, ghee_log_ranges *out, ghee_error *err) {
  ghee_kafka *log = (ghee_kafka *)base;
  ghee_kafka_client *client;
  ghee_log_ranges all = {0};
  uint32_t n = 0;
  GHEE_TRY(ghee_kafka_take(log, &client, err));
  ghee_status status = count(log, client, &n, err);
  for (uint32_t i = 0; i < n && status == GHEE_OK; i++)
    if (!ghee_array_push(&all, ((ghee_log_range){.partition = i}))) status = no_memory(err);
  if (status == GHEE_OK) status = find_ends(log, client, &all, err);
  for (size_t i = 0; i < all.count && status == GHEE_OK; i++)
    if (!ghee_array_push(out, all.items[i])) status = no_memory(err);
  ghee_array_fini(&all);
  ghee_kafka_give_back(log, client);
  return status;
}

ghee_status ghee_kafka_seek_time(ghee_record_log *base, int64_t time_ms, ghee_log_ranges *ranges, ghee_error *err) {
  ghee_kafka *log = (ghee_kafka *)base;
  ghee_kafka_client *client;
  rd_kafka_topic_partition_list_t *found;
  if (ranges->count == 0) return GHEE_OK;
  GHEE_TRY(ghee_kafka_take(log, &client, err));
  ghee_status status = offsets_at(log, client, time_ms, ranges, &found, err);
  ghee_kafka_give_back(log, client);
  GHEE_TRY(status);
  for (size_t i = 0; i < ranges->count; i++) {
    int64_t offset = found->elems[i].offset;
    ranges->items[i].first = offset < 0 || offset > ranges->items[i].end ? ranges->items[i].end : offset;
  }
  rd_kafka_topic_partition_list_destroy(found);
  return GHEE_OK;
}

/* ---- marks of groups ---- */

rd_kafka_topic_partition_list_t *ghee_kafka_marks(const ghee_kafka *log, const ghee_log_mark *marks, size_t n) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);
  for (size_t i = 0; i < n; i++) {
    rd_kafka_topic_partition_t *one = rd_kafka_topic_partition_list_add(list, marks[i].topic ? marks[i].topic : log->topic, (int32_t)marks[i].partition);
    one->offset = marks[i].offset;
    if (!marks[i].note) continue;
    one->metadata = ghee_strdup(marks[i].note); /* librdkafka frees it, as malloc's */
    one->metadata_size = strlen(marks[i].note);
    if (one->metadata) continue;
    rd_kafka_topic_partition_list_destroy(list);
    return NULL;
  }
  return list;
}

/* Members of the group are not needed for this: a consumer that names it and subscribes to nothing. */
static ghee_status take_grouped(ghee_kafka *log, const char *group, ghee_kafka_client **out, ghee_error *err) {
  const char *more[] = {"group.id", group, "enable.auto.commit", "false", "allow.auto.create.topics", "false", NULL};
  ghee_kafka_client *client = NULL;
  pthread_mutex_lock(&log->locked.mutex);
  if (log->locked.grouped && strcmp(log->locked.group, group) == 0) {
    client = log->locked.grouped;
    log->locked.grouped = NULL;
  }
  pthread_mutex_unlock(&log->locked.mutex);
  if (!client) return ghee_kafka_client_new(log, RD_KAFKA_CONSUMER, more, NULL, out, err);
  *out = client;
  return GHEE_OK;
}

/* Keeps the last one. */
static void give_back_grouped(ghee_kafka *log, const char *group, ghee_kafka_client *client) {
  char *name = client->broken ? NULL : ghee_strdup(group);
  pthread_mutex_lock(&log->locked.mutex);
  ghee_kafka_client *old = log->locked.grouped;
  char *old_name = log->locked.group;
  log->locked.grouped = name ? client : NULL;
  log->locked.group = name;
  pthread_mutex_unlock(&log->locked.mutex);
  ghee_kafka_client_free(old);
  ghee_free(old_name);
  if (!name) ghee_kafka_client_free(client);
}

typedef struct group_call { ghee_kafka_client *client; rd_kafka_topic_partition_list_t *list; } group_call;

/* rd_kafka_commit would wait without end, and a client whose commit waits for the group's coordinator cannot be closed: so that one is found by a
 * question first. What an earlier try still has answered is the same. */
static rd_kafka_resp_err_t put_marks(void *user, int timeout_ms) {
  group_call *of = user;
  rd_kafka_topic_partition_list_t *before = rd_kafka_topic_partition_list_copy(of->list);
  rd_kafka_resp_err_t code = rd_kafka_committed(of->client->rk, before, timeout_ms);
  rd_kafka_topic_partition_list_destroy(before);
  if (!code) code = rd_kafka_commit_queue(of->client->rk, of->list, of->client->queue, NULL, NULL);
  rd_kafka_event_t *answer = code ? NULL : rd_kafka_queue_poll(of->client->queue, timeout_ms);
  if (!code) code = answer ? rd_kafka_event_error(answer) : RD_KAFKA_RESP_ERR__TIMED_OUT;
  if (answer) rd_kafka_event_destroy(answer);
  return code;
}

static rd_kafka_resp_err_t ask_marks(void *user, int timeout_ms) {
  group_call *of = user;
  rd_kafka_resp_err_t code = rd_kafka_committed(of->client->rk, of->list, timeout_ms);
  for (int i = 0; i < of->list->cnt && !code; i++) code = of->list->elems[i].err;
  return code;
}

ghee_status ghee_kafka_set_marks(ghee_record_log *base, const char *group, const ghee_log_mark *marks, size_t n, ghee_error *err) {
  ghee_kafka *log = (ghee_kafka *)base;
  group_call of = {0};
  GHEE_TRY(take_grouped(log, group, &of.client, err));
  of.list = ghee_kafka_marks(log, marks, n);
  ghee_status status = of.list ? ghee_kafka_try(log, of.client, put_marks, &of, "store the offsets of a group of", err) : no_memory(err);
  if (of.list) rd_kafka_topic_partition_list_destroy(of.list);
  give_back_grouped(log, group, of.client);
  return status;
}

ghee_status ghee_kafka_get_marks(ghee_record_log *base, const char *group, ghee_status (*each)(void *user, const ghee_log_mark *mark, ghee_error *err), void *user,
                                 ghee_error *err) {
  ghee_kafka *log = (ghee_kafka *)base;
  uint32_t n = 0;
  group_call of = {0};
  ghee_status status = ghee_kafka_count(log, &n, err);
  if (status == GHEE_OK) status = take_grouped(log, group, &of.client, err);
  if (status == GHEE_OK) {
    of.list = rd_kafka_topic_partition_list_new((int)n);
    for (uint32_t i = 0; i < n; i++) rd_kafka_topic_partition_list_add(of.list, log->topic, (int32_t)i);
    status = ghee_kafka_try(log, of.client, ask_marks, &of, "ask for the offsets of a group of", err);
  }
  for (int i = 0; status == GHEE_OK && i < of.list->cnt; i++) {
    const rd_kafka_topic_partition_t *one = &of.list->elems[i];
    if (one->offset < 0) continue;
    char *note = ghee_strndup(one->metadata ? one->metadata : "", one->metadata_size);
    ghee_log_mark mark = {.topic = log->topic, .partition = (uint32_t)one->partition, .offset = one->offset, .note = note};
    status = note ? each(user, &mark, err) : no_memory(err);
    ghee_free(note);
  }
  if (of.list) rd_kafka_topic_partition_list_destroy(of.list);
  if (of.client) give_back_grouped(log, group, of.client);
  return status;
}
