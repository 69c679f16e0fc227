/* SPDX-License-Identifier: Apache-2.0
 * ArrowSchema structs that ghee owns: made piece by piece, released by their own release. Internal to the batch layer. */
#ifndef GHEE_BATCH_SCHEMA_COPY_H
#define GHEE_BATCH_SCHEMA_COPY_H

#include "batch/schema.h"

/** A field of its own copies of format, name (NULL: "") and metadata (`metadata_bytes` 0: none), and of room for children (each
 *  released until filled). GHEE_NO_MEMORY leaves `out` untouched. */
ghee_status ghee_arrow_schema_init(const char *format, const char *name, const char *metadata, size_t metadata_bytes, int64_t flags,
                                   int64_t n_children, bool dictionary, struct ArrowSchema *out, ghee_error *err);

#endif
