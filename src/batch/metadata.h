/* SPDX-License-Identifier: Apache-2.0
 * Metadata of a field as the Arrow C data interface lays it out: i32 pairs, then for each pair i32 size and bytes of the
 * key, i32 size and bytes of the value. */
#ifndef GHEE_BATCH_METADATA_H
#define GHEE_BATCH_METADATA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

/** Dimensions of a tensor column, "3,4". */
#define GHEE_SHAPE_KEY "ghee.shape"

/** Bytes that `metadata` takes, 0 for NULL. `limit_bytes` may be read; -1 if it is malformed or would pass them. */
int64_t ghee_metadata_size(const char *metadata, size_t limit_bytes);
/** The value of `key`, not terminated; NULL if there is none. `metadata` is well-formed. */
const char *ghee_metadata_find(const char *metadata, const char *key, size_t *size_bytes);
/** Metadata of one pair, appended. */
void ghee_metadata_put(ghee_buffer *buffer, const char *key, const char *value);

#endif
