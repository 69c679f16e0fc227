/* SPDX-License-Identifier: Apache-2.0
 * Descriptions to specs: every key checked, every default filled in, every path absolute. */
#include "plan/spec.h"

#include <ctype.h>
#include <string.h>

#include "base/array.h"
#include "format/format.h"
#include "plan/spec_log.h"
#include "storage/object_store.h"

enum { DEFAULT_ROWS = 8192, DEFAULT_GROUP = 1 << 20, DEFAULT_WINDOW = 8, DEFAULT_INTERLEAVE = 16, DEFAULT_CRASHES = 5, MOST_WORKERS = 1024 };
#define DEFAULT_BUFFER ((uint64_t)64 << 20)
#define DEFAULT_FILE ((uint64_t)256 << 20)

/* Memory of a spec: freed together. */
typedef GHEE_ARRAY(void *) blocks;

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "reading a description"); }

/* Keeps a block for the life of the spec; NULL without memory. */
static void *keep(ghee_job_spec *spec, void *block) {
  blocks *owned = spec->owned;
  if (block && ghee_array_push(owned, block)) return block;
  ghee_free(block);
  return NULL;
}

static ghee_status keep_text(ghee_job_spec *spec, const char *text, const char **out, ghee_error *err) {
  if (!text) {
    *out = NULL;
    return GHEE_OK;
  }
  return (*out = keep(spec, ghee_strdup(text))) ? GHEE_OK : no_memory(err);
}

/* A path as a canonical URI, relative ones against `folder`. */
static ghee_status keep_uri(ghee_job_spec *spec, const char *uri, const char *folder, const char **out, ghee_error *err) {
  const char *path = strncmp(uri, "file:", 5) == 0 && uri[5] != '/' ? uri + 5 : uri;
  const char *colon = strchr(path, ':'), *slash = strchr(path, '/');
  bool relative = path[0] != '/' && !(colon && (!slash || colon < slash));
  char *joined = relative && folder ? ghee_asprintf("%s/%s", folder, path) : ghee_strdup(path), *canonical = NULL;
  if (!joined) return no_memory(err);
  ghee_status status = ghee_uri_canonical(joined, &canonical, err);
  ghee_free(joined);
  GHEE_TRY(status);
  return (*out = keep(spec, canonical)) ? GHEE_OK : no_memory(err);
}

/* ---- stages ---- */

static const char *const stage_names[] = {"preprocess", "train", "predict", "postprocess"};
static const ghee_role stage_roles[] = {GHEE_ROLE_PREPROCESS, GHEE_ROLE_TRAIN, GHEE_ROLE_PREDICT, GHEE_ROLE_POSTPROCESS};
enum { N_STAGE_NAMES = 4 };

/* `run`: where the function is. */
static ghee_status read_run(ghee_job_spec *spec, const ghee_node *map, const char *folder, ghee_stage_spec *stage, ghee_error *err) {
  const char *run = NULL;
  GHEE_TRY(ghee_node_read_text(map, "run", &run, err));
  stage->native = !run;
  if (!run) return stage->role == GHEE_ROLE_TRAIN ? ghee_node_error(map, err, "train has no `run`: name its function, \"module:function\"") : GHEE_OK;
  const ghee_node *node = ghee_node_get(map, "run");
  const char *colon = strrchr(run, ':');
  if (!colon || colon == run || !colon[1]) return ghee_node_error(node, err, "run must be \"module:function\" or \"library.so:function\", not '%s'", run);
  if (strncmp(run, "code:", 5) == 0) return keep_text(spec, run, &stage->run, err);
  size_t length = (size_t)(colon - run);
  stage->native = length > 3 && strncmp(colon - 3, ".so", 3) == 0;
  if (!stage->native) return keep_text(spec, run, &stage->run, err);
  if (stage->role == GHEE_ROLE_TRAIN) return ghee_node_error(node, err, "train runs in Python; '%s' is a shared object", run);
  const char *library = NULL;
  char *file = ghee_asprintf("file:%.*s", (int)length, run);
  if (!file) return no_memory(err);
  ghee_status status = keep_uri(spec, file, folder, &library, err);
  ghee_free(file);
  GHEE_TRY(status);
  return (stage->run = keep(spec, ghee_asprintf("%s%s", library + strlen("file:"), colon))) ? GHEE_OK : no_memory(err);
}

