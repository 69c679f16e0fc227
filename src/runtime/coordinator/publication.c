/* SPDX-License-Identifier: Apache-2.0
 * Publication: what the ledger holds becomes a manifest, and the staging folder the output. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "manifest/manifest.h"
#include "runtime/coordinator/coordinator.h"

typedef struct listing {
  ghee_manifest *manifest;
  bool dead_letters;
  GHEE_ARRAY(uint64_t) commits; /* of the ledger that have a file here; once sorted, the index is that of the manifest */
  ghee_status status;
  ghee_error *err;
} listing;

static int by_number(const void *a, const void *b) {
  uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
  return (one > other) - (one < other);
}

static ghee_status see_commit(void *user, const ghee_ledger_file *file, ghee_error *err) {
  listing *of = user;
  if (file->dead_letter != of->dead_letters) return GHEE_OK;
  return ghee_array_push(&of->commits, file->commit) ? GHEE_OK : ghee_error_no_memory(err, "publishing");
}

/* All commits with files, by number. */
static ghee_status begin_commits(listing *of, ghee_error *err) {
  uint32_t index;
  size_t n = 0;
  if (of->commits.count > 1) qsort(of->commits.items, of->commits.count, sizeof *of->commits.items, by_number);
  for (size_t i = 0; i < of->commits.count; i++)
    if (n == 0 || of->commits.items[i] != of->commits.items[n - 1]) of->commits.items[n++] = of->commits.items[i];
  of->commits.count = n;
  for (size_t i = 0; i < n; i++) GHEE_TRY(ghee_manifest_begin(of->manifest, of->manifest->job, &index, err));
  return GHEE_OK;
}

static uint32_t index_of(const listing *of, uint64_t commit) {
  const uint64_t *at = of->commits.count ? bsearch(&commit, of->commits.items, of->commits.count, sizeof commit, by_number) : NULL;
  return (uint32_t)(at ? (size_t)(at - of->commits.items) : of->commits.count);
}

static ghee_status list_file(void *user, const ghee_ledger_file *file, ghee_error *err) {
  listing *of = user;
  if (file->dead_letter != of->dead_letters) return GHEE_OK;
  return ghee_manifest_add(of->manifest, file->name, file->rows, file->size_bytes, file->checksum, index_of(of, file->commit), err);
}

static void list_chunk(void *user, uint32_t chunk, uint64_t commit) {
  listing *of = user;
  uint32_t index = index_of(of, commit);
  if (of->status == GHEE_OK && index == of->manifest->n_commits) /* the first of those that gave no row to this output */
    of->status = ghee_manifest_begin(of->manifest, of->manifest->job, &index, of->err);
  if (of->status == GHEE_OK) of->status = ghee_manifest_hold(of->manifest, index, chunk, of->err);
}

static ghee_status list_all(ghee_ledger *ledger, bool dead_letters, ghee_manifest *out, ghee_error *err) {
  listing of = {.manifest = out, .dead_letters = dead_letters, .err = err};
  ghee_status status = ghee_ledger_each_file(ledger, see_commit, &of, err);
  if (status == GHEE_OK) status = begin_commits(&of, err);
  if (status == GHEE_OK) status = ghee_ledger_each_file(ledger, list_file, &of, err);
  if (status == GHEE_OK) status = ghee_ledger_each_chunk(ledger, list_chunk, &of, err);
  if (status == GHEE_OK) status = of.status;
  ghee_array_fini(&of.commits);
  return status;
}

static ghee_status publish(ghee_coordinator *of, const char *uri, const char *staging, ghee_publish_mode mode, const char *format, bool dead_letters,
                           ghee_error *err) {
  /* A round is known by its number, so that it is added once. */
  char *job = of->rounds ? ghee_asprintf("%s-%u", of->id, ghee_rounds_number(of)) : ghee_strdup(of->id);
  ghee_manifest manifest = {.job = job, .format = ghee_strdup(format), .created_ms = ghee_clock_wall_ms()};
  ghee_status status = manifest.job && manifest.format ? list_all(of->ledger, dead_letters, &manifest, err) : ghee_error_no_memory(err, "publishing");
  if (status == GHEE_OK && !(dead_letters && manifest.count == 0)) status = ghee_manifest_publish(of->store, staging, uri, mode, &manifest, err);
  ghee_manifest_fini(&manifest);
  return status;
}

ghee_status ghee_publication_run(ghee_coordinator *of, ghee_error *err) {
  static const ghee_publish_mode modes[] = {[GHEE_OUTPUT_ERROR] = GHEE_PUBLISH_ERROR, [GHEE_OUTPUT_OVERWRITE] = GHEE_PUBLISH_OVERWRITE,
                                            [GHEE_OUTPUT_APPEND] = GHEE_PUBLISH_APPEND, [GHEE_OUTPUT_PARTITIONS] = GHEE_PUBLISH_PARTITIONS};
  GHEE_TRY(ghee_ledger_set_state(of->ledger, GHEE_JOB_PUBLISHING, 0, "", err));
  if (of->spec->dead_letter_uri) {
    char *staging;
    GHEE_TRY(of->store->ops->staging(of->store, of->spec->dead_letter_uri, of->id, &staging, err));
    ghee_status status = publish(of, of->spec->dead_letter_uri, staging, GHEE_PUBLISH_APPEND, "jsonl", true, err);
    ghee_free(staging);
    GHEE_TRY(status);
  }
  ghee_publish_mode mode = of->rounds && ghee_rounds_number(of) > 0 ? GHEE_PUBLISH_APPEND : modes[of->spec->mode];
  return publish(of, of->spec->output_uri, of->staging, mode, of->spec->output_format, false, err);
}
