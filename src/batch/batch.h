/* SPDX-License-Identifier: Apache-2.0
 * A record batch: a schema and one struct array (format "+s", no nulls at the top). Moves; the arrays inside are
 * immutable and may be shared by reference counts behind their release. */
#ifndef GHEE_BATCH_BATCH_H
#define GHEE_BATCH_BATCH_H

#include "batch/schema.h"

/** Zero-initialised is empty. Owner: one thread at a time; release may be called on any thread. */
typedef struct ghee_batch {
  ghee_schema *schema; /* a reference */
  struct ArrowArray array;
} ghee_batch;

/** Takes `array` (set to released, on failure too) and shares `schema`. Checks lengths, children, buffer counts, offsets of
 *  variable-size columns (in range, rising), dictionary indices: nothing read later can lie outside. GHEE_CORRUPT.
 *  `trusted` skips what costs time per row. */
ghee_status ghee_batch_new(ghee_schema *schema, struct ArrowArray *array, bool trusted, ghee_batch *out, ghee_error *err);
void ghee_batch_release(ghee_batch *batch); /* leaves it empty */
void ghee_batch_move(ghee_batch *from, ghee_batch *to);

static inline int64_t ghee_batch_rows(const ghee_batch *batch) { return batch->array.length; }
/** Bytes that its rows occupy (buffers cut to the slice, dictionaries whole). */
uint64_t ghee_batch_bytes(const ghee_batch *batch);

/** A view of rows [offset, offset + rows) that shares the memory of `batch`, which stays as it is (it is made shareable). */
ghee_status ghee_batch_slice(ghee_batch *batch, int64_t offset, int64_t rows, ghee_batch *out, ghee_error *err);
/** One batch of all rows, copied (dictionaries unified or decoded). All have equal schemas; n ≥ 1.
 *  Strings that pass 2 GiB: GHEE_LIMIT. */
ghee_status ghee_batch_concat(const ghee_batch *batches, size_t n, ghee_batch *out, ghee_error *err);
/** Rows by index, copied. Indices in range are the caller's duty. */
ghee_status ghee_batch_take(const ghee_batch *batch, const uint32_t *rows, size_t n, ghee_batch *out, ghee_error *err);
/** Columns by name, sharing memory. */
ghee_status ghee_batch_project(ghee_batch *batch, const char *const *names, size_t n, ghee_batch *out, ghee_error *err);
/** Lossless casts to `schema` (int and float widening, float64 → float32 only where every value survives, utf8 ↔ large utf8,
 *  dictionary → values, any to null-able), columns matched by name. Takes `batch` on success.
 *  GHEE_SCHEMA names the column, both types, and the first row that would change. */
ghee_status ghee_batch_cast(ghee_batch *batch, ghee_schema *schema, ghee_batch *out, ghee_error *err);
/** `rows` rows of zeros, empty texts and empty lists, none null. For padding. */
ghee_status ghee_batch_zeros(ghee_schema *schema, int64_t rows, ghee_batch *out, ghee_error *err);
/** Equal row for row (values and nulls; not layout). For tests. */
bool ghee_batch_equal(const ghee_batch *a, const ghee_batch *b);

/** How many rows from `offset` fit into `size_bytes` (at least 1 while rows are left). */
int64_t ghee_batch_rows_within(const ghee_batch *batch, int64_t offset, uint64_t size_bytes);

#endif
