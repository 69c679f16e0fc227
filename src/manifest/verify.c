/* SPDX-License-Identifier: Apache-2.0
 * Reading an output again, file by file, against its manifest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "manifest/checksum.h"
#include "manifest/check.h"

enum { BLOCK = 1 << 20 };

typedef struct verification {
  ghee_object_store *store;
  const char *uri;
  ghee_manifest manifest;
  const char **sorted;      /* names of the manifest */
  char *prefix;             /* of the URIs of a listing */
  ghee_checksum *checksum;
  void *block;
  ghee_buffer findings;     /* one a line, as many as a message holds */
  size_t n, left_out;
} verification;

/* Ends a finding that has been printed; takes it back where the message has no room for it. */
static void end_finding(verification *of, size_t before) {
  of->n++;
  if (of->findings.size < GHEE_ERROR_SIZE - 400) return;
  of->findings.size = before;
  of->left_out++;
}

static void find(verification *of, const char *name, const char *what) {
  size_t before = of->findings.size;
  ghee_buffer_printf(&of->findings, "\n%s: %s", name, what);
  end_finding(of, before);
}

static ghee_status check_bytes(verification *of, ghee_source *source, const ghee_manifest_file *file, ghee_error *err) {
  if (source->size_bytes != file->size_bytes) {
    size_t before = of->findings.size;
    ghee_buffer_printf(&of->findings, "\n%s: it has %llu bytes, the manifest says %llu", file->name, (unsigned long long)source->size_bytes,
                       (unsigned long long)file->size_bytes);
    end_finding(of, before);
    return GHEE_OK;
  }
  ghee_checksum_start(of->checksum);
  for (uint64_t at = 0; at < source->size_bytes;) {
    size_t size = source->size_bytes - at < BLOCK ? (size_t)(source->size_bytes - at) : BLOCK;
    if (source->ops->will_read && source->size_bytes - at > size) source->ops->will_read(source, at + size, size);
    GHEE_TRY(source->ops->read(source, at, size, of->block, err));
    ghee_checksum_add(of->checksum, of->block, size);
    at += size;
  }
  char text[GHEE_CHECKSUM_SIZE];
  ghee_checksum_text(of->checksum, text);
  if (strcmp(text, file->checksum) != 0) find(of, file->name, "its bytes have changed: the checksum is another one");
  return GHEE_OK;
}

