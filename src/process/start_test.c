/* SPDX-License-Identifier: Apache-2.0
 * Children get exactly what they should: arguments, environment, descriptors, folder, log, default signals; and are collected. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "process/process.h"

static char root[64], log_path[96];

static int setup(void **state) {
  (void)state;
  strcpy(root, "/tmp/ghee-start-XXXXXX");
  if (!mkdtemp(root)) return -1;
  snprintf(log_path, sizeof log_path, "%s/log", root);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  return ghee_dir_remove_all(root, NULL) == GHEE_OK ? 0 : -1;
}

static void start(const ghee_process_options *options, ghee_process_id *id, int *pidfd) {
  ghee_error err;
  if (ghee_process_start(options, id, pidfd, &err) != GHEE_OK) fail_msg("%s", err.message);
}

static void await(int pidfd) {
  struct pollfd fd = {.fd = pidfd, .events = POLLIN};
  while (poll(&fd, 1, -1) != 1) continue;
}

/* Waits for the end and collects; the status as of waitpid. */
static int end_of(const ghee_process_id *id, int pidfd) {
  int status;
  await(pidfd);
  close(pidfd);
  assert_int_equal(ghee_process_reap((pid_t)id->pid, &status, NULL), GHEE_OK);
  return status;
}

/* Runs a line of shell with the options and gives what it printed. */
static const char *shell(ghee_process_options options, const char *line) {
  static char text[1 << 16];
  const char *const argv[] = {"sh", "-c", line, NULL};
  ghee_process_id id;
  int pidfd;
  unlink(log_path);
  options.argv = argv;
  options.log_path = log_path;
  start(&options, &id, &pidfd);
  assert_int_equal(end_of(&id, pidfd), 0);
  ghee_buffer read = {0};
  assert_int_equal(ghee_file_read_all(log_path, sizeof text - 1, &read, NULL), GHEE_OK);
  snprintf(text, sizeof text, "%s", ghee_buffer_text(&read));
  ghee_buffer_fini(&read);
  return text;
}

static void output_goes_to_the_log(void **state) {
  (void)state;
  assert_string_equal(shell((ghee_process_options){0}, "echo out; echo err >&2"), "out\nerr\n");
  const char *const argv[] = {"echo", "more", NULL};
  ghee_process_id id;
  int pidfd;
  struct stat st;
  start(&(ghee_process_options){.argv = argv, .log_path = log_path}, &id, &pidfd);
  assert_int_equal(end_of(&id, pidfd), 0);
  assert_int_equal(stat(log_path, &st), 0);
  assert_int_equal(st.st_size, strlen("out\nerr\nmore\n")); /* appended */
  assert_int_equal(st.st_mode & 0777, 0600);
}

static void environment_is_added_and_replaced(void **state) {
  (void)state;
  const char *const more[] = {"GHEE_TEST_NEW=a=b c", "GHEE_TEST_OLD=new", NULL};
  setenv("GHEE_TEST_OLD", "old", 1);
  setenv("GHEE_TEST_OLDER", "kept", 1);
  assert_string_equal(shell((ghee_process_options){.env = more}, "echo $GHEE_TEST_NEW/$GHEE_TEST_OLD/$GHEE_TEST_OLDER; env | grep -c '^GHEE_TEST_OLD='"),
                      "a=b c/new/kept\n1\n");
  assert_string_equal(getenv("GHEE_TEST_OLD"), "old");
  unsetenv("GHEE_TEST_OLD");
  unsetenv("GHEE_TEST_OLDER");
}

static void works_in_its_folder(void **state) {
  (void)state;
  char want[96];
  snprintf(want, sizeof want, "%s\n", root);
  assert_string_equal(shell((ghee_process_options){.folder = root}, "pwd -P"), want);
}

