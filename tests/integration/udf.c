/* SPDX-License-Identifier: Apache-2.0
 * User functions of the native jobs' tests, over columns id (int64) and x (float64). What a function does at which row stands in its args. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ghee/udf.h"

/* ---- batches by hand ---- */

static void release_schema(struct ArrowSchema *schema) {
  for (int64_t i = 0; i < schema->n_children; i++) {
    if (schema->children[i]->release) schema->children[i]->release(schema->children[i]);
    free(schema->children[i]);
  }
  free(schema->children);
  schema->release = NULL;
}

static void release_array(struct ArrowArray *array) {
  for (int64_t i = 0; i < array->n_children; i++) {
    if (array->children[i]->release) array->children[i]->release(array->children[i]);
    free(array->children[i]);
  }
  for (int64_t i = 0; i < array->n_buffers; i++) free((void *)(uintptr_t)array->buffers[i]);
  free(array->children);
  free(array->buffers);
  array->release = NULL;
}

static void put_column(struct ArrowSchema *schema, struct ArrowArray *array, int at, const char *name, const char *format, int64_t rows, void *values) {
  *(schema->children[at] = calloc(1, sizeof *schema)) = (struct ArrowSchema){.format = format, .name = name, .release = release_schema};
  struct ArrowArray *column = array->children[at] = calloc(1, sizeof *array);
  *column = (struct ArrowArray){.length = rows, .n_buffers = 2, .buffers = calloc(2, sizeof *column->buffers), .release = release_array};
  column->buffers[1] = values;
}

typedef struct table { int64_t rows, *id; double *x; } table;

static table table_of(int64_t room) { return (table){.id = malloc((size_t)room * 8 + 8), .x = malloc((size_t)room * 8 + 8)}; }
static void add(table *to, int64_t id, double x) {
  to->id[to->rows] = id;
  to->x[to->rows++] = x;
}

static ghee_status give(const table *of, struct ArrowSchema *schema, struct ArrowArray *array) {
  *schema = (struct ArrowSchema){.format = "+s", .name = "", .n_children = 2, .children = calloc(2, sizeof *schema->children), .release = release_schema};
  *array = (struct ArrowArray){.length = of->rows, .n_buffers = 1, .n_children = 2, .buffers = calloc(1, sizeof *array->buffers),
                               .children = calloc(2, sizeof *array->children), .release = release_array};
  put_column(schema, array, 0, "id", "l", of->rows, of->id);
  put_column(schema, array, 1, "x", "g", of->rows, of->x);
  return GHEE_OK;
}

static const void *column(const struct ArrowSchema *schema, const struct ArrowArray *in, const char *name) {
  for (int64_t i = 0; i < schema->n_children; i++)
    if (strcmp(schema->children[i]->name, name) == 0) return (const uint64_t *)in->children[i]->buffers[1] + in->children[i]->offset + in->offset;
  return NULL;
}

/* The number behind "key": in the args. */
static int64_t arg(const ghee_udf_context *ctx, const char *key, int64_t otherwise) {
  char quoted[64];
  snprintf(quoted, sizeof quoted, "\"%s\":", key);
  const char *at = strstr(ctx->params_json, quoted);
  return at ? atoll(at + strlen(quoted)) : otherwise;
}

static ghee_status refuse(ghee_error *err, int64_t id) {
  if (err) snprintf(err->message, sizeof err->message, "no good comes of id %lld", (long long)id);
  return GHEE_USER;
}

typedef ghee_status (*row_function)(ghee_udf_context *ctx, table *out, int64_t id, double x, int64_t row, ghee_error *err);

static ghee_status each(row_function function, ghee_udf_context *ctx, const struct ArrowSchema *in_schema, const struct ArrowArray *in,
                        struct ArrowSchema *out_schema, struct ArrowArray *out, ghee_error *err) {
  const int64_t *id = column(in_schema, in, "id");
  const double *x = column(in_schema, in, "x");
  table made = table_of(2 * in->length);
  for (int64_t i = 0; i < in->length; i++) {
    ghee_status status = function(ctx, &made, id[i], x[i], i, err);
    if (status == GHEE_OK) continue;
    free(made.id);
    free(made.x);
    return status;
  }
  return give(&made, out_schema, out);
}

