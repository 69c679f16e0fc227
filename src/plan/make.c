/* SPDX-License-Identifier: Apache-2.0
 * Making a plan of files: list, read footers by a few threads, compare schemas. */
#include <pthread.h>
#include <string.h>

#include "plan/judge.h"
#include "plan/layout.h"

enum { READERS = 4 };
#define TEXT_PART_BYTES ((uint64_t)8 << 20)

/* One file: what its reader found. */
typedef struct found { ghee_plan_records parts; ghee_plan_blocks blocks; ghee_schema *schema; uint64_t ruled_out; bool out; /* as a whole */ } found;

typedef struct maker {
  const ghee_job_spec *spec;
  ghee_object_store *store;
  const struct ghee_format_ops *format;
  ghee_read_options options;
  ghee_plan_listing input;
  ghee_folder_keys keys;         /* columns that folders give */
  ghee_schema *whole;            /* all columns of the first file, and those; NULL: nobody asks for them */
  const char **file_columns;     /* that are read of files, where not all are; first_column: only those of keys are wanted */
  char *first_column;
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
  const char *first = of->input.files.items[0].uri;
  of->format = of->spec->format ? ghee_format_named(of->spec->format) : ghee_format_of_path(first);
  size_t length = strlen(first);
  if (!of->format && length > 5 && strcmp(first + length - 5, ".avro") == 0)
    return ghee_error_set(err, GHEE_UNSUPPORTED, "%s is Avro, which this build does not read: convert it to one of %s", first, ghee_format_names());
  if (!of->format)
    return ghee_error_set(err, GHEE_INVALID, "the format of %s is not told by its name: take it out of the input, or set input.format to one of %s", first,
                          ghee_format_names());
  for (size_t i = 1; i < of->input.files.count && !of->spec->format; i++) {
    const char *other = of->input.files.items[i].uri;
    const struct ghee_format_ops *format = ghee_format_of_path(other);
    if (format && format != of->format)
      return ghee_error_set(err, GHEE_INVALID, "the input mixes formats: %s is %s, %s is %s: an input has one; name the files to read, or set input.format", first,
                            of->format->name, other, format->name);
  }
  return GHEE_OK;
}

/* ---- the first file ---- */

/* What of `columns` is read of files: those that folders do not give, but one column at least, as it is the files that tell how many rows there are. */
static ghee_status choose_columns(maker *of, const ghee_schema *files, ghee_error *err) {
  const ghee_job_spec *spec = of->spec;
  size_t n = 0;
  if (of->keys.count == 0 || spec->n_read_columns == 0) return GHEE_OK;
  of->file_columns = ghee_alloc((spec->n_read_columns + 1) * sizeof *of->file_columns);
  if (!of->file_columns) return ghee_error_no_memory(err, "planning");
  for (size_t i = 0; i < spec->n_read_columns; i++) {
    const char *column = spec->read_columns[i];
    bool given = false;
    for (size_t k = 0; k < of->keys.count; k++) given = given || strcmp(of->keys.items[k].name, column) == 0;
    if (!given) of->file_columns[n++] = column;
  }
  if (n == 0 && ghee_schema_columns(files) > 0) {
    of->first_column = ghee_strdup(ghee_schema_arrow(files)->children[0]->name);
    if (!of->first_column) return ghee_error_no_memory(err, "planning");
    of->file_columns[n++] = of->first_column;
  }
  of->options.columns = of->file_columns;
  of->options.n_columns = n;
  return GHEE_OK;
}

/* A key that is a column of the files too is theirs. The filter and `columns` are held against all columns, so that the message of one that is not there
 * can name those that are. */
static ghee_status take_whole(maker *of, const ghee_schema *files, ghee_error *err) {
  ghee_predicate *predicate = NULL;
  ghee_schema *wanted = NULL;
  ghee_folder_keys_drop(&of->keys, files);
  GHEE_TRY(ghee_folder_schema(&of->keys, files, NULL, 0, &of->whole, err));
  if (of->spec->filter) GHEE_TRY(ghee_predicate_new(of->spec->filter, of->whole, &predicate, err));
  ghee_predicate_free(predicate);
  if (of->spec->n_read_columns) GHEE_TRY(ghee_schema_project(of->whole, of->spec->read_columns, of->spec->n_read_columns, &wanted, err));
  ghee_schema_unref(wanted);
  return choose_columns(of, files, err);
}

static ghee_status look_at_first(maker *of, ghee_error *err) {
  const ghee_object_info *info = &of->input.files.items[0];
  ghee_read_options options = of->options;
  ghee_source *source = NULL;
  ghee_file *file = NULL;
  if (of->spec->hive_partitions) GHEE_TRY(ghee_folder_keys_find(&of->input, &of->keys, err));
  if (!of->spec->filter && of->keys.count == 0) return GHEE_OK;
  options.columns = NULL;
  GHEE_TRY(of->store->ops->read(of->store, info->uri, info->version, &source, err));
  ghee_status status = ghee_plan_remedy(of->format->open(source, &options, &file, err), err);
  if (status == GHEE_OK) status = take_whole(of, of->format->schema(file), err);
  if (file) of->format->close(file);
  source->ops->close(source);
  return status;
}

