/* SPDX-License-Identifier: Apache-2.0
 * CSV (RFC 4180, any one-byte delimiter): a part is a range of whole records. Blank lines are no records. */
#include "format/shim.h"

static ghee_status open_file(ghee_source *source, const ghee_read_options *options, ghee_file **out, ghee_error *err) {
  return ghee_shim_open(&ghee_csv_ops, GHEE_COLUMNAR_CSV, source, options, out, err);
}

static ghee_status create_file(ghee_sink *sink, ghee_schema *schema, const ghee_write_options *options, ghee_writer **out,
                               ghee_error *err) {
  return ghee_shim_create(&ghee_csv_ops, GHEE_COLUMNAR_CSV, sink, schema, options, out, err);
}

static const char *const suffixes[] = {".csv", ".csv.gz", ".csv.zst", NULL};
static const char *const codecs[] = {"none", NULL};

const struct ghee_format_ops ghee_csv_ops = {
    .name = "csv", .suffixes = suffixes, .codecs = codecs, .open = open_file, .create = create_file, GHEE_SHIM_OPS};
