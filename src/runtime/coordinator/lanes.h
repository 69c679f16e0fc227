/* SPDX-License-Identifier: Apache-2.0
 * Who reads which chunk: the workers of the first stage, what each still asks for, and to whom the next chunk goes. No I/O, no messages.
 *
 * Design notes
 * - Chunks are leased in their order (chunks.h), so whatever is leased lies before what is not.
 * - In planned order the chunks of a window are read in step, one batch of each a round. Who had two of them where another has none would need twice
 *   as long for every round. So neighbours belong to different workers, and a chunk waits for its owner as long as there is work before it: the owner
 *   asks when it is through with some of that.
 * - Nothing waits for ever. A chunk whose owner is not there, and any chunk of the window that the ranks need now, goes to whoever asks for most. All
 *   that is leased and not read to its end then is of that window too, and that is less than the workers may hold together.
 * - What came back from a dead worker is needed first, and goes to anybody. */
#ifndef GHEE_COORDINATOR_LANES_H
#define GHEE_COORDINATOR_LANES_H

#include "runtime/coordinator/chunks.h"

typedef struct ghee_lane_reader {
  bool wanted, here;              /* is to be there; is connected, and has asked */
  uint32_t want;                  /* leases that it asks for */
} ghee_lane_reader;

/** Owner: one thread. */
typedef struct ghee_lanes {
  ghee_lane_reader *readers;
  uint32_t workers;
  uint32_t interleave;            /* I of planned order; 0: any order */
} ghee_lanes;

ghee_status ghee_lanes_init(ghee_lanes *lanes, uint32_t workers, uint32_t interleave, ghee_error *err);
void ghee_lanes_fini(ghee_lanes *lanes);
/** Leases the next chunk to the worker that is to have it. false: there is none, or nobody may have it now; asked again when a worker has come or
 *  asked, or a chunk is done. */
bool ghee_lanes_lease(ghee_lanes *lanes, ghee_chunks *table, uint32_t *worker, ghee_attempt *out);

#endif
