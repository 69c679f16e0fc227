/* SPDX-License-Identifier: Apache-2.0
 * One dictionary out of those of several columns: equal entries become one, those that no row names are left out. Internal to the
 * batch layer. */
#ifndef GHEE_BATCH_UNIFY_H
#define GHEE_BATCH_UNIFY_H

#include "batch/assemble.h"

typedef struct ghee_unified {
  uint32_t **index_of;    /* for each column: index in its dictionary → 1 + index in the one, 0 where no row names it; NULL: as it is */
  size_t n_columns;
  ghee_column *columns;   /* their dictionaries */
  ghee_run *runs;         /* the entries of the one */
  size_t n_runs;
  int64_t count;          /* of entries */
} ghee_unified;

/** out gives: ghee_unified_fini. Borrows from the selection. */
ghee_status ghee_unify(const ghee_selection *of, ghee_unified *out, ghee_error *err);
void ghee_unified_fini(ghee_unified *unified);
static inline ghee_selection ghee_unified_entries(const ghee_unified *of) { return (ghee_selection){of->columns, of->n_columns, of->runs, of->n_runs}; }

#endif
