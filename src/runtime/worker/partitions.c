/* SPDX-License-Identifier: Apache-2.0
 * Partitions: a name for each row, a spool for each name. */
#include "runtime/worker/partitions.h"

#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "runtime/worker/partition_name.h"

enum { MOST_NAME = 255 }; /* bytes of one folder's name, as file systems have it */

typedef struct partition {
  char *name;
  ghee_spool spool;
  size_t rows, at; /* of the batch in work: how many are this partition's, and where its next goes */
} partition;

struct ghee_partitions {
  const char *const *columns;
  size_t n_columns;
  const char *folder;
  ghee_budget *budget;
  ghee_spill spill;
  GHEE_ARRAY(partition *) all;
  ghee_map by_name;          /* hash of the name → partition; a second name of one hash stands behind it, at the next free number */
  uint64_t bytes;
  ghee_schema *schema;       /* of the last batch that came */
  const char **kept_names;   /* its columns, less those; borrowed from it */
  size_t n_kept;
  ghee_buffer name;
  partition **of_row;
  uint32_t *order;
  size_t room;               /* rows that both have room for */
};

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "partitioning the output"); }

ghee_status ghee_partitions_new(const char *const *columns, size_t n, size_t budget_bytes, const char *folder, ghee_partitions **out, ghee_error *err) {
  ghee_partitions *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return no_memory(err);
  *of = (ghee_partitions){.columns = columns, .n_columns = n, .folder = folder};
  ghee_status status = ghee_budget_new(budget_bytes, &of->budget, err);
  if (status != GHEE_OK) {
    ghee_free(of);
    return status;
  }
  *out = of;
  return GHEE_OK;
}

void ghee_partitions_clear(ghee_partitions *of) {
  for (size_t i = 0; i < of->all.count; i++) {
    ghee_spool_fini(&of->all.items[i]->spool, of->budget);
    ghee_free(of->all.items[i]->name);
    ghee_free(of->all.items[i]);
  }
  of->all.count = 0;
  of->bytes = 0;
  ghee_map_fini(&of->by_name);
  ghee_spill_fini(&of->spill);
}

static void forget_schema(ghee_partitions *of) {
  ghee_schema_unref(of->schema);
  ghee_free(of->kept_names);
  of->schema = NULL;
  of->kept_names = NULL;
  of->n_kept = 0;
}

void ghee_partitions_free(ghee_partitions *of) {
  if (!of) return;
  ghee_partitions_clear(of);
  forget_schema(of);
  ghee_array_fini(&of->all);
  ghee_buffer_fini(&of->name);
  ghee_free(of->of_row);
  ghee_free(of->order);
  ghee_budget_free(of->budget);
  ghee_free(of);
}

size_t ghee_partitions_count(const ghee_partitions *of) { return of->all.count; }
uint64_t ghee_partitions_bytes(const ghee_partitions *of) { return of->bytes; }
const char *ghee_partitions_name(const ghee_partitions *of, size_t i) { return of->all.items[i]->name; }

ghee_status ghee_partitions_pop(ghee_partitions *of, size_t i, ghee_batch *out, ghee_error *err) { return ghee_spool_pop(&of->all.items[i]->spool, out, err); }

/* ---- columns ---- */

static bool is_partition_column(const ghee_partitions *of, const char *name) {
  for (size_t i = 0; i < of->n_columns; i++)
    if (strcmp(of->columns[i], name) == 0) return true;
  return false;
}

/* What the batches of one schema need, looked up once. */
static ghee_status learn_schema(ghee_partitions *of, ghee_schema *schema, ghee_error *err) {
  if (of->schema == schema) return GHEE_OK;
  forget_schema(of);
  const struct ArrowSchema *arrow = ghee_schema_arrow(schema);
  ghee_schema *chosen;
  ghee_status status = ghee_schema_project(schema, of->columns, of->n_columns, &chosen, err);
  if (status != GHEE_OK) {
    ghee_error_prefix(err, "partition_by");
    return status;
  }
  for (size_t i = 0; i < of->n_columns && status == GHEE_OK; i++) status = ghee_partition_name_check(ghee_schema_arrow(chosen)->children[i], err);
  ghee_schema_unref(chosen);
  GHEE_TRY(status);
  of->kept_names = ghee_alloc_zero((size_t)arrow->n_children + 1, sizeof *of->kept_names);
  if (!of->kept_names) return no_memory(err);
  for (int64_t i = 0; i < arrow->n_children; i++)
    if (!is_partition_column(of, arrow->children[i]->name)) of->kept_names[of->n_kept++] = arrow->children[i]->name;
  if (of->n_kept == 0) return ghee_error_set(err, GHEE_SCHEMA, "partition_by takes all columns of the output: none is left for the files");
  of->schema = ghee_schema_ref(schema);
  return GHEE_OK;
}

/* ---- rows to partitions ---- */

