/* SPDX-License-Identifier: Apache-2.0
 * What the cases of the stream suite share: a world of a receiver and a sender, messages whose content follows from their number, and the
 * run over every backend. Both ends live in this process, but for the deaths, whose victim is a child. A case that something does not
 * come waits a moment for it: it cannot fail by being slow. What goes wrong here fails the case. */
#ifndef GHEE_TESTS_STREAM_WORLD_H
#define GHEE_TESTS_STREAM_WORLD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/stream/stream.h"

enum { KIB = 1024, MIB = 1024 * 1024, MOST_EVENTS = 4096 };
enum { SELF = 1, PEER = 7 };      /* what the world's sender is called, and how it knows the receiver */

/* What a sender was told. */
typedef struct ear {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  ghee_sender_event events[MOST_EVENTS];
  size_t n, taken;
} ear;

void ear_init(ear *of);
/* A sender's on_event; `of` is an ear. */
void hear(void *of, const ghee_sender_event *event);
/* Waits for it. */
ghee_sender_event next_event(ear *of);
size_t events_left(ear *of);

typedef struct world {
  const struct ghee_stream_ops *ops;
  ghee_stream_options options;
  char folder[64];
  ghee_receiver *receiver;
  const char *address;
  ghee_sender *sender;
  ear ear;
} world;

/* `state` is a case's: the backend. */
void world_open(world *w, void **state, size_t window, size_t arena);
/* Everything that is still open; the folder must be empty again. */
void world_close(world *w);
/* A world in which neither end is open yet. */
void world_init(world *w, void **state, size_t window, size_t arena);
void open_receiver(world *w);
void open_sender(world *w);

void fill(uint8_t *data, size_t size, uint32_t seq);
void check_content(const ghee_message *message);
ghee_stream_head head_of(uint32_t seq);
/* Does not wait for room in the arena: this thread may be the one that has to make some. */
ghee_status send_to(const struct ghee_stream_ops *ops, ghee_sender *sender, uint64_t peer, ghee_stream_head head, size_t size);
void send_one(world *w, uint32_t seq, size_t size);

/* The next message, which must be there soon enough not to need a limit. */
ghee_message take(world *w);
ghee_message take_seq(world *w, uint32_t seq);
void take_and_release(world *w, uint32_t seq);
void take_gone(world *w, uint64_t peer);
void nothing_comes(world *w);
/* Lets the world's sender learn of its window. */
void settle(world *w);
/* Waits until so much of the arena is free, takes and overwrites it. */
void whole_arena_is_free(world *w, size_t size);

/* `keyed`: not where there are no keys. */
typedef struct stream_case { const char *name; void (*run)(void **state); bool keyed; } stream_case;
#define TEST(name) {#name, test_##name, false}

/* How many failed. */
int run_over_each_backend(const stream_case *cases, size_t n);

#endif
