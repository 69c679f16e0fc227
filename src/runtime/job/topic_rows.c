/* SPDX-License-Identifier: Apache-2.0
 * Batches into the records of a topic.
 *
 * Design notes
 * - Records are views: of the encoded lines, of the batch, and of numbers written as text, which lie in room that is made before. */
#include "runtime/job/topic_rows.h"

#include <stdio.h>
#include <string.h>

#include "batch/column.h"
#include "format/format.h"

enum { NUMBER_BYTES = 24 }; /* of a 64-bit number in digits */

struct ghee_topic_rows {
  const ghee_job_spec *spec;
  const ghee_record_log *log;
  ghee_log_writer *writer;
  const struct ghee_format_ops *format;
  uint64_t most_bytes;
  ghee_buffer bytes;                    /* encoded values */
  char *numbers;                        /* texts of numbers, NUMBER_BYTES each */
  size_t used_numbers;
  GHEE_ARRAY(ghee_record) records;
  ghee_record_header *headers;          /* n_header_columns for each row */
};

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "writing to a topic"); }

/* ---- cells ---- */

static ghee_status find_column(const ghee_batch *batch, const char *name, const char *key, ghee_column *out, ghee_error *err) {
  int64_t i = ghee_schema_find(batch->schema, name);
  if (i < 0) return ghee_error_set(err, GHEE_SCHEMA, "the rows have no column %s, which output.%s names", name, key);
  *out = ghee_column_at(batch, i);
  return GHEE_OK;
}

static bool is_whole_number(const ghee_column *column) { return !column->field->dictionary && ghee_kind_is_int(column->type.kind); }

static ghee_status refuse_type(const ghee_column *column, const char *key, const char *wanted, ghee_error *err) {
  ghee_buffer type = {0};
  ghee_type_describe(column->field, &type);
  ghee_status status = ghee_error_set(err, GHEE_SCHEMA, "output.%s names column %s of type %s; it must be %s", key, column->field->name, ghee_buffer_text(&type), wanted);
  ghee_buffer_fini(&type);
  return status;
}

typedef struct cell { const void *data; size_t size_bytes; } cell;

static cell text_of_number(ghee_topic_rows *of, const ghee_column *column, int64_t row) {
  char *text = of->numbers + NUMBER_BYTES * of->used_numbers++;
  int64_t number = ghee_column_number(column, row);
  int n = column->type.kind == GHEE_UINT64 ? snprintf(text, NUMBER_BYTES, "%llu", (unsigned long long)number) : snprintf(text, NUMBER_BYTES, "%lld", (long long)number);
  return (cell){text, (size_t)n};
}

/* The bytes of a value; NULL: null. */
static ghee_status cell_at(ghee_topic_rows *of, const ghee_column *column, int64_t row, const char *key, cell *out, ghee_error *err) {
  static const char empty[1];
  *out = (cell){0};
  if (!ghee_column_valid(column, row)) return GHEE_OK;
  if (column->field->dictionary) {
    ghee_column values = ghee_column_dictionary(column);
    return cell_at(of, &values, ghee_column_number(column, row), key, out, err);
  }
  if (is_whole_number(column)) {
    *out = text_of_number(of, column, row);
    return GHEE_OK;
  }
  int64_t from, to;
  const uint8_t *data = column->array->buffers[column->type.kind == GHEE_FIXED_BINARY ? 1 : 2];
  switch (column->type.kind) {
    case GHEE_BINARY: case GHEE_LARGE_BINARY: case GHEE_STRING: case GHEE_LARGE_STRING:
      from = ghee_column_offset(column, row);
      to = ghee_column_offset(column, row + 1);
      break;
    case GHEE_FIXED_BINARY:
      from = (column->start + row) * column->type.fixed_size;
      to = from + column->type.fixed_size;
      break;
    default: return refuse_type(column, key, "text, bytes or whole numbers", err);
  }
  *out = (cell){to > from ? (const void *)(data + from) : empty, (size_t)(to - from)};
  return GHEE_OK;
}

/* ---- rows as records of JSON ---- */

static ghee_status encode(ghee_topic_rows *of, const ghee_batch *batch, ghee_error *err) {
  ghee_write_options options = {.ipc_stream = true};
  ghee_writer *writer = NULL;
  ghee_sink *sink;
  ghee_buffer_clear(&of->bytes);
  GHEE_TRY(ghee_sink_to_buffer(&of->bytes, "records", &sink, err));
  ghee_status status = of->format->create(sink, batch->schema, &options, &writer, err);
  if (status == GHEE_OK) status = of->format->write(writer, batch, err);
  if (status == GHEE_OK) status = of->format->finish(writer, err);
  if (writer) of->format->abandon(writer);
  sink->ops->close(sink);
  return status;
}

