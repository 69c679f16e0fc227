/* SPDX-License-Identifier: Apache-2.0
 * What the public calls of ghee/job.h share: reading descriptions, driving a coordinator, a result. */
#ifndef GHEE_CLIENT_CLIENT_H
#define GHEE_CLIENT_CLIENT_H

#include "ghee/job.h"
#include "plan/plan.h"
#include "runtime/job/folder.h"

ghee_status ghee_client_spec(const ghee_job_source *source, ghee_job_spec **out, ghee_error *err);

/* ---- output.c ---- */
/** Before anything is made: can the job write to its output, and its dead letters, beside what lies there? GHEE_EXISTS: something lies there and
 *  the job would not add to it, or it is no output of ghee; GHEE_INVALID: what the job adds could not be read together with it. */
ghee_status ghee_client_check_output(const ghee_job_spec *spec, ghee_error *err);

/* ---- drive.c ---- */
/** Runs the coordinator over a prepared folder until the job has an outcome. The lock is held by the caller. `hosted`: the caller is
 *  the workers of the Python stages. */
ghee_status ghee_client_drive(const char *folder, bool hosted, uint64_t started_ns, const ghee_job_hooks *hooks, ghee_job_progress *last, ghee_error *err);
/** The last report of a job, which its client keeps in its folder. False: none yet. */
bool ghee_client_read_progress(const char *folder, ghee_job_progress *out);

/** Removes what a job staged beside its outputs. */
ghee_status ghee_client_remove_staging(const char *folder, ghee_error *err);

#endif
