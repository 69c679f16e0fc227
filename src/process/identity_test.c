/* SPDX-License-Identifier: Apache-2.0
 * Who a process is: never another one of the same number. And what is told of processes: status, last lines, memory. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "process/process.h"

/* A child that waits to be killed. */
static pid_t waiting_child(const char *name) {
  pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_NAME, name);
    for (;;) pause();
  }
  return pid;
}

static void end(pid_t pid) {
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
}

static void identity_is_stable_and_distinct(void **state) {
  (void)state;
  ghee_process_id self, again, child;
  assert_int_equal(ghee_process_self(&self, NULL), GHEE_OK);
  assert_int_equal(self.pid, getpid());
  assert_int_equal(ghee_process_identify(getpid(), &again, NULL), GHEE_OK);
  assert_memory_equal(&self, &again, sizeof self);
  assert_true(ghee_process_alive(&self));
  pid_t pid = waiting_child("child");
  assert_int_equal(ghee_process_identify(pid, &child, NULL), GHEE_OK);
  assert_int_equal(child.pid, pid);
  assert_true(ghee_process_alive(&child));
  end(pid);
  assert_false(ghee_process_alive(&child));
}

/* A name full of what /proc/PID/stat is written with changes nothing. */
static void name_may_hold_anything(void **state) {
  (void)state;
  ghee_process_id plain, odd;
  int turned[2];
  char byte;
  assert_int_equal(pipe(turned), 0);
  pid_t pid = fork();
  if (pid == 0) {
    if (read(turned[0], &byte, 1) != 1) _exit(1);
    prctl(PR_SET_NAME, ") R 1 2 (3 4");
    if (write(turned[1], "", 1) != 1) _exit(1);
    for (;;) pause();
  }
  assert_int_equal(ghee_process_identify(pid, &plain, NULL), GHEE_OK);
  assert_int_equal(write(turned[1], "", 1), 1);
  char path[64], name[32] = "";
  snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
  while (!strchr(name, ')')) {
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(name, sizeof name, file));
    fclose(file);
    sched_yield();
  }
  assert_int_equal(ghee_process_identify(pid, &odd, NULL), GHEE_OK);
  assert_memory_equal(&plain, &odd, sizeof plain);
  end(pid);
  close(turned[0]);
  close(turned[1]);
}

/* The number lives again in another process: for the old identity it is gone, and no signal reaches the new one. */
static void a_reused_number_is_not_the_old_process(void **state) {
  (void)state;
  ghee_process_id now, old;
  pid_t pid = waiting_child("reused");
  assert_int_equal(ghee_process_identify(pid, &now, NULL), GHEE_OK);
  old = now;
  old.born ^= 1;
  int fd = -7;
  ghee_error err;
  assert_int_equal(ghee_process_open(&old, &fd, &err), GHEE_NOT_FOUND);
  assert_int_equal(fd, -7);
  assert_non_null(strstr(err.message, "gone"));
  assert_false(ghee_process_alive(&old));
  assert_true(ghee_process_alive(&now));
  end(pid);
}

/* As far as a test may: the kernel is asked for the same number again. */
static void a_number_that_the_kernel_gave_again(void **state) {
  (void)state;
  ghee_process_id old, now;
  pid_t pid = waiting_child("first");
  assert_int_equal(ghee_process_identify(pid, &old, NULL), GHEE_OK);
  end(pid);
  char text[32];
  int length = snprintf(text, sizeof text, "%d", (int)pid - 1), fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
  pid_t second = -1;
  if (fd >= 0 && write(fd, text, (size_t)length) == length) second = waiting_child("second");
  if (fd >= 0) close(fd);
  if (second != pid) { /* not allowed, or somebody else was faster */
    if (second > 0) end(second);
    skip();
  }
  assert_int_equal(ghee_process_identify(pid, &now, NULL), GHEE_OK);
  /* Born in the same clock tick they could not be told apart. */
  if (now.born != old.born) assert_false(ghee_process_alive(&old));
  assert_true(ghee_process_alive(&now));
  end(second);
}

