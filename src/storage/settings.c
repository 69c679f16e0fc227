/* SPDX-License-Identifier: Apache-2.0
 * Settings, and what of them is secret. */
#include "storage/settings.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "keeping the options of a storage"); }

void ghee_settings_fini(ghee_settings *settings) {
  for (size_t i = 0; i < settings->count; i++) {
    ghee_free(settings->items[i].key);
    ghee_free(settings->items[i].value);
  }
  ghee_array_fini(settings);
}

ghee_status ghee_settings_put(ghee_settings *settings, const char *key, const char *value, ghee_error *err) {
  ghee_setting made = {.key = ghee_strdup(key), .value = ghee_strdup(value)};
  for (size_t i = 0; made.key && made.value && i < settings->count; i++) {
    if (strcmp(settings->items[i].key, key) != 0) continue;
    ghee_free(made.key);
    ghee_free(settings->items[i].value);
    settings->items[i].value = made.value;
    return GHEE_OK;
  }
  if (made.key && made.value && ghee_array_push(settings, made)) return GHEE_OK;
  ghee_free(made.key);
  ghee_free(made.value);
  return no_memory(err);
}

const char *ghee_settings_get(const ghee_settings *settings, const char *key) {
  for (size_t i = 0; i < settings->count; i++)
    if (strcmp(settings->items[i].key, key) == 0) return settings->items[i].value;
  return NULL;
}

/* The name inside of "${NAME}"; 0 if the value is not such a one. */
static size_t reference(const char *value) {
  size_t n = strlen(value);
  if (n < 4 || value[0] != '$' || value[1] != '{' || value[n - 1] != '}') return 0;
  for (size_t i = 2; i + 1 < n; i++)
    if (!isalnum((unsigned char)value[i]) && value[i] != '_') return 0;
  return n - 3;
}

ghee_status ghee_settings_expand(const ghee_settings *from, ghee_settings *to, ghee_error *err) {
  for (size_t i = 0; i < from->count; i++) {
    const char *value = from->items[i].value;
    size_t n = reference(value);
    if (n > 0) {
      char *name = ghee_strndup(value + 2, n);
      if (!name) return no_memory(err);
      const char *set = getenv(name);
      if (!set) ghee_error_set(err, GHEE_INVALID, "option %s takes its value from the environment variable %s, which is not set", from->items[i].key, name);
      ghee_free(name);
      if (!set) return GHEE_INVALID;
      value = set;
    }
    GHEE_TRY(ghee_settings_put(to, from->items[i].key, value, err));
  }
  return GHEE_OK;
}

ghee_status ghee_settings_from_environment(ghee_settings *settings, const char *prefix, ghee_error *err) {
  size_t n = strlen(prefix);
  for (char **at = environ; at && *at; at++) {
    const char *equals = strchr(*at, '=');
    char key[128];
    if (!equals || strncmp(*at, prefix, n) != 0 || (*at)[n] != '_') continue;
    size_t length = (size_t)(equals - *at) - n - 1;
    if (length == 0 || length >= sizeof key) continue;
    for (size_t i = 0; i < length; i++) key[i] = (*at)[n + 1 + i] == '_' ? '.' : (char)tolower((unsigned char)(*at)[n + 1 + i]);
    key[length] = 0;
    if (!ghee_settings_get(settings, key)) GHEE_TRY(ghee_settings_put(settings, key, equals + 1, err));
  }
  return GHEE_OK;
}

bool ghee_setting_is_secret(const char *key) {
  static const char *const parts[] = {"password", "secret", "token", ".key.pem", "sasl.jaas"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (strstr(key, parts[i])) return strcmp(key, "sasl.oauthbearer.token.endpoint.url") != 0;
  return false;
}

ghee_status ghee_setting_check(const char *key, const char *value, ghee_error *err) {
  if (!ghee_setting_is_secret(key) || reference(value) > 0) return GHEE_OK;
  return ghee_error_set(err, GHEE_INVALID, "%s is a secret, which must not stand in a description that is stored: write \"${NAME}\" and put it into the environment variable NAME", key);
}
