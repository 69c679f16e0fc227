/* SPDX-License-Identifier: Apache-2.0
 * Rows of several batches in any order, told but not copied yet: as a batch they are copied once, as a frame they are written straight into
 * the memory that another process reads. */
#ifndef GHEE_BATCH_GATHER_H
#define GHEE_BATCH_GATHER_H

#include "batch/assemble.h"

/** Zero-initialised is empty. Borrows the batches, which stay as they are until ghee_gather_fini. Owner: one thread. */
typedef struct ghee_gather {
  const ghee_batch *batches; /* of equal schemas, at least one */
  size_t n_batches;
  ghee_run *runs;            /* of columns: of batches */
  size_t n_runs;
  int64_t rows;
} ghee_gather;

/** `rows` counts through all batches: the first row of the second has the number of rows of the first. Indices in range are the caller's duty, and 2³² rows are
 *  the most. out gives: ghee_gather_fini. */
ghee_status ghee_gather_init(ghee_gather *out, const ghee_batch *batches, size_t n_batches, const uint32_t *rows, size_t n, ghee_error *err);
/** All rows, batch behind batch. */
ghee_status ghee_gather_init_all(ghee_gather *out, const ghee_batch *batches, size_t n_batches, ghee_error *err);
void ghee_gather_fini(ghee_gather *gather);

/** The rows copied into a batch of their own; dictionaries that differ become one. GHEE_LIMIT: texts or items pass what their offsets can say. */
ghee_status ghee_gather_copy(const ghee_gather *gather, ghee_batch *out, ghee_error *err);

/** Bytes that ghee_gather_write uses at most. */
ghee_status ghee_gather_frame_size(const ghee_gather *gather, uint64_t *out_bytes, ghee_error *err);
/** The rows as a frame (batch/frame.h) in `into`, 64-byte aligned, of at least ghee_gather_frame_size bytes; *used is what it takes. */
ghee_status ghee_gather_write(const ghee_gather *gather, void *into, uint64_t size_bytes, uint64_t *used, ghee_error *err);

#endif
