/* SPDX-License-Identifier: Apache-2.0
 * Small files and folders. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

char *ghee_path_join(const char *a, const char *b) {
  size_t n = strlen(a);
  return ghee_asprintf(n > 0 && a[n - 1] == '/' ? "%s%s" : "%s/%s", a, b);
}

static ghee_status read_fd(int fd, const char *path, size_t max_bytes, ghee_buffer *out, ghee_error *err) {
  for (size_t start = out->size;;) {
    uint8_t *room = ghee_buffer_room(out, 64 << 10);
    if (!room) return ghee_error_no_memory(err, "reading a file");
    ssize_t n = read(fd, room, 64 << 10);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ghee_error_set_errno(err, errno, "cannot read %s", path);
    if (n == 0) return GHEE_OK;
    out->size += (size_t)n;
    if (out->size - start > max_bytes) return ghee_error_set(err, GHEE_LIMIT, "%s is larger than the %zu bytes that it may have", path, max_bytes);
  }
}

ghee_status ghee_file_read_all(const char *path, size_t max_bytes, ghee_buffer *out, ghee_error *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ghee_error_set_errno(err, errno, "cannot open %s", path);
  ghee_status status = read_fd(fd, path, max_bytes, out, err);
  close(fd);
  return status;
}

static ghee_status write_fd(int fd, const char *path, const uint8_t *data, size_t size, ghee_error *err) {
  while (size > 0) {
    ssize_t n = write(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ghee_error_set_errno(err, errno, "cannot write %s", path);
    data += n;
    size -= (size_t)n;
  }
  return fsync(fd) == 0 ? GHEE_OK : ghee_error_set_errno(err, errno, "cannot make %s durable", path);
}

static ghee_status sync_parent(const char *path, ghee_error *err) {
  const char *slash = strrchr(path, '/');
  char *parent = slash ? ghee_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : ghee_strdup(".");
  if (!parent) return ghee_error_no_memory(err, "writing a file");
  ghee_status status = ghee_dir_sync(parent, err);
  ghee_free(parent);
  return status;
}

ghee_status ghee_file_write_atomic(const char *path, const void *data, size_t size, ghee_error *err) {
  char *temporary = ghee_asprintf("%s.XXXXXX", path);
  if (!temporary) return ghee_error_no_memory(err, "writing a file");
  int fd = mkostemp(temporary, O_CLOEXEC);
  ghee_status status = fd < 0 ? ghee_error_set_errno(err, errno, "cannot make a file beside %s", path) : write_fd(fd, path, data, size, err);
  if (fd >= 0) close(fd);
  if (status == GHEE_OK && rename(temporary, path) != 0) status = ghee_error_set_errno(err, errno, "cannot put %s in place", path);
  if (status != GHEE_OK && fd >= 0) unlink(temporary);
  ghee_free(temporary);
  return status == GHEE_OK ? sync_parent(path, err) : status;
}

ghee_status ghee_file_sync(const char *path, ghee_error *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ghee_error_set_errno(err, errno, "cannot open %s", path);
  ghee_status status = fsync(fd) == 0 ? GHEE_OK : ghee_error_set_errno(err, errno, "cannot make %s durable", path);
  close(fd);
  return status == GHEE_OK ? sync_parent(path, err) : status;
}

ghee_status ghee_dir_sync(const char *path, ghee_error *err) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ghee_error_set_errno(err, errno, "cannot open folder %s", path);
  ghee_status status = fsync(fd) == 0 ? GHEE_OK : ghee_error_set_errno(err, errno, "cannot make folder %s durable", path);
  close(fd);
  return status;
}

ghee_status ghee_dir_make_all(const char *path, unsigned mode, ghee_error *err) {
  char *copy = ghee_strdup(path);
  if (!copy) return ghee_error_no_memory(err, "making a folder");
  ghee_status status = GHEE_OK;
  for (char *at = copy + 1; status == GHEE_OK; at++) {
    if (*at != '/' && *at) continue;
    char was = *at;
    *at = 0;
    if (mkdir(copy, mode) != 0 && errno != EEXIST) status = ghee_error_set_errno(err, errno, "cannot make folder %s", copy);
    *at = was;
    if (!was) break;
  }
  struct stat st;
  if (status == GHEE_OK && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)))
    status = ghee_error_set(err, GHEE_EXISTS, "cannot make folder %s: a file of that name is there", path);
  ghee_free(copy);
  return status;
}

static int remove_below(int parent, const char *name) {
  if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return 0;
  if (errno != EISDIR && errno != EPERM) return errno;
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? 0 : errno;
  DIR *dir = fdopendir(fd);
  int failed = dir ? 0 : errno;
  if (!dir) close(fd);
  for (struct dirent *entry; dir && !failed && (entry = readdir(dir));)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) failed = remove_below(fd, entry->d_name);
  if (dir) closedir(dir);
  if (!failed && unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT) failed = errno;
  return failed;
}

ghee_status ghee_dir_remove_all(const char *path, ghee_error *err) {
  int failed = remove_below(AT_FDCWD, path);
  return failed ? ghee_error_set_errno(err, failed, "cannot remove %s", path) : GHEE_OK;
}
