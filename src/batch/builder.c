/* SPDX-License-Identifier: Apache-2.0
 * Columns of plain memory as one batch; the public ghee/batch.h. */
#include "ghee/batch.h"

#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "batch/bits.h"
#include "batch/schema_copy.h"
#include "batch/metadata.h"

typedef struct made { struct ArrowSchema schema; struct ArrowArray array; } made;

/* The text column that is being appended to. */
typedef struct text {
  char *name;
  bool binary;
  GHEE_ARRAY(int64_t) ends;
  ghee_buffer data, validity; /* one byte a row */
  int64_t nulls;
} text;

struct ghee_builder {
  GHEE_ARRAY(made) columns;
  text text;
};

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "building a batch"); }

static void made_fini(made *column) {
  if (column->schema.release) column->schema.release(&column->schema);
  if (column->array.release) column->array.release(&column->array);
}

static void text_fini(text *of) {
  ghee_free(of->name);
  ghee_array_fini(&of->ends);
  ghee_buffer_fini(&of->data);
  ghee_buffer_fini(&of->validity);
  *of = (text){0};
}

ghee_status ghee_builder_new(ghee_builder **out, ghee_error *err) {
  ghee_builder *builder = ghee_alloc_zero(1, sizeof *builder);
  if (!builder) return no_memory(err);
  *out = builder;
  return GHEE_OK;
}

void ghee_builder_free(ghee_builder *builder) {
  if (!builder) return;
  for (size_t i = 0; i < builder->columns.count; i++) made_fini(&builder->columns.items[i]);
  ghee_array_fini(&builder->columns);
  text_fini(&builder->text);
  ghee_free(builder);
}

/* Takes a column, also on failure. */
static ghee_status add(ghee_builder *builder, made *column, ghee_error *err) {
  if (ghee_array_push(&builder->columns, *column)) return GHEE_OK;
  made_fini(column);
  return no_memory(err);
}

/* ---- arrays over memory that somebody owns ---- */

/* buffers, one child at most, and whom to tell at the end. */
typedef struct foreign {
  const void *buffers[3];
  struct ArrowArray item, *children[1];
  const void *item_buffers[2];
  void (*release)(void *owner);
  void *owner;
  void *own[3]; /* ours */
} foreign;

static void release_item(struct ArrowArray *array) { array->release = NULL; }

static void release_foreign(struct ArrowArray *array) {
  foreign *of = array->private_data;
  array->release = NULL;
  if (of->item.release) of->item.release(&of->item);
  if (of->release) of->release(of->owner);
  for (int i = 0; i < 3; i++) ghee_free_aligned(of->own[i]);
  ghee_free(of);
}

static ghee_status fixed_schema(const char *name, const char *format, int64_t size, const int64_t *shape, int n_shape, struct ArrowSchema *out, ghee_error *err) {
  if (n_shape == 0) return ghee_arrow_schema_init(format, name, NULL, 0, ARROW_FLAG_NULLABLE, 0, false, out, err);
  char list[32];
  ghee_buffer dims = {0}, metadata = {0};
  for (int i = 0; i < n_shape; i++) ghee_buffer_printf(&dims, "%s%lld", i ? "," : "", (long long)shape[i]);
  ghee_metadata_put(&metadata, GHEE_SHAPE_KEY, ghee_buffer_text(&dims));
  snprintf(list, sizeof list, "+w:%lld", (long long)size);
  ghee_status status = dims.failed || metadata.failed ? no_memory(err)
                       : ghee_arrow_schema_init(list, name, (const char *)metadata.data, metadata.size, ARROW_FLAG_NULLABLE, 1, false, out, err);
  if (status == GHEE_OK) {
    status = ghee_arrow_schema_init(format, "item", NULL, 0, ARROW_FLAG_NULLABLE, 0, false, out->children[0], err);
    if (status != GHEE_OK) out->release(out);
  }
  ghee_buffer_fini(&dims);
  ghee_buffer_fini(&metadata);
  return status;
}

static int64_t items_of(const int64_t *shape, int n_shape) {
  int64_t size = 1;
  for (int i = 0; i < n_shape; i++)
    if (shape[i] < 0 || __builtin_mul_overflow(size, shape[i], &size) || size > INT32_MAX) return -1;
  return size;
}

