/* SPDX-License-Identifier: Apache-2.0
 * What ends a wait: for a message, for room in the arena, for a receiver with credit. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "world.h"

static void *reserve_all(void *user) {
  world *w = user;
  ghee_slot slot;
  return (void *)(intptr_t)w->ops->reserve(w->sender, 100 * KIB, false, &slot, NULL);
}

static void test_want_ends_waiting_for_room(void **state) {
  world w;
  pthread_t thread;
  void *status;
  world_open(&w, state, 50 * KIB, 100 * KIB);
  settle(&w);
  ghee_slot slot;
  assert_int_equal(w.ops->reserve(w.sender, 80 * KIB, false, &slot, NULL), GHEE_OK);
  assert_int_equal(pthread_create(&thread, NULL, reserve_all, &w), 0);
  /* The thread may begin to wait only after a want: then the next one ends it. */
  for (struct timespec now; ;) {
    assert_int_equal(w.ops->want(w.receiver, 1, 2, 9, NULL), GHEE_OK);
    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_nsec += 1000000;
    if (now.tv_nsec >= 1000000000) now = (struct timespec){.tv_sec = now.tv_sec + 1, .tv_nsec = now.tv_nsec - 1000000000};
    if (pthread_timedjoin_np(thread, &status, &now) == 0) break;
  }
  assert_int_equal((intptr_t)status, GHEE_AGAIN);
  w.ops->unreserve(w.sender, &slot);
  world_close(&w);
}

static void *wake_it(void *user) {
  world *w = user;
  w->ops->receiver_wake(w->receiver);
  return NULL;
}

static void test_wake(void **state) {
  world w;
  pthread_t thread;
  ghee_message message;
  world_open(&w, state, MIB, MIB);
  settle(&w);
  w.ops->receiver_wake(w.receiver);
  assert_int_equal(w.ops->pop(w.receiver, -1, &message, NULL), GHEE_AGAIN);
  assert_int_equal(pthread_create(&thread, NULL, wake_it, &w), 0);
  assert_int_equal(w.ops->pop(w.receiver, -1, &message, NULL), GHEE_AGAIN);
  pthread_join(thread, NULL);
  assert_int_equal(w.ops->pop(w.receiver, 0, &message, NULL), GHEE_AGAIN);
  send_one(&w, 1, 10);
  take_and_release(&w, 1);
  world_close(&w);
}

static void *pick_one(void *user) {
  world *w = user;
  uint64_t peer;
  return (void *)(intptr_t)w->ops->pick(w->sender, &peer, NULL);
}

static void test_cancel(void **state) {
  world w;
  pthread_t threads[2];
  void *status;
  ghee_slot slot;
  world_open(&w, state, 100 * KIB, 112 * KIB);
  settle(&w);
  send_one(&w, 1, 100 * KIB);
  ghee_message held = take_seq(&w, 1);
  assert_int_equal(w.ops->reserve(w.sender, 20 * KIB, true, &slot, NULL), GHEE_OK);
  assert_int_equal(pthread_create(&threads[0], NULL, reserve_all, &w), 0);
  assert_int_equal(pthread_create(&threads[1], NULL, pick_one, &w), 0);
  w.ops->sender_cancel(w.sender);
  for (int i = 0; i < 2; i++) {
    pthread_join(threads[i], &status);
    assert_int_equal((intptr_t)status, GHEE_CANCELED);
  }
  w.ops->unreserve(w.sender, &slot);
  w.ops->release(&held);
  world_close(&w);
}

static const stream_case cases[] = {TEST(want_ends_waiting_for_room), TEST(wake), TEST(cancel)};

int main(void) { return run_over_each_backend(cases, sizeof cases / sizeof *cases); }
