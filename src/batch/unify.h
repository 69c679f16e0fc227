/* SPDX-License-Identifier: Apache-2.0
 * One dictionary out of those of several pieces: equal entries become one. Internal to the batch layer. */
#ifndef GHEE_BATCH_UNIFY_H
#define GHEE_BATCH_UNIFY_H

#include "batch/assemble.h"

typedef struct ghee_unified {
  uint32_t **index_of; /* for each piece: index in its dictionary → index in the one; NULL: as it is */
  ghee_piece *entries; /* the one dictionary, in pieces */
  size_t n, n_entries;
  int64_t count; /* of entries */
} ghee_unified;

/** out gives: ghee_unified_fini. Borrows from the pieces. */
ghee_status ghee_unify(const ghee_piece *pieces, size_t n, ghee_unified *out, ghee_error *err);
void ghee_unified_fini(ghee_unified *unified);

#endif
