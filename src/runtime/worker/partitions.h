/* SPDX-License-Identifier: Apache-2.0
 * Rows by the values of some columns: those of each partition are kept together, without these columns, until they are taken out.
 *
 * Design notes
 * - The rows of a chunk may go to every partition. A file for each, open at once, would need a writer's memory and a connection for each; so rows are
 *   collected first (in memory, beyond the budget in one unlinked file) and written partition by partition, with one file open.
 * - How many bytes a collection may have decides how large the files become; who owns it empties it. */
#ifndef GHEE_WORKER_PARTITIONS_H
#define GHEE_WORKER_PARTITIONS_H

#include "runtime/worker/spool.h"

/** More partitions in one collection are refused: the columns are no good choice. */
enum { GHEE_PARTITIONS_MOST = 10000 };

/** Owner: one thread. */
typedef struct ghee_partitions ghee_partitions;

/** Borrows `columns` (none: all rows are of one partition, named ""); `folder` (borrowed) is where rows are put that find no room in `budget_bytes`. out gives: ghee_partitions_free. */
ghee_status ghee_partitions_new(const char *const *columns, size_t n, size_t budget_bytes, const char *folder, ghee_partitions **out, ghee_error *err);
void ghee_partitions_free(ghee_partitions *partitions);

/** Copies the rows to their partitions; `batch` stays as it is (it is made shareable). GHEE_NOT_FOUND, GHEE_SCHEMA: the columns are not there, cannot name folders, or are all there is.
 *  GHEE_LIMIT: too many partitions. GHEE_INVALID: a value is too long for a name. Blocks: may. */
ghee_status ghee_partitions_push(ghee_partitions *partitions, ghee_batch *batch, ghee_error *err);
/** What is in it: partitions, and bytes of their rows. */
size_t ghee_partitions_count(const ghee_partitions *partitions);
uint64_t ghee_partitions_bytes(const ghee_partitions *partitions);

/** Partition i, in the order in which they came: its folder ("country=de/day=2024-02-29"; borrowed). */
const char *ghee_partitions_name(const ghee_partitions *partitions, size_t i);
/** The next rows of partition i in the order in which they came. GHEE_CLOSED: that was all. Blocks: may. */
ghee_status ghee_partitions_pop(ghee_partitions *partitions, size_t i, ghee_batch *out, ghee_error *err);
/** Forgets all partitions and rows. */
void ghee_partitions_clear(ghee_partitions *partitions);

#endif
