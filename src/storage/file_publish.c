/* SPDX-License-Identifier: Apache-2.0
 * Publication of the file: backend.
 *
 * Design notes: the whole folder at once (modes error, overwrite and partitions, append to nothing)
 *   prepare   every name is in the staging folder; everything else in it is removed; a marker (a hidden file named like the
 *             staging folder) is put into it; all durable
 *   keep      mode partitions: what stays of the old output is linked into the staging folder (file_keep.c)
 *   swap      rename(staging, output): succeeds only where nothing or an empty folder is. Else, to overwrite, both folders are
 *             exchanged in one step; where the file system cannot, the old one first goes to "STAGING.old"
 *   finish    what is at the staging name now is the old output: removed; then the marker
 * The marker travels with the new files, so a later call knows on which side of the swap an earlier one died.
 *
 * Design notes: file by file (append to an output that has files; a staging folder inside the output)
 *   A name is in exactly one of the two folders, and a file of that name is ours in the output if the staging folder does not have it.
 *   Names that begin with '_' (manifest, _SUCCESS) move last, in the order given. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "storage/file.h"

typedef struct publication {
  char *staging, *target, *parent; /* `parent` holds the target */
  char *marker, *old;              /* the marker's name; path of the replaced output where folders cannot be exchanged */
  bool inside;                     /* staging lies in the target */
  ghee_publish_mode mode;
  const char *const *names;        /* in the caller's order */
  const char **sorted;
  size_t n;
  ghee_replaced replaced;          /* mode partitions */
} publication;

/* ---- names ---- */

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static bool has_name(const publication *of, const char *name) {
  return of->n > 0 && bsearch(&name, of->sorted, of->n, sizeof *of->sorted, by_text);
}

static bool is_last(const char *name) {
  const char *slash = strrchr(name, '/');
  return (slash ? slash[1] : name[0]) == '_';
}

/* Whether `folder` has a regular file `name`. */
static ghee_status has_file(const char *folder, const char *name, bool *out, ghee_error *err) {
  char *path = ghee_path_join(folder, name);
  if (!path) return ghee_error_no_memory(err, "publishing");
  struct stat st;
  bool there = lstat(path, &st) == 0;
  int reason = there ? 0 : errno;
  ghee_status status = GHEE_OK;
  if (there && !S_ISREG(st.st_mode)) status = ghee_error_set(err, GHEE_EXISTS, "cannot publish %s: a folder or special file of that name is there", path);
  else if (reason && reason != ENOENT && reason != ENOTDIR) status = ghee_error_set_errno(err, reason, "cannot look at %s", path);
  else *out = there;
  ghee_free(path);
  return status;
}

static ghee_status is_folder(const char *path, bool *out, ghee_error *err) {
  struct stat st;
  bool there = lstat(path, &st) == 0;
  if (!there && errno != ENOENT && errno != ENOTDIR) return ghee_error_set_errno(err, errno, "cannot look at %s", path);
  *out = there && S_ISDIR(st.st_mode);
  return GHEE_OK;
}

/* Every name is in the staging folder, or (where `or_target`) in the output already. */
static ghee_status check_names(const publication *of, bool in_staging, bool or_target, ghee_error *err) {
  for (size_t i = 0; i < of->n; i++) {
    bool there = false;
    if (in_staging) GHEE_TRY(has_file(of->staging, of->names[i], &there, err));
    if (!there && or_target) GHEE_TRY(has_file(of->target, of->names[i], &there, err));
    if (!there)
      return ghee_error_set(err, GHEE_NOT_FOUND, "cannot publish %s: %s is not in %s; something else has removed it, so the job must run again",
                            of->target, of->names[i], of->staging);
  }
  return GHEE_OK;
}

/* ---- sweeping a folder ---- */

typedef struct sweep {
  const publication *of;
  const char *root;
  bool staging;      /* the root is the staging folder, else the output around it */
  bool remove;       /* else GHEE_EXISTS at the first thing that should not be there */
} sweep;

static ghee_status swept_name(const sweep *by, const char *name, bool top, bool *keep, ghee_error *err) {
  if (by->staging) {
    *keep = has_name(by->of, name) || strcmp(name, by->of->marker) == 0;
    return GHEE_OK;
  }
  *keep = top && (name[0] == '.' || strcmp(name, "lost+found") == 0);
  if (*keep || !has_name(by->of, name)) return GHEE_OK;
  bool staged = false;
  GHEE_TRY(has_file(by->of->staging, name, &staged, err));
  *keep = !staged;
  return GHEE_OK;
}

