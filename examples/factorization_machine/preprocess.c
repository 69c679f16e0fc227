/* SPDX-License-Identifier: Apache-2.0
 * preprocess of fm.py as a native function: ids and ratings passed through, four feature numbers a row in one tensor column.
 * The input's columns are, in this order and without nulls: id (int64), user, item (int32), rating (float32), ts (int64). */
#include <stdlib.h>
#include <string.h>

#include "ghee/udf.h"

enum { USERS = 1 << 18, ITEMS = 1 << 16, HOURS = 24, DAYS = 7, FIELDS = 4, COLUMNS = 3 };

/* The schema of the output never changes: it is static, and released by doing nothing. */
static void keep_schema(struct ArrowSchema *schema) { schema->release = NULL; }
static const char shape[] = "\1\0\0\0\12\0\0\0ghee.shape\1\0\0\0004";
static struct ArrowSchema item = {.format = "i", .name = "item", .release = keep_schema};
static struct ArrowSchema *items[] = {&item};
static struct ArrowSchema fields[COLUMNS] = {{.format = "l", .name = "id", .release = keep_schema},
                                             {.format = "+w:4", .name = "x", .metadata = shape, .n_children = 1, .children = items, .release = keep_schema},
                                             {.format = "f", .name = "y", .release = keep_schema}};
static struct ArrowSchema *columns[] = {&fields[0], &fields[1], &fields[2]};

/* One block holds all that an output batch points to but its values, which the context's memory holds. */
typedef struct block {
  struct ArrowArray arrays[COLUMNS], values;
  struct ArrowArray *children[COLUMNS], *of_x[1];
  const void *buffers[COLUMNS + 1][2], *none;
} block;

static void nothing(struct ArrowArray *array) { array->release = NULL; }
static void free_block(struct ArrowArray *array) {
  free(array->private_data);
  array->release = NULL;
}

static const void *values(const struct ArrowArray *in, int column, size_t width) {
  const struct ArrowArray *array = in->children[column];
  return (const char *)array->buffers[1] + (size_t)(array->offset + in->offset) * width;
}

static struct ArrowArray primitive(int64_t n, const void **buffers, const void *data) {
  buffers[0] = NULL;
  buffers[1] = data;
  return (struct ArrowArray){.length = n, .n_buffers = 2, .buffers = buffers, .release = nothing};
}

GHEE_UDF ghee_status preprocess(ghee_udf_context *ctx, const struct ArrowSchema *in_schema, const struct ArrowArray *in,
                                struct ArrowSchema *out_schema, struct ArrowArray *out, ghee_error *err) {
  (void)in_schema;
  (void)err;
  int64_t n = in->length;
  const int64_t *id = values(in, 0, 8), *ts = values(in, 4, 8);
  const int32_t *user = values(in, 1, 4), *movie = values(in, 2, 4);
  const float *rating = values(in, 3, 4);
  int32_t *x = ctx->alloc(ctx, (size_t)n * FIELDS * sizeof *x);
  int64_t *ids = ctx->alloc(ctx, (size_t)n * sizeof *ids);
  float *y = ctx->alloc(ctx, (size_t)n * sizeof *y);
  block *made = calloc(1, sizeof *made);
  if (!x || !ids || !y || !made) {
    free(made);
    return GHEE_NO_MEMORY;
  }
  for (int64_t i = 0; i < n; i++) {
    x[i * FIELDS] = user[i] % USERS;
    x[i * FIELDS + 1] = USERS + movie[i] % ITEMS;
    x[i * FIELDS + 2] = USERS + ITEMS + (int32_t)(ts[i] / 3600 % HOURS);
    x[i * FIELDS + 3] = USERS + ITEMS + HOURS + (int32_t)((ts[i] / 86400 + 4) % DAYS);
  }
  memcpy(ids, id, (size_t)n * sizeof *ids);
  memcpy(y, rating, (size_t)n * sizeof *y);
  made->arrays[0] = primitive(n, made->buffers[0], ids);
  made->arrays[2] = primitive(n, made->buffers[2], y);
  made->values = primitive(n * FIELDS, made->buffers[3], x);
  made->of_x[0] = &made->values;
  made->arrays[1] = (struct ArrowArray){.length = n, .n_buffers = 1, .n_children = 1, .buffers = made->buffers[1], .children = made->of_x, .release = nothing};
  for (int i = 0; i < COLUMNS; i++) made->children[i] = &made->arrays[i];
  *out_schema = (struct ArrowSchema){.format = "+s", .name = "", .n_children = COLUMNS, .children = columns, .release = keep_schema};
  *out = (struct ArrowArray){.length = n, .n_buffers = 1, .n_children = COLUMNS, .buffers = &made->none, .children = made->children,
                             .release = free_block, .private_data = made};
  return GHEE_OK;
}
