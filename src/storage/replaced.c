/* SPDX-License-Identifier: Apache-2.0
 * Folders of names, sorted. */
#include "storage/replaced.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* A folder as a piece of a name. */
typedef struct piece { const char *text; size_t size; } piece;

static int by_piece(const void *a, const void *b) {
  const piece *key = a;
  const char *folder = *(const char *const *)b;
  int order = strncmp(key->text, folder, key->size);
  return order ? order : folder[key->size] ? -1 : 0;
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static bool add_folder(ghee_replaced *of, const char *name) {
  const char *slash = strrchr(name, '/');
  size_t size = slash ? (size_t)(slash - name) : 0;
  if (size == 0) return true;
  if (of->n > 0 && strncmp(of->folders[of->n - 1], name, size) == 0 && !of->folders[of->n - 1][size]) return true; /* the same as before */
  of->folders[of->n] = ghee_strndup(name, size);
  return of->folders[of->n] && ++of->n;
}

ghee_status ghee_replaced_init(ghee_replaced *of, const char *const *names, size_t n, ghee_error *err) {
  ghee_replaced made = {.folders = ghee_alloc_zero(n + 1, sizeof *made.folders)};
  bool ok = made.folders != NULL;
  for (size_t i = 0; i < n && ok; i++) ok = add_folder(&made, names[i]);
  if (!ok) {
    ghee_replaced_fini(&made);
    return ghee_error_no_memory(err, "publishing");
  }
  if (made.n > 1) qsort(made.folders, made.n, sizeof *made.folders, by_text);
  *of = made;
  return GHEE_OK;
}

void ghee_replaced_fini(ghee_replaced *of) {
  for (size_t i = 0; i < of->n; i++) ghee_free(of->folders[i]);
  ghee_free(of->folders);
  *of = (ghee_replaced){0};
}

bool ghee_replaced_has(const ghee_replaced *of, const char *name) {
  if (of->n == 0) return false;
  for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
    piece key = {.text = name, .size = (size_t)(slash - name)};
    if (bsearch(&key, of->folders, of->n, sizeof *of->folders, by_piece)) return true;
  }
  return false;
}
