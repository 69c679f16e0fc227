/* SPDX-License-Identifier: Apache-2.0
 * Settings of an S3 store. The first place that names a setting wins. */
#include "storage/s3_config.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/memory.h"
#include "net/url.h"

enum { MOST_FILE_BYTES = 1 << 20 };

typedef struct setting {
  const char *option, *variables[2], *in_profile;
  size_t at;
} setting;

#define AT(field) offsetof(ghee_s3_config, field)
static const setting settings[] = {
    {"profile", {"AWS_PROFILE"}, NULL, AT(profile)},
    {"endpoint", {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}, "endpoint_url", AT(endpoint)},
    {"region", {"AWS_REGION", "AWS_DEFAULT_REGION"}, "region", AT(region)},
    {"style", {NULL}, NULL, AT(style)},
    {"ca", {"AWS_CA_BUNDLE"}, "ca_bundle", AT(ca)},
    {"anonymous", {NULL}, NULL, AT(anonymous)},
    {"unguarded", {NULL}, NULL, AT(unguarded)},
    {"unsigned", {NULL}, NULL, AT(unsigned_bodies)},
    {NULL, {"AWS_ACCESS_KEY_ID"}, "aws_access_key_id", AT(keys.key)},
    {NULL, {"AWS_SECRET_ACCESS_KEY"}, "aws_secret_access_key", AT(keys.secret)},
    {NULL, {"AWS_SESSION_TOKEN"}, "aws_session_token", AT(keys.token)},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

static char **field(ghee_s3_config *config, const setting *of) { return (char **)((char *)config + of->at); }

static ghee_status set(char **to, const char *value, size_t length, ghee_error *err) {
  if (*to) return GHEE_OK;
  return (*to = ghee_strndup(value, length)) ? GHEE_OK : ghee_error_no_memory(err, "reading the settings of an S3 store");
}

/* ---- the URI ---- */

static ghee_status read_option(ghee_s3_config *config, const char *text, size_t length, ghee_error *err) {
  size_t name = strcspn(text, "=;/");
  if (name > length) name = length;
  for (size_t i = 0; i < SETTINGS; i++) {
    const setting *of = &settings[i];
    if (!of->option || strlen(of->option) != name || strncmp(of->option, text, name) != 0) continue;
    char **to = field(config, of);
    if (name == length) return set(to, "true", 4, err);
    GHEE_TRY(set(to, text + name + 1, length - name - 1, err));
    return ghee_url_unescape(*to, err);
  }
  return ghee_error_set(err, GHEE_INVALID, "\"%.*s\" is no option of an s3: URI: there are endpoint, region, profile, style, ca, anonymous, unguarded and unsigned", (int)name, text);
}

static ghee_status read_options(ghee_s3_config *config, const char *options, ghee_error *err) {
  for (const char *at = options; *at;) {
    size_t length = strcspn(at, ";");
    if (length > 0) GHEE_TRY(read_option(config, at, length, err));
    at += length + (at[length] == ';');
  }
  if (config->style && strcmp(config->style, "path") != 0 && strcmp(config->style, "virtual") != 0)
    return ghee_error_set(err, GHEE_INVALID, "style=%s is not known: write path or virtual", config->style);
  return GHEE_OK;
}

/* ---- the environment ---- */

static bool is_credential(const setting *of) { return of->at >= AT(keys); }

static ghee_status read_environment(ghee_s3_config *config, bool credentials, ghee_error *err) {
  for (size_t i = 0; i < SETTINGS; i++)
    for (size_t k = 0; k < 2; k++) {
      const char *value = settings[i].variables[k] ? getenv(settings[i].variables[k]) : NULL;
      if (value && *value && is_credential(&settings[i]) == credentials) GHEE_TRY(set(field(config, &settings[i]), value, strlen(value), err));
    }
  return GHEE_OK;
}

/* ---- the profile files ---- */

static const char *trim(const char *from, const char **end) {
  while (from < *end && isspace((unsigned char)*from)) from++;
  while (*end > from && isspace((unsigned char)(*end)[-1])) (*end)--;
  return from;
}

/* "[NAME]", or in the config file "[profile NAME]". */
static bool is_section(const char *line, const char *end, const char *profile) {
  line++;
  end = memchr(line, ']', (size_t)(end - line));
  if (!end) return false;
  line = trim(line, &end);
  if (end - line > 8 && strncmp(line, "profile", 7) == 0 && isspace((unsigned char)line[7])) line += 8, line = trim(line, &end);
  return (size_t)(end - line) == strlen(profile) && strncmp(line, profile, strlen(profile)) == 0;
}

static ghee_status read_line(ghee_s3_config *config, const char *line, const char *end, ghee_error *err) {
  const char *equals = memchr(line, '=', (size_t)(end - line));
  if (!equals) return GHEE_OK;
  const char *name_end = equals, *value_end = end;
  const char *name = trim(line, &name_end), *value = trim(equals + 1, &value_end);
  for (size_t i = 0; i < SETTINGS; i++) {
    const char *known = settings[i].in_profile;
    if (known && strlen(known) == (size_t)(name_end - name) && strncmp(known, name, strlen(known)) == 0 && value_end > value)
      return set(field(config, &settings[i]), value, (size_t)(value_end - value), err);
  }
  return GHEE_OK;
}

/* Indented lines belong to a nested setting (s3 =), which is none of ours. */
static ghee_status read_profile(ghee_s3_config *config, const char *text, const char *profile, bool *found, ghee_error *err) {
  bool inside = false;
  for (const char *at = text; *at;) {
    const char *end = at + strcspn(at, "\n"), *next = end + (*end == '\n');
    if (*at == '[') inside = is_section(at, end, profile), *found |= inside;
    else if (inside && *at != '#' && *at != ';' && !isspace((unsigned char)*at)) GHEE_TRY(read_line(config, at, end, err));
    at = next;
  }
  return GHEE_OK;
}

static ghee_status read_file(ghee_s3_config *config, const char *variable, const char *name, bool *found, ghee_error *err) {
  const char *set_path = getenv(variable), *home = getenv("HOME");
  if (!set_path && !home) return GHEE_OK;
  char *path = set_path ? ghee_strdup(set_path) : ghee_asprintf("%s/.aws/%s", home, name);
  if (!path) return ghee_error_no_memory(err, "reading the settings of an S3 store");
  ghee_buffer text = {0};
  ghee_status status = ghee_file_read_all(path, MOST_FILE_BYTES, &text, err);
  if (status == GHEE_OK) status = read_profile(config, ghee_buffer_text(&text), config->profile ? config->profile : "default", found, err);
  else if (status == GHEE_NOT_FOUND) status = GHEE_OK;
  ghee_buffer_fini(&text);
  ghee_free(path);
  return status;
}

static ghee_status read_files(ghee_s3_config *config, ghee_error *err) {
  bool found = false;
  GHEE_TRY(read_file(config, "AWS_SHARED_CREDENTIALS_FILE", "credentials", &found, err));
  GHEE_TRY(read_file(config, "AWS_CONFIG_FILE", "config", &found, err));
  if (config->profile && !found)
    return ghee_error_set(err, GHEE_NOT_FOUND, "there is no profile \"%s\" in ~/.aws/credentials or ~/.aws/config", config->profile);
  return GHEE_OK;
}

/* ---- all of it ---- */

static ghee_status check_key(ghee_s3_config *config, ghee_error *err) {
  if (config->anonymous) return GHEE_OK;
  if (!config->keys.key != !config->keys.secret)
    return ghee_error_set(err, GHEE_DENIED, "the S3 access key has no %s: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY together", config->keys.key ? "secret" : "id");
  if (!config->keys.key)
    return ghee_error_set(err, GHEE_DENIED, "no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or write ;anonymous behind the bucket");
  return GHEE_OK;
}

ghee_status ghee_s3_config_read(const char *options, ghee_s3_config *out, ghee_error *err) {
  ghee_s3_config config = {0};
  ghee_status status = read_options(&config, options, err);
  bool own_profile = config.profile;
  if (status == GHEE_OK && !own_profile) status = read_environment(&config, true, err);
  /* A session token belongs to its key: that of another place must not come to it. */
  bool lasting_key = config.keys.key && !config.keys.token;
  if (status == GHEE_OK) status = read_environment(&config, false, err);
  if (status == GHEE_OK) status = read_files(&config, err);
  if (lasting_key) {
    ghee_free(config.keys.token);
    config.keys.token = NULL;
  }
  if (status == GHEE_OK && !config.region) status = set(&config.region, "us-east-1", 9, err);
  if (status == GHEE_OK) status = check_key(&config, err);
  if (status != GHEE_OK) {
    ghee_s3_config_fini(&config);
    return status;
  }
  *out = config;
  return GHEE_OK;
}

void ghee_s3_config_fini(ghee_s3_config *config) {
  for (size_t i = 0; i < SETTINGS; i++) ghee_free(*field(config, &settings[i]));
  *config = (ghee_s3_config){0};
}

/* ---- keys ---- */

ghee_status ghee_s3_keys_copy(const ghee_s3_keys *keys, ghee_s3_keys *out, ghee_error *err) {
  ghee_s3_keys copy = {.key = keys->key ? ghee_strdup(keys->key) : NULL, .secret = keys->secret ? ghee_strdup(keys->secret) : NULL,
                       .token = keys->token ? ghee_strdup(keys->token) : NULL};
  if (!copy.key != !keys->key || !copy.secret != !keys->secret || !copy.token != !keys->token) {
    ghee_s3_keys_fini(&copy);
    return ghee_error_no_memory(err, "copying keys");
  }
  *out = copy;
  return GHEE_OK;
}

void ghee_s3_keys_fini(ghee_s3_keys *keys) {
  ghee_free(keys->key);
  ghee_free(keys->secret);
  ghee_free(keys->token);
  *keys = (ghee_s3_keys){0};
}

static bool same(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : !a && !b; }

bool ghee_s3_keys_equal(const ghee_s3_keys *a, const ghee_s3_keys *b) {
  return same(a->key, b->key) && same(a->secret, b->secret) && same(a->token, b->token);
}
