/* SPDX-License-Identifier: Apache-2.0
 * A plan in words and as JSON. */
#include "plan/plan.h"
#include "text/json.h"

static void size(ghee_buffer *out, const char *before, uint64_t bytes) {
  ghee_buffer_printf(out, "%s", before);
  ghee_text_size(out, bytes);
}

static void count(ghee_buffer *out, const char *before, uint64_t n) {
  ghee_buffer_printf(out, "%s", before);
  ghee_text_count(out, n);
}

static void explain_filter(const ghee_plan_totals *totals, const ghee_job_spec *spec, ghee_buffer *out) {
  ghee_buffer_printf(out, "filter   %s", ghee_filter_text(spec->filter));
  if (totals->ruled_out_parts > 0) {
    count(out, ": rules out ", totals->ruled_out_parts);
    count(out, " of ", totals->ruled_out_parts + totals->parts);
    count(out, " row groups, all of ", totals->ruled_out_files);
    ghee_buffer_printf(out, " files");
  }
  ghee_buffer_printf(out, "\n");
}

enum { HOSTS_TOLD = 8 };

static void explain_blocks(const ghee_plan *plan, ghee_buffer *out) {
  const ghee_plan_totals *totals = ghee_plan_totals_of(plan);
  count(out, "blocks   ", totals->blocks);
  count(out, " on ", totals->hosts);
  ghee_buffer_printf(out, " host%s", totals->hosts == 1 ? "" : "s");
  for (uint64_t i = 0; i < totals->hosts && i < HOSTS_TOLD; i++) {
    ghee_plan_host host = ghee_plan_host_at(plan, i);
    ghee_buffer_printf(out, "%s%s", i ? ", " : ": ", host.name);
    count(out, " ", host.blocks);
  }
  if (totals->hosts > HOSTS_TOLD) count(out, ", others: ", totals->hosts - HOSTS_TOLD);
  if (totals->read_bytes) ghee_buffer_printf(out, "; %.0f %% of a split lie on one host", 100 * (double)totals->near_bytes / (double)totals->read_bytes);
  ghee_buffer_printf(out, "\n");
}

static void explain_input(const ghee_plan *plan, const ghee_job_spec *spec, ghee_buffer *out) {
  const ghee_plan_totals *totals = ghee_plan_totals_of(plan);
  ghee_buffer_printf(out, "input    %s%s", spec->input_uris[0], spec->n_input_uris > 1 ? " and others" : "");
  count(out, ": ", totals->files);
  ghee_buffer_printf(out, " %s files", ghee_plan_format(plan));
  size(out, ", ", totals->file_bytes);
  if (totals->rows >= 0) {
    count(out, ", ", (uint64_t)totals->rows);
    ghee_buffer_printf(out, " rows");
  }
  if (spec->filter && totals->most_rows >= 0) {
    count(out, ", ", (uint64_t)totals->most_rows);
    ghee_buffer_printf(out, " rows before the filter");
  }
  if (spec->epochs > 1) ghee_buffer_printf(out, ", %u epochs", spec->epochs);
  if (totals->left_out_files) {
    count(out, "\n         ", totals->left_out_files);
    ghee_buffer_printf(out, " more are not in the manifest of their folder, and not read");
  }
  ghee_buffer_printf(out, "\ncolumns  ");
  for (int64_t i = 0, n = ghee_schema_columns(ghee_plan_schema(plan)); i < n; i++) {
    const struct ArrowSchema *field = ghee_schema_arrow(ghee_plan_schema(plan))->children[i];
    ghee_buffer_printf(out, "%s%s ", i ? ", " : "", field->name);
    ghee_type_describe(field, out);
  }
  ghee_buffer_printf(out, "\n");
  if (spec->filter) explain_filter(totals, spec, out);
  if (totals->blocks) explain_blocks(plan, out);
  count(out, "splits   ", totals->parts);
  count(out, " in ", totals->chunks);
  size(out, " chunks of up to ", totals->largest_chunk_bytes);
  ghee_buffer_printf(out, " decoded (the unit of leasing, replay and commit)\n");
  if (spec->shuffle) {
    ghee_buffer_printf(out, "shuffle  seed %llu, %u row groups at a time", (unsigned long long)spec->seed, totals->shuffle_window);
    if (totals->shuffle_window < spec->shuffle_window) {
      ghee_buffer_printf(out, " (cut from %u to fit", spec->shuffle_window);
      size(out, " the buffer of ", spec->stages[0].buffer_bytes);
      ghee_buffer_printf(out, ")");
    }
    ghee_buffer_printf(out, "\n");
  }
}

