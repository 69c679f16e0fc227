/* SPDX-License-Identifier: Apache-2.0
 * Open chunks: memory first, an unlinked file after that. */
#include "runtime/worker/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"
#include "batch/frame.h"

static ghee_status open_file(ghee_spill *spill, const char *folder, ghee_error *err) {
  spill->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  spill->open = spill->fd >= 0;
  if (spill->open) return GHEE_OK;
  char *path = ghee_asprintf("%s/spool-XXXXXX", folder); /* a file system without O_TMPFILE */
  if (!path) return ghee_error_no_memory(err, "opening a spool file");
  spill->fd = mkostemp(path, O_CLOEXEC);
  spill->open = spill->fd >= 0;
  ghee_status status = spill->open ? GHEE_OK : ghee_error_set_errno(err, errno, "cannot make a spool file in %s", folder);
  if (status == GHEE_OK) unlink(path);
  ghee_free(path);
  return status;
}

void ghee_spill_fini(ghee_spill *spill) {
  if (spill->open) close(spill->fd);
  *spill = (ghee_spill){0};
}

static ghee_spill *spill_of(ghee_spool *spool) { return spool->shared ? spool->shared : &spool->own; }

static ghee_status write_all(int fd, const uint8_t *data, size_t size, uint64_t offset, ghee_error *err) {
  while (size > 0) {
    ssize_t n = pwrite(fd, data, size, (off_t)offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ghee_error_set_errno(err, errno, "cannot spool a chunk to disk");
    data += n;
    size -= (size_t)n;
    offset += (uint64_t)n;
  }
  return GHEE_OK;
}

static ghee_status push_file(ghee_spool *spool, const ghee_batch *batch, const char *folder, ghee_error *err) {
  ghee_spill *spill = spill_of(spool);
  if (!spill->open) GHEE_TRY(open_file(spill, folder, err));
  uint64_t size;
  GHEE_TRY(ghee_frame_size(batch, &size, err));
  uint8_t *frame = ghee_alloc_aligned(size);
  if (!frame) return ghee_error_no_memory(err, "spooling a chunk");
  ghee_status status = ghee_frame_write(batch, frame, size, err);
  if (status == GHEE_OK) status = write_all(spill->fd, frame, size, spill->size_bytes, err);
  ghee_free_aligned(frame);
  struct ghee_spool_frame at = {.offset = spill->size_bytes, .size_bytes = size};
  if (status == GHEE_OK && !ghee_array_push(&spool->frames, at)) status = ghee_error_no_memory(err, "spooling a chunk");
  if (status == GHEE_OK) spill->size_bytes += size;
  return status;
}

ghee_status ghee_spool_push(ghee_spool *spool, const ghee_batch *batch, ghee_budget *budget, const char *folder, ghee_error *err) {
  if (ghee_batch_rows(batch) == 0) return GHEE_OK;
  if (!spool->schema) spool->schema = ghee_schema_ref(batch->schema);
  uint64_t size = ghee_batch_bytes(batch);
  if (spool->frames.count > 0 || !ghee_budget_try_reserve(budget, size)) {
    GHEE_TRY(push_file(spool, batch, folder, err));
    spool->rows += (uint64_t)ghee_batch_rows(batch);
    return GHEE_OK;
  }
  ghee_batch copy = {0};
  ghee_status status = ghee_batch_concat(batch, 1, &copy, err);
  if (status == GHEE_OK && !ghee_array_push(&spool->batches, copy)) {
    ghee_batch_release(&copy);
    status = ghee_error_no_memory(err, "keeping a batch of an open chunk");
  }
  if (status != GHEE_OK) {
    ghee_budget_release(budget, size);
    return status;
  }
  spool->reserved_bytes += size;
  spool->rows += (uint64_t)ghee_batch_rows(batch);
  return GHEE_OK;
}

static ghee_status pop_file(ghee_spool *spool, ghee_batch *out, ghee_error *err) {
  size_t index = (size_t)spool->at - spool->batches.count;
  if (index >= spool->frames.count) return GHEE_CLOSED;
  uint64_t offset = spool->frames.items[index].offset, size = spool->frames.items[index].size_bytes;
  uint8_t *frame = ghee_alloc_aligned(size);
  if (!frame) return ghee_error_no_memory(err, "reading a spooled chunk");
  for (uint64_t got = 0; got < size;) {
    ssize_t n = pread(spill_of(spool)->fd, frame + got, size - got, (off_t)(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      ghee_free_aligned(frame);
      return n < 0 ? ghee_error_set_errno(err, errno, "cannot read a spooled chunk")
                   : ghee_error_set(err, GHEE_IO, "the spool file of a chunk has become shorter");
    }
    got += (uint64_t)n;
  }
  spool->at++;
  return ghee_frame_read(spool->schema, frame, size, true, ghee_free_aligned, frame, out, err);
}

ghee_status ghee_spool_pop(ghee_spool *spool, ghee_batch *out, ghee_error *err) {
  if (spool->at >= spool->batches.count) return pop_file(spool, out, err);
  ghee_batch_move(&spool->batches.items[spool->at++], out);
  return GHEE_OK;
}

void ghee_spool_fini(ghee_spool *spool, ghee_budget *budget) {
  for (size_t i = 0; i < spool->batches.count; i++) ghee_batch_release(&spool->batches.items[i]);
  ghee_spill_fini(&spool->own);
  ghee_budget_release(budget, spool->reserved_bytes);
  ghee_schema_unref(spool->schema);
  ghee_array_fini(&spool->batches);
  ghee_array_fini(&spool->frames);
  *spool = (ghee_spool){0};
}
