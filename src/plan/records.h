/* SPDX-License-Identifier: Apache-2.0
 * Records of a log as batches. Columns of `format: bytes`: key, value (binary), headers (list of key and value, as Spark has them), partition
 * (int32), offset (int64), timestamp (milliseconds, UTC). `format: json` and `ipc`: the columns of the values, each an object of JSON (one
 * row) or Arrow IPC (any number of rows), and those of the above that `metadata` asks for, their names behind `metadata_prefix`. */
#ifndef GHEE_PLAN_RECORDS_H
#define GHEE_PLAN_RECORDS_H

#include "batch/batch.h"
#include "plan/spec.h"
#include "storage/record_log.h"

/** Collects records until they are taken out as a batch. Owner: one thread. */
typedef struct ghee_records ghee_records;

/** `schema`: of the plan; NULL while it is being made, then the columns of values are those of the first records that are taken out.
 *  `where` borrows: the log's URI, for messages. out gives: ghee_records_free. */
ghee_status ghee_records_new(const ghee_job_spec *spec, const char *where, ghee_schema *schema, ghee_records **out, ghee_error *err);
void ghee_records_free(ghee_records *records);
/** Copies the record. */
ghee_status ghee_records_add(ghee_records *records, const ghee_record *record, ghee_error *err);
uint64_t ghee_records_count(const ghee_records *records);
/** Rows that they have. */
uint64_t ghee_records_rows(const ghee_records *records);
/** Bytes of the collected records as they lie in the log, roughly. */
uint64_t ghee_records_bytes(const ghee_records *records);
/** The collected records as one batch, the collection is empty afterwards. A value that does not hold rows of the columns: GHEE_CORRUPT names
 *  topic, partition and offset; with `rejects` it is left out and described there, a line of JSON each. `offset`: of the first record. */
ghee_status ghee_records_take(ghee_records *records, ghee_batch *out, int64_t *offset, ghee_buffer *rejects, ghee_error *err);

#endif
