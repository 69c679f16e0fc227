/* SPDX-License-Identifier: Apache-2.0
 * What every stream backend must do, run over each. Sender and receiver live in this process, but for the deaths, whose victim is a
 * child. A test that something does not come waits a moment for it: it cannot fail by being slow. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "transport/stream/stream.h"

enum { KIB = 1024, MIB = 1024 * 1024, MOMENT_MS = 50, MOST_EVENTS = 4096, MOST_SENDERS = 8 };

typedef struct backend { const char *name; const struct ghee_stream_ops *ops; bool plain; } backend;
static backend backends[] = {{"shm", &ghee_stream_shm, false}, {"zmq", &ghee_stream_zmq, false}, {"zmq plain", &ghee_stream_zmq, true}};

/* ---- a receiver and senders ---- */

/* What a sender was told. */
typedef struct ear {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  ghee_sender_event events[MOST_EVENTS];
  size_t n, taken;
} ear;

typedef struct world {
  const struct ghee_stream_ops *ops;
  ghee_stream_options options;
  char folder[64];
  ghee_receiver *receiver;
  const char *address;
  ghee_sender *sender;            /* called 1, and knows the receiver as 7 */
  ear ear;
} world;

enum { SELF = 1, PEER = 7 };

static void hear(void *user, const ghee_sender_event *event) {
  ear *of = user;
  pthread_mutex_lock(&of->mutex);
  assert_true(of->n < MOST_EVENTS);
  of->events[of->n++] = *event;
  pthread_cond_broadcast(&of->changed);
  pthread_mutex_unlock(&of->mutex);
}

static void ear_init(ear *of) {
  *of = (ear){0};
  pthread_mutex_init(&of->mutex, NULL);
  pthread_cond_init(&of->changed, NULL);
}

static ghee_sender_event next_event(ear *of) {
  pthread_mutex_lock(&of->mutex);
  while (of->taken == of->n) pthread_cond_wait(&of->changed, &of->mutex);
  ghee_sender_event event = of->events[of->taken++];
  pthread_mutex_unlock(&of->mutex);
  return event;
}

static size_t events_left(ear *of) {
  pthread_mutex_lock(&of->mutex);
  size_t n = of->n - of->taken;
  pthread_mutex_unlock(&of->mutex);
  return n;
}

static void options_init(world *w, const backend *of, size_t window, size_t arena) {
  *w = (world){.ops = of->ops, .folder = "/tmp/ghee-stream-XXXXXX"};
  assert_non_null(mkdtemp(w->folder));
  assert_int_equal(ghee_stream_key_new(&w->options.key, NULL), GHEE_OK);
  w->options.folder = w->folder;
  w->options.host = "127.0.0.1";
  w->options.plain = of->plain;
  w->options.window_bytes = window;
  w->options.arena_bytes = arena;
  ear_init(&w->ear);
}

static void open_receiver(world *w) {
  ghee_error err;
  if (w->ops->receiver_open(&w->options, &w->receiver, &w->address, &err) != GHEE_OK) fail_msg("%s", err.message);
}

static void open_sender(world *w) {
  ghee_error err;
  assert_int_equal(w->ops->sender_open(&w->options, hear, &w->ear, &w->sender, &err), GHEE_OK);
  if (w->ops->connect(w->sender, w->address, SELF, PEER, &err) != GHEE_OK) fail_msg("%s", err.message);
}

static void world_open(world *w, void **state, size_t window, size_t arena) {
  options_init(w, *state, window, arena);
  open_receiver(w);
  open_sender(w);
}

/* Everything that is still open; the folder must be empty again. */
static void world_close(world *w) {
  w->ops->sender_close(w->sender, false);
  w->ops->receiver_close(w->receiver);
  pthread_cond_destroy(&w->ear.changed);
  pthread_mutex_destroy(&w->ear.mutex);
  assert_int_equal(rmdir(w->folder), 0);
}

/* ---- messages whose content follows from their number ---- */

static uint8_t byte_of(uint32_t seq, size_t at) { return (uint8_t)(seq * 31 + at * 7 + (at >> 8)); }

static void fill(uint8_t *data, size_t size, uint32_t seq) {
  for (size_t i = 0; i < size; i++) data[i] = byte_of(seq, i);
}

static void check_content(const ghee_message *message) {
  const uint8_t *data = message->data;
  assert_true(message->size_bytes == 0 || ((uintptr_t)data & 63) == 0);
  for (size_t i = 0; i < message->size_bytes; i++)
    if (data[i] != byte_of(message->head.seq, i)) fail_msg("message %u is wrong at byte %zu", message->head.seq, i);
}

static ghee_stream_head head_of(uint32_t seq) { return (ghee_stream_head){.kind = 3, .epoch = 1, .chunk = 2, .seq = seq, .token = 77, .rows = seq * 10, .file = 5}; }

