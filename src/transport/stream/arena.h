/* SPDX-License-Identifier: Apache-2.0
 * Memory for messages in few large segments. Freed pieces are used again first, so that their pages are warm. Segments of a shared arena
 * are memfds that receivers map too, sealed against shrinking: no receiver can be made to fault. */
#ifndef GHEE_STREAM_ARENA_H
#define GHEE_STREAM_ARENA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"
#include "base/status.h"

typedef struct ghee_arena_hole { uint64_t offset, size; } ghee_arena_hole;
typedef struct ghee_arena_segment {
  uint32_t id;               /* never used again */
  int fd;                    /* -1: not shared */
  uint8_t *data;
  uint64_t size, used;
  bool retired;
  GHEE_ARRAY(ghee_arena_hole) holes; /* sorted by offset, never adjacent */
} ghee_arena_segment;

/** Owner: the lock of whose it is. */
typedef struct ghee_arena {
  GHEE_ARRAY(ghee_arena_segment *) segments;
  uint64_t limit, used, segment_bytes;
  uint32_t next_id;
  bool shared;
} ghee_arena;

typedef struct ghee_arena_piece { ghee_arena_segment *segment; uint64_t offset, size; } ghee_arena_piece;

/** `shared`: memory with descriptors that receivers can map. */
void ghee_arena_init(ghee_arena *arena, uint64_t limit_bytes, bool shared);
void ghee_arena_fini(ghee_arena *arena);
/** A piece fits: within the limit, and within a few pieces of its size. An empty arena takes any. */
bool ghee_arena_fits(const ghee_arena *arena, uint64_t size);
/** A piece of at least `size` bytes, whatever the limit. GHEE_NO_MEMORY, GHEE_LIMIT (descriptors). */
ghee_status ghee_arena_alloc(ghee_arena *arena, uint64_t size, ghee_arena_piece *out, ghee_error *err);
void ghee_arena_free(ghee_arena *arena, const ghee_arena_piece *piece);
/** As ghee_arena_free, but somebody may still read it: its memory is never written again. */
void ghee_arena_retire(ghee_arena *arena, const ghee_arena_piece *piece);

#endif
