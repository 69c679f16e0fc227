/* SPDX-License-Identifier: Apache-2.0
 * Making a plan of files: list, read footers by a few threads, compare schemas. */
#include <pthread.h>
#include <string.h>

#include "filter/predicate.h"
#include "plan/layout.h"
#include "plan/listing.h"

enum { READERS = 4 };
#define TEXT_PART_BYTES ((uint64_t)8 << 20)

/* One file: what its reader found. */
typedef struct found { ghee_plan_records parts; ghee_plan_blocks blocks; ghee_schema *schema; uint64_t ruled_out; } found;

typedef struct maker {
  const ghee_job_spec *spec;
  ghee_object_store *store;
  const struct ghee_format_ops *format;
  ghee_read_options options;
  ghee_object_list files;
  uint64_t left_out;             /* files that are not in the manifest of their folder */
  found *found;
  struct {
    pthread_mutex_t mutex;
    size_t next;
    uint32_t failed_file;      /* the first in the order of the files, so that the message is the same each time */
    ghee_error failure;
  } locked;
} maker;

ghee_status ghee_plan_remedy(ghee_status status, ghee_error *err) {
  if (status == GHEE_CORRUPT) ghee_error_suffix(err, ": repair the file, or take it out of the input");
  if (status == GHEE_SCHEMA) ghee_error_suffix(err, ": all files of an input have the same columns and types; take it out, or read it as a job of its own");
  return status;
}

static ghee_status choose_format(maker *of, ghee_error *err) {
  const char *first = of->files.items[0].uri;
  of->format = of->spec->format ? ghee_format_named(of->spec->format) : ghee_format_of_path(first);
  if (!of->format)
    return ghee_error_set(err, GHEE_INVALID, "the format of %s is not told by its name: take it out of the input, or set input.format to one of %s", first,
                          ghee_format_names());
  for (size_t i = 1; i < of->files.count && !of->spec->format; i++) {
    const char *other = of->files.items[i].uri;
    const struct ghee_format_ops *format = ghee_format_of_path(other);
    if (format && format != of->format)
      return ghee_error_set(err, GHEE_INVALID, "the input mixes formats: %s is %s, %s is %s: an input has one; name the files to read, or set input.format", first,
                            of->format->name, other, format->name);
  }
  return GHEE_OK;
}

/* Holds the filter against all columns of the first file, so that the message of one that is not there can name those that are. */
static ghee_status check_filter(maker *of, ghee_error *err) {
  const ghee_object_info *info = &of->files.items[0];
  ghee_read_options options = of->options;
  ghee_source *source = NULL;
  ghee_file *file = NULL;
  ghee_predicate *predicate = NULL;
  if (!of->spec->filter) return GHEE_OK;
  options.columns = NULL;
  GHEE_TRY(of->store->ops->read(of->store, info->uri, info->version, &source, err));
  ghee_status status = ghee_plan_remedy(of->format->open(source, &options, &file, err), err);
  if (status == GHEE_OK) status = ghee_predicate_new(of->spec->filter, of->format->schema(file), &predicate, err);
  ghee_predicate_free(predicate);
  if (file) of->format->close(file);
  source->ops->close(source);
  return status;
}

/* ---- footers ---- */

typedef struct part_sink {
  found *found;
  uint32_t file;
  uint64_t rows;                 /* before the next part; UINT64_MAX unknown */
  ghee_predicate *predicate;     /* NULL: every part is read */
  ghee_batch bounds;             /* of the parts, as ghee_predicate_may_pass wants them */
} part_sink;

static ghee_status add_part(void *user, const ghee_part *part, ghee_error *err) {
  part_sink *to = user;
  ghee_plan_record record = {.file = to->file, .index = part->index, .offset = part->offset, .size_bytes = part->size_bytes, .rows = part->rows,
                             .memory_bytes = part->memory_bytes, .first_row = to->rows};
  to->rows = part->rows < 0 || to->rows == UINT64_MAX ? UINT64_MAX : to->rows + (uint64_t)part->rows;
  if (to->predicate && !ghee_predicate_may_pass(to->predicate, &to->bounds, part->index, part->rows)) {
    to->found->ruled_out++;
    return GHEE_OK;
  }
  return ghee_array_push(&to->found->parts, record) ? GHEE_OK : ghee_error_no_memory(err, "planning");
}

