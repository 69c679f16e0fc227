/* SPDX-License-Identifier: Apache-2.0
 * The batches of one open chunk: in memory while the budget has room, then in a file without a name. */
#ifndef GHEE_RUNTIME_SPOOL_H
#define GHEE_RUNTIME_SPOOL_H

#include "base/budget.h"
#include "batch/batch.h"

/** Zero-initialised is empty. Owner: one thread at a time. */
typedef struct ghee_spool {
  struct { ghee_batch *items; size_t count, capacity; } batches; /* the first ones */
  ghee_schema *schema;
  struct { uint64_t *items; size_t count, capacity; } frames;    /* sizes of those in the file, behind the first */
  int fd;                                                        /* valid when frames.count > 0 */
  uint64_t reserved_bytes, rows, at;
} ghee_spool;

/** Copies the rows of `batch`: into memory if `budget` has room at once, else into an unlinked file in `folder`. */
ghee_status ghee_spool_push(ghee_spool *spool, const ghee_batch *batch, ghee_budget *budget, const char *folder, ghee_error *err);
/** Takes the batches out in their order. GHEE_CLOSED: that was all. */
ghee_status ghee_spool_pop(ghee_spool *spool, ghee_batch *out, ghee_error *err);
/** Frees what is left and gives the budget back. */
void ghee_spool_fini(ghee_spool *spool, ghee_budget *budget);

#endif
