/* SPDX-License-Identifier: Apache-2.0
 * Filtering and gathering. */
#include "plan/sieve.h"

#include <string.h>

#include "base/array.h"
#include "batch/gather.h"

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

static void sifted_fini(ghee_sifted *of) {
  ghee_batch_release(&of->batch);
  ghee_free(of->rows);
  *of = (ghee_sifted){0};
}

/* Where few rows pass they are copied now, so that the others' memory is not held; else later, once, together with those of other batches. */
static ghee_status take_few(ghee_sifted *of, ghee_error *err) {
  ghee_batch taken = {0};
  size_t all = (size_t)ghee_batch_rows(&of->batch);
  if (of->n < all / 2) {
    GHEE_TRY(ghee_batch_take(&of->batch, of->rows, of->n, &taken, err));
    ghee_batch_release(&of->batch);
    ghee_batch_move(&taken, &of->batch);
  } else if (of->n < all) {
    return GHEE_OK;
  }
  ghee_free(of->rows);
  of->rows = NULL;
  return GHEE_OK;
}

static ghee_status keep(ghee_sieve *to, ghee_sifted *of, ghee_error *err) {
  bool neighbours = of->rows[of->n - 1] - of->rows[0] == of->n - 1;
  of->number = neighbours && of->number != UINT64_MAX ? of->number + of->rows[0] : UINT64_MAX;
  GHEE_TRY(drop_columns(to->spec, &of->batch, err));
  GHEE_TRY(take_few(of, err));
  if (!ghee_array_push(&to->kept, *of)) return ghee_error_no_memory(err, "filtering rows");
  to->rows += (int64_t)of->n;
  to->bytes += ghee_batch_bytes(&of->batch);
  *of = (ghee_sifted){0};
  return GHEE_OK;
}

ghee_status ghee_sieve_push(ghee_sieve *of, ghee_batch *batch, uint64_t row, ghee_error *err) {
  ghee_sifted sifted = {.number = row, .rows = ghee_alloc(((size_t)ghee_batch_rows(batch) + 1) * sizeof *sifted.rows)};
  ghee_batch_move(batch, &sifted.batch);
  ghee_status status = sifted.rows ? ghee_predicate_select(of->predicate, &sifted.batch, sifted.rows, &sifted.n, err) : ghee_error_no_memory(err, "filtering rows");
  if (status == GHEE_OK && sifted.n > 0) status = keep(of, &sifted, err);
  sifted_fini(&sifted);
  return status;
}

bool ghee_sieve_is_full(const ghee_sieve *of) { return of->rows >= of->most_rows || of->bytes >= MOST_BYTES; }

/* How many of the first that are kept fit one batch, at least one; their rows. */
static size_t count_fitting(const ghee_sieve *of, size_t *rows) {
  uint64_t bytes = 0;
  size_t n = 0;
  *rows = 0;
  for (; n < of->kept.count; n++) {
    const ghee_sifted *next = &of->kept.items[n];
    bytes += ghee_batch_bytes(&next->batch);
    if (n > 0 && (*rows + next->n > (size_t)of->most_rows || bytes > MOST_BYTES)) break;
    *rows += next->n;
  }
  return n;
}

/* The rows of the first `n`, `count` of them, as one batch. */
static ghee_status gather(const ghee_sifted *kept, size_t n, size_t count, ghee_batch *out, ghee_error *err) {
  ghee_batch *batches = ghee_alloc(n * sizeof *batches);
  uint32_t *rows = ghee_alloc(count * sizeof *rows);
  ghee_gather from;
  size_t at = 0;
  for (size_t i = 0, first = 0; i < n && batches && rows; first += (size_t)ghee_batch_rows(&kept[i++].batch)) {
    batches[i] = kept[i].batch;
    for (size_t r = 0; r < kept[i].n; r++) rows[at++] = (uint32_t)(first + (kept[i].rows ? kept[i].rows[r] : r));
  }
  ghee_status status = batches && rows ? ghee_gather_init(&from, batches, n, rows, count, err) : ghee_error_no_memory(err, "filtering rows");
  if (status == GHEE_OK) {
    status = ghee_gather_copy(&from, out, err);
    ghee_gather_fini(&from);
  }
  ghee_free(batches);
  ghee_free(rows);
  return status;
}

ghee_status ghee_sieve_pop(ghee_sieve *of, ghee_batch *out, uint64_t *row, ghee_error *err) {
  size_t rows, n = count_fitting(of, &rows);
  ghee_sifted *first = of->kept.items;
  if (n == 0) return GHEE_CLOSED;
  uint64_t number = n == 1 ? first->number : UINT64_MAX;
  bool whole = n == 1 && !first->rows;
  if (!whole) GHEE_TRY(gather(first, n, rows, out, err));
  for (size_t i = 0; i < n; i++) of->bytes -= ghee_batch_bytes(&first[i].batch);
  if (whole) ghee_batch_move(&first->batch, out);
  for (size_t i = 0; i < n; i++) sifted_fini(&first[i]);
  of->rows -= (int64_t)rows;
  of->kept.count -= n;
  memmove(first, first + n, of->kept.count * sizeof *first);
  *row = number;
  return GHEE_OK;
}

void ghee_sieve_fini(ghee_sieve *of) {
  for (size_t i = 0; i < of->kept.count; i++) sifted_fini(&of->kept.items[i]);
  ghee_array_fini(&of->kept);
}
