/* SPDX-License-Identifier: Apache-2.0
 * A ledger and its disk: killed writers, full disks, files that are damaged, foreign, locked or not ours to write. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "ledger/ledger_sample.h"

static ghee_status open_status(ghee_error *err) {
  ghee_ledger *ledger = NULL;
  ghee_status status = ghee_ledger_open(path, &ledger, err);
  ghee_ledger_close(ledger);
  return status;
}

static ghee_status result(ghee_ledger *ledger, uint64_t *ticket, ghee_error *err) {
  struct pollfd fd = {.fd = ghee_ledger_fd(ledger), .events = POLLIN};
  while (ghee_ledger_next(ledger, ticket, err) == GHEE_AGAIN) (void)poll(&fd, 1, -1);
  return err->status;
}

/* ---- kill -9 ---- */

enum { OPEN = 64 };

static ghee_status queue(ghee_ledger *ledger, uint32_t at) {
  char name[32];
  uint32_t chunks[] = {2 * at, 2 * at + 1};
  snprintf(name, sizeof name, "part-%u", (unsigned)at);
  ghee_ledger_file file = {.name = name, .rows = at, .checksum = "blake2b:0"};
  return ghee_ledger_commit(ledger, &file, 1, chunks, 2, at, NULL);
}

/* Commits for ever, with OPEN writes on their way, and says each ticket once it is durable. Chunks 2t and 2t+1 are in file t. */
static void commit_for_ever(uint32_t first, int to) {
  ghee_ledger *ledger;
  if (ghee_ledger_open(path, &ledger, NULL) != GHEE_OK) _exit(1);
  for (uint32_t at = first; at < first + OPEN; at++)
    if (queue(ledger, at) != GHEE_OK) _exit(2);
  for (uint32_t at = first + OPEN;; at++) {
    uint64_t ticket;
    ghee_error err;
    if (result(ledger, &ticket, &err) != GHEE_OK || queue(ledger, at) != GHEE_OK) _exit(3);
    if (write(to, &ticket, sizeof ticket) != sizeof ticket) _exit(4);
  }
}

typedef struct seen {
  uint32_t next_file, next_chunk;
  uint32_t most;
} seen;

static void see_chunk(void *user, uint32_t chunk, uint64_t commit) {
  (void)commit;
  seen *of = user;
  assert_int_equal(chunk, of->next_chunk++);
}

static ghee_status see_file(void *user, const ghee_ledger_file *file, ghee_error *err) {
  seen *of = user;
  (void)err;
  of->next_file++;
  if (file->rows > of->most) of->most = (uint32_t)file->rows;
  return GHEE_OK;
}

/* The number of files that a new process finds; they are whole and without gaps, since the child commits in order. */
static uint32_t recorded(void) {
  ghee_ledger *ledger;
  ghee_error err;
  if (ghee_ledger_open(path, &ledger, &err) != GHEE_OK) fail_msg("%s", err.message);
  seen of = {0};
  assert_int_equal(ghee_ledger_each_chunk(ledger, see_chunk, &of, NULL), GHEE_OK);
  assert_int_equal(ghee_ledger_each_file(ledger, see_file, &of, NULL), GHEE_OK);
  assert_int_equal(of.next_chunk, 2 * of.next_file);
  assert_true(of.next_file == 0 || of.most + 1 == of.next_file);
  ghee_ledger_close(ledger);
  return of.next_file;
}

static uint32_t kill_after(uint32_t first, uint64_t tickets) {
  int fds[2];
  assert_int_equal(pipe(fds), 0);
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    close(fds[0]);
    commit_for_ever(first, fds[1]);
  }
  close(fds[1]);
  uint64_t ticket, said = first;
  for (uint64_t i = 0; i < tickets; i++) {
    assert_int_equal(read(fds[0], &ticket, sizeof ticket), sizeof ticket);
    assert_int_equal(ticket, said++);
  }
  kill(child, SIGKILL);
  while (read(fds[0], &ticket, sizeof ticket) == sizeof ticket) assert_int_equal(ticket, said++); /* said before it died */
  int how;
  assert_int_equal(waitpid(child, &how, 0), child);
  assert_true(WIFSIGNALED(how));
  close(fds[0]);
  return (uint32_t)said;
}