/* Makes what a part is judged by, where the format knows anything of its parts. A file of other columns than the first is refused later. */
static ghee_status read_bounds(const maker *of, ghee_file *file, part_sink *out, ghee_error *err) {
  size_t n;
  if (!of->spec->filter || !of->format->bounds) return GHEE_OK;
  if (out->file > 0 && !ghee_schema_equal(of->found[0].schema, of->format->schema(file))) return GHEE_OK;
  const char *const *columns = ghee_filter_columns(of->spec->filter, &n);
  GHEE_TRY(of->format->bounds(file, columns, n, &out->bounds, err));
  return ghee_predicate_new(of->spec->filter, of->format->schema(file), &out->predicate, err);
}

static ghee_status read_file(maker *of, uint32_t index, ghee_error *err) {
  const ghee_object_info *info = &of->files.items[index];
  ghee_source *source = NULL;
  ghee_file *file = NULL;
  GHEE_TRY(of->store->ops->read(of->store, info->uri, info->version, &source, err));
  part_sink sink = {.found = &of->found[index], .file = index};
  ghee_status status = ghee_plan_blocks_read(of->store, info->uri, &sink.found->blocks, err);
  if (status == GHEE_OK) status = of->format->open(source, &of->options, &file, err);
  if (status == GHEE_OK) status = read_bounds(of, file, &sink, err);
  if (status == GHEE_OK) status = of->format->parts(file, ghee_plan_blocks_part_bytes(&sink.found->blocks, TEXT_PART_BYTES), add_part, &sink, err);
  if (status == GHEE_OK) of->found[index].schema = ghee_schema_ref(of->format->schema(file));
  ghee_predicate_free(sink.predicate);
  ghee_batch_release(&sink.bounds);
  if (file) of->format->close(file);
  source->ops->close(source);
  return status;
}

static void *read_files(void *user) {
  maker *of = user;
  for (;;) {
    pthread_mutex_lock(&of->locked.mutex);
    size_t index = of->locked.failure.status ? of->files.count : of->locked.next++;
    pthread_mutex_unlock(&of->locked.mutex);
    if (index >= of->files.count) return NULL;
    ghee_error err;
    ghee_status status = ghee_plan_remedy(read_file(of, (uint32_t)index, &err), &err);
    pthread_mutex_lock(&of->locked.mutex);
    if (status != GHEE_OK && (!of->locked.failure.status || index < of->locked.failed_file)) {
      of->locked.failure = err;
      of->locked.failed_file = (uint32_t)index;
    }
    pthread_mutex_unlock(&of->locked.mutex);
  }
}