/* Does not wait for room in the arena: this thread may be the one that has to make some. */
static ghee_status send_to(const struct ghee_stream_ops *ops, ghee_sender *sender, uint64_t peer, ghee_stream_head head, size_t size) {
  ghee_slot slot;
  if (size == 0) return ops->send(sender, peer, &head, NULL, 0, NULL);
  ghee_status status = ops->reserve(sender, size, true, &slot, NULL);
  if (status != GHEE_OK) return status;
  assert_int_equal((uintptr_t)slot.data & 63, 0);
  fill(slot.data, size, head.seq);
  return ops->send(sender, peer, &head, &slot, size, NULL);
}

static void send_one(world *w, uint32_t seq, size_t size) { assert_int_equal(send_to(w->ops, w->sender, PEER, head_of(seq), size), GHEE_OK); }

/* The next message, which must be there soon enough not to need a limit. */
static ghee_message take(world *w) {
  ghee_message message;
  ghee_error err;
  ghee_status status;
  do status = w->ops->pop(w->receiver, -1, &message, &err);
  while (status == GHEE_AGAIN);
  if (status != GHEE_OK) fail_msg("pop: %s", err.message);
  if (message.what == GHEE_MESSAGE_DATA) check_content(&message);
  return message;
}

static ghee_message take_seq(world *w, uint32_t seq) {
  ghee_message message = take(w);
  assert_int_equal(message.what, GHEE_MESSAGE_DATA);
  assert_int_equal(message.head.seq, seq);
  return message;
}

static void take_and_release(world *w, uint32_t seq) {
  ghee_message message = take_seq(w, seq);
  w->ops->release(&message);
}

static void take_gone(world *w, uint64_t peer) {
  ghee_message message = take(w);
  assert_int_equal(message.what, GHEE_MESSAGE_GONE);
  assert_int_equal(message.peer, peer);
}

static void nothing_comes(world *w) {
  ghee_message message;
  assert_int_equal(w->ops->pop(w->receiver, MOMENT_MS, &message, NULL), GHEE_AGAIN);
}

/* Lets the world's sender learn of its window. */
static void settle(world *w) {
  send_one(w, 0, 1);
  take_and_release(w, 0);
}

/* ---- order and content ---- */

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
  options_init(&w, *state, 64 * KIB, 256 * KIB);
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

/* ---- credits ---- */

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

static void test_pick(void **state) {
  enum { OTHER = 8 };
  world w, other;
  uint64_t peer;
  ghee_message held[2];
  world_open(&w, state, 100 * KIB, MIB);
  options_init(&other, *state, 150 * KIB, 0);
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
  options_init(&other, *state, 100 * KIB, 0);
  other.options.key = w.options.key;
  open_receiver(&other);
  uint64_t first = picked_from(&w, &other, 0), second = picked_from(&w, &other, 1);
  assert_int_not_equal(first, second);
  assert_int_equal(picked_from(&w, &other, 2), first);
  other.ops->receiver_close(other.receiver);
  assert_int_equal(rmdir(other.folder), 0);
  world_close(&w);
}

/* ---- want, ack, revoke ---- */

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
  options_init(&w, *state, 100 * KIB, MIB);
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

/* ---- ends ---- */

/* Takes and overwrites it. */
static void whole_arena_is_free(world *w, size_t size) {
  ghee_slot slot;
  assert_int_equal(w->ops->reserve(w->sender, size, false, &slot, NULL), GHEE_OK); /* waits for it */
  memset(slot.data, 0xee, size);
  w->ops->unreserve(w->sender, &slot);
}

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

/* ---- deaths ---- */

typedef struct child { pid_t pid; int to, from; } child;

/* Before anything is opened: the child must have no thread but this. */
static child child_start(world *w, void (*live)(world *w, int in, int out)) {
  int down[2], up[2];
  assert_int_equal(pipe(down), 0);
  assert_int_equal(pipe(up), 0);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    live(w, down[0], up[1]);
    _exit(1);
  }
  close(down[0]);
  close(up[1]);
  return (child){.pid = pid, .to = down[1], .from = up[0]};
}

static void child_kill(child *of) {
  int status;
  kill(of->pid, SIGKILL);
  assert_int_equal(waitpid(of->pid, &status, 0), of->pid);
  assert_true(WIFSIGNALED(status));
  close(of->to);
  close(of->from);
}

static void sender_lives(world *w, int in, int out) {
  static char address[512];
  (void)out;
  if (read(in, address, sizeof address) <= 0) return;
  if (w->ops->sender_open(&w->options, hear, &w->ear, &w->sender, NULL) != GHEE_OK) return;
  if (w->ops->connect(w->sender, address, SELF, PEER, NULL) != GHEE_OK) return;
  for (uint32_t i = 0; i < 20; i++) (void)send_to(w->ops, w->sender, PEER, head_of(i), 100 * KIB);
  for (;;) pause();
}

