/* SPDX-License-Identifier: Apache-2.0
 * Where the file: backend collects the files of a job: ".NAME.ghee-JOB" beside the output NAME, on the same file system, so
 * that one rename publishes it. Where there is no place beside it (the output is a mount point, or the folder around it is
 * not writable), the staging folder lies inside the output, and publication moves the files one by one. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/memory.h"
#include "storage/file.h"

static ghee_status follow(char **path, ghee_error *err) {
  char *real = realpath(*path, NULL);
  if (!real) return ghee_error_set_errno(err, errno, "cannot use %s as an output, it is a symbolic link to a place that cannot be reached", *path);
  char *copy = ghee_strdup(real);
  free(real);
  if (!copy) return ghee_error_no_memory(err, "finding the output");
  ghee_free(*path);
  *path = copy;
  return GHEE_OK;
}

ghee_status ghee_file_store_target(const char *uri, char **out, ghee_error *err) {
  char *path;
  GHEE_TRY(ghee_file_store_path(uri, &path, err));
  struct stat st;
  ghee_status status = GHEE_OK;
  if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) status = follow(&path, err);
  if (status == GHEE_OK && strcmp(path, "/") == 0) status = ghee_error_set(err, GHEE_INVALID, "the root folder cannot be an output; name a folder in it");
  if (status != GHEE_OK) {
    ghee_free(path);
    return status;
  }
  *out = path;
  return GHEE_OK;
}

/* The output is the root of a mounted file system; st_dev alone does not show bind mounts. */
static bool is_mount(const char *path, const char *parent) {
  struct statx at;
  struct stat inner, outer;
  if (statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &at) == 0 && (at.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
    return at.stx_attributes & STATX_ATTR_MOUNT_ROOT;
  return stat(path, &inner) == 0 && stat(parent, &outer) == 0 && inner.st_dev != outer.st_dev;
}

static char *staging_uri(const char *target, const char *parent, const char *job) {
  struct stat st;
  bool inside = stat(target, &st) == 0 && S_ISDIR(st.st_mode) &&
                (is_mount(target, parent) || faccessat(AT_FDCWD, parent, W_OK, AT_EACCESS) != 0);
  const char *name = strrchr(target, '/') + 1;
  const char *folder = inside ? target : parent;
  const char *slash = strcmp(folder, "/") == 0 ? "" : "/";
  /* Publication appends ".old" to the name. */
  if (strlen(name) + strlen(job) + strlen("..ghee-.old") > NAME_MAX)
    return ghee_asprintf("file:%s%s.%016llx.ghee-%s", folder, slash, (unsigned long long)ghee_hash(name, strlen(name), 0), job);
  return ghee_asprintf("file:%s%s.%s.ghee-%s", folder, slash, name, job);
}

ghee_status ghee_file_store_staging(ghee_object_store *store, const char *uri, const char *job, char **out, ghee_error *err) {
  (void)store;
  if (!*job || strchr(job, '/') || strlen(job) > 200)
    return ghee_error_set(err, GHEE_INVALID, "\"%s\" cannot name a staging folder: 1 to 200 characters without a slash are needed", job);
  char *target;
  GHEE_TRY(ghee_file_store_target(uri, &target, err));
  char *parent = ghee_file_store_parent(target);
  char *made = parent ? staging_uri(target, parent, job) : NULL;
  ghee_free(parent);
  ghee_free(target);
  if (!made) return ghee_error_no_memory(err, "naming a staging folder");
  *out = made;
  return GHEE_OK;
}
