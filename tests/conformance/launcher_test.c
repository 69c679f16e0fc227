/* SPDX-License-Identifier: Apache-2.0
 * What every backend of ghee_launcher does: workers start, end, are killed, and are taken up again after the death of whoever started
 * them. The workers are this program, run again: a backend has to be able to start it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "launch/fork_server.h"
#include "launch/gate.h"
#include "launch/launch.h"

typedef struct backend { const struct ghee_launcher_ops *ops; } backend;
static const backend backends[] = {{&ghee_launcher_local}};
enum { BACKENDS = sizeof backends / sizeof *backends, WORKERS = 3 };

static const uint8_t secret[32] = "not very secret, but long enough";
static char root[64], client_text[64], program[4096];

/* ---- the workers' side ---- */

/* Who started us, and lives as long as the test. */
static ghee_process_id client(void) {
  long long pid;
  unsigned long long born;
  if (sscanf(getenv("LAUNCHER_TEST_CLIENT"), "%lld:%llu", &pid, &born) != 2) _exit(98);
  return (ghee_process_id){.pid = pid, .born = born};
}

static int wait_for_the_end(void) {
  ghee_process_id id = client();
  struct pollfd fd = {.events = POLLIN};
  if (ghee_process_open(&id, &fd.fd, NULL) != GHEE_OK) return 96;
  while (poll(&fd, 1, -1) != 1) continue;
  return 0;
}

static int work(const char *task, unsigned index) {
  printf("worker %u of %s\n", index, getenv("LAUNCHER_TEST_STAGE"));
  fflush(stdout);
  if (strcmp(task, "exit") == 0) return 3 + (int)index;
  if (strcmp(task, "crash") == 0) raise(SIGABRT);
  return wait_for_the_end();
}

static int child_main(char **argv) {
  const char *task = argv[2], *folder = argv[3], *last = argv[4];
  ghee_launch_pass_gate();
  unsigned index = 0;
  if (strcmp(task, "broken") == 0) return 9;
  if (strcmp(last, "--fork-server") != 0) return sscanf(last, "--worker=%u", &index) == 1 ? work(task, index) : 99;
  ghee_process_id id = client();
  bool child = false;
  uint32_t forked;
  if (ghee_fork_server_run(folder, secret, getenv("LAUNCHER_TEST_STAGE"), &id, folder, &forked, &child, NULL) != GHEE_OK) return 97;
  return child ? work(task, forked) : 0;
}

/* ---- the launcher's side ---- */

static int setup(void **state) {
  (void)state;
  ghee_process_id self;
  strcpy(root, "/tmp/ghee-launch-XXXXXX");
  ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
  if (n < 0 || !mkdtemp(root) || ghee_process_self(&self, NULL) != GHEE_OK) return -1;
  program[n] = 0;
  snprintf(client_text, sizeof client_text, "LAUNCHER_TEST_CLIENT=%lld:%llu", (long long)self.pid, (unsigned long long)self.born);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  return ghee_dir_remove_all(root, NULL) == GHEE_OK ? 0 : -1;
}

/* Two stages: workers of their own, and workers through a fork server. */
static ghee_launcher *open_it(const backend *of, const char *task) {
  const char *argv[] = {program, "child", task, root, NULL};
  const char *own[] = {client_text, "LAUNCHER_TEST_STAGE=own", NULL}, *forked[] = {client_text, "LAUNCHER_TEST_STAGE=forked", NULL};
  ghee_launch_stage stages[] = {{.name = "own", .workers = WORKERS, .argv = argv, .env = own, .log_folder = root},
                                {.name = "forked", .workers = WORKERS, .argv = argv, .env = forked, .log_folder = root, .fork = true}};
  ghee_launcher *launcher;
  ghee_error err;
  if (of->ops->open(root, secret, stages, 2, &launcher, &err) != GHEE_OK) fail_msg("%s", err.message);
  assert_ptr_equal(launcher->ops, of->ops);
  return launcher;
}

static ghee_launch_event next(ghee_launcher *launcher) {
  ghee_launch_event event;
  ghee_error err;
  ghee_status status;
  while ((status = launcher->ops->next(launcher, &event, &err)) == GHEE_AGAIN) {
    struct pollfd fd = {.fd = launcher->ops->fd(launcher), .events = POLLIN};
    assert_true(poll(&fd, 1, -1) == 1);
  }
  if (status != GHEE_OK) fail_msg("%s", err.message);
  return event;
}

static ghee_launch_event expect(ghee_launcher *launcher, int what, uint32_t stage, uint32_t worker) {
  ghee_launch_event event = next(launcher);
  assert_int_equal(event.what, what);
  assert_int_equal(event.stage, stage);
  assert_int_equal(event.worker, worker);
  return event;
}

static ghee_process_id start(ghee_launcher *launcher, uint32_t stage, uint32_t worker) {
  ghee_error err;
  if (launcher->ops->start(launcher, stage, worker, &err) != GHEE_OK) fail_msg("%s", err.message);
  return expect(launcher, GHEE_LAUNCH_STARTED, stage, worker).id;
}

