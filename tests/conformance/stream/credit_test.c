/* SPDX-License-Identifier: Apache-2.0
 * Credit and memory: what is in flight stays within the window, what is reserved within the arena, and both come back. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "world.h"

static void test_credit(void **state) {
  world w;
  ghee_message held[5];
  world_open(&w, state, 1000 * KIB, 16 * MIB);
  for (uint32_t i = 0; i < 8; i++) send_one(&w, i, 250 * KIB);
  for (uint32_t i = 0; i < 4; i++) held[i] = take_seq(&w, i);
  nothing_comes(&w);
  w.ops->release(&held[2]);
  held[4] = take_seq(&w, 4);
  nothing_comes(&w);
  for (int i = 0; i < 5; i++)
    if (i != 2) w.ops->release(&held[i]);
  for (uint32_t i = 5; i < 8; i++) take_and_release(&w, i);
  world_close(&w);
}

typedef struct fast { world *w; atomic_size_t reserved; uint32_t n; size_t size; } fast;

static void *produce_fast(void *user) {
  fast *of = user;
  for (uint32_t i = 0; i < of->n; i++) {
    ghee_slot slot;
    ghee_stream_head head = head_of(i);
    if (of->w->ops->reserve(of->w->sender, of->size, false, &slot, NULL) != GHEE_OK) return of;
    of->reserved += of->size;
    fill(slot.data, of->size, i);
    if (of->w->ops->send(of->w->sender, PEER, &head, &slot, of->size, NULL) != GHEE_OK) return of;
  }
  return NULL;
}

static void test_a_slow_consumer_stops_the_producer(void **state) {
  enum { WINDOW = 512 * KIB, ARENA = MIB, SIZE = 60 * KIB, ALL = 300 };
  world w;
  pthread_t thread;
  size_t released = 0;
  void *failed;
  world_open(&w, state, WINDOW, ARENA);
  fast of = {.w = &w, .n = ALL, .size = SIZE};
  assert_int_equal(pthread_create(&thread, NULL, produce_fast, &of), 0);
  for (uint32_t i = 0; i < ALL; i++) {
    ghee_message message = take_seq(&w, i);
    assert_true(of.reserved <= released + WINDOW + ARENA);
    w.ops->release(&message);
    released += SIZE;
  }
  pthread_join(thread, &failed);
  assert_null(failed);
  world_close(&w);
}

static void test_larger_than_the_window(void **state) {
  world w;
  world_open(&w, state, 64 * KIB, 16 * MIB);
  settle(&w);
  send_one(&w, 1, 3 * MIB);
  send_one(&w, 2, 3 * MIB);
  send_one(&w, 3, 10);
  ghee_message first = take_seq(&w, 1);
  nothing_comes(&w);
  w.ops->release(&first);
  take_and_release(&w, 2);
  take_and_release(&w, 3);
  world_close(&w);
}

static void test_larger_than_the_arena(void **state) {
  world w;
  ghee_slot slot;
  world_open(&w, state, 64 * KIB, 256 * KIB);
  settle(&w);
  assert_int_equal(w.ops->reserve(w.sender, 4 * MIB, false, &slot, NULL), GHEE_OK); /* an empty arena takes any */
  fill(slot.data, 4 * MIB, 1);
  ghee_stream_head head = head_of(1);
  assert_int_equal(w.ops->send(w.sender, PEER, &head, &slot, 4 * MIB, NULL), GHEE_OK);
  take_and_release(&w, 1);
  assert_int_equal(w.ops->reserve(w.sender, 100, true, &slot, NULL), GHEE_OK);
  w.ops->unreserve(w.sender, &slot);
  world_close(&w);
}

static void test_revoke(void **state) {
  world w;
  world_open(&w, state, 50 * KIB, MIB);
  send_one(&w, 0, 50 * KIB);
  ghee_message first = take_seq(&w, 0);
  for (uint32_t i = 1; i <= 8; i++) {
    ghee_stream_head head = head_of(i);
    head.token = 10 + i % 2;
    assert_int_equal(send_to(w.ops, w.sender, PEER, head, i == 7 ? 0 : 20 * KIB), GHEE_OK);
  }
  w.ops->revoke(w.sender, 11);
  w.ops->release(&first);
  for (uint32_t i = 2; i <= 8; i += 2) take_and_release(&w, i);
  nothing_comes(&w);
  world_close(&w);
}

typedef struct pool { world *w; pthread_mutex_t mutex; pthread_cond_t changed; ghee_message items[64]; int n; bool over; } pool;

static void *release_many(void *user) {
  pool *of = user;
  pthread_mutex_lock(&of->mutex);
  for (;;) {
    while (of->n == 0 && !of->over) pthread_cond_wait(&of->changed, &of->mutex);
    if (of->n == 0) break;
    ghee_message message = of->items[--of->n];
    pthread_cond_broadcast(&of->changed);
    pthread_mutex_unlock(&of->mutex);
    of->w->ops->release(&message);
    pthread_mutex_lock(&of->mutex);
  }
  pthread_mutex_unlock(&of->mutex);
  return NULL;
}

static void test_release_from_many_threads(void **state) {
  enum { THREADS = 4, ALL = 3000, SIZE = 10 * KIB };
  world w;
  pthread_t maker, threads[THREADS];
  void *failed;
  world_open(&w, state, 160 * KIB, 320 * KIB);
  fast source = {.w = &w, .n = ALL, .size = SIZE};
  pool of = {.w = &w};
  pthread_mutex_init(&of.mutex, NULL);
  pthread_cond_init(&of.changed, NULL);
  assert_int_equal(pthread_create(&maker, NULL, produce_fast, &source), 0);
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, release_many, &of), 0);
  for (uint32_t i = 0; i < ALL; i++) {
    ghee_message message = take_seq(&w, i);
    pthread_mutex_lock(&of.mutex);
    while (of.n == 64) pthread_cond_wait(&of.changed, &of.mutex);
    of.items[of.n++] = message;
    pthread_cond_broadcast(&of.changed);
    pthread_mutex_unlock(&of.mutex);
  }
  pthread_mutex_lock(&of.mutex);
  of.over = true;
  pthread_cond_broadcast(&of.changed);
  pthread_mutex_unlock(&of.mutex);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  pthread_join(maker, &failed);
  assert_null(failed);
  world_close(&w);
}

static const stream_case cases[] = {
    TEST(credit), TEST(a_slow_consumer_stops_the_producer), TEST(larger_than_the_window), TEST(larger_than_the_arena), TEST(revoke),
    TEST(release_from_many_threads)};

int main(void) { return run_over_each_backend(cases, sizeof cases / sizeof *cases); }