/* Only stdio and what was named is open, under the same numbers, though some of it was to be closed on exec. */
static void only_named_descriptors_stay(void **state) {
  (void)state;
  int fds[6], keep[] = {0, 0, 0};
  for (int i = 0; i < 6; i++) assert_true((fds[i] = open("/dev/null", O_RDONLY | (i % 2 ? O_CLOEXEC : 0))) > 2);
  int high = fcntl(fds[5], F_DUPFD_CLOEXEC, 700);
  keep[0] = high; /* not sorted */
  keep[1] = fds[3];
  keep[2] = fds[0];
  char want[64];
  int first = fds[0] < fds[3] ? fds[0] : fds[3], second = fds[0] < fds[3] ? fds[3] : fds[0];
  snprintf(want, sizeof want, "0 1 2 %d %d %d \n", first, second, high);
  const char *line = "n=0; while [ $n -lt 1024 ]; do [ -e /proc/$$/fd/$n ] && printf '%s ' $n; n=$((n+1)); done; echo";
  assert_string_equal(shell((ghee_process_options){.keep_fds = keep, .n_keep_fds = 3}, line), want);
  assert_true(fcntl(high, F_GETFD) & FD_CLOEXEC); /* here nothing has changed */
  assert_int_equal(keep[0], high);
  for (int i = 0; i < 6; i++) close(fds[i]);
  close(high);
}

static void session_is_its_own_if_asked(void **state) {
  (void)state;
  char ours[32];
  snprintf(ours, sizeof ours, "%d\n", (int)getsid(0));
  const char *line = "set -- $(cat /proc/$$/stat); echo $6";
  assert_string_equal(shell((ghee_process_options){0}, line), ours);
  assert_string_not_equal(shell((ghee_process_options){.new_session = true}, line), ours);
}

/* What the caller ignores or blocks does not pass to the child. */
static void signals_are_as_new(void **state) {
  (void)state;
  sigset_t blocked, before, after;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &blocked, &before);
  signal(SIGUSR2, SIG_IGN);
  /* Signals 32 and 33 are the C library's own: nobody can set them, and its posix_spawn, by which `make` starts us, leaves them ignored. */
  unsigned long long blocks, ignores;
  assert_int_equal(sscanf(shell((ghee_process_options){0}, "grep -E 'SigBlk|SigIgn' /proc/$$/status | tr -d '\\t'"), "SigBlk:%llx SigIgn:%llx", &blocks, &ignores), 2);
  assert_int_equal(blocks, 0);
  assert_int_equal(ignores & ~0x180000000ull, 0);
  sigprocmask(SIG_SETMASK, &before, &after);
  assert_true(sigismember(&after, SIGUSR1)); /* here too it is as before */
  signal(SIGUSR2, SIG_DFL);
}

/* A middle process starts a child that dies with it, tells its pid, and is killed. */
static void child_dies_with_its_parent(void **state) {
  (void)state;
  int told[2];
  assert_int_equal(pipe(told), 0);
  pid_t middle = fork();
  if (middle == 0) {
    const char *const argv[] = {"sleep", "1000", NULL};
    ghee_process_id id = {0};
    int pidfd;
    if (ghee_process_start(&(ghee_process_options){.argv = argv, .die_with_parent = true}, &id, &pidfd, NULL) != GHEE_OK) _exit(1);
    if (write(told[1], &id, sizeof id) != sizeof id) _exit(1);
    pause();
  }
  ghee_process_id id;
  int pidfd, status;
  assert_int_equal(read(told[0], &id, sizeof id), sizeof id);
  assert_int_equal(ghee_process_open(&id, &pidfd, NULL), GHEE_OK);
  assert_true(ghee_process_alive(&id));
  kill(middle, SIGKILL);
  waitpid(middle, &status, 0);
  await(pidfd);
  assert_false(ghee_process_alive(&id));
  close(pidfd);
  close(told[0]);
  close(told[1]);
}

