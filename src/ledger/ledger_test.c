/* SPDX-License-Identifier: Apache-2.0
 * What a ledger keeps: values, groups and refusals, many chunks, every allocation failing. Disks and deaths: durable_test.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/nth_alloc.h"
#include "ledger/ledger_sample.h"

static ghee_ledger *open_it(void) {
  ghee_ledger *ledger;
  ghee_error err;
  if (ghee_ledger_open(path, &ledger, &err) != GHEE_OK) fail_msg("%s", err.message);
  return ledger;
}

static ghee_ledger *reopen(ghee_ledger *ledger) {
  ghee_ledger_close(ledger);
  return open_it();
}

static bool readable(const ghee_ledger *ledger, int wait_ms) {
  struct pollfd fd = {.fd = ghee_ledger_fd(ledger), .events = POLLIN};
  return poll(&fd, 1, wait_ms) == 1;
}

/* The next result, waited for. */
static ghee_status result(ghee_ledger *ledger, uint64_t *ticket, ghee_error *err) {
  while (ghee_ledger_next(ledger, ticket, err) == GHEE_AGAIN) assert_true(readable(ledger, -1));
  return err->status;
}

static void commit(ghee_ledger *ledger, uint32_t chunk) {
  uint64_t ticket;
  ghee_error err;
  assert_int_equal(ghee_ledger_commit(ledger, NULL, 0, &chunk, 1, chunk, NULL), GHEE_OK);
  assert_int_equal(result(ledger, &ticket, &err), GHEE_OK);
  assert_int_equal(ticket, chunk);
}

static void append_chunk(void *user, uint32_t chunk, uint64_t commit) {
  sprintf((char *)user + strlen(user), commit ? "%u/%d " : "%u ", (unsigned)chunk, (int)commit);
}

static const char *chunks(ghee_ledger *ledger) {
  static char text[4096];
  text[0] = 0;
  assert_int_equal(ghee_ledger_each_chunk(ledger, append_chunk, text, NULL), GHEE_OK);
  return text;
}

static ghee_status append_file(void *user, const ghee_ledger_file *file, ghee_error *err) {
  (void)err;
  sprintf((char *)user + strlen(user), "%s:%llu:%llu:%s:%d/%d ", file->name, (unsigned long long)file->rows, (unsigned long long)file->size_bytes,
          file->checksum, file->dead_letter, (int)file->commit);
  return GHEE_OK;
}

static const char *files(ghee_ledger *ledger) {
  static char text[4096];
  text[0] = 0;
  assert_int_equal(ghee_ledger_each_file(ledger, append_file, text, NULL), GHEE_OK);
  return text;
}

