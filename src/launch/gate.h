/* SPDX-License-Identifier: Apache-2.0
 * A process that was started waits at a gate until it stands in the launcher's list: a launcher that dies in between leaves nobody
 * behind whom its successor does not know. The gate is the end of a pipe, its number in the environment. */
#ifndef GHEE_LAUNCH_GATE_H
#define GHEE_LAUNCH_GATE_H

#include "base/status.h"

#define GHEE_LAUNCH_GATE "GHEE_LAUNCH_GATE"

/** The launcher's side of one start. Zero is not valid: init first. */
typedef struct ghee_launch_gate {
  int child_fd, own_fd;
  char env[32]; /* "GHEE_LAUNCH_GATE=7" for the child, which keeps child_fd */
} ghee_launch_gate;

ghee_status ghee_launch_gate_init(ghee_launch_gate *gate, ghee_error *err);
void ghee_launch_gate_open(ghee_launch_gate *gate);
/** A gate that was not opened ends who waits there. */
void ghee_launch_gate_fini(ghee_launch_gate *gate);

/** The worker's side: returns once the gate is open, or at once where there is none; ends the process if it never will be.
 *  Thread: the only one.  Blocks: briefly. */
void ghee_launch_pass_gate(void);

#endif
