/* SPDX-License-Identifier: Apache-2.0
 * The backends by scheme. The table is filled by src/builtin.c before threads start and only read after that. */
#include "storage/object_store.h"

#include <string.h>

#include "base/memory.h"
#include "storage/uri.h"

enum { MOST_BACKENDS = 16 };
static const struct ghee_object_store_ops *backends[MOST_BACKENDS];
static size_t n_backends;

void ghee_object_store_register(const struct ghee_object_store_ops *ops) {
  for (size_t i = 0; i < n_backends; i++)
    if (strcmp(backends[i]->scheme, ops->scheme) == 0) {
      backends[i] = ops;
      return;
    }
  if (n_backends < MOST_BACKENDS) backends[n_backends++] = ops;
}

static ghee_status no_backend(const char *uri, const char *scheme, size_t length, ghee_error *err) {
  char known[512] = "";
  for (size_t i = 0, used = 0; i < n_backends; i++) {
    const char *name = backends[i]->scheme;
    if (used + strlen(name) + 4 > sizeof known) break;
    used = (size_t)(stpcpy(stpcpy(stpcpy(known + used, i ? ", " : ""), name), ":") - known);
  }
  return ghee_error_set(err, GHEE_UNSUPPORTED, "cannot open %s: this build has no storage for %.*s: (it has %s); a path with a colon is written file:PATH",
                        uri, (int)length, scheme, n_backends ? known : "none");
}

ghee_status ghee_object_store_open(const char *uri, ghee_object_store **out, ghee_error *err) {
  size_t length = ghee_uri_scheme(uri);
  const char *scheme = length ? uri : "file";
  if (!length) length = strlen(scheme);
  for (size_t i = 0; i < n_backends; i++)
    if (strlen(backends[i]->scheme) == length && strncmp(backends[i]->scheme, scheme, length) == 0) return backends[i]->open(uri, out, err);
  return no_backend(uri, scheme, length, err);
}

void ghee_object_store_close(ghee_object_store *store) {
  if (store) store->ops->close(store);
}

void ghee_object_list_fini(ghee_object_list *list) {
  for (size_t i = 0; i < list->count; i++) {
    ghee_free(list->items[i].uri);
    ghee_free(list->items[i].version);
  }
  ghee_array_fini(list);
}
