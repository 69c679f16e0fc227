/* SPDX-License-Identifier: Apache-2.0
 * One file read by the format layer, for the program `real_files`: the object store's source, every part, every batch handed out as Arrow. */
#include "base/memory.h"
#include "format/format.h"
#include "storage/object_store.h"

enum { BATCH_ROWS = 1000, TEXT_PART_BYTES = 256 << 10 };
static const uint64_t budget_bytes = 1 << 30; /* of the memory for one part, which a plan refuses as well when it is passed */

/** Gets the schema first (`array` NULL), then each batch; may move both out. */
typedef void (*real_file_each)(struct ArrowSchema *schema, struct ArrowArray *array);

GHEE_API ghee_status real_file_read(const char *path, const char *format, const struct ArrowSchema *types, real_file_each each, ghee_error *err);

typedef struct reading {
  ghee_file *file;
  real_file_each each;
  const char *name;
} reading;

static ghee_status give_part(void *user, const ghee_part *part, ghee_error *err) {
  const reading *of = user;
  ghee_rows *rows;
  if (part->memory_bytes > budget_bytes)
    return ghee_error_set(err, GHEE_LIMIT, "%s: its part %u takes about %llu bytes of memory, more than the budget of %llu", of->name, part->index,
                          (unsigned long long)part->memory_bytes, (unsigned long long)budget_bytes);
  GHEE_TRY(of->file->ops->read(of->file, part, 0, &rows, err));
  ghee_status status;
  ghee_batch batch = {0};
  while ((status = of->file->ops->next(rows, &batch, err)) == GHEE_OK) {
    of->each(NULL, &batch.array);
    ghee_batch_release(&batch);
  }
  of->file->ops->end(rows);
  return status == GHEE_CLOSED ? GHEE_OK : status;
}

static ghee_status give_all(const reading *of, ghee_error *err) {
  struct ArrowSchema copy;
  GHEE_TRY(ghee_schema_copy_arrow(ghee_schema_arrow(of->file->ops->schema(of->file)), &copy, err));
  of->each(&copy, NULL);
  if (copy.release) copy.release(&copy);
  return of->file->ops->parts(of->file, TEXT_PART_BYTES, give_part, (void *)of, err);
}

static ghee_status read_source(ghee_source *source, const struct ghee_format_ops *ops, const struct ArrowSchema *types, real_file_each each,
                               ghee_error *err) {
  ghee_read_options options = {.batch_rows = BATCH_ROWS};
  reading of = {.each = each, .name = source->name};
  struct ArrowSchema copy;
  ghee_status status = GHEE_OK;
  if (types) status = ghee_schema_copy_arrow(types, &copy, err);
  if (types && status == GHEE_OK) status = ghee_schema_new(&copy, &options.schema, err);
  if (status == GHEE_OK) status = ops->open(source, &options, &of.file, err);
  if (status == GHEE_OK) status = give_all(&of, err);
  if (of.file) ops->close(of.file);
  ghee_schema_unref(options.schema);
  return status;
}

/** Reads all of `path`. `types` NULL: the file's own, or inferred. */
ghee_status real_file_read(const char *path, const char *format, const struct ArrowSchema *types, real_file_each each, ghee_error *err) {
  const struct ghee_format_ops *ops = ghee_format_named(format);
  if (!ops) return ghee_error_set(err, GHEE_UNSUPPORTED, "%s: there is no format '%s'; take one of %s", path, format, ghee_format_names());
  ghee_object_store_register(&ghee_object_store_file);
  ghee_object_store *store;
  ghee_source *source;
  GHEE_TRY(ghee_object_store_open(path, &store, err));
  ghee_status status = store->ops->read(store, path, NULL, &source, err);
  if (status == GHEE_OK) {
    status = read_source(source, ops, types, each, err);
    source->ops->close(source);
  }
  ghee_object_store_close(store);
  return status;
}