static void a_zombie_is_not_alive(void **state) {
  (void)state;
  pid_t pid = waiting_child("zombie");
  ghee_process_id id;
  int fd;
  assert_int_equal(ghee_process_identify(pid, &id, NULL), GHEE_OK);
  assert_int_equal(ghee_process_open(&id, &fd, NULL), GHEE_OK);
  kill(pid, SIGKILL);
  struct pollfd ended = {.fd = fd, .events = POLLIN};
  assert_int_equal(poll(&ended, 1, -1), 1);
  assert_false(ghee_process_alive(&id)); /* not collected yet */
  close(fd);
  waitpid(pid, NULL, 0);
  assert_int_equal(ghee_process_identify(pid, &id, NULL), GHEE_NOT_FOUND);
}

static void status_in_words(void **state) {
  (void)state;
  char text[128];
  static const struct { int status; const char *words; } cases[] = {
      {0, "exited with code 0"}, {3 << 8, "exited with code 3"}, {255 << 8, "exited with code 255"}, {-1, "ended (status unknown)"},
      {SIGSEGV, "was killed by signal 11 (SIGSEGV)"}, {SIGABRT | 0x80, "was killed by signal 6 (SIGABRT)"},
      {SIGKILL, "was killed by signal 9 (SIGKILL): by hand, or for want of memory"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_ptr_equal(ghee_process_status_text(cases[i].status, text, sizeof text), text);
    assert_string_equal(text, cases[i].words);
  }
  char narrow[8];
  assert_string_equal(ghee_process_status_text(0, narrow, sizeof narrow), "exited ");
}

static const char *written(const void *data, size_t size) {
  static char path[32];
  strcpy(path, "/tmp/ghee-tail-XXXXXX");
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, data, size), size);
  close(fd);
  return path;
}

static void last_lines(void **state) {
  (void)state;
  static const struct { const char *text; size_t lines, size; const char *tail; } cases[] = {
      {"a\nb\nc\n", 2, 100, "b\nc"}, {"a\nb\nc", 2, 100, "b\nc"}, {"a\nb\nc\n\n\n", 1, 100, "c"}, {"a\nb\n", 9, 100, "a\nb"},
      {"a\n\nb\n", 2, 100, "\nb"}, {"", 3, 100, ""}, {"\n\n", 3, 100, ""}, {"abcdef\nxyz", 9, 5, "f\nxyz"}, {"a\nb\n", 0, 100, ""}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *path = written(cases[i].text, strlen(cases[i].text));
    char *tail = ghee_process_tail(path, cases[i].lines, cases[i].size);
    assert_string_equal(tail, cases[i].tail);
    ghee_free(tail);
    unlink(path);
  }
  const char *path = written("x\0y\nz", 5);
  char *tail = ghee_process_tail(path, 5, 100);
  assert_string_equal(tail, "x?y\nz"); /* stays one text */
  ghee_free(tail);
  unlink(path);
  tail = ghee_process_tail("/nowhere/log", 5, 100);
  assert_string_equal(tail, "");
  ghee_free(tail);
  ghee_memory_fail_at(1);
  assert_null(ghee_process_tail("/nowhere/log", 5, 100));
  ghee_memory_fail_at(0);
}

static void memory_grows_with_what_is_touched(void **state) {
  (void)state;
  enum { SIZE = 32 << 20 };
  uint64_t before = ghee_process_memory(getpid());
  assert_true(before > 0);
  void *block = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_ptr_not_equal(block, MAP_FAILED);
  memset(block, 1, SIZE);
  uint64_t after = ghee_process_memory(getpid());
  munmap(block, SIZE);
  assert_true(after >= before + SIZE / 2);
  pid_t pid = waiting_child("gone");
  end(pid);
  assert_int_equal(ghee_process_memory(pid), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(identity_is_stable_and_distinct),         cmocka_unit_test(name_may_hold_anything),
      cmocka_unit_test(a_reused_number_is_not_the_old_process),  cmocka_unit_test(a_number_that_the_kernel_gave_again),
      cmocka_unit_test(a_zombie_is_not_alive),                   cmocka_unit_test(status_in_words),
      cmocka_unit_test(last_lines),                              cmocka_unit_test(memory_grows_with_what_is_touched)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
