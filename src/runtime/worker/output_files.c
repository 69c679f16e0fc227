/* SPDX-License-Identifier: Apache-2.0
 * Files of an output: names, sinks with checksums, writers. */
#include "runtime/worker/output_files.h"

#include <unistd.h>

#include "base/clock.h"
#include "manifest/manifest.h"
#include "runtime/worker/partitions.h"

enum { TARGETS_OF_A_SET = 4, PARTITIONS_OF_A_SET = 1000, SORTED_BATCH_ROWS = 8192 };

struct ghee_output_files {
  const ghee_job_spec *spec;
  uint32_t worker;
  ghee_object_store *store;
  const struct ghee_format_ops *format;
  char *staging, *dead_staging;  /* of the output; of the dead letters, NULL if none are wanted */
  ghee_partitions *partitions;   /* NULL: rows go straight to the one file */
  uint64_t budget_bytes;         /* of what is collected, or sorted at once, in memory */
  uint32_t serial;
  /* the open file */
  ghee_sink *sink;
  ghee_writer *writer;
  ghee_say_file now;
};

static void file_fini(ghee_say_file *file) {
  ghee_free(file->name);
  ghee_free(file->checksum);
  *file = (ghee_say_file){0};
}

void ghee_say_files_fini(ghee_say_files *files) {
  for (size_t i = 0; i < files->count; i++) file_fini(&files->items[i]);
  ghee_array_fini(files);
}

/* ---- life ---- */

static ghee_status find_places(ghee_output_files *of, const char *folder, ghee_error *err) {
  char *job = NULL;
  GHEE_TRY(ghee_object_store_open(of->spec->output_uri, &of->store, err));
  GHEE_TRY(ghee_job_folder_read_id(folder, &job, err));
  ghee_status status = of->store->ops->staging(of->store, of->spec->output_uri, job, &of->staging, err);
  if (status == GHEE_OK && of->spec->dead_letter_uri) status = of->store->ops->staging(of->store, of->spec->dead_letter_uri, job, &of->dead_staging, err);
  ghee_free(job);
  return status;
}

ghee_status ghee_output_files_open(ghee_worker *worker, ghee_output_files **out, ghee_error *err) {
  const ghee_job_spec *spec = worker->spec;
  ghee_output_files *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return ghee_error_no_memory(err, "opening the output");
  *of = (ghee_output_files){.spec = spec, .worker = worker->index, .format = ghee_format_named(spec->output_format),
                              .budget_bytes = worker->of->buffer_bytes / 4};
  ghee_status status = of->format && of->format->create ? GHEE_OK
                       : ghee_error_set(err, GHEE_UNSUPPORTED, "output format %s cannot be written: take parquet", spec->output_format);
  if (status == GHEE_OK) status = find_places(of, worker->folder, err);
  if (status == GHEE_OK && spec->n_partition_by + spec->n_sort_by > 0)
    status = ghee_partitions_new(spec->partition_by, spec->n_partition_by, of->budget_bytes, worker->folder, &of->partitions, err);
  if (status != GHEE_OK) {
    ghee_output_files_close(of);
    return status;
  }
  *out = of;
  return GHEE_OK;
}

void ghee_output_files_close(ghee_output_files *of) {
  if (!of) return;
  if (of->writer) of->format->abandon(of->writer);
  if (of->sink) of->sink->ops->close(of->sink);
  file_fini(&of->now);
  ghee_partitions_free(of->partitions);
  if (of->store) ghee_object_store_close(of->store);
  ghee_free(of->staging);
  ghee_free(of->dead_staging);
  ghee_free(of);
}

/* ---- one file ---- */

/* Unique over workers, deaths and restarts, and sorted by worker. `folder` is "" for the output itself. */
static char *new_name(ghee_output_files *of, const char *folder, const char *stem, const char *suffix) {
  uint64_t life = ((uint64_t)ghee_clock_wall_ms() ^ (uint64_t)getpid() << 22) & 0xffffffffULL;
  return ghee_asprintf("%s%s%s-%03u-%08llx-%04u%s", folder, *folder ? "/" : "", stem, of->worker, (unsigned long long)life, of->serial++, suffix);
}

