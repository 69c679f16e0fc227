/* SPDX-License-Identifier: Apache-2.0
 * The backends of record logs by scheme. The table is filled by src/builtin.c before threads start and only read after that. */
#include "storage/record_log.h"

#include <string.h>

#include "storage/uri.h"

enum { MOST_BACKENDS = 8 };
static const struct ghee_record_log_ops *backends[MOST_BACKENDS];
static size_t n_backends;

void ghee_record_log_register(const struct ghee_record_log_ops *ops) {
  for (size_t i = 0; i < n_backends; i++)
    if (strcmp(backends[i]->scheme, ops->scheme) == 0) return;
  if (n_backends < MOST_BACKENDS) backends[n_backends++] = ops;
}

static const struct ghee_record_log_ops *backend_of(const char *uri) {
  size_t length = ghee_uri_scheme(uri);
  for (size_t i = 0; i < n_backends; i++)
    if (length ? strlen(backends[i]->scheme) == length && strncmp(backends[i]->scheme, uri, length) == 0 : strcmp(backends[i]->scheme, "file") == 0)
      return backends[i];
  return NULL;
}

bool ghee_uri_is_record_log(const char *uri) {
  const struct ghee_record_log_ops *ops = backend_of(uri);
  return ops && strcmp(ops->scheme, "file") != 0;
}

ghee_status ghee_record_log_open(const char *uri, const ghee_settings *settings, ghee_record_log **out, ghee_error *err) {
  const struct ghee_record_log_ops *ops = backend_of(uri);
  if (!ops) return ghee_error_set(err, GHEE_UNSUPPORTED, "cannot open %s: record logs are kafka://host:port/topic and file:/folder", uri);
  ghee_settings whole = {0};
  ghee_status status = settings ? ghee_settings_expand(settings, &whole, err) : GHEE_OK;
  if (status == GHEE_OK) status = ops->open(uri, &whole, out, err);
  ghee_settings_fini(&whole);
  return status;
}

void ghee_record_log_close(ghee_record_log *log) {
  if (log) log->ops->close(log);
}
