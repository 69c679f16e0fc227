/* SPDX-License-Identifier: Apache-2.0
 * The counted schema: owns an ArrowSchema, the parsed tree over it, and its columns in the order of their names. */
#include "batch/schema.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "batch/field.h"
#include "batch/metadata.h"
#include "batch/schema_copy.h"

struct ghee_schema {
  atomic_size_t refs;
  struct ArrowSchema arrow;
  ghee_field *fields;
  const ghee_field **by_name; /* columns, sorted */
};

static int compare_names(const void *a, const void *b) {
  const ghee_field *const *x = a, *const *y = b;
  const char *x_name = (*x)->arrow->name, *y_name = (*y)->arrow->name;
  return strcmp(x_name ? x_name : "", y_name ? y_name : "");
}

static void schema_free(ghee_schema *schema) {
  if (schema->arrow.release) schema->arrow.release(&schema->arrow);
  ghee_free(schema->fields);
  ghee_free(schema->by_name);
  ghee_free(schema);
}

static ghee_status sort_columns(ghee_schema *schema, ghee_error *err) {
  size_t n = (size_t)schema->arrow.n_children;
  schema->by_name = ghee_alloc((n ? n : 1) * sizeof *schema->by_name);
  if (!schema->by_name) return ghee_error_no_memory(err, "reading a schema");
  for (size_t i = 0; i < n; i++) schema->by_name[i] = &schema->fields->children[i];
  if (n > 1) qsort(schema->by_name, n, sizeof *schema->by_name, compare_names);
  for (size_t i = 1; i < n; i++)
    if (compare_names(&schema->by_name[i - 1], &schema->by_name[i]) == 0)
      return ghee_error_set(err, GHEE_UNSUPPORTED, "two columns are named \"%s\"; rename one of them", ghee_field_name(schema->by_name[i]));
  return GHEE_OK;
}

static ghee_status fill(ghee_schema *schema, ghee_error *err) {
  GHEE_TRY(ghee_field_tree(&schema->arrow, &schema->fields, err));
  if (schema->fields->type.kind != GHEE_STRUCT || schema->fields->dictionary)
    return ghee_error_set(err, GHEE_INVALID, "the schema of a batch is a struct of columns (format \"+s\"), not \"%s\"", schema->arrow.format);
  return sort_columns(schema, err);
}

ghee_status ghee_schema_new(struct ArrowSchema *arrow, ghee_schema **out, ghee_error *err) {
  ghee_schema *schema = ghee_alloc_zero(1, sizeof *schema);
  if (!schema) {
    if (arrow->release) arrow->release(arrow);
    return ghee_error_no_memory(err, "reading a schema");
  }
  atomic_init(&schema->refs, 1);
  schema->arrow = *arrow;
  arrow->release = NULL;
  ghee_status status = fill(schema, err);
  if (status != GHEE_OK)
    schema_free(schema);
  else
    *out = schema;
  return status;
}

ghee_schema *ghee_schema_ref(ghee_schema *schema) {
  atomic_fetch_add_explicit(&schema->refs, 1, memory_order_relaxed);
  return schema;
}

void ghee_schema_unref(ghee_schema *schema) {
  if (schema && atomic_fetch_sub_explicit(&schema->refs, 1, memory_order_acq_rel) == 1) schema_free(schema);
}

const struct ArrowSchema *ghee_schema_arrow(const ghee_schema *schema) { return &schema->arrow; }
const ghee_field *ghee_schema_root(const ghee_schema *schema) { return schema->fields; }
int64_t ghee_schema_columns(const ghee_schema *schema) { return schema->arrow.n_children; }

int64_t ghee_schema_find(const ghee_schema *schema, const char *name) {
  int64_t low = 0, high = schema->arrow.n_children;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    const char *there = schema->by_name[middle]->arrow->name;
    int order = strcmp(name, there ? there : "");
    if (order == 0) return schema->by_name[middle] - schema->fields->children;
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return -1;
}

