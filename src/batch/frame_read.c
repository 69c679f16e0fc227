/* SPDX-License-Identifier: Apache-2.0
 * Frames to batches: arrays that point into the frame, made in one block of memory. */
#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"
#include "batch/column.h"
#include "batch/frame.h"
#include "batch/frame_layout.h"

/* Head of the block: then the arrays, the child pointers, the buffer pointers. */
typedef struct block {
  void (*release)(void *user);
  void *user;
  struct ArrowArray *arrays;
  struct ArrowArray **pointers;
  const void **buffers;
} block;

static void release_nothing(struct ArrowArray *array) { array->release = NULL; }

static void release_top(struct ArrowArray *array) {
  block *of = array->private_data;
  array->release = NULL;
  if (of->release) of->release(of->user);
  ghee_free(of);
}

typedef struct cursor {
  const uint8_t *frame;
  uint64_t size;
  const ghee_frame_node *node, *last_node;
  const ghee_frame_buffer *buffer, *last_buffer;
  block *into;
} cursor;

/* The next buffer, inside the frame and aligned; NULL for an absent one. */
static bool next_buffer(cursor *from, const void **out) {
  if (from->buffer == from->last_buffer) return false;
  ghee_frame_buffer at = *from->buffer++;
  *out = NULL;
  if (at.size == 0) return true;
  if (at.offset % GHEE_FRAME_ALIGN != 0 || at.offset > from->size || at.size > from->size - at.offset) return false;
  *out = from->frame + at.offset;
  return true;
}

static struct ArrowArray *read_field(const struct ArrowSchema *field, cursor *from) {
  ghee_type type;
  if (from->node == from->last_node || ghee_type_parse(field->format, &type, NULL) != GHEE_OK) return NULL;
  ghee_frame_node node = *from->node++;
  struct ArrowArray *array = from->into->arrays++;
  *array = (struct ArrowArray){.length = node.length, .null_count = node.null_count, .n_buffers = type.n_buffers, .n_children = field->n_children,
                               .buffers = from->into->buffers, .children = from->into->pointers, .release = release_nothing};
  from->into->buffers += type.n_buffers;
  from->into->pointers += field->n_children;
  if (node.length < 0 || node.null_count < 0 || node.null_count > node.length) return NULL;
  for (int i = 0; i < type.n_buffers; i++)
    if (!next_buffer(from, &array->buffers[i])) return NULL;
  if (type.n_buffers && array->null_count && !array->buffers[0]) return NULL;
  for (int64_t i = 0; i < field->n_children; i++)
    if (!(array->children[i] = read_field(field->children[i], from))) return NULL;
  return !field->dictionary || (array->dictionary = read_field(field->dictionary, from)) ? array : NULL;
}

static block *block_new(const ghee_field *root, void (*release)(void *), void *user) {
  block *made = ghee_alloc_zero(1, sizeof *made + root->nodes * (sizeof(struct ArrowArray) + sizeof(void *)) + root->buffers * sizeof(void *));
  if (!made) return NULL;
  *made = (block){.release = release, .user = user, .arrays = (struct ArrowArray *)(made + 1)};
  made->pointers = (struct ArrowArray **)(made->arrays + root->nodes);
  made->buffers = (const void **)(made->pointers + root->nodes);
  return made;
}

static bool header_fits(const void *data, uint64_t size, ghee_frame_header *out) {
  if (size < sizeof *out || (uintptr_t)data % 8 != 0) return false;
  memcpy(out, data, sizeof *out);
  uint64_t tables = sizeof *out + (uint64_t)out->nodes * sizeof(ghee_frame_node) + (uint64_t)out->buffers * sizeof(ghee_frame_buffer);
  return out->magic == GHEE_FRAME_MAGIC && out->version == GHEE_FRAME_VERSION && out->total_size <= size && tables <= out->total_size &&
         out->rows <= INT64_MAX;
}

ghee_status ghee_frame_read(ghee_schema *schema, const void *data, uint64_t size_bytes, bool trusted, void (*release)(void *user), void *user,
                            ghee_batch *out, ghee_error *err) {
  ghee_frame_header header;
  const struct ArrowSchema *arrow = ghee_schema_arrow(schema);
  bool fits = header_fits(data, size_bytes, &header);
  block *into = fits ? block_new(ghee_schema_root(schema), release, user) : NULL;
  if (!into) {
    if (release) release(user);
    return fits ? ghee_error_no_memory(err, "reading a frame")
                : ghee_error_set(err, GHEE_CORRUPT, "a frame of %llu bytes has no valid head", (unsigned long long)size_bytes);
  }
  cursor from = {.frame = data, .size = header.total_size, .node = (const ghee_frame_node *)((const ghee_frame_header *)data + 1), .into = into};
  from.last_node = from.node + header.nodes;
  from.buffer = (const ghee_frame_buffer *)from.last_node;
  from.last_buffer = from.buffer + header.buffers;
  struct ArrowArray top = {.length = (int64_t)header.rows, .n_buffers = 1, .n_children = arrow->n_children, .children = into->pointers,
                           .buffers = into->buffers, .release = release_top, .private_data = into};
  into->pointers += arrow->n_children;
  into->buffers += 1;
  bool ok = true;
  for (int64_t i = 0; i < arrow->n_children && ok; i++) {
    top.children[i] = read_field(arrow->children[i], &from);
    ok = top.children[i] && (uint64_t)top.children[i]->length == header.rows;
  }
  if (!ok || from.node != from.last_node || from.buffer != from.last_buffer) {
    release_top(&top);
    return ghee_error_set(err, GHEE_CORRUPT, "a frame does not fit its schema");
  }
  /* A trusted frame was written by ghee_frame_write, whose lengths agree; of others buffer sizes are checked against lengths. */
  if (!trusted) {
    ghee_status status = ghee_frame_check(arrow, &top, data, err);
    if (status != GHEE_OK) {
      release_top(&top);
      return status;
    }
  }
  return ghee_batch_new(schema, &top, trusted, out, err);
}
