/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "runtime/worker/worker.h"

/* A worker of the stage before the last, as far as its way out needs one. */
typedef struct fixture {
  char folder[64];
  ghee_job_spec spec;
  ghee_worker worker;
  ghee_receiver *receiver;
  const char *address;
} fixture;

static void open_fixture(fixture *of) {
  *of = (fixture){.folder = "/tmp/ghee-outlet-XXXXXX", .spec = {.n_stages = 2}};
  assert_non_null(mkdtemp(of->folder));
  of->spec.stages[0].buffer_bytes = of->spec.stages[1].buffer_bytes = 1 << 20;
  of->spec.stages[0].workers = of->spec.stages[1].workers = 1;
  of->worker = (ghee_worker){.folder = of->folder, .spec = &of->spec, .of = &of->spec.stages[0], .transport = &ghee_stream_shm};
  ghee_attempts_init(&of->worker.attempts);
  ghee_stream_options options = {.folder = of->folder, .window_bytes = 1 << 20};
  assert_int_equal(ghee_stream_shm.receiver_open(&options, &of->receiver, &of->address, NULL), GHEE_OK);
}

static void close_fixture(fixture *of) {
  ghee_stream_shm.receiver_close(of->receiver);
  ghee_attempts_fini(&of->worker.attempts);
  assert_int_equal(ghee_dir_remove_all(of->folder, NULL), GHEE_OK);
}

/* One life of the worker: it sends the end of a chunk and is gone. The name that the receiver knows it by. */
static uint64_t live(fixture *of) {
  ghee_outlet *outlet;
  ghee_message message;
  ghee_attempt attempt = {.token = 1};
  assert_int_equal(ghee_outlet_open(&of->worker, &outlet, NULL), GHEE_OK);
  ghee_outlet_peer(outlet, &(ghee_say_peer){.worker = 0, .number = 7, .address = (char *)of->address});
  assert_int_equal(ghee_outlet_end(outlet, &attempt, 0, NULL), GHEE_OK);
  assert_int_equal(ghee_stream_shm.pop(of->receiver, -1, &message, NULL), GHEE_OK);
  assert_int_equal(message.head.kind, GHEE_FRAME_END);
  uint64_t name = message.peer;
  ghee_stream_shm.release(&message);
  ghee_outlet_close(outlet);
  assert_int_equal(ghee_stream_shm.pop(of->receiver, -1, &message, NULL), GHEE_OK);
  assert_int_equal(message.what, GHEE_MESSAGE_GONE);
  assert_int_equal(message.peer, name);
  return name;
}

/* The end of one life may be seen after the next has begun: by one name, it would take the next one's chunks along. */
static void test_each_life_has_its_own_name(void **state) {
  (void)state;
  fixture of;
  open_fixture(&of);
  of.spec.train = true; /* the end goes to every rank, with or without credit */
  uint64_t first = live(&of), second = live(&of);
  assert_int_not_equal(first, second);
  close_fixture(&of);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_life_has_its_own_name)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
