/* SPDX-License-Identifier: Apache-2.0
 * A receiver, a sender and what they say to each other; the run of cases over every backend. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOMENT_MS = 50, MOST_CASES = 16 };

typedef struct backend { const char *name; const struct ghee_stream_ops *ops; bool plain; } backend;
static backend backends[] = {{"shm", &ghee_stream_shm, false}, {"zmq", &ghee_stream_zmq, false}, {"zmq plain", &ghee_stream_zmq, true}};

/* ---- what a sender was told ---- */

void hear(void *user, const ghee_sender_event *event) {
  ear *of = user;
  pthread_mutex_lock(&of->mutex);
  assert_true(of->n < MOST_EVENTS);
  of->events[of->n++] = *event;
  pthread_cond_broadcast(&of->changed);
  pthread_mutex_unlock(&of->mutex);
}

void ear_init(ear *of) {
  *of = (ear){0};
  pthread_mutex_init(&of->mutex, NULL);
  pthread_cond_init(&of->changed, NULL);
}

ghee_sender_event next_event(ear *of) {
  pthread_mutex_lock(&of->mutex);
  while (of->taken == of->n) pthread_cond_wait(&of->changed, &of->mutex);
  ghee_sender_event event = of->events[of->taken++];
  pthread_mutex_unlock(&of->mutex);
  return event;
}

size_t events_left(ear *of) {
  pthread_mutex_lock(&of->mutex);
  size_t n = of->n - of->taken;
  pthread_mutex_unlock(&of->mutex);
  return n;
}

/* ---- both ends ---- */

void world_init(world *w, void **state, size_t window, size_t arena) {
  const backend *of = *state;
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

void open_receiver(world *w) {
  ghee_error err;
  if (w->ops->receiver_open(&w->options, &w->receiver, &w->address, &err) != GHEE_OK) fail_msg("%s", err.message);
}

void open_sender(world *w) {
  ghee_error err;
  assert_int_equal(w->ops->sender_open(&w->options, hear, &w->ear, &w->sender, &err), GHEE_OK);
  if (w->ops->connect(w->sender, w->address, SELF, PEER, &err) != GHEE_OK) fail_msg("%s", err.message);
}

void world_open(world *w, void **state, size_t window, size_t arena) {
  world_init(w, state, window, arena);
  open_receiver(w);
  open_sender(w);
}

void world_close(world *w) {
  w->ops->sender_close(w->sender, false);
  w->ops->receiver_close(w->receiver);
  pthread_cond_destroy(&w->ear.changed);
  pthread_mutex_destroy(&w->ear.mutex);
  assert_int_equal(rmdir(w->folder), 0);
}

/* ---- messages whose content follows from their number ---- */

static uint8_t byte_of(uint32_t seq, size_t at) { return (uint8_t)(seq * 31 + at * 7 + (at >> 8)); }

void fill(uint8_t *data, size_t size, uint32_t seq) {
  for (size_t i = 0; i < size; i++) data[i] = byte_of(seq, i);
}

void check_content(const ghee_message *message) {
  const uint8_t *data = message->data;
  assert_true(message->size_bytes == 0 || ((uintptr_t)data & 63) == 0);
  for (size_t i = 0; i < message->size_bytes; i++)
    if (data[i] != byte_of(message->head.seq, i)) fail_msg("message %u is wrong at byte %zu", message->head.seq, i);
}

ghee_stream_head head_of(uint32_t seq) { return (ghee_stream_head){.kind = 3, .epoch = 1, .chunk = 2, .seq = seq, .token = 77, .rows = seq * 10, .file = 5}; }

ghee_status send_to(const struct ghee_stream_ops *ops, ghee_sender *sender, uint64_t peer, ghee_stream_head head, size_t size) {
  ghee_slot slot;
  if (size == 0) return ops->send(sender, peer, &head, NULL, 0, NULL);
  ghee_status status = ops->reserve(sender, size, true, &slot, NULL);
  if (status != GHEE_OK) return status;
  assert_int_equal((uintptr_t)slot.data & 63, 0);
  fill(slot.data, size, head.seq);
  return ops->send(sender, peer, &head, &slot, size, NULL);
}

void send_one(world *w, uint32_t seq, size_t size) { assert_int_equal(send_to(w->ops, w->sender, PEER, head_of(seq), size), GHEE_OK); }

ghee_message take(world *w) {
  ghee_message message;
  ghee_error err;
  ghee_status status;
  do status = w->ops->pop(w->receiver, -1, &message, &err);
  while (status == GHEE_AGAIN);
  if (status != GHEE_OK) fail_msg("pop: %s", err.message);
  if (message.what == GHEE_MESSAGE_DATA) check_content(&message);
  return message;
}

ghee_message take_seq(world *w, uint32_t seq) {
  ghee_message message = take(w);
  assert_int_equal(message.what, GHEE_MESSAGE_DATA);
  assert_int_equal(message.head.seq, seq);
  return message;
}

void take_and_release(world *w, uint32_t seq) {
  ghee_message message = take_seq(w, seq);
  w->ops->release(&message);
}

void take_gone(world *w, uint64_t peer) {
  ghee_message message = take(w);
  assert_int_equal(message.what, GHEE_MESSAGE_GONE);
  assert_int_equal(message.peer, peer);
}

void nothing_comes(world *w) {
  ghee_message message;
  assert_int_equal(w->ops->pop(w->receiver, MOMENT_MS, &message, NULL), GHEE_AGAIN);
}

void settle(world *w) {
  send_one(w, 0, 1);
  take_and_release(w, 0);
}

void whole_arena_is_free(world *w, size_t size) {
  ghee_slot slot;
  assert_int_equal(w->ops->reserve(w->sender, size, false, &slot, NULL), GHEE_OK);
  memset(slot.data, 0xee, size);
  w->ops->unreserve(w->sender, &slot);
}

/* ---- over each backend ---- */

static int run_over(backend *of, const stream_case *cases, size_t n_cases) {
  static char names[MOST_CASES][80];
  struct CMUnitTest run[MOST_CASES];
  size_t n = 0;
  for (size_t i = 0; i < n_cases; i++) {
    if (cases[i].keyed && of->plain) continue;
    snprintf(names[n], sizeof names[n], "%s: %s", of->name, cases[i].name);
    run[n] = (struct CMUnitTest){.name = names[n], .test_func = cases[i].run, .initial_state = of};
    n++;
  }
  return n > 0 ? _cmocka_run_group_tests(of->name, run, n, NULL, NULL) : 0;
}

int run_over_each_backend(const stream_case *cases, size_t n) {
  int failed = 0;
  if (n > MOST_CASES) return 1;
  for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) failed += run_over(&backends[i], cases, n);
  return failed;
}