#define FUNCTION(name)                                                                                                                        \
  static ghee_status name##_row(ghee_udf_context *ctx, table *out, int64_t id, double x, int64_t row, ghee_error *err);                        \
  GHEE_UDF ghee_status name(ghee_udf_context *ctx, const struct ArrowSchema *in_schema, const struct ArrowArray *in,                           \
                            struct ArrowSchema *out_schema, struct ArrowArray *out, ghee_error *err);                                         \
  ghee_status name(ghee_udf_context *ctx, const struct ArrowSchema *in_schema, const struct ArrowArray *in, struct ArrowSchema *out_schema,   \
                   struct ArrowArray *out, ghee_error *err) {                                                                                 \
    return each(name##_row, ctx, in_schema, in, out_schema, out, err);                                                                        \
  }                                                                                                                                           \
  static ghee_status name##_row(ghee_udf_context *ctx, table *out, int64_t id, double x, int64_t row, ghee_error *err)

#define UNUSED (void)ctx, (void)row, (void)err

/* ---- what they do ---- */

FUNCTION(doubled) {
  UNUSED;
  add(out, id, x * 2);
  return GHEE_OK;
}

FUNCTION(odd_dropped) {
  UNUSED;
  if (id % 2 == 0) add(out, id, x);
  return GHEE_OK;
}

FUNCTION(each_twice) {
  UNUSED;
  add(out, id, x);
  add(out, id, -x);
  return GHEE_OK;
}

FUNCTION(fails) {
  UNUSED;
  add(out, id, x);
  return id == arg(ctx, "at", -1) ? refuse(err, id) : GHEE_OK;
}

FUNCTION(fails_silently) {
  UNUSED;
  add(out, id, x);
  return id == arg(ctx, "at", -1) ? GHEE_IO : GHEE_OK;
}

FUNCTION(crashes) {
  UNUSED;
  if (id == arg(ctx, "at", -1)) {
    signal(SIGSEGV, SIG_DFL); /* also where a sanitizer would catch it */
    raise(SIGSEGV);
  }
  add(out, id, x);
  return GHEE_OK;
}

/* Good batches, which kill the worker when it lets go of them: no call is to blame. */
static void release_and_crash(struct ArrowArray *array) {
  release_array(array);
  signal(SIGSEGV, SIG_DFL);
  raise(SIGSEGV);
}

GHEE_UDF ghee_status crashes_afterwards(ghee_udf_context *ctx, const struct ArrowSchema *in_schema, const struct ArrowArray *in,
                                        struct ArrowSchema *out_schema, struct ArrowArray *out, ghee_error *err);
ghee_status crashes_afterwards(ghee_udf_context *ctx, const struct ArrowSchema *in_schema, const struct ArrowArray *in, struct ArrowSchema *out_schema,
                               struct ArrowArray *out, ghee_error *err) {
  ghee_status status = each(doubled_row, ctx, in_schema, in, out_schema, out, err);
  out->release = release_and_crash;
  return status;
}

/* The first worker that comes to the row dies there; a file of the stage's folder says that one has. */
FUNCTION(crashes_once) {
  UNUSED;
  if (id == arg(ctx, "at", -1)) {
    FILE *first = fopen(getenv("CRASHED"), "wx");
    if (first) raise(SIGKILL);
  }
  add(out, id, x);
  return GHEE_OK;
}

FUNCTION(leaves) {
  UNUSED;
  if (id == arg(ctx, "at", -1)) _exit(3);
  add(out, id, x);
  return GHEE_OK;
}

FUNCTION(sleeps) {
  UNUSED;
  if (row == 0) {
    int64_t ms = arg(ctx, "ms", 1);
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
  }
  add(out, id, x);
  return GHEE_OK;
}

/* Waits at a row until the file of the test is there. */
FUNCTION(waits) {
  UNUSED;
  while (id == arg(ctx, "at", -1) && access(getenv("GATE"), F_OK) != 0) nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
  add(out, id, x);
  return GHEE_OK;
}

FUNCTION(rejects) {
  UNUSED;
  if (id % arg(ctx, "every", 1000) == 7) {
    ghee_status status = ctx->reject(ctx, &row, 1, "seven");
    if (status != GHEE_OK) return refuse(err, id);
  } else {
    add(out, id, x);
  }
  return GHEE_OK;
}

FUNCTION(prints) {
  UNUSED;
  if (row == 0) printf("%s-%u of %u begins at id %lld\n", ctx->stage, ctx->worker, ctx->workers, (long long)id);
  fflush(stdout);
  add(out, id, x);
  return GHEE_OK;
}

GHEE_UDF ghee_status not_opened_open(ghee_udf_context *ctx, ghee_error *err);
FUNCTION(not_opened) {
  UNUSED;
  add(out, id, x);
  return GHEE_OK;
}
ghee_status not_opened_open(ghee_udf_context *ctx, ghee_error *err) {
  (void)ctx;
  if (err) snprintf(err->message, sizeof err->message, "the model is not there");
  if (err) err->status = GHEE_NOT_FOUND;
  return GHEE_NOT_FOUND;
}

/* Open to close: what NAME_open stored is there in every call, in memory of the context. */
GHEE_UDF ghee_status adds_open(ghee_udf_context *ctx, ghee_error *err);
GHEE_UDF void adds_close(ghee_udf_context *ctx);
FUNCTION(adds) {
  UNUSED;
  double *scratch = ctx->alloc(ctx, sizeof *scratch);
  if (!scratch || ctx->abi != GHEE_UDF_ABI) return refuse(err, id);
  *scratch = *(int64_t *)ctx->user;
  add(out, id, x + *scratch);
  return GHEE_OK;
}
ghee_status adds_open(ghee_udf_context *ctx, ghee_error *err) {
  (void)err;
  int64_t *number = malloc(sizeof *number);
  if (!number) return GHEE_NO_MEMORY;
  *number = arg(ctx, "number", 0);
  ctx->user = number;
  return GHEE_OK;
}
void adds_close(ghee_udf_context *ctx) { free(ctx->user); }