static void test_what_was_durable_is_there_after_a_kill(void **state) {
  (void)state;
  ghee_random random;
  ghee_random_init(&random, 1, 2, 3);
  assert_int_equal(open_status(NULL), GHEE_OK);
  uint32_t next = 0;
  for (int round = 0; round < 12; round++) {
    uint32_t said = kill_after(next, ghee_random_below(&random, round % 3 ? 300 : 3));
    next = recorded();
    assert_true(next >= said);
  }
  assert_true(next > 12);
}

static void test_killed_while_it_is_made(void **state) {
  (void)state;
  fflush(NULL);
  for (long n = 1; n < 60; n++) { /* without memory the opening stops each time a bit later */
    assert_int_equal(ghee_dir_remove_all(root, NULL), GHEE_OK);
    assert_int_equal(mkdir(root, 0777), 0);
    pid_t child = fork();
    if (child == 0) {
      sqlite3_hard_heap_limit64((sqlite3_int64)n * 4096);
      ghee_ledger *ledger;
      (void)ghee_ledger_open(path, &ledger, NULL);
      kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    ghee_error err;
    if (open_status(&err) != GHEE_OK) fail_msg("%s", err.message);
    assert_int_equal(recorded(), 0);
  }
}

/* ---- full disks ---- */

/* Commits until a write fails; what came before stays. 0 good. */
static int fill(ghee_status *first_failure) {
  ghee_ledger *ledger;
  if (ghee_ledger_open(path, &ledger, NULL) != GHEE_OK) return 1;
  static uint32_t many[20000];
  uint32_t next = 0;
  uint64_t ticket;
  ghee_error err = {0};
  for (int i = 0; i < 1000 && err.status == GHEE_OK; i++) {
    for (size_t k = 0; k < 20000; k++) many[k] = next + (uint32_t)k;
    if (ghee_ledger_commit(ledger, NULL, 0, many, 20000, 1, NULL) != GHEE_OK) return 2;
    if (result(ledger, &ticket, &err) == GHEE_OK) next += 20000;
  }
  *first_failure = err.status;
  if (!strstr(err.message, path)) return 3;
  seen of = {0};
  if (ghee_ledger_each_chunk(ledger, see_chunk, &of, NULL) != GHEE_OK || of.next_chunk != next || next == 0) return 4;
  ghee_ledger_close(ledger);
  return 0;
}

static bool still_works(void) {
  ghee_ledger *ledger;
  uint64_t ticket;
  ghee_error err;
  seen of = {0};
  if (ghee_ledger_open(path, &ledger, NULL) != GHEE_OK) return false;
  bool good = ghee_ledger_each_chunk(ledger, see_chunk, &of, NULL) == GHEE_OK && of.next_chunk > 0;
  uint32_t more = of.next_chunk;
  good = good && ghee_ledger_commit(ledger, NULL, 0, &more, 1, 5, NULL) == GHEE_OK && result(ledger, &ticket, &err) == GHEE_OK;
  ghee_ledger_close(ledger);
  return good;
}

static int child_code(int (*body)(void)) {
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) _exit(body());
  int how;
  assert_int_equal(waitpid(child, &how, 0), child);
  assert_true(WIFEXITED(how));
  return WEXITSTATUS(how);
}

static int over_the_limit(void) {
  struct rlimit was, small;
  if (getrlimit(RLIMIT_FSIZE, &was) != 0) return 10;
  small = (struct rlimit){.rlim_cur = 2 << 20, .rlim_max = was.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  if (setrlimit(RLIMIT_FSIZE, &small) != 0) return 11;
  ghee_status failure;
  int code = fill(&failure);
  if (code != 0) return code;
  if (failure != GHEE_NO_SPACE) return 12;
  if (setrlimit(RLIMIT_FSIZE, &was) != 0) return 13;
  return still_works() ? 0 : 14;
}

static void test_file_too_large(void **state) {
  (void)state;
  assert_int_equal(child_code(over_the_limit), 0);
}

/* 77: no mount of its own is possible here. */
static int on_a_full_disk(void) {
  char map[64], ballast[128];
  snprintf(map, sizeof map, "0 %u 1", (unsigned)getuid());
  if (unshare(CLONE_NEWNS) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return 77;
    int fd = open("/proc/self/uid_map", O_WRONLY);
    if (fd < 0 || write(fd, map, strlen(map)) < 0) return 77;
    close(fd);
  }
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || mount("none", root, "tmpfs", 0, "size=4m") != 0) return 77;
  snprintf(ballast, sizeof ballast, "%s/ballast", root);
  int fd = open(ballast, O_WRONLY | O_CREAT, 0666);
  if (fd < 0 || posix_fallocate(fd, 0, 1 << 20) != 0) return 20;
  close(fd);
  ghee_status failure;
  int code = fill(&failure);
  if (code != 0) return code;
  if (failure != GHEE_NO_SPACE) return 21;
  if (unlink(ballast) != 0) return 22;
  return still_works() ? 0 : 23;
}

