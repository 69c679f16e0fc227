/* SPDX-License-Identifier: Apache-2.0
 * What every backend of ghee_record_log does. A backend is one line of `backends`. That of Kafka needs the broker of tests/services/kafka, which ctest
 * starts (KAFKA_RUN is its folder); without it those cases are skipped. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../services/kafka/admin.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/nth_alloc.h"
#include "storage/c11_threads.h"
#include "storage/record_log.h"

typedef struct backend {
  const struct ghee_record_log_ops *ops;
  const char *(*make)(int partitions); /* URI of a new log; NULL: cannot be had here */
  void (*trim)(int partition, int64_t before);
  void (*remove)(void);
} backend;

static char uri[4096], topic[160];
static ghee_record_log *rlog;

static const char *make_kafka(int partitions) {
  const char *address = kafka_admin_address();
  static int made;
  if (!address) return NULL;
  snprintf(topic, sizeof topic, "conformance-%d-%d", (int)getpid(), made++);
  assert_true(kafka_admin_create(address, topic, partitions, NULL, NULL));
  snprintf(uri, sizeof uri, "kafka://%s/%s", address, topic);
  return uri;
}
static void trim_kafka(int partition, int64_t before) { assert_true(kafka_admin_trim(kafka_admin_address(), topic, partition, before)); }
static void remove_kafka(void) { assert_true(kafka_admin_delete(kafka_admin_address(), topic)); }

static const char *make_file(int partitions) {
  char name[] = "/tmp/ghee-log-XXXXXX", text[16];
  assert_non_null(mkdtemp(name));
  snprintf(uri, sizeof uri, "file:%s", name);
  snprintf(text, sizeof text, "%d", partitions);
  ghee_settings settings = {0};
  ghee_record_log *made;
  ghee_log_writer *writer;
  assert_int_equal(ghee_settings_put(&settings, "partitions", text, NULL), GHEE_OK);
  assert_int_equal(ghee_record_log_file.open(uri, &settings, &made, NULL), GHEE_OK);
  assert_int_equal(made->ops->open_writer(made, NULL, &writer, NULL), GHEE_OK);
  writer->ops->close_writer(writer);
  ghee_record_log_close(made);
  ghee_settings_fini(&settings);
  return uri;
}
/* Whole files go; the tests write more than one file's worth before they trim. */
static void trim_file(int partition, int64_t before) {
  char command[8192];
  snprintf(command, sizeof command, "cd %s/partition-%05d && for f in *.records; do [ \"${f%%.records}\" -lt %lld ] && rm $f; done; true", uri + 5, partition, (long long)before);
  assert_int_equal(system(command), 0);
}
static void remove_file(void) { assert_int_equal(ghee_dir_remove_all(uri + 5, NULL), GHEE_OK); }

static const backend backends[] = {{&ghee_record_log_file, make_file, trim_file, remove_file}, {&ghee_record_log_kafka, make_kafka, trim_kafka, remove_kafka}};
static const backend *of;

#define OK(call)                                        \
  do {                                                  \
    ghee_error err_;                                    \
    if ((call) != GHEE_OK) fail_msg("%s", err_.message); \
  } while (0)

static void begin(int partitions) {
  ghee_record_log_register(of->ops);
  if (!of->make(partitions)) {
    print_message("no broker: KAFKA_RUN does not name the folder of a running one\n");
    skip();
  }
  OK(ghee_record_log_open(uri, NULL, &rlog, &err_));
}

static void end(void) {
  ghee_record_log_close(rlog);
  of->remove();
}

static ghee_log_writer *writer_of(const char *id) {
  ghee_log_writer *writer;
  OK(rlog->ops->open_writer(rlog, id, &writer, &err_));
  return writer;
}

static void append_text(ghee_log_writer *writer, uint32_t partition, const char *text) {
  ghee_record record = {.partition = partition, .timestamp_ms = -1, .value = text, .value_bytes = strlen(text)};
  OK(writer->ops->append(writer, &record, 1, &err_));
}

