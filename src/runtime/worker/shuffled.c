/* SPDX-License-Identifier: Apache-2.0
 * A chunk's batches behind a count, with the order of their rows. */
#include "runtime/worker/shuffled.h"

#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"

struct ghee_shuffled {
  atomic_int count;
  int64_t rows;
  uint32_t *order; /* counts through all batches */
  size_t n;
  ghee_batch batches[];
};

static void release_all(ghee_batch *batches, size_t n) {
  for (size_t b = 0; b < n; b++) ghee_batch_release(&batches[b]);
}

static ghee_status count_rows(const ghee_batch *batches, size_t n, int64_t *out, ghee_error *err) {
  int64_t rows = 0;
  for (size_t b = 0; b < n; b++) rows += ghee_batch_rows(&batches[b]);
  if (rows > UINT32_MAX) return ghee_error_set(err, GHEE_LIMIT, "%lld rows are too many to be shuffled at once: lower the window of the shuffle", (long long)rows);
  *out = rows;
  return GHEE_OK;
}

ghee_status ghee_shuffled_new(ghee_batch *batches, size_t n, ghee_random *random, ghee_shuffled **out, ghee_error *err) {
  int64_t rows = 0;
  ghee_status status = count_rows(batches, n, &rows, err);
  ghee_shuffled *of = status == GHEE_OK ? ghee_alloc(sizeof *of + n * sizeof *of->batches) : NULL;
  uint32_t *order = of ? ghee_alloc((size_t)rows * sizeof *order) : NULL;
  if (!order) {
    ghee_free(of);
    release_all(batches, n);
    return status == GHEE_OK ? ghee_error_no_memory(err, "shuffling a chunk") : status;
  }
  atomic_init(&of->count, 1);
  of->rows = rows;
  of->order = order;
  of->n = n;
  for (size_t b = 0; b < n; b++) ghee_batch_move(&batches[b], &of->batches[b]);
  ghee_random_permutation(random, order, (size_t)rows);
  *out = of;
  return GHEE_OK;
}

ghee_shuffled *ghee_shuffled_ref(ghee_shuffled *of) {
  atomic_fetch_add_explicit(&of->count, 1, memory_order_relaxed);
  return of;
}

bool ghee_shuffled_unref(ghee_shuffled *of) {
  if (!of || atomic_fetch_sub_explicit(&of->count, 1, memory_order_acq_rel) != 1) return false;
  release_all(of->batches, of->n);
  ghee_free(of->order);
  ghee_free(of);
  return true;
}

int64_t ghee_shuffled_rows(const ghee_shuffled *of) { return of->rows; }

ghee_status ghee_shuffled_gather(const ghee_shuffled *of, int64_t first, int64_t n, ghee_gather *out, ghee_error *err) {
  return ghee_gather_init(out, of->batches, of->n, of->order + first, (size_t)n, err);
}
