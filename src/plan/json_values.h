/* SPDX-License-Identifier: Apache-2.0
 * Values of records that are JSON, each one object and one row: collected as lines of a text, which the jsonl format decodes.
 *
 * Design notes
 * - Row i must be value i. So each value is first seen to be one whole object by its brackets (no two can be read as one, nor one as two), and one
 *   without content, or that is no object, becomes "{}". */
#ifndef GHEE_PLAN_JSON_VALUES_H
#define GHEE_PLAN_JSON_VALUES_H

#include "base/array.h"
#include "base/buffer.h"
#include "batch/batch.h"

/** Zero-initialised is empty, but for `where`. Owner: one thread. */
typedef struct ghee_json_values {
  const char *where;               /* for messages; borrowed */
  const char *const *columns;      /* the wanted ones, borrowed; NULL: all */
  size_t n_columns;
  ghee_schema *schema;             /* of the rows, a reference; NULL: that of the first that are decoded */
  ghee_buffer lines;
  GHEE_ARRAY(size_t) ends;         /* of each line */
} ghee_json_values;

/** Adds a value, NULL for a record without one. *reason: why it is no object, NULL if it may be one; a constant text. GHEE_NO_MEMORY. */
ghee_status ghee_json_values_add(ghee_json_values *values, const void *data, size_t size_bytes, const char **reason, ghee_error *err);
/** Value i as a line without its end; not what it was where there was a reason. */
const char *ghee_json_values_text(const ghee_json_values *values, size_t i, size_t *size_bytes);
/** Value i alone is a row of the columns. Else the reason is in `err`. */
ghee_status ghee_json_values_try(const ghee_json_values *values, size_t i, ghee_error *err);
/** The values with the numbers `which` (rising), NULL: all, as a batch of `n` rows. GHEE_CORRUPT: they are not all rows of the columns; no schema
 *  is known, as n is 0. */
ghee_status ghee_json_values_decode(ghee_json_values *values, const uint32_t *which, size_t n, ghee_batch *out, ghee_error *err);
void ghee_json_values_clear(ghee_json_values *values);
void ghee_json_values_fini(ghee_json_values *values);

#endif