static void test_disk_full(void **state) {
  (void)state;
  int code = child_code(on_a_full_disk);
  if (code == 77) skip();
  assert_int_equal(code, 0);
}

/* ---- files that are not as they should be ---- */

static void put_file(const void *data, size_t size) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, data, size), size);
  close(fd);
}

static void made_ledger(void) {
  ghee_ledger *ledger;
  assert_int_equal(ghee_ledger_open(path, &ledger, NULL), GHEE_OK);
  for (uint32_t i = 0; i < 3000; i++) assert_int_equal(queue(ledger, i), GHEE_OK);
  ghee_ledger_close(ledger);
}

static void test_damaged_file(void **state) {
  (void)state;
  ghee_error err;
  char noise[8192];
  for (size_t i = 0; i < sizeof noise; i++) noise[i] = (char)(i * 2654435761u >> 11);
  put_file(noise, sizeof noise);
  assert_int_equal(open_status(&err), GHEE_CORRUPT);
  assert_non_null(strstr(err.message, path));
  put_file("short", 5);
  assert_int_equal(open_status(&err), GHEE_CORRUPT);
  put_file("", 0);
  assert_int_equal(open_status(&err), GHEE_OK); /* died before anything was written */
  assert_int_equal(unlink(path), 0);
  made_ledger();
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  assert_true(st.st_size > 40000);
  assert_int_equal(truncate(path, st.st_size / 2), 0);
  assert_int_equal(open_status(&err), GHEE_CORRUPT);
  assert_non_null(strstr(err.message, path));
}

/* A page of the middle overwritten: it must be told, or make no difference; never a crash. */
static void test_damaged_pages(void **state) {
  (void)state;
  made_ledger();
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  char *good = malloc((size_t)st.st_size), *bad = malloc((size_t)st.st_size);
  int fd = open(path, O_RDONLY);
  assert_int_equal(read(fd, good, (size_t)st.st_size), st.st_size);
  close(fd);
  int told = 0;
  for (size_t page = 0; page < (size_t)st.st_size / 4096; page++) {
    memcpy(bad, good, (size_t)st.st_size);
    for (size_t i = 0; i < 64; i++) bad[page * 4096 + i] ^= 0x5a;
    put_file(bad, (size_t)st.st_size);
    ghee_error err;
    ghee_status status = open_status(&err);
    assert_true(status == GHEE_OK || status == GHEE_CORRUPT);
    told += status == GHEE_CORRUPT;
  }
  assert_true(told > st.st_size / 4096 / 2);
  free(good);
  free(bad);
}

