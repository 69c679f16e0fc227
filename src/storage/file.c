/* SPDX-License-Identifier: Apache-2.0
 * The file: backend: the table, reading, writing and removing. A new file is written under a hidden name in the folder of
 * its own and gets its name by rename, once it is durable. */
#include "storage/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"

typedef struct file_source {
  ghee_source base;
  int fd;
  char *path;
} file_source;

typedef struct file_sink {
  ghee_sink base;
  int fd;
  char *path, *temporary;
  ghee_status failed; /* of an earlier call: what is in the file is not whole */
} file_sink;

/* ---- paths ---- */

ghee_status ghee_file_store_path(const char *uri, char **out, ghee_error *err) {
  char *path;
  GHEE_TRY(ghee_uri_canonical(uri, &path, err));
  if (strncmp(path, "file:", 5) != 0) {
    ghee_status status = ghee_error_set(err, GHEE_INTERNAL, "%s came to the storage of file:", uri);
    ghee_free(path);
    return status;
  }
  memmove(path, path + 5, strlen(path + 5) + 1);
  *out = path;
  return GHEE_OK;
}

char *ghee_file_store_parent(const char *path) {
  const char *slash = strrchr(path, '/');
  return ghee_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

void ghee_file_store_version(const struct stat *st, char out[GHEE_FILE_VERSION_SIZE]) {
  snprintf(out, GHEE_FILE_VERSION_SIZE, "%llx-%llx-%llx", (unsigned long long)st->st_ino, (unsigned long long)st->st_size,
           (unsigned long long)st->st_mtim.tv_sec * 1000000000ULL + (unsigned long long)st->st_mtim.tv_nsec);
}

ghee_status ghee_file_store_make_folders(const char *path, ghee_error *err) {
  struct stat st;
  if (stat(path, &st) == 0) {
    if (S_ISDIR(st.st_mode)) return GHEE_OK;
    return ghee_error_set(err, GHEE_EXISTS, "cannot make folder %s: a file of that name is there", path);
  }
  if (errno != ENOENT && errno != ENOTDIR) return ghee_error_set_errno(err, errno, "cannot make folder %s", path);
  char *parent = ghee_file_store_parent(path);
  if (!parent) return ghee_error_no_memory(err, "making a folder");
  ghee_status status = ghee_file_store_make_folders(parent, err);
  if (status == GHEE_OK) {
    if (mkdir(path, 0777) == 0) status = ghee_dir_sync(parent, err);
    else if (errno != EEXIST || stat(path, &st) != 0) status = ghee_error_set_errno(err, errno, "cannot make folder %s", path);
  }
  ghee_free(parent);
  return status;
}

/* ---- reading ---- */

static ghee_status source_read(ghee_source *source, uint64_t offset, size_t size_bytes, void *into, ghee_error *err) {
  const file_source *of = (const file_source *)source;
  for (size_t done = 0; done < size_bytes;) {
    ssize_t n = pread(of->fd, (char *)into + done, size_bytes - done, (off_t)(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ghee_error_set_errno(err, errno, "cannot read %s at byte %llu", of->path, (unsigned long long)(offset + done));
    if (n == 0)
      return ghee_error_set(err, GHEE_CORRUPT, "%s has become shorter: it had %llu bytes when it was opened and ends at byte %llu now", of->path,
                            (unsigned long long)source->size_bytes, (unsigned long long)(offset + done));
    done += (size_t)n;
  }
  return GHEE_OK;
}

static void source_will_read(ghee_source *source, uint64_t offset, size_t size_bytes) {
  (void)posix_fadvise(((file_source *)source)->fd, (off_t)offset, (off_t)size_bytes, POSIX_FADV_WILLNEED); /* only a hint */
}

static void source_close(ghee_source *source) {
  file_source *of = (file_source *)source;
  if (of->fd >= 0) close(of->fd);
  ghee_free(of->path);
  ghee_free(of);
}

static ghee_status source_open(file_source *of, const char *version, ghee_error *err) {
  struct stat st;
  of->fd = open(of->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe of that name must not make us wait */
  if (of->fd < 0 || fstat(of->fd, &st) != 0) return ghee_error_set_errno(err, errno, "cannot read %s", of->path);
  if (!S_ISREG(st.st_mode))
    return ghee_error_set(err, GHEE_INVALID, "cannot read %s: it is %s, not a file", of->path, S_ISDIR(st.st_mode) ? "a folder" : "a device or pipe");
  char now[GHEE_FILE_VERSION_SIZE];
  ghee_file_store_version(&st, now);
  if (version && strcmp(version, now) != 0)
    return ghee_error_set(err, GHEE_CHANGED, "%s has changed since the job was planned; start a new job to read it as it is now", of->path);
  of->base.size_bytes = (uint64_t)st.st_size;
  return GHEE_OK;
}

static ghee_status store_read(ghee_object_store *store, const char *uri, const char *version, ghee_source **out, ghee_error *err) {
  static const struct ghee_source_ops ops = {.read = source_read, .will_read = source_will_read, .close = source_close};
  (void)store;
  file_source *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return ghee_error_no_memory(err, "opening a file");
  of->base.ops = &ops;
  of->fd = -1;
  ghee_status status = ghee_file_store_path(uri, &of->path, err);
  of->base.name = of->path;
  if (status == GHEE_OK) status = source_open(of, version, err);
  if (status != GHEE_OK) {
    source_close(&of->base);
    return status;
  }
  *out = &of->base;
  return GHEE_OK;
}

/* ---- writing ---- */

static ghee_status sink_fail(file_sink *of, int reason, const char *doing, ghee_error *err) {
  return of->failed = ghee_error_set_errno(err, reason, "cannot %s %s", doing, of->path);
}

static ghee_status sink_refuse(const file_sink *of, ghee_error *err) {
  return ghee_error_set(err, of->failed, "%s is not whole, since an earlier write failed", of->path);
}

static ghee_status sink_write(ghee_sink *sink, const void *data, size_t size_bytes, ghee_error *err) {
  file_sink *of = (file_sink *)sink;
  if (of->failed != GHEE_OK) return sink_refuse(of, err);
  if (!of->temporary) return ghee_error_set(err, GHEE_INTERNAL, "%s is written to after its end", of->path);
  for (size_t done = 0; done < size_bytes;) {
    ssize_t n = write(of->fd, (const char *)data + done, size_bytes - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return sink_fail(of, errno, "write", err);
    done += (size_t)n;
    sink->written_bytes += (uint64_t)n;
  }
  return GHEE_OK;
}

static ghee_status sink_finish(ghee_sink *sink, ghee_error *err) {
  file_sink *of = (file_sink *)sink;
  if (of->failed != GHEE_OK) return sink_refuse(of, err);
  if (!of->temporary) return GHEE_OK;
  if (fsync(of->fd) != 0) return sink_fail(of, errno, "make durable", err);
  char *parent = ghee_file_store_parent(of->path);
  if (!parent) return of->failed = ghee_error_no_memory(err, "writing a file");
  ghee_status status = GHEE_OK;
  if (rename(of->temporary, of->path) != 0) {
    status = sink_fail(of, errno, "put in place", err);
  } else {
    ghee_free(of->temporary);
    of->temporary = NULL;
    status = of->failed = ghee_dir_sync(parent, err);
  }
  ghee_free(parent);
  return status;
}

static void sink_close(ghee_sink *sink) {
  file_sink *of = (file_sink *)sink;
  if (of->fd >= 0) {
    if (of->temporary) (void)unlink(of->temporary); /* its hidden name keeps it from readers in any case */
    close(of->fd);
  }
  ghee_free(of->temporary);
  ghee_free(of->path);
  ghee_free(of);
}

/* A hidden name in the folder of `path` that no other process or thread uses. */
static char *temporary_name(const char *path) {
  static _Atomic uint64_t serial;
  ghee_random random;
  ghee_random_init(&random, ghee_clock_ns(), (uint64_t)getpid(), atomic_fetch_add(&serial, 1));
  const char *slash = strrchr(path, '/');
  return ghee_asprintf("%.*s/.ghee-%016llx.tmp", (int)(slash - path), path, (unsigned long long)ghee_random_next(&random));
}

static ghee_status sink_open(file_sink *of, ghee_error *err) {
  char *parent = ghee_file_store_parent(of->path);
  if (!parent) return ghee_error_no_memory(err, "writing a file");
  ghee_status status = ghee_file_store_make_folders(parent, err);
  ghee_free(parent);
  GHEE_TRY(status);
  struct stat st;
  if (stat(of->path, &st) == 0 && S_ISDIR(st.st_mode))
    return ghee_error_set(err, GHEE_EXISTS, "cannot write %s: it is a folder", of->path);
  for (int tries = 0; tries < 8; tries++) {
    ghee_free(of->temporary);
    of->temporary = temporary_name(of->path);
    if (!of->temporary) return ghee_error_no_memory(err, "writing a file");
    of->fd = open(of->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (of->fd >= 0) return GHEE_OK;
    if (errno != EEXIST) break;
  }
  return ghee_error_set_errno(err, errno, "cannot write %s", of->path);
}

static ghee_status store_write(ghee_object_store *store, const char *uri, ghee_sink **out, ghee_error *err) {
  static const struct ghee_sink_ops ops = {.write = sink_write, .finish = sink_finish, .close = sink_close};
  (void)store;
  file_sink *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return ghee_error_no_memory(err, "writing a file");
  of->base.ops = &ops;
  of->fd = -1;
  ghee_status status = ghee_file_store_path(uri, &of->path, err);
  of->base.name = of->path;
  if (status == GHEE_OK && strcmp(of->path, "/") == 0) status = ghee_error_set(err, GHEE_EXISTS, "cannot write /: it is a folder");
  if (status == GHEE_OK) status = sink_open(of, err);
  if (status != GHEE_OK) {
    sink_close(&of->base);
    return status;
  }
  *out = &of->base;
  return GHEE_OK;
}

/* ---- removing and looking ---- */

static ghee_status store_remove(ghee_object_store *store, const char *uri, ghee_error *err) {
  (void)store;
  char *path;
  GHEE_TRY(ghee_file_store_path(uri, &path, err));
  ghee_status status = GHEE_OK;
  struct stat st;
  if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR) {
    int reason = errno;
    if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) status = ghee_error_set(err, GHEE_INVALID, "cannot remove %s as a file: it is a folder", path);
    else status = ghee_error_set_errno(err, reason, "cannot remove %s", path);
  }
  ghee_free(path);
  return status;
}

static ghee_status store_remove_all(ghee_object_store *store, const char *uri, ghee_error *err) {
  (void)store;
  char *path;
  GHEE_TRY(ghee_file_store_path(uri, &path, err));
  ghee_status status;
  if (strcmp(path, "/") == 0) status = ghee_error_set(err, GHEE_INVALID, "the root folder is not removed");
  else status = ghee_dir_remove_all(path, err);
  ghee_free(path);
  return status;
}

ghee_status ghee_file_store_next(DIR *dir, const char *path, const struct dirent **out, ghee_error *err) {
  const struct dirent *entry;
  do {
    errno = 0;
    entry = readdir(dir);
  } while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
  if (!entry && errno) return ghee_error_set_errno(err, errno, "cannot list folder %s", path);
  *out = entry;
  return GHEE_OK;
}

/* An empty folder is nothing, as on stores that know no folders. */
static ghee_status folder_has_entry(const char *path, bool *out, ghee_error *err) {
  DIR *dir = opendir(path);
  if (!dir) return ghee_error_set_errno(err, errno, "cannot list folder %s", path);
  const struct dirent *first = NULL;
  ghee_status status = ghee_file_store_next(dir, path, &first, err);
  if (status == GHEE_OK) *out = first != NULL;
  closedir(dir);
  return status;
}

static ghee_status store_exists(ghee_object_store *store, const char *uri, bool *out, ghee_error *err) {
  (void)store;
  char *path;
  GHEE_TRY(ghee_file_store_path(uri, &path, err));
  ghee_status status = GHEE_OK;
  struct stat st;
  if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) status = folder_has_entry(path, out, err);
  else if (lstat(path, &st) == 0) *out = true;
  else if (errno == ENOENT || errno == ENOTDIR) *out = false;
  else status = ghee_error_set_errno(err, errno, "cannot look at %s", path);
  ghee_free(path);
  return status;
}

static ghee_status store_open(const char *uri, ghee_object_store **out, ghee_error *err) {
  static ghee_object_store store = {.ops = &ghee_object_store_file}; /* nothing to keep: one for all */
  (void)uri;
  (void)err;
  *out = &store;
  return GHEE_OK;
}

static void store_close(ghee_object_store *store) { (void)store; }

const struct ghee_object_store_ops ghee_object_store_file = {
    .scheme = "file", .open = store_open, .close = store_close, .list = ghee_file_store_list, .read = store_read, .write = store_write,
    .remove = store_remove, .remove_all = store_remove_all, .exists = store_exists, .staging = ghee_file_store_staging,
    .publish = ghee_file_store_publish};
