/* SPDX-License-Identifier: Apache-2.0
 * JSON lines: an object a line, absent keys are nulls; a part is a range of whole lines. Binary columns are hex. */
#include "format/shim.h"

static ghee_status open_file(ghee_source *source, const ghee_read_options *options, ghee_file **out, ghee_error *err) {
  return ghee_shim_open(&ghee_jsonl_ops, GHEE_COLUMNAR_JSONL, source, options, out, err);
}

static ghee_status create_file(ghee_sink *sink, ghee_schema *schema, const ghee_write_options *options, ghee_writer **out,
                               ghee_error *err) {
  return ghee_shim_create(&ghee_jsonl_ops, GHEE_COLUMNAR_JSONL, sink, schema, options, out, err);
}

static const char *const suffixes[] = {".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".jsonl.zst", ".ndjson.zst", NULL};
static const char *const codecs[] = {"none", NULL};

const struct ghee_format_ops ghee_jsonl_ops = {
    .name = "jsonl", .suffixes = suffixes, .codecs = codecs, .open = open_file, .create = create_file, GHEE_SHIM_OPS};
