/* SPDX-License-Identifier: Apache-2.0
 * Owned arrays, filled piece by piece. Fixed widths go by memcpy of whole ranges; rows by index one by one. */
#include "batch/assemble.h"

#include <string.h>

#include "base/memory.h"
#include "batch/unify.h"

static void release_own(struct ArrowArray *array) {
  for (int64_t i = 0; i < array->n_buffers; i++) ghee_free_aligned((void *)array->buffers[i]);
  for (int64_t i = 0; i < array->n_children; i++) {
    if (!array->children[i]) continue;
    if (array->children[i]->release) array->children[i]->release(array->children[i]);
    ghee_free(array->children[i]);
  }
  if (array->dictionary) {
    if (array->dictionary->release) array->dictionary->release(array->dictionary);
    ghee_free(array->dictionary);
  }
  ghee_free(array->buffers);
  ghee_free(array->children);
  array->release = NULL;
}

ghee_status ghee_array_own(int64_t length, int64_t n_buffers, int64_t n_children, struct ArrowArray *out, ghee_error *err) {
  struct ArrowArray array = {.length = length, .n_buffers = n_buffers, .n_children = n_children, .release = release_own};
  array.buffers = ghee_alloc_zero((size_t)n_buffers + 1, sizeof *array.buffers);
  array.children = ghee_alloc_zero((size_t)n_children + 1, sizeof *array.children);
  bool ok = array.buffers && array.children;
  for (int64_t i = 0; i < n_children && ok; i++) ok = (array.children[i] = ghee_alloc_zero(1, sizeof **array.children)) != NULL;
  if (ok) {
    *out = array;
    return GHEE_OK;
  }
  if (!array.buffers) array.n_buffers = 0;
  if (!array.children) array.n_children = 0;
  release_own(&array);
  return ghee_error_no_memory(err, "making a batch");
}

void *ghee_array_buffer(struct ArrowArray *array, int i, int64_t size_bytes) {
  void *memory = ghee_alloc_aligned((size_t)size_bytes);
  array->buffers[i] = memory;
  return memory;
}

ghee_status ghee_batch_own(ghee_schema *schema, int64_t rows, ghee_batch *out, ghee_error *err) {
  GHEE_TRY(ghee_array_own(rows, 1, ghee_schema_columns(schema), &out->array, err));
  out->schema = ghee_schema_ref(schema);
  return GHEE_OK;
}

static int64_t row_of(const ghee_piece *piece, int64_t i) { return piece->rows ? piece->rows[i] : i; }

static int64_t total(const ghee_piece *pieces, size_t n) {
  int64_t rows = 0;
  for (size_t i = 0; i < n; i++) rows += pieces[i].n;
  return rows;
}

/* ---- validity ---- */

static ghee_status fill_validity(const ghee_piece *pieces, size_t n, struct ArrowArray *out, ghee_error *err) {
  bool any = false;
  for (size_t p = 0; p < n && !any; p++) any = ghee_column_nulls(&pieces[p].column) > 0;
  if (!any || out->n_buffers == 0) return GHEE_OK;
  uint8_t *bits = ghee_array_buffer(out, 0, ghee_bits_bytes(out->length));
  if (!bits) return ghee_error_no_memory(err, "copying a column");
  memset(bits, 0, (size_t)ghee_bits_bytes(out->length));
  int64_t at = 0, nulls = 0;
  for (size_t p = 0; p < n; p++)
    for (int64_t i = 0; i < pieces[p].n; i++, at++) {
      if (ghee_column_valid(&pieces[p].column, row_of(&pieces[p], i))) ghee_bit_set(bits, at);
      else nulls++;
    }
  out->null_count = nulls;
  return GHEE_OK;
}

/* ---- values ---- */

static void copy_rows(const ghee_piece *piece, size_t width, uint8_t *into) {
  const uint8_t *from = (const uint8_t *)piece->column.array->buffers[1] + (size_t)piece->column.start * width;
  if (!piece->rows) {
    memcpy(into, from, (size_t)piece->n * width);
    return;
  }
  switch (width) {
    case 1: for (int64_t i = 0; i < piece->n; i++) into[i] = from[piece->rows[i]]; return;
    case 2: for (int64_t i = 0; i < piece->n; i++) ((uint16_t *)into)[i] = ((const uint16_t *)from)[piece->rows[i]]; return;
    case 4: for (int64_t i = 0; i < piece->n; i++) ((uint32_t *)into)[i] = ((const uint32_t *)from)[piece->rows[i]]; return;
    case 8: for (int64_t i = 0; i < piece->n; i++) ((uint64_t *)into)[i] = ((const uint64_t *)from)[piece->rows[i]]; return;
    default: for (int64_t i = 0; i < piece->n; i++) memcpy(into + (size_t)i * width, from + (size_t)piece->rows[i] * width, width);
  }
}