static bool is_beside(const ghee_job_spec *spec, const char *column) {
  bool beside = spec->partition_column && strcmp(column, spec->partition_column) == 0;
  for (size_t i = 0; i < spec->n_header_columns; i++) beside |= strcmp(column, spec->header_columns[i]) == 0;
  return beside && !(spec->key_column && strcmp(column, spec->key_column) == 0);
}

static ghee_status encode_values(ghee_topic_rows *of, ghee_batch *batch, ghee_error *err) {
  const struct ArrowSchema *all = ghee_schema_arrow(batch->schema);
  if (!of->spec->partition_column && of->spec->n_header_columns == 0) return encode(of, batch, err);
  const char **names = ghee_alloc_zero((size_t)all->n_children + 1, sizeof *names);
  size_t n = 0;
  if (!names) return no_memory(err);
  for (int64_t i = 0; i < all->n_children; i++)
    if (!is_beside(of->spec, all->children[i]->name)) names[n++] = all->children[i]->name;
  ghee_batch values = {0};
  ghee_status status = ghee_batch_project(batch, names, n, &values, err);
  if (status == GHEE_OK) status = encode(of, &values, err);
  ghee_batch_release(&values);
  ghee_free(names);
  return status;
}

/* Each line is a record; topic NULL: the output. */
static ghee_status cut_lines(ghee_topic_rows *of, const char *topic, const ghee_buffer *lines, ghee_error *err) {
  of->records.count = 0;
  for (const uint8_t *at = lines->data, *end = at + lines->size; at < end;) {
    const uint8_t *line = memchr(at, '\n', (size_t)(end - at));
    size_t size = (size_t)((line ? line : end) - at);
    ghee_record record = {.topic = topic, .partition = GHEE_ANY_PARTITION, .timestamp_ms = -1, .value = at, .value_bytes = size};
    if (!ghee_array_push(&of->records, record)) return no_memory(err);
    at += size + 1;
  }
  return GHEE_OK;
}

static ghee_status put_keys(ghee_topic_rows *of, const ghee_batch *batch, ghee_error *err) {
  ghee_column column;
  cell key;
  GHEE_TRY(find_column(batch, of->spec->key_column, "key", &column, err));
  for (size_t i = 0; i < of->records.count; i++) {
    GHEE_TRY(cell_at(of, &column, (int64_t)i, "key", &key, err));
    of->records.items[i].key = key.data;
    of->records.items[i].key_bytes = key.size_bytes;
  }
  return GHEE_OK;
}

static ghee_status put_partitions(ghee_topic_rows *of, const ghee_batch *batch, ghee_error *err) {
  ghee_column column;
  GHEE_TRY(find_column(batch, of->spec->partition_column, "partition", &column, err));
  if (!is_whole_number(&column)) return refuse_type(&column, "partition", "whole numbers", err);
  for (size_t i = 0; i < of->records.count; i++) {
    if (!ghee_column_valid(&column, (int64_t)i)) continue;
    int64_t partition = ghee_column_number(&column, (int64_t)i);
    if (partition < 0 || partition > INT32_MAX)
      return ghee_error_set(err, GHEE_USER, "column %s, which output.partition names, has %lld, which is no partition; null lets the key choose", column.field->name, (long long)partition);
    of->records.items[i].partition = (uint32_t)partition;
  }
  return GHEE_OK;
}

static ghee_status put_headers(ghee_topic_rows *of, const ghee_batch *batch, size_t which, ghee_error *err) {
  const char *name = of->spec->header_columns[which];
  ghee_column column;
  cell value;
  GHEE_TRY(find_column(batch, name, "headers", &column, err));
  for (size_t i = 0; i < of->records.count; i++) {
    GHEE_TRY(cell_at(of, &column, (int64_t)i, "headers", &value, err));
    of->headers[i * of->spec->n_header_columns + which] = (ghee_record_header){name, value.data, value.size_bytes};
  }
  return GHEE_OK;
}

