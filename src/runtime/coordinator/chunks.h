/* SPDX-License-Identifier: Apache-2.0
 * Which chunk is where: the coordinator's table. Two epochs are open at a time; 16 bytes a chunk. No I/O, no messages. */
#ifndef GHEE_COORDINATOR_CHUNKS_H
#define GHEE_COORDINATOR_CHUNKS_H

#include "base/array.h"
#include "runtime/job/protocol.h"

typedef enum ghee_chunk_state {
  GHEE_CHUNK_TODO, GHEE_CHUNK_HELD, /* leased, or passed on to a worker behind */
  GHEE_CHUNK_ACCEPTED,              /* whole at a sink */
  GHEE_CHUNK_STAGED,                /* on its way into the ledger: it does not need the sink any more */
  GHEE_CHUNK_DONE                   /* in the ledger; or all ranks have it */
} ghee_chunk_state;

typedef struct ghee_chunk_slot { uint64_t token; uint16_t stage, worker; uint8_t state; } ghee_chunk_slot;

/** Owner: one thread. */
typedef struct ghee_chunks {
  uint32_t chunks, epochs;
  uint32_t generation, counter;       /* of tokens */
  uint32_t epoch;                     /* the older of the two open ones */
  ghee_chunk_slot *slots[2];          /* by epoch & 1 */
  uint32_t done_of[2];                /* how many of these are done */
  uint32_t settled;                   /* of the older one all chunks before this are done; looked for when asked */
  uint64_t next;                      /* first that was never leased: epoch << 32 | chunk */
  GHEE_ARRAY(uint64_t) returned;      /* heap, smallest first, of epoch << 32 | chunk */
  uint64_t done, accepted;            /* of all epochs; accepted, and staged, are not done */
  bool closed;                        /* no chunk that was never leased is leased any more (limit) */
  uint64_t leased;                    /* how many ever were */
} ghee_chunks;

ghee_status ghee_chunks_init(ghee_chunks *table, uint32_t chunks, uint32_t epochs, uint32_t generation, ghee_error *err);
void ghee_chunks_fini(ghee_chunks *table);
/** Another epoch of a job without end: what was there is forgotten, `chunks` new ones are to be done. Tokens go on rising. */
ghee_status ghee_chunks_turn(ghee_chunks *table, uint32_t chunks, uint32_t epoch, ghee_error *err);

/** A chunk that is to be leased. */
typedef struct ghee_chunk_next {
  uint32_t epoch, chunk;
  bool again;                         /* it was leased before, and came back */
} ghee_chunk_next;
/** The chunk that ghee_chunks_lease would lease: the first that came back, else the first that was never leased; false: none is to be had now. */
bool ghee_chunks_next(ghee_chunks *table, ghee_chunk_next *out);
/** Leases the next chunk to a worker of the first stage; false: none is to be had now. */
bool ghee_chunks_lease(ghee_chunks *table, uint32_t worker, ghee_attempt *out);
/** Everything before this chunk is done. */
bool ghee_chunks_settled(ghee_chunks *table, uint32_t epoch, uint32_t chunk);
/** The attempt is with another worker now; false: it is dead. */
bool ghee_chunks_pass(ghee_chunks *table, const ghee_attempt *attempt, uint32_t stage, uint32_t worker);
/** The attempt is lost; true: it was alive, the chunk is todo again. */
bool ghee_chunks_lose(ghee_chunks *table, const ghee_attempt *attempt);
/** A sink has it whole; false: another attempt is, or was, the one. */
bool ghee_chunks_accept(ghee_chunks *table, const ghee_attempt *attempt, uint32_t stage, uint32_t worker);
/** The same for what a sink holds since an earlier coordinator. */
bool ghee_chunks_adopt(ghee_chunks *table, const ghee_attempt *attempt, uint32_t stage, uint32_t worker);
/** Its file is durable and is being recorded: from now on the sink may die. */
void ghee_chunks_stage(ghee_chunks *table, uint32_t epoch, uint32_t chunk);
void ghee_chunks_finish(ghee_chunks *table, uint32_t epoch, uint32_t chunk);
/** Everything that a dead worker had, but for what is staged, is todo again; calls back for each. */
void ghee_chunks_bury(ghee_chunks *table, uint32_t stage, uint32_t worker, void (*each)(void *user, const ghee_attempt *attempt), void *user);
/** Training begins again at `place`: what lies before its window is done, the rest todo. Returns the newest dead token. */
uint64_t ghee_chunks_rewind(ghee_chunks *table, const ghee_place *place, uint32_t interleave);
const ghee_chunk_slot *ghee_chunks_slot(const ghee_chunks *table, uint32_t epoch, uint32_t chunk); /* NULL: not open */
/** How many are to be done in all: every chunk of every epoch, or after a limit those that were leased. */
uint64_t ghee_chunks_wanted(const ghee_chunks *table);

#endif