/* The first file alone, as it fixes the types that text files are parsed as; then the rest, side by side. */
static ghee_status read_all(maker *of, ghee_error *err) {
  GHEE_TRY(ghee_plan_remedy(read_file(of, 0, err), err));
  bool text = strcmp(of->format->name, "csv") == 0 || strcmp(of->format->name, "jsonl") == 0;
  if (text) of->options.schema = of->found[0].schema;
  of->locked.next = 1;
  pthread_t threads[READERS];
  size_t started = 0;
  while (started < READERS && started + 1 < of->files.count && pthread_create(&threads[started], NULL, read_files, of) == 0) started++;
  if (started == 0) read_files(of);
  for (size_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
  if (of->locked.failure.status && err) *err = of->locked.failure;
  return of->locked.failure.status;
}

static ghee_status compare_schemas(maker *of, ghee_error *err) {
  for (size_t i = 1; i < of->files.count; i++) {
    if (ghee_schema_equal(of->found[0].schema, of->found[i].schema)) continue;
    ghee_buffer text = {0};
    ghee_schema_difference(of->found[0].schema, of->found[i].schema, &text);
    ghee_error_set(err, GHEE_SCHEMA, "%s differs from %s: %s", of->files.items[i].uri, of->files.items[0].uri, ghee_buffer_text(&text));
    ghee_buffer_fini(&text);
    return ghee_plan_remedy(GHEE_SCHEMA, err);
  }
  return GHEE_OK;
}

/* ---- the whole ---- */

static ghee_status lay_out(const maker *of, const ghee_plan_records *parts, ghee_plan_layout *out, ghee_error *err) {
  for (size_t i = 0, part = 0; i < of->files.count; i++) {
    const ghee_plan_blocks *blocks = &of->found[i].blocks;
    GHEE_TRY(ghee_plan_layout_add_file(out, blocks, err));
    for (; part < parts->count && parts->items[part].file == i; part++) GHEE_TRY(ghee_plan_layout_add_part(out, blocks, &parts->items[part], err));
  }
  return GHEE_OK;
}

static ghee_status assemble(maker *of, int64_t limit_rows, ghee_plan **out, ghee_error *err) {
  ghee_plan_records parts = {0};
  ghee_plan_layout layout = {0};
  ghee_plan_draft draft = {.files = &of->files, .parts = &parts, .schema = of->found[0].schema, .format = of->format->name, .left_out_files = of->left_out};
  ghee_status status = GHEE_OK;
  for (size_t i = 0; i < of->files.count && status == GHEE_OK; i++) {
    const found *file = &of->found[i];
    draft.ruled_out_parts += file->ruled_out;
    draft.ruled_out_files += file->ruled_out > 0 && file->parts.count == 0;
    for (size_t k = 0; k < file->parts.count && status == GHEE_OK; k++)
      if (!ghee_array_push(&parts, file->parts.items[k])) status = ghee_error_no_memory(err, "planning");
  }
  ghee_plan_limit(&parts, limit_rows);
  if (status == GHEE_OK) status = lay_out(of, &parts, &layout, err);
  if (layout.blocks > 0) draft.layout = &layout;
  if (status == GHEE_OK) status = ghee_plan_assemble(of->spec, &draft, out, err);
  ghee_plan_layout_fini(&layout);
  ghee_array_fini(&parts);
  return status;
}

ghee_status ghee_plan_make(const ghee_job_spec *spec, int64_t limit_rows, ghee_plan **out, ghee_error *err) {
  if (spec->record_log) return ghee_plan_make_log(spec, limit_rows, out, err);
  maker of = {.spec = spec};
  of.options = (ghee_read_options){.columns = spec->n_read_columns ? spec->read_columns : NULL, .n_columns = spec->n_read_columns, .csv_delimiter = spec->csv_delimiter,
                                   .csv_no_header = !spec->csv_header, .csv_null = spec->csv_null, .bounds = spec->filter != NULL};
  pthread_mutex_init(&of.locked.mutex, NULL);
  ghee_status status = ghee_object_store_open(spec->input_uris[0], &of.store, err);
  if (status == GHEE_OK) status = ghee_plan_list(of.store, spec, &of.files, &of.left_out, err);
  if (status == GHEE_OK) status = choose_format(&of, err);
  if (status == GHEE_OK) status = check_filter(&of, err);
  if (status == GHEE_OK && !(of.found = ghee_alloc_zero(of.files.count, sizeof *of.found))) status = ghee_error_no_memory(err, "planning");
  if (status == GHEE_OK) status = read_all(&of, err);
  if (status == GHEE_OK) status = compare_schemas(&of, err);
  if (status == GHEE_OK) status = assemble(&of, limit_rows, out, err);
  for (size_t i = 0; of.found && i < of.files.count; i++) {
    ghee_array_fini(&of.found[i].parts);
    ghee_plan_blocks_fini(&of.found[i].blocks);
    ghee_schema_unref(of.found[i].schema);
  }
  ghee_free(of.found);
  ghee_object_list_fini(&of.files);
  if (of.store) ghee_object_store_close(of.store);
  pthread_mutex_destroy(&of.locked.mutex);
  return status;
}