static ghee_log_range range_of(uint32_t partition) {
  ghee_log_ranges all = {0};
  OK(rlog->ops->partitions(rlog, &all, &err_));
  assert_true(partition < all.count);
  ghee_log_range range = all.items[partition];
  assert_int_equal(range.partition, partition);
  ghee_array_fini(&all);
  return range;
}

/* "a b c": the values of a range. */
static const char *texts_of(const ghee_log_range *range) {
  static char text[1 << 16];
  ghee_log_reader *reader;
  ghee_record records[3];
  size_t n, used = 0;
  ghee_status status;
  ghee_error err;
  int64_t last = -1;
  OK(rlog->ops->read(rlog, range, &reader, &err_));
  while ((status = reader->ops->next(reader, records, 3, &n, &err)) == GHEE_OK) {
    assert_in_range(n, 1, 3);
    for (size_t i = 0; i < n; i++) {
      assert_int_equal(records[i].partition, range->partition);
      assert_true(records[i].offset > last && records[i].offset >= range->first && records[i].offset < range->end);
      last = records[i].offset;
      used += (size_t)sprintf(text + used, "%s%.*s", used ? " " : "", (int)records[i].value_bytes, (const char *)records[i].value);
    }
  }
  if (status != GHEE_CLOSED) fail_msg("%s", err.message);
  assert_int_equal(reader->ops->next(reader, records, 3, &n, &err), GHEE_CLOSED);
  reader->ops->end(reader);
  text[used] = 0;
  return text;
}

static const char *all_texts(uint32_t partition) {
  ghee_log_range range = range_of(partition);
  return texts_of(&range);
}

/* What was committed may be seen a moment later. */
static void expect_texts(uint32_t partition, const char *want) {
  uint64_t end = ghee_clock_ms() + 20000;
  while (strcmp(all_texts(partition), want) != 0 && ghee_clock_ms() < end) {}
  assert_string_equal(all_texts(partition), want);
}

/* ---- cases ---- */

static void test_records_come_back_as_they_were(void **state) {
  (void)state;
  begin(2);
  const ghee_record_header headers[] = {{"a", "1", 1}, {"a", "\0two", 4}, {"empty", "", 0}, {"null", NULL, 0}};
  const ghee_record written[] = {
      {.partition = 1, .timestamp_ms = 1700000000123, .key = "k\0\xff", .key_bytes = 3, .value = "v\0w", .value_bytes = 3, .headers = headers, .n_headers = 4},
      {.partition = 1, .timestamp_ms = 5, .key = "", .key_bytes = 0, .value = "", .value_bytes = 0},
      {.partition = 1, .timestamp_ms = 6, .key = NULL, .value = NULL},
      {.partition = 1, .timestamp_ms = 7, .value = "x", .value_bytes = 1, .headers = headers + 1, .n_headers = 1}};
  ghee_log_writer *writer = writer_of(NULL);
  OK(writer->ops->append(writer, written, 4, &err_));
  OK(writer->ops->flush(writer, &err_));
  writer->ops->close_writer(writer);
  ghee_log_range range = range_of(1), other = range_of(0);
  assert_true(range.first == 0 && range.end == 4 && other.first == 0 && other.end == 0);
  ghee_log_reader *reader;
  OK(rlog->ops->read(rlog, &range, &reader, &err_));
  ghee_record got[8];
  size_t total = 0, n;
  while (reader->ops->next(reader, got, 8, &n, NULL) == GHEE_OK)
    for (size_t i = 0; i < n; i++, total++) {
      const ghee_record *want = &written[total], *is = &got[i];
      assert_true(is->partition == 1 && is->offset == (int64_t)total && is->timestamp_ms == want->timestamp_ms);
      assert_int_equal(is->key == NULL, want->key == NULL);
      assert_int_equal(is->value == NULL, want->value == NULL);
      assert_int_equal(is->key_bytes, want->key_bytes);
      assert_int_equal(is->value_bytes, want->value_bytes);
      if (is->key_bytes) assert_memory_equal(is->key, want->key, is->key_bytes);
      if (is->value_bytes) assert_memory_equal(is->value, want->value, is->value_bytes);
      assert_int_equal(is->n_headers, want->n_headers);
      for (size_t h = 0; h < is->n_headers; h++) {
        assert_string_equal(is->headers[h].name, want->headers[h].name);
        assert_int_equal(is->headers[h].value == NULL, want->headers[h].value == NULL);
        assert_int_equal(is->headers[h].value_bytes, want->headers[h].value_bytes);
        if (is->headers[h].value_bytes) assert_memory_equal(is->headers[h].value, want->headers[h].value, is->headers[h].value_bytes);
      }
    }
  assert_int_equal(total, 4);
  reader->ops->end(reader);
  assert_string_equal(rlog->ops->topic(rlog), strrchr(uri, '/') + 1);
  end();
}

