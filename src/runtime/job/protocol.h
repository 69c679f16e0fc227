/* SPDX-License-Identifier: Apache-2.0
 * What the coordinator and the workers say to each other: one struct a message, one line of fields each in protocol.c. The frames between
 * workers are here too. docs/protocol.md tells the conversations.
 *
 * Design notes: the life of a chunk
 * - An attempt is (epoch, chunk, token); token = generation << 32 | counter, so a later one is larger. Only the newest
 *   token of a chunk is alive; whatever belongs to another is dropped wherever it is met.
 * - Job with a sink:  todo → leased (at a first-stage worker) → held (PASSED: the end of the attempt was acknowledged by a worker
 *   of the next stage; again for each hop) → accepted (COMPLETE at a sink, answered ACCEPT: no other attempt begins while
 *   that sink lives) → done (its STAGED file is in the ledger). When the worker that has it dies or says LOST: todo again, and
 *   REVOKE (chunk, token) goes to every worker.
 * - Job that trains: todo → leased → passed (all ranks acknowledged the end). Dead first-stage worker: leased chunks are leased
 *   again from a lower bound of what the ranks have used (their PLACE). Ranks drop what they have seen. Dead rank: all ranks
 *   are killed and started again at the last checkpoint; every chunk from its place on is todo.
 * - A new coordinator (generation + 1): workers go on, connect again and say HELLO with what survives: sinks their accepted
 *   chunks, ranks their place, step, unconfirmed checkpoint or result. All other attempts are void: on WELCOME with a new generation
 *   each worker drops what it has in work. Leases are given once every survivor has said HELLO or is found dead. */
#ifndef GHEE_JOB_PROTOCOL_H
#define GHEE_JOB_PROTOCOL_H

#include "base/buffer.h"
#include "plan/plan.h"

/* ---- frames between workers (ghee_stream_head.kind) ---- */
typedef enum ghee_frame_kind {
  GHEE_FRAME_SCHEMA = 1, /* payload: encoded schema; before the first batch on a connection */
  GHEE_FRAME_BATCH,      /* payload: frame. head.rows: row number of the first row in file `head.file`, UINT64_MAX unknown */
  GHEE_FRAME_REJECTS,    /* payload: refused rows as JSON lines; sink jobs */
  GHEE_FRAME_END,        /* head.seq: number of batches of the attempt (all hops number alike); to be acknowledged */
  GHEE_FRAME_ABORT       /* the attempt died upstream: drop it */
} ghee_frame_kind;

/* ---- worker → coordinator ---- */
typedef enum ghee_say {
  GHEE_SAY_HELLO = 1, GHEE_SAY_READY, GHEE_SAY_WANT, GHEE_SAY_PASSED, GHEE_SAY_LOST, GHEE_SAY_COMPLETE, GHEE_SAY_STAGED,
  GHEE_SAY_SCHEMA, GHEE_SAY_FAILED, GHEE_SAY_LOG, GHEE_SAY_METRICS,
  GHEE_SAY_STEP, GHEE_SAY_CHECKPOINT, GHEE_SAY_RESULT, GHEE_SAY_FILE, GHEE_SAY_BYE,
  /* ---- coordinator → worker ---- */
  GHEE_SAY_WELCOME = 64, GHEE_SAY_PEER, GHEE_SAY_NO_PEER, GHEE_SAY_LEASE, GHEE_SAY_REVOKE, GHEE_SAY_ACCEPT, GHEE_SAY_REFUSE,
  GHEE_SAY_COMMITTED, GHEE_SAY_FLUSH, GHEE_SAY_FIXED_SCHEMA, GHEE_SAY_GO, GHEE_SAY_STORED, GHEE_SAY_END
} ghee_say;

typedef struct ghee_attempt { uint32_t epoch, chunk; uint64_t token; } ghee_attempt;

/** HELLO: first message of every connection. */
typedef struct ghee_say_hello {
  uint32_t stage, worker; int64_t pid;
  char *address;                       /* of its receiver, "" if it has none */
  uint32_t generation;                 /* of the coordinator it last knew, 0 none */
  struct { ghee_attempt *items; size_t count, capacity; } accepted; /* sinks: accepted, not yet COMMITTED */
  ghee_place place; uint64_t step;     /* train */
} ghee_say_hello;
/* READY {}: function loaded, open done; said again after each WELCOME.    WANT {u32 n}: so many more leases, please (ghee_lease_capacity).    BYE {}: all said, leaving. */
/** PASSED: (attempt, worker of the next stage that has it, and its number as of PEER: it may have died since, and another live under
 *  its index; UINT32_MAX: all ranks).  LOST: (attempt). */
typedef struct ghee_say_passed { ghee_attempt attempt; uint32_t to; uint64_t number; } ghee_say_passed;
/** COMPLETE: the sink has all of it. */
typedef struct ghee_say_complete { ghee_attempt attempt; uint64_t rows, rejected; } ghee_say_complete;
/** FILE: a durable file of the staging folder, of the output's or of the dead letters'; those of one ticket come right before its STAGED, one
 *  message each, as a message has no room for the files of many partitions. `ticket` is the worker's. */