static ghee_status read_env(ghee_job_spec *spec, const ghee_node *map, ghee_stage_spec *stage, ghee_error *err) {
  const ghee_node *env = NULL;
  GHEE_TRY(ghee_node_read_map(map, "env", &env, err));
  const char **texts = keep(spec, ghee_alloc_zero((env ? env->n : 0) + 1, sizeof *texts));
  if (!texts) return no_memory(err);
  for (size_t i = 0; env && i < env->n; i++) {
    const char *value = "";
    GHEE_TRY(ghee_node_read_text(env, env->keys[i], &value, err));
    if (!(texts[i] = keep(spec, ghee_asprintf("%s=%s", env->keys[i], value)))) return no_memory(err);
  }
  stage->env = texts;
  return GHEE_OK;
}

static ghee_status read_args(ghee_job_spec *spec, const ghee_node *map, ghee_stage_spec *stage, ghee_error *err) {
  const ghee_node *args = NULL;
  GHEE_TRY(ghee_node_read_map(map, "args", &args, err));
  ghee_buffer json = {0};
  if (args) ghee_node_to_json(args, &json);
  ghee_status status = keep_text(spec, args ? ghee_buffer_text(&json) : "{}", &stage->args_json, err);
  if (json.failed) status = no_memory(err);
  ghee_buffer_fini(&json);
  return status;
}

static ghee_status read_stage(ghee_job_spec *spec, const ghee_node *map, const char *folder, ghee_role role, const char *name, uint64_t buffer,
                              ghee_stage_spec *stage, ghee_error *err) {
  static const char *const known[] = {"run", "workers", "batch_size", "args", "timeout", "as", "rows", "cpu", "memory", "gpu", "image", "env", "buffer", NULL};
  static const char *const forms[] = {"numpy", "arrow", "pandas", "rows", "torch", NULL}, *const rows[] = {"any", "same", NULL};
  int64_t workers = 1, batch_rows = role == GHEE_ROLE_TRAIN ? DEFAULT_ROWS : 0, gpu = 0;
  int form = role == GHEE_ROLE_TRAIN ? GHEE_FORM_TORCH : GHEE_FORM_NUMPY, same = 0;
  const char *image = NULL;
  GHEE_TRY(ghee_node_only(map, name, known, err));
  *stage = (ghee_stage_spec){.role = role, .name = name, .cpu = 1, .buffer_bytes = buffer};
  GHEE_TRY(read_run(spec, map, folder, stage, err));
  GHEE_TRY(ghee_node_read_int(map, "workers", 1, MOST_WORKERS, &workers, err));
  GHEE_TRY(ghee_node_read_int(map, "batch_size", 1, 1 << 30, &batch_rows, err));
  GHEE_TRY(ghee_node_read_duration(map, "timeout", &stage->timeout_ms, err));
  GHEE_TRY(ghee_node_read_choice(map, "as", forms, &form, err));
  if (role == GHEE_ROLE_TRAIN && form != GHEE_FORM_NUMPY && form != GHEE_FORM_TORCH)
    return ghee_node_error(ghee_node_get(map, "as"), err, "train cannot have `as: %s`: its steps are dicts of columns; say torch or numpy", forms[form]);
  GHEE_TRY(ghee_node_read_choice(map, "rows", rows, &same, err));
  GHEE_TRY(ghee_node_read_real(map, "cpu", 0.001, 4096, &stage->cpu, err));
  GHEE_TRY(ghee_node_read_bytes(map, "memory", &stage->memory_bytes, err));
  GHEE_TRY(ghee_node_read_int(map, "gpu", 0, 64, &gpu, err));
  GHEE_TRY(ghee_node_read_text(map, "image", &image, err));
  GHEE_TRY(ghee_node_read_bytes(map, "buffer", &stage->buffer_bytes, err));
  if (stage->buffer_bytes < (64 << 10)) return ghee_node_error(map, err, "buffer of %s must be at least 64 KiB", name);
  stage->workers = (uint32_t)workers;
  stage->batch_rows = batch_rows;
  stage->form = (ghee_batch_form)form;
  stage->same_rows = same == 1;
  stage->gpu = (uint32_t)gpu;
  GHEE_TRY(keep_text(spec, image, &stage->image, err));
  GHEE_TRY(read_env(spec, map, stage, err));
  return read_args(spec, map, stage, err);
}