static ghee_status open_sink(ghee_output_files *of, const char *staging, const char *name, ghee_sink **out, ghee_error *err) {
  char *uri = ghee_uri_join(staging, name);
  if (!uri) return ghee_error_no_memory(err, "naming an output file");
  ghee_sink *raw;
  ghee_status status = of->store->ops->write(of->store, uri, &raw, err);
  ghee_free(uri);
  GHEE_TRY(status);
  status = ghee_checksum_sink(raw, out, err);
  if (status != GHEE_OK) raw->ops->close(raw);
  return status;
}

static ghee_status open_file(ghee_output_files *of, const char *folder, ghee_schema *schema, ghee_error *err) {
  of->now.name = new_name(of, folder, "part", of->format->suffixes[0]);
  if (!of->now.name) return ghee_error_no_memory(err, "naming an output file");
  GHEE_TRY(open_sink(of, of->staging, of->now.name, &of->sink, err));
  ghee_write_options options = {.codec = of->spec->codec, .row_group_rows = of->spec->row_group_rows, .csv_delimiter = of->spec->csv_delimiter};
  return of->format->create(of->sink, schema, &options, &of->writer, err);
}

/* The sink's bytes are durable; `file` is complete and goes to `out`, which takes it. */
static ghee_status finish_sink(ghee_sink *sink, ghee_say_file *file, ghee_say_files *out, ghee_error *err) {
  GHEE_TRY(sink->ops->finish(sink, err));
  file->size_bytes = sink->written_bytes;
  file->checksum = ghee_strdup(ghee_checksum_sink_text(sink));
  if (!file->checksum || !ghee_array_push(out, *file)) return ghee_error_no_memory(err, "closing an output file");
  *file = (ghee_say_file){0};
  return GHEE_OK;
}

static ghee_status finish_file(ghee_output_files *of, ghee_say_files *out, ghee_error *err) {
  if (!of->writer) return GHEE_OK;
  GHEE_TRY(of->format->finish(of->writer, err));
  of->format->abandon(of->writer);
  of->writer = NULL;
  GHEE_TRY(finish_sink(of->sink, &of->now, out, err));
  of->sink->ops->close(of->sink);
  of->sink = NULL;
  return GHEE_OK;
}

static ghee_status write_rows(ghee_output_files *of, const char *folder, const ghee_batch *batch, ghee_error *err) {
  if (!of->writer) GHEE_TRY(open_file(of, folder, batch->schema, err));
  GHEE_TRY(of->format->write(of->writer, batch, err));
  of->now.rows += (uint64_t)ghee_batch_rows(batch);
  return GHEE_OK;
}

static bool has_target_size(const ghee_output_files *of) { return of->sink && of->sink->written_bytes >= of->spec->target_file_bytes; }

/* ---- a set ---- */

ghee_status ghee_output_files_write(ghee_output_files *of, ghee_batch *batch, ghee_error *err) {
  return of->partitions ? ghee_partitions_push(of->partitions, batch, err) : write_rows(of, "", batch, err);
}

bool ghee_output_files_full(const ghee_output_files *of) {
  if (!of->partitions) return has_target_size(of);
  if (of->spec->n_sort_by > 0 && ghee_partitions_bytes(of->partitions) >= of->budget_bytes) return true;
  return ghee_partitions_bytes(of->partitions) / TARGETS_OF_A_SET >= of->spec->target_file_bytes || ghee_partitions_count(of->partitions) >= PARTITIONS_OF_A_SET;
}

/* ---- rows in order ---- */

typedef GHEE_ARRAY(ghee_batch) batch_list;

static ghee_status write_sorted(ghee_output_files *of, const char *folder, const ghee_batch *whole, uint32_t *order, ghee_say_files *out, ghee_error *err) {
  size_t rows = (size_t)ghee_batch_rows(whole);
  GHEE_TRY(ghee_batch_sort(whole, of->spec->sort_by, of->spec->n_sort_by, order, err));
  for (size_t at = 0; at < rows; at += SORTED_BATCH_ROWS) {
    ghee_batch piece = {0};
    GHEE_TRY(ghee_batch_take(whole, order + at, rows - at < SORTED_BATCH_ROWS ? rows - at : SORTED_BATCH_ROWS, &piece, err));
    ghee_status status = write_rows(of, folder, &piece, err);
    ghee_batch_release(&piece);
    if (status == GHEE_OK && has_target_size(of)) status = finish_file(of, out, err);
    GHEE_TRY(status);
  }
  return finish_file(of, out, err);
}

