/* SPDX-License-Identifier: Apache-2.0
 * Parts of files and parts of logs behind one face. */
#include "plan/input.h"

#include <string.h>

#include "plan/folders.h"
#include "plan/open_files.h"
#include "plan/records.h"
#include "plan/sieve.h"

enum { READ_RECORDS = 512 };
#define MOST_BATCH_BYTES ((uint64_t)16 << 20) /* of records; more, and a batch has fewer rows */

struct ghee_input {
  const ghee_job_spec *spec;
  const ghee_plan *plan;
  int64_t batch_rows;
  ghee_predicate *predicate;     /* NULL: all rows pass */
  /* files */
  const struct ghee_format_ops *format;
  ghee_read_options options;
  const char **columns;          /* of the files, where not all are read */
  ghee_folder_keys keys;         /* columns that their folders give */
  bool adds;                     /* there are some, or a file is read for its rows alone */
  ghee_open_files files;
  /* record logs: one for each URI */
  ghee_record_log **logs;
};

struct ghee_part_reader {
  ghee_input *input;
  /* a part of a file */
  ghee_open_file *file;
  ghee_rows *rows;
  ghee_folder_values values;
  uint64_t row;
  /* a range of a log; [given, n) of the records are not collected yet */
  ghee_record_log *log;
  ghee_log_reader *reader;
  ghee_records *records;
  ghee_record read[READ_RECORDS];
  size_t given, n;
  bool over;
  ghee_batch held;               /* more rows than one batch may have: those from `held_at` on are to come */
  int64_t held_at;
  ghee_sieve sieve;              /* where there is a filter */
};

/* ---- opening ---- */

/* What is read of a file, by the schema of that. */
static ghee_status choose_columns(ghee_input *input, ghee_error *err) {
  const struct ArrowSchema *files = ghee_schema_arrow(ghee_plan_file_schema(input->plan));
  if (input->spec->n_read_columns == 0) return GHEE_OK;
  input->columns = ghee_alloc(((size_t)files->n_children + 1) * sizeof *input->columns);
  if (!input->columns) return ghee_error_no_memory(err, "opening the input");
  for (int64_t i = 0; i < files->n_children; i++) input->columns[i] = files->children[i]->name;
  input->options.columns = input->columns;
  input->options.n_columns = (size_t)files->n_children;
  return GHEE_OK;
}

static ghee_status open_files(ghee_input *input, ghee_error *err) {
  const ghee_job_spec *spec = input->spec;
  input->format = ghee_format_named(ghee_plan_format(input->plan));
  if (!input->format) return ghee_error_set(err, GHEE_UNSUPPORTED, "the plan's format %s is not in this build", ghee_plan_format(input->plan));
  input->options = (ghee_read_options){.batch_rows = input->batch_rows, .schema = ghee_plan_file_schema(input->plan), .csv_delimiter = spec->csv_delimiter,
                                       .csv_no_header = !spec->csv_header, .csv_null = spec->csv_null};
  GHEE_TRY(choose_columns(input, err));
  GHEE_TRY(ghee_folder_keys_between(ghee_plan_read_schema(input->plan), ghee_plan_file_schema(input->plan), &input->keys, err));
  input->adds = !ghee_schema_equal(ghee_plan_read_schema(input->plan), ghee_plan_file_schema(input->plan));
  GHEE_TRY(ghee_object_store_open(spec->input_uris[0], &input->files.store, err));
  input->files.format = input->format;
  input->files.options = &input->options;
  return GHEE_OK;
}

static ghee_status open_logs(ghee_input *input, ghee_error *err) {
  input->logs = ghee_alloc_zero(input->spec->n_input_uris, sizeof *input->logs);
  if (!input->logs) return ghee_error_no_memory(err, "opening the input");
  for (size_t i = 0; i < input->spec->n_input_uris; i++) GHEE_TRY(ghee_record_log_open(input->spec->input_uris[i], &input->spec->input_options, &input->logs[i], err));
  return GHEE_OK;
}

