/* SPDX-License-Identifier: Apache-2.0
 * Listing an input. */
#include "plan/listing.h"

#include <stdlib.h>
#include <string.h>

#include "manifest/manifest.h"
#include "plan/glob.h"

typedef struct lister {
  ghee_object_store *store;
  ghee_plan_listing *out;
  const ghee_glob *glob;         /* NULL: everything */
  size_t prefix_bytes;           /* of the URIs that come */
} lister;

static void object_fini(ghee_object_info *of) {
  ghee_free(of->uri);
  ghee_free(of->version);
}

static ghee_status add_file(void *user, const ghee_object_info *info, ghee_error *err) {
  lister *of = user;
  ghee_object_info copy = {.uri = ghee_strdup(info->uri), .size_bytes = info->size_bytes, .version = ghee_strdup(info->version)};
  bool wanted = !of->glob || !copy.uri || ghee_glob_matches(of->glob, copy.uri + of->prefix_bytes);
  if (wanted && copy.uri && copy.version) {
    size_t length = strlen(copy.uri);
    bool placed = ghee_array_push(&of->out->prefixes, (uint32_t)(of->prefix_bytes < length ? of->prefix_bytes : length));
    if (placed && ghee_array_push(&of->out->files, copy)) return GHEE_OK;
  }
  ghee_status status = wanted ? ghee_error_no_memory(err, "listing the input") : GHEE_OK;
  object_fini(&copy);
  return status;
}

/* ---- manifests ---- */

typedef struct named { const ghee_manifest_file *file; bool found; } named;

static int by_name(const void *a, const void *b) { return strcmp(((const named *)a)->file->name, ((const named *)b)->file->name); }

static ghee_status check_size(const ghee_object_info *object, const ghee_manifest_file *file, ghee_error *err) {
  if (object->size_bytes == file->size_bytes) return GHEE_OK;
  return ghee_error_set(err, GHEE_CORRUPT, "%s has %llu bytes, the manifest says %llu", object->uri, (unsigned long long)object->size_bytes,
                        (unsigned long long)file->size_bytes);
}

/* Keeps of the objects from `first` on those that are named. */
static ghee_status keep_named(lister *of, const char *uri, size_t first, named *names, size_t n, ghee_error *err) {
  ghee_object_list *list = &of->out->files;
  size_t kept = first;
  ghee_status status = GHEE_OK;
  for (size_t i = first; i < list->count; i++) {
    ghee_object_info *object = &list->items[i];
    ghee_manifest_file wanted = {.name = object->uri + of->prefix_bytes};
    named *at = n ? bsearch(&(named){.file = &wanted}, names, n, sizeof *names, by_name) : NULL;
    if (at) {
      at->found = true;
      list->items[kept++] = *object;
      if (status == GHEE_OK) status = check_size(object, at->file, err);
    } else {
      object_fini(object);
      of->out->left_out++;
    }
  }
  list->count = of->out->prefixes.count = kept; /* the prefix is the same for all from `first` on */
  for (size_t i = 0; i < n && status == GHEE_OK; i++)
    if (!names[i].found) status = ghee_error_set(err, GHEE_CORRUPT, "%s, which the manifest of %s names, is missing", names[i].file->name, uri);
  if (status != GHEE_OK) ghee_error_suffix(err, ": `ghee verify` finds all that is wrong; make the output again");
  return status;
}

static ghee_status apply_manifest(lister *of, const char *uri, size_t first, const ghee_manifest *manifest, ghee_error *err) {
  named *names = ghee_alloc_zero(manifest->count, sizeof *names);
  ghee_status status = names ? GHEE_OK : ghee_error_no_memory(err, "listing the input");
  for (size_t i = 0; status == GHEE_OK && i < manifest->count; i++) names[i].file = &manifest->files[i];
  if (status == GHEE_OK && manifest->count > 1) qsort(names, manifest->count, sizeof *names, by_name);
  if (status == GHEE_OK) status = keep_named(of, uri, first, names, manifest->count, err);
  ghee_free(names);
  return status;
}

/* What was listed from `first` on, if it is an output with a manifest. */
static ghee_status follow_manifest(lister *of, const char *uri, size_t first, ghee_error *err) {
  ghee_manifest manifest = {0};
  const ghee_object_list *list = &of->out->files;
  bool is_object = list->count == first + 1 && strcmp(list->items[first].uri, uri) == 0;
  if (is_object) return GHEE_OK;
  ghee_status status = ghee_manifest_read(of->store, uri, &manifest, err);
  if (status == GHEE_NOT_FOUND) return GHEE_OK;
  GHEE_TRY(status);
  if (manifest.count == 0) status = ghee_error_set(err, GHEE_NOT_FOUND, "the input %s is an output without rows: job %s, which wrote it, gave none", uri, manifest.job);
  else status = apply_manifest(of, uri, first, &manifest, err);
  ghee_manifest_fini(&manifest);
  return status;
}

/* ---- the URIs ---- */

