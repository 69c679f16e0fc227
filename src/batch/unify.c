/* SPDX-License-Identifier: Apache-2.0
 * Dictionaries made one: entries are found by hash and compared by value. */
#include "batch/unify.h"

#include "base/hash.h"
#include "base/memory.h"

/* Equal values have equal hashes; nested ones all have one, and are told apart by comparing. */
static uint64_t hash_of(const ghee_column *column, int64_t row) {
  if (!ghee_column_valid(column, row) || column->field->dictionary) return 0;
  if (ghee_kind_is_text(column->type.kind)) {
    int64_t from = ghee_column_offset(column, row), size = ghee_column_offset(column, row + 1) - from;
    return size ? ghee_hash((const uint8_t *)column->array->buffers[2] + from, (size_t)size, 1) : 1;
  }
  size_t width = (size_t)column->type.width_bits / 8;
  return width ? ghee_hash((const uint8_t *)column->array->buffers[1] + (size_t)(column->start + row) * width, width, 1) : 1;
}

/* Entries by their hash: 1 + the number of the entry's run, which says where it was first met. */
typedef struct table { ghee_map by_hash; size_t room; ghee_unified *into; } table;

static bool grow(table *of) {
  size_t room = of->room ? of->room * 2 : 64;
  ghee_run *runs = ghee_realloc(of->into->runs, room * sizeof *runs);
  if (!runs) return false;
  of->into->runs = runs;
  of->room = room;
  return true;
}

/* Finds or adds entry `row` of the dictionary of a column. */
static bool find(table *of, uint32_t column, int64_t row, uint32_t *out) {
  ghee_unified *into = of->into;
  const ghee_column *from = &into->columns[column];
  for (uint64_t key = hash_of(from, row);; key++) {
    size_t there = (size_t)(uintptr_t)ghee_map_get(&of->by_hash, key);
    const ghee_run *known = there ? &into->runs[there - 1] : NULL;
    if (known && !ghee_column_same(&into->columns[known->column], known->first, from, row)) continue;
    *out = (uint32_t)(known ? there - 1 : into->n_runs);
    if (known) return true;
    if (into->n_runs == of->room && !grow(of)) return false;
    into->runs[into->n_runs++] = (ghee_run){.first = row, .n = 1, .column = column};
    return ghee_map_put(&of->by_hash, key, (void *)(uintptr_t)into->n_runs);
  }
}

static bool add_run(table *of, const ghee_column *column, const ghee_run *run) {
  uint32_t *index_of = of->into->index_of[run->column], index;
  for (int64_t row = run->first; row < run->first + run->n; row++) {
    if (!ghee_column_valid(column, row)) continue;
    int64_t at = ghee_column_number(column, row);
    if (index_of[at]) continue;
    if (!find(of, run->column, at, &index)) return false;
    index_of[at] = index + 1;
  }
  return true;
}

static bool unify(const ghee_selection *of, ghee_unified *into) {
  table entries = {.into = into};
  bool ok = true;
  for (size_t c = 0; c < of->n_columns && ok; c++) {
    into->index_of[c] = ghee_alloc_zero((size_t)into->columns[c].length + 1, sizeof **into->index_of);
    ok = into->index_of[c] != NULL;
  }
  for (size_t r = 0; r < of->n_runs && ok; r++) ok = add_run(&entries, &of->columns[of->runs[r].column], &of->runs[r]);
  ghee_map_fini(&entries.by_hash);
  into->count = (int64_t)into->n_runs;
  return ok;
}

static bool one_for_all(const ghee_selection *of) {
  for (size_t c = 1; c < of->n_columns; c++)
    if (of->columns[c].array->dictionary != of->columns[0].array->dictionary) return false;
  return true;
}

/* The one dictionary whole. */
static bool keep(ghee_unified *into) {
  into->runs = ghee_alloc(sizeof *into->runs);
  if (!into->runs) return false;
  into->count = into->columns[0].length;
  into->runs[into->n_runs++] = (ghee_run){.n = into->count};
  return true;
}

ghee_status ghee_unify(const ghee_selection *of, ghee_unified *out, ghee_error *err) {
  ghee_unified made = {.n_columns = of->n_columns};
  made.index_of = ghee_alloc_zero(of->n_columns, sizeof *made.index_of);
  made.columns = ghee_alloc(of->n_columns * sizeof *made.columns);
  bool ok = made.index_of && made.columns;
  for (size_t c = 0; c < of->n_columns && ok; c++) made.columns[c] = ghee_column_dictionary(&of->columns[c]);
  if (ok) ok = one_for_all(of) ? keep(&made) : unify(of, &made);
  if (ok) *out = made;
  else ghee_unified_fini(&made);
  return ok ? GHEE_OK : ghee_error_no_memory(err, "copying a column");
}

void ghee_unified_fini(ghee_unified *unified) {
  for (size_t c = 0; unified->index_of && c < unified->n_columns; c++) ghee_free(unified->index_of[c]);
  ghee_free(unified->index_of);
  ghee_free(unified->columns);
  ghee_free(unified->runs);
}
