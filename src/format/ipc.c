/* SPDX-License-Identifier: Apache-2.0
 * Arrow IPC files (also called Feather 2): a part is a record batch, given out in slices that share its memory. */
#include "format/shim.h"

static ghee_status open_file(ghee_source *source, const ghee_read_options *options, ghee_file **out, ghee_error *err) {
  return ghee_shim_open(&ghee_ipc_ops, GHEE_COLUMNAR_IPC, source, options, out, err);
}

static ghee_status create_file(ghee_sink *sink, ghee_schema *schema, const ghee_write_options *options, ghee_writer **out,
                               ghee_error *err) {
  return ghee_shim_create(&ghee_ipc_ops, GHEE_COLUMNAR_IPC, sink, schema, options, out, err);
}

static const char *const suffixes[] = {".arrow", ".ipc", ".feather", NULL};
static const char *const codecs[] = {"none", "zstd", "lz4", NULL};

const struct ghee_format_ops ghee_ipc_ops = {
    .name = "ipc", .suffixes = suffixes, .codecs = codecs, .open = open_file, .create = create_file, GHEE_SHIM_OPS};