typedef struct ghee_say_file { uint64_t ticket; bool dead_letter; char *name, *checksum; uint64_t rows, size_bytes; } ghee_say_file;
/** STAGED: chunks whose rows, and whose refused rows, lie in the `files` files that were said before. Recorded together or not at all. */
typedef struct ghee_say_staged {
  uint64_t ticket, rows, rejected; uint32_t files;
  struct { ghee_attempt *items; size_t count, capacity; } chunks;
} ghee_say_staged;
/** SCHEMA / FIXED_SCHEMA: what the stage gives out. The first to say it wins; everyone is told and casts to it. */
typedef struct ghee_say_schema { uint32_t stage; const void *data; size_t size_bytes; } ghee_say_schema;
/** FAILED: the job cannot go on. The message is complete but for stage and worker. */
typedef struct ghee_say_failed { uint32_t status; char *message; } ghee_say_failed;
/** LOG: a line for the user, or (text, value) of ctx.log with `value` not NaN. */
typedef struct ghee_say_log { char *text; double value; } ghee_say_log;
/** METRICS: totals since the start of the worker. Five times a second while something changes. */
typedef struct ghee_say_metrics {
  uint64_t busy_ns, starved_ns, blocked_ns, batches, rows_in, rows_out, memory_bytes, first_batch_ns; /* monotonic clock; 0 not yet */
  ghee_place place;                    /* ranks: everything before it is used up */
} ghee_say_metrics;
/** STEP: this rank has rows for step `step` of the epoch, or has ended before it. GO: all have said so; `any` = somebody has rows. */
typedef struct ghee_say_step { uint32_t epoch; uint64_t step; bool have; } ghee_say_step;
/** CHECKPOINT: state stored durably as `file` (in the job's folder); position is opaque. STORED: (step) all ranks' are in the ledger. */
typedef struct ghee_say_checkpoint { uint64_t step; ghee_place place; char *file; const void *position; size_t position_bytes; } ghee_say_checkpoint;
/** RESULT: train() returned; `file` is rank 0's value or "". */
typedef struct ghee_say_result { uint64_t step; char *file; } ghee_say_result;

/** WELCOME: answer to HELLO. Ranks get their place in the training with it. */
typedef struct ghee_say_welcome {
  uint32_t generation, world; uint64_t step; uint32_t incarnation; /* of the ranks: a new number each time they are started */
  ghee_place place; char *state_file; const void *position; size_t position_bytes;
} ghee_say_welcome;
/** PEER: a worker of the next stage listens. NO_PEER: (worker) it is gone. `number` is another for each start of a worker, and
 *  the same from every coordinator (ghee_peer_number). */
typedef struct ghee_say_peer { uint32_t worker; uint64_t number; char *address; } ghee_say_peer;
typedef struct ghee_say_lease { ghee_attempt attempt; uint32_t from_seq; } ghee_say_lease;
/** How many leases a worker of the first stage asks for when it holds none: its share of the `interleave` chunks that are read at once (0: any
 *  order), and spares, so that there is no gap between two. */
enum { GHEE_SPARE_LEASES = 1 };
static inline uint32_t ghee_lease_capacity(uint32_t workers, uint32_t interleave) {
  return (interleave ? (interleave + workers - 1) / workers : 1) + GHEE_SPARE_LEASES;
}
/* REVOKE, ACCEPT, REFUSE: (attempt); REVOKE with chunk UINT32_MAX: every attempt with a token up to this.   COMMITTED: (u64 ticket).
 * STORED: (u64 step).   FLUSH, END: {}. */

/** One decoded message. Texts and arrays belong to it: ghee_say_fini; bytes borrow from the input. */
typedef struct ghee_say_message {
  ghee_say what;
  union {
    ghee_say_hello hello; uint32_t want; ghee_say_passed passed; ghee_attempt attempt; ghee_say_complete complete;
    ghee_say_file file; ghee_say_staged staged; ghee_say_schema schema; ghee_say_failed failed; ghee_say_log log; ghee_say_metrics metrics;
    ghee_say_step step; ghee_say_checkpoint checkpoint; ghee_say_result result; ghee_say_welcome welcome; ghee_say_peer peer;
    ghee_say_lease lease; uint64_t ticket;
  };
} ghee_say_message;

/** Appends the message; GHEE_NO_MEMORY. Encoding the decoded gives the same bytes. */
ghee_status ghee_say_encode(const ghee_say_message *message, ghee_buffer *out, ghee_error *err);
/** GHEE_CORRUPT for anything that is not exactly one message. `out` gives: ghee_say_fini. */
ghee_status ghee_say_decode(const void *data, size_t size_bytes, ghee_say_message *out, ghee_error *err);
void ghee_say_fini(ghee_say_message *message);

#endif
