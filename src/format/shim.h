/* SPDX-License-Identifier: Apache-2.0
 * What the formats share: ghee_format_ops over libghee_columnar. A backend adds its name, suffixes, open and create. */
#ifndef GHEE_FORMAT_SHIM_H
#define GHEE_FORMAT_SHIM_H

#include "format/columnar/columnar.h"
#include "format/format.h"

ghee_status ghee_shim_open(const struct ghee_format_ops *ops, ghee_columnar_kind kind, ghee_source *source,
                           const ghee_read_options *options, ghee_file **out, ghee_error *err);
void ghee_shim_close(ghee_file *file);
ghee_schema *ghee_shim_schema(const ghee_file *file);
ghee_status ghee_shim_parts(ghee_file *file, uint64_t text_part_bytes,
                            ghee_status (*each)(void *user, const ghee_part *part, ghee_error *err), void *user,
                            ghee_error *err);
ghee_status ghee_shim_bounds(const ghee_file *file, const char *const *columns, size_t n, ghee_batch *out, ghee_error *err);
ghee_status ghee_shim_read(ghee_file *file, const ghee_part *part, int64_t skip_rows, ghee_rows **out, ghee_error *err);
ghee_status ghee_shim_next(ghee_rows *rows, ghee_batch *out, ghee_error *err);
void ghee_shim_end(ghee_rows *rows);

ghee_status ghee_shim_create(const struct ghee_format_ops *ops, ghee_columnar_kind kind, ghee_sink *sink, ghee_schema *schema,
                             const ghee_write_options *options, ghee_writer **out, ghee_error *err);
ghee_status ghee_shim_write(ghee_writer *writer, const ghee_batch *batch, ghee_error *err);
ghee_status ghee_shim_finish(ghee_writer *writer, ghee_error *err);
void ghee_shim_abandon(ghee_writer *writer);

/** The slots of the table that do not differ; those of a format that is only read. */
#define GHEE_SHIM_READ_OPS                                                                                   \
  .close = ghee_shim_close, .schema = ghee_shim_schema, .parts = ghee_shim_parts, .read = ghee_shim_read,    \
  .next = ghee_shim_next, .end = ghee_shim_end
#define GHEE_SHIM_OPS \
  GHEE_SHIM_READ_OPS, .write = ghee_shim_write, .finish = ghee_shim_finish, .abandon = ghee_shim_abandon

extern const struct ghee_format_ops ghee_parquet_ops, ghee_csv_ops, ghee_jsonl_ops, ghee_ipc_ops, ghee_orc_ops;

#endif
