/* SPDX-License-Identifier: Apache-2.0
 * Segments between the writer of a file and the request that carries it.
 *
 * Design notes
 * - A segment whose bytes need not be kept any more becomes the next one, so that a file touches little more memory than is kept of it: the
 *   first touch of a page costs more than all copies of what is written there.
 * - Bytes are copied without the lock. Who puts writes behind `put`, into segments that nobody takes from; who takes reads before it, and what is
 *   used again lies further back than what is kept. */
#include "storage/hdfs_window.h"

#include <string.h>

#include "base/copy.h"
#include "base/memory.h"

enum { SEGMENT = GHEE_HDFS_SEGMENT_BYTES, SEGMENTS = GHEE_HDFS_SEGMENTS };

void ghee_hdfs_window_init(ghee_hdfs_window *window) {
  *window = (ghee_hdfs_window){0};
  pthread_mutex_init(&window->locked.mutex, NULL);
  pthread_cond_init(&window->locked.moved, NULL);
}

void ghee_hdfs_window_fini(ghee_hdfs_window *window) {
  pthread_cond_destroy(&window->locked.moved);
  pthread_mutex_destroy(&window->locked.mutex);
  for (size_t i = 0; i < SEGMENTS; i++) ghee_free(window->segments[i]);
}

static uint64_t room_of(const ghee_hdfs_window *window) {
  uint64_t most = window->locked.taking ? GHEE_HDFS_TAKING_BYTES : GHEE_HDFS_AHEAD_BYTES, waiting = window->locked.put - window->locked.taken;
  return waiting < most ? most - waiting : 0;
}

static size_t least(uint64_t a, uint64_t b) { return (size_t)(a < b ? a : b); }

static uint8_t **segment_of(ghee_hdfs_window *window, uint64_t offset) { return &window->segments[offset / SEGMENT % SEGMENTS]; }

/* ---- who puts ---- */

/* The segment that begins at `offset`: one that is not kept any more, else a new one. */
static bool add_segment(ghee_hdfs_window *window, uint64_t offset) {
  uint8_t *segment = NULL;
  pthread_mutex_lock(&window->locked.mutex);
  uint64_t first = window->locked.first;
  if (first + SEGMENT + GHEE_HDFS_KEPT_BYTES <= window->locked.taken) {
    segment = *segment_of(window, first);
    *segment_of(window, first) = NULL;
    window->locked.first += SEGMENT;
  }
  pthread_mutex_unlock(&window->locked.mutex);
  return (*segment_of(window, offset) = segment ? segment : ghee_alloc(SEGMENT));
}

ghee_status ghee_hdfs_window_put(ghee_hdfs_window *window, const void *data, size_t size_bytes, size_t *n, ghee_error *err) {
  pthread_mutex_lock(&window->locked.mutex);
  uint64_t put = window->locked.put;
  size_t most = least(size_bytes, room_of(window));
  pthread_mutex_unlock(&window->locked.mutex);
  for (*n = 0; *n < most;) {
    size_t at = (size_t)(put % SEGMENT), some = least(most - *n, SEGMENT - at);
    if (!*segment_of(window, put) && !add_segment(window, put)) break;
    ghee_copy_out(*segment_of(window, put) + at, (const char *)data + *n, some);
    put += some;
    *n += some;
  }
  pthread_mutex_lock(&window->locked.mutex);
  window->locked.put = put;
  pthread_mutex_unlock(&window->locked.mutex);
  return *n == most ? GHEE_OK : ghee_error_no_memory(err, "writing a file");
}

void ghee_hdfs_window_wait(ghee_hdfs_window *window) {
  pthread_mutex_lock(&window->locked.mutex);
  while (window->locked.taking && room_of(window) < SEGMENT) pthread_cond_wait(&window->locked.moved, &window->locked.mutex);
  pthread_mutex_unlock(&window->locked.mutex);
}

uint64_t ghee_hdfs_window_waiting(ghee_hdfs_window *window, bool *taking) {
  pthread_mutex_lock(&window->locked.mutex);
  uint64_t waiting = window->locked.put - window->locked.taken;
  *taking = window->locked.taking;
  pthread_mutex_unlock(&window->locked.mutex);
  return waiting;
}

bool ghee_hdfs_window_keeps(ghee_hdfs_window *window, uint64_t offset) {
  pthread_mutex_lock(&window->locked.mutex);
  bool kept = offset >= window->locked.first;
  pthread_mutex_unlock(&window->locked.mutex);
  return kept;
}

bool ghee_hdfs_window_rewind(ghee_hdfs_window *window, uint64_t offset) {
  pthread_mutex_lock(&window->locked.mutex);
  bool kept = offset >= window->locked.first;
  if (kept) {
    window->locked.taken = offset;
    window->locked.taking = true;
  }
  pthread_mutex_unlock(&window->locked.mutex);
  return kept;
}

/* ---- who takes ---- */

size_t ghee_hdfs_window_take(ghee_hdfs_window *window, void *into, size_t room) {
  pthread_mutex_lock(&window->locked.mutex);
  uint64_t taken = window->locked.taken;
  size_t most = least(room, window->locked.put - taken);
  window->locked.taking = most > 0;
  if (most == 0) pthread_cond_signal(&window->locked.moved);
  pthread_mutex_unlock(&window->locked.mutex);
  if (most == 0) return 0;
  for (size_t n = 0, some; n < most; n += some) {
    size_t at = (size_t)((taken + n) % SEGMENT);
    some = least(most - n, SEGMENT - at);
    memcpy((char *)into + n, *segment_of(window, taken + n) + at, some);
  }
  pthread_mutex_lock(&window->locked.mutex);
  window->locked.taken += most;
  pthread_cond_signal(&window->locked.moved);
  pthread_mutex_unlock(&window->locked.mutex);
  return most;
}

void ghee_hdfs_window_end(ghee_hdfs_window *window) {
  pthread_mutex_lock(&window->locked.mutex);
  window->locked.taking = false;
  pthread_cond_signal(&window->locked.moved);
  pthread_mutex_unlock(&window->locked.mutex);
}
