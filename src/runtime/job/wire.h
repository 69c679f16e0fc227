/* SPDX-License-Identifier: Apache-2.0
 * What the coordinator and its client say over their socket pair. */
#ifndef GHEE_JOB_WIRE_H
#define GHEE_JOB_WIRE_H

#include "base/buffer.h"
#include "ghee/job.h"

typedef enum ghee_wire_kind {
  GHEE_WIRE_PROGRESS = 1, /* coordinator: a ghee_job_progress as it lies in memory; both are of one build on one machine */
  GHEE_WIRE_LINE,         /* coordinator: text */
  GHEE_WIRE_RESULT,       /* coordinator: u32 status, text message: its last word */
  GHEE_WIRE_STOP          /* client: stop and clean up */
} ghee_wire_kind;

enum { GHEE_WIRE_MAX = 16 << 10 };

/** Sends one packet; true when it is out. Waits while the socket is full. */
bool ghee_wire_send(int fd, ghee_wire_kind kind, const void *data, size_t size_bytes);
/** One packet: kind, then `data` of *size in `room`. GHEE_AGAIN, GHEE_CLOSED. Blocks: no. */
ghee_status ghee_wire_receive(int fd, uint8_t room[GHEE_WIRE_MAX], ghee_wire_kind *kind, const void **data, size_t *size);

#endif
