/* SPDX-License-Identifier: Apache-2.0
 * The client beside coordinators that die where it hurts: this program is their part as well, by what stands in the job's `script`. */
#include "runtime/job/job_sample.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "runtime/job/wire.h"

enum { END_MS = 10000 };

static char root[64];
static ghee_job_folder folder;
static const char job[] = "{'name': 'old', 'input': {'uri': 'in', 'format': 'parquet'}, 'preprocess': {}, 'output': {'uri': 'out'}}";

static const char *in_folder(const char *name) {
  static char path[512];
  snprintf(path, sizeof path, "%s/%s", folder.path, name);
  return path;
}

/* ---- the coordinator's part ---- */

static bool first_life(void) { return close(open(in_folder("lived"), O_CREAT | O_EXCL | O_WRONLY, 0600)) == 0; }

static void say_result(int client, ghee_status status, const char *text) {
  ghee_buffer result = {0};
  ghee_buffer_put_u32(&result, status);
  ghee_buffer_put_text(&result, text);
  (void)ghee_wire_send(client, GHEE_WIRE_RESULT, result.data, result.size);
  ghee_buffer_fini(&result);
}

/* As a coordinator does that finds an outcome which nobody has heard. */
static void say_what_the_ledger_says(int client) {
  ghee_job_state state;
  int code = 0;
  char *text = NULL;
  ghee_ledger *ledger = sample_ledger(folder.path);
  if (ghee_ledger_state(ledger, &state, &code, &text, NULL) != GHEE_OK) abort();
  say_result(client, state == GHEE_JOB_RUNNING ? GHEE_OK : (ghee_status)code, text ? text : "");
  ghee_ledger_close(ledger);
  ghee_free(text);
}

/* Somebody who lives on, in the list of processes. */
static void leave_a_worker(void) {
  int told[2];
  char byte = 1;
  if (pipe(told) != 0) abort();
  if (fork() == 0) {
    ghee_process_id self;
    FILE *list = fopen(in_folder("processes"), "ae");
    if (!list || setsid() < 0 || ghee_process_self(&self, NULL) != GHEE_OK) abort();
    fprintf(list, "%lld %llu 0 0\n", (long long)self.pid, (unsigned long long)self.born);
    fclose(list);
    if (write(told[1], &byte, 1) != 1) abort();
    for (int fd = 3; fd < 64; fd++) close(fd);
    for (;;) pause();
  }
  if (read(told[0], &byte, 1) != 1) abort();
  close(open(in_folder("control.sock"), O_CREAT | O_WRONLY, 0600));
  close(open(in_folder("s-0"), O_CREAT | O_WRONLY, 0600));
}

static int coordinator_main(char **argv) {
  int client = atoi(argv[4]);
  folder.path = argv[2];
  if (access(in_folder("dies at once"), F_OK) == 0) {
    if (first_life()) raise(SIGKILL);
    say_what_the_ledger_says(client);
  } else {
    leave_a_worker();
    say_result(client, GHEE_OK, "");
    raise(SIGKILL);
  }
  return 0;
}

/* ---- tests ---- */

static int setup(void **state) {
  (void)state;
  char self[512];
  strcpy(root, "/tmp/ghee-client-XXXXXX");
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n < 0 || !mkdtemp(root)) return -1;
  self[n] = 0;
  char program[128];
  snprintf(program, sizeof program, "%s/ghee-coordinator", root);
  setenv("GHEE_PROGRAMS", root, 1);
  sample_job(root, "old", job, 0, NULL, &folder);
  return symlink(self, program);
}

static int teardown(void **state) {
  (void)state;
  ghee_job_folder_fini(&folder);
  return ghee_dir_remove_all(root, NULL) == GHEE_OK ? 0 : -1;
}

/* The failure before is not what a resumed job is told, though its first coordinator dies before it has done anything. */
static void test_an_old_outcome_is_forgotten(void **state) {
  (void)state;
  ghee_ledger *ledger = sample_ledger(folder.path);
  SAMPLE_OK(ghee_ledger_set_state(ledger, GHEE_JOB_FAILED, GHEE_USER, "what went wrong before", err));
  ghee_ledger_close(ledger);
  close(open(in_folder("dies at once"), O_CREAT | O_WRONLY, 0600));
  ghee_job_result result = {0};
  SAMPLE_OK(ghee_job_resume("old", NULL, &result, err));
  assert_int_equal(access(in_folder("lived"), F_OK), 0);
  ghee_job_result_fini(&result);
}

static void test_what_a_killed_coordinator_left_is_swept_up(void **state) {
  (void)state;
  ghee_job_result result = {0};
  ghee_process_id left = {0};
  struct pollfd end = {.events = POLLIN};
  long long pid;
  unsigned long long born;
  SAMPLE_OK(ghee_job_resume("old", NULL, &result, err));
  FILE *list = fopen(in_folder("processes"), "re");
  assert_non_null(list);
  assert_int_equal(fscanf(list, "%lld %llu", &pid, &born), 2);
  fclose(list);
  left = (ghee_process_id){.pid = pid, .born = born};
  bool ended = ghee_process_open(&left, &end.fd, NULL) == GHEE_NOT_FOUND;
  if (!ended) {
    ended = poll(&end, 1, END_MS) == 1; /* it is killed; its end is on its way */
    (void)ghee_process_signal(end.fd, SIGKILL, NULL);
    close(end.fd);
  }
  assert_true(ended);
  assert_int_equal(access(in_folder("control.sock"), F_OK), -1);
  assert_int_equal(access(in_folder("s-0"), F_OK), -1);
  ghee_job_result_fini(&result);
}

int main(int argc, char **argv) {
  if (argc > 4 && strcmp(argv[1], "--job") == 0) return coordinator_main(argv);
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_an_old_outcome_is_forgotten, setup, teardown),
                                     cmocka_unit_test_setup_teardown(test_what_a_killed_coordinator_left_is_swept_up, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
