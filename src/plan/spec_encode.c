/* SPDX-License-Identifier: Apache-2.0
 * Specs to canonical JSON, which reads back to the same spec. */
#include <string.h>

#include "plan/spec_log.h"
#include "text/json.h"

static void put_texts(ghee_json *json, const char *key, const char *const *texts, size_t n) {
  ghee_json_begin_list(json, key);
  for (size_t i = 0; i < n; i++) ghee_json_text(json, NULL, texts[i]);
  ghee_json_end_list(json);
}

static void put_stage(ghee_json *json, const ghee_stage_spec *stage) {
  static const char *const forms[] = {"numpy", "arrow", "pandas", "rows", "torch"};
  ghee_json_begin_map(json, stage->name);
  if (stage->run) ghee_json_text(json, "run", stage->run);
  ghee_json_uint(json, "workers", stage->workers);
  if (stage->batch_rows) ghee_json_int(json, "batch_size", stage->batch_rows);
  ghee_json_raw(json, "args", stage->args_json);
  if (stage->timeout_ms) ghee_json_real(json, "timeout", (double)stage->timeout_ms / 1e3);
  ghee_json_text(json, "as", forms[stage->form]);
  ghee_json_text(json, "rows", stage->same_rows ? "same" : "any");
  ghee_json_real(json, "cpu", stage->cpu);
  if (stage->memory_bytes) ghee_json_uint(json, "memory", stage->memory_bytes);
  ghee_json_uint(json, "gpu", stage->gpu);
  if (stage->image) ghee_json_text(json, "image", stage->image);
  ghee_json_begin_map(json, "env");
  for (const char *const *env = stage->env; *env; env++) {
    size_t n = strcspn(*env, "=");
    char *name = ghee_strndup(*env, n);
    if (name) ghee_json_text(json, name, *env + n + 1);
    else json->out->failed = true;
    ghee_free(name);
  }
  ghee_json_end_map(json);
  ghee_json_uint(json, "buffer", stage->buffer_bytes);
  ghee_json_end_map(json);
}

static void put_input(ghee_json *json, const ghee_job_spec *spec) {
  char delimiter[] = {spec->csv_delimiter, 0};
  ghee_json_begin_map(json, "input");
  put_texts(json, "uri", spec->input_uris, spec->n_input_uris);
  if (spec->format) ghee_json_text(json, "format", spec->format);
  if (spec->n_columns) put_texts(json, "columns", spec->columns, spec->n_columns);
  if (spec->filter) ghee_json_text(json, "filter", ghee_filter_text(spec->filter));
  if (spec->shuffle) {
    ghee_json_begin_map(json, "shuffle");
    ghee_json_uint(json, "seed", spec->seed);
    ghee_json_uint(json, "window", spec->shuffle_window);
    ghee_json_end_map(json);
  }
  ghee_json_uint(json, "epochs", spec->epochs);
  if (spec->record_log) {
    ghee_spec_put_log(json, spec);
  } else {
    ghee_json_text(json, "delimiter", delimiter);
    ghee_json_bool(json, "header", spec->csv_header);
    if (spec->csv_null) ghee_json_text(json, "null", spec->csv_null);
    ghee_json_bool(json, "hive_partitions", spec->hive_partitions);
  }
  ghee_spec_put_options(json, &spec->input_options);
  ghee_json_end_map(json);
}

static void put_sort(ghee_json *json, const ghee_job_spec *spec) {
  if (spec->n_sort_by == 0) return;
  ghee_json_begin_list(json, "sort_by");
  for (size_t i = 0; i < spec->n_sort_by; i++) {
    char *text = ghee_asprintf("%s%s", spec->sort_by[i].descending ? "-" : "", spec->sort_by[i].column);
    if (text) ghee_json_text(json, NULL, text);
    else json->out->failed = true;
    ghee_free(text);
  }
  ghee_json_end_list(json);
}

static void put_output(ghee_json *json, const ghee_job_spec *spec) {
  static const char *const modes[] = {"error", "overwrite", "append", "overwrite_partitions"};
  ghee_json_begin_map(json, "output");
  ghee_json_text(json, "uri", spec->output_uri);
  ghee_json_text(json, "format", spec->output_format);
  ghee_spec_put_options(json, &spec->output_options);
  if (spec->output_log) {
    if (spec->key_column) ghee_json_text(json, "key", spec->key_column);
    if (spec->partition_column) ghee_json_text(json, "partition", spec->partition_column);
    if (spec->n_header_columns) put_texts(json, "headers", spec->header_columns, spec->n_header_columns);
    ghee_json_end_map(json);
    return;
  }
  ghee_json_text(json, "codec", spec->codec);
  ghee_json_uint(json, "target_file_size", spec->target_file_bytes);
  ghee_json_int(json, "row_group_rows", spec->row_group_rows);
  ghee_json_text(json, "mode", modes[spec->mode]);
  put_sort(json, spec);
  if (spec->n_partition_by) put_texts(json, "partition_by", spec->partition_by, spec->n_partition_by);
  ghee_json_end_map(json);
}

ghee_status ghee_job_spec_encode(const ghee_job_spec *spec, ghee_buffer *out, ghee_error *err) {
  ghee_json json = {.out = out};
  ghee_json_begin_map(&json, NULL);
  if (*spec->name) ghee_json_text(&json, "name", spec->name);
  put_input(&json, spec);
  for (uint32_t i = 0; i < spec->n_stages; i++)
    if (spec->stages[i].role != GHEE_ROLE_READ) put_stage(&json, &spec->stages[i]);
  if (spec->output_uri) put_output(&json, spec);
  if (spec->stages[0].role == GHEE_ROLE_READ) ghee_json_uint(&json, "buffer", spec->stages[0].buffer_bytes); /* it is not described itself */
  ghee_json_text(&json, "order", spec->order == GHEE_ORDER_PLANNED ? "planned" : "any");
  ghee_json_text(&json, "on_reject", spec->divert ? "divert" : "stop");
  if (spec->dead_letter_uri) ghee_json_text(&json, "dead_letter", spec->dead_letter_uri);
  ghee_json_uint(&json, "max_crashes", spec->max_crashes);
  ghee_json_uint(&json, "interleave", spec->interleave);
  ghee_json_text(&json, "transport", spec->transport == GHEE_TRANSPORT_ZMQ ? "zmq" : "shm");
  ghee_json_end_map(&json);
  return ghee_buffer_check(out, "writing a description", err);
}
