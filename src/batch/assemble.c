/* SPDX-License-Identifier: Apache-2.0
 * Arrays filled run by run: a run is copied at once, a row by index is a run of one. Lists hand runs of their items down. */
#include "batch/assemble.h"

#include <string.h>

#include "base/copy.h"
#include "base/memory.h"
#include "batch/unify.h"

static void release_own(struct ArrowArray *array) {
  bool placed = array->private_data != NULL; /* its buffers lie in a room of the caller's */
  for (int64_t i = 0; i < array->n_buffers && !placed; i++) ghee_free_aligned((void *)array->buffers[i]);
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

/* What is being made, of which rows, and where. */
typedef struct making { const ghee_selection *of; ghee_room *room; struct ArrowArray *out; ghee_error *err; } making;

enum { SHORT_RUN = 8 };

static uint64_t aligned(uint64_t n) { return (n + 63) & ~(uint64_t)63; }

/* Memory for buffer i; what follows it in a room up to the next buffer is zero. */
static ghee_status buffer(const making *it, int i, int64_t size, void *out) {
  uint8_t *memory = it->room ? it->room->at : ghee_array_buffer(it->out, i, size);
  if (!memory) return ghee_error_no_memory(it->err, "copying a column");
  if (it->room) {
    uint64_t whole = aligned((uint64_t)size);
    if (whole > (uint64_t)(it->room->end - memory))
      return ghee_error_set(it->err, GHEE_INTERNAL, "a column takes %llu bytes more than there is room for", (unsigned long long)whole);
    memset(memory + size, 0, whole - (uint64_t)size);
    it->room->at += whole;
    it->out->buffers[i] = memory;
  }
  *(void **)out = memory;
  return GHEE_OK;
}

static const ghee_column *column_of(const ghee_selection *of, const ghee_run *run) { return &of->columns[run->column]; }

static int64_t rows_of(const ghee_selection *of) {
  int64_t rows = 0;
  for (size_t r = 0; r < of->n_runs; r++) rows += of->runs[r].n;
  return rows;
}

/* ---- bits ---- */

static bool any_nulls(const ghee_selection *of) {
  for (size_t c = 0; c < of->n_columns; c++)
    if (ghee_column_nulls(&of->columns[c]) > 0) return true;
  return false;
}

/* Buffer i: validity, or booleans. */
static ghee_status fill_bits(const making *it, int i) {
  uint8_t *bits;
  GHEE_TRY(buffer(it, i, ghee_bits_bytes(it->out->length), &bits));
  memset(bits, 0, (size_t)ghee_bits_bytes(it->out->length));
  int64_t at = 0;
  for (size_t r = 0; r < it->of->n_runs; at += it->of->runs[r++].n) {
    const ghee_run *run = &it->of->runs[r];
    const ghee_column *from = column_of(it->of, run);
    const uint8_t *has = i == 0 ? ghee_column_validity(from) : from->array->buffers[i];
    if (has) ghee_bits_append(has, from->start + run->first, run->n, bits, at);
    else ghee_bits_fill(bits, at, run->n); /* all valid, or a run of none */
  }
  return GHEE_OK;
}

static ghee_status fill_validity(const making *it) {
  if (it->out->n_buffers == 0 || !any_nulls(it->of)) return GHEE_OK;
  GHEE_TRY(fill_bits(it, 0));
  it->out->null_count = it->out->length - ghee_bits_count(it->out->buffers[0], 0, it->out->length);
  return GHEE_OK;
}

/* ---- values ---- */

/* Another core reads a room next. */
static void copy(const making *it, void *to, const void *from, size_t size) {
  if (it->room) ghee_copy_out(to, from, size);
  else if (size) memcpy(to, from, size);
}

/* The processor sees a range coming once it has begun; where rows are drawn from everywhere, its beginning is asked for one run ahead. */
static inline void look_ahead(const ghee_selection *of, size_t r, size_t width) {
  enum { LINE = 64, LINES = 8 };
  if (r + 1 >= of->n_runs || of->runs[r + 1].n == 0 || width < LINE) return;
  const ghee_run *next = &of->runs[r + 1];
  const ghee_column *column = column_of(of, next);
  const char *from = (const char *)column->array->buffers[1] + (size_t)(column->start + next->first) * width;
  for (size_t i = 0; i < LINES && i * LINE < width; i++) __builtin_prefetch(from + i * LINE);
}

/* With a width that the compiler knows, a short run is a few loads and stores. */
static inline __attribute__((always_inline)) void copy_values(const making *it, size_t width, uint8_t *into) {
  for (size_t r = 0; r < it->of->n_runs; r++) {
    const ghee_run *run = &it->of->runs[r];
    if (run->n == 0) continue; /* its column may have no memory */
    const ghee_column *column = column_of(it->of, run);
    const uint8_t *from = (const uint8_t *)column->array->buffers[1] + (size_t)(column->start + run->first) * width;
    look_ahead(it->of, r, width);
    if (run->n <= SHORT_RUN && width <= 16) for (size_t i = 0; i < (size_t)run->n; i++) memcpy(into + i * width, from + i * width, width);
    else copy(it, into, from, (size_t)run->n * width);
    into += (size_t)run->n * width;
  }
}

static ghee_status fill_fixed(const making *it, size_t width) {
  uint8_t *into;
  GHEE_TRY(buffer(it, 1, it->out->length * (int64_t)width, &into));
  switch (width) {
    case 0: break;
    case 1: copy_values(it, 1, into); break;
    case 2: copy_values(it, 2, into); break;
    case 4: copy_values(it, 4, into); break;
    case 8: copy_values(it, 8, into); break;
    case 16: copy_values(it, 16, into); break;
    default: copy_values(it, width, into);
  }
  return GHEE_OK;
}

static inline int64_t load_offset(const void *offsets, bool large, int64_t at) { return large ? ((const int64_t *)offsets)[at] : ((const int32_t *)offsets)[at]; }

static inline void store_offset(void *offsets, bool large, int64_t at, int64_t offset) {
  if (large) ((int64_t *)offsets)[at] = offset;
  else ((int32_t *)offsets)[at] = (int32_t)offset;
}

/* False: they pass what 32 bits can say. */
static inline __attribute__((always_inline)) bool copy_offsets(const making *it, bool large, void *into, int64_t *end) {
  int64_t at = 0, sum = 0;
  for (size_t r = 0; r < it->of->n_runs; r++) {
    const ghee_run *run = &it->of->runs[r];
    if (run->n == 0) continue;
    const ghee_column *column = column_of(it->of, run);
    const void *offsets = column->array->buffers[1];
    int64_t first = column->start + run->first, base = load_offset(offsets, large, first) - sum;
    for (int64_t i = 0; i < run->n; i++) store_offset(into, large, at + i, load_offset(offsets, large, first + i) - base);
    at += run->n;
    sum = load_offset(offsets, large, first + run->n) - base;
    if (!large && sum > INT32_MAX) return false;
  }
  store_offset(into, large, at, sum);
  *end = sum;
  return true;
}

/* Offsets of all rows, from 0; *end is the sum. */
static ghee_status fill_offsets(const making *it, bool large, int64_t *end) {
  void *into;
  GHEE_TRY(buffer(it, 1, (it->out->length + 1) * (large ? 8 : 4), &into));
  if (large ? copy_offsets(it, true, into, end) : copy_offsets(it, false, into, end)) return GHEE_OK;
  return ghee_error_set(it->err, GHEE_LIMIT, "column %s would have more than 2 GiB in one batch: lower batch_size", it->of->columns[0].field->name);
}

static inline __attribute__((always_inline)) void copy_texts(const making *it, bool large, uint8_t *into) {
  for (size_t r = 0; r < it->of->n_runs; r++) {
    const ghee_run *run = &it->of->runs[r];
    if (run->n == 0) continue;
    const ghee_column *column = column_of(it->of, run);
    const void *offsets = column->array->buffers[1];
    int64_t first = column->start + run->first, from = load_offset(offsets, large, first);
    size_t size = (size_t)(load_offset(offsets, large, first + run->n) - from);
    if (size) copy(it, into, (const uint8_t *)column->array->buffers[2] + from, size);
    into += size;
  }
}

static ghee_status fill_texts(const making *it) {
  bool large = ghee_kind_is_large(it->of->columns[0].type.kind);
  uint8_t *into;
  int64_t end;
  GHEE_TRY(fill_offsets(it, large, &end));
  GHEE_TRY(buffer(it, 2, end, &into));
  if (large) copy_texts(it, true, into);
  else copy_texts(it, false, into);
  return GHEE_OK;
}

/* ---- nested ---- */

static int64_t run_size(const ghee_column *column, const ghee_run *run) {
  return ghee_column_offset(column, run->first + run->n) - ghee_column_offset(column, run->first);
}

static void selection_free(ghee_selection *of) {
  ghee_free((void *)of->columns);
  ghee_free((void *)of->runs);
}

static ghee_status selection_new(size_t n_columns, size_t n_runs, ghee_column **columns, ghee_run **runs, ghee_selection *out, ghee_error *err) {
  *columns = ghee_alloc(n_columns * sizeof **columns);
  *runs = ghee_alloc(n_runs * sizeof **runs);
  *out = (ghee_selection){*columns, n_columns, *runs, n_runs};
  if (*columns && *runs) return GHEE_OK;
  selection_free(out);
  return ghee_error_no_memory(err, "copying a column");
}

/* The rows of a child that a selection stands for: the same in structs, `fixed_size` each in fixed lists, ranges in lists. */
static ghee_status select_child(const ghee_selection *of, int64_t child, ghee_selection *out, ghee_error *err) {
  ghee_column *columns;
  ghee_run *runs;
  GHEE_TRY(selection_new(of->n_columns, of->n_runs, &columns, &runs, out, err));
  for (size_t c = 0; c < of->n_columns; c++) columns[c] = ghee_column_child(&of->columns[c], child);
  for (size_t r = 0; r < of->n_runs; r++) {
    const ghee_run *run = &of->runs[r];
    const ghee_column *column = column_of(of, run);
    int64_t each = column->type.kind == GHEE_FIXED_LIST ? column->type.fixed_size : 1;
    bool list = ghee_kind_is_list(column->type.kind);
    runs[r] = (ghee_run){.first = list ? ghee_column_offset(column, run->first) - ghee_column_offset(column, 0) : run->first * each,
                         .n = list ? run_size(column, run) : run->n * each, .column = run->column};
  }
  return GHEE_OK;
}

static ghee_status fill_children(const making *it, const struct ArrowSchema *field) {
  for (int64_t child = 0; child < field->n_children; child++) {
    ghee_selection below;
    GHEE_TRY(select_child(it->of, child, &below, it->err));
    ghee_status status = ghee_assemble(field->children[child], &below, it->room, it->out->children[child], it->err);
    selection_free(&below);
    GHEE_TRY(status);
  }
  return GHEE_OK;
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

static void put_indices(const making *it, const ghee_unified *all, void *indices) {
  int32_t width_bits = it->of->columns[0].type.width_bits;
  int64_t at = 0;
  for (size_t r = 0; r < it->of->n_runs; r++) {
    const ghee_run *run = &it->of->runs[r];
    const ghee_column *column = column_of(it->of, run);
    const uint32_t *index_of = all->index_of[run->column];
    for (int64_t row = run->first; row < run->first + run->n; row++) {
      int64_t index = ghee_column_valid(column, row) ? ghee_column_number(column, row) : -1;
      put_index(indices, width_bits, at++, index < 0 ? 0 : index_of ? (int64_t)index_of[index] - 1 : index);
    }
  }
}

static ghee_status fill_dictionary(const making *it, const struct ArrowSchema *field) {
  ghee_type type = it->of->columns[0].type;
  int64_t most = type.width_bits >= 32 ? INT32_MAX : ((int64_t)1 << (type.width_bits - ghee_kind_is_signed(type.kind))) - 1;
  void *indices;
  GHEE_TRY(buffer(it, 1, it->out->length * type.width_bits / 8, &indices));
  if (!(it->out->dictionary = ghee_alloc_zero(1, sizeof *it->out->dictionary))) return ghee_error_no_memory(it->err, "copying a column");
  ghee_unified all;
  GHEE_TRY(ghee_unify(it->of, &all, it->err));
  ghee_status status = GHEE_OK;
  if (all.count - 1 > most)
    status = ghee_error_set(it->err, GHEE_LIMIT, "the dictionaries of column %s together have %lld entries, more than its indices can say: cast it to its values",
                            field->name, (long long)all.count);
  ghee_selection entries = ghee_unified_entries(&all);
  if (status == GHEE_OK) {
    put_indices(it, &all, indices);
    status = ghee_assemble(field->dictionary, &entries, it->room, it->out->dictionary, it->err);
  }
  ghee_unified_fini(&all);
  return status;
}

static ghee_status fill(const making *it, const struct ArrowSchema *field) {
  ghee_type type = it->of->columns[0].type;
  GHEE_TRY(fill_validity(it));
  if (type.kind == GHEE_NULL) {
    it->out->null_count = it->out->length;
    return GHEE_OK;
  }
  if (field->dictionary) return fill_dictionary(it, field);
  if (type.kind == GHEE_BOOL) return fill_bits(it, 1);
  if (ghee_kind_is_text(type.kind)) return fill_texts(it);
  if (ghee_kind_is_list(type.kind)) {
    int64_t end;
    GHEE_TRY(fill_offsets(it, ghee_kind_is_large(type.kind), &end));
  } else if (type.n_buffers > 1) {
    GHEE_TRY(fill_fixed(it, (size_t)type.width_bits / 8));
  }
  return fill_children(it, field);
}

ghee_status ghee_assemble(const struct ArrowSchema *field, const ghee_selection *of, ghee_room *room, struct ArrowArray *out, ghee_error *err) {
  struct ArrowArray array;
  GHEE_TRY(ghee_array_own(rows_of(of), of->columns[0].type.n_buffers, field->n_children, &array, err));
  array.private_data = room;
  ghee_status status = fill(&(making){.of = of, .room = room, .out = &array, .err = err}, field);
  if (status != GHEE_OK) {
    array.release(&array);
    return status;
  }
  *out = array;
  return GHEE_OK;
}

/* ---- measuring: the same walk ---- */

/* Of all dictionaries whole, since only unifying them tells. */
static ghee_status dictionary_bytes(const struct ArrowSchema *field, const ghee_selection *of, uint64_t *sum, ghee_error *err) {
  ghee_selection all;
  ghee_column *columns;
  ghee_run *runs;
  GHEE_TRY(selection_new(of->n_columns, of->n_columns, &columns, &runs, &all, err));
  for (size_t c = 0; c < of->n_columns; c++) {
    columns[c] = ghee_column_dictionary(&of->columns[c]);
    runs[c] = (ghee_run){.n = columns[c].length, .column = (uint32_t)c};
  }
  ghee_status status = ghee_assemble_bytes(field->dictionary, &all, sum, err);
  selection_free(&all);
  return status;
}

static ghee_status children_bytes(const struct ArrowSchema *field, const ghee_selection *of, uint64_t *sum, ghee_error *err) {
  for (int64_t child = 0; child < field->n_children; child++) {
    ghee_selection below;
    GHEE_TRY(select_child(of, child, &below, err));
    ghee_status status = ghee_assemble_bytes(field->children[child], &below, sum, err);
    selection_free(&below);
    GHEE_TRY(status);
  }
  return GHEE_OK;
}

ghee_status ghee_assemble_bytes(const struct ArrowSchema *field, const ghee_selection *of, uint64_t *sum, ghee_error *err) {
  ghee_type type = of->columns[0].type;
  uint64_t rows = (uint64_t)rows_of(of);
  if (type.n_buffers > 0 && any_nulls(of)) *sum += aligned((rows + 7) / 8);
  if (ghee_kind_has_offsets(type.kind)) *sum += aligned((rows + 1) * (uint64_t)ghee_kind_offset_bytes(type.kind));
  else *sum += aligned((rows * (uint64_t)type.width_bits + 7) / 8);
  uint64_t text = 0;
  for (size_t r = 0; r < of->n_runs && ghee_kind_is_text(type.kind); r++) text += (uint64_t)run_size(column_of(of, &of->runs[r]), &of->runs[r]);
  *sum += aligned(text);
  return field->dictionary ? dictionary_bytes(field, of, sum, err) : children_bytes(field, of, sum, err);
}