ghee_status ghee_input_open(const ghee_job_spec *spec, const ghee_plan *plan, int64_t batch_rows, ghee_input **out, ghee_error *err) {
  ghee_input *input = ghee_alloc_zero(1, sizeof *input);
  if (!input) return ghee_error_no_memory(err, "opening the input");
  *input = (ghee_input){.spec = spec, .plan = plan, .batch_rows = batch_rows};
  ghee_status status = spec->filter ? ghee_predicate_new(spec->filter, ghee_plan_read_schema(plan), &input->predicate, err) : GHEE_OK;
  if (status == GHEE_OK) status = spec->record_log ? open_logs(input, err) : open_files(input, err);
  if (status != GHEE_OK) {
    ghee_input_close(input);
    return status;
  }
  *out = input;
  return GHEE_OK;
}

void ghee_input_close(ghee_input *input) {
  if (!input) return;
  for (size_t i = 0; input->logs && i < input->spec->n_input_uris; i++) ghee_record_log_close(input->logs[i]);
  ghee_free(input->logs);
  ghee_open_files_fini(&input->files);
  ghee_object_store_close(input->files.store);
  ghee_free(input->columns);
  ghee_folder_keys_fini(&input->keys);
  ghee_predicate_free(input->predicate);
  ghee_free(input);
}

static ghee_status open_file_part(ghee_part_reader *of, const ghee_plan_part *part, ghee_error *err) {
  ghee_input *input = of->input;
  GHEE_TRY(ghee_open_files_take(&input->files, part->uri, part->version, &of->file, err));
  of->row = part->first_row;
  GHEE_TRY(ghee_folder_values_read(&input->keys, part->path, &of->values, err));
  return input->format->read(of->file->file, &part->part, 0, &of->rows, err);
}

static ghee_status open_log_part(ghee_part_reader *of, const ghee_plan_part *part, ghee_error *err) {
  const ghee_job_spec *spec = of->input->spec;
  const char *uri = NULL;
  for (size_t i = 0; i < spec->n_input_uris && !of->log; i++) {
    size_t n = strlen(spec->input_uris[i]);
    if (strncmp(part->uri, spec->input_uris[i], n) != 0 || part->uri[n] != '#') continue;
    of->log = of->input->logs[i];
    uri = spec->input_uris[i];
  }
  if (!of->log) return ghee_error_set(err, GHEE_CORRUPT, "the plan names %s, which is not of the input", part->uri);
  GHEE_TRY(ghee_records_new(spec, uri, ghee_plan_read_schema(of->input->plan), &of->records, err));
  return of->log->ops->read(of->log, &part->range, &of->reader, err);
}

ghee_status ghee_input_read(ghee_input *input, const ghee_plan_part *part, ghee_part_reader **out, ghee_error *err) {
  ghee_part_reader *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return ghee_error_no_memory(err, "reading the input");
  of->input = input;
  of->sieve = (ghee_sieve){.spec = input->spec, .predicate = input->predicate, .most_rows = input->batch_rows};
  ghee_status status = input->logs ? open_log_part(of, part, err) : open_file_part(of, part, err);
  if (status != GHEE_OK) {
    ghee_part_reader_close(of);
    return status;
  }
  *out = of;
  return GHEE_OK;
}

void ghee_part_reader_close(ghee_part_reader *of) {
  if (!of) return;
  if (of->rows) of->input->format->end(of->rows);
  ghee_folder_values_fini(&of->values);
  if (of->file) ghee_open_files_give(&of->input->files, of->file);
  if (of->reader) of->log->ops->end(of->reader);
  ghee_records_free(of->records);
  ghee_batch_release(&of->held);
  ghee_sieve_fini(&of->sieve);
  ghee_free(of);
}

/* ---- reading ---- */

