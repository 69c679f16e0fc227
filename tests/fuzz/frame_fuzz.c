/* SPDX-License-Identifier: Apache-2.0
 * Frames of a peer: u32 size and bytes of a schema, then a frame. What is accepted can be walked, copied and written again. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "batch/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Rows that take no bytes may be many; walking them one by one only takes time. */
static bool is_small(const struct ArrowArray *array) {
  if (array->length > 1 << 16) return false;
  for (int64_t i = 0; i < array->n_children; i++)
    if (!is_small(array->children[i])) return false;
  return !array->dictionary || is_small(array->dictionary);
}

static void use(ghee_batch *batch) {
  ghee_batch copy, part;
  ghee_error err;
  uint64_t bytes;
  void *frame = NULL;
  int64_t rows = ghee_batch_rows(batch);
  if (ghee_batch_concat(batch, 1, &copy, &err) != GHEE_OK) return;
  if (ghee_batch_bytes(&copy) > 1 << 26 || ghee_frame_size(&copy, &bytes, &err) != GHEE_OK || posix_memalign(&frame, 64, bytes)) abort();
  if (ghee_frame_write(&copy, frame, bytes, &err) != GHEE_OK) abort();
  ghee_batch_release(&copy);
  if (ghee_frame_read(batch->schema, frame, bytes, false, free, frame, &copy, &err) != GHEE_OK || !ghee_batch_equal(batch, &copy)) abort();
  ghee_batch_release(&copy);
  if (ghee_batch_slice(batch, rows / 3, rows / 2, &part, &err) != GHEE_OK) abort();
  uint32_t reversed[] = {(uint32_t)(rows / 2) - 1, 0};
  if (rows > 1 && ghee_batch_take(&part, reversed, 2, &copy, &err) == GHEE_OK) ghee_batch_release(&copy);
  ghee_batch_release(&part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ghee_reader reader = ghee_reader_of(data, size);
  size_t schema_bytes;
  const void *bytes = ghee_reader_bytes(&reader, &schema_bytes);
  ghee_schema *schema;
  ghee_batch batch;
  ghee_error err = {0};
  void *frame = NULL;
  if (!bytes || ghee_schema_decode(bytes, schema_bytes, &schema, &err) != GHEE_OK) return 0;
  size = (size_t)(reader.end - reader.at);
  if (posix_memalign(&frame, 64, size)) abort(); /* of exactly its size: a byte read behind it is seen */
  memcpy(frame, reader.at, size);
  if (ghee_frame_read(schema, frame, size, false, free, frame, &batch, &err) == GHEE_OK) {
    if (is_small(&batch.array)) use(&batch);
    ghee_batch_release(&batch);
  } else if (!err.message[0]) {
    abort();
  }
  ghee_schema_unref(schema);
  return 0;
}
