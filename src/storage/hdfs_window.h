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

/** KEPT: at least so many of those that were taken. What may wait to be, TAKING: while somebody takes, AHEAD: while nobody does. */
enum { GHEE_HDFS_KEPT_BYTES = 32 << 20, GHEE_HDFS_TAKING_BYTES = 16 << 20, GHEE_HDFS_AHEAD_BYTES = 32 << 20, GHEE_HDFS_SEGMENT_BYTES = 1 << 20,
       GHEE_HDFS_SEGMENTS = (GHEE_HDFS_KEPT_BYTES + GHEE_HDFS_AHEAD_BYTES) / GHEE_HDFS_SEGMENT_BYTES + 2 };

/** Thread: one that puts, one that takes. */
typedef struct ghee_hdfs_window {
  uint8_t *segments[GHEE_HDFS_SEGMENTS]; /* a ring, those from `first` to `put`; set by who puts, before `put` has got there */
  struct {
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    uint64_t put, taken;         /* of the file, in all */
    uint64_t first;              /* that is kept; a segment begins there */
    bool taking;                 /* since rewind, until nothing was left or end */
  } locked;
} ghee_hdfs_window;

void ghee_hdfs_window_init(ghee_hdfs_window *window);
void ghee_hdfs_window_fini(ghee_hdfs_window *window);

/* Who puts. */
/** As many of the bytes as there is room for; *n: how many, also of those before GHEE_NO_MEMORY. */
ghee_status ghee_hdfs_window_put(ghee_hdfs_window *window, const void *data, size_t size_bytes, size_t *n, ghee_error *err);
/** Until there is room for a segment, or nobody takes. */
void ghee_hdfs_window_wait(ghee_hdfs_window *window);
/** Bytes that wait to be taken; *taking: somebody does. */
uint64_t ghee_hdfs_window_waiting(ghee_hdfs_window *window, bool *taking);
/** Whether a taker could begin at byte `offset`. */
bool ghee_hdfs_window_keeps(ghee_hdfs_window *window, uint64_t offset);
/** The next taker begins at byte `offset` of the file; false where that is not kept any more. Nobody takes now. */
bool ghee_hdfs_window_rewind(ghee_hdfs_window *window, uint64_t offset);

/* Who takes. */
/** 0: there is nothing, and the taker has ended by that. */
size_t ghee_hdfs_window_take(ghee_hdfs_window *window, void *into, size_t room);
void ghee_hdfs_window_end(ghee_hdfs_window *window);

#endif
