/* SPDX-License-Identifier: Apache-2.0
 * Publication on HDFS, and the staging folders: ".NAME.ghee-JOB" beside the output NAME.
 *
 * Design notes
 * - A rename of a folder is one step for all readers. An output that is not there comes by one; one that is overwritten is first put aside as
 *   ".NAME.ghee-JOB.old" (between the two there is no output), and removed last. While the staging folder is there, its rename has not been.
 * - An append moves file by file, _manifest.json and _SUCCESS last: with the manifest the output is the new one. So does the replacing of
 *   partitions, and removes then what was in their folders; until that is done the staging folder stays.
 * - The claim, a file ".NAME.ghee-claim" that one of many creates, keeps publications of one place apart: an append goes by the manifest that it
 *   found. It names the staging folder of who has it. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/memory.h"
#include "storage/hdfs.h"
#include "storage/replaced.h"

enum { CLAIM_SIZE = 4096 };

typedef struct publication {
  ghee_hdfs_store *store;
  char *staging, *target, *parent, *old, *what;
  ghee_publish_mode mode;
  const char *const *names;
  const char **sorted;
  size_t n;
  ghee_replaced replaced; /* mode partitions */
} publication;

/* ---- staging and claim ---- */

static ghee_status target_of(ghee_hdfs_store *store, const char *uri, char **out, ghee_error *err) {
  char *path;
  GHEE_TRY(ghee_hdfs_path(store, uri, &path, err));
  if (strcmp(path, "/") != 0) {
    *out = path;
    return GHEE_OK;
  }
  ghee_free(path);
  return ghee_error_set(err, GHEE_INVALID, "%s: the root folder cannot be an output; name a folder in it", uri);
}

ghee_status ghee_hdfs_store_staging(ghee_object_store *base, const char *uri, const char *job, char **out, ghee_error *err) {
  ghee_hdfs_store *store = (ghee_hdfs_store *)base;
  char *target;
  GHEE_TRY(target_of(store, uri, &target, err));
  const char *name = ghee_hdfs_name(target);
  *out = ghee_asprintf("%s%.*s.%s.ghee-%s", store->head, (int)(name - target), target, name, job);
  ghee_free(target);
  return *out ? GHEE_OK : ghee_error_no_memory(err, "naming a staging folder");
}

typedef struct claim { char *target, *uri; } claim;

static ghee_status claim_init(claim *of, ghee_hdfs_store *store, const char *uri, ghee_error *err) {
  *of = (claim){0};
  GHEE_TRY(target_of(store, uri, &of->target, err));
  const char *name = ghee_hdfs_name(of->target);
  of->uri = ghee_asprintf("%s%.*s.%s.ghee-claim", store->head, (int)(name - of->target), of->target, name);
  return of->uri ? GHEE_OK : ghee_error_no_memory(err, "publishing");
}

static void claim_fini(claim *of) {
  ghee_free(of->target);
  ghee_free(of->uri);
}

/* The staging folder that the claim names. */
static ghee_status claim_read(const claim *of, ghee_hdfs_store *store, char text[CLAIM_SIZE], ghee_error *err) {
  ghee_source *source;
  GHEE_TRY(ghee_hdfs_store_read(&store->base, of->uri, NULL, &source, err));
  size_t size = source->size_bytes < CLAIM_SIZE ? (size_t)source->size_bytes : CLAIM_SIZE - 1;
  ghee_status status = source->ops->read(source, 0, size, text, err);
  text[size] = 0;
  source->ops->close(source);
  return status == GHEE_CHANGED ? ghee_error_set(err, GHEE_NOT_FOUND, "%s is gone", of->uri) : status;
}

/* What the claim says that is there: it may be ours. */
static ghee_status look_at_holder(const claim *of, ghee_hdfs_store *store, const char *staging, const char *uri, ghee_error *err) {
  char text[CLAIM_SIZE];
  ghee_error why;
  ghee_status status = claim_read(of, store, text, &why);
  if (status == GHEE_OK && strcmp(text, staging) == 0) return GHEE_OK;
  if (status == GHEE_NOT_FOUND) return ghee_error_set(err, GHEE_BUSY, "another job has published to %s in this moment: run this one again", uri);
  if (status != GHEE_OK) return ghee_error_set(err, status, "%s", why.message);
  return ghee_error_set(err, GHEE_BUSY, "another job publishes to %s, from %s: wait for it; if it is dead, cancel it, or remove %s", uri, text, of->uri);
}

