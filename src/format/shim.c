/* SPDX-License-Identifier: Apache-2.0
 * The C side of libghee_columnar: sources, sinks and batches handed across, and the file's name put before each message. */
#include "format/shim.h"

#include "base/memory.h"

enum { DEFAULT_BATCH_ROWS = 8192, DEFAULT_GROUP_ROWS = 1048576 };

/* The callbacks write their failure to the `err` of the call that is running. */
typedef struct source_link {
  ghee_source *source;
  ghee_error *err;
} source_link;

typedef struct sink_link {
  ghee_sink *sink;
  ghee_error *err;
} sink_link;

typedef struct shim_file {
  ghee_file base;
  ghee_source *source;
  ghee_columnar_file *columnar;
  ghee_schema *schema;
} shim_file;

typedef struct shim_rows {
  ghee_rows base;
  source_link link;
  ghee_columnar_rows *columnar;
  ghee_schema *schema;
} shim_rows;

typedef struct shim_writer {
  ghee_writer base;
  sink_link link;
  ghee_columnar_writer *columnar;
} shim_writer;

/* A call into the shim fails in one of two ways: in a callback, whose message is whole, or inside, where the file's name is
 * still missing. The text tells: a fresh error is empty until someone fills it. */
typedef struct call {
  ghee_error inner, callback;
} call;

static ghee_status call_done(call *c, ghee_status status, const char *doing, const char *name, ghee_error *err) {
  if (status == GHEE_OK) return status;
  if (c->inner.message[0]) return ghee_error_set(err, status, "%s %s: %s", doing, name, c->inner.message);
  if (c->callback.message[0]) return ghee_error_set(err, status, "%s", c->callback.message);
  if (status == GHEE_CLOSED) return status; /* the end of the rows, or a callback that has seen enough */
  return ghee_error_set(err, status, "%s %s: %s", doing, name, ghee_status_name(status));
}

static void call_init(call *c) {
  c->inner.message[0] = 0;
  c->callback.message[0] = 0;
}

static ghee_status read_source(void *ctx, uint64_t offset, size_t size_bytes, uint8_t *into) {
  source_link *link = ctx;
  ghee_status status = link->source->ops->read(link->source, offset, size_bytes, into, link->err);
  return status == GHEE_CLOSED ? GHEE_IO : status; /* CLOSED is how the rows end: a lost peer must not look like it */
}

static ghee_status read_ranges(void *ctx, const ghee_columnar_range *ranges, size_t n) {
  source_link *link = ctx;
  ghee_range *same = ghee_alloc(n * sizeof *same);
  if (!same && n > 0) return ghee_error_no_memory(link->err, "reading column chunks");
  for (size_t i = 0; i < n; i++) same[i] = (ghee_range){ranges[i].offset, ranges[i].size_bytes, ranges[i].into};
  ghee_status status = ghee_source_read_many(link->source, same, n, link->err);
  ghee_free(same);
  return status == GHEE_CLOSED ? GHEE_IO : status;
}

static ghee_columnar_source columnar_source(source_link *link) {
  return (ghee_columnar_source){.ctx = link, .size_bytes = link->source->size_bytes, .read = read_source, .read_many = read_ranges};
}

static ghee_status take_schema(shim_file *file, const char *name, ghee_error *err) {
  call c;
  call_init(&c);
  struct ArrowSchema exported = {0};
  GHEE_TRY(call_done(&c, ghee_columnar_schema(file->columnar, &exported, &c.inner), "cannot open", name, err));
  ghee_status status = ghee_schema_new(&exported, &file->schema, err);
  if (status != GHEE_OK) ghee_error_prefix(err, "cannot open %s", name);
  return status;
}

