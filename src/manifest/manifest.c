/* SPDX-License-Identifier: Apache-2.0
 * The manifest as data, and what must hold of it on its way out and in. */
#include "manifest/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "manifest/checksum.h"
#include "manifest/check.h"
#include "text/utf8.h"

void ghee_manifest_fini(ghee_manifest *of) {
  for (size_t i = 0; i < of->count; i++) {
    ghee_free(of->files[i].name);
    ghee_free(of->files[i].checksum);
  }
  for (size_t i = 0; i < of->n_commits; i++) {
    ghee_free(of->commits[i].job);
    ghee_free(of->commits[i].ranges);
  }
  ghee_free(of->files);
  ghee_free(of->commits);
  ghee_free(of->job);
  ghee_free(of->format);
  *of = (ghee_manifest){0};
}

ghee_status ghee_manifest_begin(ghee_manifest *of, const char *job, uint32_t *commit, ghee_error *err) {
  ghee_manifest_commit made = {.job = ghee_strdup(job)};
  if (made.job && (of->n_commits < of->commits_capacity || ghee_array_grow((void **)&of->commits, &of->commits_capacity, of->n_commits, sizeof made))) {
    *commit = (uint32_t)of->n_commits;
    of->commits[of->n_commits++] = made;
    return GHEE_OK;
  }
  ghee_free(made.job);
  return ghee_error_no_memory(err, "adding a commit to a manifest");
}

ghee_status ghee_manifest_hold_range(ghee_manifest_commit *of, ghee_manifest_range range, ghee_error *err) {
  ghee_manifest_range *last = of->count ? &of->ranges[of->count - 1] : NULL;
  if (range.first > range.last || (last && range.first <= last->last))
    return ghee_error_set(err, GHEE_INVALID, "the chunks of a commit must rise, and %u does not", (unsigned)range.first);
  if (last && range.first == last->last + 1) {
    last->last = range.last;
    return GHEE_OK;
  }
  if (of->count == of->capacity && !ghee_array_grow((void **)&of->ranges, &of->capacity, of->count, sizeof range))
    return ghee_error_no_memory(err, "adding a chunk to a manifest");
  of->ranges[of->count++] = range;
  return GHEE_OK;
}

ghee_status ghee_manifest_hold(ghee_manifest *of, uint32_t commit, uint32_t chunk, ghee_error *err) {
  return ghee_manifest_hold_range(&of->commits[commit], (ghee_manifest_range){chunk, chunk}, err);
}

ghee_status ghee_manifest_add(ghee_manifest *of, const char *name, uint64_t rows, uint64_t size_bytes, const char *checksum, uint32_t commit,
                              ghee_error *err) {
  if (of->count >= GHEE_MANIFEST_MOST_FILES)
    return ghee_error_set(err, GHEE_LIMIT, "an output may have %d files; choose a larger target_file_size", GHEE_MANIFEST_MOST_FILES);
  ghee_manifest_file file = {.name = ghee_strdup(name), .rows = rows, .size_bytes = size_bytes, .checksum = ghee_strdup(checksum), .commit = commit};
  if (file.name && file.checksum && (of->count < of->capacity || ghee_array_grow((void **)&of->files, &of->capacity, of->count, sizeof file))) {
    of->files[of->count++] = file;
    return GHEE_OK;
  }
  ghee_free(file.name);
  ghee_free(file.checksum);
  return ghee_error_no_memory(err, "adding a file to a manifest");
}

/* ---- checks ---- */