/* Stands before a train that has no preprocess: reading workers that pass rows on. */
static ghee_status add_read_stage(ghee_job_spec *spec, uint32_t ranks, uint64_t buffer, ghee_error *err) {
  static const char *const no_env[] = {NULL};
  spec->stages[spec->n_stages++] = (ghee_stage_spec){.role = GHEE_ROLE_READ, .name = "read", .native = true, .workers = ranks < 4 ? ranks : 4,
                                                     .cpu = 1, .args_json = "{}", .env = no_env, .buffer_bytes = buffer};
  (void)err;
  return GHEE_OK;
}

static ghee_status read_stages(ghee_job_spec *spec, const ghee_node *root, const char *folder, ghee_error *err) {
  uint64_t buffer = DEFAULT_BUFFER;
  const ghee_node *maps[N_STAGE_NAMES] = {NULL};
  GHEE_TRY(ghee_node_read_bytes(root, "buffer", &buffer, err));
  for (int i = 0; i < N_STAGE_NAMES; i++) GHEE_TRY(ghee_node_read_map(root, stage_names[i], &maps[i], err));
  const ghee_node *preprocess = maps[0], *train = maps[1], *predict = maps[2], *postprocess = maps[3];
  if (!preprocess && !train && !predict) return ghee_node_error(root, err, "the job does nothing: describe preprocess, train or predict");
  if (train && predict) return ghee_node_error(predict, err, "a job has train or predict, not both: make it two jobs");
  if (train && postprocess) return ghee_node_error(postprocess, err, "postprocess follows predict; train has no output");
  spec->train = train != NULL;
  for (int i = 0; i < N_STAGE_NAMES; i++) {
    if (!maps[i]) continue;
    ghee_stage_spec stage;
    GHEE_TRY(read_stage(spec, maps[i], folder, stage_roles[i], stage_names[i], buffer, &stage, err));
    if (stage_roles[i] == GHEE_ROLE_TRAIN && !preprocess) GHEE_TRY(add_read_stage(spec, stage.workers, buffer, err));
    spec->stages[spec->n_stages++] = stage;
  }
  if (!spec->stages[0].batch_rows) spec->stages[0].batch_rows = DEFAULT_ROWS;
  return GHEE_OK;
}

/* ---- input and output ---- */

static ghee_status read_delimiter(const ghee_node *map, char *out, ghee_error *err) {
  const char *text = NULL;
  GHEE_TRY(ghee_node_read_text(map, "delimiter", &text, err));
  *out = ',';
  if (!text) return GHEE_OK;
  if (strlen(text) != 1 || *text == '"' || *text == '\n' || *text == '\r')
    return ghee_node_error(ghee_node_get(map, "delimiter"), err, "delimiter must be one character, not '%s'", text);
  *out = *text;
  return GHEE_OK;
}

static ghee_status read_format(ghee_job_spec *spec, const ghee_node *map, const char **out, ghee_error *err) {
  const char *name = NULL;
  GHEE_TRY(ghee_node_read_text(map, "format", &name, err));
  if (name && !ghee_format_named(name)) return ghee_node_error(ghee_node_get(map, "format"), err, "there is no format '%s'; take one of %s", name, ghee_format_names());
  return keep_text(spec, name, out, err);
}

static ghee_status unknown_codec(const ghee_node *at, const char *format, const char *const *codecs, ghee_error *err) {
  ghee_buffer there = {0};
  for (size_t i = 0; codecs[i]; i++) ghee_buffer_printf(&there, "%s%s", i ? ", " : "", codecs[i]);
  ghee_status status = there.failed ? no_memory(err) : ghee_node_error(at, err, "format %s has no codec '%s'; take one of %s", format, at->text, ghee_buffer_text(&there));
  ghee_buffer_fini(&there);
  return status;
}

