/* SPDX-License-Identifier: Apache-2.0
 * The process that has loaded a stage's function once and forks its workers on request; and what it and the launcher say to each
 * other over the launcher's socket. See launch.h. */
#ifndef GHEE_LAUNCH_FORK_SERVER_H
#define GHEE_LAUNCH_FORK_SERVER_H

#include <stdbool.h>

#include "process/process.h"

/** First byte of a message. Server: HELLO {text stage, u32 n, n × worker}, STARTED {worker}, ENDED {worker, u32 status}, where worker is
 *  {u32 index, u64 pid, u64 born}. Launcher: START {u32 index}, END {}. */
typedef enum ghee_launch_say {
  GHEE_LAUNCH_SAY_HELLO = 1, GHEE_LAUNCH_SAY_STARTED, GHEE_LAUNCH_SAY_ENDED, GHEE_LAUNCH_SAY_START, GHEE_LAUNCH_SAY_END
} ghee_launch_say;

/** Serves until it is told to end or `client` is gone (its workers are killed first): then *child is false. In each worker that it
 *  forks it returns with *child true and the index: output goes to log_folder/STAGE-INDEX.log, no descriptor of the server is open,
 *  and the worker dies with the server. Thread: the only one of the process.  Blocks: yes. */
ghee_status ghee_fork_server_run(const char *folder, const uint8_t *secret, const char *stage, const ghee_process_id *client,
                                 const char *log_folder, uint32_t *out_worker, bool *child, ghee_error *err);

#endif