static ghee_status add_partition(ghee_partitions *of, uint64_t key, const char *name, partition **out, ghee_error *err) {
  if (of->all.count >= GHEE_PARTITIONS_MOST)
    return ghee_error_set(err, GHEE_LIMIT, "partition_by gives more than %d partitions within a few chunks (the last is %s): choose columns with fewer values",
                          GHEE_PARTITIONS_MOST, name);
  partition *made = ghee_alloc_zero(1, sizeof *made);
  if (!made) return no_memory(err);
  made->name = ghee_strdup(name);
  made->spool.shared = &of->spill;
  if (!made->name || !ghee_array_push(&of->all, made)) {
    ghee_free(made->name);
    ghee_free(made);
    return no_memory(err);
  }
  if (!ghee_map_put(&of->by_name, key, made)) return no_memory(err);
  *out = made;
  return GHEE_OK;
}

static ghee_status find_partition(ghee_partitions *of, partition **out, ghee_error *err) {
  const char *name = ghee_buffer_text(&of->name);
  GHEE_TRY(ghee_buffer_check(&of->name, "partitioning the output", err));
  for (uint64_t key = ghee_hash(name, of->name.size, 0);; key++) {
    partition *found = ghee_map_get(&of->by_name, key);
    if (!found) return add_partition(of, key, name, out, err);
    if (strcmp(found->name, name) != 0) continue;
    *out = found;
    return GHEE_OK;
  }
}

static ghee_status put_name(ghee_partitions *of, const ghee_column *columns, int64_t row, ghee_error *err) {
  ghee_buffer_clear(&of->name);
  for (size_t c = 0; c < of->n_columns; c++) {
    if (c) ghee_buffer_put(&of->name, "/", 1);
    size_t before = of->name.size;
    ghee_partition_name_put(&of->name, &columns[c], row);
    if (of->name.size - before > MOST_NAME)
      return ghee_error_set(err, GHEE_INVALID, "partition_by: a value of column %s takes %zu bytes as the name of a folder, which has %d at most", of->columns[c],
                            of->name.size - before, MOST_NAME);
  }
  return GHEE_OK;
}

static ghee_status make_room(ghee_partitions *of, size_t rows, ghee_error *err) {
  if (rows <= of->room) return GHEE_OK;
  ghee_free(of->of_row);
  ghee_free(of->order);
  of->of_row = ghee_alloc(rows * sizeof *of->of_row);
  of->order = ghee_alloc(rows * sizeof *of->order);
  of->room = of->of_row && of->order ? rows : 0;
  return of->room ? GHEE_OK : no_memory(err);
}

/* Finds the partition of each row; runs of one value are looked up once. */
static ghee_status assign(ghee_partitions *of, const ghee_batch *batch, ghee_error *err) {
  ghee_column *columns = ghee_alloc(of->n_columns * sizeof *columns);
  if (!columns) return no_memory(err);
  for (size_t c = 0; c < of->n_columns; c++) columns[c] = ghee_column_at(batch, ghee_schema_find(batch->schema, of->columns[c]));
  ghee_status status = GHEE_OK;
  for (int64_t row = 0; row < ghee_batch_rows(batch) && status == GHEE_OK; row++) {
    bool same = row > 0;
    for (size_t c = 0; c < of->n_columns && same; c++) same = ghee_column_same(&columns[c], row - 1, &columns[c], row);
    if (same) {
      of->of_row[row] = of->of_row[row - 1];
    } else {
      status = put_name(of, columns, row, err);
      if (status == GHEE_OK) status = find_partition(of, &of->of_row[row], err);
    }
    if (status == GHEE_OK) of->of_row[row]->rows++;
  }
  ghee_free(columns);
  return status;
}

/* The rows' numbers, those of each partition next to each other and in order. */
static void sort_rows(ghee_partitions *of, size_t rows) {
  size_t at = 0;
  for (size_t i = 0; i < of->all.count; i++) {
    of->all.items[i]->at = at;
    at += of->all.items[i]->rows;
  }
  for (size_t row = 0; row < rows; row++) of->order[of->of_row[row]->at++] = (uint32_t)row;
}

static ghee_status give(ghee_partitions *of, partition *to, const ghee_batch *kept, ghee_error *err) {
  ghee_batch rows = {0};
  size_t first = to->at - to->rows;
  GHEE_TRY(ghee_batch_take(kept, of->order + first, to->rows, &rows, err));
  of->bytes += ghee_batch_bytes(&rows);
  ghee_status status = ghee_spool_push(&to->spool, &rows, of->budget, of->folder, err);
  ghee_batch_release(&rows);
  return status;
}

ghee_status ghee_partitions_push(ghee_partitions *of, ghee_batch *batch, ghee_error *err) {
  size_t rows = (size_t)ghee_batch_rows(batch);
  if (rows == 0) return GHEE_OK;
  ghee_batch kept = {0};
  GHEE_TRY(learn_schema(of, batch->schema, err));
  GHEE_TRY(make_room(of, rows, err));
  for (size_t i = 0; i < of->all.count; i++) of->all.items[i]->rows = 0;
  GHEE_TRY(assign(of, batch, err));
  sort_rows(of, rows);
  ghee_status status = ghee_batch_project(batch, of->kept_names, of->n_kept, &kept, err);
  for (size_t i = 0; i < of->all.count && status == GHEE_OK; i++)
    if (of->all.items[i]->rows > 0) status = give(of, of->all.items[i], &kept, err);
  ghee_batch_release(&kept);
  return status;
}
