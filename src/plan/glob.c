/* SPDX-License-Identifier: Apache-2.0
 * Wildcards, a name at a time by fnmatch. */
#include "plan/glob.h"

#include <fnmatch.h>
#include <string.h>

#include "base/memory.h"
#include "storage/object_store.h"

enum { MOST_PATTERNS = 1000 };

bool ghee_glob_is(const char *uri) { return strpbrk(ghee_uri_path(uri), "*?[{") != NULL; }

static ghee_status push(ghee_glob *of, char *pattern, ghee_error *err) {
  if (!pattern || !ghee_array_push(&of->patterns, pattern)) {
    ghee_free(pattern);
    return ghee_error_no_memory(err, "reading wildcards");
  }
  if (of->patterns.count > MOST_PATTERNS) return ghee_error_set(err, GHEE_INVALID, "braces that mean more than %d patterns", MOST_PATTERNS);
  return GHEE_OK;
}

/* The brace that closes the one at `open`; NULL without it. */
static const char *closing(const char *open) {
  int depth = 0;
  for (const char *at = open; *at; at++) {
    if (*at == '{') depth++;
    if (*at == '}' && --depth == 0) return at;
  }
  return NULL;
}

/* Takes `pattern`, and adds it with each alternative of its first brace in the brace's place; those that have braces themselves are
 * looked at in their turn. */
static ghee_status expand(ghee_glob *of, char *pattern, ghee_error *err) {
  const char *open = strchr(pattern, '{'), *close = open ? closing(open) : NULL;
  if (!open) return push(of, pattern, err);
  ghee_status status = close ? GHEE_OK : ghee_error_set(err, GHEE_INVALID, "a { without its }");
  int depth = 0;
  for (const char *from = open + 1, *at = from; status == GHEE_OK && at <= close; at++) {
    if (*at == '{') depth++;
    if (at < close && *at == '}') depth--;
    if (at < close && (*at != ',' || depth > 0)) continue;
    char *made = ghee_asprintf("%.*s%.*s%s", (int)(open - pattern), pattern, (int)(at - from), from, close + 1);
    status = made ? expand(of, made, err) : ghee_error_no_memory(err, "reading wildcards");
    from = at + 1;
  }
  ghee_free(pattern);
  return status;
}

ghee_status ghee_glob_init(const char *uri, ghee_glob *out, ghee_error *err) {
  const char *path = ghee_uri_path(uri), *first = strpbrk(path, "*?[{"), *slash = first;
  while (slash > path && slash[-1] != '/') slash--;
  size_t prefix = (size_t)(slash - uri), root = (size_t)(path - uri) + 1;
  *out = (ghee_glob){.folder = ghee_strndup(uri, prefix > root ? prefix - 1 : prefix), .prefix_bytes = prefix};
  char *pattern = ghee_strdup(slash);
  ghee_status status = GHEE_OK;
  if (!out->folder || !pattern) {
    status = ghee_error_no_memory(err, "reading wildcards");
    ghee_free(pattern);
  } else {
    for (size_t n = strlen(pattern); n > 0 && pattern[n - 1] == '/'; n--) pattern[n - 1] = 0;
    status = expand(out, pattern, err);
  }
  if (status == GHEE_OK) return GHEE_OK;
  ghee_error_prefix(err, "cannot use the input %s", uri);
  ghee_glob_fini(out);
  return status;
}

void ghee_glob_fini(ghee_glob *of) {
  for (size_t i = 0; i < of->patterns.count; i++) ghee_free(of->patterns.items[i]);
  ghee_array_fini(&of->patterns);
  ghee_free(of->folder);
  *of = (ghee_glob){0};
}

/* One name; both are ended for the moment of looking. */
static bool name_matches(char *pattern, size_t pattern_bytes, char *name, size_t name_bytes) {
  char behind_pattern = pattern[pattern_bytes], behind_name = name[name_bytes];
  pattern[pattern_bytes] = name[name_bytes] = 0;
  bool matches = fnmatch(pattern, name, 0) == 0;
  pattern[pattern_bytes] = behind_pattern;
  name[name_bytes] = behind_name;
  return matches;
}

static bool matches_from(char *pattern, char *path) {
  while (*pattern) {
    size_t n = strcspn(pattern, "/"), m = strcspn(path, "/");
    char *rest = pattern + n + (pattern[n] == '/');
    if (n == 2 && strncmp(pattern, "**", 2) == 0) {
      for (char *at = path;; at += *at == '/') {
        if (*at && (!*rest || matches_from(rest, at))) return true;
        at += strcspn(at, "/");
        if (!*at) return false;
      }
    }
    if (m == 0 || !name_matches(pattern, n, path, m)) return false;
    pattern = rest;
    path += m + (path[m] == '/');
  }
  return true;
}

bool ghee_glob_matches(const ghee_glob *of, char *path) {
  for (size_t i = 0; i < of->patterns.count; i++)
    if (matches_from(of->patterns.items[i], path)) return true;
  return false;
}

static bool reaches_from(char *pattern, char *folder) {
  while (*pattern && *folder) {
    size_t n = strcspn(pattern, "/"), m = strcspn(folder, "/");
    if (n == 2 && strncmp(pattern, "**", 2) == 0) return true;
    if (!name_matches(pattern, n, folder, m)) return false;
    pattern += n + (pattern[n] == '/');
    folder += m + (folder[m] == '/');
  }
  return true;
}

bool ghee_glob_reaches(const ghee_glob *of, char *folder) {
  for (size_t i = 0; i < of->patterns.count; i++)
    if (reaches_from(of->patterns.items[i], folder)) return true;
  return false;
}