static void explain_text(const ghee_plan *plan, const ghee_job_spec *spec, ghee_buffer *out) {
  if (*spec->name) ghee_buffer_printf(out, "job      %s\n", spec->name);
  explain_input(plan, spec, out);
  for (uint32_t i = 0; i < spec->n_stages; i++) {
    const ghee_stage_spec *stage = &spec->stages[i];
    ghee_buffer_printf(out, "stage    %-11s %4u worker%s  %s", stage->name, stage->workers, stage->workers == 1 ? " " : "s", stage->run ? stage->run : "rows as they are");
    if (stage->batch_rows) count(out, ", batches of ", (uint64_t)stage->batch_rows);
    size(out, ", buffers of ", stage->buffer_bytes);
    ghee_buffer_printf(out, " a worker");
    if (i == 0) size(out, ", reading needs ", ghee_plan_totals_of(plan)->reader_bytes);
    ghee_buffer_printf(out, "\n");
  }
  if (spec->transport == GHEE_TRANSPORT_ZMQ) ghee_buffer_printf(out, "wire     ZeroMQ over TCP, encrypted\n");
  if (spec->train) ghee_buffer_printf(out, "order    planned: %u chunks are mixed, the same for any number of workers\n", ghee_plan_totals_of(plan)->interleave);
  if (!spec->output_uri) return;
  ghee_buffer_printf(out, "output   %s: %s", spec->output_uri, spec->output_format);
  size(out, ", files of about ", spec->target_file_bytes);
  ghee_buffer_printf(out, "\n");
}

static void explain_blocks_json(const ghee_plan *plan, ghee_json *json) {
  const ghee_plan_totals *totals = ghee_plan_totals_of(plan);
  ghee_json_uint(json, "blocks", totals->blocks);
  ghee_json_uint(json, "near_bytes", totals->near_bytes);
  ghee_json_begin_list(json, "hosts");
  for (uint64_t i = 0; i < totals->hosts; i++) {
    ghee_plan_host host = ghee_plan_host_at(plan, i);
    ghee_json_begin_map(json, NULL);
    ghee_json_text(json, "name", host.name);
    ghee_json_uint(json, "blocks", host.blocks);
    ghee_json_uint(json, "bytes", host.bytes);
    ghee_json_end_map(json);
  }
  ghee_json_end_list(json);
}

static void explain_json(const ghee_plan *plan, const ghee_job_spec *spec, ghee_buffer *out) {
  const ghee_plan_totals *totals = ghee_plan_totals_of(plan);
  ghee_json json = {.out = out};
  ghee_json_begin_map(&json, NULL);
  ghee_json_text(&json, "name", spec->name);
  ghee_json_text(&json, "format", ghee_plan_format(plan));
  ghee_json_uint(&json, "files", totals->files);
  ghee_json_uint(&json, "file_bytes", totals->file_bytes);
  ghee_json_uint(&json, "read_bytes", totals->read_bytes);
  ghee_json_uint(&json, "memory_bytes", totals->memory_bytes);
  ghee_json_int(&json, "rows", totals->rows);
  ghee_json_int(&json, "most_rows", totals->most_rows);
  if (spec->filter) ghee_json_text(&json, "filter", ghee_filter_text(spec->filter));
  ghee_json_uint(&json, "ruled_out_splits", totals->ruled_out_parts);
  ghee_json_uint(&json, "left_out_files", totals->left_out_files);
  ghee_json_uint(&json, "ruled_out_files", totals->ruled_out_files);
  ghee_json_uint(&json, "splits", totals->parts);
  ghee_json_uint(&json, "chunks", totals->chunks);
  if (totals->blocks) explain_blocks_json(plan, &json);
  ghee_json_uint(&json, "largest_chunk_bytes", totals->largest_chunk_bytes);
  ghee_json_uint(&json, "shuffle_window", totals->shuffle_window);
  ghee_json_uint(&json, "interleave", totals->interleave);
  ghee_json_uint(&json, "reader_bytes", totals->reader_bytes);
  ghee_json_begin_list(&json, "stages");
  for (uint32_t i = 0; i < spec->n_stages; i++) {
    const ghee_stage_spec *stage = &spec->stages[i];
    ghee_json_begin_map(&json, NULL);
    ghee_json_text(&json, "name", stage->name);
    ghee_json_text(&json, "run", stage->run);
    ghee_json_uint(&json, "workers", stage->workers);
    ghee_json_int(&json, "batch_size", stage->batch_rows);
    ghee_json_uint(&json, "buffer_bytes", stage->buffer_bytes);
    ghee_json_end_map(&json);
  }
  ghee_json_end_list(&json);
  ghee_json_text(&json, "output", spec->output_uri);
  ghee_json_end_map(&json);
  ghee_buffer_printf(out, "\n");
}

ghee_status ghee_plan_explain(const ghee_plan *plan, const ghee_job_spec *spec, bool json, ghee_buffer *out, ghee_error *err) {
  if (json) explain_json(plan, spec, out);
  else explain_text(plan, spec, out);
  return ghee_buffer_check(out, "explaining a plan", err);
}
