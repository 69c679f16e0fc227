/* SPDX-License-Identifier: Apache-2.0
 * Parquet: a part is a row group. Its wanted column chunks are fetched whole, neighbours in one read. */
#include "format/shim.h"

static ghee_status open_file(ghee_source *source, const ghee_read_options *options, ghee_file **out, ghee_error *err) {
  return ghee_shim_open(&ghee_parquet_ops, GHEE_COLUMNAR_PARQUET, source, options, out, err);
}

static ghee_status create_file(ghee_sink *sink, ghee_schema *schema, const ghee_write_options *options, ghee_writer **out,
                               ghee_error *err) {
  return ghee_shim_create(&ghee_parquet_ops, GHEE_COLUMNAR_PARQUET, sink, schema, options, out, err);
}

static const char *const suffixes[] = {".parquet", ".pq", NULL};
static const char *const codecs[] = {"zstd", "snappy", "lz4", "gzip", "none", NULL};

const struct ghee_format_ops ghee_parquet_ops = {
    .name = "parquet", .suffixes = suffixes, .codecs = codecs, .open = open_file, .create = create_file, .bounds = ghee_shim_bounds, GHEE_SHIM_OPS};