ghee_status ghee_hdfs_store_reserve(ghee_object_store *base, const char *staging, const char *uri, ghee_error *err) {
  ghee_hdfs_store *store = (ghee_hdfs_store *)base;
  claim of;
  ghee_error why;
  ghee_status status = claim_init(&of, store, uri, &why);
  if (status == GHEE_OK) status = ghee_hdfs_create(store, of.uri, staging, &why);
  if (status == GHEE_EXISTS) status = look_at_holder(&of, store, staging, uri, &why);
  claim_fini(&of);
  return status == GHEE_OK ? GHEE_OK : ghee_error_set(err, status, "%s", why.message);
}

ghee_status ghee_hdfs_store_release(ghee_object_store *base, const char *staging, const char *uri, ghee_error *err) {
  ghee_hdfs_store *store = (ghee_hdfs_store *)base;
  char text[CLAIM_SIZE];
  claim of;
  ghee_error why;
  ghee_status status = claim_init(&of, store, uri, &why);
  if (status == GHEE_OK) status = claim_read(&of, store, text, &why);
  if (status == GHEE_OK && strcmp(text, staging) == 0) status = store->base.ops->remove(&store->base, of.uri, &why);
  claim_fini(&of);
  return status == GHEE_OK || status == GHEE_NOT_FOUND ? GHEE_OK : ghee_error_set(err, status, "%s", why.message);
}

ghee_status ghee_hdfs_release_staging(ghee_hdfs_store *store, const char *path, ghee_error *err) {
  const char *name = ghee_hdfs_name(path), *job = NULL;
  for (const char *at = name; (at = strstr(at, ".ghee-")); at++) job = at;
  if (name[0] != '.' || !job || job == name) return GHEE_OK;
  char *uri = ghee_asprintf("%s%.*s%.*s", store->head, (int)(name - path), path, (int)(job - name - 1), name + 1);
  char *staging = ghee_asprintf("%s%s", store->head, path);
  ghee_status status = uri && staging ? ghee_hdfs_store_release(&store->base, staging, uri, err) : ghee_error_no_memory(err, "removing a staging folder");
  ghee_free(uri);
  ghee_free(staging);
  return status;
}

/* ---- what is staged ---- */

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static bool is_last(const char *name) {
  const char *slash = strrchr(name, '/');
  return (slash ? slash[1] : name[0]) == '_';
}

static char *path_in(const char *folder, const char *name) { return ghee_asprintf(*name ? "%s/%s" : "%s%s", folder, name); }

typedef GHEE_ARRAY(char *) name_list;

/* Files below the staging folder that no commit has recorded: of attempts that died. */
typedef struct sweep { const publication *of; const char *below; name_list folders, doomed; } sweep;

static ghee_status keep_name(name_list *list, char *name, ghee_error *err) {
  if (name && ghee_array_push(list, name)) return GHEE_OK;
  ghee_free(name);
  return ghee_error_no_memory(err, "publishing");
}

static void names_fini(name_list *list) {
  for (size_t i = 0; i < list->count; i++) ghee_free(list->items[i]);
  ghee_array_fini(list);
}

static ghee_status sweep_entry(void *user, const char *name, const ghee_hdfs_status *found, ghee_error *err) {
  sweep *at = user;
  char *full = *at->below ? path_in(at->below, name) : ghee_strdup(name);
  if (!full) return ghee_error_no_memory(err, "publishing");
  if (found->folder) return keep_name(&at->folders, full, err);
  if (!at->of->n || !bsearch(&full, at->of->sorted, at->of->n, sizeof *at->of->sorted, by_text)) return keep_name(&at->doomed, full, err);
  ghee_free(full);
  return GHEE_OK;
}

/* Removes what is below a folder of `root` and is not among the names. */
static ghee_status sweep_below(const publication *of, const char *root, const char *below, ghee_error *err) {
  sweep at = {.of = of, .below = below};
  char *folder = path_in(root, below);
  ghee_status status = folder ? ghee_hdfs_each(of->store, of->what, folder, sweep_entry, &at, err) : ghee_error_no_memory(err, "publishing");
  for (size_t i = 0; i < at.folders.count && status == GHEE_OK; i++) status = sweep_below(of, root, at.folders.items[i], err);
  for (size_t i = 0; i < at.doomed.count && status == GHEE_OK; i++) {
    char *path = path_in(root, at.doomed.items[i]);
    status = path ? ghee_hdfs_delete(of->store, of->what, path, false, err) : ghee_error_no_memory(err, "publishing");
    ghee_free(path);
  }
  names_fini(&at.folders);
  names_fini(&at.doomed);
  ghee_free(folder);
  return status;
}

