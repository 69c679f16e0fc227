/* SPDX-License-Identifier: Apache-2.0
 * What the coordinator makes of the words of workers and of the ends of their connections, one at a time: a worker of this test is a
 * connection to a real control socket, and nothing is started. */
#include "runtime/job/job_sample.h"

#include <signal.h>

#include "runtime/coordinator/coordinator.h"

typedef struct fixture {
  char folder[64];
  ghee_coordinator of;
} fixture;

static const char predict_job[] = "{'input': {'uri': 'in', 'format': 'parquet'}, 'preprocess': {'workers': 2}, 'predict': {}, 'output': {'uri': 'out'}}";
static const char train_job[] = "{'input': {'uri': 'in', 'format': 'parquet'}, 'train': {'run': 'a:b', 'workers': 2}}";

static void open_fixture(fixture *f, const char *text) {
  *f = (fixture){.folder = "/tmp/ghee-crew-XXXXXX"};
  assert_non_null(mkdtemp(f->folder));
  ghee_coordinator *of = &f->of;
  of->folder = f->folder;
  of->spec = sample_spec(f->folder, text);
  of->generation = 1;
  SAMPLE_OK(ghee_stream_key_new(&of->key, err));
  char *path = ghee_job_folder_file(f->folder, "control.sock");
  SAMPLE_OK(ghee_control_server_open(path, of->key.secret_key, &of->control, err));
  ghee_free(path);
  of->ledger = sample_ledger(f->folder);
  SAMPLE_OK(ghee_chunks_init(&of->chunks, 4, 1, of->generation, err));
  SAMPLE_OK(ghee_lanes_init(&of->lanes, of->spec->stages[0].workers, 0, err));
  for (uint32_t s = 0; s < of->spec->n_stages; s++) {
    of->crews[s].of = &of->spec->stages[s];
    of->crews[s].members = ghee_alloc_zero(of->spec->stages[s].workers, sizeof *of->crews[s].members);
    for (uint32_t i = 0; i < of->spec->stages[s].workers; i++) of->crews[s].members[i].wanted = of->crews[s].members[i].running = true;
  }
}

static void close_fixture(fixture *f) {
  ghee_crew_close(&f->of);
  ghee_control_server_close(f->of.control);
  ghee_ledger_close(f->of.ledger);
  ghee_chunks_fini(&f->of.chunks);
  ghee_job_spec_free(f->of.spec);
  assert_int_equal(ghee_dir_remove_all(f->folder, NULL), GHEE_OK);
}

/* The coordinator hears everything that has been said. */
static void hear(fixture *f) {
  ghee_control_event event;
  while (ghee_control_server_next(f->of.control, &event, NULL) == GHEE_OK) SAMPLE_OK(ghee_crew_on_control(&f->of, &event, err));
}

static void say(fixture *f, ghee_control_client *from, const ghee_say_message *message) {
  ghee_buffer bytes = {0};
  SAMPLE_OK(ghee_say_encode(message, &bytes, err));
  SAMPLE_OK(ghee_control_client_send(from, bytes.data, bytes.size, err));
  ghee_buffer_fini(&bytes);
  hear(f);
}

/* A life of a worker, known by the address of its receiver. */
static ghee_control_client *begin(fixture *f, uint32_t stage, uint32_t worker, const char *address) {
  ghee_control_client *client = NULL;
  char *path = ghee_job_folder_file(f->folder, "control.sock");
  SAMPLE_OK(ghee_control_client_open(path, f->of.key.secret_key, &client, err));
  ghee_free(path);
  say(f, client, &(ghee_say_message){.what = GHEE_SAY_HELLO, .hello = {.stage = stage, .worker = worker, .address = (char *)address}});
  return client;
}

/* The last message of a kind that has come to a worker; false: none. The rest is passed over. Bytes in it are void. */
static bool told(ghee_control_client *client, ghee_say what, ghee_say_message *out) {
  const void *data;
  size_t size;
  bool found = false;
  while (ghee_control_client_receive(client, &data, &size, NULL) == GHEE_OK) {
    ghee_say_message message;
    SAMPLE_OK(ghee_say_decode(data, size, &message, err));
    if (message.what == what) *out = message;
    found |= message.what == what;
    ghee_say_fini(&message);
  }
  return found;
}

static const ghee_chunk_slot *slot(const fixture *f, const ghee_attempt *attempt) { return ghee_chunks_slot(&f->of.chunks, attempt->epoch, attempt->chunk); }

