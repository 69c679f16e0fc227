/* SPDX-License-Identifier: Apache-2.0
 * Values of Arrow IPC as rows. */
#include "plan/ipc_values.h"

#include "format/format.h"

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "turning records into rows"); }

/* All but the first n. */
static void drop_batches(ghee_ipc_values *of, size_t n) {
  while (of->batches.count > n) ghee_batch_release(&of->batches.items[--of->batches.count]);
}

/* ---- one value ---- */

static ghee_status keep(ghee_ipc_values *of, ghee_batch *batch, uint32_t record, ghee_error *err) {
  int64_t rows = ghee_batch_rows(batch);
  for (int64_t i = 0; i < rows; i++)
    if (!ghee_array_push(&of->record_of, record)) return no_memory(err);
  ghee_batch kept = {0};
  GHEE_TRY(ghee_batch_cast(batch, of->schema, &kept, err));
  if (ghee_array_push(&of->batches, kept)) return GHEE_OK;
  ghee_batch_release(&kept);
  return no_memory(err);
}

typedef struct reading { ghee_ipc_values *of; const struct ghee_format_ops *ops; ghee_file *file; uint32_t record; } reading;

static ghee_status read_part(void *user, const ghee_part *part, ghee_error *err) {
  reading *from = user;
  ghee_rows *rows;
  GHEE_TRY(from->ops->read(from->file, part, 0, &rows, err));
  ghee_batch batch = {0};
  ghee_status status;
  while ((status = from->ops->next(rows, &batch, err)) == GHEE_OK) {
    status = keep(from->of, &batch, from->record, err);
    ghee_batch_release(&batch);
    if (status != GHEE_OK) break;
  }
  from->ops->end(rows);
  return status == GHEE_CLOSED ? GHEE_OK : status;
}

static ghee_status read_file(ghee_ipc_values *of, const struct ghee_format_ops *ops, ghee_file *file, uint32_t record, ghee_error *err) {
  ghee_schema *fixed = of->schema;
  if (!fixed) of->schema = ghee_schema_ref(ops->schema(file));
  reading from = {of, ops, file, record};
  ghee_status status = ops->parts(file, 0, read_part, &from, err);
  if (status == GHEE_OK || fixed) return status;
  ghee_schema_unref(of->schema); /* a value that cannot be read fixes nothing */
  of->schema = NULL;
  return status;
}

ghee_status ghee_ipc_values_add(ghee_ipc_values *of, const void *data, size_t size, uint32_t record, ghee_error *err) {
  const struct ghee_format_ops *ops = ghee_format_named("ipc");
  ghee_read_options options = {.columns = of->columns, .n_columns = of->n_columns, .batch_rows = INT32_MAX};
  size_t batches = of->batches.count, rows = of->record_of.count;
  ghee_source *source;
  ghee_file *file = NULL;
  GHEE_TRY(ghee_source_of_memory(data, size, "the value", &source, err));
  ghee_status status = ops->open(source, &options, &file, err);
  if (status == GHEE_OK) status = read_file(of, ops, file, record, err);
  if (file) ops->close(file);
  source->ops->close(source);
  if (status == GHEE_OK) return GHEE_OK;
  drop_batches(of, batches);
  of->record_of.count = rows;
  return status;
}

/* ---- all of them ---- */

ghee_status ghee_ipc_values_take(ghee_ipc_values *of, ghee_batch *out, ghee_error *err) {
  if (!of->schema) return ghee_error_set(err, GHEE_CORRUPT, "none of the first values is Arrow IPC");
  ghee_status status = GHEE_OK;
  if (of->batches.count == 0) status = ghee_batch_zeros(of->schema, 0, out, err);
  else if (of->batches.count == 1) ghee_batch_move(&of->batches.items[0], out);
  else status = ghee_batch_concat(of->batches.items, of->batches.count, out, err);
  drop_batches(of, 0);
  return status;
}

void ghee_ipc_values_clear(ghee_ipc_values *of) {
  drop_batches(of, 0);
  of->record_of.count = 0;
}

void ghee_ipc_values_fini(ghee_ipc_values *of) {
  drop_batches(of, 0);
  ghee_array_fini(&of->batches);
  ghee_array_fini(&of->record_of);
  ghee_schema_unref(of->schema);
  of->schema = NULL;
}