/* ---- footers ---- */

typedef struct part_sink {
  found *found;
  uint32_t file;
  uint64_t rows;                 /* before the next part; UINT64_MAX unknown */
  uint64_t key_bytes;            /* of a row, decoded: what folders give */
  ghee_judge judge;
} part_sink;

static ghee_status add_part(void *user, const ghee_part *part, ghee_error *err) {
  part_sink *to = user;
  uint64_t key_bytes = part->rows > 0 ? (uint64_t)part->rows * to->key_bytes : 0;
  ghee_plan_record record = {.file = to->file, .index = part->index, .offset = part->offset, .size_bytes = part->size_bytes, .rows = part->rows,
                             .memory_bytes = part->memory_bytes + key_bytes, .first_row = to->rows};
  to->rows = part->rows < 0 || to->rows == UINT64_MAX ? UINT64_MAX : to->rows + (uint64_t)part->rows;
  if (to->found->out || !ghee_judge_part(&to->judge, part)) {
    to->found->ruled_out++;
    return GHEE_OK;
  }
  return ghee_array_push(&to->found->parts, record) ? GHEE_OK : ghee_error_no_memory(err, "planning");
}

/* A file of other columns than the first is refused later. */
static ghee_status judge_parts(const maker *of, ghee_file *file, part_sink *to, ghee_error *err) {
  ghee_schema *read;
  if (!of->spec->filter || (to->file > 0 && !ghee_schema_equal(of->found[0].schema, of->format->schema(file)))) return GHEE_OK;
  GHEE_TRY(ghee_folder_schema(&of->keys, of->format->schema(file), NULL, 0, &read, err));
  ghee_status status = ghee_judge_open(&to->judge, file, read, err);
  ghee_schema_unref(read);
  return status;
}

static ghee_status read_parts(maker *of, part_sink *to, ghee_error *err) {
  const ghee_object_info *info = &of->input.files.items[to->file];
  ghee_source *source = NULL;
  ghee_file *file = NULL;
  GHEE_TRY(of->store->ops->read(of->store, info->uri, info->version, &source, err));
  ghee_status status = ghee_plan_blocks_read(of->store, info->uri, &to->found->blocks, err);
  if (status == GHEE_OK) status = of->format->open(source, &of->options, &file, err);
  if (status == GHEE_OK) status = judge_parts(of, file, to, err);
  if (status == GHEE_OK) status = of->format->parts(file, ghee_plan_blocks_part_bytes(&to->found->blocks, TEXT_PART_BYTES), add_part, to, err);
  if (status == GHEE_OK) to->found->schema = ghee_schema_ref(of->format->schema(file));
  if (file) of->format->close(file);
  source->ops->close(source);
  return status;
}

/* A file that its folders rule out is not opened, but for the first, whose columns all others are held against. */
static ghee_status read_file(maker *of, uint32_t index, ghee_error *err) {
  const char *path = of->input.files.items[index].uri + of->input.prefixes.items[index];
  ghee_folder_values values = {0};
  part_sink to = {.found = &of->found[index], .file = index};
  to.judge = (ghee_judge){.filter = of->spec->filter, .keys = &of->keys, .values = &values, .format = of->format};
  bool may_pass = true;
  ghee_status status = ghee_folder_values_read(&of->keys, path, &values, err);
  if (status == GHEE_OK) status = ghee_judge_file(&to.judge, of->whole, &may_pass, err);
  for (size_t k = 0; k < values.count; k++) to.key_bytes += 8 + (values.items[k].text && of->keys.items[k].kind == GHEE_STRING ? strlen(values.items[k].text) : 0);
  to.found->out = !may_pass;
  if (status == GHEE_OK && (may_pass || index == 0)) status = read_parts(of, &to, err);
  ghee_judge_fini(&to.judge);
  ghee_folder_values_fini(&values);
  return status;
}

