/* SPDX-License-Identifier: Apache-2.0
 * What only the launcher of one machine can show: its list of processes, with what dies between two lines of it. The rest is in the
 * conformance suite. */
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
#include "launch/fork_server.h"
#include "launch/gate.h"
#include "launch/launch.h"
#include "transport/control/control.h"

static const uint8_t secret[GHEE_CONTROL_SECRET] = "not very secret, but long enough";
static char root[64], program[4096];
static ghee_process_id self;

/* `child FOLDER CLIENT-PID CLIENT-BORN (--worker=N | --fork-server)`: a worker that waits for its end. */
static int child_main(char **argv) {
  ghee_launch_pass_gate();
  ghee_process_id client = {.pid = atoll(argv[3]), .born = strtoull(argv[4], NULL, 10)};
  bool child = true;
  uint32_t index;
  if (strcmp(argv[5], "--fork-server") == 0 && ghee_fork_server_run(argv[2], secret, "stage", &client, argv[2], &index, &child, NULL) != GHEE_OK) return 97;
  struct pollfd fd = {.events = POLLIN};
  if (child && ghee_process_open(&client, &fd.fd, NULL) == GHEE_OK) poll(&fd, 1, -1);
  return 0;
}

static int setup(void **state) {
  (void)state;
  strcpy(root, "/tmp/ghee-local-XXXXXX");
  ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
  if (n < 0 || !mkdtemp(root) || ghee_process_self(&self, NULL) != GHEE_OK) return -1;
  program[n] = 0;
  return 0;
}

static int teardown(void **state) {
  (void)state;
  return ghee_dir_remove_all(root, NULL) == GHEE_OK ? 0 : -1;
}

static const char *const *child_argv(const char *last) {
  static char pid[32], born[32];
  static const char *argv[7];
  snprintf(pid, sizeof pid, "%lld", (long long)self.pid);
  snprintf(born, sizeof born, "%llu", (unsigned long long)self.born);
  const char *const made[] = {program, "child", root, pid, born, last, NULL};
  memcpy(argv, made, sizeof made);
  return argv;
}

static ghee_launcher *open_it(bool fork, bool hosted) {
  ghee_launch_stage stage = {.name = "stage", .workers = 2, .argv = child_argv(NULL), .fork = fork, .hosted = hosted, .log_folder = root};
  ghee_launcher *launcher;
  ghee_error err;
  if (ghee_launcher_local.open(root, secret, &stage, 1, &launcher, &err) != GHEE_OK) fail_msg("%s", err.message);
  return launcher;
}

/* The next event; false when everything that was awaited is here and nothing more comes. */
static bool next(ghee_launcher *launcher, ghee_launch_event *out) {
  ghee_status status;
  while ((status = ghee_launcher_local.next(launcher, out, NULL)) == GHEE_AGAIN && ghee_launcher_local.recovering(launcher)) {
    struct pollfd fd = {.fd = ghee_launcher_local.fd(launcher), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, -1), 1);
  }
  return status == GHEE_OK;
}

static void list(const ghee_process_id *id, int who) {
  char path[96];
  snprintf(path, sizeof path, "%s/processes", root);
  FILE *file = fopen(path, "ae");
  assert_non_null(file);
  fprintf(file, "%lld %llu 0 %d\n", (long long)id->pid, (unsigned long long)id->born, who);
  fclose(file);
}

/* A process that has ended and is not collected. */
static pid_t zombie(ghee_process_id *id) {
  pid_t pid = fork();
  if (pid == 0) for (;;) pause();
  assert_int_equal(ghee_process_identify(pid, id, NULL), GHEE_OK);
  kill(pid, SIGKILL);
  siginfo_t info;
  assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
  return pid;
}