static ghee_status sort_batches(ghee_output_files *of, const char *folder, batch_list *batches, ghee_say_files *out, ghee_error *err) {
  ghee_batch whole = {0};
  if (batches->count == 0) return GHEE_OK;
  ghee_status status = ghee_batch_concat(batches->items, batches->count, &whole, err);
  uint32_t *order = status == GHEE_OK ? ghee_alloc((size_t)ghee_batch_rows(&whole) * sizeof *order) : NULL;
  while (batches->count > 0) ghee_batch_release(&batches->items[--batches->count]);
  if (status == GHEE_OK) status = order ? write_sorted(of, folder, &whole, order, out, err) : ghee_error_no_memory(err, "sorting rows");
  ghee_free(order);
  ghee_batch_release(&whole);
  return status;
}

/* Sorts as many rows at once as the budget allows; more, from one large chunk, become another file. */
static ghee_status sort_partition(ghee_output_files *of, size_t i, ghee_say_files *out, ghee_error *err) {
  const char *folder = ghee_partitions_name(of->partitions, i);
  batch_list batches = {0};
  uint64_t bytes = 0;
  ghee_batch batch = {0};
  ghee_status status;
  while ((status = ghee_partitions_pop(of->partitions, i, &batch, err)) == GHEE_OK) {
    uint64_t size = ghee_batch_bytes(&batch);
    if (bytes > 0 && bytes + size > of->budget_bytes) {
      status = sort_batches(of, folder, &batches, out, err);
      bytes = 0;
    }
    if (status == GHEE_OK && !ghee_array_push(&batches, batch)) status = ghee_error_no_memory(err, "sorting rows");
    if (status != GHEE_OK) {
      ghee_batch_release(&batch);
      break;
    }
    bytes += size;
  }
  if (status == GHEE_CLOSED) status = sort_batches(of, folder, &batches, out, err);
  while (batches.count > 0) ghee_batch_release(&batches.items[--batches.count]);
  ghee_array_fini(&batches);
  return status;
}

/* ---- all of a set ---- */

static ghee_status write_partition(ghee_output_files *of, size_t i, ghee_say_files *out, ghee_error *err) {
  const char *folder = ghee_partitions_name(of->partitions, i);
  ghee_batch batch = {0};
  ghee_status status;
  while ((status = ghee_partitions_pop(of->partitions, i, &batch, err)) == GHEE_OK) {
    status = write_rows(of, folder, &batch, err);
    ghee_batch_release(&batch);
    if (status == GHEE_OK && has_target_size(of)) status = finish_file(of, out, err);
    GHEE_TRY(status);
  }
  return status == GHEE_CLOSED ? finish_file(of, out, err) : status;
}

ghee_status ghee_output_files_finish(ghee_output_files *of, ghee_say_files *out, ghee_error *err) {
  if (!of->partitions) return finish_file(of, out, err);
  for (size_t i = 0; i < ghee_partitions_count(of->partitions); i++) GHEE_TRY(of->spec->n_sort_by > 0 ? sort_partition(of, i, out, err) : write_partition(of, i, out, err));
  ghee_partitions_clear(of->partitions);
  return GHEE_OK;
}

ghee_status ghee_output_files_reject(ghee_output_files *of, const ghee_buffer *lines, uint64_t rows, ghee_say_files *out, ghee_error *err) {
  ghee_say_file file = {.dead_letter = true, .rows = rows, .name = new_name(of, "", "rejected", ".jsonl")};
  ghee_sink *sink = NULL;
  ghee_status status = file.name ? open_sink(of, of->dead_staging, file.name, &sink, err) : ghee_error_no_memory(err, "naming a dead-letter file");
  if (status == GHEE_OK) status = sink->ops->write(sink, lines->data, lines->size, err);
  if (status == GHEE_OK) status = finish_sink(sink, &file, out, err);
  if (sink) sink->ops->close(sink);
  file_fini(&file);
  return status;
}
