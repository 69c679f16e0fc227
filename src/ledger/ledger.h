/* SPDX-License-Identifier: Apache-2.0
 * The job's durable memory, in SQLite (WAL, synchronous=FULL): generation, state, which chunks are done and in which files,
 * checkpoints. Writes are queued and committed in groups by a thread of the ledger; a ticket says when one is durable. */
#ifndef GHEE_LEDGER_LEDGER_H
#define GHEE_LEDGER_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct ghee_ledger ghee_ledger;

typedef enum ghee_job_state {
  GHEE_JOB_RUNNING = 0, GHEE_JOB_PUBLISHING = 1, GHEE_JOB_DONE = 2, GHEE_JOB_FAILED = 3, GHEE_JOB_CANCELED = 4
} ghee_job_state;

/** Opens or creates, and checks the whole file. GHEE_CORRUPT, GHEE_BUSY, GHEE_NO_SPACE. One process at a time: the caller's lock sees to
 *  it. out gives: ghee_ledger_close. */
ghee_status ghee_ledger_open(const char *path, ghee_ledger **out, ghee_error *err);
/** Commits what is queued, then closes. */
void ghee_ledger_close(ghee_ledger *ledger);
/** Readable when results wait in ghee_ledger_next. */
int ghee_ledger_fd(const ghee_ledger *ledger);

/** The next generation, durable on return: the upper half of the tokens of this coordinator. Blocks: yes. */
ghee_status ghee_ledger_begin(ghee_ledger *ledger, uint32_t *generation, ghee_error *err);

/** State and its text (what failed); durable on return. Blocks: yes. */
ghee_status ghee_ledger_set_state(ghee_ledger *ledger, ghee_job_state state, int status, const char *text, ghee_error *err);
/** `text` gives: ghee_free; may be NULL. */
ghee_status ghee_ledger_state(ghee_ledger *ledger, ghee_job_state *state, int *status, char **text, ghee_error *err);

/** Small facts by key (schemas, fingerprints): durable on return. get: GHEE_NOT_FOUND; value gives: ghee_free. */
ghee_status ghee_ledger_put(ghee_ledger *ledger, const char *key, const void *value, size_t size_bytes, ghee_error *err);
ghee_status ghee_ledger_get(ghee_ledger *ledger, const char *key, void **value, size_t *size_bytes, ghee_error *err);

/** Forgets all chunks and files (they are published) and puts a fact, in one transaction: durable on return. Nothing is queued meanwhile. */
ghee_status ghee_ledger_turn(ghee_ledger *ledger, const char *key, const void *value, size_t size_bytes, ghee_error *err);

/* ---- jobs with a sink ---- */
/** A finished, durable file of the staging folder. */
typedef struct ghee_ledger_file {
  const char *name;           /* relative to the staging folder; unique */
  uint64_t rows, size_bytes;
  const char *checksum;       /* "blake2b:hex" */
  bool dead_letter;           /* belongs to the dead-letter output */
  uint64_t commit;            /* given by each_file: the same for all that one commit wrote, never 0 */
} ghee_ledger_file;

/** One transaction: all files and all chunks, or none. The rows of the chunks are in the files and in no others; without files they
 *  gave none. A chunk that is done already makes it GHEE_EXISTS, as does a name that is known. Both may be empty.
 *  Queued, with copies; the result comes by ghee_ledger_next with `ticket`. */
ghee_status ghee_ledger_commit(ghee_ledger *ledger, const ghee_ledger_file *files, size_t n_files, const uint32_t *chunks, size_t n_chunks, uint64_t ticket,
                               ghee_error *err);
/** A result of a queued write, in the order of queueing: GHEE_OK, and err->status (err is needed) says how the write went.
 *  GHEE_AGAIN: none.  Thread: any.  Blocks: no. */
ghee_status ghee_ledger_next(ghee_ledger *ledger, uint64_t *ticket, ghee_error *err);

/** Walks what is recorded (before or between commits; not concurrently with queued writes), in order of number and name. `commit` is that
 *  of the chunk's files, 0 if it has none. `each` may queue commits, and must call nothing else of the ledger. Blocks: yes. */
ghee_status ghee_ledger_each_chunk(ghee_ledger *ledger, void (*each)(void *user, uint32_t chunk, uint64_t commit), void *user, ghee_error *err);
ghee_status ghee_ledger_each_file(ghee_ledger *ledger, ghee_status (*each)(void *user, const ghee_ledger_file *file, ghee_error *err),
                                  void *user, ghee_error *err);

/* ---- jobs that train ---- */
/** A checkpoint is whole only when every rank's part is stored: one transaction. `position` is opaque, ≤ 4 kB a rank. */
typedef struct ghee_ledger_checkpoint {
  uint64_t step;
  uint32_t world;
  const char *const *files;   /* a rank's state, relative to the job's folder */
  const void *const *positions;
  const size_t *position_bytes;
} ghee_ledger_checkpoint;
/** Durable on return; replaces older ones. Blocks: yes. */
ghee_status ghee_ledger_commit_checkpoint(ghee_ledger *ledger, const ghee_ledger_checkpoint *checkpoint, ghee_error *err);
/** The newest. GHEE_NOT_FOUND. Everything in `out` gives: ghee_ledger_checkpoint_fini. */
ghee_status ghee_ledger_checkpoint_get(ghee_ledger *ledger, ghee_ledger_checkpoint *out, ghee_error *err);
void ghee_ledger_checkpoint_fini(ghee_ledger_checkpoint *checkpoint);

#endif
