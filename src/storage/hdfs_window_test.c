/* SPDX-License-Identifier: Apache-2.0
 * The window of a file that is written: nothing is lost between who puts and who takes, and what was taken can be taken again. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/random.h"
#include "storage/hdfs_window.h"

enum { KEPT = GHEE_HDFS_KEPT_BYTES, TAKING = GHEE_HDFS_TAKING_BYTES, AHEAD = GHEE_HDFS_AHEAD_BYTES, SEGMENT = GHEE_HDFS_SEGMENT_BYTES, PIECE = 1 << 20 };

static ghee_hdfs_window window;
static uint8_t piece[PIECE];

static uint8_t byte_at(uint64_t at) { return (uint8_t)(at * 2654435761u >> 13); }

static size_t put(uint64_t at, size_t size) {
  size_t n;
  for (size_t i = 0; i < size; i++) piece[i] = byte_at(at + i);
  assert_int_equal(ghee_hdfs_window_put(&window, piece, size, &n, NULL), GHEE_OK);
  return n;
}

static size_t take(uint64_t at, size_t room) {
  static uint8_t into[PIECE];
  size_t n = ghee_hdfs_window_take(&window, into, room);
  for (size_t i = 0; i < n; i++)
    if (into[i] != byte_at(at + i)) fail_msg("byte %llu", (unsigned long long)(at + i));
  return n;
}

static uint64_t waiting(bool expected) {
  bool taking;
  uint64_t bytes = ghee_hdfs_window_waiting(&window, &taking);
  assert_int_equal(taking, expected);
  return bytes;
}

static void test_room_and_rewinds(void **state) {
  (void)state;
  uint64_t at = 0, taken = 0;
  ghee_hdfs_window_init(&window);
  while (at < AHEAD) at += put(at, PIECE);
  assert_int_equal(put(at, 1), 0);
  ghee_hdfs_window_wait(&window); /* nobody takes: there is nothing to wait for */
  assert_true(ghee_hdfs_window_rewind(&window, 0));
  assert_int_equal(waiting(true), AHEAD);
  while (taken < AHEAD) taken += take(taken, PIECE);
  assert_int_equal(waiting(true), 0);
  assert_int_equal(take(taken, PIECE), 0);
  assert_int_equal(waiting(false), 0);
  while (at < 2 * (uint64_t)AHEAD) at += put(at, PIECE);
  for (uint64_t again = 0; again < at;) { /* all of it, as it is no more than is kept and waits */
    if (again == 0) assert_true(ghee_hdfs_window_rewind(&window, 0));
    again += take(again, PIECE - 1);
  }
  assert_true(ghee_hdfs_window_keeps(&window, 0));
  assert_int_equal(put(at, 7), 7);
  assert_false(ghee_hdfs_window_keeps(&window, 0));
  assert_false(ghee_hdfs_window_rewind(&window, SEGMENT - 1));
  assert_true(ghee_hdfs_window_rewind(&window, SEGMENT));
  ghee_hdfs_window_end(&window);
  assert_int_equal(waiting(false), KEPT + AHEAD + 7 - SEGMENT);
  ghee_hdfs_window_fini(&window);
}

/* Who puts faster than is taken: what was taken last stays, and the memory of what lies further back is used again. */
static void test_memory_is_used_again(void **state) {
  (void)state;
  uint64_t at = 0, taken = 0;
  size_t held = 0;
  ghee_hdfs_window_init(&window);
  at += put(at, 3);
  assert_true(ghee_hdfs_window_rewind(&window, 0));
  while (waiting(true) < TAKING) at += put(at, PIECE);
  while (taken < 2 * (uint64_t)KEPT) {
    at += put(at, PIECE);
    assert_int_equal(waiting(true), TAKING);
    taken += take(taken, PIECE - 7);
    if (taken > KEPT) assert_true(ghee_hdfs_window_keeps(&window, taken - KEPT));
  }
  for (size_t i = 0; i < GHEE_HDFS_SEGMENTS; i++) held += window.segments[i] != NULL;
  assert_in_range(held, 1, (KEPT + TAKING) / SEGMENT + 2);
  taken -= KEPT;
  assert_true(ghee_hdfs_window_rewind(&window, taken));
  while (taken < at) taken += take(taken, PIECE);
  ghee_hdfs_window_fini(&window);
}

enum { TOTAL = 300 << 20 };

/* Takes all of it, beginning anew wherever it has caught up. */
static void *taker(void *user) {
  ghee_random random;
  ghee_random_init(&random, 3, 0, 0);
  (void)user;
  for (uint64_t at = 0; at < TOTAL;) {
    size_t n = take(at, 1 + ghee_random_below(&random, PIECE));
    if (n == 0) assert_true(ghee_hdfs_window_rewind(&window, at));
    at += n;
  }
  ghee_hdfs_window_end(&window);
  return NULL;
}

static void test_two_threads(void **state) {
  (void)state;
  pthread_t thread;
  ghee_random random;
  ghee_random_init(&random, 4, 0, 0);
  ghee_hdfs_window_init(&window);
  assert_int_equal(put(0, 100), 100);
  assert_true(ghee_hdfs_window_rewind(&window, 0));
  assert_int_equal(pthread_create(&thread, NULL, taker, NULL), 0);
  for (uint64_t at = 100; at < TOTAL;) {
    uint64_t most = 1 + ghee_random_below(&random, PIECE);
    size_t n = put(at, most < TOTAL - at ? (size_t)most : (size_t)(TOTAL - at));
    if (n == 0) ghee_hdfs_window_wait(&window);
    at += n;
  }
  pthread_join(thread, NULL);
  assert_int_equal(waiting(false), 0);
  ghee_hdfs_window_fini(&window);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_room_and_rewinds), cmocka_unit_test(test_memory_is_used_again), cmocka_unit_test(test_two_threads)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
