/* SPDX-License-Identifier: Apache-2.0
 * The ArrowArray structs of a batch in one allocation, with a count of those that are not released: each child may be moved out
 * and released alone. What the arrays point to (a frame, another batch, memory of its own) goes when the last one does.
 * Internal to the batch layer. */
#ifndef GHEE_BATCH_NODES_H
#define GHEE_BATCH_NODES_H

#include "batch/field.h"

typedef struct ghee_nodes ghee_nodes;

/** Room for the arrays of `field`. The caller holds one reference: ghee_nodes_unref. NULL without memory. */
ghee_nodes *ghee_nodes_new(const ghee_field *field);
void ghee_nodes_unref(ghee_nodes *nodes);
/** Makes `array` the array of `field` with its children and dictionary behind it: empty, every buffer NULL. Once for the field
 *  given to new, or once for each of its children. */
void ghee_nodes_shape(ghee_nodes *nodes, const ghee_field *field, struct ArrowArray *array);
/** 64-byte aligned memory that goes with `nodes`; NULL without memory. Only while they are made, by one thread. */
void *ghee_nodes_alloc(ghee_nodes *nodes, int64_t size_bytes);
/** Called when the last array is released. */
void ghee_nodes_on_release(ghee_nodes *nodes, void (*release)(void *user), void *user);
/** Keeps the memory of `base` for as long as `nodes` live. At most once. */
void ghee_nodes_lean_on(ghee_nodes *nodes, ghee_nodes *base);

/** The nodes behind an array that ghee made. A foreign array is first put behind nodes of its own: `array` becomes a view of
 *  them. Borrowed from `array`. NULL without memory, and `array` is as it was. */
ghee_nodes *ghee_nodes_of(const ghee_field *field, struct ArrowArray *array);
/** Points `to` (shaped as `field`) to the memory of `from`, whole. The nodes of `to` lean on those of `from`. */
void ghee_nodes_view(const ghee_field *field, const struct ArrowArray *from, struct ArrowArray *to);
/** Cuts an array to rows [offset, offset + rows). */
void ghee_array_cut(struct ArrowArray *array, int64_t offset, int64_t rows);

#endif