static ghee_process_id start(const char *last) {
  ghee_process_id id;
  int pidfd;
  ghee_error err;
  char log[96];
  snprintf(log, sizeof log, "%s/log", root);
  if (ghee_process_start(&(ghee_process_options){.argv = child_argv(last), .log_path = log}, &id, &pidfd, &err) != GHEE_OK) fail_msg("%s", err.message);
  close(pidfd);
  return id;
}

/* A fork server died, another took its place, then the coordinator died: the list names both. */
static void only_the_living_are_awaited(void **state) {
  (void)state;
  ghee_process_id dead[3], server;
  pid_t pids[3];
  for (int i = 0; i < 3; i++) pids[i] = zombie(&dead[i]);
  list(&dead[0], -1);
  list(&dead[1], 0);
  server = start("--fork-server");
  list(&server, -1);
  list(&dead[2], -1);
  ghee_launcher *launcher = open_it(true, false);
  assert_true(ghee_launcher_local.recovering(launcher));
  ghee_launch_event event;
  assert_false(next(launcher, &event));
  assert_false(ghee_launcher_local.recovering(launcher));
  assert_true(ghee_process_alive(&server));
  assert_int_equal(ghee_launcher_local.start(launcher, 0, 1, NULL), GHEE_OK); /* by the server that was there */
  while (!next(launcher, &event)) {
    struct pollfd fd = {.fd = ghee_launcher_local.fd(launcher), .events = POLLIN};
    poll(&fd, 1, -1);
  }
  assert_int_equal(event.what, GHEE_LAUNCH_STARTED);
  ghee_launcher_local.close(launcher);
  assert_false(ghee_process_alive(&server));
  for (int i = 0; i < 3; i++) waitpid(pids[i], NULL, 0);
  waitpid((pid_t)server.pid, NULL, 0);
}

/* Two living ones under one name: the one that was started last counts, the end of the other changes nothing. */
static void the_last_of_the_list_counts(void **state) {
  (void)state;
  ghee_process_id first = start("--worker=0"), second = start("--worker=0");
  list(&first, 0);
  list(&second, 0);
  ghee_launcher *launcher = open_it(false, false);
  ghee_launch_event event;
  assert_true(next(launcher, &event) && next(launcher, &event));
  assert_memory_equal(&event.id, &second, sizeof second);
  kill((pid_t)first.pid, SIGKILL);
  waitpid((pid_t)first.pid, NULL, 0);
  assert_false(next(launcher, &event));
  assert_int_equal(ghee_launcher_local.kill(launcher, 0, 0, SIGKILL, NULL), GHEE_OK);
  siginfo_t info;
  assert_int_equal(waitid(P_PID, (id_t)second.pid, &info, WEXITED | WNOWAIT), 0);
  assert_true(next(launcher, &event));
  assert_int_equal(event.what, GHEE_LAUNCH_ENDED);
  ghee_launcher_local.close(launcher);
  waitpid((pid_t)second.pid, NULL, 0);
}

/* A launcher that dies before it has noted what it started leaves nobody behind. */
static void who_is_not_listed_does_not_begin(void **state) {
  (void)state;
  for (int opened = 0; opened <= 1; opened++) {
    ghee_launch_gate gate;
    ghee_process_id id;
    int pidfd, status;
    assert_int_equal(ghee_launch_gate_init(&gate, NULL), GHEE_OK);
    const char *env[] = {gate.env, NULL};
    assert_int_equal(ghee_process_start(&(ghee_process_options){.argv = child_argv("--worker=0"), .env = env, .keep_fds = &gate.child_fd, .n_keep_fds = 1},
                                        &id, &pidfd, NULL), GHEE_OK);
    assert_true(ghee_process_alive(&id));
    if (opened) ghee_launch_gate_open(&gate);
    ghee_launch_gate_fini(&gate);
    if (opened) kill((pid_t)id.pid, SIGTERM);
    assert_int_equal(waitpid((pid_t)id.pid, &status, 0), id.pid);
    if (opened) assert_true(WIFSIGNALED(status));
    else assert_true(WIFEXITED(status) && WEXITSTATUS(status) == GHEE_CANCELED);
    close(pidfd);
  }
}

