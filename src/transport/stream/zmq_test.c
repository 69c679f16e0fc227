/* SPDX-License-Identifier: Apache-2.0
 * What only zmq has: clients that are not ours, and two connections of one name. The rest is in tests/conformance/stream/. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "transport/stream/zmq_wire.h"

static ghee_stream_options options = {.host = "127.0.0.1", .window_bytes = 1 << 20, .arena_bytes = 1 << 20};
static ghee_receiver *receiver;
static const char *address;

static int open_all(void **state) {
  (void)state;
  return ghee_stream_key_new(&options.key, NULL) == GHEE_OK && ghee_zmq_receiver_open(&options, &receiver, &address, NULL) == GHEE_OK ? 0 : -1;
}

static int close_all(void **state) {
  (void)state;
  ghee_zmq_receiver_close(receiver);
  return 0;
}

static void say(void *socket, uint32_t kind, uint64_t value) {
  ghee_zmq_record record = {.kind = kind, .version = GHEE_ZMQ_VERSION, .value = value};
  assert_int_equal(zmq_send(socket, &record, sizeof record, 0), sizeof record);
}

static void await(void *socket, uint32_t kind) {
  ghee_zmq_record record;
  assert_int_equal(zmq_recv(socket, &record, sizeof record, 0), sizeof record);
  assert_int_equal(record.kind, kind);
}

static void expect(int what, uint64_t peer, uint32_t seq) {
  ghee_message message;
  assert_int_equal(ghee_zmq_pop(receiver, -1, &message, NULL), GHEE_OK);
  assert_int_equal(message.what, what);
  assert_int_equal(message.peer, peer);
  assert_int_equal(message.head.seq, seq);
}

static void nothing_comes(void) {
  ghee_message message;
  assert_int_equal(ghee_zmq_pop(receiver, 50, &message, NULL), GHEE_AGAIN);
}

/* A client with `key` of its own (NULL: without CURVE) that knows the receiver's is cut off and never heard. */
static void refused(const ghee_stream_key *key) {
  int value;
  void *context = zmq_ctx_new(), *monitor, *socket = zmq_socket(context, ZMQ_DEALER);
  if (key) {
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, options.key.public_key, GHEE_KEY_BYTES);
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, key->public_key, GHEE_KEY_BYTES);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, key->secret_key, GHEE_KEY_BYTES);
  }
  assert_int_equal(ghee_zmq_monitor(context, socket, ZMQ_EVENT_DISCONNECTED, &monitor, NULL), GHEE_OK);
  assert_int_equal(zmq_connect(socket, address), 0);
  say(socket, GHEE_ZMQ_HELLO, 66);
  say(socket, GHEE_ZMQ_READY, 66);
  zmq_pollitem_t item = {.socket = monitor, .events = ZMQ_POLLIN};
  assert_int_equal(zmq_poll(&item, 1, -1), 1);
  assert_int_equal(ghee_zmq_monitor_next(monitor, &value), ZMQ_EVENT_DISCONNECTED);
  nothing_comes();
  ghee_zmq_close(monitor);
  ghee_zmq_close(socket);
  ghee_zmq_context_close(context);
}

static void test_a_key_of_its_own(void **state) {
  (void)state;
  ghee_stream_key key;
  assert_int_equal(ghee_stream_key_new(&key, NULL), GHEE_OK);
  refused(&key);
}

static void test_no_curve(void **state) {
  (void)state;
  refused(NULL);
}

static void *client(void *context) {
  void *socket;
  assert_int_equal(ghee_zmq_socket(context, ZMQ_DEALER, &options, false, &socket, NULL), GHEE_OK);
  assert_int_equal(zmq_connect(socket, address), 0);
  return socket;
}

static void test_data_counts_from_ready_on(void **state) {
  (void)state;
  void *context, *socket;
  assert_int_equal(ghee_zmq_context(&context, NULL), GHEE_OK);
  socket = client(context);
  say(socket, GHEE_ZMQ_DATA, 0);
  say(socket, GHEE_ZMQ_HELLO, 5);
  say(socket, GHEE_ZMQ_DATA, 0);
  await(socket, GHEE_ZMQ_WELCOME);
  nothing_comes();
  say(socket, GHEE_ZMQ_READY, 5);
  say(socket, GHEE_ZMQ_DATA, 0);
  expect(GHEE_MESSAGE_DATA, 5, 0);
  zmq_send(socket, "short", 5, 0);
  zmq_send(socket, "two", 3, ZMQ_SNDMORE);
  zmq_send(socket, "parts", 5, 0);
  say(socket, GHEE_ZMQ_DATA, 0);
  expect(GHEE_MESSAGE_DATA, 5, 0);
  ghee_zmq_close(socket);
  expect(GHEE_MESSAGE_GONE, 5, 0);
  nothing_comes();
  ghee_zmq_context_close(context);
}

static void test_a_new_connection_ends_the_old_of_its_name(void **state) {
  (void)state;
  void *context, *sockets[2];
  assert_int_equal(ghee_zmq_context(&context, NULL), GHEE_OK);
  for (int i = 0; i < 2; i++) {
    sockets[i] = client(context);
    say(sockets[i], GHEE_ZMQ_HELLO, 5);
    await(sockets[i], GHEE_ZMQ_WELCOME);
    say(sockets[i], GHEE_ZMQ_READY, 5);
    if (i == 1) expect(GHEE_MESSAGE_GONE, 5, 0);
    say(sockets[i], GHEE_ZMQ_DATA, 0);
    expect(GHEE_MESSAGE_DATA, 5, 0);
  }
  say(sockets[0], GHEE_ZMQ_DATA, 0);
  nothing_comes();
  ghee_zmq_close(sockets[0]);
  nothing_comes();
  say(sockets[1], GHEE_ZMQ_BYE, 0);
  await(sockets[1], GHEE_ZMQ_FAREWELL);
  expect(GHEE_MESSAGE_GONE, 5, 0);
  ghee_zmq_close(sockets[1]);
  nothing_comes();
  ghee_zmq_context_close(context);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, open_all, close_all)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(a_key_of_its_own), TEST(no_curve), TEST(data_counts_from_ready_on), TEST(a_new_connection_ends_the_old_of_its_name)};
  return cmocka_run_group_tests_name("zmq", tests, NULL, NULL);
}
