/* SPDX-License-Identifier: Apache-2.0
 * Listings of HDFS: pages of LISTSTATUS_BATCH, which come in the order of the names.
 *
 * Design notes
 * - Objects come sorted by the bytes of their URI, where a folder stands as "name/": behind "name-1" and "name.x". So folders wait until
 *   the entries have passed them. One page of each folder on the way down is held. */
#include <string.h>

#include "base/array.h"
#include "base/memory.h"
#include "storage/hdfs.h"

ghee_status ghee_hdfs_each(ghee_hdfs_store *store, const char *what, const char *folder,
                           ghee_status (*each)(void *user, const char *name, const ghee_hdfs_status *status, ghee_error *err), void *user, ghee_error *err) {
  char *after = NULL;
  for (bool more = true; more;) {
    const char *parameters[] = {"op", "LISTSTATUS_BATCH", after ? "startAfter" : NULL, after, NULL};
    json_t *json, *listing, *entries, *entry;
    ghee_status status = ghee_hdfs_ask(store, what, "GET", folder, parameters, &json, err);
    ghee_free(after);
    after = NULL;
    GHEE_TRY(status);
    listing = json_object_get(json, "DirectoryListing");
    entries = json_object_get(json_object_get(json_object_get(listing, "partialListing"), "FileStatuses"), "FileStatus");
    more = json_integer_value(json_object_get(listing, "remainingEntries")) > 0 && json_array_size(entries) > 0;
    size_t i;
    json_array_foreach(entries, i, entry) {
      const char *name = json_string_value(json_object_get(entry, "pathSuffix"));
      ghee_hdfs_status found;
      status = name ? ghee_hdfs_status_read(what, entry, &found, err) : ghee_error_set(err, GHEE_CORRUPT, "%s: an entry of the listing has no name", what);
      if (status == GHEE_OK) status = each(user, name, &found, err);
      if (status != GHEE_OK) break;
      if (more && i + 1 == json_array_size(entries) && !(after = ghee_strdup(name))) status = ghee_error_no_memory(err, "listing a folder");
    }
    json_decref(json);
    if (status != GHEE_OK) ghee_free(after);
    GHEE_TRY(status);
  }
  return GHEE_OK;
}

/* ---- objects below a folder ---- */

typedef struct walk {
  ghee_hdfs_store *store;
  const char *what;
  ghee_status (*each)(void *user, const ghee_object_info *info, ghee_error *err);
  void *user;
} walk;

typedef struct level {
  walk *of;
  const char *folder;            /* path */
  GHEE_ARRAY(char *) waiting;    /* names of folders, in their order as "name/" */
} level;

static ghee_status walk_folder(walk *of, const char *folder, ghee_error *err);

static char *path_below(const char *folder, const char *name) { return ghee_asprintf(strcmp(folder, "/") == 0 ? "%s%s" : "%s/%s", folder, name); }

static ghee_status give(walk *of, const char *path, const ghee_hdfs_status *found, ghee_error *err) {
  char version[GHEE_HDFS_VERSION_SIZE], *uri = ghee_asprintf("%s%s", of->store->head, path);
  if (!uri) return ghee_error_no_memory(err, "listing a folder");
  ghee_hdfs_version(found, version);
  ghee_object_info info = {.uri = uri, .size_bytes = found->size_bytes, .version = version};
  ghee_status status = of->each(of->user, &info, err);
  ghee_free(uri);
  return status;
}

/* Whether the objects of folder `name` come before an entry `next` that is none of them. */
static bool comes_before(const char *name, const char *next) {
  size_t n = strlen(name);
  int order = strncmp(name, next, n);
  return order != 0 ? order < 0 : (unsigned char)'/' < (unsigned char)next[n];
}

/* Walks the folders that wait and come before `next`; all of them for NULL. */
static ghee_status flush(level *of, const char *next, ghee_error *err) {
  while (of->waiting.count > 0 && (!next || comes_before(of->waiting.items[0], next))) {
    char *name = of->waiting.items[0], *path = path_below(of->folder, name);
    memmove(of->waiting.items, of->waiting.items + 1, --of->waiting.count * sizeof *of->waiting.items);
    ghee_status status = path ? walk_folder(of->of, path, err) : ghee_error_no_memory(err, "listing a folder");
    ghee_free(path);
    ghee_free(name);
    GHEE_TRY(status);
  }
  return GHEE_OK;
}

static ghee_status keep_folder(level *of, const char *name, ghee_error *err) {
  char *copy = ghee_strdup(name);
  if (!copy || !ghee_array_push(&of->waiting, copy)) {
    ghee_free(copy);
    return ghee_error_no_memory(err, "listing a folder");
  }
  size_t at = of->waiting.count - 1;
  char **names = of->waiting.items;
  for (; at > 0 && comes_before(name, names[at - 1]); at--) names[at] = names[at - 1];
  names[at] = copy;
  return GHEE_OK;
}

static ghee_status visit(void *user, const char *name, const ghee_hdfs_status *found, ghee_error *err) {
  level *of = user;
  if (name[0] == '.' || name[0] == '_') return GHEE_OK;
  GHEE_TRY(flush(of, name, err));
  if (found->folder) return keep_folder(of, name, err);
  char *path = path_below(of->folder, name);
  if (!path) return ghee_error_no_memory(err, "listing a folder");
  ghee_status status = give(of->of, path, found, err);
  ghee_free(path);
  return status;
}

static ghee_status walk_folder(walk *of, const char *folder, ghee_error *err) {
  level here = {.of = of, .folder = folder};
  ghee_status status = ghee_hdfs_each(of->store, of->what, folder, visit, &here, err);
  if (status == GHEE_OK) status = flush(&here, NULL, err);
  for (size_t i = 0; i < here.waiting.count; i++) ghee_free(here.waiting.items[i]);
  ghee_array_fini(&here.waiting);
  return status;
}

ghee_status ghee_hdfs_store_list(ghee_object_store *base, const char *uri, ghee_status (*each)(void *user, const ghee_object_info *info, ghee_error *err),
                                 void *user, ghee_error *err) {
  walk of = {.store = (ghee_hdfs_store *)base, .each = each, .user = user};
  char *what = ghee_asprintf("cannot list %s", uri), *path = NULL;
  ghee_hdfs_status found;
  of.what = what;
  ghee_status status = what ? ghee_hdfs_path(of.store, uri, &path, err) : ghee_error_no_memory(err, "listing a folder");
  if (status == GHEE_OK) status = ghee_hdfs_stat(of.store, what, path, &found, err);
  if (status == GHEE_OK) status = found.folder ? walk_folder(&of, path, err) : give(&of, path, &found, err);
  ghee_free(path);
  ghee_free(what);
  return status;
}