static ghee_status list_matching(lister *of, const char *uri, ghee_error *err) {
  ghee_glob glob;
  GHEE_TRY(ghee_glob_init(uri, &glob, err));
  lister matching = *of;
  matching.glob = &glob;
  matching.prefix_bytes = glob.prefix_bytes;
  size_t before = of->out->files.count;
  ghee_status status = of->store->ops->list(of->store, glob.folder, add_file, &matching, err);
  if (status == GHEE_OK && of->out->files.count == before) status = ghee_error_set(err, GHEE_NOT_FOUND, "no file matches the input %s", uri);
  ghee_glob_fini(&glob);
  return status;
}

static ghee_status list_one(lister *of, const char *uri, ghee_error *err) {
  size_t before = of->out->files.count;
  of->prefix_bytes = strlen(uri) + (uri[strlen(uri) - 1] != '/');
  ghee_status status = of->store->ops->list(of->store, uri, add_file, of, err);
  if (status == GHEE_NOT_FOUND && ghee_glob_is(uri)) status = list_matching(of, uri, err);
  else if (status == GHEE_OK) status = follow_manifest(of, uri, before, err);
  if (status == GHEE_NOT_FOUND) ghee_error_suffix(err, " (the job's input)");
  GHEE_TRY(status);
  if (of->out->files.count == before)
    return ghee_error_set(err, GHEE_NOT_FOUND, "the input %s holds no files (names that begin with '.' or '_' are left out)", uri);
  return GHEE_OK;
}

static int by_uri(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

typedef struct linked { const ghee_object_info *info; char *real; } linked;

static int by_version(const void *a, const void *b) { return strcmp(((const linked *)a)->info->version, ((const linked *)b)->info->version); }
static int by_real(const void *a, const void *b) { return strcmp(((const linked *)a)->real, ((const linked *)b)->real); }

/* Files of this machine that a symbolic link makes one; hard links are files of their own. Their version has the inode, so only where it is the same are
 * the links followed. */
static ghee_status check_linked(const ghee_object_list *list, ghee_error *err) {
  size_t n = 0;
  if (strncmp(list->items[0].uri, "file:", 5) != 0) return GHEE_OK;
  linked *all = ghee_alloc_zero(list->count, sizeof *all);
  if (!all) return ghee_error_no_memory(err, "listing the input");
  for (size_t i = 0; i < list->count; i++) all[i].info = &list->items[i];
  qsort(all, list->count, sizeof *all, by_version);
  for (size_t i = 0; i < list->count; i++) {
    bool shared = (i > 0 && by_version(&all[i - 1], &all[i]) == 0) || (i + 1 < list->count && by_version(&all[i], &all[i + 1]) == 0);
    all[i].real = shared ? realpath(all[i].info->uri + strlen("file:"), NULL) : NULL;
  }
  for (size_t i = 0; i < list->count; i++)
    if (all[i].real) all[n++] = all[i]; /* what is gone meanwhile is told by who reads it */
  if (n > 1) qsort(all, n, sizeof *all, by_real);
  ghee_status status = GHEE_OK;
  for (size_t i = 1; i < n && status == GHEE_OK; i++)
    if (by_real(&all[i - 1], &all[i]) == 0)
      status = ghee_error_set(err, GHEE_INVALID, "%s and %s are one file, by a symbolic link, and in the input twice: take one out", all[i - 1].info->uri, all[i].info->uri);
  for (size_t i = 0; i < n; i++) free(all[i].real);
  ghee_free(all);
  return status;
}

static ghee_status check_twice(const ghee_object_list *list, ghee_error *err) {
  const char **sorted = ghee_alloc(list->count * sizeof *sorted);
  if (!sorted) return ghee_error_no_memory(err, "listing the input");
  for (size_t i = 0; i < list->count; i++) sorted[i] = list->items[i].uri;
  qsort(sorted, list->count, sizeof *sorted, by_uri);
  ghee_status status = GHEE_OK;
  for (size_t i = 1; i < list->count && status == GHEE_OK; i++)
    if (strcmp(sorted[i - 1], sorted[i]) == 0)
      status = ghee_error_set(err, GHEE_INVALID, "%s is in the input twice: two of its URIs hold it; take one out", sorted[i]);
  ghee_free(sorted);
  return status == GHEE_OK ? check_linked(list, err) : status;
}

void ghee_plan_listing_fini(ghee_plan_listing *of) {
  ghee_object_list_fini(&of->files);
  ghee_array_fini(&of->prefixes);
}

ghee_status ghee_plan_list(ghee_object_store *store, const ghee_job_spec *spec, ghee_plan_listing *out, ghee_error *err) {
  lister of = {.store = store, .out = out};
  for (size_t i = 0; i < spec->n_input_uris; i++) GHEE_TRY(list_one(&of, spec->input_uris[i], err));
  return spec->n_input_uris > 1 ? check_twice(&out->files, err) : GHEE_OK;
}
