/* SPDX-License-Identifier: Apache-2.0
 * The coordinator as a process, beside a client that dies. This program is its workers as well: they wait for their end. */
#include "runtime/job/job_sample.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "ghee/worker.h"
#include "launch/gate.h"
#include "runtime/job/wire.h"

static char root[64], self[512], worker_word[] = "worker";

static int wait_as_worker(void) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return 1;
  ghee_launch_pass_gate(); /* shut: the coordinator died before */
  for (;;) pause();
}

static pid_t start_coordinator(const char *folder, int *client) {
  int pair[2];
  char fd[16];
  assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
  pid_t pid = fork();
  if (pid == 0) {
    close(pair[0]);
    snprintf(fd, sizeof fd, "%d", pair[1]);
    char program[] = "ghee-coordinator", job[] = "--job", to[] = "--client", path[512];
    snprintf(path, sizeof path, "%s", folder);
    char *argv[] = {program, job, path, to, fd, NULL};
    _exit(ghee_coordinator_main(5, argv));
  }
  close(pair[1]);
  *client = pair[0];
  return pid;
}

/* The word that it runs: its first report. */
static void await_report(int client) {
  static uint8_t room[GHEE_WIRE_MAX];
  ghee_wire_kind kind;
  const void *data;
  size_t size;
  do {
    struct pollfd fd = {.fd = client, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, -1), 1);
    assert_int_equal(ghee_wire_receive(client, room, &kind, &data, &size), GHEE_OK);
    assert_int_not_equal(kind, GHEE_WIRE_RESULT);
  } while (kind != GHEE_WIRE_PROGRESS);
}

/* The socket's end may be seen before that of the process: it is no wish to stop, and the job goes on when it is resumed. */
static void test_a_dead_client_is_no_cancellation(void **state) {
  (void)state;
  static const char text[] = "{'name': 'left', 'input': {'uri': 'in', 'format': 'parquet'}, 'preprocess': {'run': 'no:one'}, 'output': {'uri': 'out'}}";
  char *python[] = {self, worker_word, NULL};
  ghee_job_folder folder;
  int client, status;
  sample_job(root, "left", text, 1, python, &folder);
  pid_t pid = start_coordinator(folder.path, &client);
  await_report(client);
  close(client);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), GHEE_CANCELED);
  assert_int_equal(sample_state(folder.path), GHEE_JOB_RUNNING);
  ghee_job_folder_fini(&folder);
}

static int setup(void **state) {
  (void)state;
  strcpy(root, "/tmp/ghee-coordinator-XXXXXX");
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  ghee_object_store_register(&ghee_object_store_file);
  return n > 0 && mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  return ghee_dir_remove_all(root, NULL) == GHEE_OK ? 0 : -1;
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], worker_word) == 0) return wait_as_worker();
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_a_dead_client_is_no_cancellation, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
