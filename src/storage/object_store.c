/* SPDX-License-Identifier: Apache-2.0
 * The backends by scheme. The table is filled by src/builtin.c before threads start and only read after that. */
#include "storage/object_store.h"

#include <string.h>

#include "base/memory.h"
#include "net/url.h"
#include "storage/record_log.h"
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
  if (ghee_uri_is_record_log(uri)) return ghee_error_set(err, GHEE_UNSUPPORTED, "cannot open %s as files: it is a topic", uri);
  char known[512] = "";
  for (size_t i = 0, used = 0; i < n_backends; i++) {
    const char *name = backends[i]->scheme;
    if (used + strlen(name) + 4 > sizeof known) break;
    used = (size_t)(stpcpy(stpcpy(stpcpy(known + used, i ? ", " : ""), name), ":") - known);
  }
  return ghee_error_set(err, GHEE_UNSUPPORTED, "cannot open %s: this build has no storage for %.*s: (it has %s, and topics as kafka://HOST:PORT/TOPIC); a path with a colon is written file:PATH",
                        uri, (int)length, scheme, n_backends ? known : "none");
}

static ghee_status find_backend(const char *uri, const struct ghee_object_store_ops **out, ghee_error *err) {
  size_t length = ghee_uri_scheme(uri);
  const char *scheme = length ? uri : "file";
  if (!length) length = strlen(scheme);
  for (size_t i = 0; i < n_backends; i++) {
    *out = backends[i];
    if (strlen(backends[i]->scheme) == length && strncmp(backends[i]->scheme, scheme, length) == 0) return GHEE_OK;
  }
  return no_backend(uri, scheme, length, err);
}

ghee_status ghee_object_store_open(const char *uri, ghee_object_store **out, ghee_error *err) {
  const struct ghee_object_store_ops *ops;
  GHEE_TRY(find_backend(uri, &ops, err));
  return ops->open(uri, out, err);
}

/* ---- settings ---- */

static ghee_status check_setting(const struct ghee_object_store_ops *ops, const char *key, ghee_error *err) {
  ghee_buffer known = {0};
  for (const char *const *name = ops->settings; name && *name; name++) {
    if (strcmp(*name, key) == 0) {
      ghee_buffer_fini(&known);
      return GHEE_OK;
    }
    ghee_buffer_printf(&known, "%s%s", known.size ? ", " : "", *name);
  }
  if (!ops->settings) ghee_error_set(err, GHEE_INVALID, "%s: has no options", ops->scheme);
  else ghee_error_set(err, GHEE_INVALID, "%s: has no option %s; there are %s", ops->scheme, key, ghee_buffer_text(&known));
  ghee_buffer_fini(&known);
  return GHEE_INVALID;
}

ghee_status ghee_object_store_configure(const char *uri, const ghee_settings *settings, char **out, ghee_error *err) {
  const struct ghee_object_store_ops *ops;
  ghee_settings expanded = {0};
  ghee_buffer text = {0};
  GHEE_TRY(find_backend(uri, &ops, err));
  for (size_t i = 0; i < settings->count; i++) GHEE_TRY(check_setting(ops, settings->items[i].key, err));
  ghee_status status = ghee_settings_expand(settings, &expanded, err);
  size_t scheme = ghee_uri_scheme(uri), host = scheme + 3 + strcspn(uri + scheme + 3, ";/"); /* who has settings has "://" */
  ghee_buffer_put(&text, uri, host);
  for (size_t i = 0; i < expanded.count; i++) {
    if (strcmp(expanded.items[i].value, "false") == 0) continue;
    const char *value = expanded.items[i].value;
    ghee_buffer_printf(&text, ";%s=", expanded.items[i].key);
    if (strstr(value, "://") && !strpbrk(value, ";%")) ghee_buffer_printf(&text, "%s", value); /* an endpoint, as users write it */
    else ghee_url_escape(&text, value, false);
  }
  ghee_buffer_printf(&text, "%s", uri + host);
  if (status == GHEE_OK) status = ghee_buffer_check(&text, "reading options", err);
  if (status == GHEE_OK && !(*out = ghee_strdup(ghee_buffer_text(&text)))) status = ghee_error_no_memory(err, "reading options");
  ghee_buffer_fini(&text);
  ghee_settings_fini(&expanded);
  return status;
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
