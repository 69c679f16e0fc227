/* SPDX-License-Identifier: Apache-2.0
 * The kafka: backend of record logs: URIs and settings, clients, failures in words. */
#include "storage/kafka.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"

enum { FRAME_BYTES = 512, DEFAULT_MESSAGE_BYTES = 1000000 }; /* around a record; message.max.bytes of librdkafka */
enum { DEFAULT_TIMEOUT_S = 120, NEW_TOPIC_MS = 2000 }; /* a topic that was just made is not known to every broker at once */
/* How long a try waits for its answer. It has to grow: a try that is given up asks anew, and brokers that are slower than it would never be heard.
 * With a short timeout it begins lower, so that there are several tries in it. */
enum { FIRST_PATIENCE_MS = 1000, MOST_PATIENCE_MS = 16000, TRIES_BY_TIMEOUT = 32 };

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "talking to Kafka"); }

/* ---- failures ---- */

ghee_status ghee_kafka_status(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR: return GHEE_OK;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION: case RD_KAFKA_RESP_ERR__SSL: case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED: case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED: case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED: return GHEE_DENIED;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC: case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION: case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART: return GHEE_NOT_FOUND;
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET: return GHEE_CHANGED;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE: case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE: return GHEE_LIMIT;
    case RD_KAFKA_RESP_ERR__FENCED: case RD_KAFKA_RESP_ERR_PRODUCER_FENCED: case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH: return GHEE_BUSY;
    case RD_KAFKA_RESP_ERR__BAD_MSG: case RD_KAFKA_RESP_ERR_INVALID_MSG: case RD_KAFKA_RESP_ERR__BAD_COMPRESSION: return GHEE_CORRUPT;
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION: case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE: return GHEE_UNSUPPORTED;
    case RD_KAFKA_RESP_ERR__INVALID_ARG: case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION: case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT: return GHEE_INVALID;
    default: return GHEE_IO;
  }
}

/* Older ones send a nonce that Kafka 4 takes for wrong credentials. */
enum { SCRAM_WORKS_FROM = 0x020601ff };

static bool scram_is_broken(const ghee_kafka *log) {
  bool scram = false;
  for (size_t i = 0; i < log->settings.count; i++)
    if (strcmp(log->settings.items[i].key, "sasl.mechanism") == 0 || strcmp(log->settings.items[i].key, "sasl.mechanisms") == 0)
      scram = strncmp(log->settings.items[i].value, "SCRAM-", 6) == 0;
  return scram && rd_kafka_version() < SCRAM_WORKS_FROM;
}

static const char *advice_on(const ghee_kafka *log, ghee_status status) {
  if (status == GHEE_DENIED && scram_is_broken(log))
    return "; check security.protocol, sasl.* and ssl.* in its options; SCRAM with brokers of Kafka 4 needs librdkafka 2.6.1, and the one in use is older: take PLAIN over TLS, "
           "or a newer librdkafka";
  switch (status) {
    case GHEE_BUSY: return "; another writer has taken over its transactional id: two jobs of one name must not run at once";
    case GHEE_DENIED: return "; check security.protocol, sasl.* and ssl.* in its options";
    case GHEE_IO: return "; check that the brokers are up and can be reached";
    case GHEE_NOT_FOUND: return "; is the name right? ghee makes no topics";
    case GHEE_LIMIT: return "; raise message.max.bytes in its options and max.message.bytes of the topic, or write smaller rows";
    default: return "";
  }
}

ghee_status ghee_kafka_fail(const ghee_kafka *log, const ghee_kafka_client *client, rd_kafka_resp_err_t code, ghee_error *err, const char *format, ...) {
  char doing[512];
  va_list args;
  va_start(args, format);
  vsnprintf(doing, sizeof doing, format, args);
  va_end(args);
  ghee_status status = ghee_kafka_status(code);
  const char *more = client && client->reason[0] ? client->reason : "";
  if (status == GHEE_IO && client && client->said && ghee_kafka_status(client->said) != GHEE_IO) status = ghee_kafka_status(client->said);
  return ghee_error_set(err, status, "cannot %s %s: %s%s%s%s%s", doing, log->uri, rd_kafka_err2str(code), *more ? " (" : "", more, *more ? ")" : "", advice_on(log, status));
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque) {
  ghee_kafka_client *client = opaque;
  char fatal[256];
  if (code == RD_KAFKA_RESP_ERR__FATAL) code = rd_kafka_fatal_error(rk, fatal, sizeof fatal), reason = fatal;
  bool worse = ghee_kafka_status((rd_kafka_resp_err_t)code) != GHEE_IO || !client->said || ghee_kafka_status(client->said) == GHEE_IO;
  if (!worse || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) return; /* the reason before says more */
  client->said = (rd_kafka_resp_err_t)code;
  snprintf(client->reason, sizeof client->reason, "%s", reason);
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
  (void)rk;
  ghee_log(level <= 4 ? GHEE_LOG_INFO : GHEE_LOG_DEBUG, "librdkafka %s: %s", facility, text);
}