/* A file that cannot be read is a finding as well: the others are still looked at. */
static ghee_status check_file(verification *of, const ghee_manifest_file *file, ghee_error *err) {
  char *uri = ghee_uri_join(of->uri, file->name);
  if (!uri) return ghee_error_no_memory(err, "verifying an output");
  ghee_source *source;
  ghee_error why = {0};
  ghee_status status = of->store->ops->read(of->store, uri, NULL, &source, &why);
  ghee_free(uri);
  if (status == GHEE_OK) {
    status = check_bytes(of, source, file, &why);
    source->ops->close(source);
  }
  if (status == GHEE_NO_MEMORY) return ghee_error_set(err, status, "%s", why.message);
  if (status == GHEE_NOT_FOUND) find(of, file->name, "missing");
  else if (status != GHEE_OK) find(of, file->name, why.message);
  return GHEE_OK;
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static ghee_status check_listed(void *user, const ghee_object_info *info, ghee_error *err) {
  verification *of = user;
  size_t length = strlen(of->prefix);
  const char *name = strncmp(info->uri, of->prefix, length) == 0 ? info->uri + length : info->uri;
  (void)err;
  if (!of->manifest.count || !bsearch(&name, of->sorted, of->manifest.count, sizeof *of->sorted, by_text))
    find(of, name, "not in the manifest");
  return GHEE_OK;
}

/* A job commits all of its chunks, from 0 on. */
static ghee_status check_chunks(verification *of, ghee_error *err) {
  int64_t gap;
  GHEE_TRY(ghee_manifest_first_gap(&of->manifest, &gap, err));
  if (gap < 0) return GHEE_OK;
  size_t before = of->findings.size;
  ghee_buffer_printf(&of->findings, "\n_manifest.json: chunk %lld of job %s is in no commit", (long long)gap, of->manifest.job);
  end_finding(of, before);
  return GHEE_OK;
}

static ghee_status check_success(verification *of, ghee_error *err) {
  char *uri = ghee_uri_join(of->uri, "_SUCCESS");
  if (!uri) return ghee_error_no_memory(err, "verifying an output");
  bool there = false;
  ghee_status status = of->store->ops->exists(of->store, uri, &there, err);
  ghee_free(uri);
  GHEE_TRY(status);
  if (!there) find(of, "_SUCCESS", "missing");
  return GHEE_OK;
}

static ghee_status read_manifest(verification *of, ghee_error *err) {
  ghee_status status = ghee_manifest_read(of->store, of->uri, &of->manifest, err);
  if (status != GHEE_NOT_FOUND) return status;
  bool there = false;
  GHEE_TRY(of->store->ops->exists(of->store, of->uri, &there, err));
  if (!there) return ghee_error_set(err, GHEE_NOT_FOUND, "there is nothing at %s", of->uri);
  return ghee_error_set(err, GHEE_NOT_FOUND, "%s holds no _manifest.json: it is no output of ghee, or its job has not finished", of->uri);
}

static ghee_status verification_init(verification *of, ghee_error *err) {
  char *canonical;
  GHEE_TRY(read_manifest(of, err));
  GHEE_TRY(ghee_uri_canonical(of->uri, &canonical, err));
  of->prefix = ghee_uri_join(canonical, "");
  ghee_free(canonical);
  of->checksum = ghee_checksum_new();
  of->block = ghee_alloc(BLOCK);
  of->sorted = ghee_alloc(of->manifest.count * sizeof *of->sorted);
  if (!of->prefix || !of->checksum || !of->block || !of->sorted) return ghee_error_no_memory(err, "verifying an output");
  for (size_t i = 0; i < of->manifest.count; i++) of->sorted[i] = of->manifest.files[i].name;
  if (of->manifest.count > 1) qsort(of->sorted, of->manifest.count, sizeof *of->sorted, by_text);
  return GHEE_OK;
}

static ghee_status report(verification *of, ghee_error *err) {
  GHEE_TRY(ghee_buffer_check(&of->findings, "verifying an output", err));
  if (of->n == 0) return GHEE_OK;
  const char *lines = ghee_buffer_text(&of->findings);
  ghee_error_set(err, GHEE_CORRUPT, "%s is not what its manifest says, in %zu place%s; make the output again%s", of->uri, of->n, of->n == 1 ? "" : "s", lines);
  if (err && of->left_out > 0) {
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used, "\nand %zu more", of->left_out);
  }
  return GHEE_CORRUPT;
}

ghee_status ghee_manifest_verify(ghee_object_store *store, const char *uri, void (*progress)(void *user, size_t done, size_t all), void *user,
                                 ghee_manifest *out, ghee_error *err) {
  verification of = {.store = store, .uri = uri};
  ghee_status status = verification_init(&of, err);
  for (size_t i = 0; status == GHEE_OK && i < of.manifest.count; i++) {
    if (progress) progress(user, i, of.manifest.count);
    status = check_file(&of, &of.manifest.files[i], err);
  }
  if (status == GHEE_OK && progress) progress(user, of.manifest.count, of.manifest.count);
  if (status == GHEE_OK) status = check_chunks(&of, err);
  if (status == GHEE_OK) status = check_success(&of, err);
  if (status == GHEE_OK) status = store->ops->list(store, uri, check_listed, &of, err);
  if (status == GHEE_OK) status = report(&of, err);
  if (status == GHEE_OK && out) {
    *out = of.manifest;
    of.manifest = (ghee_manifest){0};
  }
  ghee_buffer_fini(&of.findings);
  ghee_free(of.sorted);
  ghee_free(of.block);
  ghee_checksum_free(of.checksum);
  ghee_free(of.prefix);
  ghee_manifest_fini(&of.manifest);
  return status;
}