static void run_sql(const char *sql) {
  sqlite3 *sqlite;
  assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
  assert_int_equal(sqlite3_exec(sqlite, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(sqlite);
}

static void test_foreign_file(void **state) {
  (void)state;
  ghee_error err;
  ghee_buffer before = {0}, after = {0};
  run_sql("CREATE TABLE bookmarks(url TEXT)");
  assert_int_equal(ghee_file_read_all(path, 1 << 20, &before, NULL), GHEE_OK);
  assert_int_equal(open_status(&err), GHEE_CORRUPT);
  assert_non_null(strstr(err.message, "not a ledger"));
  assert_int_equal(ghee_file_read_all(path, 1 << 20, &after, NULL), GHEE_OK);
  assert_int_equal(before.size, after.size);
  assert_memory_equal(before.data, after.data, after.size);
  ghee_buffer_fini(&before);
  ghee_buffer_fini(&after);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(open_status(&err), GHEE_OK);
  run_sql("PRAGMA user_version = 3");
  assert_int_equal(open_status(&err), GHEE_UNSUPPORTED);
  assert_non_null(strstr(err.message, "a newer ghee"));
  run_sql("PRAGMA user_version = 1");
  assert_int_equal(open_status(&err), GHEE_UNSUPPORTED);
  assert_non_null(strstr(err.message, "an older ghee"));
}

static void test_records_that_make_no_sense(void **state) {
  (void)state;
  ghee_ledger *ledger;
  ghee_job_state now;
  ghee_ledger_checkpoint found;
  ghee_error err;
  assert_int_equal(open_status(NULL), GHEE_OK);
  run_sql("UPDATE job SET state = 17; INSERT INTO checkpoint VALUES (1, 5, 3); INSERT INTO parts VALUES (0, 'f', x'00')");
  assert_int_equal(ghee_ledger_open(path, &ledger, NULL), GHEE_OK);
  assert_int_equal(ghee_ledger_state(ledger, &now, NULL, NULL, &err), GHEE_CORRUPT);
  assert_int_equal(ghee_ledger_checkpoint_get(ledger, &found, &err), GHEE_CORRUPT);
  assert_non_null(strstr(err.message, "1 parts of 3"));
  ghee_ledger_close(ledger);
  run_sql("DELETE FROM job");
  assert_int_equal(ghee_ledger_open(path, &ledger, NULL), GHEE_OK);
  assert_int_equal(ghee_ledger_state(ledger, &now, NULL, NULL, &err), GHEE_CORRUPT);
  ghee_ledger_close(ledger);
}

static void test_locked_file(void **state) {
  (void)state;
  sqlite3 *sqlite;
  ghee_error err;
  assert_int_equal(open_status(NULL), GHEE_OK);
  assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
  assert_int_equal(sqlite3_exec(sqlite, "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; DELETE FROM files; COMMIT", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(open_status(&err), GHEE_BUSY);
  assert_non_null(strstr(err.message, path));
  sqlite3_close(sqlite);
  ghee_ledger *ledger;
  uint32_t generation = 0;
  assert_int_equal(ghee_ledger_open(path, &ledger, NULL), GHEE_OK);
  assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
  assert_int_equal(sqlite3_exec(sqlite, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(ghee_ledger_begin(ledger, &generation, &err), GHEE_BUSY);
  assert_int_equal(sqlite3_exec(sqlite, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(ghee_ledger_begin(ledger, &generation, &err), GHEE_OK);
  assert_int_equal(generation, 1);
  sqlite3_close(sqlite);
  ghee_ledger_close(ledger);
}

static void test_no_place(void **state) {
  (void)state;
  ghee_error err;
  char good[96];
  strcpy(good, path);
  assert_int_equal(chmod(root, 0555), 0);
  bool was_root = geteuid() == 0;
  if (was_root) assert_int_equal(seteuid(65534), 0);
  ghee_status status = open_status(&err);
  if (was_root) assert_int_equal(seteuid(0), 0);
  assert_int_equal(chmod(root, 0777), 0);
  assert_int_equal(status, GHEE_DENIED);
  assert_non_null(strstr(err.message, path));
  snprintf(path, sizeof path, "%s/none/ledger.db", root);
  assert_int_equal(open_status(&err), GHEE_NOT_FOUND);
  strcpy(path, root);
  assert_int_not_equal(open_status(&err), GHEE_OK);
  assert_non_null(strstr(err.message, path));
  path[0] = 0;
  assert_int_equal(open_status(&err), GHEE_INVALID);
  strcpy(path, good);
}

static void test_file_that_may_only_be_read(void **state) {
  (void)state;
  ghee_error err;
  assert_int_equal(open_status(NULL), GHEE_OK);
  assert_int_equal(chmod(path, 0444), 0);
  assert_int_equal(chmod(root, 0777), 0);
  bool was_root = geteuid() == 0;
  if (was_root) assert_int_equal(seteuid(65534), 0);
  ghee_status status = open_status(&err);
  if (was_root) assert_int_equal(seteuid(0), 0);
  assert_int_equal(status, GHEE_DENIED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_what_was_durable_is_there_after_a_kill, setup, teardown),
      cmocka_unit_test_setup_teardown(test_killed_while_it_is_made, setup, teardown),
      cmocka_unit_test_setup_teardown(test_file_too_large, setup, teardown),
      cmocka_unit_test_setup_teardown(test_disk_full, setup, teardown),
      cmocka_unit_test_setup_teardown(test_damaged_file, setup, teardown),
      cmocka_unit_test_setup_teardown(test_damaged_pages, setup, teardown),
      cmocka_unit_test_setup_teardown(test_foreign_file, setup, teardown),
      cmocka_unit_test_setup_teardown(test_records_that_make_no_sense, setup, teardown),
      cmocka_unit_test_setup_teardown(test_locked_file, setup, teardown),
      cmocka_unit_test_setup_teardown(test_no_place, setup, teardown),
      cmocka_unit_test_setup_teardown(test_file_that_may_only_be_read, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