static void assert_quiet(ghee_launcher *launcher) {
  ghee_launch_event event;
  assert_int_equal(launcher->ops->next(launcher, &event, NULL), GHEE_AGAIN);
}

static bool log_has(const char *name, const char *words) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", root, name);
  char *tail = ghee_process_tail(path, 10, 1000);
  bool has = tail && strstr(tail, words);
  ghee_free(tail);
  return has;
}

/* ---- cases ---- */

static void workers_start_and_are_killed(const backend *of) {
  ghee_launcher *launcher = open_it(of, "wait");
  assert_false(launcher->ops->recovering(launcher));
  ghee_process_id ids[2][WORKERS];
  for (uint32_t stage = 0; stage < 2; stage++)
    for (uint32_t i = 0; i < WORKERS; i++) {
      ids[stage][i] = start(launcher, stage, i);
      assert_true(ghee_process_alive(&ids[stage][i]));
    }
  assert_quiet(launcher);
  for (uint32_t stage = 0; stage < 2; stage++) {
    assert_int_equal(launcher->ops->kill(launcher, stage, 1, SIGTERM, NULL), GHEE_OK);
    ghee_launch_event ended = expect(launcher, GHEE_LAUNCH_ENDED, stage, 1);
    assert_memory_equal(&ended.id, &ids[stage][1], sizeof ended.id);
    assert_int_equal(ended.status, SIGTERM);
    assert_false(ghee_process_alive(&ids[stage][1]));
    assert_int_equal(launcher->ops->kill(launcher, stage, 1, SIGTERM, NULL), GHEE_OK); /* nobody there */
    ghee_process_id again = start(launcher, stage, 1);
    assert_true(again.pid != ids[stage][1].pid || again.born != ids[stage][1].born);
    ids[stage][1] = again;
  }
  assert_quiet(launcher);
  launcher->ops->close(launcher);
  for (uint32_t stage = 0; stage < 2; stage++)
    for (uint32_t i = 0; i < WORKERS; i++) assert_false(ghee_process_alive(&ids[stage][i]));
}

static void ends_say_how(const backend *of) {
  static const struct { const char *task; int status; } cases[] = {{"exit", 5 << 8}, {"crash", SIGABRT}};
  for (int c = 0; c < 2; c++) {
    ghee_launcher *launcher = open_it(of, cases[c].task);
    for (uint32_t stage = 0; stage < 2; stage++) {
      start(launcher, stage, 2);
      assert_int_equal(expect(launcher, GHEE_LAUNCH_ENDED, stage, 2).status & ~0x80, cases[c].status);
    }
    launcher->ops->close(launcher);
  }
  assert_true(log_has("own-2.log", "worker 2 of own"));
  assert_true(log_has("forked-2.log", "worker 2 of forked"));
}

static pid_t server_of(const ghee_process_id *worker) {
  char path[64];
  long long parent = 0;
  snprintf(path, sizeof path, "/proc/%lld/stat", (long long)worker->pid);
  FILE *file = fopen(path, "re");
  assert_non_null(file);
  assert_int_equal(fscanf(file, "%*d %*s %*c %lld", &parent), 1);
  fclose(file);
  return (pid_t)parent;
}

static void workers_die_with_their_fork_server(const backend *of) {
  ghee_launcher *launcher = open_it(of, "wait");
  ghee_process_id ids[WORKERS];
  for (uint32_t i = 0; i < WORKERS; i++) ids[i] = start(launcher, 1, i);
  ghee_process_id own = start(launcher, 0, 0);
  assert_int_equal(server_of(&ids[0]), server_of(&ids[2])); /* imports are paid once */
  kill(server_of(&ids[0]), SIGKILL);
  for (uint32_t i = 0; i < WORKERS; i++) {
    ghee_launch_event ended = expect(launcher, GHEE_LAUNCH_ENDED, 1, i);
    assert_memory_equal(&ended.id, &ids[i], sizeof ended.id);
  }
  assert_true(ghee_process_alive(&own));
  for (uint32_t i = 0; i < WORKERS; i++) start(launcher, 1, i); /* by a new server */
  assert_quiet(launcher);
  launcher->ops->close(launcher);
}

static void what_does_not_start_fails(const backend *of) {
  ghee_launcher *launcher = open_it(of, "broken");
  assert_int_equal(launcher->ops->start(launcher, 1, 1, NULL), GHEE_OK);
  ghee_launch_event failed = expect(launcher, GHEE_LAUNCH_FAILED, 1, 1);
  assert_non_null(strstr(failed.message, "fork server"));
  assert_int_equal(failed.status, 9 << 8);
  start(launcher, 0, 1);
  assert_int_equal(expect(launcher, GHEE_LAUNCH_ENDED, 0, 1).status, 9 << 8);
  launcher->ops->close(launcher);
}

/* A process that starts all workers, tells who they are, and waits to be killed. */
static pid_t coordinator(const backend *of, int told) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  ghee_launcher *launcher = open_it(of, "wait");
  ghee_process_id ids[2][WORKERS];
  for (uint32_t stage = 0; stage < 2; stage++)
    for (uint32_t i = 0; i < WORKERS; i++) ids[stage][i] = start(launcher, stage, i);
  if (write(told, ids, sizeof ids) != sizeof ids) _exit(1);
  for (;;) pause();
}

