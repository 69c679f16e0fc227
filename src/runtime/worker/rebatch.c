/* SPDX-License-Identifier: Apache-2.0
 * Rows of attempts on their way to batches of one size. A few attempts are open at once, one a producer. */
#include "runtime/worker/rebatch.h"

#include <string.h>

/* Rows of one item that wait; `row` is the number of the first in `file`, UINT64_MAX unknown. */
typedef struct piece { ghee_batch batch; uint32_t file; uint64_t row; } piece;
typedef struct gathering {
  ghee_attempt attempt;
  GHEE_ARRAY(piece) pieces;
  int64_t rows;          /* of all pieces */
  uint32_t seq;          /* of the next batch */
} gathering;

struct ghee_rebatch {
  int64_t rows;
  GHEE_ARRAY(gathering) open;
};

static gathering *find(ghee_rebatch *of, uint64_t token) {
  for (size_t i = 0; i < of->open.count; i++)
    if (of->open.items[i].attempt.token == token) return &of->open.items[i];
  return NULL;
}

static void forget(ghee_rebatch *of, gathering *one) {
  for (size_t i = 0; i < one->pieces.count; i++) ghee_batch_release(&one->pieces.items[i].batch);
  ghee_array_fini(&one->pieces);
  *one = of->open.items[--of->open.count];
}

ghee_status ghee_rebatch_new(int64_t rows, ghee_rebatch **out, ghee_error *err) {
  ghee_rebatch *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return ghee_error_no_memory(err, "gathering batches");
  of->rows = rows;
  *out = of;
  return GHEE_OK;
}

void ghee_rebatch_free(ghee_rebatch *of) {
  if (!of) return;
  while (of->open.count > 0) forget(of, &of->open.items[0]);
  ghee_array_fini(&of->open);
  ghee_free(of);
}

ghee_status ghee_rebatch_put(ghee_rebatch *of, ghee_item *item, ghee_error *err) {
  gathering *one = find(of, item->attempt.token);
  if (!one && ghee_array_push(&of->open, ((gathering){.attempt = item->attempt}))) one = &of->open.items[of->open.count - 1];
  if (!one) return ghee_error_no_memory(err, "gathering batches");
  int64_t rows = item->batch.schema ? ghee_batch_rows(&item->batch) : 0;
  if (rows == 0) return GHEE_OK;
  piece fresh = {.file = item->file, .row = item->row};
  /* What leaves at once needs no copy; what waits must not hold the sender's memory, which others need. */
  if (one->rows == 0 && rows == of->rows) ghee_batch_move(&item->batch, &fresh.batch);
  else GHEE_TRY(ghee_batch_concat(&item->batch, 1, &fresh.batch, err));
  ghee_batch_release(&item->batch);
  if (!ghee_array_push(&one->pieces, fresh)) {
    ghee_batch_release(&fresh.batch);
    return ghee_error_no_memory(err, "gathering batches");
  }
  one->rows += rows;
  return GHEE_OK;
}

/* Takes the first `rows` rows of a piece's batch. */
static ghee_status cut(piece *from, int64_t rows, ghee_batch *out, ghee_error *err) {
  ghee_batch left = {0};
  int64_t all = ghee_batch_rows(&from->batch);
  if (rows == all) {
    ghee_batch_move(&from->batch, out);
    return GHEE_OK;
  }
  GHEE_TRY(ghee_batch_slice(&from->batch, rows, all - rows, &left, err));
  ghee_status status = ghee_batch_slice(&from->batch, 0, rows, out, err);
  if (status != GHEE_OK) {
    ghee_batch_release(&left);
    return status;
  }
  ghee_batch_release(&from->batch);
  ghee_batch_move(&left, &from->batch);
  if (from->row != UINT64_MAX) from->row += (uint64_t)rows;
  return GHEE_OK;
}

/* `rows` rows off the front, as parts[0 … *n). The place of the first row, where all follow each other in one file. */
static ghee_status pull(gathering *one, int64_t rows, ghee_batch *parts, size_t *n, ghee_item *out, ghee_error *err) {
  size_t used_up = 0;
  out->file = one->pieces.items[0].file;
  out->row = one->pieces.items[0].row;
  ghee_status status = GHEE_OK;
  for (uint64_t next = out->row; rows > 0 && status == GHEE_OK; (*n)++) {
    piece *from = &one->pieces.items[used_up];
    int64_t taken = ghee_batch_rows(&from->batch) < rows ? ghee_batch_rows(&from->batch) : rows;
    if (from->file != out->file || from->row != next) out->row = UINT64_MAX;
    next = from->row == UINT64_MAX ? UINT64_MAX : from->row + (uint64_t)taken;
    status = cut(from, taken, &parts[*n], err);
    if (status != GHEE_OK) break;
    if (!from->batch.schema) used_up++;
    rows -= taken;
    one->rows -= taken;
  }
  one->pieces.count -= used_up;
  memmove(one->pieces.items, one->pieces.items + used_up, one->pieces.count * sizeof *one->pieces.items);
  return status;
}

ghee_status ghee_rebatch_take(ghee_rebatch *of, const ghee_attempt *attempt, bool rest, ghee_item *out, ghee_error *err) {
  gathering *one = find(of, attempt->token);
  if (!one || one->rows == 0 || (!rest && one->rows < of->rows)) return GHEE_AGAIN;
  ghee_batch *parts = ghee_alloc_zero(one->pieces.count, sizeof *parts);
  if (!parts) return ghee_error_no_memory(err, "gathering batches");
  *out = (ghee_item){.what = GHEE_ITEM_BATCH, .attempt = *attempt, .seq = one->seq++};
  size_t n = 0;
  ghee_status status = pull(one, one->rows < of->rows ? one->rows : of->rows, parts, &n, out, err);
  if (status == GHEE_OK && n == 1) ghee_batch_move(&parts[0], &out->batch);
  else if (status == GHEE_OK) status = ghee_batch_concat(parts, n, &out->batch, err);
  for (size_t i = 0; i < n; i++) ghee_batch_release(&parts[i]);
  ghee_free(parts);
  return status;
}

uint32_t ghee_rebatch_end(ghee_rebatch *of, const ghee_attempt *attempt) {
  gathering *one = find(of, attempt->token);
  uint32_t count = one ? one->seq : 0;
  if (one) forget(of, one);
  return count;
}

void ghee_rebatch_sweep(ghee_rebatch *of, ghee_attempts *attempts) {
  for (size_t i = of->open.count; i-- > 0;)
    if (!ghee_attempts_alive(attempts, &of->open.items[i].attempt)) forget(of, &of->open.items[i]);
}