static void test_generation(void **state) {
  (void)state;
  ghee_ledger *ledger = open_it();
  for (uint32_t want = 1; want < 5; want++) {
    uint32_t generation = 0;
    assert_int_equal(ghee_ledger_begin(ledger, &generation, NULL), GHEE_OK);
    assert_int_equal(generation, want);
    ledger = reopen(ledger);
  }
  ghee_ledger_close(ledger);
  sqlite3 *sqlite;
  assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
  assert_int_equal(sqlite3_exec(sqlite, "UPDATE job SET generation = 4294967294", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(sqlite);
  ledger = open_it();
  uint32_t generation = 0;
  ghee_error err;
  assert_int_equal(ghee_ledger_begin(ledger, &generation, NULL), GHEE_OK);
  assert_int_equal(generation, UINT32_MAX);
  assert_int_equal(ghee_ledger_begin(ledger, &generation, &err), GHEE_LIMIT);
  assert_int_equal(generation, UINT32_MAX);
  ghee_ledger_close(ledger);
}

static void test_state(void **state) {
  (void)state;
  ghee_ledger *ledger = open_it();
  ghee_job_state now = GHEE_JOB_FAILED;
  int status = 7;
  char *text = (char *)1;
  assert_int_equal(ghee_ledger_state(ledger, &now, &status, &text, NULL), GHEE_OK);
  assert_int_equal(now, GHEE_JOB_RUNNING);
  assert_int_equal(status, 0);
  assert_null(text);
  assert_int_equal(ghee_ledger_set_state(ledger, GHEE_JOB_FAILED, GHEE_USER, "it's \"bad\"\nüber", NULL), GHEE_OK);
  ledger = reopen(ledger);
  assert_int_equal(ghee_ledger_state(ledger, &now, &status, &text, NULL), GHEE_OK);
  assert_int_equal(now, GHEE_JOB_FAILED);
  assert_int_equal(status, GHEE_USER);
  assert_string_equal(text, "it's \"bad\"\nüber");
  ghee_free(text);
  assert_int_equal(ghee_ledger_set_state(ledger, GHEE_JOB_DONE, 0, NULL, NULL), GHEE_OK);
  assert_int_equal(ghee_ledger_state(ledger, &now, &status, &text, NULL), GHEE_OK);
  assert_int_equal(now, GHEE_JOB_DONE);
  assert_null(text);
  ghee_ledger_close(ledger);
}

static void test_facts(void **state) {
  (void)state;
  ghee_ledger *ledger = open_it();
  void *value = NULL;
  size_t size = 0;
  ghee_error err;
  assert_int_equal(ghee_ledger_get(ledger, "schema", &value, &size, &err), GHEE_NOT_FOUND);
  assert_non_null(strstr(err.message, "schema"));
  assert_int_equal(ghee_ledger_put(ledger, "schema", "a\0b", 3, NULL), GHEE_OK);
  assert_int_equal(ghee_ledger_put(ledger, "empty", NULL, 0, NULL), GHEE_OK);
  assert_int_equal(ghee_ledger_put(ledger, "", "no key", 6, NULL), GHEE_OK);
  ledger = reopen(ledger);
  assert_int_equal(ghee_ledger_get(ledger, "schema", &value, &size, NULL), GHEE_OK);
  assert_int_equal(size, 3);
  assert_memory_equal(value, "a\0b", 3);
  ghee_free(value);
  assert_int_equal(ghee_ledger_get(ledger, "empty", &value, &size, NULL), GHEE_OK);
  assert_int_equal(size, 0);
  assert_non_null(value);
  ghee_free(value);
  assert_int_equal(ghee_ledger_put(ledger, "schema", "new", 3, NULL), GHEE_OK);
  assert_int_equal(ghee_ledger_get(ledger, "schema", &value, &size, NULL), GHEE_OK);
  assert_memory_equal(value, "new", 3);
  ghee_free(value);
  ghee_ledger_close(ledger);
}

static void test_commit(void **state) {
  (void)state;
  ghee_ledger *ledger = open_it();
  uint64_t ticket = 99;
  ghee_error err = {.status = GHEE_IO};
  assert_int_equal(ghee_ledger_next(ledger, &ticket, &err), GHEE_AGAIN);
  assert_false(readable(ledger, 0));
  uint32_t first[] = {5, 1, UINT32_MAX, 0}, bare[] = {7, 3}, later[] = {4};
  char name[16] = "p1", checksum[] = "blake2b:aa";
  ghee_ledger_file both[] = {{.name = name, .rows = 10, .size_bytes = UINT64_C(1) << 40, .checksum = checksum},
                             {.name = "dead/x", .checksum = "c", .dead_letter = true}}, third = {.name = "p2", .rows = 1, .size_bytes = 1, .checksum = "d"};
  assert_int_equal(ghee_ledger_commit(ledger, both, 2, first, 4, UINT64_MAX, NULL), GHEE_OK);
  memset(name, 'x', 3); /* what was given is copied */
  first[0] = 1;
  assert_int_equal(result(ledger, &ticket, &err), GHEE_OK);
  assert_true(ticket == UINT64_MAX);
  assert_int_equal(ghee_ledger_commit(ledger, NULL, 0, bare, 2, 2, NULL), GHEE_OK);
  assert_int_equal(result(ledger, &ticket, &err), GHEE_OK);
  assert_int_equal(ticket, 2);
  assert_int_equal(ghee_ledger_commit(ledger, &third, 1, later, 1, 3, NULL), GHEE_OK);
  assert_int_equal(result(ledger, &ticket, &err), GHEE_OK);
  assert_int_equal(ticket, 3);
  assert_false(readable(ledger, 0));
  for (int i = 0; i < 2; i++) {
    assert_string_equal(chunks(ledger), "0/1 1/1 3 4/3 5/1 7 4294967295/1 ");
    assert_string_equal(files(ledger), "dead/x:0:0:c:1/1 p1:10:1099511627776:blake2b:aa:0/1 p2:1:1:d:0/3 ");
    ledger = reopen(ledger);
  }
  ghee_ledger_close(ledger);
}

/* Queued while the group before is held up by a reader, so that they share one. */
static void queue_while_read(void *user, uint32_t chunk, uint64_t commit) {
  (void)commit;
  ghee_ledger *ledger = user;
  (void)chunk;
  uint32_t one[] = {10, 11}, twice[] = {12, 10}, last[] = {13};
  ghee_ledger_file file = {.name = "p", .checksum = "c"};
  ghee_ledger_file same = {.name = "q", .checksum = "c"};
  for (int i = 0; i < 3; i++) assert_int_equal(ghee_ledger_commit(ledger, NULL, 0, NULL, 0, 100, NULL), GHEE_OK);
  assert_int_equal(ghee_ledger_commit(ledger, NULL, 0, one, 2, 101, NULL), GHEE_OK);
  assert_int_equal(ghee_ledger_commit(ledger, &file, 1, twice, 2, 102, NULL), GHEE_OK);
  assert_int_equal(ghee_ledger_commit(ledger, &same, 1, last, 1, 103, NULL), GHEE_OK);
  assert_int_equal(ghee_ledger_commit(ledger, &same, 1, NULL, 0, 104, NULL), GHEE_OK);
}

static void test_a_turn_forgets_chunks_and_files(void **state) {
  (void)state;
  ghee_ledger *ledger = open_it();
  void *value;
  size_t size;
  commit(ledger, 3);
  commit(ledger, 4);
  assert_string_equal(chunks(ledger), "3 4 ");
  assert_int_equal(ghee_ledger_turn(ledger, "round", "1", 1, NULL), GHEE_OK);
  ledger = reopen(ledger);
  assert_string_equal(chunks(ledger), "");
  assert_int_equal(ghee_ledger_get(ledger, "round", &value, &size, NULL), GHEE_OK);
  assert_true(size == 1 && memcmp(value, "1", 1) == 0);
  ghee_free(value);
  commit(ledger, 3); /* a number may come again */
  assert_string_equal(chunks(ledger), "3 ");
  ghee_ledger_close(ledger);
}

static void test_refusal_leaves_its_group_alone(void **state) {
  (void)state;
  ghee_ledger *ledger = open_it();
  commit(ledger, 1);
  assert_int_equal(ghee_ledger_each_chunk(ledger, queue_while_read, ledger, NULL), GHEE_OK);
  static const struct { uint64_t ticket; ghee_status status; const char *reason; } want[] = {
      {100, GHEE_OK, ""}, {100, GHEE_OK, ""}, {100, GHEE_OK, ""}, {101, GHEE_OK, ""},
      {102, GHEE_EXISTS, "chunk 10"}, {103, GHEE_OK, ""}, {104, GHEE_EXISTS, "file q"}};
  for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
    uint64_t ticket;
    ghee_error err;
    assert_int_equal(result(ledger, &ticket, &err), want[i].status);
    assert_int_equal(ticket, want[i].ticket);
    assert_non_null(strstr(err.message, want[i].reason));
  }
  assert_string_equal(chunks(ledger), "1 10 11 13/1 ");
  assert_string_equal(files(ledger), "q:0:0:c:0/1 ");
  ghee_ledger_close(ledger);
}

static void test_close_commits(void **state) {
  (void)state;
  ghee_ledger *ledger = open_it();
  for (uint32_t i = 0; i < 100; i++) assert_int_equal(ghee_ledger_commit(ledger, NULL, 0, &i, 1, i, NULL), GHEE_OK);
  ledger = reopen(ledger);
  assert_int_equal(strlen(chunks(ledger)), 290);
  ghee_ledger_close(ledger);
  ghee_ledger_close(NULL);
}

static ghee_status stop(void *user, const ghee_ledger_file *file, ghee_error *err) {
  ++*(int *)user;
  return ghee_error_set(err, GHEE_CANCELED, "at %s", file->name);
}

static void test_walk_stops(void **state) {
  (void)state;
  ghee_ledger *ledger = open_it();
  uint64_t ticket;
  ghee_error err;
  int seen = 0;
  ghee_ledger_file both[] = {{.name = "a", .checksum = "c"}, {.name = "b", .checksum = "c"}};
  assert_int_equal(ghee_ledger_commit(ledger, both, 2, NULL, 0, 1, NULL), GHEE_OK);
  assert_int_equal(result(ledger, &ticket, &err), GHEE_OK);
  assert_int_equal(ghee_ledger_each_file(ledger, stop, &seen, &err), GHEE_CANCELED);
  assert_string_equal(err.message, "at a");
  assert_int_equal(seen, 1);
  commit(ledger, 1); /* the walk holds nothing up */
  ghee_ledger_close(ledger);
}

static void test_checkpoint(void **state) {
  (void)state;
  ghee_ledger *ledger = open_it();
  ghee_ledger_checkpoint found = {0};
  ghee_error err;
  assert_int_equal(ghee_ledger_checkpoint_get(ledger, &found, &err), GHEE_NOT_FOUND);
  char big[4097] = "position";
  const char *names[] = {"train/8.0", "train/8.1", "train/8.2"};
  const void *positions[] = {big, NULL, "x"};
  size_t sizes[] = {4096, 0, 1};
  ghee_ledger_checkpoint made = {.step = UINT64_C(1) << 40, .world = 3, .files = names, .positions = positions, .position_bytes = sizes};
  assert_int_equal(ghee_ledger_commit_checkpoint(ledger, &made, NULL), GHEE_OK);
  ledger = reopen(ledger);
  assert_int_equal(ghee_ledger_checkpoint_get(ledger, &found, NULL), GHEE_OK);
  assert_true(found.step == made.step && found.world == 3);
  for (int i = 0; i < 3; i++) {
    assert_string_equal(found.files[i], names[i]);
    assert_int_equal(found.position_bytes[i], sizes[i]);
    if (sizes[i]) assert_memory_equal(found.positions[i], positions[i], sizes[i]);
  }
  ghee_ledger_checkpoint_fini(&found);
  made.step = 9;
  made.world = 2;
  assert_int_equal(ghee_ledger_commit_checkpoint(ledger, &made, NULL), GHEE_OK);
  sizes[1] = 4097;
  positions[1] = big;
  assert_int_equal(ghee_ledger_commit_checkpoint(ledger, &made, &err), GHEE_LIMIT);
  made.world = 0;
  assert_int_equal(ghee_ledger_commit_checkpoint(ledger, &made, &err), GHEE_INVALID);
  assert_int_equal(ghee_ledger_checkpoint_get(ledger, &found, NULL), GHEE_OK);
  assert_true(found.step == 9 && found.world == 2);
  ghee_ledger_checkpoint_fini(&found);
  ghee_ledger_close(ledger);
}

static void count_chunk(void *user, uint32_t chunk, uint64_t commit) {
  (void)commit;
  uint32_t *next = user;
  assert_int_equal(chunk, *next);
  ++*next;
}

static void test_a_million_chunks(void **state) {
  (void)state;
  enum { ALL = 1000000, PIECE = 1000, OPEN = 32 };
  ghee_ledger *ledger = open_it();
  uint32_t piece[PIECE], seen = 0;
  uint64_t ticket;
  ghee_error err;
  int queued = 0;
  for (uint32_t first = 0; first < PIECE; first++) { /* in steps: nearly random for the tree */
    for (uint32_t i = 0; i < PIECE; i++) piece[i] = i * (ALL / PIECE) + (first * 7) % PIECE;
    assert_int_equal(ghee_ledger_commit(ledger, NULL, 0, piece, PIECE, first, NULL), GHEE_OK);
    if (++queued == OPEN)
      for (; queued > 0; queued--) assert_int_equal(result(ledger, &ticket, &err), GHEE_OK);
  }
  for (; queued > 0; queued--) assert_int_equal(result(ledger, &ticket, &err), GHEE_OK);
  assert_int_equal(ghee_ledger_each_chunk(ledger, count_chunk, &seen, NULL), GHEE_OK);
  assert_int_equal(seen, ALL);
  assert_true(sqlite3_memory_highwater(0) < 16 << 20);
  ghee_ledger_close(ledger);
}

static void *commit_some(void *arg) {
  ghee_ledger *ledger = ((void **)arg)[0];
  uint32_t base = (uint32_t)(uintptr_t)((void **)arg)[1];
  for (uint32_t i = 0; i < 50; i++) {
    uint32_t chunk = base + i, generation;
    if (ghee_ledger_commit(ledger, NULL, 0, &chunk, 1, chunk, NULL) != GHEE_OK) return "commit";
    if (i % 10 == 0 && ghee_ledger_begin(ledger, &generation, NULL) != GHEE_OK) return "begin";
  }
  return NULL;
}

static void test_many_threads(void **state) {
  (void)state;
  ghee_ledger *ledger = open_it();
  pthread_t threads[4];
  void *args[4][2];
  for (size_t i = 0; i < 4; i++) {
    args[i][0] = ledger;
    args[i][1] = (void *)(uintptr_t)(i * 50);
    assert_int_equal(pthread_create(&threads[i], NULL, commit_some, args[i]), 0);
  }
  bool seen[200] = {false};
  for (int i = 0; i < 200; i++) {
    uint64_t ticket;
    ghee_error err;
    assert_int_equal(result(ledger, &ticket, &err), GHEE_OK);
    assert_false(seen[ticket]);
    seen[ticket] = true;
  }
  for (size_t i = 0; i < 4; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  uint32_t next = 0;
  assert_int_equal(ghee_ledger_each_chunk(ledger, count_chunk, &next, NULL), GHEE_OK);
  assert_int_equal(next, 200);
  ghee_ledger_close(ledger);
}

/* ---- no memory ---- */

/* Uses every call once; the first status that is not good. */
static ghee_status use_all(uint32_t chunk, bool *committed) {
  ghee_ledger *ledger;
  uint64_t ticket;
  ghee_error err = {0};
  GHEE_TRY(ghee_ledger_open(path, &ledger, &err));
  uint32_t generation;
  char name[32], *text = NULL;
  snprintf(name, sizeof name, "p%u", (unsigned)chunk);
  ghee_ledger_file file = {.name = name, .checksum = "c"};
  const char *part = "f";
  const void *position = "p";
  size_t size = 1;
  ghee_ledger_checkpoint point = {.step = 1, .world = 1, .files = &part, .positions = &position, .position_bytes = &size}, found = {0};
  ghee_job_state now;
  int code;
  void *value = NULL;
  ghee_status status;
  GHEE_GOTO(status, done, ghee_ledger_begin(ledger, &generation, &err));
  GHEE_GOTO(status, done, ghee_ledger_set_state(ledger, GHEE_JOB_RUNNING, 0, "text", &err));
  GHEE_GOTO(status, done, ghee_ledger_state(ledger, &now, &code, &text, &err));
  GHEE_GOTO(status, done, ghee_ledger_put(ledger, "k", "v", 1, &err));
  GHEE_GOTO(status, done, ghee_ledger_get(ledger, "k", &value, &size, &err));
  GHEE_GOTO(status, done, ghee_ledger_commit_checkpoint(ledger, &point, &err));
  GHEE_GOTO(status, done, ghee_ledger_checkpoint_get(ledger, &found, &err));
  GHEE_GOTO(status, done, ghee_ledger_commit(ledger, &file, 1, &chunk, 1, 1, &err));
  GHEE_GOTO(status, done, result(ledger, &ticket, &err));
  *committed = true;
  char list[4096] = "";
  GHEE_GOTO(status, done, ghee_ledger_each_file(ledger, append_file, list, &err));
  GHEE_GOTO(status, done, ghee_ledger_each_chunk(ledger, append_chunk, list, &err));
done:
  if (status != GHEE_OK) assert_true(err.status == status && err.message[0]);
  ghee_free(text);
  ghee_free(value);
  ghee_ledger_checkpoint_fini(&found);
  ghee_ledger_close(ledger);
  return status;
}

static void test_no_memory(void **state) {
  (void)state;
  bool committed = false;
  for (long n = 1;; n = nth_alloc_next(n)) {
    ghee_memory_fail_at(n);
    ghee_status status = use_all((uint32_t)n, &committed);
    ghee_memory_fail_at(0);
    if (status == GHEE_OK) break;
    assert_int_equal(status, GHEE_NO_MEMORY);
  }
}

/* SQLite's own memory, failing at the n-th call. */
static sqlite3_mem_methods real;
static long sqlite_calls, sqlite_fail_at;
static bool sqlite_refuses(void) { return __atomic_add_fetch(&sqlite_calls, 1, __ATOMIC_SEQ_CST) == __atomic_load_n(&sqlite_fail_at, __ATOMIC_SEQ_CST); }
static void *sqlite_malloc(int size) { return sqlite_refuses() ? NULL : real.xMalloc(size); }
static void *sqlite_realloc(void *memory, int size) { return sqlite_refuses() ? NULL : real.xRealloc(memory, size); }

static void test_no_memory_in_sqlite(void **state) {
  (void)state;
  long good = 0;
  for (long n = 1; good == 0; n += 1 + n / 20) {
    bool committed = false;
    __atomic_store_n(&sqlite_calls, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&sqlite_fail_at, n, __ATOMIC_SEQ_CST);
    ghee_status status = use_all((uint32_t)n, &committed);
    if (status == GHEE_OK && sqlite_calls < n) good = n;
    __atomic_store_n(&sqlite_fail_at, 0, __ATOMIC_SEQ_CST);
    /* SQLite does without some of its memory; then the call succeeds. */
    if (status != GHEE_OK) assert_int_equal(status, GHEE_NO_MEMORY);
    ghee_ledger *ledger = open_it();
    char name[32];
    snprintf(name, sizeof name, "p%ld:", n);
    if (committed) assert_non_null(strstr(files(ledger), name));
    ghee_ledger_close(ledger);
  }
  assert_true(good > 50);
}

static int configure_sqlite(void) {
  sqlite3_mem_methods mine;
  if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real) != SQLITE_OK) return -1;
  mine = real;
  mine.xMalloc = sqlite_malloc;
  mine.xRealloc = sqlite_realloc;
  return sqlite3_config(SQLITE_CONFIG_MALLOC, &mine) == SQLITE_OK ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_generation, setup, teardown),
      cmocka_unit_test_setup_teardown(test_state, setup, teardown),
      cmocka_unit_test_setup_teardown(test_facts, setup, teardown),
      cmocka_unit_test_setup_teardown(test_commit, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_turn_forgets_chunks_and_files, setup, teardown),
      cmocka_unit_test_setup_teardown(test_refusal_leaves_its_group_alone, setup, teardown),
      cmocka_unit_test_setup_teardown(test_close_commits, setup, teardown),
      cmocka_unit_test_setup_teardown(test_walk_stops, setup, teardown),
      cmocka_unit_test_setup_teardown(test_checkpoint, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_million_chunks, setup, teardown),
      cmocka_unit_test_setup_teardown(test_many_threads, setup, teardown),
      cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
      cmocka_unit_test_setup_teardown(test_no_memory_in_sqlite, setup, teardown),
  };
  if (configure_sqlite() != 0) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
