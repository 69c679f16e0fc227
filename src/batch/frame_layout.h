/* SPDX-License-Identifier: Apache-2.0
 * The bytes of a frame; see frame.h and docs/frame.md. */
#ifndef GHEE_BATCH_FRAME_LAYOUT_H
#define GHEE_BATCH_FRAME_LAYOUT_H

#include <stdint.h>

#include "batch/batch.h"

enum { GHEE_FRAME_MAGIC = 0x46454847, GHEE_FRAME_VERSION = 1, GHEE_FRAME_ALIGN = 64 };

typedef struct ghee_frame_header {
  uint32_t magic, version;
  uint64_t rows;
  uint32_t nodes, buffers;
  uint64_t body_offset, total_size;
} ghee_frame_header;
typedef struct ghee_frame_node { int64_t length, null_count; } ghee_frame_node;
typedef struct ghee_frame_buffer { uint64_t offset, size; } ghee_frame_buffer;

static inline uint64_t ghee_frame_align(uint64_t n) { return (n + GHEE_FRAME_ALIGN - 1) & ~(uint64_t)(GHEE_FRAME_ALIGN - 1); }

/** Bytes before the body: header, nodes, buffers. */
uint64_t ghee_frame_head_bytes(const ghee_schema *schema);
/** The head of a frame whose body is written: every buffer of `placed` lies in the `size_bytes` from `into` on, where its head says. */
void ghee_frame_write_head(const ghee_batch *placed, void *into, uint64_t size_bytes);

#endif