static ghee_status fill_fixed(const ghee_piece *pieces, size_t n, size_t width, struct ArrowArray *out, ghee_error *err) {
  uint8_t *into = ghee_array_buffer(out, 1, out->length * (int64_t)width);
  if (!into) return ghee_error_no_memory(err, "copying a column");
  for (size_t p = 0; p < n; p++) {
    if (pieces[p].n > 0) copy_rows(&pieces[p], width, into);
    into += (size_t)pieces[p].n * width;
  }
  return GHEE_OK;
}

static ghee_status fill_bools(const ghee_piece *pieces, size_t n, struct ArrowArray *out, ghee_error *err) {
  uint8_t *bits = ghee_array_buffer(out, 1, ghee_bits_bytes(out->length));
  if (!bits) return ghee_error_no_memory(err, "copying a column");
  memset(bits, 0, (size_t)ghee_bits_bytes(out->length));
  int64_t at = 0;
  for (size_t p = 0; p < n; p++)
    for (int64_t i = 0; i < pieces[p].n; i++, at++)
      if (ghee_bit(pieces[p].column.array->buffers[1], pieces[p].column.start + row_of(&pieces[p], i))) ghee_bit_set(bits, at);
  return GHEE_OK;
}

static int64_t size_at(const ghee_column *column, int64_t row) { return ghee_column_offset(column, row + 1) - ghee_column_offset(column, row); }

/* Offsets of all rows, from 0; *end is the sum. */
static ghee_status fill_offsets(const ghee_piece *pieces, size_t n, bool large, struct ArrowArray *out, int64_t *end, ghee_error *err) {
  void *into = ghee_array_buffer(out, 1, (out->length + 1) * (large ? 8 : 4));
  if (!into) return ghee_error_no_memory(err, "copying a column");
  int64_t at = 0, sum = 0;
  for (size_t p = 0; p < n; p++)
    for (int64_t i = 0; i < pieces[p].n; i++, at++) {
      if (large) ((int64_t *)into)[at] = sum;
      else ((int32_t *)into)[at] = (int32_t)sum;
      sum += size_at(&pieces[p].column, row_of(&pieces[p], i));
      if (!large && sum > INT32_MAX)
        return ghee_error_set(err, GHEE_LIMIT, "column %s would have more than 2 GiB in one batch: lower batch_size", pieces[0].column.field->name);
    }
  if (large) ((int64_t *)into)[at] = sum;
  else ((int32_t *)into)[at] = (int32_t)sum;
  *end = sum;
  return GHEE_OK;
}

static ghee_status fill_texts(const ghee_piece *pieces, size_t n, struct ArrowArray *out, ghee_error *err) {
  int64_t end;
  GHEE_TRY(fill_offsets(pieces, n, ghee_kind_is_large(pieces[0].column.type.kind), out, &end, err));
  uint8_t *into = ghee_array_buffer(out, 2, end);
  if (!into) return ghee_error_no_memory(err, "copying a column");
  for (size_t p = 0; p < n; p++) {
    const ghee_column *column = &pieces[p].column;
    const uint8_t *from = column->array->buffers[2];
    if (!pieces[p].rows && pieces[p].n > 0) {
      int64_t first = ghee_column_offset(column, 0), size = ghee_column_offset(column, pieces[p].n) - first;
      if (size) memcpy(into, from + first, (size_t)size);
      into += size;
      continue;
    }
    for (int64_t i = 0; i < pieces[p].n; i++) {
      int64_t size = size_at(column, row_of(&pieces[p], i));
      if (size) memcpy(into, from + ghee_column_offset(column, row_of(&pieces[p], i)), (size_t)size);
      into += size;
    }
  }
  return GHEE_OK;
}

/* ---- nested ---- */

/* The rows of a child that a piece's rows stand for: n times `each` in fixed lists, one by one in structs, ranges in lists. */
static ghee_status child_piece(const ghee_piece *piece, int64_t child, ghee_piece *out, uint32_t **own, ghee_error *err) {
  const ghee_column *column = &piece->column;
  *own = NULL;
  out->column = ghee_column_child(column, child);
  out->rows = NULL;
  out->n = out->column.length;
  if (column->type.kind == GHEE_STRUCT) {
    out->rows = piece->rows;
    out->n = piece->n;
    return GHEE_OK;
  }
  if (!piece->rows) return GHEE_OK;
  bool fixed = column->type.kind == GHEE_FIXED_LIST;
  int64_t first = fixed ? 0 : column->length ? ghee_column_offset(column, 0) : 0, count = 0, at = 0;
  for (int64_t i = 0; i < piece->n; i++) count += fixed ? column->type.fixed_size : size_at(column, piece->rows[i]);
  uint32_t *rows = ghee_alloc(((size_t)count + 1) * sizeof *rows);
  if (!rows) return ghee_error_no_memory(err, "copying a column");
  for (int64_t i = 0; i < piece->n; i++) {
    int64_t from = fixed ? (int64_t)piece->rows[i] * column->type.fixed_size : ghee_column_offset(column, piece->rows[i]) - first;
    int64_t size = fixed ? column->type.fixed_size : size_at(column, piece->rows[i]);
    for (int64_t k = 0; k < size; k++) rows[at++] = (uint32_t)(from + k);
  }
  out->rows = *own = rows;
  out->n = count;
  return GHEE_OK;
}

