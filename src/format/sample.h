/* SPDX-License-Identifier: Apache-2.0
 * For tests: files in memory, and whole files read back as one batch. */
#ifndef GHEE_FORMAT_SAMPLE_H
#define GHEE_FORMAT_SAMPLE_H

#include "base/io.h"
#include "batch/sample.h"
#include "format/format.h"

/** A file in memory, open to be read. */
typedef struct sample_file {
  ghee_source *source;
  ghee_file *file;
} sample_file;

static inline ghee_status sample_open(const struct ghee_format_ops *ops, const void *data, size_t size,
                                      const ghee_read_options *options, sample_file *out, ghee_error *err) {
  *out = (sample_file){0};
  ghee_status status = ghee_source_of_memory(data, size, "sample", &out->source, err);
  if (status == GHEE_OK) status = ops->open(out->source, options, &out->file, err);
  if (status != GHEE_OK && out->source) out->source->ops->close(out->source);
  return status;
}

static inline void sample_close(sample_file *file) {
  file->file->ops->close(file->file);
  file->source->ops->close(file->source);
}

/** A source over bytes that stay their owner's, which counts what is asked of it. */
typedef struct sample_counted {
  ghee_source base;
  const ghee_buffer *bytes;
  int reads;
  uint64_t bytes_read;
} sample_counted;

static inline ghee_status sample_counted_read(ghee_source *base, uint64_t offset, size_t size, void *into, ghee_error *err) {
  sample_counted *source = (sample_counted *)base;
  if (offset + size > source->bytes->size) return ghee_error_set(err, GHEE_INTERNAL, "bytes behind the end are asked for");
  memcpy(into, source->bytes->data + offset, size);
  source->reads++;
  source->bytes_read += size;
  return GHEE_OK;
}

static inline sample_counted sample_count(const ghee_buffer *bytes) {
  static const struct ghee_source_ops ops = {.read = sample_counted_read};
  return (sample_counted){.base = {&ops, bytes->size, "counted"}, .bytes = bytes};
}

typedef struct sample_parts {
  ghee_part items[4096];
  int count;
} sample_parts;

static inline ghee_status sample_each(void *user, const ghee_part *part, ghee_error *err) {
  sample_parts *parts = user;
  if (parts->count == 4096) return ghee_error_set(err, GHEE_LIMIT, "too many parts for a test");
  parts->items[parts->count++] = *part;
  return GHEE_OK;
}

/** All batches of a part, appended. Counts the rows; each batch stays below `most` rows. */
static inline ghee_status sample_read(ghee_file *file, const ghee_part *part, int64_t skip, int64_t most, ghee_batch *batches,
                                      size_t *n, ghee_error *err) {
  ghee_rows *rows;
  GHEE_TRY(file->ops->read(file, part, skip, &rows, err));
  ghee_status status;
  ghee_batch batch = {0};
  while ((status = file->ops->next(rows, &batch, err)) == GHEE_OK) {
    assert_true(ghee_batch_rows(&batch) > 0 && ghee_batch_rows(&batch) <= most);
    assert_true(*n < 4096);
    ghee_batch_move(&batch, &batches[(*n)++]);
  }
  file->ops->end(rows);
  return status == GHEE_CLOSED ? GHEE_OK : status;
}

/** Every row of every part as one batch (empty when there is none). Returns the rows. */
static inline ghee_status sample_read_all(ghee_file *file, uint64_t part_bytes, int64_t most, ghee_batch *out, int64_t *rows,
                                          ghee_error *err) {
  sample_parts *parts = calloc(1, sizeof *parts);
  ghee_batch *batches = calloc(4096, sizeof *batches);
  size_t n = 0;
  *rows = 0;
  ghee_status status = file->ops->parts(file, part_bytes, sample_each, parts, err);
  for (int i = 0; status == GHEE_OK && i < parts->count; i++) {
    status = sample_read(file, &parts->items[i], 0, most, batches, &n, err);
  }
  for (size_t i = 0; i < n; i++) *rows += ghee_batch_rows(&batches[i]);
  if (status == GHEE_OK && n > 0 && out) status = ghee_batch_concat(batches, n, out, err);
  for (size_t i = 0; i < n; i++) ghee_batch_release(&batches[i]);
  free(batches);
  free(parts);
  return status;
}

/** Writes batches to `out`, whole file. */
static inline ghee_status sample_write(const struct ghee_format_ops *ops, ghee_schema *schema, const ghee_batch *batches, size_t n,
                                       const ghee_write_options *options, ghee_buffer *out, ghee_error *err) {
  ghee_sink *sink;
  ghee_writer *writer = NULL;
  GHEE_TRY(ghee_sink_to_buffer(out, "sample", &sink, err));
  ghee_status status = ops->create(sink, schema, options, &writer, err);
  for (size_t i = 0; status == GHEE_OK && i < n; i++) status = ops->write(writer, &batches[i], err);
  if (status == GHEE_OK) status = ops->finish(writer, err);
  if (status == GHEE_OK) status = sink->ops->finish(sink, err);
  if (writer) ops->abandon(writer);
  sink->ops->close(sink);
  return status;
}

#endif
