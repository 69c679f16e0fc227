/* SPDX-License-Identifier: Apache-2.0
 * Inside plan/: URIs with wildcards, as shells and Hadoop have them: `*` and `?` within a name, `[a-z]`, `{a,b}`, and `**` for any number of
 * folders. What matches a folder stands for all files below it. */
#ifndef GHEE_PLAN_GLOB_H
#define GHEE_PLAN_GLOB_H

#include "base/array.h"
#include "base/status.h"

typedef struct ghee_glob {
  char *folder;                  /* everything that matches lies below it */
  size_t prefix_bytes;           /* of the URIs below it, before what the patterns are held against */
  GHEE_ARRAY(char *) patterns;   /* without braces, relative to the folder */
} ghee_glob;

/** Whether the path of the URI has wildcards; those in a bucket or a host do not count. */
bool ghee_glob_is(const char *uri);
/** GHEE_INVALID: a brace without its fellow; too many alternatives. out gives: ghee_glob_fini. */
ghee_status ghee_glob_init(const char *uri, ghee_glob *out, ghee_error *err);
void ghee_glob_fini(ghee_glob *of);
/** `path`: relative to the folder; written to while it is looked at, and as it was afterwards. */
bool ghee_glob_matches(const ghee_glob *of, char *path);
/** Whether it could match something in `folder`, or the folder itself: relative and written to likewise. */
bool ghee_glob_reaches(const ghee_glob *of, char *folder);

#endif