static ghee_status read_codec(ghee_job_spec *spec, const ghee_node *output, ghee_error *err) {
  const char *const *codecs = ghee_format_named(spec->output_format)->codecs;
  const char *name = NULL;
  GHEE_TRY(ghee_node_read_text(output, "codec", &name, err));
  for (size_t i = 0; codecs[i] && !spec->codec; i++)
    if (!name || strcmp(codecs[i], name) == 0) spec->codec = codecs[i];
  return spec->codec ? GHEE_OK : unknown_codec(ghee_node_get(output, "codec"), spec->output_format, codecs, err);
}

static ghee_status read_shuffle(ghee_job_spec *spec, const ghee_node *input, ghee_error *err) {
  static const char *const known[] = {"seed", "window", NULL};
  const ghee_node *node = ghee_node_get(input, "shuffle");
  int64_t seed = 0, window = DEFAULT_WINDOW;
  if (!node || (node->kind == GHEE_NODE_BOOL && !node->boolean)) return GHEE_OK;
  if (node->kind != GHEE_NODE_BOOL) {
    GHEE_TRY(ghee_node_only(node, "shuffle", known, err));
    GHEE_TRY(ghee_node_read_int(node, "seed", 0, INT64_MAX, &seed, err));
    GHEE_TRY(ghee_node_read_int(node, "window", 1, 1 << 20, &window, err));
  }
  spec->shuffle = true;
  spec->seed = (uint64_t)seed;
  spec->shuffle_window = (uint32_t)window;
  return GHEE_OK;
}

/* Options of an object store become part of the URI: nothing of them is secret, and who opens it needs nothing else. */
static ghee_status configure(ghee_job_spec *spec, const ghee_node *map, const ghee_settings *options, const char **uri, ghee_error *err) {
  ghee_error why;
  char *configured;
  if (options->count == 0) return GHEE_OK;
  ghee_status status = ghee_object_store_configure(*uri, options, &configured, &why);
  if (status == GHEE_INVALID) return ghee_node_error(ghee_node_get(map, "options"), err, "%s", why.message);
  if (status != GHEE_OK) return ghee_error_set(err, status, "%s", why.message);
  return (*uri = keep(spec, configured)) ? GHEE_OK : no_memory(err);
}

static ghee_status read_input_uris(ghee_job_spec *spec, const ghee_node *input, const char *folder, ghee_error *err) {
  const char **uris = NULL;
  size_t n = 0;
  GHEE_TRY(ghee_node_read_texts(input, "uri", &uris, &n, err));
  if (n == 0) {
    ghee_free(uris);
    return ghee_node_error(input, err, "input needs a uri: a file, a folder, or a list of them");
  }
  const char **kept = keep(spec, ghee_alloc_zero(n + 1, sizeof *kept));
  ghee_status status = kept ? GHEE_OK : no_memory(err);
  for (size_t i = 0; i < n && status == GHEE_OK; i++) {
    status = keep_uri(spec, uris[i], folder, &kept[i], err);
    for (size_t k = 0; k < i && status == GHEE_OK; k++)
      if (strcmp(kept[k], kept[i]) == 0) status = ghee_node_error(ghee_node_get(input, "uri"), err, "%s stands in the input twice", uris[i]);
    size_t scheme = status == GHEE_OK ? strcspn(kept[0], ":") + 1 : 0;
    if (status == GHEE_OK && strncmp(kept[0], kept[i], scheme) != 0)
      status = ghee_node_error(ghee_node_get(input, "uri"), err, "%s and %s are not on one storage, as all of an input must be: make it two jobs", uris[0], uris[i]);
  }
  ghee_free(uris);
  GHEE_TRY(status);
  spec->input_uris = kept;
  spec->n_input_uris = n;
  return GHEE_OK;
}

