/* SPDX-License-Identifier: Apache-2.0
 * To whom the next chunk goes. */
#include "runtime/coordinator/lanes.h"

enum { NOBODY = UINT32_MAX };

ghee_status ghee_lanes_init(ghee_lanes *lanes, uint32_t workers, uint32_t interleave, ghee_error *err) {
  *lanes = (ghee_lanes){.workers = workers, .interleave = interleave, .readers = ghee_alloc_zero(workers, sizeof *lanes->readers)};
  return lanes->readers ? GHEE_OK : ghee_error_no_memory(err, "opening the job");
}

void ghee_lanes_fini(ghee_lanes *lanes) {
  ghee_free(lanes->readers);
  *lanes = (ghee_lanes){0};
}

static bool all_are_here(const ghee_lanes *lanes) {
  for (uint32_t i = 0; i < lanes->workers; i++)
    if (lanes->readers[i].wanted && !lanes->readers[i].here) return false;
  return true;
}

/* The spare stays for those who are being started, or the first to come would have the chunks of all. */
static bool takes(const ghee_lane_reader *reader, bool spares) { return reader->here && reader->want > (spares ? 0 : GHEE_SPARE_LEASES); }

/* Over the epochs, so that where an epoch has few chunks all workers have some. Of I neighbours each worker has as many as any other, give or take one. */
static uint32_t owner_of(const ghee_lanes *lanes, const ghee_chunks *table, const ghee_chunk_next *next) {
  if (!lanes->interleave || next->again) return NOBODY;
  return (uint32_t)(((uint64_t)next->epoch * table->chunks + next->chunk) % lanes->workers);
}

/* Who asks for most, `owner` before others that ask for as much; NOBODY: nobody may have more. */
static uint32_t hungriest(const ghee_lanes *lanes, uint32_t owner, bool spares) {
  uint32_t best = owner != NOBODY && takes(&lanes->readers[owner], spares) ? owner : NOBODY;
  for (uint32_t i = 0; i < lanes->workers; i++)
    if (takes(&lanes->readers[i], spares) && (best == NOBODY || lanes->readers[i].want > lanes->readers[best].want)) best = i;
  return best;
}

static uint32_t taker_of(const ghee_lanes *lanes, ghee_chunks *table, const ghee_chunk_next *next) {
  bool spares = all_are_here(lanes);
  uint32_t owner = owner_of(lanes, table, next);
  bool waits = owner != NOBODY && lanes->readers[owner].here && !ghee_chunks_settled(table, next->epoch, next->chunk / lanes->interleave * lanes->interleave);
  if (waits) return takes(&lanes->readers[owner], spares) ? owner : NOBODY;
  return hungriest(lanes, owner, spares);
}

bool ghee_lanes_lease(ghee_lanes *lanes, ghee_chunks *table, uint32_t *worker, ghee_attempt *out) {
  ghee_chunk_next next;
  if (!ghee_chunks_next(table, &next)) return false;
  uint32_t taker = taker_of(lanes, table, &next);
  if (taker == NOBODY || !ghee_chunks_lease(table, taker, out)) return false;
  lanes->readers[taker].want--;
  *worker = taker;
  return true;
}
