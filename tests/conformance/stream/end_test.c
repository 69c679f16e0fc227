/* SPDX-License-Identifier: Apache-2.0
 * Ends that are meant: one end disconnects or closes, the other is told, and what was sent or is held is not lost. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

static void test_disconnect(void **state) {
  world w;
  world_open(&w, state, 100 * KIB, 400 * KIB);
  for (uint32_t i = 0; i < 6; i++) send_one(&w, i, 50 * KIB);
  ghee_message first = take_seq(&w, 0), second = take_seq(&w, 1);
  w.ops->disconnect(w.sender, PEER);
  take_gone(&w, SELF);
  assert_int_equal(send_to(w.ops, w.sender, PEER, head_of(7), 10), GHEE_CLOSED);
  whole_arena_is_free(&w, 300 * KIB);
  check_content(&first);
  check_content(&second);
  w.ops->release(&first);
  w.ops->release(&second);
  assert_int_equal(events_left(&w.ear), 0);
  assert_int_equal(w.ops->connect(w.sender, w.address, SELF, PEER, NULL), GHEE_OK);
  send_one(&w, 8, 10);
  take_and_release(&w, 8);
  world_close(&w);
}

static void test_nobody_there(void **state) {
  world w;
  world_open(&w, state, MIB, MIB);
  char *address = strdup(w.address);
  settle(&w);
  w.ops->receiver_close(w.receiver);
  assert_int_equal(next_event(&w.ear).what, GHEE_SENDER_GONE);
  ghee_error err;
  ghee_status status = w.ops->connect(w.sender, address, SELF, PEER, &err);
  if (status == GHEE_OK) assert_int_equal(next_event(&w.ear).what, GHEE_SENDER_GONE);
  else assert_int_equal(status, GHEE_CLOSED);
  assert_int_equal(send_to(w.ops, w.sender, PEER, head_of(1), 10), GHEE_CLOSED);
  free(address);
  w.receiver = NULL;
  world_close(&w);
}

static void test_close_gives_what_was_sent(void **state) {
  world w;
  world_open(&w, state, 101 * KIB, MIB);
  settle(&w);
  for (uint32_t i = 0; i < 5; i++) send_one(&w, i, 50 * KIB); /* two have credit */
  w.ops->sender_close(w.sender, false);
  take_and_release(&w, 0);
  take_and_release(&w, 1);
  take_gone(&w, SELF);
  w.sender = NULL;
  world_close(&w);
}

static void *close_drained(void *user) {
  world *w = user;
  w->ops->sender_close(w->sender, true);
  return NULL;
}

static void test_drain_at_the_mark(void **state) {
  enum { ALL = 60 };
  world w;
  pthread_t thread;
  ghee_message held[2];
  world_open(&w, state, 200 * KIB, 16 * MIB);
  for (uint32_t i = 0; i < ALL; i++) send_one(&w, i, i == ALL - 1 ? 0 : 100 * KIB);
  held[0] = take_seq(&w, 0);
  held[1] = take_seq(&w, 1);
  assert_int_equal(pthread_create(&thread, NULL, close_drained, &w), 0);
  nothing_comes(&w);
  w.ops->release(&held[0]);
  w.ops->release(&held[1]);
  for (uint32_t i = 2; i < ALL; i++) take_and_release(&w, i);
  take_gone(&w, SELF);
  pthread_join(thread, NULL);
  w.sender = NULL;
  world_close(&w);
}

static void test_messages_outlive_the_receiver(void **state) {
  world w;
  world_open(&w, state, MIB, 4 * MIB);
  for (uint32_t i = 0; i < 4; i++) send_one(&w, i, 200 * KIB);
  ghee_message first = take_seq(&w, 0), second = take_seq(&w, 1);
  w.ops->receiver_close(w.receiver);
  assert_int_equal(next_event(&w.ear).what, GHEE_SENDER_GONE);
  whole_arena_is_free(&w, 4 * MIB - 4 * KIB);
  check_content(&first);
  w.ops->sender_close(w.sender, false);
  check_content(&first);
  check_content(&second);
  w.ops->release(&second);
  w.ops->release(&first);
  w.receiver = NULL;
  w.sender = NULL;
  world_close(&w);
}

static const stream_case cases[] = {
    TEST(disconnect), TEST(nobody_there), TEST(close_gives_what_was_sent), TEST(drain_at_the_mark), TEST(messages_outlive_the_receiver)};

int main(void) { return run_over_each_backend(cases, sizeof cases / sizeof *cases); }