bool ghee_kafka_hopeless(ghee_kafka_client *client) {
  rd_kafka_poll(client->rk, 0);
  ghee_status said = ghee_kafka_status(client->said);
  return said == GHEE_DENIED || said == GHEE_BUSY || said == GHEE_UNSUPPORTED;
}

ghee_status ghee_kafka_try(ghee_kafka *log, ghee_kafka_client *client, rd_kafka_resp_err_t (*call)(void *user, int timeout_ms), void *user, const char *doing,
                           ghee_error *err) {
  uint64_t end = ghee_clock_ms() + log->timeout_ms, new_topic_end = ghee_clock_ms() + NEW_TOPIC_MS;
  uint64_t first = log->timeout_ms / TRIES_BY_TIMEOUT;
  for (uint64_t patience = first < FIRST_PATIENCE_MS ? first + 1 : FIRST_PATIENCE_MS;; patience = patience < MOST_PATIENCE_MS ? 2 * patience : patience) {
    uint64_t start = ghee_clock_ms(), left = start < end ? end - start : 1;
    rd_kafka_resp_err_t code = call(user, (int)(patience < left ? patience : left));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return GHEE_OK;
    uint64_t now = ghee_clock_ms();
    ghee_status status = ghee_kafka_status(code);
    bool may_pass = (status == GHEE_IO && now < end) || (status == GHEE_NOT_FOUND && now < new_topic_end);
    if (ghee_kafka_hopeless(client) || !may_pass) {
      client->broken = true;
      return ghee_kafka_fail(log, client, code, err, "%s", doing);
    }
    if (patience >= MOST_PATIENCE_MS / 4) ghee_log(GHEE_LOG_WARN, "cannot %s %s: %s; still trying", doing, log->uri, client->reason[0] ? client->reason : rd_kafka_err2str(code));
    if (now - start < GHEE_KAFKA_SLICE_MS) rd_kafka_poll(client->rk, GHEE_KAFKA_SLICE_MS);
  }
}

/* ---- clients ---- */

static ghee_status set(rd_kafka_conf_t *conf, const ghee_kafka *log, const char *key, const char *value, ghee_error *err) {
  char reason[512];
  if (rd_kafka_conf_set(conf, key, value, reason, sizeof reason) == RD_KAFKA_CONF_OK) return GHEE_OK;
  return ghee_error_set(err, GHEE_INVALID, "%s: option %s: %s", log->uri, key, ghee_setting_is_secret(key) ? "its value is not valid" : reason);
}

/* What ghee needs otherwise than librdkafka's defaults; then what the user says; then what must be so. */
static ghee_status configure(rd_kafka_conf_t *conf, const ghee_kafka *log, rd_kafka_type_t type, const char *const *more, ghee_error *err) {
  /* A full queue makes this version wait for fetch.error.backoff.ms, which is half a second by default. */
  static const char *const reading[] = {"queued.max.messages.kbytes", "8192", "fetch.wait.max.ms", "10", "fetch.error.backoff.ms", "10", "check.crcs", "true",
                                        NULL};
  static const char *const writing[] = {"linger.ms", "5", "queue.buffering.max.kbytes", "65536", "partitioner", "murmur2_random", NULL};
  for (const char *const *at = type == RD_KAFKA_CONSUMER ? reading : writing; *at; at += 2) GHEE_TRY(set(conf, log, at[0], at[1], err));
  for (size_t i = 0; i < log->settings.count; i++) GHEE_TRY(set(conf, log, log->settings.items[i].key, log->settings.items[i].value, err));
  for (const char *const *at = more; at && *at; at += 2) GHEE_TRY(set(conf, log, at[0], at[1], err));
  return set(conf, log, "bootstrap.servers", log->brokers, err);
}

