/* SPDX-License-Identifier: Apache-2.0
 * ORC, only read: a part is a stripe. The streams of its wanted columns are fetched, neighbours in one read. */
#include "format/shim.h"

static ghee_status open_file(ghee_source *source, const ghee_read_options *options, ghee_file **out, ghee_error *err) {
  return ghee_shim_open(&ghee_orc_ops, GHEE_COLUMNAR_ORC, source, options, out, err);
}

static const char *const suffixes[] = {".orc", NULL};

const struct ghee_format_ops ghee_orc_ops = {
    .name = "orc", .suffixes = suffixes, .open = open_file, .bounds = ghee_shim_bounds, GHEE_SHIM_READ_OPS};