/* A sink takes a chunk and dies, and another lives in its place before the sender's word of the first comes. */
static void test_what_was_passed_to_a_life_before_is_lost(void **state) {
  (void)state;
  fixture f;
  ghee_attempt first, second;
  ghee_say_message was, is, revoked;
  open_fixture(&f, predict_job);
  ghee_control_client *reader = begin(&f, 0, 0, ""), *sink = begin(&f, 1, 0, "first life");
  assert_true(told(reader, GHEE_SAY_PEER, &was));
  assert_true(ghee_chunks_lease(&f.of.chunks, 0, &first) && ghee_chunks_lease(&f.of.chunks, 0, &second));
  SAMPLE_OK(ghee_crew_on_launch(&f.of, &(ghee_launch_event){.what = GHEE_LAUNCH_ENDED, .stage = 1, .worker = 0, .status = 9}, err));
  ghee_control_client *successor = begin(&f, 1, 0, "second life");
  assert_true(told(reader, GHEE_SAY_PEER, &is));
  assert_int_not_equal(was.peer.number, is.peer.number);
  say(&f, reader, &(ghee_say_message){.what = GHEE_SAY_PASSED, .passed = {.attempt = first, .to = 0, .number = was.peer.number}});
  say(&f, reader, &(ghee_say_message){.what = GHEE_SAY_PASSED, .passed = {.attempt = second, .to = 0, .number = is.peer.number}});
  assert_int_equal(slot(&f, &first)->state, GHEE_CHUNK_TODO);
  assert_true(told(reader, GHEE_SAY_REVOKE, &revoked));
  assert_int_equal(revoked.attempt.token, first.token);
  assert_int_equal(slot(&f, &second)->state, GHEE_CHUNK_HELD);
  assert_int_equal(slot(&f, &second)->stage, 1);
  ghee_control_client_close(reader);
  ghee_control_client_close(sink);
  ghee_control_client_close(successor);
  close_fixture(&f);
}

/* The same while nobody lives there. */
static void test_what_was_passed_to_the_dead_is_lost(void **state) {
  (void)state;
  fixture f;
  ghee_attempt attempt;
  ghee_say_message peer;
  open_fixture(&f, predict_job);
  ghee_control_client *reader = begin(&f, 0, 0, ""), *sink = begin(&f, 1, 0, "only life");
  assert_true(told(reader, GHEE_SAY_PEER, &peer));
  assert_true(ghee_chunks_lease(&f.of.chunks, 0, &attempt));
  SAMPLE_OK(ghee_crew_on_launch(&f.of, &(ghee_launch_event){.what = GHEE_LAUNCH_ENDED, .stage = 1, .worker = 0, .status = 9}, err));
  assert_int_equal(slot(&f, &attempt)->state, GHEE_CHUNK_HELD);
  say(&f, reader, &(ghee_say_message){.what = GHEE_SAY_PASSED, .passed = {.attempt = attempt, .to = 0, .number = peer.peer.number}});
  assert_int_equal(slot(&f, &attempt)->state, GHEE_CHUNK_TODO);
  ghee_control_client_close(reader);
  ghee_control_client_close(sink);
  close_fixture(&f);
}

/* READY, and dead with a chunk in hand. */
static ghee_status live_in_vain(fixture *f, ghee_error *err) {
  ghee_attempt attempt;
  ghee_control_client *reader = begin(f, 0, 0, "");
  say(f, reader, &(ghee_say_message){.what = GHEE_SAY_READY});
  assert_true(ghee_chunks_lease(&f->of.chunks, 0, &attempt));
  ghee_status status = ghee_crew_on_launch(&f->of, &(ghee_launch_event){.what = GHEE_LAUNCH_ENDED, .stage = 0, .worker = 0, .status = SIGSEGV}, err);
  ghee_control_client_close(reader);
  hear(f);
  return status;
}

/* No batch is to blame, so no batch counts the deaths. */
static void test_lives_in_vain_end_the_job(void **state) {
  (void)state;
  fixture f;
  ghee_error err;
  open_fixture(&f, predict_job);
  uint32_t most = f.of.spec->max_crashes;
  for (uint32_t i = 0; i + 1 < most; i++) assert_int_equal(live_in_vain(&f, &err), GHEE_OK);
  ghee_chunks_finish(&f.of.chunks, 0, 3);
  for (uint32_t i = 0; i + 1 < most; i++) assert_int_equal(live_in_vain(&f, &err), GHEE_OK);
  assert_int_equal(live_in_vain(&f, &err), GHEE_CRASHED);
  assert_non_null(strstr(err.message, "no chunk of the job was finished"));
  assert_non_null(strstr(err.message, "SIGSEGV"));
  close_fixture(&f);
}

/* What an old connection still says, and its end, are not its successor's. */
static void test_a_successor_has_a_connection_of_its_own(void **state) {
  (void)state;
  fixture f;
  ghee_say_message lease;
  open_fixture(&f, predict_job);
  const ghee_crew_member *member = &f.of.crews[0].members[0];
  const ghee_lane_reader *reader = &f.of.lanes.readers[0];
  ghee_control_client *old = begin(&f, 0, 0, "");
  say(&f, old, &(ghee_say_message){.what = GHEE_SAY_WANT, .want = 2});
  assert_int_equal(reader->want, 2);
  ghee_control_client *successor = begin(&f, 0, 0, ""), *other = begin(&f, 0, 1, "");
  uint64_t peer = member->peer;
  assert_int_equal(reader->want, 0);
  say(&f, old, &(ghee_say_message){.what = GHEE_SAY_WANT, .want = 2});
  say(&f, old, &(ghee_say_message){.what = GHEE_SAY_READY});
  assert_int_equal(reader->want, 0);
  assert_false(member->ready);
  ghee_control_client_close(old);
  hear(&f);
  assert_int_equal(member->peer, peer);
  say(&f, successor, &(ghee_say_message){.what = GHEE_SAY_READY});
  say(&f, successor, &(ghee_say_message){.what = GHEE_SAY_WANT, .want = 2});
  SAMPLE_OK(ghee_crew_settle(&f.of, err));
  assert_true(member->ready);
  assert_true(told(successor, GHEE_SAY_LEASE, &lease));
  assert_int_equal(lease.lease.attempt.chunk, 0);
  ghee_control_client_close(successor);
  hear(&f);
  assert_int_equal(member->peer, 0);
  ghee_control_client_close(other);
  close_fixture(&f);
}