static void test_a_range_is_read_exactly(void **state) {
  (void)state;
  begin(1);
  ghee_log_writer *writer = writer_of(NULL);
  for (int i = 0; i < 10; i++) append_text(writer, 0, (const char *[]){"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}[i]);
  OK(writer->ops->flush(writer, &err_));
  assert_string_equal(texts_of(&(ghee_log_range){0, 3, 7}), "3 4 5 6");
  assert_string_equal(texts_of(&(ghee_log_range){0, 9, 10}), "9");
  assert_string_equal(texts_of(&(ghee_log_range){0, 4, 4}), "");
  assert_string_equal(texts_of(&(ghee_log_range){0, 0, 10}), "0 1 2 3 4 5 6 7 8 9");
  append_text(writer, 0, "10");
  OK(writer->ops->flush(writer, &err_));
  writer->ops->close_writer(writer);
  assert_string_equal(texts_of(&(ghee_log_range){0, 8, 10}), "8 9"); /* what came later is not of the range */
  ghee_log_reader *a, *b;
  ghee_record record;
  size_t n;
  OK(rlog->ops->read(rlog, &(ghee_log_range){0, 0, 11}, &a, &err_)); /* two at once */
  OK(rlog->ops->read(rlog, &(ghee_log_range){0, 5, 11}, &b, &err_));
  for (int i = 0; i < 6; i++) {
    OK(a->ops->next(a, &record, 1, &n, &err_));
    assert_true(n == 1 && record.offset == i);
    OK(b->ops->next(b, &record, 1, &n, &err_));
    assert_true(n == 1 && record.offset == 5 + i);
  }
  assert_int_equal(b->ops->next(b, &record, 1, &n, NULL), GHEE_CLOSED);
  b->ops->end(b);
  a->ops->end(a); /* before its end */
  end();
}

static void test_much_is_read_in_order(void **state) {
  (void)state;
  enum { RECORDS = 60000, LARGE = 900000 };
  begin(1);
  ghee_log_writer *writer = writer_of(NULL);
  char *large = malloc(LARGE), text[128];
  memset(large, 'x', LARGE);
  for (int i = 0; i < RECORDS; i++) {
    int size = snprintf(text, sizeof text, "%d", i);
    ghee_record record = {.timestamp_ms = -1, .value = text, .value_bytes = (size_t)size};
    if (i % 10000 == 5000) record.value = large, record.value_bytes = LARGE;
    OK(writer->ops->append(writer, &record, 1, &err_));
    if (i == RECORDS / 2) OK(writer->ops->flush(writer, &err_));
  }
  OK(writer->ops->flush(writer, &err_));
  writer->ops->close_writer(writer);
  ghee_log_range range = range_of(0);
  assert_int_equal(range.end, RECORDS);
  ghee_log_reader *reader;
  OK(rlog->ops->read(rlog, &range, &reader, &err_));
  static ghee_record got[512];
  size_t n;
  int next = 0;
  ghee_status status;
  while ((status = reader->ops->next(reader, got, 512, &n, NULL)) == GHEE_OK)
    for (size_t i = 0; i < n; i++, next++) {
      assert_int_equal(got[i].offset, next);
      snprintf(text, sizeof text, "%d", next);
      if (next % 10000 == 5000) assert_true(got[i].value_bytes == LARGE && memcmp(got[i].value, large, LARGE) == 0);
      else assert_true(got[i].value_bytes == strlen(text) && memcmp(got[i].value, text, got[i].value_bytes) == 0);
    }
  assert_int_equal(status, GHEE_CLOSED);
  assert_int_equal(next, RECORDS);
  reader->ops->end(reader);
  free(large);
  end();
}

static void test_times_are_found(void **state) {
  (void)state;
  begin(2);
  ghee_log_writer *writer = writer_of(NULL);
  for (int64_t i = 0; i < 10; i++) {
    ghee_record record = {.partition = 0, .timestamp_ms = 1700000000000 + i * 1000, .value = "v", .value_bytes = 1};
    OK(writer->ops->append(writer, &record, 1, &err_));
  }
  OK(writer->ops->flush(writer, &err_));
  writer->ops->close_writer(writer);
  static const struct { int64_t time_ms, offset; } times[] = {{0, 0}, {1700000000000, 0}, {1700000003000, 3}, {1700000003001, 4}, {1700000009000, 9}, {1700000009001, 10}};
  for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
    ghee_log_ranges all = {0};
    OK(rlog->ops->partitions(rlog, &all, &err_));
    OK(rlog->ops->seek_time(rlog, times[i].time_ms, &all, &err_));
    assert_int_equal(all.items[0].first, times[i].offset);
    assert_int_equal(all.items[1].first, 0); /* empty: its end */
    ghee_array_fini(&all);
  }
  end();
}

static void test_keys_choose_partitions(void **state) {
  (void)state;
  begin(4);
  ghee_log_writer *writer = writer_of(NULL);
  for (int i = 0; i < 200; i++) {
    char key[16];
    int size = snprintf(key, sizeof key, "key-%d", i % 50);
    ghee_record record = {.partition = GHEE_ANY_PARTITION, .timestamp_ms = -1, .key = key, .key_bytes = (size_t)size, .value = key, .value_bytes = (size_t)size};
    OK(writer->ops->append(writer, &record, 1, &err_));
  }
  OK(writer->ops->flush(writer, &err_));
  writer->ops->close_writer(writer);
  int where[50];
  memset(where, -1, sizeof where);
  int used = 0, total = 0;
  for (uint32_t p = 0; p < 4; p++) {
    char copy[1 << 14], *at = copy;
    snprintf(copy, sizeof copy, "%s", all_texts(p));
    used += *copy != 0;
    for (char *word; (word = strsep(&at, " ")) && *word; total++) {
      int key = atoi(word + 4);
      assert_true(where[key] == -1 || where[key] == (int)p);
      where[key] = (int)p;
    }
  }
  assert_int_equal(total, 200);
  assert_true(used > 1);
  end();
}

static void test_transactions_show_all_or_nothing(void **state) {
  (void)state;
  begin(2);
  ghee_log_writer *writer = writer_of("t1");
  append_text(writer, 0, "a");
  append_text(writer, 1, "b");
  OK(writer->ops->flush(writer, &err_));
  expect_texts(0, "");
  OK(writer->ops->commit(writer, NULL, NULL, 0, &err_));
  expect_texts(0, "a");
  expect_texts(1, "b");
  append_text(writer, 0, "lost");
  append_text(writer, 1, "lost");
  OK(writer->ops->flush(writer, &err_));
  OK(writer->ops->abort(writer, &err_));
  expect_texts(0, "a"); /* also where the last that is there is no record to be read */
  append_text(writer, 0, "c");
  OK(writer->ops->commit(writer, NULL, NULL, 0, &err_));
  expect_texts(0, "a c");
  OK(writer->ops->commit(writer, NULL, NULL, 0, &err_)); /* nothing */
  append_text(writer, 1, "left");
  OK(writer->ops->flush(writer, &err_));
  writer->ops->close_writer(writer); /* not committed */
  expect_texts(1, "b");
  end();
}

static void test_a_second_writer_fences_the_first(void **state) {
  (void)state;
  begin(1);
  ghee_log_writer *first = writer_of("same");
  append_text(first, 0, "committed");
  OK(first->ops->commit(first, NULL, NULL, 0, &err_));
  append_text(first, 0, "undone");
  OK(first->ops->flush(first, &err_));
  ghee_log_writer *second = writer_of("same"), *other = writer_of("other");
  ghee_error err = {0};
  ghee_status status = first->ops->commit(first, NULL, NULL, 0, &err);
  if (status != GHEE_BUSY) fail_msg("%d %s", status, err.message);
  assert_non_null(strstr(err.message, "another writer has taken over"));
  append_text(second, 0, "second");
  OK(second->ops->commit(second, NULL, NULL, 0, &err_));
  append_text(other, 0, "other");
  OK(other->ops->commit(other, NULL, NULL, 0, &err_));
  expect_texts(0, "committed second other");
  first->ops->close_writer(first);
  second->ops->close_writer(second);
  other->ops->close_writer(other);
  end();
}

static ghee_status add_mark(void *user, const ghee_log_mark *mark, ghee_error *err) {
  (void)err;
  sprintf((char *)user + strlen(user), "%u=%lld(%s) ", mark->partition, (long long)mark->offset, mark->note);
  return GHEE_OK;
}

static const char *marks_of(const char *group) {
  static char text[256];
  *text = 0;
  OK(rlog->ops->get_marks(rlog, group, add_mark, text, &err_));
  return text;
}

static void test_marks_of_groups(void **state) {
  (void)state;
  begin(2);
  char g1[80], g2[80];
  snprintf(g1, sizeof g1, "g1-%s", strrchr(uri, '/') + 1);
  snprintf(g2, sizeof g2, "g2-%s", strrchr(uri, '/') + 1);
  ghee_log_writer *writer = writer_of("marks");
  assert_string_equal(marks_of(g1), ""); /* a broker that has just begun would refuse what comes now */
  append_text(writer, 0, "a");
  OK(writer->ops->commit(writer, g1, (ghee_log_mark[]){{NULL, 0, 7, "seven"}, {NULL, 1, 8, NULL}}, 2, &err_));
  assert_string_equal(marks_of(g1), "0=7(seven) 1=8() ");
  append_text(writer, 0, "b");
  OK(writer->ops->abort(writer, &err_));
  assert_string_equal(marks_of(g1), "0=7(seven) 1=8() ");
  OK(rlog->ops->set_marks(rlog, g2, &(ghee_log_mark){NULL, 1, 3, "x"}, 1, &err_));
  OK(rlog->ops->set_marks(rlog, g2, &(ghee_log_mark){NULL, 1, 4, "y"}, 1, &err_));
  assert_string_equal(marks_of(g2), "1=4(y) ");
  OK(writer->ops->commit(writer, g2, &(ghee_log_mark){NULL, 0, 1, NULL}, 1, &err_)); /* marks alone */
  assert_string_equal(marks_of(g2), "0=1() 1=4(y) ");
  assert_string_equal(marks_of("nobody"), "");
  writer->ops->close_writer(writer);
  end();
}

static void test_offsets_that_are_gone(void **state) {
  (void)state;
  enum { SIZE = 900000 };
  begin(1);
  ghee_log_writer *writer = writer_of(NULL);
  char *large = calloc(1, SIZE);
  for (int i = 0; i < 40; i++) {
    ghee_record record = {.timestamp_ms = -1, .value = large, .value_bytes = SIZE};
    OK(writer->ops->append(writer, &record, 1, &err_));
    OK(writer->ops->flush(writer, &err_));
  }
  writer->ops->close_writer(writer);
  of->trim(0, 10);
  ghee_log_range left = range_of(0);
  assert_true(left.first > 0 && left.end == 40);
  ghee_log_reader *reader;
  ghee_record record;
  size_t n;
  ghee_error err;
  ghee_status status = rlog->ops->read(rlog, &(ghee_log_range){0, 0, 40}, &reader, &err);
  if (status == GHEE_OK) {
    status = reader->ops->next(reader, &record, 1, &n, &err);
    reader->ops->end(reader);
  }
  assert_int_equal(status, GHEE_CHANGED);
  assert_non_null(strstr(err.message, "are gone"));
  OK(rlog->ops->read(rlog, &left, &reader, &err_));
  OK(reader->ops->next(reader, &record, 1, &n, &err_));
  assert_int_equal(record.offset, left.first);
  reader->ops->end(reader);
  free(large);
  end();
}

static void test_a_log_that_is_not_there(void **state) {
  (void)state;
  begin(1);
  ghee_record_log_close(rlog);
  char there[sizeof uri];
  memcpy(there, uri, sizeof uri);
  strcat(uri, "-not");
  ghee_error err;
  ghee_log_ranges all = {0};
  OK(ghee_record_log_open(uri, NULL, &rlog, &err_));
  assert_int_equal(rlog->ops->partitions(rlog, &all, &err), GHEE_NOT_FOUND);
  assert_non_null(strstr(err.message, uri));
  memcpy(uri, there, sizeof uri);
  end();
}

/* A pair of records and a mark with its note in one transaction, and all of it read again. */
static ghee_status write_and_read(ghee_error *err) {
  const ghee_record_header header = {"h", "1", 1};
  const ghee_record pair[] = {{.partition = 0, .timestamp_ms = 5, .key = "k", .key_bytes = 1, .value = "v", .value_bytes = 1, .headers = &header, .n_headers = 1},
                              {.partition = 1, .timestamp_ms = -1, .value = "v", .value_bytes = 1}};
  char group[80], notes[256] = "";
  snprintf(group, sizeof group, "memory-%s", strrchr(uri, '/') + 1);
  ghee_log_writer *writer = NULL;
  ghee_log_reader *reader = NULL;
  ghee_log_ranges all = {0}, late = {0};
  ghee_record got[4];
  size_t n;
  ghee_status status = rlog->ops->open_writer(rlog, "memory", &writer, err);
  if (status == GHEE_OK) status = writer->ops->append(writer, pair, 2, err);
  if (status == GHEE_OK) status = writer->ops->commit(writer, group, &(ghee_log_mark){NULL, 0, 7, "noted"}, 1, err);
  if (writer) writer->ops->close_writer(writer);
  if (status == GHEE_OK) status = rlog->ops->set_marks(rlog, group, &(ghee_log_mark){NULL, 1, 8, "noted"}, 1, err);
  if (status == GHEE_OK) status = rlog->ops->get_marks(rlog, group, add_mark, notes, err);
  if (status == GHEE_OK) assert_string_equal(notes, "0=7(noted) 1=8(noted) ");
  if (status == GHEE_OK) status = rlog->ops->partitions(rlog, &all, err);
  if (status == GHEE_OK) status = rlog->ops->partitions(rlog, &late, err);
  if (status == GHEE_OK) status = rlog->ops->seek_time(rlog, 5, &late, err);
  if (status == GHEE_OK) status = rlog->ops->read(rlog, &all.items[0], &reader, err);
  while (status == GHEE_OK && (status = reader->ops->next(reader, got, 4, &n, err)) == GHEE_OK)
    for (size_t i = 0; i < n; i++) assert_true(got[i].n_headers == 1 && strcmp(got[i].headers[0].name, "h") == 0);
  if (reader) reader->ops->end(reader);
  ghee_array_fini(&all);
  ghee_array_fini(&late);
  return status;
}

/* On a log of its own each time, so that nothing is kept from one to the next. */
static ghee_status open_write_and_read(void *user, ghee_error *err) {
  (void)user;
  ghee_record_log_close(rlog);
  rlog = NULL;
  GHEE_TRY(ghee_record_log_open(uri, NULL, &rlog, err));
  return write_and_read(err);
}

static void test_every_allocation_fails_once(void **state) {
  (void)state;
  begin(2);
  assert_true(nth_alloc_each(open_write_and_read, NULL, GHEE_CLOSED) > 10);
  static char first[1 << 16];
  expect_texts(1, strcpy(first, all_texts(0))); /* both of a pair, or none */
  end();
}

static void test_bad_settings(void **state) {
  (void)state;
  begin(1);
  ghee_record_log *none;
  ghee_error err;
  ghee_settings settings = {0};
  assert_int_equal(ghee_settings_put(&settings, "no.such.option", "1", NULL), GHEE_OK);
  assert_int_equal(ghee_record_log_open(uri, &settings, &none, &err), GHEE_INVALID);
  assert_non_null(strstr(err.message, "no.such.option"));
  ghee_settings_fini(&settings);
  assert_int_equal(ghee_settings_put(&settings, "partitions", "${GHEE_TEST_NOT_SET}", NULL), GHEE_OK);
  assert_int_equal(ghee_record_log_open(uri, &settings, &none, &err), GHEE_INVALID);
  assert_non_null(strstr(err.message, "GHEE_TEST_NOT_SET"));
  ghee_settings_fini(&settings);
  end();
}

/* ---- what only a broker can do ---- */

static void begin_topic(int partitions, const char *key, const char *value) {
  begin(partitions);
  if (!key) return;
  ghee_record_log_close(rlog);
  remove_kafka();
  assert_true(kafka_admin_create(kafka_admin_address(), topic, partitions, key, value));
  OK(ghee_record_log_open(uri, NULL, &rlog, &err_));
}

static void test_a_record_that_is_too_large(void **state) {
  (void)state;
  enum { LARGE = 4 << 20, SMALL = 5000 };
  begin(1);
  char *large = calloc(1, LARGE);
  ghee_log_writer *writer = writer_of(NULL);
  ghee_record record = {.timestamp_ms = -1, .value = large, .value_bytes = LARGE};
  ghee_error err;
  assert_int_equal(writer->ops->append(writer, &record, 1, &err), GHEE_LIMIT);
  assert_non_null(strstr(err.message, "4194304 bytes"));
  uint64_t most = rlog->ops->most_bytes(rlog);
  assert_true(most > SMALL && most < LARGE);
  record.value_bytes = (size_t)most;
  OK(writer->ops->append(writer, &record, 1, &err_));
  OK(writer->ops->flush(writer, &err_));
  writer->ops->close_writer(writer);
  end();
  begin_topic(1, "max.message.bytes", "1000"); /* the broker's word */
  writer = writer_of(NULL);
  record.value_bytes = SMALL;
  OK(writer->ops->append(writer, &record, 1, &err_));
  assert_int_equal(writer->ops->flush(writer, &err), GHEE_LIMIT);
  assert_non_null(strstr(err.message, topic));
  writer->ops->close_writer(writer);
  end();
  free(large);
}

/* What goes to another topic is in the same transaction. */
static void test_a_transaction_over_two_topics(void **state) {
  (void)state;
  char other[160];
  begin(1);
  snprintf(other, sizeof other, "other-%d", (int)getpid());
  assert_true(kafka_admin_create(kafka_admin_address(), other, 1, NULL, NULL));
  ghee_log_writer *writer = writer_of("two-topics");
  for (int i = 0; i < 2; i++) {
    ghee_record record = {.topic = other, .partition = GHEE_ANY_PARTITION, .timestamp_ms = -1, .value = i ? "kept" : "undone", .value_bytes = i ? 4 : 6};
    append_text(writer, 0, i ? "a" : "b");
    OK(writer->ops->append(writer, &record, 1, &err_));
    if (i) OK(writer->ops->commit(writer, NULL, NULL, 0, &err_));
    else OK(writer->ops->abort(writer, &err_));
  }
  writer->ops->close_writer(writer);
  expect_texts(0, "a");
  ghee_record_log_close(rlog);
  assert_true(kafka_admin_delete(kafka_admin_address(), topic));
  snprintf(topic, sizeof topic, "%s", other);
  snprintf(uri, sizeof uri, "kafka://%s/%s", kafka_admin_address(), other);
  OK(ghee_record_log_open(uri, NULL, &rlog, &err_));
  expect_texts(0, "kept");
  end();
}

static void service(const char *how) {
  char command[4096];
  const char *folder = getenv("KAFKA_SERVICE");
  assert_non_null(folder);
  snprintf(command, sizeof command, "%s/%s >/dev/null 2>&1", folder, how);
  assert_int_equal(system(command), 0);
}

static void append_numbers(ghee_log_writer *writer, int from, int to) {
  for (int i = from; i < to; i++) {
    char text[16];
    ghee_record record = {.timestamp_ms = -1, .value = text, .value_bytes = (size_t)snprintf(text, sizeof text, "%d", i)};
    OK(writer->ops->append(writer, &record, 1, &err_));
  }
}

/* Killed, and back with its data: readers and writers go on, nothing lost, doubled or out of order. */
static void test_a_broker_that_dies(void **state) {
  (void)state;
  enum { HALF = 200000 };
  if (!getenv("KAFKA_SERVICE")) skip();
  begin(1);
  ghee_log_writer *writer = writer_of(NULL);
  append_numbers(writer, 0, HALF);
  OK(writer->ops->flush(writer, &err_));
  ghee_log_reader *reader;
  static ghee_record got[512];
  size_t n = 0;
  int next = 0;
  OK(rlog->ops->read(rlog, &(ghee_log_range){0, 0, 2 * HALF}, &reader, &err_));
  OK(reader->ops->next(reader, got, 512, &n, &err_));
  service("down -k");
  append_numbers(writer, HALF, HALF + 1000); /* into the buffer */
  service("up");
  append_numbers(writer, HALF + 1000, 2 * HALF);
  OK(writer->ops->flush(writer, &err_));
  writer->ops->close_writer(writer);
  ghee_status status = GHEE_OK;
  for (; status == GHEE_OK; status = reader->ops->next(reader, got, 512, &n, NULL))
    for (size_t i = 0; i < n; i++, next++) {
      char text[16];
      snprintf(text, sizeof text, "%d", next);
      assert_true(got[i].offset == next && got[i].value_bytes == strlen(text) && memcmp(got[i].value, text, got[i].value_bytes) == 0);
    }
  assert_int_equal(status, GHEE_CLOSED);
  assert_int_equal(next, 2 * HALF);
  reader->ops->end(reader);
  end();
}

static int use(void **state) {
  of = *state;
  return 0;
}

int main(void) {
#define CASE(test, backend) cmocka_unit_test_prestate_setup_teardown(test, use, NULL, (void *)&backends[backend])
#define CASES(backend)                                                                                                                      \
  CASE(test_records_come_back_as_they_were, backend), CASE(test_a_range_is_read_exactly, backend), CASE(test_much_is_read_in_order, backend),  \
      CASE(test_times_are_found, backend), CASE(test_keys_choose_partitions, backend), CASE(test_transactions_show_all_or_nothing, backend),    \
      CASE(test_a_second_writer_fences_the_first, backend), CASE(test_marks_of_groups, backend), CASE(test_offsets_that_are_gone, backend),     \
      CASE(test_a_log_that_is_not_there, backend), CASE(test_bad_settings, backend), CASE(test_every_allocation_fails_once, backend)
  const struct CMUnitTest cases[] = {CASES(0), CASES(1), CASE(test_a_record_that_is_too_large, 1),
                                     CASE(test_a_transaction_over_two_topics, 1), CASE(test_a_broker_that_dies, 1)};
  return cmocka_run_group_tests(cases, NULL, NULL);
}
