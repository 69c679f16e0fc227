/* SPDX-License-Identifier: Apache-2.0
 * A worker's line, beside coordinators that come and go: this test is the coordinator of each generation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "runtime/worker/worker.h"
#include "transport/control/control.h"

enum { MOST_MS = 20000 };

static char folder[64];
static ghee_stage_spec stage;
static ghee_mark mark;
static ghee_worker worker;
static ghee_control_server *server;
static uint64_t peer;

static void come(void) {
  char *path = ghee_job_folder_file(folder, "control.sock");
  assert_int_equal(ghee_control_server_open(path, worker.key.secret_key, &server, NULL), GHEE_OK);
  ghee_free(path);
}

static void go(void) { ghee_control_server_close(server); }

static void say(const ghee_say_message *message) {
  ghee_buffer bytes = {0};
  assert_int_equal(ghee_say_encode(message, &bytes, NULL), GHEE_OK);
  assert_int_equal(ghee_control_server_send(server, peer, bytes.data, bytes.size, NULL), GHEE_OK);
  ghee_buffer_fini(&bytes);
}


/* The worker's next message that is no report. out gives: ghee_say_fini. */
static void next(ghee_say_message *out) {
  for (;;) {
    ghee_control_event event;
    struct pollfd fd = {.fd = ghee_control_server_fd(server), .events = POLLIN};
    ghee_status status = ghee_control_server_next(server, &event, NULL);
    if (status == GHEE_AGAIN && poll(&fd, 1, MOST_MS) == 0) fail_msg("nothing more is said");
    if (status != GHEE_OK || event.what != GHEE_CONTROL_MESSAGE) continue;
    assert_int_equal(ghee_say_decode(event.data, event.size_bytes, out, NULL), GHEE_OK);
    peer = event.peer;
    if (out->what != GHEE_SAY_METRICS) return;
    ghee_say_fini(out);
  }
}

static void assert_next(ghee_say what) {
  ghee_say_message message;
  next(&message);
  assert_int_equal(message.what, what);
  ghee_say_fini(&message);
}

static void assert_hello(uint32_t generation) {
  ghee_say_message message;
  next(&message);
  assert_int_equal(message.what, GHEE_SAY_HELLO);
  assert_int_equal(message.hello.generation, generation);
  assert_int_equal(message.hello.worker, 3);
  assert_string_equal(message.hello.address, "its receiver");
  ghee_say_fini(&message);
}

/* Answered by a worker that is ready, so that it has been heard. */
static void welcome(uint32_t generation) {
  say(&(ghee_say_message){.what = GHEE_SAY_WELCOME, .welcome = {.generation = generation, .state_file = (char *)""}});
  assert_next(GHEE_SAY_READY);
}

static void get_ready(void) {
  pthread_mutex_lock(&worker.locked.mutex);
  worker.locked.ready = true;
  pthread_mutex_unlock(&worker.locked.mutex);
}

static int setup(void **state) {
  (void)state;
  strcpy(folder, "/tmp/ghee-link-XXXXXX");
  worker = (ghee_worker){.folder = folder, .of = &stage, .mark = &mark, .index = 3};
  pthread_mutex_init(&worker.locked.mutex, NULL);
  pthread_cond_init(&worker.locked.changed, NULL);
  ghee_attempts_init(&worker.attempts);
  return mkdtemp(folder) && ghee_stream_key_new(&worker.key, NULL) == GHEE_OK && ghee_process_self(&worker.facts.client, NULL) == GHEE_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  ghee_attempts_fini(&worker.attempts);
  pthread_cond_destroy(&worker.locked.changed);
  pthread_mutex_destroy(&worker.locked.mutex);
  return ghee_dir_remove_all(folder, NULL) == GHEE_OK ? 0 : -1;
}

/* A worker may get ready while nobody is there to hear it: each coordinator hears it all the same, behind its welcome. */
static void test_each_coordinator_hears_that_it_is_ready(void **state) {
  (void)state;
  ghee_say_message ready = {.what = GHEE_SAY_READY};
  assert_int_equal(ghee_link_start(&worker, "its receiver", NULL), GHEE_OK);
  assert_int_equal(ghee_link_say(worker.link, &ready), GHEE_CLOSED);
  get_ready();
  for (uint32_t generation = 1; generation < 4; generation++) {
    come();
    assert_hello(generation - 1);
    welcome(generation);
    if (generation < 3) go();
  }
  ghee_link_stop(worker.link);
  assert_next(GHEE_SAY_BYE);
  go();
  ghee_link_free(worker.link);
}

/* What earlier generations leased is void; what this one has said is not. */
static void test_a_new_generation_makes_the_old_void(void **state) {
  (void)state;
  ghee_attempt old = {.chunk = 1, .token = UINT64_C(1) << 32 | 7}, young = {.chunk = 1, .token = UINT64_C(2) << 32};
  assert_int_equal(ghee_link_start(&worker, "its receiver", NULL), GHEE_OK);
  get_ready();
  come();
  assert_hello(0);
  welcome(1);
  go();
  come();
  assert_hello(1);
  assert_true(ghee_attempts_alive(&worker.attempts, &old));
  welcome(2);
  go();
  come();
  assert_hello(2); /* all of the second is done by now */
  assert_false(ghee_attempts_alive(&worker.attempts, &old));
  assert_true(ghee_attempts_alive(&worker.attempts, &young));
  ghee_link_stop(worker.link);
  go();
  ghee_link_free(worker.link);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {TEST(test_each_coordinator_hears_that_it_is_ready), TEST(test_a_new_generation_makes_the_old_void)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
