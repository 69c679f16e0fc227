/* SPDX-License-Identifier: Apache-2.0
 * Publication with its manifest.
 *
 * Design notes: what a second call finds after a crash of the first
 * - The output has a manifest of this job: the store was past the point of no return; the staging folder may hold the old output
 *   by now, or nothing, so nothing is written there, and the store finishes.
 * - Anything else: manifest and _SUCCESS are written (again) into the staging folder.
 * _manifest.json stands before _SUCCESS in the list of names, and stores that move files one by one keep to that order. */
#include <string.h>

#include "base/memory.h"
#include "manifest/check.h"
#include "storage/replaced.h"

/* The manifest of an output, empty if it has none or not a good one. */
static ghee_status read_present(ghee_object_store *store, const char *uri, bool must_be_good, ghee_manifest *out, ghee_error *err) {
  ghee_status status = ghee_manifest_read(store, uri, out, err);
  if (status == GHEE_NOT_FOUND) return GHEE_OK;
  if (!must_be_good && (status == GHEE_CORRUPT || status == GHEE_UNSUPPORTED || status == GHEE_INVALID)) return GHEE_OK;
  return status;
}

/* Copies a commit; its index in `out` is kept in `to`, so that it is copied once. */
static ghee_status copy_commit(const ghee_manifest_commit *from, uint32_t *to, ghee_manifest *out, ghee_error *err) {
  if (*to != GHEE_MANIFEST_NO_COMMIT) return GHEE_OK;
  GHEE_TRY(ghee_manifest_begin(out, from->job, to, err));
  for (size_t i = 0; i < from->count; i++) GHEE_TRY(ghee_manifest_hold_range(&out->commits[*to], from->ranges[i], err));
  return GHEE_OK;
}

/* Copies the files that `replaced` does not name, with their commits, and with `all` those commits too that have none. */
static ghee_status copy_files(const ghee_manifest *from, const ghee_replaced *replaced, bool all, uint32_t *commits, ghee_manifest *out, ghee_error *err) {
  for (size_t i = 0; i < from->n_commits; i++) commits[i] = GHEE_MANIFEST_NO_COMMIT;
  for (size_t i = 0; all && i < from->n_commits; i++) GHEE_TRY(copy_commit(&from->commits[i], &commits[i], out, err));
  for (size_t i = 0; i < from->count; i++) {
    const ghee_manifest_file *file = &from->files[i];
    uint32_t none = GHEE_MANIFEST_NO_COMMIT, *commit = file->commit == none ? &none : &commits[file->commit];
    if (replaced && ghee_replaced_has(replaced, file->name)) continue;
    if (commit != &none) GHEE_TRY(copy_commit(&from->commits[file->commit], commit, out, err));
    GHEE_TRY(ghee_manifest_add(out, file->name, file->rows, file->size_bytes, file->checksum, *commit, err));
  }
  return GHEE_OK;
}

static ghee_status copy_all(const ghee_manifest *from, const ghee_replaced *replaced, bool all, ghee_manifest *out, ghee_error *err) {
  uint32_t *commits = ghee_alloc(from->n_commits * sizeof *commits);
  if (!commits) return ghee_error_no_memory(err, "writing a manifest");
  ghee_status status = copy_files(from, replaced, all, commits, out, err);
  ghee_free(commits);
  return status;
}

/* What was there and stays there, then what comes. */
static ghee_status merge(const ghee_manifest *present, const ghee_replaced *replaced, const ghee_manifest *manifest, ghee_manifest *out, ghee_error *err) {
  out->created_ms = manifest->created_ms;
  out->job = ghee_strdup(manifest->job);
  out->format = ghee_strdup(manifest->format ? manifest->format : "");
  if (!out->job || !out->format) return ghee_error_no_memory(err, "writing a manifest");
  GHEE_TRY(copy_all(present, replaced, false, out, err));
  return copy_all(manifest, NULL, true, out, err);
}

