/* SPDX-License-Identifier: Apache-2.0
 * An output that is a topic: each whole chunk is one transaction of its sink, in which stands as well which chunk it was.
 *
 * Design notes
 * - A sink has a transactional id of its own, of the job's name and the sink's number. Before a sink is started the coordinator takes that id
 *   over for a moment: whatever an earlier life had not committed is undone then and for good, and the mark of the group, which is
 *   written in the same transaction, tells the last chunk that it had.
 * - A sink commits its next chunk only when the ledger has the one before, so no more than the last can be in question. */
#ifndef GHEE_JOB_OUTPUT_LOG_H
#define GHEE_JOB_OUTPUT_LOG_H

#include "batch/batch.h"
#include "plan/spec.h"

typedef struct ghee_output_log ghee_output_log;

/** The last chunk that a sink has committed. */
typedef struct ghee_output_mark { uint32_t epoch, chunk; uint64_t rows, rejected; } ghee_output_mark;

/** `run`: id of this run. Takes the sink's transactional id over. Blocks: yes. Owner: one thread. */
ghee_status ghee_output_log_open(const ghee_job_spec *spec, const char *run, uint32_t sink, ghee_output_log **out, ghee_error *err);
/** Without a commit before, what was written is undone. */
void ghee_output_log_close(ghee_output_log *output);
/** As ghee_topic_rows_append. */
ghee_status ghee_output_log_write(ghee_output_log *output, ghee_batch *batch, ghee_error *err);
/** Each line becomes a record of the topic for dead letters, in the same transaction. */
ghee_status ghee_output_log_reject(ghee_output_log *output, const ghee_buffer *lines, ghee_error *err);
ghee_status ghee_output_log_commit(ghee_output_log *output, const ghee_output_mark *mark, ghee_error *err);
/** What the sink has committed last in this run. GHEE_NOT_FOUND: nothing. Blocks: yes. */
ghee_status ghee_output_log_last(ghee_output_log *output, ghee_output_mark *out, ghee_error *err);
/** The topics of the output and of its dead letters are there. */
ghee_status ghee_output_log_check(const ghee_job_spec *spec, ghee_error *err);

#endif