/* A list of columns, none named twice; empty without the key. */
static ghee_status read_columns(ghee_job_spec *spec, const ghee_node *map, const char *key, const char *const **out, size_t *out_n, ghee_error *err) {
  const char **columns = NULL;
  size_t n = 0;
  GHEE_TRY(ghee_node_read_texts(map, key, &columns, &n, err));
  const char **kept = keep(spec, ghee_alloc_zero(n + 1, sizeof *kept));
  ghee_status status = kept ? GHEE_OK : no_memory(err);
  for (size_t i = 0; i < n && status == GHEE_OK; i++) {
    status = keep_text(spec, columns[i], &kept[i], err);
    for (size_t k = 0; k < i && status == GHEE_OK; k++)
      if (strcmp(kept[k], kept[i]) == 0) status = ghee_node_error(ghee_node_get(map, key), err, "column %s is named twice", kept[i]);
  }
  ghee_free(columns);
  GHEE_TRY(status);
  *out = kept;
  *out_n = n;
  return GHEE_OK;
}

/* The columns that are read: those that are passed on, and what the filter needs besides. */
static ghee_status add_read_columns(ghee_job_spec *spec, ghee_error *err) {
  size_t n_filter = 0, n = 0;
  const char *const *of_filter = spec->filter ? ghee_filter_columns(spec->filter, &n_filter) : NULL;
  const char **all = keep(spec, ghee_alloc_zero(spec->n_columns + n_filter + 1, sizeof *all));
  if (!all) return no_memory(err);
  for (; n < spec->n_columns; n++) all[n] = spec->columns[n];
  for (size_t i = 0; i < n_filter && spec->n_columns > 0; i++) {
    bool known = false;
    for (size_t k = 0; k < spec->n_columns && !known; k++) known = strcmp(all[k], of_filter[i]) == 0;
    if (!known) all[n++] = of_filter[i];
  }
  spec->read_columns = all;
  spec->n_read_columns = n;
  return GHEE_OK;
}

static ghee_status read_filter(ghee_job_spec *spec, const ghee_node *input, ghee_error *err) {
  const char *text = NULL;
  ghee_error why;
  GHEE_TRY(ghee_node_read_text(input, "filter", &text, err));
  ghee_status status = text ? ghee_filter_parse(text, &spec->filter, &why) : GHEE_OK;
  if (status == GHEE_INVALID) return ghee_node_error(ghee_node_get(input, "filter"), err, "%s", why.message);
  if (status != GHEE_OK) return no_memory(err);
  return add_read_columns(spec, err);
}

static ghee_status read_input(ghee_job_spec *spec, const ghee_node *root, const char *folder, ghee_error *err) {
  static const char *const known[] = {"uri", "format", "columns", "filter", "shuffle", "epochs", "delimiter", "header", "null", "options", "hive_partitions",
                                      "from", "to", "every", "metadata", "metadata_prefix", NULL};
  const ghee_node *input = NULL;
  int64_t epochs = 1;
  const char *null_text = NULL;
  GHEE_TRY(ghee_node_read_map(root, "input", &input, err));
  if (!input) return ghee_node_error(root, err, "the description has no input");
  GHEE_TRY(ghee_node_only(input, "input", known, err));
  GHEE_TRY(read_input_uris(spec, input, folder, err));
  GHEE_TRY(ghee_spec_read_options(input, &spec->input_options, err));
  if (ghee_spec_is_log(spec, input)) GHEE_TRY(ghee_spec_read_log(spec, input, err));
  else GHEE_TRY(read_format(spec, input, &spec->format, err));
  if (!spec->record_log) {
    for (size_t i = 0; i < spec->n_input_uris; i++) GHEE_TRY(configure(spec, input, &spec->input_options, (const char **)&spec->input_uris[i], err));
    ghee_settings_fini(&spec->input_options);
  }
  static const char *const of_logs[] = {"metadata", "metadata_prefix", "every", NULL};
  for (const char *const *key = of_logs; !spec->record_log && *key; key++)
    if (ghee_node_get(input, *key)) return ghee_node_error(ghee_node_get(input, *key), err, "%s is for topics; this input is files", *key);
  if (spec->record_log && ghee_node_get(input, "hive_partitions"))
    return ghee_node_error(ghee_node_get(input, "hive_partitions"), err, "hive_partitions is for files; this input is topics");
  spec->hive_partitions = true;
  GHEE_TRY(ghee_node_read_bool(input, "hive_partitions", &spec->hive_partitions, err));
  GHEE_TRY(read_columns(spec, input, "columns", &spec->columns, &spec->n_columns, err));
  GHEE_TRY(read_filter(spec, input, err));
  GHEE_TRY(read_shuffle(spec, input, err));
  GHEE_TRY(ghee_node_read_int(input, "epochs", 1, 16383, &epochs, err));
  GHEE_TRY(read_delimiter(input, &spec->csv_delimiter, err));
  spec->csv_header = true;
  GHEE_TRY(ghee_node_read_bool(input, "header", &spec->csv_header, err));
  GHEE_TRY(ghee_node_read_text(input, "null", &null_text, err));
  GHEE_TRY(keep_text(spec, null_text, &spec->csv_null, err));
  if (epochs > 1 && !spec->train) return ghee_node_error(ghee_node_get(input, "epochs"), err, "only train goes through its input more than once");
  spec->epochs = (uint32_t)epochs;
  return GHEE_OK;
}

