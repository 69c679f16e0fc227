/* SPDX-License-Identifier: Apache-2.0
 * Batches: their content and their order, from one sender and from many, and the acknowledgements that travel back. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "world.h"

enum { MOST_SENDERS = 8 };

static void test_order(void **state) {
  static const size_t sizes[] = {0, 1, 100, 4096, 0, 70 * KIB, 33, 8 * KIB, 300 * KIB};
  enum { ALL = 900 };
  world w;
  world_open(&w, state, 16 * MIB, 1024 * MIB);
  for (uint32_t i = 0; i < ALL; i++) send_one(&w, i, sizes[i % 9]);
  for (uint32_t i = 0; i < ALL; i++) {
    ghee_message message = take_seq(&w, i);
    ghee_stream_head head = head_of(i);
    assert_int_equal(message.peer, SELF);
    assert_int_equal(message.size_bytes, sizes[i % 9]);
    assert_memory_equal(&message.head, &head, offsetof(ghee_stream_head, file) + sizeof head.file);
    w.ops->release(&message);
  }
  world_close(&w);
}

typedef struct producer { world *w; ghee_sender *sender; uint64_t self; ear ear; uint32_t n; } producer;

static void *produce(void *user) {
  producer *of = user;
  for (uint32_t i = 0; i < of->n; i++)
    if (send_to(of->w->ops, of->sender, PEER, head_of(i), i % 5 ? 1 + (i * 977) % (20 * KIB) : 0) != GHEE_OK) return of;
  return NULL;
}

static void many_senders(void **state, int n) {
  enum { ALL = 300 };
  world w;
  producer producers[MOST_SENDERS];
  pthread_t threads[MOST_SENDERS];
  uint32_t next[MOST_SENDERS + 1] = {0};
  world_init(&w, state, 64 * KIB, 256 * KIB);
  open_receiver(&w);
  for (int i = 0; i < n; i++) {
    producers[i] = (producer){.w = &w, .self = 100 + (uint64_t)i, .n = ALL};
    ear_init(&producers[i].ear);
    assert_int_equal(w.ops->sender_open(&w.options, hear, &producers[i].ear, &producers[i].sender, NULL), GHEE_OK);
    assert_int_equal(w.ops->connect(producers[i].sender, w.address, producers[i].self, PEER, NULL), GHEE_OK);
    assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
  }
  for (int i = 0; i < n * ALL; i++) {
    ghee_message message = take(&w);
    assert_int_equal(message.what, GHEE_MESSAGE_DATA);
    assert_in_range(message.peer, 100, 99 + n);
    assert_int_equal(message.head.seq, next[message.peer - 100]++);
    w.ops->release(&message);
  }
  for (int i = 0; i < n; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
    w.ops->sender_close(producers[i].sender, false);
    take_gone(&w, producers[i].self);
  }
  w.ops->receiver_close(w.receiver);
  assert_int_equal(rmdir(w.folder), 0);
}

static void test_senders(void **state) {
  for (int n = 1; n <= MOST_SENDERS; n++) many_senders(state, n);
}

static void test_owner_is_busy(void **state) {
  world w;
  world_open(&w, state, MIB, MIB); /* this thread owns both, so connect cannot wait for a pop */
  send_one(&w, 1, 500);
  take_and_release(&w, 1);
  world_close(&w);
}

static void test_ack(void **state) {
  enum { ALL = 500 };
  world w;
  world_open(&w, state, MIB, MIB);
  settle(&w);
  for (uint32_t i = 0; i < ALL; i++) {
    ghee_stream_head head = head_of(i);
    assert_int_equal(w.ops->ack(w.receiver, SELF, &head, NULL), GHEE_OK);
  }
  for (uint32_t i = 0; i < ALL; i++) {
    ghee_sender_event event = next_event(&w.ear);
    assert_int_equal(event.what, GHEE_SENDER_ACK);
    assert_int_equal(event.peer, PEER);
    assert_int_equal(event.head.seq, i);
    assert_int_equal(event.head.token, 77);
  }
  ghee_stream_head head = head_of(1);
  assert_int_equal(w.ops->ack(w.receiver, 99, &head, NULL), GHEE_CLOSED);
  world_close(&w);
}

static const stream_case cases[] = {TEST(order), TEST(senders), TEST(owner_is_busy), TEST(ack)};

int main(void) { return run_over_each_backend(cases, sizeof cases / sizeof *cases); }