static void *read_files(void *user) {
  maker *of = user;
  for (;;) {
    pthread_mutex_lock(&of->locked.mutex);
    size_t index = of->locked.failure.status ? of->input.files.count : of->locked.next++;
    pthread_mutex_unlock(&of->locked.mutex);
    if (index >= of->input.files.count) return NULL;
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
  while (started < READERS && started + 1 < of->input.files.count && pthread_create(&threads[started], NULL, read_files, of) == 0) started++;
  if (started == 0) read_files(of);
  for (size_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
  if (of->locked.failure.status && err) *err = of->locked.failure;
  return of->locked.failure.status;
}

static ghee_status compare_schemas(maker *of, ghee_error *err) {
  for (size_t i = 1; i < of->input.files.count; i++) {
    if (!of->found[i].schema || ghee_schema_equal(of->found[0].schema, of->found[i].schema)) continue;
    ghee_buffer text = {0};
    ghee_schema_difference(of->found[0].schema, of->found[i].schema, &text);
    ghee_error_set(err, GHEE_SCHEMA, "%s differs from %s: %s", of->input.files.items[i].uri, of->input.files.items[0].uri, ghee_buffer_text(&text));
    ghee_buffer_fini(&text);
    return ghee_plan_remedy(GHEE_SCHEMA, err);
  }
  return GHEE_OK;
}

/* ---- the whole ---- */

static ghee_status lay_out(const maker *of, const ghee_plan_records *parts, ghee_plan_layout *out, ghee_error *err) {
  for (size_t i = 0, part = 0; i < of->input.files.count; i++) {
    const ghee_plan_blocks *blocks = &of->found[i].blocks;
    GHEE_TRY(ghee_plan_layout_add_file(out, blocks, err));
    for (; part < parts->count && parts->items[part].file == i; part++) GHEE_TRY(ghee_plan_layout_add_part(out, blocks, &parts->items[part], err));
  }
  return GHEE_OK;
}

static ghee_status assemble(maker *of, int64_t limit_rows, ghee_plan **out, ghee_error *err) {
  ghee_plan_records parts = {0};
  ghee_plan_layout layout = {0};
  ghee_plan_draft draft = {.files = &of->input.files, .prefixes = of->input.prefixes.items, .left_out_files = of->input.left_out, .parts = &parts, .file_schema = of->found[0].schema, .format = of->format->name};
  ghee_status status = ghee_folder_schema(&of->keys, of->found[0].schema, of->spec->read_columns, of->spec->n_read_columns, &draft.schema, err);
  for (size_t i = 0; i < of->input.files.count && status == GHEE_OK; i++) {
    const found *file = &of->found[i];
    draft.ruled_out_parts += file->ruled_out;
    draft.ruled_out_files += file->out || (file->ruled_out > 0 && file->parts.count == 0);
    for (size_t k = 0; k < file->parts.count && status == GHEE_OK; k++)
      if (!ghee_array_push(&parts, file->parts.items[k])) status = ghee_error_no_memory(err, "planning");
  }
  ghee_plan_limit(&parts, limit_rows);
  if (status == GHEE_OK) status = lay_out(of, &parts, &layout, err);
  if (layout.blocks > 0) draft.layout = &layout;
  if (status == GHEE_OK) status = ghee_plan_assemble(of->spec, &draft, out, err);
  ghee_plan_layout_fini(&layout);
  ghee_array_fini(&parts);
  ghee_schema_unref(draft.schema);
  return status;
}

ghee_status ghee_plan_make(const ghee_job_spec *spec, int64_t limit_rows, ghee_plan **out, ghee_error *err) {
  if (spec->record_log) return ghee_plan_make_log(spec, limit_rows, out, err);
  maker of = {.spec = spec};
  of.options = (ghee_read_options){.columns = spec->n_read_columns ? spec->read_columns : NULL, .n_columns = spec->n_read_columns, .csv_delimiter = spec->csv_delimiter,
                                   .csv_no_header = !spec->csv_header, .csv_null = spec->csv_null, .bounds = spec->filter != NULL};
  pthread_mutex_init(&of.locked.mutex, NULL);
  ghee_status status = ghee_object_store_open(spec->input_uris[0], &of.store, err);
  if (status == GHEE_OK) status = ghee_plan_list(of.store, spec, &of.input, err);
  if (status == GHEE_OK) status = choose_format(&of, err);
  if (status == GHEE_OK) status = look_at_first(&of, err);
  if (status == GHEE_OK && !(of.found = ghee_alloc_zero(of.input.files.count, sizeof *of.found))) status = ghee_error_no_memory(err, "planning");
  if (status == GHEE_OK) status = read_all(&of, err);
  if (status == GHEE_OK) status = compare_schemas(&of, err);
  if (status == GHEE_OK) status = assemble(&of, limit_rows, out, err);
  for (size_t i = 0; of.found && i < of.input.files.count; i++) {
    ghee_array_fini(&of.found[i].parts);
    ghee_plan_blocks_fini(&of.found[i].blocks);
    ghee_schema_unref(of.found[i].schema);
  }
  ghee_free(of.found);
  ghee_free(of.file_columns);
  ghee_free(of.first_column);
  ghee_schema_unref(of.whole);
  ghee_folder_keys_fini(&of.keys);
  ghee_plan_listing_fini(&of.input);
  if (of.store) ghee_object_store_close(of.store);
  pthread_mutex_destroy(&of.locked.mutex);
  return status;
}
