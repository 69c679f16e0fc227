/* SPDX-License-Identifier: Apache-2.0
 * Reading the parts of a plan, whatever its input is: files through a format, or offsets of a record log. Rows that the filter does not let
 * through, and columns that only it needs, are gone. */
#ifndef GHEE_PLAN_INPUT_H
#define GHEE_PLAN_INPUT_H

#include "plan/plan.h"

/** Owner: one thread; so are the parts that are read from it. */
typedef struct ghee_input ghee_input;
typedef struct ghee_part_reader ghee_part_reader;

/** Borrows spec and plan. `batch_rows`: of a batch, at most. Blocks: may. out gives: ghee_input_close, after its readers. */
ghee_status ghee_input_open(const ghee_job_spec *spec, const ghee_plan *plan, int64_t batch_rows, ghee_input **out, ghee_error *err);
void ghee_input_close(ghee_input *input);

/** Several parts may be open at once. Blocks: yes. */
ghee_status ghee_input_read(ghee_input *input, const ghee_plan_part *part, ghee_part_reader **out, ghee_error *err);
void ghee_part_reader_close(ghee_part_reader *reader);
/** The next batch, cut at the same rows each time a part is read; it may have no rows, but with a filter has some. `row`: number of its first row in its file (offset in
 *  its partition), UINT64_MAX unknown. Rows that cannot be read: with `rejects` lines of JSON there, else a failure. GHEE_CLOSED at the end. */
ghee_status ghee_part_reader_next(ghee_part_reader *reader, ghee_batch *out, uint64_t *row, ghee_buffer *rejects, ghee_error *err);
/** Bytes of rows that have passed the filter and wait for more. */
uint64_t ghee_part_reader_kept(const ghee_part_reader *reader);

#endif
