/* SPDX-License-Identifier: Apache-2.0
 * Listing of the file: backend.
 *
 * Design notes
 * - Objects come sorted by the bytes of their URI, so a folder sorts as if its name ended in '/': "a.txt" stands before "a/b".
 * - Names of one folder are held at most 2 × WINDOW at a time. A larger folder is read again for each window: the smallest
 *   names behind the last one given. The memory is bounded by the depth, not by the number of objects.
 * - No folder stays open while what lies below it is walked, so the depth costs no file descriptors. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "storage/file.h"

enum { WINDOW = 16384 };

typedef struct entry {
  char *name;
  bool folder;
} entry;
typedef GHEE_ARRAY(entry) entry_list;

/* A folder on the way down from the root of the listing, to know a loop by. */
typedef struct place {
  dev_t device;
  ino_t inode;
} place;

typedef struct walk {
  ghee_buffer uri; /* of what is being visited, with a NUL behind */
  GHEE_ARRAY(place) above;
  ghee_status (*each)(void *user, const ghee_object_info *info, ghee_error *err);
  void *user;
} walk;

static const char *path_of(const walk *of) { return (const char *)of->uri.data + strlen("file:"); }

static int compare(const void *left, const void *right) {
  const entry *a = left, *b = right;
  size_t i = 0;
  while (a->name[i] && a->name[i] == b->name[i]) i++;
  int x = a->name[i] ? (unsigned char)a->name[i] : a->folder ? '/' : 0;
  int y = b->name[i] ? (unsigned char)b->name[i] : b->folder ? '/' : 0;
  return x - y;
}

static void cut(entry_list *list, size_t count) {
  while (list->count > count) ghee_free(list->items[--list->count].name);
}

