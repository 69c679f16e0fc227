/* SPDX-License-Identifier: Apache-2.0
 * The fuzz target of a file format: opens the bytes, asks for bounds, reads every part, and holds text formats to their promise that the
 * size of the parts changes nothing about the rows. */
#ifndef GHEE_FUZZ_FORMAT_FUZZ_H
#define GHEE_FUZZ_FORMAT_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "format/format.h"

/* Big sizes only make the fuzzer slow: structure is in the small ones. */
enum { FUZZ_MOST_BYTES = 1 << 16, FUZZ_MOST_PARTS = 256, FUZZ_MOST_ROWS = 1 << 20 };

typedef struct fuzz_parts {
  ghee_part items[FUZZ_MOST_PARTS];
  int count;
} fuzz_parts;

static ghee_status fuzz_each(void *user, const ghee_part *part, ghee_error *err) {
  (void)err;
  fuzz_parts *parts = user;
  if (parts->count == FUZZ_MOST_PARTS) return GHEE_CANCELED;
  parts->items[parts->count++] = *part;
  return GHEE_OK;
}

/* The rows of all parts, -1 if one does not parse or there are too many. */
static int64_t fuzz_count(ghee_file *file, uint64_t part_bytes, int64_t skip) {
  static fuzz_parts parts;
  parts.count = 0;
  int64_t total = 0;
  ghee_error err;
  ghee_status status = file->ops->parts(file, part_bytes, fuzz_each, &parts, &err);
  for (int i = 0; status == GHEE_OK && i < parts.count; i++) {
    ghee_rows *rows;
    if ((status = file->ops->read(file, &parts.items[i], skip, &rows, &err)) != GHEE_OK) break;
    ghee_batch batch = {0};
    while (total < FUZZ_MOST_ROWS && (status = file->ops->next(rows, &batch, &err)) == GHEE_OK) {
      total += ghee_batch_rows(&batch);
      ghee_batch_release(&batch);
    }
    if (status == GHEE_CLOSED) status = GHEE_OK;
    file->ops->end(rows);
  }
  return status == GHEE_OK && total < FUZZ_MOST_ROWS ? total : -1;
}

static void fuzz_bounds(const ghee_file *file) {
  const struct ArrowSchema *schema = ghee_schema_arrow(file->ops->schema(file));
  const char *names[8];
  size_t n = 0;
  for (; n < 8 && (int64_t)n < schema->n_children; n++) names[n] = schema->children[n]->name;
  ghee_batch bounds = {0};
  if (file->ops->bounds && file->ops->bounds(file, names, n, &bounds, NULL) == GHEE_OK) ghee_batch_release(&bounds);
}

static int fuzz_format(const char *name, const uint8_t *data, size_t size, bool text) {
  const struct ghee_format_ops *ops = ghee_format_named(name);
  ghee_source *source;
  ghee_file *file;
  if (size > FUZZ_MOST_BYTES || ghee_source_of_memory(data, size, "fuzz", &source, NULL) != GHEE_OK) return 0;
  ghee_read_options options = {.batch_rows = 100, .bounds = true};
  if (ops->open(source, &options, &file, NULL) == GHEE_OK) {
    fuzz_bounds(file);
    int64_t whole = fuzz_count(file, UINT64_MAX, 0);
    (void)fuzz_count(file, UINT64_MAX, 3);
    if (text) {
      int64_t cut = fuzz_count(file, 64, 0);
      if (whole >= 0 && cut >= 0 && whole != cut) abort();
    }
    ops->close(file);
  }
  source->ops->close(source);
  return 0;
}

#endif