ghee_status ghee_shim_open(const struct ghee_format_ops *ops, ghee_columnar_kind kind, ghee_source *source,
                           const ghee_read_options *options, ghee_file **out, ghee_error *err) {
  static const ghee_read_options defaults;
  if (!options) options = &defaults;
  shim_file *file = ghee_alloc_zero(1, sizeof *file);
  if (!file) return ghee_error_no_memory(err, "opening a file");
  file->base.ops = ops;
  file->source = source;
  call c;
  call_init(&c);
  source_link link = {source, &c.callback};
  ghee_columnar_source from = columnar_source(&link);
  ghee_columnar_read_options with = {
      .columns = options->columns,
      .n_columns = options->n_columns,
      .batch_rows = options->batch_rows > 0 ? options->batch_rows : DEFAULT_BATCH_ROWS,
      .schema = options->schema ? ghee_schema_arrow(options->schema) : NULL,
      .csv_delimiter = options->csv_delimiter ? (uint8_t)options->csv_delimiter : ',',
      .csv_no_header = options->csv_no_header,
      .csv_null = options->csv_null,
      .bounds = options->bounds,
  };
  ghee_status status = ghee_columnar_open(kind, &from, &with, &file->columnar, &c.inner);
  status = call_done(&c, status, "cannot open", source->name, err);
  if (status == GHEE_OK) status = take_schema(file, source->name, err);
  if (status != GHEE_OK) {
    ghee_shim_close(&file->base);
    return status;
  }
  *out = &file->base;
  return GHEE_OK;
}

void ghee_shim_close(ghee_file *base) {
  shim_file *file = (shim_file *)base;
  if (!file) return;
  ghee_columnar_close(file->columnar);
  ghee_schema_unref(file->schema);
  ghee_free(file);
}

ghee_schema *ghee_shim_schema(const ghee_file *file) {
  return ((const shim_file *)file)->schema;
}

typedef struct each_link {
  ghee_status (*each)(void *user, const ghee_part *part, ghee_error *err);
  void *user;
  ghee_error *err;
} each_link;

static ghee_status give_part(void *user, const ghee_columnar_part *part) {
  each_link *link = user;
  ghee_part given = {part->index, part->offset, part->size_bytes, part->rows, part->memory_bytes};
  return link->each(link->user, &given, link->err);
}

ghee_status ghee_shim_parts(ghee_file *base, uint64_t text_part_bytes,
                            ghee_status (*each)(void *user, const ghee_part *part, ghee_error *err), void *user,
                            ghee_error *err) {
  shim_file *file = (shim_file *)base;
  call c;
  call_init(&c);
  source_link link = {file->source, &c.callback};
  ghee_columnar_source from = columnar_source(&link);
  each_link to = {each, user, &c.callback};
  ghee_status status = ghee_columnar_parts(file->columnar, &from, text_part_bytes, give_part, &to, &c.inner);
  return call_done(&c, status, "cannot read", file->source->name, err);
}

ghee_status ghee_shim_bounds(const ghee_file *base, const char *const *columns, size_t n, ghee_batch *out, ghee_error *err) {
  const shim_file *file = (const shim_file *)base;
  call c;
  call_init(&c);
  struct ArrowSchema exported;
  struct ArrowArray array;
  ghee_schema *schema;
  ghee_status status = ghee_columnar_bounds(file->columnar, columns, n, &exported, &array, &c.inner);
  GHEE_TRY(call_done(&c, status, "cannot read the statistics of", file->source->name, err));
  status = ghee_schema_new(&exported, &schema, err);
  if (status != GHEE_OK) {
    array.release(&array);
    return status;
  }
  status = ghee_batch_new(schema, &array, false, out, err);
  ghee_schema_unref(schema);
  return status;
}

ghee_status ghee_shim_read(ghee_file *base, const ghee_part *part, int64_t skip_rows, ghee_rows **out, ghee_error *err) {
  shim_file *file = (shim_file *)base;
  shim_rows *rows = ghee_alloc_zero(1, sizeof *rows);
  if (!rows) return ghee_error_no_memory(err, "reading a part of a file");
  call c;
  call_init(&c);
  rows->base.ops = file->base.ops;
  rows->link = (source_link){file->source, &c.callback};
  rows->schema = ghee_schema_ref(file->schema);
  ghee_columnar_source from = columnar_source(&rows->link);
  ghee_columnar_part which = {part->index, part->offset, part->size_bytes, part->rows, part->memory_bytes};
  ghee_status status = ghee_columnar_read(file->columnar, &from, &which, skip_rows, &rows->columnar, &c.inner);
  rows->link.err = NULL;
  if (status != GHEE_OK) {
    ghee_shim_end(&rows->base);
    return call_done(&c, status, "cannot read", file->source->name, err);
  }
  *out = &rows->base;
  return GHEE_OK;
}

