/* SPDX-License-Identifier: Apache-2.0
 * A batch as one flat block of bytes for the wire and for shared memory: header, nodes, buffers aligned to 64 bytes.
 * The schema travels apart (once a stream). The layout is fixed, little-endian, and documented in docs/frame.md.
 *
 *   u32 magic, u32 version, u64 rows, u32 nodes, u32 buffers, u64 body offset, u64 total size
 *   nodes   { i64 length, i64 null_count }  depth-first, dictionaries behind their indices
 *   buffers { u64 offset from the frame's start, u64 size }   0 size = absent
 *   body */
#ifndef GHEE_BATCH_FRAME_H
#define GHEE_BATCH_FRAME_H

#include "batch/batch.h"

/** Bytes that ghee_frame_write will use. Slices are written without the rows around them. */
ghee_status ghee_frame_size(const ghee_batch *batch, uint64_t *out_bytes, ghee_error *err);
/** Writes into `into`, 64-byte aligned, of at least ghee_frame_size bytes. No allocation a row or a column. */
ghee_status ghee_frame_write(const ghee_batch *batch, void *into, uint64_t size_bytes, ghee_error *err);

/** A batch whose buffers lie in `data`, which lives until `release(user)` (called once, from the thread that drops the last
 *  reference; also on failure). Everything is checked as in ghee_batch_new: bytes from a peer can do no harm. GHEE_CORRUPT. */
ghee_status ghee_frame_read(ghee_schema *schema, const void *data, uint64_t size_bytes, bool trusted,
                            void (*release)(void *user), void *user, ghee_batch *out, ghee_error *err);

/** Buffer sizes of a frame whose tables were read, against the lengths that it claims. Used by ghee_frame_read. */
ghee_status ghee_frame_check(const struct ArrowSchema *schema, const struct ArrowArray *top, const void *frame, ghee_error *err);

#endif
