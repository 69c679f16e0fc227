/* SPDX-License-Identifier: Apache-2.0
 * Arrays of their own memory, filled from ranges and rows of others: what concat, take, cast and zeros are made of. */
#ifndef GHEE_BATCH_ASSEMBLE_H
#define GHEE_BATCH_ASSEMBLE_H

#include "batch/column.h"

/** A piece of a source column: `rows` NULL means all of the range, in order. */
typedef struct ghee_piece { ghee_column column; const uint32_t *rows; int64_t n; } ghee_piece;

/** One array of the pieces' rows, one behind the other, dictionaries decoded into values where there are several. All pieces have the
 *  same field. `out` gives. GHEE_LIMIT: texts or items pass what the offsets can say. */
ghee_status ghee_assemble(const struct ArrowSchema *field, const ghee_piece *pieces, size_t n, struct ArrowArray *out, ghee_error *err);
/** An empty array that owns `n_buffers` buffers and `n_children` children, all NULL; release frees what is there. */
ghee_status ghee_array_own(int64_t length, int64_t n_buffers, int64_t n_children, struct ArrowArray *out, ghee_error *err);
/** Memory for buffer i of an array that ghee_array_own made; NULL without memory. */
void *ghee_array_buffer(struct ArrowArray *array, int i, int64_t size_bytes);
/** `rows` zeros, empty texts, empty lists. */
ghee_status ghee_array_zeros(const struct ArrowSchema *field, int64_t rows, struct ArrowArray *out, ghee_error *err);
/** The struct array over `schema` with owned children to be filled. */
ghee_status ghee_batch_own(ghee_schema *schema, int64_t rows, ghee_batch *out, ghee_error *err);

#endif