static ghee_status next_of_file(ghee_part_reader *of, ghee_batch *out, uint64_t *row, ghee_error *err) {
  ghee_input *input = of->input;
  ghee_batch batch = {0}, *read = input->adds ? &batch : out;
  GHEE_TRY(input->format->next(of->rows, read, err));
  if (read == &batch) GHEE_TRY(ghee_folder_add(&input->keys, &of->values, ghee_plan_read_schema(input->plan), &batch, out, err));
  *row = of->row;
  if (of->row != UINT64_MAX) of->row += (uint64_t)ghee_batch_rows(out);
  return GHEE_OK;
}

static bool is_full(const ghee_part_reader *of) {
  return ghee_records_rows(of->records) >= (uint64_t)of->input->batch_rows || ghee_records_bytes(of->records) >= MOST_BATCH_BYTES;
}

/* Records of many rows do not end where batches do; which of its rows a batch begins with has no number. Copied, as some readers of batches take
 * no slices. */
static ghee_status next_held(ghee_part_reader *of, ghee_batch *out, uint64_t *row, ghee_error *err) {
  int64_t left = ghee_batch_rows(&of->held) - of->held_at, rows = left < of->input->batch_rows ? left : of->input->batch_rows;
  ghee_batch slice = {0};
  GHEE_TRY(ghee_batch_slice(&of->held, of->held_at, rows, &slice, err));
  ghee_status status = ghee_batch_concat(&slice, 1, out, err);
  ghee_batch_release(&slice);
  GHEE_TRY(status);
  *row = UINT64_MAX;
  of->held_at += rows;
  if (rows == left) ghee_batch_release(&of->held);
  return GHEE_OK;
}

/* By records and bytes alone, not by how they came, so that a second reading gives the same batches. */
static ghee_status next_of_log(ghee_part_reader *of, ghee_batch *out, uint64_t *row, ghee_buffer *rejects, ghee_error *err) {
  if (of->held.schema) return next_held(of, out, row, err);
  while (!of->over && !is_full(of)) {
    if (of->given == of->n) {
      ghee_status status = of->log->ops->next(of->reader, of->read, READ_RECORDS, &of->n, err);
      of->given = 0;
      of->over = status == GHEE_CLOSED;
      if (of->over) of->n = 0;
      else GHEE_TRY(status);
    }
    while (of->given < of->n && !is_full(of)) GHEE_TRY(ghee_records_add(of->records, &of->read[of->given++], err));
  }
  if (ghee_records_count(of->records) == 0) return GHEE_CLOSED;
  int64_t offset = 0;
  bool one_by_one = ghee_records_rows(of->records) == ghee_records_count(of->records);
  GHEE_TRY(ghee_records_take(of->records, &of->held, &offset, rejects, err));
  of->held_at = 0;
  if (ghee_batch_rows(&of->held) > of->input->batch_rows) return next_held(of, out, row, err);
  ghee_batch_move(&of->held, out);
  *row = one_by_one ? (uint64_t)offset : UINT64_MAX;
  return GHEE_OK;
}

static ghee_status next_of_any(ghee_part_reader *of, ghee_batch *out, uint64_t *row, ghee_buffer *rejects, ghee_error *err) {
  return of->log ? next_of_log(of, out, row, rejects, err) : next_of_file(of, out, row, err);
}

ghee_status ghee_part_reader_next(ghee_part_reader *of, ghee_batch *out, uint64_t *row, ghee_buffer *rejects, ghee_error *err) {
  if (!of->input->predicate) return next_of_any(of, out, row, rejects, err);
  ghee_status status = GHEE_OK;
  while (status == GHEE_OK && !ghee_sieve_is_full(&of->sieve)) {
    ghee_batch batch = {0};
    uint64_t first;
    status = next_of_any(of, &batch, &first, rejects, err);
    if (status == GHEE_OK) GHEE_TRY(ghee_sieve_push(&of->sieve, &batch, first, err));
  }
  return status == GHEE_OK || status == GHEE_CLOSED ? ghee_sieve_pop(&of->sieve, out, row, err) : status;
}

uint64_t ghee_part_reader_kept(const ghee_part_reader *of) { return of->sieve.bytes; }