static void test_sender_death(void **state) {
  world w;
  options_init(&w, *state, 500 * KIB, 4 * MIB);
  child of = child_start(&w, sender_lives);
  open_receiver(&w);
  assert_int_equal(write(of.to, w.address, strlen(w.address) + 1), strlen(w.address) + 1);
  ghee_message held[5];
  for (uint32_t i = 0; i < 5; i++) held[i] = take_seq(&w, i);
  child_kill(&of);
  take_gone(&w, SELF);
  for (int i = 0; i < 5; i++) {
    check_content(&held[i]);
    w.ops->release(&held[i]);
  }
  ghee_stream_head head = head_of(1);
  assert_int_equal(w.ops->ack(w.receiver, SELF, &head, NULL), GHEE_CLOSED);
  open_sender(&w); /* the next of that name */
  send_one(&w, 1, 100);
  take_and_release(&w, 1);
  world_close(&w);
}

static void receiver_lives(world *w, int in, int out) {
  (void)in;
  ghee_message message;
  if (w->ops->receiver_open(&w->options, &w->receiver, &w->address, NULL) != GHEE_OK) return;
  if (write(out, w->address, strlen(w->address) + 1) < 0) return;
  while (w->ops->pop(w->receiver, -1, &message, NULL) == GHEE_OK)
    if (write(out, "m", 1) < 0) return; /* and holds it */
}

static void test_receiver_death(void **state) {
  static char address[512];
  char got;
  world w;
  options_init(&w, *state, 100 * KIB, 500 * KIB);
  child of = child_start(&w, receiver_lives);
  assert_true(read(of.from, address, sizeof address) > 0);
  w.address = address;
  open_sender(&w);
  for (uint32_t i = 0; i < 4; i++) send_one(&w, i, 100 * KIB);
  assert_int_equal(read(of.from, &got, 1), 1);
  child_kill(&of);
  ghee_sender_event event = next_event(&w.ear);
  assert_int_equal(event.what, GHEE_SENDER_GONE);
  assert_int_equal(event.peer, PEER);
  assert_int_equal(send_to(w.ops, w.sender, PEER, head_of(9), 10), GHEE_CLOSED);
  whole_arena_is_free(&w, 400 * KIB);
  w.ops->sender_close(w.sender, false);
  if (*address == '/') unlink(address);
  assert_int_equal(rmdir(w.folder), 0);
}

/* ---- waking and canceling ---- */

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

/* ---- keys and threads ---- */

static void test_another_key(void **state) {
  world w, stranger;
  options_init(&w, *state, MIB, MIB);
  open_receiver(&w);
  stranger = w;
  ear_init(&stranger.ear);
  assert_int_equal(ghee_stream_key_new(&stranger.options.key, NULL), GHEE_OK);
  assert_int_equal(w.ops->sender_open(&stranger.options, hear, &stranger.ear, &stranger.sender, NULL), GHEE_OK);
  assert_int_equal(w.ops->connect(stranger.sender, w.address, 66, PEER, NULL), GHEE_OK);
  (void)send_to(w.ops, stranger.sender, PEER, head_of(1), 10);
  nothing_comes(&w);
  assert_int_equal(next_event(&stranger.ear).what, GHEE_SENDER_GONE);
  w.ops->sender_close(stranger.sender, false);
  nothing_comes(&w);
  open_sender(&w);
  send_one(&w, 1, 10);
  take_and_release(&w, 1);
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

/* ---- all of it, over each ---- */

typedef struct test { const char *name; CMUnitTestFunction run; bool keyed; } test;
#define TEST(name) {#name, test_##name, false}

static const test tests[] = {
    TEST(order), TEST(senders), TEST(owner_is_busy), TEST(credit), TEST(a_slow_consumer_stops_the_producer), TEST(larger_than_the_window),
    TEST(larger_than_the_arena), TEST(pick), TEST(seats_spread), TEST(want_of_a_queued_message), TEST(want_of_a_later_message), TEST(want_before_the_sender_is_there), TEST(want_ends_waiting_for_room),
    TEST(ack), TEST(revoke), TEST(disconnect), TEST(nobody_there), TEST(close_gives_what_was_sent), TEST(drain_at_the_mark),
    TEST(messages_outlive_the_receiver), TEST(sender_death), TEST(receiver_death), TEST(wake), TEST(cancel),
    {"another_key", test_another_key, true}, TEST(release_from_many_threads)};

int main(void) {
  enum { N_TESTS = sizeof tests / sizeof *tests };
  static char names[3][N_TESTS][80];
  int failed = 0;
  for (size_t b = 0; b < 3; b++) {
    struct CMUnitTest run[N_TESTS];
    size_t n = 0;
    for (size_t i = 0; i < N_TESTS; i++) {
      if (tests[i].keyed && backends[b].plain) continue;
      snprintf(names[b][i], sizeof names[b][i], "%s: %s", backends[b].name, tests[i].name);
      run[n++] = (struct CMUnitTest){.name = names[b][i], .test_func = tests[i].run, .initial_state = &backends[b]};
    }
    failed += _cmocka_run_group_tests(backends[b].name, run, n, NULL, NULL);
  }
  return failed;
}