static ghee_status sweep_folder(const sweep *by, const char *relative, ghee_error *err);

static ghee_status sweep_entry(const sweep *by, DIR *dir, const char *entry, const char *relative, bool *removed, ghee_error *err) {
  char *name = *relative ? ghee_path_join(relative, entry) : ghee_strdup(entry);
  if (!name) return ghee_error_no_memory(err, "publishing");
  struct stat st;
  bool keep = false;
  ghee_status status = swept_name(by, name, !*relative, &keep, err);
  if (status != GHEE_OK || keep || fstatat(dirfd(dir), entry, &st, AT_SYMLINK_NOFOLLOW) != 0) goto done;
  bool folder = S_ISDIR(st.st_mode);
  if (folder) GHEE_GOTO(status, done, sweep_folder(by, name, err));
  if (!by->staging && by->of->mode == GHEE_PUBLISH_PARTITIONS && !ghee_replaced_has(&by->of->replaced, name)) goto done;
  if (!by->remove) {
    if (!folder) status = ghee_error_set(err, GHEE_EXISTS, "the output %s is there already (%s); choose another place, or mode overwrite or append", by->root, name);
  } else if (unlinkat(dirfd(dir), entry, folder ? AT_REMOVEDIR : 0) == 0) {
    *removed = true;
  } else if (!folder || (errno != ENOTEMPTY && errno != EEXIST)) {
    status = ghee_error_set_errno(err, errno, "cannot remove %s from %s", name, by->root);
  }
done:
  ghee_free(name);
  return status;
}

/* Once more after every removal: what a folder gives while it shrinks may leave entries out. */
static ghee_status sweep_entries(const sweep *by, DIR *dir, const char *path, const char *relative, ghee_error *err) {
  bool removed;
  do {
    removed = false;
    rewinddir(dir);
    for (;;) {
      const struct dirent *entry;
      GHEE_TRY(ghee_file_store_next(dir, path, &entry, err));
      if (!entry) break;
      GHEE_TRY(sweep_entry(by, dir, entry->d_name, relative, &removed, err));
    }
  } while (removed);
  return by->remove && fsync(dirfd(dir)) != 0 ? ghee_error_set_errno(err, errno, "cannot make folder %s durable", path) : GHEE_OK;
}

static ghee_status sweep_folder(const sweep *by, const char *relative, ghee_error *err) {
  char *path = *relative ? ghee_path_join(by->root, relative) : ghee_strdup(by->root);
  if (!path) return ghee_error_no_memory(err, "publishing");
  DIR *dir = opendir(path);
  ghee_status status = dir ? sweep_entries(by, dir, path, relative, err) : ghee_error_set_errno(err, errno, "cannot list folder %s", path);
  if (dir) closedir(dir);
  ghee_free(path);
  return status;
}

/* ---- the whole folder at once ---- */

/* What the users of an existing output could do with it, they can do with the new one, as far as our rights go. */
static void keep_rights(const char *from, const char *to) {
  struct stat st;
  if (stat(from, &st) != 0 || !S_ISDIR(st.st_mode)) return;
  if (chown(to, st.st_uid, st.st_gid) != 0 && chown(to, (uid_t)-1, st.st_gid) != 0) return;
  (void)chmod(to, (st.st_mode & 07777) | S_IRWXU);
}

static ghee_status put_marker(const publication *of, ghee_error *err) {
  char *path = ghee_path_join(of->staging, of->marker);
  if (!path) return ghee_error_no_memory(err, "publishing");
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  ghee_status status = fd >= 0 ? GHEE_OK : ghee_error_set_errno(err, errno, "cannot write %s", path);
  if (fd >= 0) close(fd);
  ghee_free(path);
  return status;
}

static ghee_status prepare(const publication *of, ghee_error *err) {
  GHEE_TRY(check_names(of, true, false, err));
  GHEE_TRY(put_marker(of, err));
  keep_rights(of->target, of->staging);
  return sweep_folder(&(sweep){.of = of, .root = of->staging, .staging = true, .remove = true}, "", err);
}

static ghee_status swap_failed(const publication *of, int reason, ghee_error *err) {
  return ghee_error_set_errno(err, reason, "cannot publish %s by renaming %s", of->target, of->staging);
}

