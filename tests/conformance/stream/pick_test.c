/* SPDX-License-Identifier: Apache-2.0
 * Which of two receivers a sender picks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "world.h"

static void test_pick(void **state) {
  enum { OTHER = 8 };
  world w, other;
  uint64_t peer;
  ghee_message held[2];
  world_open(&w, state, 100 * KIB, MIB);
  world_init(&other, state, 150 * KIB, 0);
  other.options.key = w.options.key;
  open_receiver(&other);
  assert_int_equal(w.ops->connect(w.sender, other.address, SELF, OTHER, NULL), GHEE_OK);
  settle(&w);
  assert_int_equal(send_to(w.ops, w.sender, OTHER, head_of(0), 1), GHEE_OK);
  take_and_release(&other, 0);
  assert_int_equal(w.ops->pick(w.sender, &peer, NULL), GHEE_OK);
  assert_int_equal(peer, OTHER);
  assert_int_equal(send_to(w.ops, w.sender, OTHER, head_of(1), 60 * KIB), GHEE_OK);
  held[0] = take_seq(&other, 1);
  assert_int_equal(w.ops->pick(w.sender, &peer, NULL), GHEE_OK);
  assert_int_equal(peer, PEER);
  send_one(&w, 2, 100 * KIB);
  assert_int_equal(w.ops->pick(w.sender, &peer, NULL), GHEE_OK);
  assert_int_equal(peer, OTHER);
  assert_int_equal(send_to(w.ops, w.sender, OTHER, head_of(3), 90 * KIB), GHEE_OK);
  held[1] = take_seq(&other, 3);
  w.ops->release(&held[1]);
  assert_int_equal(w.ops->pick(w.sender, &peer, NULL), GHEE_OK); /* waits for the credit of the release */
  assert_int_equal(peer, OTHER);
  w.ops->release(&held[0]);
  take_and_release(&w, 2);
  other.ops->receiver_close(other.receiver);
  assert_int_equal(rmdir(other.folder), 0);
  world_close(&w);
}

/* Whom a sender of this seat picks while both receivers hold as much of it. */
static uint64_t picked_from(world *w, world *other, uint32_t seat) {
  enum { OTHER = 8 };
  ghee_stream_options options = w->options;
  ghee_sender *sender;
  ghee_message held[2];
  uint64_t peer = 0;
  options.seat = seat;
  assert_int_equal(w->ops->sender_open(&options, hear, &w->ear, &sender, NULL), GHEE_OK);
  assert_int_equal(w->ops->connect(sender, w->address, 100 + seat, PEER, NULL), GHEE_OK);
  assert_int_equal(w->ops->connect(sender, other->address, 100 + seat, OTHER, NULL), GHEE_OK);
  assert_int_equal(send_to(w->ops, sender, PEER, head_of(1), 10 * KIB), GHEE_OK);
  assert_int_equal(send_to(w->ops, sender, OTHER, head_of(1), 10 * KIB), GHEE_OK);
  held[0] = take_seq(w, 1);
  held[1] = take_seq(other, 1);
  assert_int_equal(w->ops->pick(sender, &peer, NULL), GHEE_OK);
  for (int i = 0; i < 2; i++) w->ops->release(&held[i]);
  w->ops->sender_close(sender, true);
  take_gone(w, 100 + seat);
  take_gone(other, 100 + seat);
  return peer;
}

/* Else all senders would begin with the same receiver. */
static void test_seats_spread(void **state) {
  world w, other;
  world_open(&w, state, 100 * KIB, MIB);
  world_init(&other, state, 100 * KIB, 0);
  other.options.key = w.options.key;
  open_receiver(&other);
  uint64_t first = picked_from(&w, &other, 0), second = picked_from(&w, &other, 1);
  assert_int_not_equal(first, second);
  assert_int_equal(picked_from(&w, &other, 2), first);
  other.ops->receiver_close(other.receiver);
  assert_int_equal(rmdir(other.folder), 0);
  world_close(&w);
}

static const stream_case cases[] = {TEST(pick), TEST(seats_spread)};

int main(void) { return run_over_each_backend(cases, sizeof cases / sizeof *cases); }
