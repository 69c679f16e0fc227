/* SPDX-License-Identifier: Apache-2.0
 * Bounds for the filter: of each of its columns the least and the greatest value and the count of nulls. */
#include "plan/judge.h"

#include <stdio.h>
#include <string.h>

#include "batch/assemble.h"
#include "batch/schema_copy.h"

/* Index of the key, -1: the column is the file's. */
static int64_t key_of(const ghee_judge *of, const char *column) {
  for (size_t k = 0; k < of->keys->count; k++)
    if (strcmp(of->keys->items[k].name, column) == 0) return (int64_t)k;
  return -1;
}

/* Bounds that are being made, of `rows` parts, or of a file as a whole in one row. */
typedef struct bounds { const ghee_judge *of; int64_t rows; bool file; struct ArrowSchema fields; struct ArrowArray columns; } bounds;

static ghee_status put(bounds *to, int64_t at, ghee_kind kind, const ghee_folder_value *value, ghee_error *err) {
  char name[32];
  snprintf(name, sizeof name, "%lld", (long long)at);
  GHEE_TRY(ghee_arrow_schema_init(ghee_folder_format(kind), name, NULL, 0, ARROW_FLAG_NULLABLE, 0, false, to->fields.children[at], err));
  return ghee_folder_column(kind, value, to->rows, to->columns.children[at], err);
}

/* The three columns of a key, or of a column that nothing is known of (-1). How many of its rows are null is said of a file, as which one row
 * stands, and of parts only where none is. */
static ghee_status put_key(bounds *to, int64_t at, int64_t key, ghee_error *err) {
  static char said[] = "";
  static const ghee_folder_value unknown; /* null */
  const ghee_folder_value *value = key < 0 ? &unknown : &to->of->values->items[key];
  ghee_folder_value nulls = {.text = key >= 0 && (to->file || value->text) ? said : NULL, .number = !value->text};
  ghee_kind kind = key < 0 ? GHEE_INT64 : to->of->keys->items[key].kind;
  GHEE_TRY(put(to, at, kind, value, err));
  GHEE_TRY(put(to, at + 1, kind, value, err));
  return put(to, at + 2, GHEE_INT64, &nulls, err);
}

static ghee_status move_known(bounds *to, int64_t at, ghee_batch *known, int64_t from, ghee_error *err) {
  for (int64_t i = 0; i < 3; i++) {
    GHEE_TRY(ghee_schema_copy_arrow(ghee_schema_arrow(known->schema)->children[from + i], to->fields.children[at + i], err));
    *to->columns.children[at + i] = *known->array.children[from + i];
    known->array.children[from + i]->release = NULL;
  }
  return GHEE_OK;
}

/* `known`: of the columns that are no keys, in their order; NULL: nothing. */
static ghee_status put_all(bounds *to, const char *const *columns, size_t n, ghee_batch *known, ghee_error *err) {
  int64_t next = 0;
  for (size_t c = 0; c < n; c++) {
    int64_t key = key_of(to->of, columns[c]);
    bool moved = key < 0 && known;
    GHEE_TRY(moved ? move_known(to, 3 * (int64_t)c, known, next, err) : put_key(to, 3 * (int64_t)c, key, err));
    if (moved) next += 3;
  }
  return GHEE_OK;
}

static ghee_status make_bounds(const ghee_judge *of, ghee_batch *known, int64_t rows, bool file, ghee_batch *out, ghee_error *err) {
  size_t n;
  const char *const *columns = ghee_filter_columns(of->filter, &n);
  bounds to = {.of = of, .rows = rows, .file = file};
  ghee_schema *schema;
  GHEE_TRY(ghee_arrow_schema_init("+s", NULL, NULL, 0, 0, 3 * (int64_t)n, false, &to.fields, err));
  ghee_status status = ghee_array_own(rows, 1, 3 * (int64_t)n, &to.columns, err);
  if (status == GHEE_OK) status = put_all(&to, columns, n, known, err);
  if (status != GHEE_OK) {
    to.fields.release(&to.fields);
    if (to.columns.release) to.columns.release(&to.columns);
    return status;
  }
  status = ghee_schema_new(&to.fields, &schema, err);
  if (status != GHEE_OK) {
    to.columns.release(&to.columns);
    return status;
  }
  status = ghee_batch_new(schema, &to.columns, true, out, err);
  ghee_schema_unref(schema);
  return status;
}

ghee_status ghee_judge_file(const ghee_judge *of, ghee_schema *schema, bool *may_pass, ghee_error *err) {
  ghee_predicate *predicate;
  ghee_batch row = {0};
  *may_pass = true;
  if (!of->filter || of->keys->count == 0) return GHEE_OK;
  GHEE_TRY(ghee_predicate_new(of->filter, schema, &predicate, err));
  ghee_status status = make_bounds(of, NULL, 1, true, &row, err);
  if (status == GHEE_OK) *may_pass = ghee_predicate_may_pass(predicate, &row, 0, 1);
  ghee_batch_release(&row);
  ghee_predicate_free(predicate);
  return status;
}

ghee_status ghee_judge_open(ghee_judge *of, ghee_file *file, ghee_schema *schema, ghee_error *err) {
  size_t n, n_known = 0;
  if (!of->filter || !of->format->bounds) return GHEE_OK;
  const char *const *columns = ghee_filter_columns(of->filter, &n), **of_file = ghee_alloc((n + 1) * sizeof *of_file);
  ghee_batch known = {0};
  if (!of_file) return ghee_error_no_memory(err, "planning");
  for (size_t c = 0; c < n; c++)
    if (key_of(of, columns[c]) < 0) of_file[n_known++] = columns[c];
  ghee_status status = n_known ? of->format->bounds(file, of_file, n_known, &known, err) : GHEE_OK;
  ghee_free(of_file);
  if (status == GHEE_OK && n_known > 0) status = make_bounds(of, &known, ghee_batch_rows(&known), false, &of->bounds, err);
  if (status == GHEE_OK && n_known > 0) status = ghee_predicate_new(of->filter, schema, &of->predicate, err);
  ghee_batch_release(&known);
  return status;
}

bool ghee_judge_part(const ghee_judge *of, const ghee_part *part) {
  return !of->predicate || ghee_predicate_may_pass(of->predicate, &of->bounds, part->index, part->rows);
}

void ghee_judge_fini(ghee_judge *of) {
  ghee_predicate_free(of->predicate);
  ghee_batch_release(&of->bounds);
}
