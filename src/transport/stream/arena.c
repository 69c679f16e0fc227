/* SPDX-License-Identifier: Apache-2.0
 * First fit in few segments. */
#include "transport/stream/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALIGN = 64, AHEAD = 8 };
#define LEAST_AHEAD ((uint64_t)1 << 20)
#define LEAST_SEGMENT ((uint64_t)256 << 10)
#define MOST_SEGMENT ((uint64_t)16 << 20)

void ghee_arena_init(ghee_arena *arena, uint64_t limit_bytes, bool shared) {
  uint64_t segment = limit_bytes / 4;
  if (segment < LEAST_SEGMENT) segment = LEAST_SEGMENT;
  if (segment > MOST_SEGMENT) segment = MOST_SEGMENT;
  *arena = (ghee_arena){.limit = limit_bytes, .segment_bytes = segment, .next_id = 1, .shared = shared};
}

static void segment_free(ghee_arena_segment *segment) {
  if (segment->data) munmap(segment->data, segment->size);
  if (segment->fd >= 0) close(segment->fd);
  ghee_array_fini(&segment->holes);
  ghee_free(segment);
}

void ghee_arena_fini(ghee_arena *arena) {
  for (size_t i = 0; i < arena->segments.count; i++) segment_free(arena->segments.items[i]);
  ghee_array_fini(&arena->segments);
}

/* Running further ahead than AHEAD messages only holds memory: whoever waits, waits for the first of them. */
static uint64_t limit_for(const ghee_arena *arena, uint64_t size) {
  uint64_t ahead = size > LEAST_AHEAD / AHEAD ? size * AHEAD : LEAST_AHEAD;
  return ahead < arena->limit ? ahead : arena->limit;
}

bool ghee_arena_fits(const ghee_arena *arena, uint64_t size) {
  uint64_t limit = limit_for(arena, size);
  return arena->used == 0 || (size <= limit && arena->used <= limit - size);
}

static ghee_status make_shared(ghee_arena_segment *segment, ghee_error *err) {
  segment->fd = memfd_create("ghee", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (segment->fd < 0) return ghee_error_set_errno(err, errno, "cannot make shared memory");
  if (ftruncate(segment->fd, (off_t)segment->size) != 0 || fcntl(segment->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return ghee_error_set_errno(err, errno, "cannot size shared memory to %llu bytes", (unsigned long long)segment->size);
  return GHEE_OK;
}

static ghee_status map_segment(ghee_arena_segment *segment, bool shared, ghee_error *err) {
  if (shared) GHEE_TRY(make_shared(segment, err));
  void *data = mmap(NULL, segment->size, PROT_READ | PROT_WRITE, shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, segment->fd, 0);
  if (data == MAP_FAILED) return ghee_error_set_errno(err, errno, "cannot map %llu bytes for messages", (unsigned long long)segment->size);
  segment->data = data;
  return GHEE_OK;
}

static ghee_status add_segment(ghee_arena *arena, uint64_t size, ghee_arena_segment **out, ghee_error *err) {
  ghee_arena_segment *segment = ghee_alloc_zero(1, sizeof *segment);
  if (!segment) return ghee_error_no_memory(err, "making memory for messages");
  segment->id = arena->next_id++;
  segment->fd = -1;
  segment->size = size > arena->segment_bytes ? (size + 4095) & ~(uint64_t)4095 : arena->segment_bytes;
  ghee_status status = map_segment(segment, arena->shared, err);
  if (status == GHEE_OK && (!ghee_array_push(&segment->holes, ((ghee_arena_hole){.size = segment->size})) || !ghee_array_push(&arena->segments, segment)))
    status = ghee_error_no_memory(err, "making memory for messages");
  if (status != GHEE_OK) {
    segment_free(segment);
    return status;
  }
  *out = segment;
  return GHEE_OK;
}

static bool take(ghee_arena_segment *segment, uint64_t size, ghee_arena_piece *out) {
  for (size_t i = 0; i < segment->holes.count && !segment->retired; i++) {
    ghee_arena_hole *hole = &segment->holes.items[i];
    if (hole->size < size) continue;
    *out = (ghee_arena_piece){.segment = segment, .offset = hole->offset, .size = size};
    hole->offset += size;
    hole->size -= size;
    if (hole->size == 0) memmove(hole, hole + 1, (--segment->holes.count - i) * sizeof *hole);
    segment->used += size;
    return true;
  }
  return false;
}

ghee_status ghee_arena_alloc(ghee_arena *arena, uint64_t size, ghee_arena_piece *out, ghee_error *err) {
  size = size ? (size + ALIGN - 1) & ~(uint64_t)(ALIGN - 1) : ALIGN;
  bool found = false;
  for (size_t i = 0; i < arena->segments.count && !found; i++) found = take(arena->segments.items[i], size, out);
  if (!found) {
    ghee_arena_segment *segment = NULL;
    GHEE_TRY(add_segment(arena, size, &segment, err));
    take(segment, size, out);
  }
  arena->used += size;
  return GHEE_OK;
}

/* Puts a hole back, joined with its neighbours. Room for it was there when the piece was cut, or is made; without memory the piece is
 * lost until the segment is empty. */
static void put_hole(ghee_arena_segment *segment, uint64_t offset, uint64_t size) {
  size_t at = 0;
  while (at < segment->holes.count && segment->holes.items[at].offset < offset) at++;
  ghee_arena_hole *holes = segment->holes.items;
  bool joins_before = at > 0 && holes[at - 1].offset + holes[at - 1].size == offset;
  bool joins_after = at < segment->holes.count && offset + size == holes[at].offset;
  if (joins_before && joins_after) {
    holes[at - 1].size += size + holes[at].size;
    memmove(&holes[at], &holes[at + 1], (--segment->holes.count - at) * sizeof *holes);
  } else if (joins_before) {
    holes[at - 1].size += size;
  } else if (joins_after) {
    holes[at].offset = offset;
    holes[at].size += size;
  } else if (ghee_array_push(&segment->holes, ((ghee_arena_hole){0}))) {
    holes = segment->holes.items;
    memmove(&holes[at + 1], &holes[at], (segment->holes.count - 1 - at) * sizeof *holes);
    holes[at] = (ghee_arena_hole){.offset = offset, .size = size};
  }
}

/* A retired segment goes with its last piece; who has mapped it keeps its pages. */
static void drop_segment(ghee_arena *arena, ghee_arena_segment *segment) {
  for (size_t i = 0; i < arena->segments.count; i++)
    if (arena->segments.items[i] == segment) arena->segments.items[i] = arena->segments.items[--arena->segments.count];
  segment_free(segment);
}

void ghee_arena_free(ghee_arena *arena, const ghee_arena_piece *piece) {
  ghee_arena_segment *segment = piece->segment;
  segment->used -= piece->size;
  arena->used -= piece->size;
  put_hole(segment, piece->offset, piece->size);
  if (segment->used > 0) return;
  if (segment->retired) {
    drop_segment(arena, segment);
  } else if (segment->holes.count > 0) {
    segment->holes.count = 1;
    segment->holes.items[0] = (ghee_arena_hole){.size = segment->size};
  }
}

void ghee_arena_retire(ghee_arena *arena, const ghee_arena_piece *piece) {
  piece->segment->retired = true;
  ghee_arena_free(arena, piece);
}
