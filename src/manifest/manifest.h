/* SPDX-License-Identifier: Apache-2.0
 * What an output consists of: `_manifest.json` beside the files and `_SUCCESS`, written at publication; verify re-reads all. */
#ifndef GHEE_MANIFEST_MANIFEST_H
#define GHEE_MANIFEST_MANIFEST_H

#include "base/buffer.h"
#include "storage/object_store.h"

enum { GHEE_MANIFEST_MOST_FILES = 100000, GHEE_MANIFEST_NO_COMMIT = UINT32_MAX };

typedef struct ghee_manifest_file {
  char *name;                /* relative to the output */
  uint64_t rows, size_bytes;
  char *checksum;            /* "blake2b:" + 64 hex digits (BLAKE2b-256 of the bytes) */
  uint32_t commit;           /* that wrote it; GHEE_MANIFEST_NO_COMMIT in manifests of version 1 */
} ghee_manifest_file;

typedef struct ghee_manifest_range { uint32_t first, last; } ghee_manifest_range;

/** Chunks that became durable at once: their rows are in its files and in no others. */
typedef struct ghee_manifest_commit {
  char *job;                 /* whose chunks these are; their numbers mean nothing beyond it */
  ghee_manifest_range *ranges; /* rising, apart */
  size_t count, capacity;
} ghee_manifest_commit;

typedef struct ghee_manifest {
  char *job;                 /* id of the run */
  char *format;
  int64_t created_ms;
  ghee_manifest_file *files;
  size_t count, capacity;
  ghee_manifest_commit *commits;
  size_t n_commits, commits_capacity;
} ghee_manifest;

/** Zero-initialised is empty. */
void ghee_manifest_fini(ghee_manifest *manifest);
/** A commit of `job`, without chunks yet; `commit` is its index. Copies the text. */
ghee_status ghee_manifest_begin(ghee_manifest *manifest, const char *job, uint32_t *commit, ghee_error *err);
/** One more chunk of it, above those that it has. */
ghee_status ghee_manifest_hold(ghee_manifest *manifest, uint32_t commit, uint32_t chunk, ghee_error *err);
/** A file of `commit`. Copies the texts. GHEE_LIMIT. */
ghee_status ghee_manifest_add(ghee_manifest *manifest, const char *name, uint64_t rows, uint64_t size_bytes, const char *checksum, uint32_t commit,
                              ghee_error *err);
ghee_status ghee_manifest_encode(const ghee_manifest *manifest, ghee_buffer *json, ghee_error *err);
/** GHEE_CORRUPT with line and column. */
ghee_status ghee_manifest_decode(const char *json, size_t size_bytes, ghee_manifest *out, ghee_error *err);
/** Reads `uri`/_manifest.json. GHEE_NOT_FOUND. */
ghee_status ghee_manifest_read(ghee_object_store *store, const char *uri, ghee_manifest *out, ghee_error *err);

/** Writes manifest and `_SUCCESS` into the staging folder and publishes it to `uri`. Idempotent; `job` (needed, unique to the run) tells a
 *  second call that the first got through. Under append the files of the manifest that is there already are kept in the
 *  new one, under partitions those that are not replaced. */
ghee_status ghee_manifest_publish(ghee_object_store *store, const char *staging, const char *uri, ghee_publish_mode mode,
                                  const ghee_manifest *manifest, ghee_error *err);

/** Re-reads every file of the manifest: size and checksum; names what is missing, changed, or there but not in the manifest,
 *  and a chunk of the last job that is in no commit.
 *  GHEE_CORRUPT with all findings (one a line; those that a message cannot hold are counted). `progress` and `out` may be NULL. */
ghee_status ghee_manifest_verify(ghee_object_store *store, const char *uri, void (*progress)(void *user, size_t done, size_t all),
                                 void *user, ghee_manifest *out, ghee_error *err);

/** A sink that passes bytes on to `inner` and sums them: checksum text is valid after finish, "" before. out takes inner (on success). */
ghee_status ghee_checksum_sink(ghee_sink *inner, ghee_sink **out, ghee_error *err);
const char *ghee_checksum_sink_text(const ghee_sink *sink);

#endif
