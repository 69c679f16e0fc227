/* SPDX-License-Identifier: Apache-2.0
 * A filter over batches, and over what is known of them. */
#include "filter/predicate.h"

#include <string.h>

#include "filter/condition.h"
#include "text/document.h"

struct ghee_predicate {
  const ghee_filter *filter;
  ghee_schema *schema;
  int64_t *columns;            /* by column of the filter: its place in the schema */
  ghee_condition *conditions;  /* by node */
};

/* ---- making ---- */

static ghee_status no_column(const char *name, const ghee_schema *schema, ghee_error *err) {
  const struct ArrowSchema *arrow = ghee_schema_arrow(schema);
  const char **names = ghee_alloc_zero((size_t)arrow->n_children + 1, sizeof *names);
  if (!names) return ghee_error_no_memory(err, "reading a filter");
  ghee_buffer there = {0};
  for (int64_t i = 0; i < arrow->n_children; i++) {
    names[i] = arrow->children[i]->name;
    if (there.size < GHEE_ERROR_SIZE / 2) ghee_buffer_printf(&there, "%s%s", i ? ", " : "", names[i]);
  }
  const char *nearest = ghee_text_nearest(name, names);
  ghee_error_set(err, GHEE_NOT_FOUND, "the filter names column \"%.200s\", which is not there%s%s%s; there are: %s", name, nearest ? "; is \"" : "",
                 nearest ? nearest : "", nearest ? "\" meant?" : "", ghee_buffer_text(&there));
  ghee_buffer_fini(&there);
  ghee_free(names);
  return GHEE_NOT_FOUND;
}

static ghee_status bind(ghee_predicate *of, ghee_error *err) {
  const ghee_filter *filter = of->filter;
  of->columns = ghee_alloc_zero(filter->columns.count + 1, sizeof *of->columns);
  of->conditions = ghee_alloc_zero(filter->nodes.count + 1, sizeof *of->conditions);
  if (!of->columns || !of->conditions) return ghee_error_no_memory(err, "reading a filter");
  for (size_t i = 0; i < filter->columns.count; i++) {
    of->columns[i] = ghee_schema_find(of->schema, filter->columns.items[i]);
    if (of->columns[i] < 0) return no_column(filter->columns.items[i], of->schema, err);
  }
  for (size_t i = 0; i < filter->nodes.count; i++) {
    const ghee_filter_node *node = filter->nodes.items[i];
    if (node->kind != GHEE_FILTER_COMPARE && node->kind != GHEE_FILTER_IN) continue;
    GHEE_TRY(ghee_condition_init(node, ghee_schema_arrow(of->schema)->children[of->columns[node->column]], &of->conditions[i], err));
  }
  return GHEE_OK;
}

ghee_status ghee_predicate_new(const ghee_filter *filter, ghee_schema *schema, ghee_predicate **out, ghee_error *err) {
  ghee_predicate *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return ghee_error_no_memory(err, "reading a filter");
  *of = (ghee_predicate){.filter = filter, .schema = ghee_schema_ref(schema)};
  ghee_status status = bind(of, err);
  if (status != GHEE_OK) {
    ghee_predicate_free(of);
    return status;
  }
  *out = of;
  return GHEE_OK;
}

void ghee_predicate_free(ghee_predicate *of) {
  if (!of) return;
  for (size_t i = 0; of->conditions && i < of->filter->nodes.count; i++) ghee_condition_fini(&of->conditions[i]);
  ghee_free(of->conditions);
  ghee_free(of->columns);
  ghee_schema_unref(of->schema);
  ghee_free(of);
}

/* ---- rows ---- */

static ghee_status evaluate(const ghee_predicate *of, const ghee_filter_node *node, const ghee_batch *batch, uint8_t *truth, ghee_error *err);

static ghee_status evaluate_chain(const ghee_predicate *of, const ghee_filter_node *node, const ghee_batch *batch, uint8_t *truth, ghee_error *err) {
  int64_t rows = ghee_batch_rows(batch);
  GHEE_TRY(evaluate(of, node->children.items[0], batch, truth, err));
  uint8_t *next = ghee_alloc((size_t)rows + 1);
  ghee_status status = next ? GHEE_OK : ghee_error_no_memory(err, "filtering rows");
  for (size_t c = 1; c < node->children.count && status == GHEE_OK; c++) {
    status = evaluate(of, node->children.items[c], batch, next, err);
    if (status != GHEE_OK) break;
    if (node->kind == GHEE_FILTER_AND) {
      for (int64_t i = 0; i < rows; i++) truth[i] = truth[i] < next[i] ? truth[i] : next[i];
    } else {
      for (int64_t i = 0; i < rows; i++) truth[i] = truth[i] > next[i] ? truth[i] : next[i];
    }
  }
  ghee_free(next);
  return status;
}