/* What the records of a topic have besides their values. */
static ghee_status read_record_columns(ghee_job_spec *spec, const ghee_node *output, ghee_error *err) {
  static const char *const keys[] = {"key", "partition", "headers", NULL};
  const char *key_column = NULL, *partition = NULL;
  for (const char *const *key = keys; *key; key++) {
    const ghee_node *node = ghee_node_get(output, *key);
    if (node && !spec->output_log) return ghee_node_error(node, err, "%s is for topics; this output is files", *key);
    if (node && strcmp(spec->output_format, "ipc") == 0) return ghee_node_error(node, err, "%s is for records of one row each; with format: ipc a record is a whole batch", *key);
  }
  GHEE_TRY(ghee_node_read_text(output, "key", &key_column, err));
  GHEE_TRY(ghee_node_read_text(output, "partition", &partition, err));
  GHEE_TRY(keep_text(spec, key_column, &spec->key_column, err));
  GHEE_TRY(keep_text(spec, partition, &spec->partition_column, err));
  return read_columns(spec, output, "headers", &spec->header_columns, &spec->n_header_columns, err);
}

/* Names that begin with '.' or '_' are hidden from who lists the output. */
static ghee_status read_partitions(ghee_job_spec *spec, const ghee_node *output, ghee_error *err) {
  const ghee_node *at = ghee_node_get(output, "partition_by");
  GHEE_TRY(read_columns(spec, output, "partition_by", &spec->partition_by, &spec->n_partition_by, err));
  for (size_t i = 0; i < spec->n_partition_by; i++)
    if (strchr("._", *spec->partition_by[i]))
      return ghee_node_error(at, err, "partition_by: the folders of column '%s' would begin with '.' or '_', which hides them: rename the column", spec->partition_by[i]);
  if (spec->mode != GHEE_OUTPUT_PARTITIONS) return GHEE_OK;
  if (spec->n_partition_by == 0) return ghee_node_error(ghee_node_get(output, "mode"), err, "mode overwrite_partitions needs partition_by, the columns whose folders are replaced");
  if (spec->record_log && spec->to.what == GHEE_BOUND_NEVER)
    return ghee_node_error(ghee_node_get(output, "mode"), err, "mode overwrite_partitions is for a job that ends; one that follows a topic appends");
  return GHEE_OK;
}

/* Columns, with '-' before those that fall. */
static ghee_status read_sort(ghee_job_spec *spec, const ghee_node *output, ghee_error *err) {
  const char *const *texts = NULL;
  size_t n = 0;
  const ghee_node *at = ghee_node_get(output, "sort_by");
  GHEE_TRY(read_columns(spec, output, "sort_by", &texts, &n, err));
  ghee_sort_key *keys = keep(spec, ghee_alloc_zero(n + 1, sizeof *keys));
  if (!keys) return no_memory(err);
  for (size_t i = 0; i < n; i++) {
    keys[i].descending = texts[i][0] == '-' && texts[i][1];
    keys[i].column = texts[i] + keys[i].descending;
    for (size_t k = 0; k < i; k++)
      if (strcmp(keys[k].column, keys[i].column) == 0) return ghee_node_error(at, err, "column %s is named twice", keys[i].column);
    for (size_t k = 0; k < spec->n_partition_by; k++)
      if (strcmp(spec->partition_by[k], keys[i].column) == 0)
        return ghee_node_error(at, err, "sort_by: column %s is in partition_by, so it is the same in all rows of a file", keys[i].column);
  }
  spec->sort_by = keys;
  spec->n_sort_by = n;
  return GHEE_OK;
}

