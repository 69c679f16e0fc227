/* SPDX-License-Identifier: Apache-2.0
 * Views that share memory: the first slice puts a batch's array behind a count. */
#include <stdatomic.h>

#include "base/memory.h"
#include "batch/batch.h"

typedef struct shared { atomic_int count; struct ArrowArray inner; } shared;

static void release_shared(struct ArrowArray *array) {
  shared *of = array->private_data;
  array->release = NULL;
  if (atomic_fetch_sub_explicit(&of->count, 1, memory_order_acq_rel) != 1) return;
  of->inner.release(&of->inner);
  ghee_free(of);
}

/* The count behind a batch's array, put there if it has none. */
static shared *share(ghee_batch *batch) {
  if (batch->array.release == release_shared) return batch->array.private_data;
  shared *of = ghee_alloc(sizeof *of);
  if (!of) return NULL;
  atomic_init(&of->count, 1);
  of->inner = batch->array;
  batch->array.release = release_shared;
  batch->array.private_data = of;
  return of;
}

ghee_status ghee_batch_slice(ghee_batch *batch, int64_t offset, int64_t rows, ghee_batch *out, ghee_error *err) {
  if (offset < 0 || rows < 0 || rows > batch->array.length - offset)
    return ghee_error_set(err, GHEE_INVALID, "%lld rows from row %lld on are asked of a batch of %lld", (long long)rows, (long long)offset, (long long)batch->array.length);
  shared *of = share(batch);
  if (!of) return ghee_error_no_memory(err, "slicing a batch");
  atomic_fetch_add_explicit(&of->count, 1, memory_order_relaxed);
  ghee_batch view = {.schema = ghee_schema_ref(batch->schema), .array = batch->array};
  view.array.offset += offset;
  view.array.length = rows;
  *out = view;
  return GHEE_OK;
}

/* A choice of columns: child pointers of its own over the shared arrays. */
typedef struct choice { shared *of; struct ArrowArray *children[]; } choice;

static void release_choice(struct ArrowArray *array) {
  choice *made = array->private_data;
  struct ArrowArray view = {.release = release_shared, .private_data = made->of};
  release_shared(&view);
  ghee_free(made);
  array->release = NULL;
}

ghee_status ghee_batch_project(ghee_batch *batch, const char *const *names, size_t n, ghee_batch *out, ghee_error *err) {
  ghee_schema *schema;
  GHEE_TRY(ghee_schema_project(batch->schema, names, n, &schema, err));
  choice *made = ghee_alloc(sizeof *made + n * sizeof *made->children);
  shared *of = made ? share(batch) : NULL;
  if (!of) {
    ghee_free(made);
    ghee_schema_unref(schema);
    return ghee_error_no_memory(err, "choosing columns");
  }
  atomic_fetch_add_explicit(&of->count, 1, memory_order_relaxed);
  made->of = of;
  for (size_t i = 0; i < n; i++) made->children[i] = batch->array.children[ghee_schema_find(batch->schema, names[i])];
  out->schema = schema;
  out->array = batch->array;
  out->array.n_children = (int64_t)n;
  out->array.children = made->children;
  out->array.release = release_choice;
  out->array.private_data = made;
  return GHEE_OK;
}