static ghee_status evaluate(const ghee_predicate *of, const ghee_filter_node *node, const ghee_batch *batch, uint8_t *truth, ghee_error *err) {
  if (node->kind == GHEE_FILTER_AND || node->kind == GHEE_FILTER_OR) return evaluate_chain(of, node, batch, truth, err);
  if (node->kind == GHEE_FILTER_NOT) {
    GHEE_TRY(evaluate(of, node->children.items[0], batch, truth, err));
    for (int64_t i = 0, rows = ghee_batch_rows(batch); i < rows; i++) truth[i] = (uint8_t)(GHEE_TRUE - truth[i]);
    return GHEE_OK;
  }
  ghee_column column = ghee_column_at(batch, of->columns[node->column]);
  if (node->kind != GHEE_FILTER_IS_NULL) return ghee_condition_apply(&of->conditions[node->index], &column, truth, err);
  ghee_condition_nulls(&column, truth);
  return GHEE_OK;
}

ghee_status ghee_predicate_select(const ghee_predicate *of, const ghee_batch *batch, uint32_t *rows, size_t *n, ghee_error *err) {
  int64_t count = ghee_batch_rows(batch);
  uint8_t *truth = ghee_alloc((size_t)count + 1);
  if (!truth) return ghee_error_no_memory(err, "filtering rows");
  ghee_status status = evaluate(of, of->filter->root, batch, truth, err);
  size_t passed = 0;
  for (int64_t i = 0; i < count && status == GHEE_OK; i++) {
    rows[passed] = (uint32_t)i;
    passed += truth[i] == GHEE_TRUE;
  }
  ghee_free(truth);
  if (status == GHEE_OK) *n = passed;
  return status;
}

/* ---- bounds ---- */

typedef struct known { const ghee_batch *bounds; int64_t at, rows; } known;

/* -1: not known. */
static int64_t nulls_of(const known *of, size_t column) {
  ghee_column nulls = ghee_column_at(of->bounds, (int64_t)column * 3 + 2);
  return nulls.type.kind == GHEE_INT64 && ghee_column_valid(&nulls, of->at) ? ghee_column_number(&nulls, of->at) : -1;
}

static unsigned reach_of(const ghee_predicate *of, const ghee_filter_node *node, const known *with) {
  int64_t nulls = nulls_of(with, node->column);
  if (node->kind == GHEE_FILTER_IS_NULL) return (nulls ? GHEE_MAY_BE_TRUE : 0u) | (nulls < with->rows ? GHEE_MAY_BE_FALSE : 0u);
  if (nulls >= with->rows) return 0;
  ghee_column least = ghee_column_at(with->bounds, (int64_t)node->column * 3), greatest = ghee_column_at(with->bounds, (int64_t)node->column * 3 + 1);
  return ghee_condition_reach(&of->conditions[node->index], &least, &greatest, with->at);
}

/* Whether some row may be true, and whether some may be false; each on its own. */
static unsigned reach(const ghee_predicate *of, const ghee_filter_node *node, const known *with) {
  if (node->kind == GHEE_FILTER_NOT) {
    unsigned inner = reach(of, node->children.items[0], with);
    return (inner & GHEE_MAY_BE_TRUE ? GHEE_MAY_BE_FALSE : 0u) | (inner & GHEE_MAY_BE_FALSE ? GHEE_MAY_BE_TRUE : 0u);
  }
  if (node->kind != GHEE_FILTER_AND && node->kind != GHEE_FILTER_OR) return reach_of(of, node, with);
  unsigned all = GHEE_MAY_BE_TRUE | GHEE_MAY_BE_FALSE, any = 0;
  for (size_t i = 0; i < node->children.count; i++) {
    unsigned one = reach(of, node->children.items[i], with);
    all &= one;
    any |= one;
  }
  unsigned of_all = node->kind == GHEE_FILTER_AND ? GHEE_MAY_BE_TRUE : GHEE_MAY_BE_FALSE; /* what it takes all to be */
  return (all & of_all) | (any & ~of_all);
}

bool ghee_predicate_may_pass(const ghee_predicate *of, const ghee_batch *bounds, int64_t at, int64_t rows) {
  known with = {.bounds = bounds, .at = at, .rows = rows};
  return reach(of, of->filter->root, &with) & GHEE_MAY_BE_TRUE;
}
