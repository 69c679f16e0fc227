/* SPDX-License-Identifier: Apache-2.0
 * The formats of this build, by name and by the suffix of a path. */
#include "format/format.h"

#include <string.h>

#include "format/shim.h"

static const struct ghee_format_ops *const formats[] = {&ghee_parquet_ops, &ghee_csv_ops, &ghee_jsonl_ops, &ghee_ipc_ops, &ghee_orc_ops};
enum { N_FORMATS = sizeof formats / sizeof *formats };

const struct ghee_format_ops *ghee_format_named(const char *name) {
  for (int i = 0; i < N_FORMATS; i++) {
    if (!strcmp(formats[i]->name, name)) return formats[i];
  }
  return NULL;
}

static bool ends_in(const char *path, const char *suffix) {
  size_t n = strlen(path), m = strlen(suffix);
  return n > m && !strcmp(path + n - m, suffix);
}

const struct ghee_format_ops *ghee_format_of_path(const char *path) {
  for (int i = 0; i < N_FORMATS; i++) {
    for (const char *const *suffix = formats[i]->suffixes; *suffix; suffix++) {
      if (ends_in(path, *suffix)) return formats[i];
    }
  }
  return NULL;
}

const char *ghee_format_names(void) {
  return "parquet, csv, jsonl, ipc, orc";
}

void ghee_format_keep(size_t most_bytes) {
  ghee_columnar_keep(most_bytes);
}