ghee_status ghee_manifest_check_file(const ghee_manifest *of, const ghee_manifest_file *file, ghee_error *err) {
  GHEE_TRY(ghee_uri_check_name(file->name, err));
  if (!ghee_utf8_valid(file->name, strlen(file->name))) return ghee_error_set(err, GHEE_INVALID, "the file name \"%s\" is not UTF-8", file->name);
  if (!ghee_checksum_is(file->checksum)) return ghee_error_set(err, GHEE_INVALID, "\"%s\" is not a checksum (of %s)", file->checksum, file->name);
  if (file->rows > INT64_MAX || file->size_bytes > INT64_MAX) return ghee_error_set(err, GHEE_INVALID, "the numbers of %s are too large", file->name);
  if (file->commit != GHEE_MANIFEST_NO_COMMIT && file->commit >= of->n_commits)
    return ghee_error_set(err, GHEE_INVALID, "there is no commit %u (of %s)", (unsigned)file->commit, file->name);
  return GHEE_OK;
}

static int by_name(const void *a, const void *b) {
  return strcmp((*(const ghee_manifest_file *const *)a)->name, (*(const ghee_manifest_file *const *)b)->name);
}

static ghee_status check_names(const ghee_manifest *of, ghee_error *err) {
  const ghee_manifest_file **sorted = ghee_alloc(of->count * sizeof *sorted);
  if (!sorted) return ghee_error_no_memory(err, "checking a manifest");
  for (size_t i = 0; i < of->count; i++) sorted[i] = &of->files[i];
  if (of->count > 1) qsort(sorted, of->count, sizeof *sorted, by_name);
  ghee_status status = GHEE_OK;
  for (size_t i = 1; i < of->count && status == GHEE_OK; i++)
    if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0) status = ghee_error_set(err, GHEE_INVALID, "the file %s is in the manifest twice", sorted[i]->name);
  ghee_free(sorted);
  return status;
}

typedef struct held { const char *job; ghee_manifest_range range; } held;

static int by_job_and_chunk(const void *a, const void *b) {
  const held *one = a, *other = b;
  int order = strcmp(one->job, other->job);
  return order ? order : (one->range.first > other->range.first) - (one->range.first < other->range.first);
}

/* All ranges in order; NULL without memory. */
static held *sort_ranges(const ghee_manifest *of, size_t *n) {
  *n = 0;
  for (size_t i = 0; i < of->n_commits; i++) *n += of->commits[i].count;
  held *sorted = ghee_alloc(*n * sizeof *sorted), *at = sorted;
  if (!sorted) return NULL;
  for (size_t i = 0; i < of->n_commits; i++)
    for (size_t j = 0; j < of->commits[i].count; j++) *at++ = (held){of->commits[i].job, of->commits[i].ranges[j]};
  if (*n > 1) qsort(sorted, *n, sizeof *sorted, by_job_and_chunk);
  return sorted;
}

static ghee_status check_chunks(const ghee_manifest *of, ghee_error *err) {
  size_t n;
  held *sorted = sort_ranges(of, &n);
  if (!sorted) return ghee_error_no_memory(err, "checking a manifest");
  ghee_status status = GHEE_OK;
  for (size_t i = 1; i < n && status == GHEE_OK; i++)
    if (sorted[i].range.first <= sorted[i - 1].range.last && strcmp(sorted[i].job, sorted[i - 1].job) == 0)
      status = ghee_error_set(err, GHEE_INVALID, "chunk %u of job %s is in two commits", (unsigned)sorted[i].range.first, sorted[i].job);
  ghee_free(sorted);
  return status;
}

ghee_status ghee_manifest_check_whole(const ghee_manifest *of, ghee_error *err) {
  GHEE_TRY(check_names(of, err));
  return check_chunks(of, err);
}

ghee_status ghee_manifest_first_gap(const ghee_manifest *of, int64_t *chunk, ghee_error *err) {
  size_t n;
  held *sorted = sort_ranges(of, &n);
  if (!sorted) return ghee_error_no_memory(err, "checking a manifest");
  int64_t next = 0;
  *chunk = -1;
  for (size_t i = 0; i < n && *chunk < 0; i++) {
    if (strcmp(sorted[i].job, of->job) != 0) continue;
    if (sorted[i].range.first > next) *chunk = next;
    next = (int64_t)sorted[i].range.last + 1;
  }
  ghee_free(sorted);
  return GHEE_OK;
}