/* Room for every number and header of so many rows. */
static ghee_status make_room(ghee_topic_rows *of, size_t rows, ghee_error *err) {
  size_t headers = of->spec->n_header_columns;
  ghee_free(of->numbers);
  ghee_free(of->headers);
  of->numbers = ghee_alloc(rows * (1 + headers) * NUMBER_BYTES);
  of->headers = ghee_alloc_zero(rows * headers + 1, sizeof *of->headers);
  of->used_numbers = 0;
  return of->numbers && of->headers ? GHEE_OK : no_memory(err);
}

static ghee_status append_rows(ghee_topic_rows *of, ghee_batch *batch, ghee_error *err) {
  const ghee_job_spec *spec = of->spec;
  GHEE_TRY(encode_values(of, batch, err));
  GHEE_TRY(cut_lines(of, NULL, &of->bytes, err));
  if (of->records.count != (size_t)ghee_batch_rows(batch))
    return ghee_error_set(err, GHEE_INTERNAL, "%lld rows became %zu records", (long long)ghee_batch_rows(batch), of->records.count);
  GHEE_TRY(make_room(of, of->records.count, err));
  if (spec->key_column) GHEE_TRY(put_keys(of, batch, err));
  if (spec->partition_column) GHEE_TRY(put_partitions(of, batch, err));
  for (size_t h = 0; h < spec->n_header_columns; h++) GHEE_TRY(put_headers(of, batch, h, err));
  for (size_t i = 0; i < of->records.count && spec->n_header_columns > 0; i++) {
    of->records.items[i].headers = of->headers + i * spec->n_header_columns;
    of->records.items[i].n_headers = spec->n_header_columns;
  }
  return of->log->ops->append(of->writer, of->records.items, of->records.count, err);
}

/* ---- batches as records of Arrow IPC ---- */

static ghee_status append_piece(ghee_topic_rows *of, ghee_batch *batch, int64_t from, int64_t rows, bool *fits, ghee_error *err) {
  ghee_batch piece = {0};
  GHEE_TRY(ghee_batch_slice(batch, from, rows, &piece, err));
  ghee_status status = encode(of, &piece, err);
  ghee_batch_release(&piece);
  *fits = rows == 1 || of->bytes.size <= of->most_bytes;
  if (status != GHEE_OK || !*fits) return status;
  ghee_record record = {.partition = GHEE_ANY_PARTITION, .timestamp_ms = -1, .value = of->bytes.data, .value_bytes = of->bytes.size};
  return of->log->ops->append(of->writer, &record, 1, err);
}

/* What rows take in memory tells how many may fit; what they take encoded, whether they do. */
static ghee_status append_batch(ghee_topic_rows *of, ghee_batch *batch, ghee_error *err) {
  int64_t rows = ghee_batch_rows(batch);
  uint64_t share = of->most_bytes;
  for (int64_t at = 0; at < rows;) {
    int64_t n = ghee_batch_rows_within(batch, at, share);
    bool fits;
    GHEE_TRY(append_piece(of, batch, at, n, &fits, err));
    if (fits) at += n;
    else share /= 2;
  }
  return GHEE_OK;
}

/* ---- life ---- */

ghee_status ghee_topic_rows_append_lines(ghee_topic_rows *of, const char *topic, const ghee_buffer *lines, ghee_error *err) {
  GHEE_TRY(cut_lines(of, topic, lines, err));
  return of->records.count > 0 ? of->log->ops->append(of->writer, of->records.items, of->records.count, err) : GHEE_OK;
}

ghee_status ghee_topic_rows_append(ghee_topic_rows *of, ghee_batch *batch, ghee_error *err) {
  if (ghee_batch_rows(batch) == 0) return GHEE_OK;
  return strcmp(of->spec->output_format, "ipc") == 0 ? append_batch(of, batch, err) : append_rows(of, batch, err);
}

ghee_status ghee_topic_rows_new(const ghee_job_spec *spec, const ghee_record_log *log, ghee_log_writer *writer, ghee_topic_rows **out, ghee_error *err) {
  ghee_topic_rows *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return no_memory(err);
  bool ipc = strcmp(spec->output_format, "ipc") == 0;
  *of = (ghee_topic_rows){.spec = spec, .log = log, .writer = writer, .format = ghee_format_named(ipc ? "ipc" : "jsonl"), .most_bytes = log->ops->most_bytes(log)};
  *out = of;
  return GHEE_OK;
}

void ghee_topic_rows_free(ghee_topic_rows *of) {
  if (!of) return;
  ghee_buffer_fini(&of->bytes);
  ghee_array_fini(&of->records);
  ghee_free(of->numbers);
  ghee_free(of->headers);
  ghee_free(of);
}
