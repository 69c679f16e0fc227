/* SPDX-License-Identifier: Apache-2.0
 * For tests: jobs that have staged their files. Include after cmocka.h. */
#ifndef GHEE_MANIFEST_JOB_SAMPLE_H
#define GHEE_MANIFEST_JOB_SAMPLE_H

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "manifest/manifest.h"

typedef struct job {
  char *staging;
  ghee_manifest manifest;
} job;

static void job_add_file(job *of, ghee_object_store *store, const char *name, const char *text) {
  char *uri = ghee_uri_join(of->staging, name);
  ghee_sink *raw, *sink;
  assert_int_equal(store->ops->write(store, uri, &raw, NULL), GHEE_OK);
  assert_int_equal(ghee_checksum_sink(raw, &sink, NULL), GHEE_OK);
  assert_int_equal(sink->ops->write(sink, text, strlen(text), NULL), GHEE_OK);
  assert_int_equal(sink->ops->finish(sink, NULL), GHEE_OK);
  assert_int_equal(ghee_manifest_add(&of->manifest, name, 1, strlen(text), ghee_checksum_sink_text(sink), 0, NULL), GHEE_OK);
  sink->ops->close(sink);
  ghee_free(uri);
}

/* A job for `output` that has staged `n` files, each with the job's name in it. */
static job job_of(ghee_object_store *store, const char *output, const char *name, size_t n) {
  job of = {.manifest = {.job = ghee_strdup(name), .format = ghee_strdup("csv"), .created_ms = 5}};
  uint32_t commit;
  assert_int_equal(store->ops->staging(store, output, name, &of.staging, NULL), GHEE_OK);
  assert_int_equal(ghee_manifest_begin(&of.manifest, name, &commit, NULL), GHEE_OK);
  for (uint32_t i = 0; i < n; i++) assert_int_equal(ghee_manifest_hold(&of.manifest, commit, i, NULL), GHEE_OK);
  char file[64];
  for (size_t i = 0; i < n; i++) {
    snprintf(file, sizeof file, i % 2 ? "part-%s-%d" : "sub/part-%s-%d", name, (int)i);
    job_add_file(&of, store, file, name);
  }
  return of;
}

static void job_fini(job *of) {
  ghee_free(of->staging);
  ghee_manifest_fini(&of->manifest);
}

#endif
