/* SPDX-License-Identifier: Apache-2.0
 * The tree of fields behind a schema with its format strings parsed once, so that walking a batch parses nothing.
 * Internal to the batch layer. */
#ifndef GHEE_BATCH_FIELD_H
#define GHEE_BATCH_FIELD_H

#include "batch/schema.h"

typedef struct ghee_field ghee_field;
struct ghee_field {
  ghee_type type; /* of the indices where there is a dictionary */
  const struct ArrowSchema *arrow;
  const ghee_field *children; /* n_children, next to each other */
  int64_t n_children;
  const ghee_field *dictionary; /* NULL if none */
  size_t nodes, buffers;        /* of this field and all below it */
};

/** Checks every field below `arrow` and builds the tree; out gives: ghee_free. Its first item is `arrow` itself. */
ghee_status ghee_field_tree(const struct ArrowSchema *arrow, ghee_field **out, ghee_error *err);
/** Same types (names of struct fields and metadata that makes a type count; nullability does not). */
bool ghee_field_equal(const ghee_field *a, const ghee_field *b);
/** "column \"name\"", or "a field" for one without a name. */
const char *ghee_field_name(const ghee_field *field);

/** The field "+s" whose children are the columns. */
const ghee_field *ghee_schema_root(const ghee_schema *schema);

static inline bool ghee_kind_is_text(ghee_kind kind) { return kind >= GHEE_BINARY && kind <= GHEE_LARGE_STRING; }
static inline bool ghee_kind_is_list(ghee_kind kind) { return kind == GHEE_LIST || kind == GHEE_LARGE_LIST || kind == GHEE_MAP; }
static inline bool ghee_kind_has_offsets(ghee_kind kind) { return ghee_kind_is_text(kind) || ghee_kind_is_list(kind); }
/** Bytes of one offset. */
static inline int ghee_kind_offset_bytes(ghee_kind kind) {
  return kind == GHEE_LARGE_BINARY || kind == GHEE_LARGE_STRING || kind == GHEE_LARGE_LIST ? 8 : 4;
}
static inline bool ghee_kind_is_int(ghee_kind kind) { return kind >= GHEE_INT8 && kind <= GHEE_UINT64; }
static inline bool ghee_kind_is_signed(ghee_kind kind) { return kind >= GHEE_INT8 && kind <= GHEE_INT64; }

#endif
