/* SPDX-License-Identifier: Apache-2.0
 * Rows of batches as records of a topic: what the description says of values, keys, partitions and headers. */
#ifndef GHEE_JOB_TOPIC_ROWS_H
#define GHEE_JOB_TOPIC_ROWS_H

#include "batch/batch.h"
#include "plan/spec.h"

/** Owner: one thread. */
typedef struct ghee_topic_rows ghee_topic_rows;

/** Borrows all. out gives: ghee_topic_rows_free. */
ghee_status ghee_topic_rows_new(const ghee_job_spec *spec, const ghee_record_log *log, ghee_log_writer *writer, ghee_topic_rows **out, ghee_error *err);
void ghee_topic_rows_free(ghee_topic_rows *rows);
/** json: each row a record; the columns `partition` and `headers` are not in its value. ipc: as few records as their size allows.
 *  GHEE_SCHEMA: a named column is not there, or cannot be what it is named for; GHEE_USER: a number that is no partition; GHEE_LIMIT: a row is
 *  larger than a record may be. Blocks: yes. */
ghee_status ghee_topic_rows_append(ghee_topic_rows *rows, ghee_batch *batch, ghee_error *err);
/** Each line becomes a record of `topic`. Blocks: yes. */
ghee_status ghee_topic_rows_append_lines(ghee_topic_rows *rows, const char *topic, const ghee_buffer *lines, ghee_error *err);

#endif