static ghee_status put(ghee_object_store *store, const char *folder, const char *name, const void *data, size_t size, ghee_error *err) {
  char *uri = ghee_uri_join(folder, name);
  if (!uri) return ghee_error_no_memory(err, "writing a manifest");
  ghee_sink *sink;
  ghee_status status = store->ops->write(store, uri, &sink, err);
  ghee_free(uri);
  GHEE_TRY(status);
  if (size > 0) status = sink->ops->write(sink, data, size, err);
  if (status == GHEE_OK) status = sink->ops->finish(sink, err);
  sink->ops->close(sink);
  return status;
}

static ghee_status write_both(ghee_object_store *store, const char *staging, const ghee_manifest *present, const ghee_replaced *replaced, const ghee_manifest *manifest,
                              ghee_error *err) {
  ghee_manifest merged = {0};
  ghee_buffer json = {0};
  ghee_status status = merge(present, replaced, manifest, &merged, err);
  if (status == GHEE_OK) status = ghee_manifest_encode(&merged, &json, err);
  if (status != GHEE_OK && present->count > 0) ghee_error_prefix(err, "cannot add to the %zu files of job %s", present->count, present->job);
  if (status == GHEE_OK) status = put(store, staging, "_manifest.json", json.data, json.size, err);
  if (status == GHEE_OK) status = put(store, staging, "_SUCCESS", NULL, 0, err);
  ghee_buffer_fini(&json);
  ghee_manifest_fini(&merged);
  return status;
}

/* `names`: of the manifest's files, then of manifest and _SUCCESS. */
static ghee_status publish_names(ghee_object_store *store, const char *staging, const char *uri, ghee_publish_mode mode, const ghee_manifest *manifest,
                                 const char *const *names, ghee_error *err) {
  static const ghee_manifest none;
  ghee_manifest present = {0};
  ghee_replaced replaced = {0};
  bool keeps = mode == GHEE_PUBLISH_APPEND || mode == GHEE_PUBLISH_PARTITIONS;
  GHEE_TRY(read_present(store, uri, keeps, &present, err));
  ghee_status status = mode == GHEE_PUBLISH_PARTITIONS ? ghee_replaced_init(&replaced, names, manifest->count, err) : GHEE_OK;
  if (status == GHEE_OK && (!present.job || strcmp(present.job, manifest->job) != 0))
    status = write_both(store, staging, keeps ? &present : &none, &replaced, manifest, err);
  if (status == GHEE_OK) status = store->ops->publish(store, staging, uri, mode, names, manifest->count + 2, err);
  ghee_replaced_fini(&replaced);
  ghee_manifest_fini(&present);
  return status;
}

static ghee_status publish_reserved(ghee_object_store *store, const char *staging, const char *uri, ghee_publish_mode mode, const ghee_manifest *manifest,
                                    ghee_error *err) {
  const char **names = ghee_alloc((manifest->count + 2) * sizeof *names);
  if (!names) return ghee_error_no_memory(err, "publishing");
  for (size_t i = 0; i < manifest->count; i++) names[i] = manifest->files[i].name;
  names[manifest->count] = "_manifest.json";
  names[manifest->count + 1] = "_SUCCESS";
  ghee_status status = publish_names(store, staging, uri, mode, manifest, names, err);
  ghee_free(names);
  return status;
}

ghee_status ghee_manifest_publish(ghee_object_store *store, const char *staging, const char *uri, ghee_publish_mode mode,
                                  const ghee_manifest *manifest, ghee_error *err) {
  if (!manifest->job || !*manifest->job) return ghee_error_set(err, GHEE_INVALID, "a manifest without the id of its job cannot be published");
  if (store->ops->reserve) GHEE_TRY(store->ops->reserve(store, staging, uri, err));
  ghee_status status = publish_reserved(store, staging, uri, mode, manifest, err);
  if (status != GHEE_OK && store->ops->release) (void)store->ops->release(store, staging, uri, NULL);
  return status;
}