static ghee_status read_output(ghee_job_spec *spec, const ghee_node *root, const char *folder, ghee_error *err) {
  static const char *const known[] = {"uri", "format", "codec", "target_file_size", "row_group_rows", "mode", "partition_by", "sort_by", "options",
                                      "key", "partition", "headers", NULL};
  static const char *const modes[] = {"error", "overwrite", "append", "overwrite_partitions", NULL};
  const ghee_node *output = NULL;
  const char *uri = NULL;
  int mode = GHEE_OUTPUT_ERROR;
  GHEE_TRY(ghee_node_read_map(root, "output", &output, err));
  if (spec->train) return output ? ghee_node_error(output, err, "train has no output: what its function returns is the result") : GHEE_OK;
  if (!output) return ghee_node_error(root, err, "the description has no output: add `output: {uri: FOLDER}`, or describe train");
  GHEE_TRY(ghee_node_only(output, "output", known, err));
  GHEE_TRY(ghee_node_read_text(output, "uri", &uri, err));
  if (!uri) return ghee_node_error(output, err, "output needs a uri: a folder that is to be made");
  GHEE_TRY(keep_uri(spec, uri, folder, &spec->output_uri, err));
  GHEE_TRY(ghee_spec_read_options(output, &spec->output_options, err));
  spec->output_log = ghee_uri_is_record_log(spec->output_uri);
  if (spec->output_log) GHEE_TRY(ghee_spec_read_output_log(spec, output, err));
  GHEE_TRY(read_record_columns(spec, output, err));
  if (spec->output_log) return GHEE_OK;
  GHEE_TRY(configure(spec, output, &spec->output_options, &spec->output_uri, err));
  GHEE_TRY(read_format(spec, output, &spec->output_format, err));
  if (!spec->output_format) spec->output_format = "parquet";
  if (!ghee_format_named(spec->output_format)->create) return ghee_node_error(output, err, "format %s can only be read", spec->output_format);
  GHEE_TRY(read_codec(spec, output, err));
  spec->target_file_bytes = DEFAULT_FILE;
  spec->row_group_rows = DEFAULT_GROUP;
  GHEE_TRY(ghee_node_read_bytes(output, "target_file_size", &spec->target_file_bytes, err));
  GHEE_TRY(ghee_node_read_int(output, "row_group_rows", 1, 1 << 30, &spec->row_group_rows, err));
  GHEE_TRY(ghee_node_read_choice(output, "mode", modes, &mode, err));
  spec->mode = (ghee_output_mode)mode;
  GHEE_TRY(read_partitions(spec, output, err));
  return read_sort(spec, output, err);
}

/* ---- the whole ---- */

static ghee_status read_name(ghee_job_spec *spec, const ghee_node *root, ghee_error *err) {
  const char *name = NULL;
  GHEE_TRY(ghee_node_read_text(root, "name", &name, err));
  bool ok = !name || (isalnum((unsigned char)*name) && strlen(name) <= 100);
  for (const char *at = name; at && *at && ok; at++) ok = isalnum((unsigned char)*at) || strchr("._-", *at);
  if (!ok) return ghee_node_error(ghee_node_get(root, "name"), err, "name must be letters, digits, '.', '_', '-', begin with a letter or digit, and have at most 100, not '%s'", name);
  return (spec->name = ghee_strdup(name ? name : "")) ? GHEE_OK : no_memory(err);
}