static ghee_status swap_in_two_steps(const publication *of, ghee_error *err) {
  GHEE_TRY(ghee_dir_remove_all(of->old, err));
  if (rename(of->target, of->old) != 0) return swap_failed(of, errno, err);
  if (rename(of->staging, of->target) == 0) return GHEE_OK;
  int reason = errno;
  (void)rename(of->old, of->target); /* better the old output than none until the next try */
  return swap_failed(of, reason, err);
}

static ghee_status swap(const publication *of, ghee_error *err) {
  if (rename(of->staging, of->target) == 0) return GHEE_OK;
  if (errno == ENOTDIR) return ghee_error_set(err, GHEE_EXISTS, "cannot publish %s: a file of that name is there; remove it or choose another name", of->target);
  if (errno != ENOTEMPTY && errno != EEXIST) return swap_failed(of, errno, err);
  if (of->mode != GHEE_PUBLISH_OVERWRITE && of->mode != GHEE_PUBLISH_PARTITIONS)
    return ghee_error_set(err, GHEE_EXISTS, "the output %s is there already; choose another place, or mode overwrite or append", of->target);
  if (renameat2(AT_FDCWD, of->staging, AT_FDCWD, of->target, RENAME_EXCHANGE) == 0) return GHEE_OK;
  if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) return swap_in_two_steps(of, err);
  return swap_failed(of, errno, err);
}

static ghee_status drop_marker(const publication *of, ghee_error *err) {
  char *path = ghee_path_join(of->target, of->marker);
  if (!path) return ghee_error_no_memory(err, "publishing");
  ghee_status status = GHEE_OK;
  if (unlink(path) != 0 && errno != ENOENT) status = ghee_error_set_errno(err, errno, "cannot remove %s", path);
  ghee_free(path);
  return status == GHEE_OK ? ghee_dir_sync(of->target, err) : status;
}

/* Mode partitions: what stays. Between the two steps of a swap that a call died in, the output is the folder put aside. */
static ghee_status keep_rest(const publication *of, ghee_error *err) {
  bool there = false;
  if (of->mode != GHEE_PUBLISH_PARTITIONS) return GHEE_OK;
  GHEE_TRY(is_folder(of->target, &there, err));
  return ghee_file_store_keep(there ? of->target : of->old, of->staging, &of->replaced, err);
}

static ghee_status publish_whole(const publication *of, ghee_error *err) {
  bool swapped = false, staged = false;
  GHEE_TRY(has_file(of->target, of->marker, &swapped, err));
  if (!swapped) {
    GHEE_TRY(is_folder(of->staging, &staged, err));
    if (!staged) return check_names(of, false, true, err); /* published and tidied before */
    GHEE_TRY(prepare(of, err));
    GHEE_TRY(keep_rest(of, err));
    GHEE_TRY(swap(of, err));
  }
  GHEE_TRY(ghee_dir_sync(of->parent, err));
  GHEE_TRY(ghee_dir_remove_all(of->staging, err));
  GHEE_TRY(ghee_dir_remove_all(of->old, err));
  GHEE_TRY(ghee_dir_sync(of->parent, err)); /* the marker must outlive what it protects */
  return drop_marker(of, err);
}

/* ---- file by file ---- */

static ghee_status move_file(const publication *of, const char *name, ghee_error *err) {
  char *from = ghee_path_join(of->staging, name), *to = ghee_path_join(of->target, name), *folder = to ? ghee_file_store_parent(to) : NULL;
  ghee_status status = from && folder ? ghee_file_store_make_folders(folder, err) : ghee_error_no_memory(err, "publishing");
  /* Gone from the staging folder: an earlier call has moved it. */
  if (status == GHEE_OK && rename(from, to) != 0 && errno != ENOENT) status = ghee_error_set_errno(err, errno, "cannot move %s to %s", from, to);
  ghee_free(folder);
  ghee_free(to);
  ghee_free(from);
  return status;
}

/* Makes the moves of one pass durable: the folders of the output that hold its names, once for each run of names of one folder. */
static ghee_status sync_folders(const publication *of, bool last, ghee_error *err) {
  const char *before = NULL;
  size_t before_length = 0;
  for (size_t i = 0; i < of->n; i++) {
    const char *name = of->sorted[i], *slash = strrchr(name, '/');
    size_t length = slash ? (size_t)(slash - name) : 0;
    if (is_last(name) != last || (before && length == before_length && strncmp(name, before, length) == 0)) continue;
    before = name;
    before_length = length;
    char *folder = ghee_asprintf("%s/%.*s", of->target, (int)length, name);
    if (!folder) return ghee_error_no_memory(err, "publishing");
    ghee_status status = ghee_dir_sync(folder, err);
    ghee_free(folder);
    GHEE_TRY(status);
  }
  return GHEE_OK;
}

