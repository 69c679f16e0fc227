/* SPDX-License-Identifier: Apache-2.0
 * Inside plan/: batches that are read, less the rows that the filter does not let through and the columns that only it needs. What is left of
 * several is gathered, so that a filter that lets little through does not make many small batches. */
#ifndef GHEE_PLAN_SIEVE_H
#define GHEE_PLAN_SIEVE_H

#include "base/array.h"
#include "filter/predicate.h"
#include "plan/spec.h"

/** Rows of one batch that passed. */
typedef struct ghee_sifted {
  ghee_batch batch;
  uint32_t *rows;                /* which of it, rising; NULL: all */
  size_t n;
  uint64_t number;               /* of the first, where they are neighbours; UINT64_MAX unknown */
} ghee_sifted;

/** Fill in the first three, which are borrowed; the rest zero. Owner: one thread. */
typedef struct ghee_sieve {
  const ghee_job_spec *spec;
  const ghee_predicate *predicate;
  int64_t most_rows;             /* of a batch that comes out */
  GHEE_ARRAY(ghee_sifted) kept;
  int64_t rows;                  /* of all of them */
  uint64_t bytes;                /* of memory that they hold */
} ghee_sieve;

/** Takes the batch, also on failure. `row`: number of its first row, UINT64_MAX unknown. */
ghee_status ghee_sieve_push(ghee_sieve *of, ghee_batch *batch, uint64_t row, ghee_error *err);
/** Nothing more fits into the next batch: it is to be popped. The same for the same batches, whenever they come. */
bool ghee_sieve_is_full(const ghee_sieve *of);
/** Of what is kept as much as fits one batch. Its rows have a number where they are neighbours in one batch that went in. GHEE_CLOSED: nothing is kept. */
ghee_status ghee_sieve_pop(ghee_sieve *of, ghee_batch *out, uint64_t *row, ghee_error *err);
void ghee_sieve_fini(ghee_sieve *of);

#endif