static ghee_status read_rest(ghee_job_spec *spec, const ghee_node *root, const char *folder, ghee_error *err) {
  static const char *const orders[] = {"planned", "any", NULL}, *const rejects[] = {"stop", "divert", NULL}, *const transports[] = {"shm", "zmq", NULL};
  int transport = GHEE_TRANSPORT_SHM, order = spec->train ? GHEE_ORDER_PLANNED : GHEE_ORDER_ANY, divert = 0;
  int64_t crashes = DEFAULT_CRASHES, interleave = DEFAULT_INTERLEAVE;
  const char *dead = NULL;
  GHEE_TRY(ghee_node_read_choice(root, "order", orders, &order, err));
  if (spec->train && order == GHEE_ORDER_ANY)
    return ghee_error_set(err, GHEE_UNSUPPORTED, "%s:%u: order: any is for jobs with an output; train takes its batches in planned order in this build",
                          ghee_node_get(root, "order")->file, ghee_node_get(root, "order")->line);
  GHEE_TRY(ghee_node_read_choice(root, "transport", transports, &transport, err));
  GHEE_TRY(ghee_node_read_choice(root, "on_reject", rejects, &divert, err));
  GHEE_TRY(ghee_node_read_int(root, "max_crashes", 0, 1000000, &crashes, err));
  GHEE_TRY(ghee_node_read_int(root, "interleave", 1, 65536, &interleave, err));
  GHEE_TRY(ghee_node_read_text(root, "dead_letter", &dead, err));
  if (divert && spec->train) return ghee_node_error(ghee_node_get(root, "on_reject"), err, "on_reject: divert needs an output, train has none");
  if (divert && !dead) return ghee_node_error(ghee_node_get(root, "on_reject"), err, "on_reject: divert needs dead_letter, the folder or topic for refused rows");
  if (dead) GHEE_TRY(keep_uri(spec, dead, folder, &spec->dead_letter_uri, err));
  if (dead) GHEE_TRY(ghee_spec_check_dead_letter(spec, ghee_node_get(root, "dead_letter"), err));
  if (!spec->output_log) { /* files of the storage that the output is on */
    if (dead) GHEE_TRY(configure(spec, ghee_node_get(root, "output"), &spec->output_options, &spec->dead_letter_uri, err));
    ghee_settings_fini(&spec->output_options);
  }
  spec->order = (ghee_order)order;
  spec->transport = (ghee_transport)transport;
  spec->divert = divert == 1;
  spec->max_crashes = (uint32_t)crashes;
  spec->interleave = (uint32_t)interleave;
  return GHEE_OK;
}

static ghee_status read_all(ghee_job_spec *spec, const ghee_node *root, const char *folder, ghee_error *err) {
  static const char *const known[] = {"name", "input", "preprocess", "train", "predict", "postprocess", "output", "order", "on_reject", "dead_letter",
                                      "max_crashes", "buffer", "interleave", "transport", NULL};
  GHEE_TRY(ghee_node_only(root, "the description", known, err));
  GHEE_TRY(read_name(spec, root, err));
  GHEE_TRY(read_stages(spec, root, folder, err));
  GHEE_TRY(read_input(spec, root, folder, err));
  GHEE_TRY(read_output(spec, root, folder, err));
  return read_rest(spec, root, folder, err);
}

ghee_status ghee_job_spec_new(const ghee_document *document, const char *folder, ghee_job_spec **out, ghee_error *err) {
  ghee_job_spec *spec = ghee_alloc_zero(1, sizeof *spec);
  blocks *owned = ghee_alloc_zero(1, sizeof *owned);
  if (!spec || !owned) {
    ghee_free(spec);
    ghee_free(owned);
    return no_memory(err);
  }
  spec->owned = owned;
  ghee_status status = read_all(spec, ghee_document_root(document), folder, err);
  if (status != GHEE_OK) {
    ghee_job_spec_free(spec);
    return status;
  }
  *out = spec;
  return GHEE_OK;
}

void ghee_job_spec_free(ghee_job_spec *spec) {
  if (!spec) return;
  blocks *owned = spec->owned;
  for (size_t i = 0; i < owned->count; i++) ghee_free(owned->items[i]);
  ghee_array_fini(owned);
  ghee_free(owned);
  ghee_settings_fini(&spec->input_options);
  ghee_settings_fini(&spec->output_options);
  ghee_log_bound_fini(&spec->from);
  ghee_log_bound_fini(&spec->to);
  ghee_filter_free(spec->filter);
  ghee_free(spec->metadata_prefix);
  ghee_free(spec->name);
  ghee_free(spec);
}
