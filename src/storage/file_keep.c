/* SPDX-License-Identifier: Apache-2.0
 * What stays of an output whose partitions are replaced: hard links in the folder that will take its place, so that the exchange of the two
 * folders is still one step. A file system without links gets copies. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "storage/file.h"

typedef struct keep {
  const char *from, *to;
  const ghee_replaced *replaced;
} keep;

static ghee_status copy_bytes(const char *from, const char *to, ghee_error *err) {
  struct stat st;
  if (lstat(to, &st) == 0) return GHEE_OK;
  int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  ssize_t n = out < 0 ? -1 : 1;
  while (n > 0 || (n < 0 && out >= 0 && errno == EINTR)) n = sendfile(out, in, NULL, 1 << 30);
  if (n == 0 && fsync(out) != 0) n = -1;
  ghee_status status = n < 0 ? ghee_error_set_errno(err, errno, "cannot copy %s to %s", from, to) : GHEE_OK;
  if (in >= 0) close(in);
  if (out >= 0) close(out);
  return status;
}

/* A name that is there already is one of the new output. */
static ghee_status keep_file(const char *from, const char *to, ghee_error *err) {
  if (link(from, to) == 0 || errno == EEXIST) return GHEE_OK;
  if (errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK || errno == EXDEV || errno == ENOSYS) return copy_bytes(from, to, err);
  return ghee_error_set_errno(err, errno, "cannot link %s to %s", from, to);
}

static ghee_status keep_folder(const keep *of, const char *relative, ghee_error *err);

/* *kept: the folder of the new output got a name. */
static ghee_status keep_entry(const keep *of, const char *relative, const struct dirent *entry, int dir, bool *kept, ghee_error *err) {
  char *name = *relative ? ghee_path_join(relative, entry->d_name) : ghee_strdup(entry->d_name);
  char *from = name ? ghee_path_join(of->from, name) : NULL, *to = from ? ghee_path_join(of->to, name) : NULL;
  ghee_status status = to ? GHEE_OK : ghee_error_no_memory(err, "publishing");
  struct stat st;
  if (status == GHEE_OK && fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISDIR(st.st_mode)) {
      status = keep_folder(of, name, err);
    } else if (!ghee_replaced_has(of->replaced, name)) {
      char *folder = *kept ? NULL : ghee_file_store_parent(to);
      if (!*kept) status = folder ? ghee_file_store_make_folders(folder, err) : ghee_error_no_memory(err, "publishing");
      ghee_free(folder);
      if (status == GHEE_OK) status = keep_file(from, to, err);
      *kept = true;
    }
  }
  ghee_free(to);
  ghee_free(from);
  ghee_free(name);
  return status;
}

static ghee_status keep_entries(const keep *of, const char *relative, DIR *dir, const char *path, ghee_error *err) {
  bool kept = false;
  for (;;) {
    const struct dirent *entry;
    GHEE_TRY(ghee_file_store_next(dir, path, &entry, err));
    if (!entry) break;
    GHEE_TRY(keep_entry(of, relative, entry, dirfd(dir), &kept, err));
  }
  if (!kept) return GHEE_OK;
  char *folder = *relative ? ghee_path_join(of->to, relative) : ghee_strdup(of->to);
  ghee_status status = folder ? ghee_dir_sync(folder, err) : ghee_error_no_memory(err, "publishing");
  ghee_free(folder);
  return status;
}

static ghee_status keep_folder(const keep *of, const char *relative, ghee_error *err) {
  char *path = *relative ? ghee_path_join(of->from, relative) : ghee_strdup(of->from);
  if (!path) return ghee_error_no_memory(err, "publishing");
  DIR *dir = opendir(path);
  ghee_status status = dir ? keep_entries(of, relative, dir, path, err) : ghee_error_set_errno(err, errno, "cannot list folder %s", path);
  if (dir) closedir(dir);
  ghee_free(path);
  return status;
}

ghee_status ghee_file_store_keep(const char *from, const char *to, const ghee_replaced *replaced, ghee_error *err) {
  struct stat st;
  if (lstat(from, &st) != 0 && errno == ENOENT) return GHEE_OK;
  return keep_folder(&(keep){.from = from, .to = to, .replaced = replaced}, "", err);
}
