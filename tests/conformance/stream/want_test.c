/* SPDX-License-Identifier: Apache-2.0
 * A message that the receiver asks for by name, whether it is queued, comes later, or its sender is yet to come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "world.h"

static void test_want_of_a_queued_message(void **state) {
  world w;
  world_open(&w, state, 100 * KIB, MIB);
  for (uint32_t i = 0; i < 6; i++) send_one(&w, i, 50 * KIB);
  ghee_message first = take_seq(&w, 0), second = take_seq(&w, 1);
  assert_int_equal(w.ops->want(w.receiver, 1, 2, 4, NULL), GHEE_OK);
  ghee_message wanted = take_seq(&w, 4);
  ghee_sender_event event = next_event(&w.ear);
  assert_int_equal(event.what, GHEE_SENDER_WANT);
  assert_int_equal(event.peer, PEER);
  assert_int_equal(event.head.epoch, 1);
  assert_int_equal(event.head.chunk, 2);
  assert_int_equal(event.head.seq, 4);
  nothing_comes(&w);
  w.ops->release(&wanted);
  w.ops->release(&first);
  w.ops->release(&second);
  take_and_release(&w, 2);
  take_and_release(&w, 3);
  take_and_release(&w, 5);
  world_close(&w);
}

static void test_want_of_a_later_message(void **state) {
  world w;
  world_open(&w, state, 100 * KIB, MIB);
  send_one(&w, 0, 100 * KIB);
  ghee_message first = take_seq(&w, 0);
  assert_int_equal(w.ops->want(w.receiver, 1, 2, 9, NULL), GHEE_OK);
  assert_int_equal(next_event(&w.ear).what, GHEE_SENDER_WANT);
  send_one(&w, 1, 50 * KIB);
  send_one(&w, 9, 50 * KIB);
  take_and_release(&w, 9);
  w.ops->release(&first);
  take_and_release(&w, 1);
  world_close(&w);
}

/* Who connects after the want is told of it; and what goes in its turn is not overtaken. */
static void test_want_before_the_sender_is_there(void **state) {
  world w;
  world_init(&w, state, 100 * KIB, MIB);
  open_receiver(&w);
  assert_int_equal(w.ops->want(w.receiver, 1, 2, 4, NULL), GHEE_OK);
  open_sender(&w);
  for (uint32_t i = 0; i < 6; i++) send_one(&w, i, 50 * KIB);
  ghee_message first = take_seq(&w, 0), second = take_seq(&w, 1);
  take_and_release(&w, 4);
  assert_int_equal(next_event(&w.ear).what, GHEE_SENDER_WANT);
  ghee_sender *early = w.sender;
  ear late;
  ear_init(&late);
  assert_int_equal(w.ops->sender_open(&w.options, hear, &late, &w.sender, NULL), GHEE_OK); /* comes after it was served */
  assert_int_equal(w.ops->connect(w.sender, w.address, 2, PEER, NULL), GHEE_OK);
  settle(&w);
  assert_int_equal(events_left(&late), 0);
  w.ops->release(&first);
  w.ops->release(&second);
  w.ops->sender_close(early, false);
  world_close(&w);
}

static const stream_case cases[] = {TEST(want_of_a_queued_message), TEST(want_of_a_later_message), TEST(want_before_the_sender_is_there)};

int main(void) { return run_over_each_backend(cases, sizeof cases / sizeof *cases); }