ghee_status ghee_shim_next(ghee_rows *base, ghee_batch *out, ghee_error *err) {
  shim_rows *rows = (shim_rows *)base;
  call c;
  call_init(&c);
  struct ArrowArray array;
  rows->link.err = &c.callback;
  ghee_status status = ghee_columnar_next(rows->columnar, &array, &c.inner);
  rows->link.err = NULL;
  if (status != GHEE_OK) return call_done(&c, status, "cannot read", rows->link.source->name, err);
  status = ghee_batch_new(rows->schema, &array, true, out, err);
  if (status != GHEE_OK) ghee_error_prefix(err, "cannot read %s", rows->link.source->name);
  return status;
}

void ghee_shim_end(ghee_rows *base) {
  shim_rows *rows = (shim_rows *)base;
  if (!rows) return;
  ghee_columnar_end(rows->columnar);
  ghee_schema_unref(rows->schema);
  ghee_free(rows);
}

static ghee_status write_sink(void *ctx, const uint8_t *data, size_t size_bytes) {
  sink_link *link = ctx;
  return link->sink->ops->write(link->sink, data, size_bytes, link->err);
}

ghee_status ghee_shim_create(const struct ghee_format_ops *ops, ghee_columnar_kind kind, ghee_sink *sink, ghee_schema *schema,
                             const ghee_write_options *options, ghee_writer **out, ghee_error *err) {
  static const ghee_write_options defaults;
  if (!options) options = &defaults;
  shim_writer *writer = ghee_alloc_zero(1, sizeof *writer);
  if (!writer) return ghee_error_no_memory(err, "creating a file");
  call c;
  call_init(&c);
  writer->base.ops = ops;
  writer->link = (sink_link){sink, &c.callback};
  ghee_columnar_sink to = {.ctx = &writer->link, .write = write_sink};
  ghee_columnar_write_options with = {
      .codec = options->codec,
      .row_group_rows = options->row_group_rows > 0 ? options->row_group_rows : DEFAULT_GROUP_ROWS,
      .csv_delimiter = options->csv_delimiter ? (uint8_t)options->csv_delimiter : ',',
      .ipc_stream = options->ipc_stream,
  };
  ghee_status status = ghee_columnar_create(kind, &to, ghee_schema_arrow(schema), &with, &writer->columnar, &c.inner);
  writer->link.err = NULL;
  if (status != GHEE_OK) {
    ghee_shim_abandon(&writer->base);
    return call_done(&c, status, "cannot create", sink->name, err);
  }
  *out = &writer->base;
  return GHEE_OK;
}

static void release_nothing(struct ArrowArray *array) {
  array->release = NULL;
}

ghee_status ghee_shim_write(ghee_writer *base, const ghee_batch *batch, ghee_error *err) {
  shim_writer *writer = (shim_writer *)base;
  call c;
  call_init(&c);
  struct ArrowArray lent = batch->array;
  lent.release = release_nothing;
  writer->link.err = &c.callback;
  ghee_status status = ghee_columnar_write(writer->columnar, &lent, &c.inner);
  writer->link.err = NULL;
  return call_done(&c, status, "cannot write", writer->link.sink->name, err);
}

ghee_status ghee_shim_finish(ghee_writer *base, ghee_error *err) {
  shim_writer *writer = (shim_writer *)base;
  call c;
  call_init(&c);
  writer->link.err = &c.callback;
  ghee_status status = ghee_columnar_finish(writer->columnar, &c.inner);
  writer->link.err = NULL;
  return call_done(&c, status, "cannot write", writer->link.sink->name, err);
}

void ghee_shim_abandon(ghee_writer *base) {
  shim_writer *writer = (shim_writer *)base;
  if (!writer) return;
  ghee_columnar_abandon(writer->columnar);
  ghee_free(writer);
}