static ghee_status fill_children(const struct ArrowSchema *field, const ghee_piece *pieces, size_t n, struct ArrowArray *out, ghee_error *err) {
  ghee_piece *below = ghee_alloc_zero(n + 1, sizeof *below);
  uint32_t **own = ghee_alloc_zero(n + 1, sizeof *own);
  ghee_status status = below && own ? GHEE_OK : ghee_error_no_memory(err, "copying a column");
  for (int64_t child = 0; child < field->n_children && status == GHEE_OK; child++) {
    for (size_t p = 0; p < n && status == GHEE_OK; p++) status = child_piece(&pieces[p], child, &below[p], &own[p], err);
    if (status == GHEE_OK) status = ghee_assemble(field->children[child], below, n, out->children[child], err);
    for (size_t p = 0; p < n; p++) {
      ghee_free(own[p]);
      own[p] = NULL;
    }
  }
  ghee_free(below);
  ghee_free(own);
  return status;
}

/* ---- dictionaries ---- */

static void put_index(void *data, int32_t width_bits, int64_t at, int64_t value) {
  switch (width_bits) {
    case 8: ((uint8_t *)data)[at] = (uint8_t)value; return;
    case 16: ((uint16_t *)data)[at] = (uint16_t)value; return;
    case 32: ((uint32_t *)data)[at] = (uint32_t)value; return;
    default: ((int64_t *)data)[at] = value;
  }
}

static ghee_status fill_dictionary(const struct ArrowSchema *field, const ghee_piece *pieces, size_t n, struct ArrowArray *out, ghee_error *err) {
  ghee_type type = pieces[0].column.type;
  int64_t at = 0, most = type.width_bits >= 32 ? INT32_MAX : ((int64_t)1 << (type.width_bits - ghee_kind_is_signed(type.kind))) - 1;
  ghee_unified all;
  GHEE_TRY(ghee_unify(pieces, n, &all, err));
  void *indices = ghee_array_buffer(out, 1, out->length * type.width_bits / 8);
  out->dictionary = ghee_alloc_zero(1, sizeof *out->dictionary);
  ghee_status status = indices && out->dictionary ? GHEE_OK : ghee_error_no_memory(err, "copying a column");
  if (status == GHEE_OK && all.count - 1 > most)
    status = ghee_error_set(err, GHEE_LIMIT, "the dictionaries of column %s together have %lld entries, more than its indices can say: cast it to its values", field->name, (long long)all.count);
  for (size_t p = 0; p < n && status == GHEE_OK; p++)
    for (int64_t i = 0; i < pieces[p].n; i++, at++) {
      int64_t row = row_of(&pieces[p], i), index = ghee_column_valid(&pieces[p].column, row) ? ghee_column_index(&pieces[p].column, row) : -1;
      put_index(indices, type.width_bits, at, index < 0 ? 0 : all.index_of[p] ? all.index_of[p][index] : index);
    }
  if (status == GHEE_OK) status = ghee_assemble(field->dictionary, all.entries, all.n_entries, out->dictionary, err);
  ghee_unified_fini(&all);
  return status;
}

static ghee_status fill(const struct ArrowSchema *field, const ghee_piece *pieces, size_t n, struct ArrowArray *out, ghee_error *err) {
  ghee_type type = pieces[0].column.type;
  GHEE_TRY(fill_validity(pieces, n, out, err));
  if (type.kind == GHEE_NULL) {
    out->null_count = out->length;
    return GHEE_OK;
  }
  if (field->dictionary) return fill_dictionary(field, pieces, n, out, err);
  if (type.kind == GHEE_BOOL) return fill_bools(pieces, n, out, err);
  if (ghee_kind_is_text(type.kind)) return fill_texts(pieces, n, out, err);
  if (ghee_kind_is_list(type.kind)) {
    int64_t end;
    GHEE_TRY(fill_offsets(pieces, n, ghee_kind_is_large(type.kind), out, &end, err));
  } else if (type.n_buffers > 1) {
    GHEE_TRY(fill_fixed(pieces, n, (size_t)type.width_bits / 8, out, err));
  }
  return field->n_children ? fill_children(field, pieces, n, out, err) : GHEE_OK;
}

ghee_status ghee_assemble(const struct ArrowSchema *field, const ghee_piece *pieces, size_t n, struct ArrowArray *out, ghee_error *err) {
  struct ArrowArray array;
  GHEE_TRY(ghee_array_own(total(pieces, n), pieces[0].column.type.n_buffers, field->n_children, &array, err));
  ghee_status status = fill(field, pieces, n, &array, err);
  if (status != GHEE_OK) {
    array.release(&array);
    return status;
  }
  *out = array;
  return GHEE_OK;
}
