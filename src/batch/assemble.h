/* SPDX-License-Identifier: Apache-2.0
 * Arrays of their own memory, filled from rows of others: what concat, take, gather, cast and zeros are made of. */
#ifndef GHEE_BATCH_ASSEMBLE_H
#define GHEE_BATCH_ASSEMBLE_H

#include "batch/column.h"

/** Rows [first, first + n) of columns[column] of a selection. */
typedef struct ghee_run { int64_t first, n; uint32_t column; } ghee_run;

/** Rows of columns of one field, run behind run: the one description of what a new column is made of. Borrows. */
typedef struct ghee_selection {
  const ghee_column *columns; /* at least one */
  size_t n_columns;
  const ghee_run *runs;
  size_t n_runs;
} ghee_selection;

/** Where buffers go instead of the heap: memory of the caller's, 64-byte aligned, used up from its beginning. */
typedef struct ghee_room { uint8_t *at, *end; } ghee_room;

/** One array of the selection's rows; dictionaries that differ become one of the entries that occur. `room` borrows, NULL: the heap; the array then
 *  owns nothing there. `out` gives. GHEE_LIMIT: texts or items pass what the offsets can say. */
ghee_status ghee_assemble(const struct ArrowSchema *field, const ghee_selection *of, ghee_room *room, struct ArrowArray *out, ghee_error *err);
/** Adds to *sum the bytes of room that ghee_assemble uses at most. */
ghee_status ghee_assemble_bytes(const struct ArrowSchema *field, const ghee_selection *of, uint64_t *sum, ghee_error *err);

/** An empty array that owns `n_buffers` buffers and `n_children` children, all NULL; release frees what is there. */
ghee_status ghee_array_own(int64_t length, int64_t n_buffers, int64_t n_children, struct ArrowArray *out, ghee_error *err);
/** Memory for buffer i of an array that ghee_array_own made; NULL without memory. */
void *ghee_array_buffer(struct ArrowArray *array, int i, int64_t size_bytes);
/** `rows` zeros, empty texts, empty lists. */
ghee_status ghee_array_zeros(const struct ArrowSchema *field, int64_t rows, struct ArrowArray *out, ghee_error *err);
/** The struct array over `schema` with owned children to be filled. */
ghee_status ghee_batch_own(ghee_schema *schema, int64_t rows, ghee_batch *out, ghee_error *err);

#endif
