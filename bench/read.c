/* SPDX-License-Identifier: Apache-2.0
 * Reads every Parquet file of a folder once, on one thread, all columns, in batches of 8,192 rows, and says how long it took:
 *   bench_read whole FOLDER   as a worker does: object store, format, each row group opened for itself, batches checked
 *   bench_read bare FOLDER    the parquet crate alone, behind its C face: a file opened once, bytes by pread
 * Prints one line of JSON: rows, batches, seconds. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "format/columnar/columnar.h"
#include "format/format.h"
#include "storage/object_store.h"

enum { BATCH_ROWS = 8192, BUFFER = 64 << 20 }; /* a worker's by default */

typedef struct tally { uint64_t rows, batches; } tally;

static void fail(const ghee_error *err) {
  fprintf(stderr, "bench_read: %s\n", err->message);
  exit((int)err->status);
}

/* ---- through our layers ---- */

typedef GHEE_ARRAY(ghee_part) parts;

static ghee_status keep_part(void *user, const ghee_part *part, ghee_error *err) {
  return ghee_array_push((parts *)user, *part) ? GHEE_OK : ghee_error_no_memory(err, "reading");
}

/* One part, opened as a lease opens it; or, with `list`, only the parts that there are. */
static ghee_status open_one(ghee_object_store *store, const char *uri, const ghee_part *part, parts *list, tally *to, ghee_error *err) {
  const struct ghee_format_ops *format = ghee_format_named("parquet");
  ghee_read_options options = {.batch_rows = BATCH_ROWS};
  ghee_source *source;
  ghee_file *file = NULL;
  ghee_rows *rows = NULL;
  GHEE_TRY(store->ops->read(store, uri, NULL, &source, err));
  ghee_status status = format->open(source, &options, &file, err);
  if (status == GHEE_OK && list) status = format->parts(file, 0, keep_part, list, err);
  if (status == GHEE_OK && part) status = format->read(file, part, 0, &rows, err);
  while (status == GHEE_OK && part) {
    ghee_batch batch = {0};
    status = format->next(rows, &batch, err);
    if (status != GHEE_OK) break;
    to->rows += (uint64_t)ghee_batch_rows(&batch);
    to->batches++;
    ghee_batch_release(&batch);
  }
  if (rows) format->end(rows);
  if (file) format->close(file);
  source->ops->close(source);
  return status == GHEE_CLOSED ? GHEE_OK : status;
}

static void read_whole(const char *path, tally *to) {
  ghee_object_store *store;
  ghee_error err;
  parts list = {0};
  if (ghee_object_store_file.open(path, &store, &err) != GHEE_OK) fail(&err);
  if (open_one(store, path, NULL, &list, to, &err) != GHEE_OK) fail(&err);
  for (size_t i = 0; i < list.count; i++)
    if (open_one(store, path, &list.items[i], NULL, to, &err) != GHEE_OK) fail(&err);
  ghee_array_fini(&list);
  store->ops->close(store);
}

/* ---- the crate alone ---- */

static ghee_status read_fd(void *ctx, uint64_t offset, size_t size_bytes, uint8_t *into) {
  return pread(*(int *)ctx, into, size_bytes, (off_t)offset) == (ssize_t)size_bytes ? GHEE_OK : GHEE_IO;
}

static ghee_status read_fd_ranges(void *ctx, const ghee_columnar_range *ranges, size_t n) {
  for (size_t i = 0; i < n; i++) GHEE_TRY(read_fd(ctx, ranges[i].offset, ranges[i].size_bytes, ranges[i].into));
  return GHEE_OK;
}

typedef struct bare { const ghee_columnar_file *file; const ghee_columnar_source *source; tally *to; } bare;

static ghee_status read_part(void *user, const ghee_columnar_part *part) {
  bare *of = user;
  ghee_error err;
  ghee_columnar_rows *rows;
  struct ArrowArray array;
  if (ghee_columnar_read(of->file, of->source, part, 0, &rows, &err) != GHEE_OK) fail(&err);
  while (ghee_columnar_next(rows, &array, &err) == GHEE_OK) {
    of->to->rows += (uint64_t)array.length;
    of->to->batches++;
    array.release(&array);
  }
  ghee_columnar_end(rows);
  return GHEE_OK;
}

static void read_bare(const char *path, tally *to) {
  ghee_error err;
  struct stat info;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &info) != 0) {
    ghee_error_set_errno(&err, errno, "cannot open %s", path);
    fail(&err);
  }
  ghee_columnar_source source = {.ctx = &fd, .size_bytes = (uint64_t)info.st_size, .read = read_fd, .read_many = read_fd_ranges};
  ghee_columnar_read_options options = {.batch_rows = BATCH_ROWS, .csv_delimiter = ','};
  ghee_columnar_file *file;
  if (ghee_columnar_open(GHEE_COLUMNAR_PARQUET, &source, &options, &file, &err) != GHEE_OK) fail(&err);
  bare of = {file, &source, to};
  if (ghee_columnar_parts(file, &source, 0, read_part, &of, &err) != GHEE_OK) fail(&err);
  ghee_columnar_close(file);
  close(fd);
}

int main(int argc, char **argv) {
  bool whole = argc == 3 && strcmp(argv[1], "whole") == 0;
  if (!whole && (argc != 3 || strcmp(argv[1], "bare") != 0)) {
    fprintf(stderr, "usage: bench_read whole|bare FOLDER\n");
    return 2;
  }
  DIR *folder = opendir(argv[2]);
  if (!folder) {
    perror(argv[2]);
    return 4;
  }
  tally total = {0};
  char path[4096];
  if (whole) ghee_format_keep(BUFFER);
  uint64_t start = ghee_clock_ns();
  for (struct dirent *entry; (entry = readdir(folder));) {
    size_t length = strlen(entry->d_name);
    if (length < 8 || strcmp(entry->d_name + length - 8, ".parquet") != 0) continue;
    snprintf(path, sizeof path, "%s/%s", argv[2], entry->d_name);
    if (whole) read_whole(path, &total);
    else read_bare(path, &total);
  }
  double seconds = (double)(ghee_clock_ns() - start) / 1e9;
  closedir(folder);
  printf("{\"rows\": %llu, \"batches\": %llu, \"seconds\": %.6f}\n", (unsigned long long)total.rows, (unsigned long long)total.batches, seconds);
  return 0;
}
