/* SPDX-License-Identifier: Apache-2.0
 * Inside storage/: the last bytes of a file of HDFS that is being written. Who writes puts them in; a request takes them out, and they stay for
 * a while, to be taken again should it fail. */
#ifndef GHEE_STORAGE_HDFS_WINDOW_H
#define GHEE_STORAGE_HDFS_WINDOW_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/** KEPT: of those that were taken. AHEAD: that may wait to be. */
enum { GHEE_HDFS_KEPT_BYTES = 32 << 20, GHEE_HDFS_AHEAD_BYTES = 32 << 20 };

/** Thread: one that puts, one that takes; all fields under the mutex. */
typedef struct ghee_hdfs_window {
  struct {
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    uint8_t *bytes;              /* a ring; byte k of the file lies at k mod its size */
    uint64_t put, taken;         /* of the file, in all */
    bool taking;                 /* since rewind, until nothing was left or end */
  } locked;
} ghee_hdfs_window;

void ghee_hdfs_window_init(ghee_hdfs_window *window);
void ghee_hdfs_window_fini(ghee_hdfs_window *window);

/* Who puts. */
/** As many of the bytes as there is room for; *n: how many. GHEE_NO_MEMORY. */
ghee_status ghee_hdfs_window_put(ghee_hdfs_window *window, const void *data, size_t size_bytes, size_t *n, ghee_error *err);
/** Until there is room, or nobody takes. */
void ghee_hdfs_window_wait(ghee_hdfs_window *window);
/** Bytes that wait to be taken; *taking: somebody does. */
uint64_t ghee_hdfs_window_waiting(ghee_hdfs_window *window, bool *taking);
/** The next taker begins at byte `offset` of the file; false where that is not kept any more. Nobody takes now. */
bool ghee_hdfs_window_rewind(ghee_hdfs_window *window, uint64_t offset);

/* Who takes. */
/** 0: there is nothing, and the taker has ended by that. */
size_t ghee_hdfs_window_take(ghee_hdfs_window *window, void *into, size_t room);
void ghee_hdfs_window_end(ghee_hdfs_window *window);

#endif
