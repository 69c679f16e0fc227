/* SPDX-License-Identifier: Apache-2.0
 * The batches of one open chunk: in memory while the budget has room, then in a file without a name. */
#ifndef GHEE_WORKER_SPOOL_H
#define GHEE_WORKER_SPOOL_H

#include "base/budget.h"
#include "batch/batch.h"

/** A file without a name that spools write to, one behind the other. Zero-initialised is none yet. Owner: that of its spools. */
typedef struct ghee_spill { int fd; bool open; uint64_t size_bytes; } ghee_spill;
void ghee_spill_fini(ghee_spill *spill);

/** Zero-initialised is empty. Owner: one thread at a time. */
typedef struct ghee_spool {
  struct { ghee_batch *items; size_t count, capacity; } batches; /* the first ones */
  ghee_schema *schema;
  struct { struct ghee_spool_frame { uint64_t offset, size_bytes; } *items; size_t count, capacity; } frames; /* in the file, behind the first */
  ghee_spill *shared;                                            /* set by the owner before the first batch: the file, NULL: one of its own */
  ghee_spill own;
  uint64_t reserved_bytes, rows, at;
} ghee_spool;

/** Copies the rows of `batch`: into memory if `budget` has room at once, else into an unlinked file in `folder`. */
ghee_status ghee_spool_push(ghee_spool *spool, const ghee_batch *batch, ghee_budget *budget, const char *folder, ghee_error *err);
/** Takes the batches out in their order. GHEE_CLOSED: that was all. */
ghee_status ghee_spool_pop(ghee_spool *spool, ghee_batch *out, ghee_error *err);
/** Frees what is left and gives the budget back; a shared file stays. */
void ghee_spool_fini(ghee_spool *spool, ghee_budget *budget);

#endif
