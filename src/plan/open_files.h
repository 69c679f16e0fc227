/* SPDX-License-Identifier: Apache-2.0
 * Inside plan/: files that parts are being read from. A file stays open from part to part, with its footer, as far as a few of them do: on
 * distant storage an open is a request or two. */
#ifndef GHEE_PLAN_OPEN_FILES_H
#define GHEE_PLAN_OPEN_FILES_H

#include "format/format.h"
#include "storage/object_store.h"

typedef struct ghee_open_file {
  ghee_source *bytes;
  ghee_file *file;
  char *uri, *version;
  unsigned users;
  uint64_t last; /* when it was taken or given back */
} ghee_open_file;

/** Fill in the first three; the rest zero. Owner: one thread. */
typedef struct ghee_open_files {
  ghee_object_store *store;
  const struct ghee_format_ops *format;
  const ghee_read_options *options;
  ghee_open_file **items;
  size_t count, capacity;
  uint64_t clock;
} ghee_open_files;

/** out gives: ghee_open_files_give. Blocks: may. */
ghee_status ghee_open_files_take(ghee_open_files *files, const char *uri, const char *version, ghee_open_file **out, ghee_error *err);
void ghee_open_files_give(ghee_open_files *files, ghee_open_file *file);
/** All must have been given back. */
void ghee_open_files_fini(ghee_open_files *files);

#endif
