/* SPDX-License-Identifier: Apache-2.0
 * URIs of objects as text. Nothing here asks the storage: "." and ".." go by the letters, links are not followed, and
 * percent signs mean themselves, since file names may hold them. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "storage/object_store.h"
#include "storage/uri.h"

size_t ghee_uri_scheme(const char *uri) {
  if (!isalpha((unsigned char)uri[0])) return 0;
  size_t n = 1;
  while (isalnum((unsigned char)uri[n]) || strchr("+-.", uri[n] ? uri[n] : '/')) n++;
  return uri[n] == ':' ? n : 0;
}

/* A slash of an endpoint among the settings is not the path's. */
size_t ghee_uri_authority(const char *at) {
  size_t n = strcspn(at, "/");
  while (n > 0 && at[n] && at[n - 1] == ':' && at[n + 1] == '/') n += 2 + strcspn(at + n + 2, "/");
  return n;
}

const char *ghee_uri_path(const char *uri) {
  size_t scheme = ghee_uri_scheme(uri);
  if (scheme == 0) return uri;
  const char *at = uri + scheme + 1;
  return strncmp(at, "//", 2) == 0 ? at + 2 + ghee_uri_authority(at + 2) : at;
}

char *ghee_uri_join(const char *uri, const char *name) {
  size_t n = strlen(uri);
  bool slash = n > 0 && uri[n - 1] == '/';
  return ghee_asprintf(slash ? "%s%s" : "%s/%s", uri, name);
}

ghee_status ghee_uri_check_name(const char *name, ghee_error *err) {
  const char *at = name;
  for (bool more = true; more; at++) {
    size_t n = strcspn(at, "/");
    if (n == 0 || (n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.'))
      return ghee_error_set(err, GHEE_INVALID, "\"%s\" cannot be the name of an output file: a relative path without . and .. is needed", name);
    at += n;
    more = *at;
  }
  return GHEE_OK;
}

/* Removes ".", ".." and empty parts of an absolute path, in place. */
static void clean(char *path) {
  char *to = path;
  for (const char *at = path; *at;) {
    while (*at == '/') at++;
    size_t n = strcspn(at, "/");
    if (n == 2 && at[0] == '.' && at[1] == '.') {
      while (to > path && *--to != '/') {}
    } else if (n > 0 && !(n == 1 && at[0] == '.')) {
      *to++ = '/';
      memmove(to, at, n);
      to += n;
    }
    at += n;
  }
  if (to == path) *to++ = '/';
  *to = 0;
}

static ghee_status absolute(const char *path, char **out, ghee_error *err) {
  if (*path == '/') {
    *out = ghee_asprintf("file:%s", path);
  } else {
    char folder[4096];
    if (!getcwd(folder, sizeof folder)) return ghee_error_set_errno(err, errno, "cannot find the folder that %s is relative to", path);
    *out = ghee_asprintf("file:%s/%s", folder, path);
  }
  if (!*out) return ghee_error_no_memory(err, "reading a URI");
  clean(*out + strlen("file:"));
  return GHEE_OK;
}

ghee_status ghee_uri_canonical(const char *uri, char **out, ghee_error *err) {
  size_t n = ghee_uri_scheme(uri);
  if (n > 0 && (n != 4 || strncmp(uri, "file", 4) != 0)) {
    char *copy = ghee_strdup(uri);
    if (!copy) return ghee_error_no_memory(err, "reading a URI");
    *out = copy;
    return GHEE_OK;
  }
  const char *path = uri + (n ? n + 1 : 0);
  if (n && strncmp(path, "//localhost/", 12) == 0) path += 11;
  if (n && path[0] == '/' && path[1] == '/' && path[2] && path[2] != '/')
    return ghee_error_set(err, GHEE_INVALID, "%s names a host, which file: cannot; write file:/path for a file of this machine", uri);
  if (!*path) return ghee_error_set(err, GHEE_INVALID, "\"%s\" is no URI: the path is missing; write file:/path", uri);
  char *made = NULL;
  GHEE_TRY(absolute(path, &made, err));
  *out = made;
  return GHEE_OK;
}