static void what_cannot_start_says_why(void **state) {
  (void)state;
  static const struct { const char *program, *folder, *log; ghee_status status; const char *words; } cases[] = {
      {"no-such-program-of-ghee", NULL, NULL, GHEE_NOT_FOUND, "no-such-program-of-ghee"},
      {"/nowhere/program", NULL, NULL, GHEE_NOT_FOUND, "/nowhere/program"},
      {"true", "/nowhere", NULL, GHEE_NOT_FOUND, "true"},
      {"true", NULL, "/nowhere/log", GHEE_NOT_FOUND, "/nowhere/log"},
      {"/tmp", NULL, NULL, GHEE_DENIED, "/tmp"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *const argv[] = {cases[i].program, NULL};
    ghee_process_id id = {.pid = -7};
    int pidfd = -7;
    ghee_error err = {0};
    assert_int_equal(ghee_process_start(&(ghee_process_options){.argv = argv, .folder = cases[i].folder, .log_path = cases[i].log}, &id, &pidfd, &err),
                     cases[i].status);
    assert_non_null(strstr(err.message, cases[i].words));
    assert_int_equal(id.pid, -7); /* untouched */
    assert_int_equal(pidfd, -7);
  }
  assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left to collect */
}

static void a_file_that_is_no_program(void **state) {
  (void)state;
  char path[96];
  snprintf(path, sizeof path, "%s/garbage", root);
  assert_int_equal(ghee_file_write_atomic(path, "\177garbage", 8, NULL), GHEE_OK);
  chmod(path, 0755);
  const char *const argv[] = {path, NULL};
  ghee_process_id id;
  int pidfd;
  ghee_error err;
  assert_int_equal(ghee_process_start(&(ghee_process_options){.argv = argv}, &id, &pidfd, &err), GHEE_IO);
  assert_non_null(strstr(err.message, "format"));
}

static void nothing_is_left_without_memory(void **state) {
  (void)state;
  const char *const argv[] = {"true", NULL}, *const env[] = {"A=b", NULL};
  ghee_process_options options = {.argv = argv, .env = env, .log_path = log_path};
  for (long n = 1, done = 0; !done; n++) {
    ghee_process_id id;
    int pidfd;
    ghee_memory_fail_at(n);
    ghee_status status = ghee_process_start(&options, &id, &pidfd, NULL);
    done = ghee_memory_count() < n;
    ghee_memory_fail_at(0);
    if (status == GHEE_OK) assert_int_equal(end_of(&id, pidfd), 0);
    assert_int_equal(status, done ? GHEE_OK : GHEE_NO_MEMORY);
  }
  assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void reap_waits_for_nobody(void **state) {
  (void)state;
  const char *const argv[] = {"sleep", "1000", NULL};
  ghee_process_id id;
  int pidfd, status = 0;
  start(&(ghee_process_options){.argv = argv}, &id, &pidfd);
  assert_int_equal(ghee_process_reap((pid_t)id.pid, &status, NULL), GHEE_AGAIN);
  assert_int_equal(ghee_process_signal(pidfd, SIGTERM, NULL), GHEE_OK);
  await(pidfd);
  assert_int_equal(ghee_process_reap((pid_t)id.pid, &status, NULL), GHEE_OK);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  assert_int_equal(ghee_process_reap((pid_t)id.pid, &status, NULL), GHEE_IO); /* it was ours once */
  ghee_error err;
  assert_int_equal(ghee_process_signal(pidfd, SIGTERM, &err), GHEE_NOT_FOUND);
  close(pidfd);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(output_goes_to_the_log, setup, teardown),
      cmocka_unit_test_setup_teardown(environment_is_added_and_replaced, setup, teardown),
      cmocka_unit_test_setup_teardown(works_in_its_folder, setup, teardown),
      cmocka_unit_test_setup_teardown(only_named_descriptors_stay, setup, teardown),
      cmocka_unit_test_setup_teardown(session_is_its_own_if_asked, setup, teardown),
      cmocka_unit_test_setup_teardown(signals_are_as_new, setup, teardown),
      cmocka_unit_test(child_dies_with_its_parent),
      cmocka_unit_test_setup_teardown(what_cannot_start_says_why, setup, teardown),
      cmocka_unit_test_setup_teardown(a_file_that_is_no_program, setup, teardown),
      cmocka_unit_test_setup_teardown(nothing_is_left_without_memory, setup, teardown),
      cmocka_unit_test(reap_waits_for_nobody)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