/* *out: the file, or the folder, is there. */
static ghee_status is_there(const publication *of, const char *path, bool folder, bool *out, ghee_error *err) {
  ghee_hdfs_status found;
  ghee_error why;
  ghee_status status = ghee_hdfs_stat(of->store, of->what, path, &found, &why);
  if (status != GHEE_OK && status != GHEE_NOT_FOUND) return ghee_error_set(err, status, "%s", why.message);
  *out = status == GHEE_OK && found.folder == folder;
  return GHEE_OK;
}

static ghee_status has_name(const publication *of, const char *folder, const char *name, bool *out, ghee_error *err) {
  char *path = path_in(folder, name);
  if (!path) return ghee_error_no_memory(err, "publishing");
  ghee_status status = is_there(of, path, false, out, err);
  ghee_free(path);
  return status;
}

/* Every name is where it should be: staged, or moved by an earlier call. Under append no file of data is there already. */
static ghee_status check_names(const publication *of, bool staging, bool target, ghee_error *err) {
  for (size_t i = 0; i < of->n; i++) {
    bool staged = false, moved = false;
    if (staging) GHEE_TRY(has_name(of, of->staging, of->names[i], &staged, err));
    if (target && (!staged || !is_last(of->names[i]))) GHEE_TRY(has_name(of, of->target, of->names[i], &moved, err));
    if (staged && moved) return ghee_error_set(err, GHEE_EXISTS, "%s: it has a file %s already", of->what, of->names[i]);
    if (!staged && !moved) return ghee_error_set(err, GHEE_NOT_FOUND, "%s: %s is neither staged nor published", of->what, of->names[i]);
  }
  return GHEE_OK;
}

/* ---- the whole folder ---- */

static ghee_status found_one(void *user, const char *name, const ghee_hdfs_status *found, ghee_error *err) {
  (void)name;
  (void)found;
  (void)err;
  *(bool *)user = true;
  return GHEE_CANCELED;
}

typedef enum output_state { OUTPUT_NONE, OUTPUT_EMPTY, OUTPUT_FULL } output_state;

static ghee_status look_at_output(const publication *of, output_state *out, ghee_error *err) {
  ghee_hdfs_status found;
  ghee_error why;
  bool something = false;
  ghee_status status = ghee_hdfs_stat(of->store, of->what, of->target, &found, &why);
  if (status == GHEE_OK && found.folder) {
    status = ghee_hdfs_each(of->store, of->what, of->target, found_one, &something, &why);
    if (status == GHEE_CANCELED) status = GHEE_OK;
    *out = something ? OUTPUT_FULL : OUTPUT_EMPTY;
  } else if (status == GHEE_OK) {
    *out = OUTPUT_FULL;
  } else if (status == GHEE_NOT_FOUND) {
    *out = OUTPUT_NONE;
    return GHEE_OK;
  }
  return status == GHEE_OK ? GHEE_OK : ghee_error_set(err, status, "%s", why.message);
}

/* Makes the place free: an empty folder goes, a full one is put aside. */
static ghee_status make_room(const publication *of, output_state state, ghee_error *err) {
  if (state == OUTPUT_NONE) return ghee_hdfs_make_folders(of->store, of->what, of->parent, err);
  if (state == OUTPUT_EMPTY) return ghee_hdfs_delete(of->store, of->what, of->target, false, err);
  if (of->mode == GHEE_PUBLISH_ERROR) return ghee_error_set(err, GHEE_EXISTS, "%s: something is there already; name another output, or say mode: overwrite or append", of->what);
  GHEE_TRY(ghee_hdfs_delete(of->store, of->what, of->old, true, err)); /* of a call that died and was overtaken */
  return ghee_hdfs_rename(of->store, of->what, of->target, of->old, false, err);
}

