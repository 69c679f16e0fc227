/* SPDX-License-Identifier: Apache-2.0
 * Batches to frames: a walk that measures, and the same walk that writes. */
#include <string.h>

#include "base/copy.h"
#include "batch/column.h"
#include "batch/frame.h"
#include "batch/frame_layout.h"

static uint64_t offset_width(ghee_kind kind) { return ghee_kind_is_large(kind) ? 8 : 4; }

/* Bytes of buffer i of the range, as it is written. */
static uint64_t buffer_bytes(const ghee_column *column, int i, int64_t nulls) {
  uint64_t n = (uint64_t)column->length;
  if (i == 0) return nulls ? (uint64_t)ghee_bits_bytes(column->length) : 0;
  if (ghee_kind_is_text(column->type.kind) && i == 2)
    return n ? (uint64_t)(ghee_column_offset(column, column->length) - ghee_column_offset(column, 0)) : 0;
  if (ghee_kind_is_text(column->type.kind) || ghee_kind_is_list(column->type.kind)) return n ? (n + 1) * offset_width(column->type.kind) : 0;
  return column->type.kind == GHEE_BOOL ? (uint64_t)ghee_bits_bytes(column->length) : n * (uint64_t)column->type.width_bits / 8;
}

static void measure(const ghee_column *column, uint64_t *body) {
  int64_t nulls = ghee_column_nulls(column);
  for (int i = 0; i < column->type.n_buffers; i++) *body += ghee_frame_align(buffer_bytes(column, i, nulls));
  for (int64_t i = 0; i < column->field->n_children; i++) {
    ghee_column child = ghee_column_child(column, i);
    measure(&child, body);
  }
  if (!column->field->dictionary) return;
  ghee_column dictionary = ghee_column_dictionary(column);
  measure(&dictionary, body);
}

/* Without the field "+s" of the batch itself. */
static uint32_t nodes_of(const ghee_schema *schema) { return (uint32_t)ghee_schema_root(schema)->nodes - 1; }
static uint32_t buffers_of(const ghee_schema *schema) { return (uint32_t)(ghee_schema_root(schema)->buffers - (size_t)ghee_schema_root(schema)->type.n_buffers); }

uint64_t ghee_frame_head_bytes(const ghee_schema *schema) {
  return ghee_frame_align(sizeof(ghee_frame_header) + nodes_of(schema) * sizeof(ghee_frame_node) + buffers_of(schema) * sizeof(ghee_frame_buffer));
}

ghee_status ghee_frame_size(const ghee_batch *batch, uint64_t *out_bytes, ghee_error *err) {
  (void)err;
  *out_bytes = ghee_frame_head_bytes(batch->schema);
  for (int64_t i = 0, n = ghee_schema_columns(batch->schema); i < n; i++) {
    ghee_column column = ghee_column_at(batch, i);
    measure(&column, out_bytes);
  }
  return GHEE_OK;
}

/* `placed`: the buffers lie in the frame already. */
typedef struct cursor { uint8_t *frame; ghee_frame_node *node; ghee_frame_buffer *buffer; uint64_t at; bool placed; } cursor;

static void write_offsets(const ghee_column *column, void *into) {
  if (ghee_kind_is_large(column->type.kind)) {
    const int64_t *from = (const int64_t *)column->array->buffers[1] + column->start;
    for (int64_t i = 0; i <= column->length; i++) ((int64_t *)into)[i] = from[i] - from[0];
  } else {
    const int32_t *from = (const int32_t *)column->array->buffers[1] + column->start;
    if (from[0] == 0) ghee_copy_out(into, from, (size_t)(column->length + 1) * 4);
    else for (int64_t i = 0; i <= column->length; i++) ((int32_t *)into)[i] = from[i] - from[0];
  }
}

static void write_buffer(const ghee_column *column, int i, uint64_t size, void *into) {
  const uint8_t *from = column->array->buffers[i];
  ghee_kind kind = column->type.kind;
  if (i == 0 || kind == GHEE_BOOL) ghee_bits_copy(from, column->start, column->length, into);
  else if (ghee_kind_is_text(kind) && i == 2) ghee_copy_out(into, from + ghee_column_offset(column, 0), size);
  else if (ghee_kind_is_text(kind) || ghee_kind_is_list(kind)) write_offsets(column, into);
  else ghee_copy_out(into, from + column->start * column->type.width_bits / 8, size);
}

/* Writes a buffer behind those before it; returns its offset. */
static uint64_t append_buffer(const ghee_column *column, int i, uint64_t size, cursor *to) {
  uint64_t at = to->at, end = ghee_frame_align(size);
  write_buffer(column, i, size, to->frame + at);
  memset(to->frame + at + size, 0, end - size);
  to->at += end;
  return at;
}

static void write_column(const ghee_column *column, cursor *to) {
  int64_t nulls = ghee_column_nulls(column);
  *to->node++ = (ghee_frame_node){.length = column->length, .null_count = nulls};
  for (int i = 0; i < column->type.n_buffers; i++) {
    ghee_frame_buffer is = {.size = buffer_bytes(column, i, nulls)};
    if (is.size) is.offset = to->placed ? (uint64_t)((const uint8_t *)column->array->buffers[i] - to->frame) : append_buffer(column, i, is.size, to);
    *to->buffer++ = is;
  }
  for (int64_t i = 0; i < column->field->n_children; i++) {
    ghee_column child = ghee_column_child(column, i);
    write_column(&child, to);
  }
  if (!column->field->dictionary) return;
  ghee_column dictionary = ghee_column_dictionary(column);
  write_column(&dictionary, to);
}

static void write_frame(const ghee_batch *batch, void *into, uint64_t total, bool placed) {
  uint64_t head = ghee_frame_head_bytes(batch->schema);
  ghee_frame_header *header = into;
  *header = (ghee_frame_header){.magic = GHEE_FRAME_MAGIC, .version = GHEE_FRAME_VERSION, .rows = (uint64_t)batch->array.length, .nodes = nodes_of(batch->schema),
                                .buffers = buffers_of(batch->schema), .body_offset = head, .total_size = total};
  cursor to = {.frame = into, .node = (ghee_frame_node *)(header + 1), .at = head, .placed = placed};
  to.buffer = (ghee_frame_buffer *)(to.node + header->nodes);
  memset(to.buffer, 0, (size_t)((uint8_t *)into + head - (uint8_t *)to.buffer)); /* the gap before the body too */
  for (int64_t i = 0, n = ghee_schema_columns(batch->schema); i < n; i++) {
    ghee_column column = ghee_column_at(batch, i);
    write_column(&column, &to);
  }
}

ghee_status ghee_frame_write(const ghee_batch *batch, void *into, uint64_t size_bytes, ghee_error *err) {
  uint64_t total;
  GHEE_TRY(ghee_frame_size(batch, &total, err));
  if (size_bytes < total)
    return ghee_error_set(err, GHEE_INTERNAL, "a frame of %llu bytes does not fit into %llu", (unsigned long long)total, (unsigned long long)size_bytes);
  write_frame(batch, into, total, false);
  return GHEE_OK;
}

void ghee_frame_write_head(const ghee_batch *placed, void *into, uint64_t size_bytes) { write_frame(placed, into, size_bytes, true); }