ghee_status ghee_schema_export(const ghee_schema *schema, struct ArrowSchema *out, ghee_error *err) {
  return ghee_schema_copy_arrow(&schema->arrow, out, err);
}

ghee_status ghee_schema_not_found(const ghee_schema *schema, const char *name, ghee_error *err) {
  ghee_buffer there = {0};
  for (int64_t i = 0; i < schema->arrow.n_children && there.size < GHEE_ERROR_SIZE / 2; i++)
    ghee_buffer_printf(&there, "%s%s", i ? ", " : "", ghee_field_name(&schema->fields->children[i]));
  ghee_status status = ghee_error_set(err, GHEE_NOT_FOUND, "there is no column \"%s\"; there are: %s", name, ghee_buffer_text(&there));
  ghee_buffer_fini(&there);
  return status;
}

ghee_status ghee_schema_project(const ghee_schema *schema, const char *const *names, size_t n, ghee_schema **out, ghee_error *err) {
  const struct ArrowSchema *from = &schema->arrow;
  struct ArrowSchema picked;
  GHEE_TRY(ghee_arrow_schema_init(from->format, from->name, from->metadata, (size_t)ghee_metadata_size(from->metadata, SIZE_MAX / 4),
                                  from->flags, (int64_t)n, false, &picked, err));
  ghee_status status = GHEE_OK;
  for (size_t i = 0; status == GHEE_OK && i < n; i++) {
    int64_t column = ghee_schema_find(schema, names[i]);
    status = column < 0 ? ghee_schema_not_found(schema, names[i], err) : ghee_schema_copy_arrow(from->children[column], picked.children[i], err);
  }
  if (status != GHEE_OK) {
    picked.release(&picked);
    return status;
  }
  return ghee_schema_new(&picked, out, err);
}

bool ghee_schema_equal(const ghee_schema *a, const ghee_schema *b) { return a == b || ghee_field_equal(a->fields, b->fields); }

static void put_type_change(const ghee_field *was, const ghee_field *now, ghee_buffer *text) {
  ghee_buffer_printf(text, "column %s is ", ghee_field_name(now));
  size_t from = text->size;
  ghee_type_describe(now->arrow, text);
  size_t now_size = text->size - from;
  ghee_buffer_printf(text, ", was ");
  size_t old = text->size;
  ghee_type_describe(was->arrow, text);
  bool same_words = !text->failed && text->size - old == now_size && memcmp(text->data + from, text->data + old, now_size) == 0;
  if (same_words) ghee_buffer_printf(text, " with other metadata");
}

void ghee_schema_difference(const ghee_schema *was, const ghee_schema *now, ghee_buffer *text) {
  if (ghee_schema_equal(was, now)) return;
  const ghee_field *a = was->fields, *b = now->fields;
  for (int64_t i = 0; i < a->n_children; i++) {
    int64_t at = ghee_schema_find(now, a->children[i].arrow->name ? a->children[i].arrow->name : "");
    if (at < 0) {
      ghee_buffer_printf(text, "column %s is missing", ghee_field_name(&a->children[i]));
      return;
    }
    if (!ghee_field_equal(&a->children[i], &b->children[at])) {
      put_type_change(&a->children[i], &b->children[at], text);
      return;
    }
  }
  for (int64_t i = 0; i < b->n_children; i++)
    if (ghee_schema_find(was, b->children[i].arrow->name ? b->children[i].arrow->name : "") < 0) {
      ghee_buffer_printf(text, "column %s is new", ghee_field_name(&b->children[i]));
      return;
    }
  for (int64_t i = 0; i < a->n_children; i++)
    if (strcmp(ghee_field_name(&a->children[i]), ghee_field_name(&b->children[i])) != 0) {
      ghee_buffer_printf(text, "column %lld is %s, was %s (the order changed)", (long long)i + 1, ghee_field_name(&b->children[i]),
                         ghee_field_name(&a->children[i]));
      return;
    }
  ghee_buffer_printf(text, "the metadata of the batch is other than it was");
}