static int leases_of(ghee_control_client *reader) {
  int n = 0;
  const void *data;
  size_t size;
  while (ghee_control_client_receive(reader, &data, &size, NULL) == GHEE_OK) {
    ghee_say_message message;
    SAMPLE_OK(ghee_say_decode(data, size, &message, err));
    n += message.what == GHEE_SAY_LEASE;
    ghee_say_fini(&message);
  }
  return n;
}

/* Between HELLO and the first WANT of the last to come, the others must not have the chunk that is to be its first. */
static void test_spares_wait_until_all_have_asked(void **state) {
  (void)state;
  fixture f;
  open_fixture(&f, predict_job);
  ghee_control_client *first = begin(&f, 0, 0, ""), *second = begin(&f, 0, 1, "");
  say(&f, first, &(ghee_say_message){.what = GHEE_SAY_WANT, .want = 2});
  SAMPLE_OK(ghee_crew_settle(&f.of, err));
  assert_int_equal(leases_of(first), 1);
  say(&f, second, &(ghee_say_message){.what = GHEE_SAY_WANT, .want = 2});
  SAMPLE_OK(ghee_crew_settle(&f.of, err));
  assert_int_equal(leases_of(first), 1);
  assert_int_equal(leases_of(second), 2);
  ghee_control_client_close(first);
  ghee_control_client_close(second);
  close_fixture(&f);
}

static void say_step(fixture *f, ghee_control_client *rank, uint32_t epoch, uint64_t step, bool have) {
  say(f, rank, &(ghee_say_message){.what = GHEE_SAY_STEP, .step = {.epoch = epoch, .step = step, .have = have}});
}

static void test_a_step_is_answered_when_all_have_said_it(void **state) {
  (void)state;
  fixture f;
  ghee_say_message go;
  open_fixture(&f, train_job);
  ghee_control_client *ranks[2] = {begin(&f, 1, 0, "0"), begin(&f, 1, 1, "1")};
  say_step(&f, ranks[0], 0, 5, false);
  assert_false(told(ranks[0], GHEE_SAY_GO, &go));
  say_step(&f, ranks[1], 0, 5, true);
  for (int i = 0; i < 2; i++) {
    assert_true(told(ranks[i], GHEE_SAY_GO, &go));
    assert_true(go.step.epoch == 0 && go.step.step == 5 && go.step.have);
    ghee_control_client_close(ranks[i]);
  }
  close_fixture(&f);
}

/* A coordinator died when it had told one rank of two: that one says the next step, the other the same again. */
static void test_a_step_that_a_predecessor_answered_to_some(void **state) {
  (void)state;
  static const struct { uint32_t epoch; uint64_t step; bool any; } ahead[] = {{0, 6, true}, {1, 0, false}};
  for (int i = 0; i < 4; i++) {
    fixture f;
    ghee_say_message go;
    int first = i & 1;
    open_fixture(&f, train_job);
    ghee_control_client *ranks[2] = {begin(&f, 1, 0, "0"), begin(&f, 1, 1, "1")};
    for (int k = 0; k < 2; k++) /* in both orders */
      if ((k ^ first) == 0) say_step(&f, ranks[0], ahead[i / 2].epoch, ahead[i / 2].step, true);
      else say_step(&f, ranks[1], 0, 5, true);
    assert_false(told(ranks[0], GHEE_SAY_GO, &go));
    assert_true(told(ranks[1], GHEE_SAY_GO, &go));
    assert_true(go.step.epoch == 0 && go.step.step == 5 && go.step.have == ahead[i / 2].any);
    ghee_control_client_close(ranks[0]);
    ghee_control_client_close(ranks[1]);
    close_fixture(&f);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_what_was_passed_to_a_life_before_is_lost), cmocka_unit_test(test_what_was_passed_to_the_dead_is_lost),
      cmocka_unit_test(test_lives_in_vain_end_the_job),
      cmocka_unit_test(test_a_successor_has_a_connection_of_its_own), cmocka_unit_test(test_a_step_is_answered_when_all_have_said_it),
      cmocka_unit_test(test_a_step_that_a_predecessor_answered_to_some),
      cmocka_unit_test(test_spares_wait_until_all_have_asked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