/* The TLS library does not say which file it could not use. */
static ghee_status refused(const ghee_kafka *log, const char *reason, ghee_error *err) {
  ghee_buffer files = {0};
  for (size_t i = 0; i < log->settings.count; i++) {
    const char *key = log->settings.items[i].key, *value = log->settings.items[i].value, *end = strstr(key, ".location");
    if (end && !end[strlen(".location")]) ghee_buffer_printf(&files, "; %s is %s%s", key, value, access(value, R_OK) == 0 ? "" : ", which cannot be read");
  }
  ghee_status status = ghee_error_set(err, GHEE_INVALID, "%s: %s%s", log->uri, reason, files.size ? ghee_buffer_text(&files) : "");
  ghee_buffer_fini(&files);
  return status;
}

ghee_status ghee_kafka_client_new(const ghee_kafka *log, rd_kafka_type_t type, const char *const *more, void (*prepare)(rd_kafka_conf_t *conf),
                                  ghee_kafka_client **out, ghee_error *err) {
  ghee_kafka_client *client = ghee_alloc_zero(1, sizeof *client);
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  char reason[512];
  ghee_status status = client ? configure(conf, log, type, more, err) : no_memory(err);
  if (status == GHEE_OK) {
    rd_kafka_conf_set_opaque(conf, client);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    if (prepare) prepare(conf);
    client->rk = rd_kafka_new(type, conf, reason, sizeof reason);
    if (!client->rk) status = refused(log, reason, err);
  }
  if (status != GHEE_OK) {
    rd_kafka_conf_destroy(conf);
    ghee_free(client);
    return status;
  }
  client->topic = rd_kafka_topic_new(client->rk, log->topic, NULL);
  client->queue = rd_kafka_queue_new(client->rk);
  if (!client->topic || !client->queue) {
    ghee_kafka_client_free(client);
    return no_memory(err);
  }
  *out = client;
  return GHEE_OK;
}

