/* SPDX-License-Identifier: Apache-2.0
 * Values of records that are Arrow IPC, streams or files, each of any number of rows: decoded as they come, taken out as one batch. */
#ifndef GHEE_PLAN_IPC_VALUES_H
#define GHEE_PLAN_IPC_VALUES_H

#include "base/array.h"
#include "batch/batch.h"

/** Zero-initialised is empty. Owner: one thread. */
typedef struct ghee_ipc_values {
  const char *const *columns;      /* the wanted ones, borrowed; NULL: all */
  size_t n_columns;
  ghee_schema *schema;             /* of the rows, a reference; NULL: that of the first value that can be read */
  GHEE_ARRAY(ghee_batch) batches;
  GHEE_ARRAY(uint32_t) record_of;  /* by row: the `record` that it came with */
} ghee_ipc_values;

/** Adds the rows of a value, cast to the schema. GHEE_NO_MEMORY; any other failure says in `err` why it cannot be read, and none of its rows is
 *  there. */
ghee_status ghee_ipc_values_add(ghee_ipc_values *values, const void *data, size_t size_bytes, uint32_t record, ghee_error *err);
/** All rows so far as one batch; `values` keeps only its schema and record_of, which the caller clears. GHEE_CORRUPT: no schema is known, as none could be read. */
ghee_status ghee_ipc_values_take(ghee_ipc_values *values, ghee_batch *out, ghee_error *err);
void ghee_ipc_values_clear(ghee_ipc_values *values);
void ghee_ipc_values_fini(ghee_ipc_values *values);

#endif
