/* SPDX-License-Identifier: Apache-2.0
 * A ring between the writer of a file and the request that carries it. */
#include "storage/hdfs_window.h"

#include <string.h>

#include "base/copy.h"
#include "base/memory.h"

enum { SIZE = GHEE_HDFS_KEPT_BYTES + GHEE_HDFS_AHEAD_BYTES };

void ghee_hdfs_window_init(ghee_hdfs_window *window) {
  *window = (ghee_hdfs_window){0};
  pthread_mutex_init(&window->locked.mutex, NULL);
  pthread_cond_init(&window->locked.moved, NULL);
}

void ghee_hdfs_window_fini(ghee_hdfs_window *window) {
  pthread_cond_destroy(&window->locked.moved);
  pthread_mutex_destroy(&window->locked.mutex);
  ghee_free(window->locked.bytes);
}

static uint64_t room_of(const ghee_hdfs_window *window) { return window->locked.taken + GHEE_HDFS_AHEAD_BYTES - window->locked.put; }

static size_t least(uint64_t a, uint64_t b) { return (size_t)(a < b ? a : b); }

ghee_status ghee_hdfs_window_put(ghee_hdfs_window *window, const void *data, size_t size_bytes, size_t *n, ghee_error *err) {
  pthread_mutex_lock(&window->locked.mutex);
  /* Pages of a small file's window are never touched, and so cost nothing. */
  if (!window->locked.bytes) window->locked.bytes = ghee_alloc(SIZE);
  bool there = window->locked.bytes;
  *n = there ? least(size_bytes, room_of(window)) : 0;
  for (size_t done = 0, some; done < *n; done += some) {
    size_t at = (size_t)(window->locked.put % SIZE);
    some = least(*n - done, SIZE - at);
    ghee_copy_out(window->locked.bytes + at, (const char *)data + done, some);
    window->locked.put += some;
  }
  pthread_mutex_unlock(&window->locked.mutex);
  return there ? GHEE_OK : ghee_error_no_memory(err, "writing a file");
}

void ghee_hdfs_window_wait(ghee_hdfs_window *window) {
  pthread_mutex_lock(&window->locked.mutex);
  while (window->locked.taking && room_of(window) == 0) pthread_cond_wait(&window->locked.moved, &window->locked.mutex);
  pthread_mutex_unlock(&window->locked.mutex);
}

uint64_t ghee_hdfs_window_waiting(ghee_hdfs_window *window, bool *taking) {
  pthread_mutex_lock(&window->locked.mutex);
  uint64_t waiting = window->locked.put - window->locked.taken;
  *taking = window->locked.taking;
  pthread_mutex_unlock(&window->locked.mutex);
  return waiting;
}

bool ghee_hdfs_window_rewind(ghee_hdfs_window *window, uint64_t offset) {
  pthread_mutex_lock(&window->locked.mutex);
  bool kept = offset + SIZE >= window->locked.put;
  if (kept) {
    window->locked.taken = offset;
    window->locked.taking = true;
  }
  pthread_mutex_unlock(&window->locked.mutex);
  return kept;
}

size_t ghee_hdfs_window_take(ghee_hdfs_window *window, void *into, size_t room) {
  pthread_mutex_lock(&window->locked.mutex);
  size_t at = (size_t)(window->locked.taken % SIZE), n = least(least(room, SIZE - at), window->locked.put - window->locked.taken);
  if (n > 0) memcpy(into, window->locked.bytes + at, n);
  window->locked.taken += n;
  window->locked.taking = n > 0;
  pthread_cond_signal(&window->locked.moved);
  pthread_mutex_unlock(&window->locked.mutex);
  return n;
}

void ghee_hdfs_window_end(ghee_hdfs_window *window) {
  pthread_mutex_lock(&window->locked.mutex);
  window->locked.taking = false;
  pthread_cond_signal(&window->locked.moved);
  pthread_mutex_unlock(&window->locked.mutex);
}
