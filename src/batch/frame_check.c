/* SPDX-License-Identifier: Apache-2.0
 * Buffer sizes of a frame from a stranger against the lengths that it claims. */
#include "batch/column.h"
#include "batch/frame.h"
#include "batch/frame_layout.h"

/* Rows that take no bytes could be claimed without end. */
enum { MOST_ROWS_OF_NOTHING = INT32_MAX };

static int64_t last_offset(const struct ArrowArray *array, ghee_kind kind, uint64_t n) {
  if (n == 0) return 0;
  return ghee_kind_is_large(kind) ? ((const int64_t *)array->buffers[1])[n] : ((const int32_t *)array->buffers[1])[n];
}

/* Children hold the rows of their parent and no more, as they are written: nothing lies where the checks of a batch do not look. */
static bool children_fit(const struct ArrowArray *array, const ghee_type *type, uint64_t n) {
  int64_t want = type->kind == GHEE_FIXED_LIST ? (int64_t)n * type->fixed_size : ghee_kind_is_list(type->kind) ? last_offset(array, type->kind, n) : (int64_t)n;
  for (int64_t i = 0; i < array->n_children; i++)
    if (array->children[i]->length != want) return false;
  return true;
}

/* Walks arrays and the frame's buffer table side by side (they were made of each other). */
static bool check(const struct ArrowSchema *field, const struct ArrowArray *array, const ghee_frame_buffer **at) {
  ghee_type type;
  if (ghee_type_parse(field->format, &type, NULL) != GHEE_OK || array->length > INT64_MAX / 64) return false;
  uint64_t n = (uint64_t)array->length;
  uint64_t validity = array->null_count ? (n + 7) / 8 : 0, width = ghee_kind_is_large(type.kind) ? 8 : 4;
  bool offsets = ghee_kind_has_offsets(type.kind);
  if (type.width_bits == 0 && !offsets && n > MOST_ROWS_OF_NOTHING) return false;
  for (int i = 0; i < type.n_buffers; i++) {
    uint64_t size = (*at)++->size, least = i == 0 ? validity : 0;
    if (i == 1 && offsets) least = n ? (n + 1) * width : 0;
    if (i == 1 && !offsets) {
      if (type.width_bits && n > UINT64_MAX / (uint64_t)type.width_bits / 2) return false;
      least = (n * (uint64_t)type.width_bits + 7) / 8;
    }
    if (i == 2) {
      int64_t end = last_offset(array, type.kind, n);
      if (end < 0) return false;
      least = (uint64_t)end;
    }
    if (size < least) return false;
  }
  if (!children_fit(array, &type, n)) return false;
  for (int64_t i = 0; i < field->n_children; i++)
    if (!check(field->children[i], array->children[i], at)) return false;
  return !field->dictionary || check(field->dictionary, array->dictionary, at);
}

ghee_status ghee_frame_check(const struct ArrowSchema *schema, const struct ArrowArray *top, const void *frame, ghee_error *err) {
  const ghee_frame_header *header = frame;
  const ghee_frame_buffer *at = (const ghee_frame_buffer *)((const ghee_frame_node *)(header + 1) + header->nodes);
  for (int64_t i = 0; i < schema->n_children; i++)
    if (!check(schema->children[i], top->children[i], &at)) return ghee_error_set(err, GHEE_CORRUPT, "a frame's buffers are shorter than its rows need");
  return GHEE_OK;
}
