/* SPDX-License-Identifier: Apache-2.0
 * Answers about jobs as text: what the public calls of ghee/job.h that give text share. */
#ifndef GHEE_CLIENT_REPORT_H
#define GHEE_CLIENT_REPORT_H

#include "ghee/job.h"
#include "text/json.h"

/** The fields of a progress report inside a map that is begun. */
void ghee_report_progress(ghee_json *json, const ghee_job_progress *progress);
/** `text` as a string of its own if `status` is GHEE_OK; the buffer is given up. Returns `status`, or GHEE_NO_MEMORY. */
ghee_status ghee_report_give(ghee_buffer *text, ghee_status status, char **out, ghee_error *err);

#endif
