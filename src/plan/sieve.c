/* SPDX-License-Identifier: Apache-2.0
 * Filtering and gathering. */
#include "plan/sieve.h"

#include <string.h>

#include "base/array.h"

#define MOST_BYTES ((uint64_t)16 << 20) /* of what is gathered */

/* Without the columns that only the filter needs. */
static ghee_status drop_columns(const ghee_job_spec *spec, ghee_batch *batch, ghee_error *err) {
  ghee_batch wanted = {0};
  if (spec->n_columns == spec->n_read_columns) return GHEE_OK;
  GHEE_TRY(ghee_batch_project(batch, spec->columns, spec->n_columns, &wanted, err));
  ghee_batch_release(batch);
  ghee_batch_move(&wanted, batch);
  return GHEE_OK;
}

/* Leaves n rows. */
static ghee_status take_rows(ghee_batch *batch, const uint32_t *rows, size_t n, uint64_t *row, ghee_error *err) {
  ghee_batch taken = {0};
  if (n == (size_t)ghee_batch_rows(batch)) return GHEE_OK;
  GHEE_TRY(ghee_batch_take(batch, rows, n, &taken, err));
  ghee_batch_release(batch);
  ghee_batch_move(&taken, batch);
  bool neighbours = rows[n - 1] - rows[0] == n - 1;
  *row = neighbours && *row != UINT64_MAX ? *row + rows[0] : UINT64_MAX;
  return GHEE_OK;
}

static ghee_status keep(ghee_sieve *of, ghee_batch *batch, uint64_t row, ghee_error *err) {
  if (!ghee_array_push(&of->numbers, row)) return ghee_error_no_memory(err, "filtering rows");
  if (!ghee_array_push(&of->batches, *batch)) {
    of->numbers.count--;
    return ghee_error_no_memory(err, "filtering rows");
  }
  of->rows += ghee_batch_rows(batch);
  of->bytes += ghee_batch_bytes(batch);
  *batch = (ghee_batch){0};
  return GHEE_OK;
}

ghee_status ghee_sieve_push(ghee_sieve *of, ghee_batch *batch, uint64_t row, ghee_error *err) {
  size_t n = 0;
  uint32_t *rows = ghee_alloc(((size_t)ghee_batch_rows(batch) + 1) * sizeof *rows);
  ghee_status status = rows ? ghee_predicate_select(of->predicate, batch, rows, &n, err) : ghee_error_no_memory(err, "filtering rows");
  if (status == GHEE_OK && n > 0) status = drop_columns(of->spec, batch, err);
  if (status == GHEE_OK && n > 0) status = take_rows(batch, rows, n, &row, err);
  if (status == GHEE_OK && n > 0) status = keep(of, batch, row, err);
  ghee_free(rows);
  ghee_batch_release(batch);
  return status;
}

bool ghee_sieve_is_full(const ghee_sieve *of) { return of->rows >= of->most_rows || of->bytes >= MOST_BYTES; }

/* How many of the first batches fit one, at least one. */
static size_t count_fitting(const ghee_sieve *of) {
  int64_t rows = 0;
  uint64_t bytes = 0;
  size_t n = 0;
  for (; n < of->batches.count; n++) {
    rows += ghee_batch_rows(&of->batches.items[n]);
    bytes += ghee_batch_bytes(&of->batches.items[n]);
    if (n > 0 && (rows > of->most_rows || bytes > MOST_BYTES)) break;
  }
  return n;
}

ghee_status ghee_sieve_pop(ghee_sieve *of, ghee_batch *out, uint64_t *row, ghee_error *err) {
  size_t n = count_fitting(of);
  if (n == 0) return GHEE_CLOSED;
  ghee_batch whole = {0};
  if (n == 1) ghee_batch_move(&of->batches.items[0], &whole);
  else GHEE_TRY(ghee_batch_concat(of->batches.items, n, &whole, err));
  *row = n == 1 ? of->numbers.items[0] : UINT64_MAX;
  for (size_t i = 0; i < n; i++) ghee_batch_release(&of->batches.items[i]);
  of->batches.count = of->numbers.count -= n;
  memmove(of->batches.items, of->batches.items + n, of->batches.count * sizeof *of->batches.items);
  memmove(of->numbers.items, of->numbers.items + n, of->numbers.count * sizeof *of->numbers.items);
  of->rows = 0;
  of->bytes = 0;
  for (size_t i = 0; i < of->batches.count; i++) {
    of->rows += ghee_batch_rows(&of->batches.items[i]);
    of->bytes += ghee_batch_bytes(&of->batches.items[i]);
  }
  ghee_batch_move(&whole, out);
  return GHEE_OK;
}

void ghee_sieve_fini(ghee_sieve *of) {
  for (size_t i = 0; i < of->batches.count; i++) ghee_batch_release(&of->batches.items[i]);
  ghee_array_fini(&of->batches);
  ghee_array_fini(&of->numbers);
}
