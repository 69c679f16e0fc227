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

/* An entry of the one dictionary: where it was first met. */
typedef struct entry { const ghee_column *column; int64_t row; uint32_t index; } entry;

typedef struct table { ghee_map by_hash; entry *entries; size_t count; } table;

static bool find(table *of, const ghee_column *column, int64_t row, uint32_t *out, bool *fresh) {
  for (uint64_t key = hash_of(column, row);; key++) {
    entry *there = ghee_map_get(&of->by_hash, key);
    *fresh = !there;
    if (there && !ghee_column_same(there->column, there->row, column, row)) continue;
    if (!there) {
      there = &of->entries[of->count];
      *there = (entry){.column = column, .row = row, .index = (uint32_t)of->count};
      if (!ghee_map_put(&of->by_hash, key, there)) return false;
      of->count++;
    }
    *out = there->index;
    return true;
  }
}

/* Leaves of a piece's whole dictionary the entries that are new; the second half of the memory says which. */
static bool add(table *of, ghee_piece *entries, uint32_t **index_of) {
  const ghee_column *column = &entries->column;
  uint32_t *indices = ghee_alloc_zero((size_t)column->length * 2 + 1, sizeof *indices), *rows = indices + column->length;
  if (!(*index_of = indices)) return false;
  entries->rows = rows;
  entries->n = 0;
  for (int64_t i = 0; i < column->length; i++) {
    bool fresh;
    if (!find(of, column, i, &indices[i], &fresh)) return false;
    if (fresh) rows[entries->n++] = (uint32_t)i;
  }
  return true;
}

static bool one_for_all(const ghee_piece *pieces, size_t n) {
  for (size_t p = 1; p < n; p++)
    if (pieces[p].column.array->dictionary != pieces[0].column.array->dictionary) return false;
  return true;
}

ghee_status ghee_unify(const ghee_piece *pieces, size_t n, ghee_unified *out, ghee_error *err) {
  bool one = one_for_all(pieces, n), ok;
  ghee_unified made = {.n = n, .n_entries = one ? 1 : n};
  made.index_of = ghee_alloc_zero(n, sizeof *made.index_of);
  made.entries = ghee_alloc_zero(n, sizeof *made.entries);
  ok = made.index_of && made.entries;
  int64_t total = 0;
  for (size_t p = 0; p < made.n_entries && ok; p++) {
    ghee_column dictionary = ghee_column_dictionary(&pieces[p].column);
    made.entries[p] = (ghee_piece){.column = dictionary, .n = dictionary.length};
    total += dictionary.length;
  }
  made.count = total;
  if (ok && !one) {
    table of = {.entries = ghee_alloc_zero((size_t)total + 1, sizeof *of.entries)};
    ok = of.entries != NULL;
    for (size_t p = 0; p < n && ok; p++) ok = add(&of, &made.entries[p], &made.index_of[p]);
    made.count = (int64_t)of.count;
    ghee_map_fini(&of.by_hash);
    ghee_free(of.entries);
  }
  if (ok) *out = made;
  else ghee_unified_fini(&made);
  return ok ? GHEE_OK : ghee_error_no_memory(err, "copying a column");
}

void ghee_unified_fini(ghee_unified *unified) {
  for (size_t p = 0; unified->index_of && p < unified->n; p++) ghee_free(unified->index_of[p]);
  ghee_free(unified->index_of);
  ghee_free(unified->entries);
}