static void a_second_launcher_takes_everything_up(const backend *of) {
  int told[2];
  ghee_process_id ids[2][WORKERS];
  assert_int_equal(pipe(told), 0);
  pid_t first = coordinator(of, told[1]);
  assert_int_equal(read(told[0], ids, sizeof ids), sizeof ids);
  close(told[0]);
  close(told[1]);
  kill(first, SIGKILL);
  waitpid(first, NULL, 0);
  kill((pid_t)ids[0][2].pid, SIGKILL); /* one dies while nobody looks */
  while (ghee_process_alive(&ids[0][2])) sched_yield();
  ghee_launcher *launcher = open_it(of, "wait");
  bool seen[2][WORKERS] = {{false}};
  for (int n = 0; n < 2 * WORKERS - 1;) {
    ghee_launch_event event = next(launcher);
    if (event.stage == 0 && event.worker == 2) continue; /* found dead, or taken up before it was collected, and then told to have ended */
    n++;
    assert_int_equal(event.what, GHEE_LAUNCH_STARTED);
    assert_memory_equal(&event.id, &ids[event.stage][event.worker], sizeof event.id);
    assert_false(seen[event.stage][event.worker]);
    seen[event.stage][event.worker] = true;
  }
  assert_false(launcher->ops->recovering(launcher));
  start(launcher, 0, 2);
  for (uint32_t stage = 0; stage < 2; stage++) { /* deaths are seen, though they are not our children */
    assert_int_equal(launcher->ops->kill(launcher, stage, 0, SIGKILL, NULL), GHEE_OK);
    ghee_launch_event ended = expect(launcher, GHEE_LAUNCH_ENDED, stage, 0);
    assert_memory_equal(&ended.id, &ids[stage][0], sizeof ended.id);
    assert_true(ended.status == -1 || ended.status == SIGKILL);
    start(launcher, stage, 0);
  }
  pid_t server = server_of(&ids[1][1]);
  launcher->ops->close(launcher);
  for (uint32_t stage = 0; stage < 2; stage++)
    for (uint32_t i = 0; i < WORKERS; i++) assert_false(ghee_process_alive(&ids[stage][i]));
  ghee_process_id left;
  if (ghee_process_identify(server, &left, NULL) == GHEE_OK) assert_false(ghee_process_alive(&left));
}

static void recovering_ends_when_what_was_awaited_is_dead(const backend *of) {
  int told[2];
  ghee_process_id ids[2][WORKERS];
  assert_int_equal(pipe(told), 0);
  pid_t first = coordinator(of, told[1]);
  assert_int_equal(read(told[0], ids, sizeof ids), sizeof ids);
  close(told[0]);
  close(told[1]);
  pid_t server = server_of(&ids[1][0]);
  kill(server, SIGSTOP); /* it cannot say hello */
  kill(first, SIGKILL);
  waitpid(first, NULL, 0);
  ghee_launcher *launcher = open_it(of, "wait");
  for (uint32_t i = 0; i < WORKERS; i++) expect(launcher, GHEE_LAUNCH_STARTED, 0, i);
  assert_quiet(launcher);
  assert_true(launcher->ops->recovering(launcher));
  kill(server, SIGKILL);
  struct pollfd fd = {.fd = launcher->ops->fd(launcher), .events = POLLIN};
  assert_int_equal(poll(&fd, 1, -1), 1);
  assert_quiet(launcher); /* its workers were never told of, and have died with it */
  assert_false(launcher->ops->recovering(launcher));
  for (uint32_t i = 0; i < WORKERS; i++) start(launcher, 1, i);
  launcher->ops->close(launcher);
}

static void each(void (*run)(const backend *of)) {
  for (int i = 0; i < BACKENDS; i++) run(&backends[i]);
}

#define CASE(name) static void test_##name(void **state) { (void)state; each(name); }
CASE(workers_start_and_are_killed)
CASE(ends_say_how)
CASE(workers_die_with_their_fork_server)
CASE(what_does_not_start_fails)
CASE(a_second_launcher_takes_everything_up)
CASE(recovering_ends_when_what_was_awaited_is_dead)

int main(int argc, char **argv) {
  if (argc > 4 && strcmp(argv[1], "child") == 0) return child_main(argv);
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_workers_start_and_are_killed, setup, teardown),
                                     cmocka_unit_test_setup_teardown(test_ends_say_how, setup, teardown),
                                     cmocka_unit_test_setup_teardown(test_workers_die_with_their_fork_server, setup, teardown),
                                     cmocka_unit_test_setup_teardown(test_what_does_not_start_fails, setup, teardown),
                                     cmocka_unit_test_setup_teardown(test_a_second_launcher_takes_everything_up, setup, teardown),
                                     cmocka_unit_test_setup_teardown(test_recovering_ends_when_what_was_awaited_is_dead, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