static ghee_status publish_whole(const publication *of, output_state state, ghee_error *err) {
  bool staged = false;
  GHEE_TRY(is_there(of, of->staging, true, &staged, err));
  GHEE_TRY(check_names(of, staged, !staged, err));
  if (staged) {
    GHEE_TRY(sweep_below(of, of->staging, "", err));
    GHEE_TRY(make_room(of, state, err));
    ghee_error why;
    ghee_status status = ghee_hdfs_rename(of->store, of->what, of->staging, of->target, false, &why);
    if (status == GHEE_EXISTS) return ghee_error_set(err, GHEE_BUSY, "%s: another job has published there in this moment", of->what);
    if (status != GHEE_OK) return ghee_error_set(err, status, "%s", why.message);
  }
  return ghee_hdfs_delete(of->store, of->what, of->old, true, err);
}

/* ---- file by file ---- */

static ghee_status move_file(const publication *of, const char *name, ghee_error *err) {
  bool staged = false;
  char *from = path_in(of->staging, name), *to = path_in(of->target, name), *folder = to ? ghee_hdfs_parent(to) : NULL;
  ghee_status status = from && folder ? is_there(of, from, false, &staged, err) : ghee_error_no_memory(err, "publishing");
  if (status == GHEE_OK && staged && strchr(name, '/')) status = ghee_hdfs_make_folders(of->store, of->what, folder, err);
  if (status == GHEE_OK && staged) status = ghee_hdfs_rename(of->store, of->what, from, to, is_last(name), err);
  ghee_free(folder);
  ghee_free(to);
  ghee_free(from);
  return status;
}

static ghee_status publish_files(const publication *of, ghee_error *err) {
  bool staged = false;
  GHEE_TRY(is_there(of, of->staging, true, &staged, err));
  GHEE_TRY(check_names(of, staged, true, err));
  for (int last = 0; last < 2 && staged; last++)
    for (size_t i = 0; i < of->n; i++)
      if (is_last(of->names[i]) == last) GHEE_TRY(move_file(of, of->names[i], err));
  for (size_t i = 0; i < of->replaced.n && staged; i++) GHEE_TRY(sweep_below(of, of->target, of->replaced.folders[i], err));
  return ghee_hdfs_delete(of->store, of->what, of->staging, true, err);
}

/* ---- the call ---- */

static ghee_status publication_init(publication *of, const char *staging, const char *uri, ghee_error *err) {
  for (size_t i = 0; i < of->n; i++) GHEE_TRY(ghee_uri_check_name(of->names[i], err));
  GHEE_TRY(ghee_hdfs_path(of->store, staging, &of->staging, err));
  GHEE_TRY(target_of(of->store, uri, &of->target, err));
  of->what = ghee_asprintf("cannot publish to %s", uri);
  of->parent = ghee_hdfs_parent(of->target);
  of->old = ghee_asprintf("%s.old", of->staging);
  of->sorted = ghee_alloc(of->n * sizeof *of->sorted);
  if (!of->what || !of->parent || !of->old || !of->sorted) return ghee_error_no_memory(err, "publishing");
  if (of->n > 0) memcpy(of->sorted, of->names, of->n * sizeof *of->sorted);
  if (of->n > 1) qsort(of->sorted, of->n, sizeof *of->sorted, by_text);
  return of->mode == GHEE_PUBLISH_PARTITIONS ? ghee_replaced_init(&of->replaced, of->names, of->n, err) : GHEE_OK;
}

ghee_status ghee_hdfs_store_publish(ghee_object_store *base, const char *staging, const char *uri, ghee_publish_mode mode, const char *const *names, size_t n,
                                    ghee_error *err) {
  publication of = {.store = (ghee_hdfs_store *)base, .mode = mode, .names = names, .n = n};
  output_state state = OUTPUT_NONE;
  ghee_status status = publication_init(&of, staging, uri, err);
  if (status == GHEE_OK) status = ghee_hdfs_store_reserve(base, staging, uri, err);
  if (status == GHEE_OK) {
    status = look_at_output(&of, &state, err);
    if (status == GHEE_OK) status = (mode == GHEE_PUBLISH_APPEND || mode == GHEE_PUBLISH_PARTITIONS) && state == OUTPUT_FULL ? publish_files(&of, err) : publish_whole(&of, state, err);
    ghee_status released = ghee_hdfs_store_release(base, staging, uri, status == GHEE_OK ? err : NULL);
    if (status == GHEE_OK) status = released;
  }
  ghee_replaced_fini(&of.replaced);
  ghee_free(of.sorted);
  ghee_free(of.old);
  ghee_free(of.parent);
  ghee_free(of.what);
  ghee_free(of.target);
  ghee_free(of.staging);
  return status;
}
