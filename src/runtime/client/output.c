/* SPDX-License-Identifier: Apache-2.0
 * What lies where a job is to write, looked at before any work. Readers take the files that the manifest names: what is added to files without
 * one would hide them, and what is added to others than the job's own kind could not be read together with them. */
#include <string.h>

#include "base/memory.h"
#include "manifest/manifest.h"
#include "plan/folders.h"
#include "runtime/client/client.h"
#include "runtime/job/output_log.h"

/* A place that files are added to, or that is emptied for them. */
typedef struct addition {
  const char *uri, *format;
  const char *const *keys; size_t n_keys; /* columns that become folders */
  const char *harm;                       /* to files that no job has made */
  const char *elsewhere;                  /* what to do, if that is no place for these */
} addition;

/* ---- without a manifest ---- */

static ghee_status refuse_file(void *user, const ghee_object_info *info, ghee_error *err) {
  const addition *to = user;
  size_t length = strlen(to->uri);
  if (strncmp(info->uri, to->uri, length) == 0 && !info->uri[length]) return ghee_error_set(err, GHEE_EXISTS, "%s is a file, not a folder: name another place", to->uri);
  return ghee_error_set(err, GHEE_EXISTS, "%s holds files but no _manifest.json (the first is %s): it is no finished output of ghee, and %s: name another place, or remove them yourself",
                        to->uri, info->uri, to->harm);
}

static ghee_status check_empty(ghee_object_store *store, addition to, ghee_error *err) {
  ghee_status status = store->ops->list(store, to.uri, refuse_file, &to, err);
  return status == GHEE_NOT_FOUND ? GHEE_OK : status;
}

/* ---- with one ---- */

static void put_key(ghee_buffer *text, const char *key) { ghee_buffer_printf(text, "%s%s", text->size > 0 ? ", " : "", key); }

static ghee_status refuse_keys(const addition *to, const char *name, const ghee_folder_keys *keys, ghee_error *err) {
  ghee_buffer there = {0}, ours = {0};
  for (size_t i = 0; i < keys->count; i++) put_key(&there, keys->items[i].name);
  for (size_t i = 0; i < to->n_keys; i++) put_key(&ours, to->keys[i]);
  ghee_error_set(err, GHEE_INVALID, "cannot add to %s: it is partitioned by [%s] (%s), the job by [%s]: partition alike, or %s", to->uri, ghee_buffer_text(&there), name,
                 ghee_buffer_text(&ours), to->elsewhere);
  ghee_buffer_fini(&there);
  ghee_buffer_fini(&ours);
  return GHEE_INVALID;
}

static ghee_status check_keys(const addition *to, const char *name, ghee_error *err) {
  ghee_folder_keys keys = {0};
  ghee_status status = ghee_folder_keys_add(name, &keys, err);
  bool same = keys.count == to->n_keys;
  for (size_t i = 0; i < keys.count && same; i++) same = strcmp(keys.items[i].name, to->keys[i]) == 0;
  if (status == GHEE_OK && !same) status = refuse_keys(to, name, &keys, err);
  ghee_folder_keys_fini(&keys);
  return status;
}

/* An output without files takes everything. */
static ghee_status check_kind(const addition *to, const ghee_manifest *present, ghee_error *err) {
  if (present->count > 0 && strcmp(present->format, to->format) != 0)
    return ghee_error_set(err, GHEE_INVALID, "cannot add to %s: its files are %s, the job's would be %s: write %s, or %s", to->uri, present->format, to->format, present->format,
                          to->elsewhere);
  for (size_t i = 0; i < present->count; i++) GHEE_TRY(check_keys(to, present->files[i].name, err));
  return GHEE_OK;
}

static ghee_status check_addition(ghee_object_store *store, addition to, ghee_error *err) {
  ghee_manifest present = {0};
  ghee_status status = ghee_manifest_read(store, to.uri, &present, err);
  if (status == GHEE_NOT_FOUND) return check_empty(store, to, err);
  if (status != GHEE_OK) return status;
  status = check_kind(&to, &present, err);
  ghee_manifest_fini(&present);
  return status;
}

/* ---- the job ---- */

static ghee_status check_new(ghee_object_store *store, const char *uri, ghee_error *err) {
  bool there = false;
  GHEE_TRY(store->ops->exists(store, uri, &there, err));
  return there ? ghee_error_set(err, GHEE_EXISTS, "the output %s is there already: name another, or say mode: overwrite or append", uri) : GHEE_OK;
}

/* Only what a job has made is removed to make place; whether its manifest is good does not matter. */
static ghee_status check_replaced(ghee_object_store *store, const char *uri, ghee_error *err) {
  bool there = false;
  char *manifest = ghee_uri_join(uri, "_manifest.json");
  if (!manifest) return ghee_error_no_memory(err, "looking at the output");
  ghee_status status = store->ops->exists(store, manifest, &there, err);
  ghee_free(manifest);
  if (status != GHEE_OK || there) return status;
  return check_empty(store, (addition){.uri = uri, .harm = "mode: overwrite would remove them"}, err);
}

static ghee_status check_places(ghee_object_store *store, const ghee_job_spec *spec, ghee_error *err) {
  static const char hides[] = "what is added would hide them";
  bool adds = spec->mode == GHEE_OUTPUT_APPEND || spec->mode == GHEE_OUTPUT_PARTITIONS;
  if (spec->mode == GHEE_OUTPUT_ERROR) GHEE_TRY(check_new(store, spec->output_uri, err));
  if (spec->mode == GHEE_OUTPUT_OVERWRITE) GHEE_TRY(check_replaced(store, spec->output_uri, err));
  if (store->ops->check_output) GHEE_TRY(store->ops->check_output(store, spec->output_uri, err));
  if (adds)
    GHEE_TRY(check_addition(store, (addition){spec->output_uri, spec->output_format, spec->partition_by, spec->n_partition_by, hides,
                                              "write to another place, or say mode: overwrite, which replaces what is there"}, err));
  if (!spec->dead_letter_uri) return GHEE_OK;
  return check_addition(store, (addition){.uri = spec->dead_letter_uri, .format = "jsonl", .harm = hides, .elsewhere = "name another dead_letter"}, err);
}

ghee_status ghee_client_check_output(const ghee_job_spec *spec, ghee_error *err) {
  if (!spec->output_uri) return GHEE_OK;
  if (spec->output_log) return ghee_output_log_check(spec, err);
  ghee_object_store *store;
  GHEE_TRY(ghee_object_store_open(spec->output_uri, &store, err));
  ghee_status status = check_places(store, spec, err);
  ghee_object_store_close(store);
  return status;
}