void ghee_kafka_client_free(ghee_kafka_client *client) {
  if (!client) return;
  if (client->queue) rd_kafka_queue_destroy(client->queue);
  if (client->topic) rd_kafka_topic_destroy(client->topic);
  rd_kafka_destroy_flags(client->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  ghee_free(client);
}

ghee_status ghee_kafka_take(ghee_kafka *log, ghee_kafka_client **out, ghee_error *err) {
  static const char *const must[] = {"enable.partition.eof", "true", "isolation.level", "read_committed", "auto.offset.reset", "error",
                                     "allow.auto.create.topics", "false", "enable.auto.commit", "false", NULL};
  ghee_kafka_client *client = NULL;
  pthread_mutex_lock(&log->locked.mutex);
  if (log->locked.idle.count > 0) client = log->locked.idle.items[--log->locked.idle.count];
  pthread_mutex_unlock(&log->locked.mutex);
  if (!client) return ghee_kafka_client_new(log, RD_KAFKA_CONSUMER, must, NULL, out, err);
  client->said = RD_KAFKA_RESP_ERR_NO_ERROR;
  client->reason[0] = 0;
  *out = client;
  return GHEE_OK;
}

void ghee_kafka_give_back(ghee_kafka *log, ghee_kafka_client *client) {
  pthread_mutex_lock(&log->locked.mutex);
  bool kept = !client->broken && ghee_array_push(&log->locked.idle, client);
  pthread_mutex_unlock(&log->locked.mutex);
  if (!kept) ghee_kafka_client_free(client);
}

/* ---- the log ---- */

static void close_log(ghee_record_log *base) {
  ghee_kafka *log = (ghee_kafka *)base;
  for (size_t i = 0; i < log->locked.idle.count; i++) ghee_kafka_client_free(log->locked.idle.items[i]);
  ghee_array_fini(&log->locked.idle);
  ghee_kafka_client_free(log->locked.grouped);
  ghee_free(log->locked.group);
  pthread_mutex_destroy(&log->locked.mutex);
  ghee_settings_fini(&log->settings);
  ghee_free(log->uri);
  ghee_free(log->brokers);
  ghee_free(log->topic);
  ghee_free(log);
}

static ghee_status parse_uri(ghee_kafka *log, const char *uri, ghee_error *err) {
  const char *brokers = strncmp(uri, "kafka://", 8) == 0 ? uri + 8 : "", *slash = strchr(brokers, '/'), *topic = slash ? slash + 1 : "";
  bool ok = slash > brokers && *topic && strlen(topic) <= 249 && strspn(topic, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == strlen(topic);
  if (!ok || memchr(brokers, '@', (size_t)(slash - brokers)))
    return ghee_error_set(err, GHEE_INVALID, "%s is no topic of Kafka: write kafka://host:port[,host:port]/topic, and users and passwords into its options",
                          memchr(uri, '@', strlen(uri)) ? "kafka://…" : uri);
  log->uri = ghee_strdup(uri);
  log->brokers = ghee_strndup(brokers, (size_t)(slash - brokers));
  log->topic = ghee_strdup(topic);
  return log->uri && log->brokers && log->topic ? GHEE_OK : no_memory(err);
}

static ghee_status read_settings(ghee_kafka *log, const ghee_settings *settings, ghee_error *err) {
  static const char *const ours[] = {"bootstrap.servers", "isolation.level", "enable.partition.eof", "auto.offset.reset", "enable.auto.commit",
                                     "group.id", "transactional.id", "enable.idempotence"};
  log->timeout_ms = DEFAULT_TIMEOUT_S * 1000;
  for (size_t i = 0; i < settings->count; i++) {
    const ghee_setting *one = &settings->items[i];
    for (size_t k = 0; k < sizeof ours / sizeof *ours; k++)
      if (strcmp(ours[k], one->key) == 0) return ghee_error_set(err, GHEE_INVALID, "%s: option %s is set by ghee", log->uri, one->key);
    if (strcmp(one->key, "timeout") != 0) {
      GHEE_TRY(ghee_settings_put(&log->settings, one->key, one->value, err));
      continue;
    }
    char *end;
    double seconds = strtod(one->value, &end);
    if (*end || !(seconds > 0 && seconds < 1e6)) return ghee_error_set(err, GHEE_INVALID, "%s: option timeout is a number of seconds, not '%s'", log->uri, one->value);
    log->timeout_ms = (uint64_t)(seconds * 1000);
  }
  return ghee_settings_from_environment(&log->settings, "GHEE_KAFKA", err);
}

static uint64_t record_limit(const ghee_settings *settings) {
  uint64_t most = DEFAULT_MESSAGE_BYTES;
  for (size_t i = 0; i < settings->count; i++)
    if (strcmp(settings->items[i].key, "message.max.bytes") == 0) most = strtoull(settings->items[i].value, NULL, 10);
  return most > FRAME_BYTES ? most - FRAME_BYTES : 1;
}

/* Only making a client tells whether librdkafka takes the settings; it connects to nothing yet. */
static ghee_status check_settings(ghee_kafka *log, ghee_error *err) {
  ghee_kafka_client *client;
  GHEE_TRY(ghee_kafka_take(log, &client, err));
  ghee_kafka_give_back(log, client);
  return GHEE_OK;
}

static ghee_status open_log(const char *uri, const ghee_settings *settings, ghee_record_log **out, ghee_error *err) {
  ghee_kafka *log = ghee_alloc_zero(1, sizeof *log);
  if (!log) return no_memory(err);
  log->base.ops = &ghee_record_log_kafka;
  pthread_mutex_init(&log->locked.mutex, NULL);
  ghee_status status = parse_uri(log, uri, err);
  if (status == GHEE_OK) status = read_settings(log, settings, err);
  if (status == GHEE_OK) status = check_settings(log, err);
  log->most_bytes = record_limit(&log->settings);
  if (status != GHEE_OK) {
    close_log(&log->base);
    return status;
  }
  *out = &log->base;
  return GHEE_OK;
}

static const char *topic_of(const ghee_record_log *base) { return ((const ghee_kafka *)base)->topic; }

static uint64_t most_bytes(const ghee_record_log *base) { return ((const ghee_kafka *)base)->most_bytes; }

const struct ghee_record_log_ops ghee_record_log_kafka = {
    .scheme = "kafka", .open = open_log, .close = close_log, .topic = topic_of, .most_bytes = most_bytes, .partitions = ghee_kafka_partitions, .seek_time = ghee_kafka_seek_time,
    .read = ghee_kafka_read, .next = ghee_kafka_next, .end = ghee_kafka_end,
    .open_writer = ghee_kafka_open_writer, .append = ghee_kafka_append, .flush = ghee_kafka_flush, .commit = ghee_kafka_commit, .abort = ghee_kafka_abort,
    .close_writer = ghee_kafka_close_writer, .set_marks = ghee_kafka_set_marks, .get_marks = ghee_kafka_get_marks};