/* False for what is never listed: hidden names, sockets, devices. */
static bool wanted(DIR *dir, const struct dirent *of, bool *folder) {
  if (of->d_name[0] == '.' || of->d_name[0] == '_') return false;
  struct stat st;
  *folder = of->d_type == DT_DIR;
  if (of->d_type == DT_LNK || of->d_type == DT_UNKNOWN) {
    *folder = fstatat(dirfd(dir), of->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
    return true; /* a link that leads nowhere is told when it is visited */
  }
  return of->d_type == DT_DIR || of->d_type == DT_REG;
}

static bool keep(entry_list *list, const char *name, bool folder, bool *more) {
  entry item = {.name = ghee_strdup(name), .folder = folder};
  if (!item.name || !ghee_array_push(list, item)) {
    ghee_free(item.name);
    return false;
  }
  if (list->count == 2 * WINDOW) {
    qsort(list->items, list->count, sizeof *list->items, compare);
    cut(list, WINDOW);
    *more = true;
  }
  return true;
}

/* The WINDOW smallest names of the folder behind `after` (NULL: from the start), sorted. */
static ghee_status read_window(const char *path, const entry *after, entry_list *list, bool *more, ghee_error *err) {
  DIR *dir = opendir(path);
  if (!dir) return ghee_error_set_errno(err, errno, "cannot list folder %s", path);
  ghee_status status = GHEE_OK;
  *more = false;
  while (status == GHEE_OK) {
    const struct dirent *of = NULL;
    status = ghee_file_store_next(dir, path, &of, err);
    if (status != GHEE_OK || !of) break;
    entry item = {.name = (char *)of->d_name};
    if (!wanted(dir, of, &item.folder) || (after && compare(&item, after) <= 0)) continue;
    if (*more && compare(&item, &list->items[WINDOW - 1]) > 0) continue;
    if (!keep(list, item.name, item.folder, more)) status = ghee_error_no_memory(err, "listing a folder");
  }
  closedir(dir);
  if (list->count > 1) qsort(list->items, list->count, sizeof *list->items, compare);
  if (list->count > WINDOW) {
    cut(list, WINDOW);
    *more = true;
  }
  return status;
}

static ghee_status visit(walk *of, ghee_error *err);

static ghee_status visit_below(walk *of, const char *name, ghee_error *err) {
  size_t size = of->uri.size;
  if (of->uri.data[size - 1] != '/') ghee_buffer_put(&of->uri, "/", 1);
  ghee_buffer_put(&of->uri, name, strlen(name) + 1);
  ghee_status status = ghee_buffer_check(&of->uri, "listing a folder", err);
  if (status == GHEE_OK) {
    of->uri.size--;
    status = visit(of, err);
  }
  of->uri.size = size;
  of->uri.data[size] = 0;
  return status;
}

static ghee_status visit_window(walk *of, const entry *after, entry_list *list, bool *more, ghee_error *err) {
  GHEE_TRY(read_window(path_of(of), after, list, more, err));
  for (size_t i = 0; i < list->count; i++) GHEE_TRY(visit_below(of, list->items[i].name, err));
  return GHEE_OK;
}

static ghee_status visit_folder(walk *of, const struct stat *st, ghee_error *err) {
  for (size_t i = 0; i < of->above.count; i++)
    if (of->above.items[i].device == st->st_dev && of->above.items[i].inode == st->st_ino)
      return ghee_error_set(err, GHEE_INVALID, "cannot list %s: its symbolic link leads back to a folder above it; remove the link", path_of(of));
  if (!ghee_array_push(&of->above, ((place){st->st_dev, st->st_ino}))) return ghee_error_no_memory(err, "listing a folder");
  entry after = {0};
  entry_list list = {0};
  ghee_status status;
  bool more = false;
  do {
    status = visit_window(of, after.name ? &after : NULL, &list, &more, err);
    if (more && list.count > 0) {
      ghee_free(after.name);
      after = list.items[--list.count];
    }
    cut(&list, 0);
  } while (status == GHEE_OK && more);
  ghee_free(after.name);
  ghee_array_fini(&list);
  of->above.count--;
  return status;
}

static ghee_status visit(walk *of, ghee_error *err) {
  const char *path = path_of(of);
  struct stat st;
  if (stat(path, &st) != 0) {
    int reason = errno;
    bool root = of->above.count == 0, there = lstat(path, &st) == 0;
    if (reason == ENOENT && !there && !root) return GHEE_OK; /* removed since its folder was read */
    if (reason == ENOENT && there) return ghee_error_set(err, GHEE_NOT_FOUND, "cannot read %s: it is a symbolic link to something that is not there", path);
    if (reason == ELOOP) return ghee_error_set(err, GHEE_INVALID, "cannot list %s: its symbolic link leads back to itself; remove the link", path);
    return ghee_error_set_errno(err, reason, "cannot read %s", path);
  }
  if (S_ISDIR(st.st_mode)) return visit_folder(of, &st, err);
  if (!S_ISREG(st.st_mode)) {
    if (of->above.count > 0) return GHEE_OK;
    return ghee_error_set(err, GHEE_INVALID, "cannot read %s: it is neither a file nor a folder", path);
  }
  char version[GHEE_FILE_VERSION_SIZE];
  ghee_file_store_version(&st, version);
  ghee_object_info info = {.uri = (char *)of->uri.data, .size_bytes = (uint64_t)st.st_size, .version = version};
  return of->each(of->user, &info, err);
}

ghee_status ghee_file_store_list(ghee_object_store *store, const char *uri,
                                 ghee_status (*each)(void *user, const ghee_object_info *info, ghee_error *err), void *user, ghee_error *err) {
  (void)store;
  char *canonical;
  GHEE_TRY(ghee_uri_canonical(uri, &canonical, err));
  walk of = {.each = each, .user = user};
  ghee_buffer_put(&of.uri, canonical, strlen(canonical) + 1);
  ghee_free(canonical);
  ghee_status status = ghee_buffer_check(&of.uri, "listing a folder", err);
  if (status == GHEE_OK) {
    of.uri.size--;
    status = visit(&of, err);
  }
  ghee_buffer_fini(&of.uri);
  ghee_array_fini(&of.above);
  return status;
}
