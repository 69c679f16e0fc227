/* SPDX-License-Identifier: Apache-2.0
 * Building Arrow columns from plain memory, for bindings and native user functions that link the library. */
#ifndef GHEE_BATCH_H
#define GHEE_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "ghee/arrow.h"
#include "ghee/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A deep copy that owns all it needs. out gives: its release. */
GHEE_API ghee_status ghee_schema_copy_arrow(const struct ArrowSchema *schema, struct ArrowSchema *out, ghee_error *err);

/** A batch in the making: columns of equal length are added, then it is finished. Owner: one thread. */
typedef struct ghee_builder ghee_builder;

/** out gives: ghee_builder_free (also after finish). */
GHEE_API ghee_status ghee_builder_new(ghee_builder **out, ghee_error *err);
GHEE_API void ghee_builder_free(ghee_builder *builder);

/** A column of fixed-width values whose memory is not copied: `data` holds rows × width of `format` and lives until
 *  `release(owner)`, called once, also on failure. `validity` is an Arrow bitmap that lives as long, or NULL; then null_count is 0.
 *  `shape` of n_shape > 0 dimensions makes each row a tensor of that shape (a fixed-size list of shape[0]×…×shape[n-1]
 *  values of `format`; the shape itself travels as field metadata "ghee.shape", e.g. "3,4"; null rows are not possible then). */
GHEE_API ghee_status ghee_builder_add_fixed(ghee_builder *builder, const char *name, const char *format, int64_t rows,
                                            const void *data, const void *validity, int64_t null_count,
                                            const int64_t *shape, int n_shape, void (*release)(void *owner), void *owner,
                                            ghee_error *err);
/** Booleans of one byte each, packed to bits. `valid` one byte a row, or NULL. Copies. */
GHEE_API ghee_status ghee_builder_add_bool(ghee_builder *builder, const char *name, int64_t rows, const uint8_t *values,
                                           const uint8_t *valid, ghee_error *err);
/** Strings ("u", or "U" once they pass 2 GiB) or binary ("z", "Z"), appended value by value between begin and end. */
GHEE_API ghee_status ghee_builder_begin_text(ghee_builder *builder, const char *name, int is_binary, ghee_error *err);
GHEE_API ghee_status ghee_builder_append_text(ghee_builder *builder, const void *data, size_t size_bytes, ghee_error *err);
GHEE_API ghee_status ghee_builder_append_null(ghee_builder *builder, ghee_error *err);
GHEE_API ghee_status ghee_builder_end_text(ghee_builder *builder, ghee_error *err);
/** A column of lists: row i has the items from offsets[i] to offsets[i + 1] (rows + 1 offsets, copied). Takes both items, also on failure. */
GHEE_API ghee_status ghee_builder_add_list(ghee_builder *builder, const char *name, int64_t rows, const int32_t *offsets,
                                           struct ArrowSchema *item_schema, struct ArrowArray *items, ghee_error *err);
/** Any Arrow column (from a capsule). Takes both, also on failure. */
GHEE_API ghee_status ghee_builder_add_arrow(ghee_builder *builder, const char *name, struct ArrowSchema *schema,
                                            struct ArrowArray *array, ghee_error *err);
/** A copy of a byte-per-row validity as an Arrow bitmap (64-byte aligned, caller frees with ghee_builder_bitmap_free);
 *  out_null_count counts the zeros. */
GHEE_API ghee_status ghee_builder_bitmap(const uint8_t *valid, int64_t rows, void **out, int64_t *out_null_count, ghee_error *err);
GHEE_API void ghee_builder_bitmap_free(void *bitmap);

/** The struct array and its schema. Columns of unequal length: GHEE_USER names both. The builder is empty afterwards. */
GHEE_API ghee_status ghee_builder_finish(ghee_builder *builder, struct ArrowSchema *out_schema, struct ArrowArray *out_array,
                                         ghee_error *err);

#ifdef __cplusplus
}
#endif
#endif