static ghee_status check_collisions(const publication *of, ghee_error *err) {
  for (size_t i = 0; i < of->n; i++) {
    bool staged = false, there = false;
    if (is_last(of->names[i])) continue;
    GHEE_TRY(has_file(of->staging, of->names[i], &staged, err));
    if (staged) GHEE_TRY(has_file(of->target, of->names[i], &there, err));
    if (there) return ghee_error_set(err, GHEE_EXISTS, "cannot append to %s: it has a file %s already", of->target, of->names[i]);
  }
  return GHEE_OK;
}

static ghee_status publish_files(const publication *of, ghee_error *err) {
  bool staged = false;
  GHEE_TRY(is_folder(of->staging, &staged, err));
  GHEE_TRY(check_names(of, staged, true, err));
  if (!staged) return GHEE_OK;
  if (of->mode != GHEE_PUBLISH_APPEND)
    GHEE_TRY(sweep_folder(&(sweep){.of = of, .root = of->target, .remove = of->mode != GHEE_PUBLISH_ERROR}, "", err));
  GHEE_TRY(check_collisions(of, err));
  for (int last = 0; last < 2; last++) {
    for (size_t i = 0; i < of->n; i++)
      if (is_last(of->names[i]) == last) GHEE_TRY(move_file(of, of->names[i], err));
    GHEE_TRY(sync_folders(of, last, err));
  }
  return ghee_dir_remove_all(of->staging, err);
}

/* ---- the call ---- */

static ghee_status is_empty(const publication *of, bool *out, ghee_error *err) {
  ghee_object_store store = {.ops = &ghee_object_store_file};
  bool marked = false, something = false;
  GHEE_TRY(has_file(of->target, of->marker, &marked, err));
  GHEE_TRY(ghee_object_store_file.exists(&store, of->target, &something, err));
  *out = marked || !something; /* with a marker it was empty before the swap */
  return GHEE_OK;
}

static ghee_status publication_init(publication *of, const char *staging, const char *uri, ghee_error *err) {
  for (size_t i = 0; i < of->n; i++) GHEE_TRY(ghee_uri_check_name(of->names[i], err));
  GHEE_TRY(ghee_file_store_path(staging, &of->staging, err));
  GHEE_TRY(ghee_file_store_target(uri, &of->target, err));
  size_t length = strlen(of->target);
  of->inside = strncmp(of->staging, of->target, length) == 0 && of->staging[length] == '/';
  of->parent = ghee_file_store_parent(of->target);
  of->marker = ghee_asprintf(".%s", strrchr(of->staging, '/') + 1 + (strrchr(of->staging, '/')[1] == '.'));
  of->old = ghee_asprintf("%s.old", of->staging);
  of->sorted = ghee_alloc(of->n * sizeof *of->sorted);
  if (!of->parent || !of->marker || !of->old || !of->sorted) return ghee_error_no_memory(err, "publishing");
  if (of->n > 0) memcpy(of->sorted, of->names, of->n * sizeof *of->sorted);
  if (of->n > 1) qsort(of->sorted, of->n, sizeof *of->sorted, by_text);
  if (of->mode == GHEE_PUBLISH_PARTITIONS) GHEE_TRY(ghee_replaced_init(&of->replaced, of->names, of->n, err));
  if (strcmp(of->staging, of->target) == 0) return ghee_error_set(err, GHEE_INVALID, "%s cannot be staging folder and output at once", of->target);
  return GHEE_OK;
}

ghee_status ghee_file_store_publish(ghee_object_store *store, const char *staging, const char *uri, ghee_publish_mode mode,
                                    const char *const *names, size_t n, ghee_error *err) {
  (void)store;
  publication of = {.mode = mode, .names = names, .n = n};
  bool whole = true;
  ghee_status status = publication_init(&of, staging, uri, err);
  if (status == GHEE_OK) status = ghee_file_store_make_folders(of.parent, err);
  if (status == GHEE_OK && !of.inside && mode == GHEE_PUBLISH_APPEND) status = is_empty(&of, &whole, err);
  if (status == GHEE_OK) status = whole && !of.inside ? publish_whole(&of, err) : publish_files(&of, err);
  ghee_replaced_fini(&of.replaced);
  ghee_free(of.sorted);
  ghee_free(of.old);
  ghee_free(of.marker);
  ghee_free(of.parent);
  ghee_free(of.target);
  ghee_free(of.staging);
  return status;
}