ghee_status ghee_builder_add_fixed(ghee_builder *builder, const char *name, const char *format, int64_t rows, const void *data, const void *validity,
                                   int64_t null_count, const int64_t *shape, int n_shape, void (*release)(void *owner), void *owner, ghee_error *err) {
  made column = {0};
  int64_t size = items_of(shape, n_shape);
  foreign *of = ghee_alloc_zero(1, sizeof *of);
  ghee_status status = !of ? no_memory(err)
                       : size < 0 ? ghee_error_set(err, GHEE_LIMIT, "column %s: a row has more than 2,147,483,647 values", name)
                                  : fixed_schema(name, format, size, shape, n_shape, &column.schema, err);
  if (status != GHEE_OK) {
    ghee_free(of);
    if (release) release(owner);
    return status;
  }
  *of = (foreign){.release = release, .owner = owner};
  const void **buffers = n_shape ? of->item_buffers : of->buffers;
  if (n_shape == 0) buffers[0] = validity;
  buffers[1] = data;
  of->children[0] = &of->item;
  if (n_shape) of->item = (struct ArrowArray){.length = rows * size, .n_buffers = 2, .buffers = of->item_buffers, .release = release_item};
  column.array = (struct ArrowArray){.length = rows, .null_count = n_shape ? 0 : null_count, .n_buffers = n_shape ? 1 : 2, .n_children = n_shape ? 1 : 0,
                                     .buffers = of->buffers, .children = of->children, .release = release_foreign, .private_data = of};
  return add(builder, &column, err);
}

ghee_status ghee_builder_bitmap(const uint8_t *valid, int64_t rows, void **out, int64_t *out_null_count, ghee_error *err) {
  uint8_t *bits = ghee_alloc_aligned((size_t)ghee_bits_bytes(rows));
  if (!bits) return no_memory(err);
  *out_null_count = rows - ghee_bits_pack(valid, rows, bits);
  *out = bits;
  return GHEE_OK;
}

void ghee_builder_bitmap_free(void *bitmap) { ghee_free_aligned(bitmap); }

/* A column over buffers of our own; takes them, also on failure. */
static ghee_status add_own(ghee_builder *builder, const char *name, const char *format, int64_t rows, int64_t nulls, int n_buffers, void *own[3], ghee_error *err) {
  made column = {0};
  foreign *of = ghee_alloc_zero(1, sizeof *of);
  ghee_status status = of ? ghee_arrow_schema_init(format, name, NULL, 0, ARROW_FLAG_NULLABLE, 0, false, &column.schema, err) : no_memory(err);
  if (status != GHEE_OK) {
    for (int i = 0; i < 3; i++) ghee_free_aligned(own[i]);
    ghee_free(of);
    return status;
  }
  for (int i = 0; i < 3; i++) of->buffers[i] = of->own[i] = own[i];
  column.array = (struct ArrowArray){.length = rows, .null_count = nulls, .n_buffers = n_buffers, .buffers = of->buffers, .children = of->children,
                                     .release = release_foreign, .private_data = of};
  return add(builder, &column, err);
}

ghee_status ghee_builder_add_bool(ghee_builder *builder, const char *name, int64_t rows, const uint8_t *values, const uint8_t *valid, ghee_error *err) {
  void *own[3] = {NULL};
  int64_t nulls = 0, zeros;
  if (valid) GHEE_TRY(ghee_builder_bitmap(valid, rows, &own[0], &nulls, err));
  ghee_status status = ghee_builder_bitmap(values, rows, &own[1], &zeros, err);
  if (status != GHEE_OK) {
    ghee_free_aligned(own[0]);
    return status;
  }
  return add_own(builder, name, "b", rows, nulls, 2, own, err);
}

/* ---- texts ---- */

ghee_status ghee_builder_begin_text(ghee_builder *builder, const char *name, int is_binary, ghee_error *err) {
  text_fini(&builder->text);
  builder->text.binary = is_binary != 0;
  builder->text.name = ghee_strdup(name);
  return builder->text.name ? GHEE_OK : no_memory(err);
}

static ghee_status end_row(text *of, bool valid, ghee_error *err) {
  ghee_buffer_put_u8(&of->validity, valid);
  of->nulls += !valid;
  return !of->data.failed && !of->validity.failed && ghee_array_push(&of->ends, (int64_t)of->data.size) ? GHEE_OK : no_memory(err);
}

ghee_status ghee_builder_append_text(ghee_builder *builder, const void *data, size_t size_bytes, ghee_error *err) {
  ghee_buffer_put(&builder->text.data, data, size_bytes);
  return end_row(&builder->text, true, err);
}

ghee_status ghee_builder_append_null(ghee_builder *builder, ghee_error *err) { return end_row(&builder->text, false, err); }

ghee_status ghee_builder_end_text(ghee_builder *builder, ghee_error *err) {
  text *of = &builder->text;
  bool large = of->data.size > INT32_MAX;
  int64_t rows = (int64_t)of->ends.count, nulls = 0;
  void *own[3] = {NULL};
  ghee_status status = of->nulls ? ghee_builder_bitmap(of->validity.data, rows, &own[0], &nulls, err) : GHEE_OK;
  if (status != GHEE_OK) return status;
  own[1] = ghee_alloc_aligned(((size_t)rows + 1) * (large ? 8 : 4));
  own[2] = ghee_alloc_aligned(of->data.size);
  if (!own[1] || !own[2]) {
    for (int i = 0; i < 3; i++) ghee_free_aligned(own[i]);
    return no_memory(err);
  }
  for (int64_t i = 0; i <= rows; i++) {
    int64_t end = i ? of->ends.items[i - 1] : 0;
    if (large) ((int64_t *)own[1])[i] = end;
    else ((int32_t *)own[1])[i] = (int32_t)end;
  }
  if (of->data.size) memcpy(own[2], of->data.data, of->data.size);
  const char *format = of->binary ? (large ? "Z" : "z") : large ? "U" : "u";
  status = add_own(builder, of->name, format, rows, nulls, 3, own, err);
  text_fini(of);
  return status;
}

