/* SPDX-License-Identifier: Apache-2.0
 * The parsed tree of a schema: one allocation, the children of a field next to each other. */
#include "batch/field.h"

#include <string.h>

#include "base/memory.h"
#include "batch/metadata.h"

/** Metadata that is part of what a type means: two columns that differ in it cannot be mixed. */
static const char *const MEANING[] = {GHEE_SHAPE_KEY, "ARROW:extension:name", "ARROW:extension:metadata"};

static const char *name_of(const struct ArrowSchema *arrow) { return arrow->name && arrow->name[0] ? arrow->name : "(unnamed)"; }

const char *ghee_field_name(const ghee_field *field) { return name_of(field->arrow); }

/** Checks pointers only, so that the tree can be walked; adds the number of fields to *count. */
static ghee_status count_fields(const struct ArrowSchema *arrow, int depth, size_t *count, ghee_error *err) {
  if (!arrow || !arrow->release) return ghee_error_set(err, GHEE_CORRUPT, "a field of the schema is missing or was released already");
  if (depth > GHEE_SCHEMA_DEPTH)
    return ghee_error_set(err, GHEE_UNSUPPORTED, "column \"%s\" is nested deeper than %d levels; flatten it", name_of(arrow), GHEE_SCHEMA_DEPTH);
  if (arrow->n_children < 0 || arrow->n_children > INT32_MAX || (arrow->n_children > 0 && !arrow->children))
    return ghee_error_set(err, GHEE_CORRUPT, "field \"%s\" announces %lld children and has none", name_of(arrow), (long long)arrow->n_children);
  if (ghee_metadata_size(arrow->metadata, SIZE_MAX / 4) < 0)
    return ghee_error_set(err, GHEE_CORRUPT, "the metadata of field \"%s\" is malformed", name_of(arrow));
  ++*count;
  for (int64_t i = 0; i < arrow->n_children; i++) GHEE_TRY(count_fields(arrow->children[i], depth + 1, count, err));
  if (arrow->dictionary) GHEE_TRY(count_fields(arrow->dictionary, depth + 1, count, err));
  return GHEE_OK;
}

static ghee_status check_shape(const ghee_field *field, ghee_error *err) {
  ghee_kind kind = field->type.kind;
  int64_t wanted = kind == GHEE_LIST || kind == GHEE_LARGE_LIST || kind == GHEE_FIXED_LIST || kind == GHEE_MAP ? 1 : 0;
  if (kind != GHEE_STRUCT && field->n_children != wanted)
    return ghee_error_set(err, GHEE_CORRUPT, "field \"%s\" (format \"%s\") has %lld children, its type needs %lld", name_of(field->arrow),
                          field->arrow->format, (long long)field->n_children, (long long)wanted);
  if (kind == GHEE_MAP && (field->children[0].type.kind != GHEE_STRUCT || field->children[0].n_children != 2 || field->children[0].dictionary))
    return ghee_error_set(err, GHEE_CORRUPT, "the entries of map \"%s\" are not pairs of key and value", name_of(field->arrow));
  if (field->dictionary && !ghee_kind_is_int(kind))
    return ghee_error_set(err, GHEE_CORRUPT, "the dictionary of \"%s\" is indexed by format \"%s\", which is no integer",
                          name_of(field->arrow), field->arrow->format);
  return GHEE_OK;
}

static ghee_status fill(ghee_field *field, const struct ArrowSchema *arrow, ghee_field *pool, size_t *used, ghee_error *err) {
  *field = (ghee_field){.arrow = arrow, .n_children = arrow->n_children, .nodes = 1};
  ghee_status status = ghee_type_parse(arrow->format, &field->type, err);
  if (status != GHEE_OK) {
    ghee_error_prefix(err, "column \"%s\"", name_of(arrow));
    return status;
  }
  field->buffers = (size_t)field->type.n_buffers;
  ghee_field *children = pool + *used;
  *used += (size_t)arrow->n_children;
  field->children = children;
  for (int64_t i = 0; i < arrow->n_children; i++) {
    GHEE_TRY(fill(&children[i], arrow->children[i], pool, used, err));
    field->nodes += children[i].nodes;
    field->buffers += children[i].buffers;
  }
  if (arrow->dictionary) {
    ghee_field *dictionary = pool + (*used)++;
    field->dictionary = dictionary;
    GHEE_TRY(fill(dictionary, arrow->dictionary, pool, used, err));
    field->nodes += dictionary->nodes;
    field->buffers += dictionary->buffers;
  }
  return check_shape(field, err);
}

ghee_status ghee_field_tree(const struct ArrowSchema *arrow, ghee_field **out, ghee_error *err) {
  size_t count = 0, used = 1;
  GHEE_TRY(count_fields(arrow, 0, &count, err));
  ghee_field *pool = ghee_alloc_zero(count, sizeof *pool);
  if (!pool) return ghee_error_no_memory(err, "reading a schema");
  ghee_status status = fill(pool, arrow, pool, &used, err);
  if (status != GHEE_OK) {
    ghee_free(pool);
    return status;
  }
  *out = pool;
  return GHEE_OK;
}

static bool same_meaning(const struct ArrowSchema *a, const struct ArrowSchema *b) {
  if (!a->metadata && !b->metadata) return true;
  for (size_t i = 0; i < sizeof MEANING / sizeof MEANING[0]; i++) {
    size_t a_size = 0, b_size = 0;
    const char *a_value = ghee_metadata_find(a->metadata, MEANING[i], &a_size);
    const char *b_value = ghee_metadata_find(b->metadata, MEANING[i], &b_size);
    if (!a_value != !b_value || a_size != b_size || (a_value && memcmp(a_value, b_value, a_size) != 0)) return false;
  }
  return true;
}

bool ghee_field_equal(const ghee_field *a, const ghee_field *b) {
  const ghee_type *x = &a->type, *y = &b->type;
  if (x->kind != y->kind || x->width_bits != y->width_bits || x->fixed_size != y->fixed_size || x->precision != y->precision ||
      x->scale != y->scale || x->unit != y->unit || strcmp(x->zone, y->zone) != 0 || a->n_children != b->n_children ||
      !a->dictionary != !b->dictionary || !same_meaning(a->arrow, b->arrow))
    return false;
  for (int64_t i = 0; i < a->n_children; i++) {
    if (x->kind == GHEE_STRUCT && strcmp(ghee_field_name(&a->children[i]), ghee_field_name(&b->children[i])) != 0) return false;
    if (!ghee_field_equal(&a->children[i], &b->children[i])) return false;
  }
  return !a->dictionary || ghee_field_equal(a->dictionary, b->dictionary);
}
