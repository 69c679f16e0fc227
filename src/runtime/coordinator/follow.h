/* SPDX-License-Identifier: Apache-2.0
 * A thread of the coordinator that asks a topic for its ends, again and again, and stores for others how far the job is. */
#ifndef GHEE_COORDINATOR_FOLLOW_H
#define GHEE_COORDINATOR_FOLLOW_H

#include "plan/plan.h"

typedef struct ghee_follow ghee_follow;

/** Borrows spec, for as long as the process lives. `group`: under whose name the topic keeps what was said by ghee_follow_done. */
ghee_status ghee_follow_start(const ghee_job_spec *spec, const char *group, ghee_follow **out, ghee_error *err);
/** Readable when there is something new. */
int ghee_follow_fd(const ghee_follow *follow);
/** The newest ends. GHEE_AGAIN: none yet. Any other: the topic cannot be followed any more. `out` is replaced. Blocks: no. */
ghee_status ghee_follow_ends(ghee_follow *follow, ghee_log_ranges *out, ghee_error *err);
/** Everything before `first` of these is in the output: told to the topic soon, for others to look at; a failure is only logged. */
ghee_status ghee_follow_done(ghee_follow *follow, const ghee_log_ranges *positions, ghee_error *err);
/** Waits for the thread only a moment: it may hang on a broker that is gone, and then ends with the process. */
void ghee_follow_stop(ghee_follow *follow);

#endif
