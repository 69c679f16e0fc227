/* SPDX-License-Identifier: Apache-2.0
 * Files that stay open for a while. */
#include "plan/open_files.h"

#include <string.h>

#include "base/memory.h"

enum { IDLE_FILES = 4 };

static void file_free(ghee_open_files *files, ghee_open_file *of) {
  if (of->file) files->format->close(of->file);
  if (of->bytes) of->bytes->ops->close(of->bytes);
  ghee_free(of->uri);
  ghee_free(of->version);
  ghee_free(of);
}

static ghee_status file_open(ghee_open_files *files, ghee_open_file *of, const char *uri, const char *version, ghee_error *err) {
  of->uri = ghee_strdup(uri);
  of->version = ghee_strdup(version);
  if (!of->uri || !of->version) return ghee_error_no_memory(err, "opening a file");
  GHEE_TRY(files->store->ops->read(files->store, uri, version, &of->bytes, err));
  GHEE_TRY(files->format->open(of->bytes, files->options, &of->file, err));
  return ghee_array_push(files, of) ? GHEE_OK : ghee_error_no_memory(err, "opening a file");
}

ghee_status ghee_open_files_take(ghee_open_files *files, const char *uri, const char *version, ghee_open_file **out, ghee_error *err) {
  ghee_open_file *of = NULL;
  for (size_t i = 0; i < files->count && !of; i++)
    if (strcmp(files->items[i]->uri, uri) == 0 && strcmp(files->items[i]->version, version) == 0) of = files->items[i];
  if (!of) {
    if (!(of = ghee_alloc_zero(1, sizeof *of))) return ghee_error_no_memory(err, "opening a file");
    ghee_status status = file_open(files, of, uri, version, err);
    if (status != GHEE_OK) {
      file_free(files, of);
      return status;
    }
  }
  of->users++;
  of->last = ++files->clock;
  *out = of;
  return GHEE_OK;
}

void ghee_open_files_give(ghee_open_files *files, ghee_open_file *file) {
  size_t idle = 0, oldest = files->count;
  file->users--;
  file->last = ++files->clock;
  for (size_t i = 0; i < files->count; i++) {
    if (files->items[i]->users > 0) continue;
    idle++;
    if (oldest == files->count || files->items[i]->last < files->items[oldest]->last) oldest = i;
  }
  if (idle <= IDLE_FILES) return;
  file_free(files, files->items[oldest]);
  files->items[oldest] = files->items[--files->count];
}

void ghee_open_files_fini(ghee_open_files *files) {
  for (size_t i = 0; i < files->count; i++) file_free(files, files->items[i]);
  ghee_array_fini(files);
}
