/* SPDX-License-Identifier: Apache-2.0
 * Settings of a storage by name ("sasl.username"): what a description says under `options`. A value "${NAME}" stands for the environment
 * variable NAME and is put in only when the storage is opened, so that no secret is ever stored or shown. */
#ifndef GHEE_STORAGE_SETTINGS_H
#define GHEE_STORAGE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct ghee_setting { char *key, *value; } ghee_setting;

/** Zero-initialised is empty. Owner: one thread. */
typedef struct ghee_settings {
  ghee_setting *items;
  size_t count, capacity;
} ghee_settings;

void ghee_settings_fini(ghee_settings *settings);
/** Copies both; replaces the value of a key that is there. */
ghee_status ghee_settings_put(ghee_settings *settings, const char *key, const char *value, ghee_error *err);
/** Borrowed; NULL if there is none. */
const char *ghee_settings_get(const ghee_settings *settings, const char *key);
/** Appends all of `from` to `to`, "${NAME}" replaced: GHEE_INVALID names a variable that is not set. */
ghee_status ghee_settings_expand(const ghee_settings *from, ghee_settings *to, ghee_error *err);
/** Adds what the environment says and the settings do not: PREFIX_SASL_USERNAME for sasl.username. */
ghee_status ghee_settings_from_environment(ghee_settings *settings, const char *prefix, ghee_error *err);
/** A password, a private key or a token. */
bool ghee_setting_is_secret(const char *key);
/** GHEE_INVALID: a secret that stands in clear in a description. */
ghee_status ghee_setting_check(const char *key, const char *value, ghee_error *err);

#endif
