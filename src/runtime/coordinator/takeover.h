/* SPDX-License-Identifier: Apache-2.0
 * A thread of the coordinator that takes over what a dead sink has left open in its topic, and asks what it had committed. The brokers may
 * take long to answer, or not answer at all. */
#ifndef GHEE_COORDINATOR_TAKEOVER_H
#define GHEE_COORDINATOR_TAKEOVER_H

#include "runtime/job/output_log.h"

typedef struct ghee_takeover ghee_takeover;

/** Of the job in `folder`; `run` is the id of its run. Owner of all calls: one thread. */
ghee_status ghee_takeover_start(const char *folder, const char *run, uint32_t sink, ghee_takeover **out, ghee_error *err);
/** Readable when it is over. */
int ghee_takeover_fd(const ghee_takeover *takeover);
/** GHEE_AGAIN: not over yet. Any other frees it: GHEE_OK, the last chunk; GHEE_NOT_FOUND, none in this run; a failure. Blocks: no. */
ghee_status ghee_takeover_result(ghee_takeover *takeover, ghee_output_mark *out, ghee_error *err);
/** Nobody wants to know any more; a thread that still waits for the brokers frees it, or ends with the process. Blocks: no. */
void ghee_takeover_stop(ghee_takeover *takeover);

#endif
