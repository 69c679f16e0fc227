/* SPDX-License-Identifier: Apache-2.0
 * Inside plan/: what of an input the filter can pass nothing of, by what is known without reading it: the keys of folders, the statistics of
 * parts. */
#ifndef GHEE_PLAN_JUDGE_H
#define GHEE_PLAN_JUDGE_H

#include "filter/predicate.h"
#include "format/format.h"
#include "plan/folders.h"

/** Of one file. Fill in the first four, which are borrowed; the rest zero. Owner: one thread. */
typedef struct ghee_judge {
  const ghee_filter *filter;     /* NULL: everything passes */
  const ghee_folder_keys *keys;
  const ghee_folder_values *values;
  const struct ghee_format_ops *format;
  ghee_predicate *predicate;     /* NULL: nothing is known of its parts */
  ghee_batch bounds;             /* of the parts, as ghee_predicate_may_pass wants them */
} ghee_judge;

/** Whether the keys let any row of the file pass. `schema`: all columns of its input, those of the keys included. */
ghee_status ghee_judge_file(const ghee_judge *of, ghee_schema *schema, bool *may_pass, ghee_error *err);
/** Takes what the format knows of the parts of the open file. `schema`: what is read of it, the keys included. */
ghee_status ghee_judge_open(ghee_judge *of, ghee_file *file, ghee_schema *schema, ghee_error *err);
bool ghee_judge_part(const ghee_judge *of, const ghee_part *part);
void ghee_judge_fini(ghee_judge *of);

#endif