/* ---- Arrow columns ---- */

ghee_status ghee_builder_add_list(ghee_builder *builder, const char *name, int64_t rows, const int32_t *offsets, struct ArrowSchema *item_schema,
                                  struct ArrowArray *items, ghee_error *err) {
  made column = {0};
  size_t size = ((size_t)rows + 1) * sizeof *offsets;
  foreign *of = ghee_alloc_zero(1, sizeof *of);
  void *copy = ghee_alloc_aligned(size);
  struct ArrowSchema named = *item_schema;
  named.name = "item";
  named.flags |= ARROW_FLAG_NULLABLE;
  ghee_status status = of && copy ? ghee_arrow_schema_init("+l", name, NULL, 0, ARROW_FLAG_NULLABLE, 1, false, &column.schema, err) : no_memory(err);
  if (status == GHEE_OK) status = ghee_schema_copy_arrow(&named, column.schema.children[0], err);
  item_schema->release(item_schema);
  if (status != GHEE_OK) {
    items->release(items);
    made_fini(&column);
    ghee_free_aligned(copy);
    ghee_free(of);
    return status;
  }
  memcpy(copy, offsets, size);
  of->own[1] = copy;
  of->buffers[1] = copy;
  of->item = *items;
  of->children[0] = &of->item;
  items->release = NULL;
  column.array = (struct ArrowArray){.length = rows, .n_buffers = 2, .n_children = 1, .buffers = of->buffers, .children = of->children,
                                     .release = release_foreign, .private_data = of};
  return add(builder, &column, err);
}

ghee_status ghee_builder_add_arrow(ghee_builder *builder, const char *name, struct ArrowSchema *schema, struct ArrowArray *array, ghee_error *err) {
  made column = {.array = *array};
  struct ArrowSchema named = *schema;
  named.name = name;
  array->release = NULL;
  ghee_status status = ghee_schema_copy_arrow(&named, &column.schema, err);
  if (schema->release) schema->release(schema);
  if (status == GHEE_OK) return add(builder, &column, err);
  made_fini(&column);
  return status;
}

/* ---- the batch ---- */

typedef struct whole { const void *buffers[1]; struct ArrowArray **pointers, *children; int64_t n; } whole;

static void release_whole(struct ArrowArray *array) {
  whole *of = array->private_data;
  for (int64_t i = 0; i < of->n; i++)
    if (of->children[i].release) of->children[i].release(&of->children[i]);
  ghee_free(of->children);
  ghee_free(of->pointers);
  ghee_free(of);
  array->release = NULL;
}

static ghee_status check_lengths(const ghee_builder *builder, ghee_error *err) {
  for (size_t i = 1; i < builder->columns.count; i++) {
    const made *first = &builder->columns.items[0], *column = &builder->columns.items[i];
    if (column->array.length != first->array.length)
      return ghee_error_set(err, GHEE_USER, "columns of one batch must have one length: %s has %lld rows, %s has %lld", first->schema.name,
                            (long long)first->array.length, column->schema.name, (long long)column->array.length);
  }
  return builder->columns.count ? GHEE_OK : ghee_error_set(err, GHEE_USER, "a batch has no columns; return None for no rows");
}

ghee_status ghee_builder_finish(ghee_builder *builder, struct ArrowSchema *out_schema, struct ArrowArray *out_array, ghee_error *err) {
  size_t n = builder->columns.count;
  GHEE_TRY(check_lengths(builder, err));
  struct ArrowSchema schema;
  GHEE_TRY(ghee_arrow_schema_init("+s", NULL, NULL, 0, 0, (int64_t)n, false, &schema, err));
  whole *of = ghee_alloc_zero(1, sizeof *of);
  if (of) {
    of->n = (int64_t)n;
    of->pointers = ghee_alloc_zero(n, sizeof *of->pointers);
    of->children = ghee_alloc_zero(n, sizeof *of->children);
  }
  if (!of || !of->pointers || !of->children) {
    if (of) {
      ghee_free(of->pointers);
      ghee_free(of->children);
    }
    ghee_free(of);
    schema.release(&schema);
    return no_memory(err);
  }
  for (size_t i = 0; i < n; i++) {
    *schema.children[i] = builder->columns.items[i].schema;
    of->children[i] = builder->columns.items[i].array;
    of->pointers[i] = &of->children[i];
  }
  *out_array = (struct ArrowArray){.length = of->children[0].length, .n_buffers = 1, .n_children = (int64_t)n, .buffers = of->buffers,
                                   .children = of->pointers, .release = release_whole, .private_data = of};
  *out_schema = schema;
  builder->columns.count = 0;
  return GHEE_OK;
}