static void a_list_that_cannot_be_written_is_an_error(void **state) {
  (void)state;
  char path[96];
  snprintf(path, sizeof path, "%s/processes", root);
  ghee_launcher *launcher = open_it(false, false);
  assert_int_equal(mkdir(path, 0700), 0);
  ghee_error err;
  assert_int_equal(ghee_launcher_local.start(launcher, 0, 0, &err), GHEE_IO);
  assert_non_null(strstr(err.message, path));
  ghee_launcher_local.close(launcher);
  assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* and the process is gone */
  rmdir(path);
}

static void a_hosted_worker_is_taken_as_started(void **state) {
  (void)state;
  ghee_launcher *launcher = open_it(false, true);
  ghee_launch_event event;
  assert_int_equal(launcher->ops->start(launcher, 0, 1, NULL), GHEE_OK);
  assert_int_equal(launcher->ops->next(launcher, &event, NULL), GHEE_OK);
  assert_int_equal(event.what, GHEE_LAUNCH_STARTED);
  assert_int_equal(event.worker, 1);
  assert_int_equal(launcher->ops->kill(launcher, 0, 1, SIGKILL, NULL), GHEE_OK); /* we live */
  assert_int_equal(launcher->ops->next(launcher, &event, NULL), GHEE_AGAIN);
  launcher->ops->close(launcher);
}

static void a_foreign_list_is_left_alone(void **state) {
  (void)state;
  char path[96];
  snprintf(path, sizeof path, "%s/processes", root);
  list(&(ghee_process_id){.pid = self.pid, .born = self.born + 1}, 0);  /* our number, another process */
  list(&(ghee_process_id){.pid = self.pid, .born = self.born}, 7);      /* no such worker */
  FILE *file = fopen(path, "ae");
  fprintf(file, "%lld %llu 9 0\nnonsense\n", (long long)self.pid, (unsigned long long)self.born);
  fclose(file);
  ghee_launcher *launcher = open_it(false, false);
  ghee_launch_event event;
  assert_false(next(launcher, &event));
  ghee_launcher_local.close(launcher); /* and we live */
  assert_int_equal(access(path, F_OK), -1);
}

static void nothing_is_left_without_memory(void **state) {
  (void)state;
  ghee_launch_stage stage = {.name = "stage", .workers = 2, .argv = child_argv(NULL), .log_folder = root};
  for (long n = 1, done = 0; !done; n++) {
    ghee_launcher *launcher = NULL;
    ghee_memory_fail_at(n);
    ghee_status status = ghee_launcher_local.open(root, secret, &stage, 1, &launcher, NULL);
    if (status == GHEE_OK) status = ghee_launcher_local.start(launcher, 0, 0, NULL);
    done = ghee_memory_count() < n;
    ghee_memory_fail_at(0);
    assert_int_equal(status, done ? GHEE_OK : GHEE_NO_MEMORY);
    if (launcher) ghee_launcher_local.close(launcher);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
  }
}

int main(int argc, char **argv) {
  if (argc > 5 && strcmp(argv[1], "child") == 0) return child_main(argv);
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(only_the_living_are_awaited, setup, teardown),
                                     cmocka_unit_test_setup_teardown(the_last_of_the_list_counts, setup, teardown),
                                     cmocka_unit_test_setup_teardown(who_is_not_listed_does_not_begin, setup, teardown),
                                     cmocka_unit_test_setup_teardown(a_list_that_cannot_be_written_is_an_error, setup, teardown),
                                     cmocka_unit_test_setup_teardown(a_foreign_list_is_left_alone, setup, teardown),
                                     cmocka_unit_test_setup_teardown(a_hosted_worker_is_taken_as_started, setup, teardown),
                                     cmocka_unit_test_setup_teardown(nothing_is_left_without_memory, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
