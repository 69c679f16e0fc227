/* SPDX-License-Identifier: Apache-2.0
 * Places that must lie apart.
 *
 * Design notes: a publication takes, or shadows by its manifest, a whole folder, and an input is all that lies in its folder. So no two of them
 * may share one. A place is compared as text, the options of its storage but for the endpoint left out, and if it is of this machine once more
 * with its links followed as far as it is there: a link hides a place from either look (`lnk` leads into the input; `data/lnk` is read with `data`). */
#include "plan/places.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "plan/glob.h"
#include "storage/object_store.h"
#include "storage/record_log.h"
#include "storage/uri.h"

/* How one place lies to another. */
typedef enum relation { APART, SAME, IN, AROUND, MATCHED } relation;

typedef struct place {
  const char *what, *uri;
  char *text;                    /* without a slash at its end */
  char *real;                    /* the path with links followed; NULL: of another storage */
} place;

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "comparing the places of a job"); }

/* ---- one place ---- */

/* New string. */
static char *text_of(const char *uri) {
  const char *authority = uri + ghee_uri_scheme(uri) + 1, *path = ghee_uri_path(uri), *options = authority, *endpoint = NULL;
  size_t n_endpoint = 0, n_path;
  if (strncmp(authority, "//", 2) == 0) {
    options = authority + 2 + strcspn(authority + 2, ";/");
    endpoint = strstr(options, ";endpoint=");
    if (endpoint && endpoint < path) n_endpoint = 1 + strcspn(endpoint + 1, ";");
    if (n_endpoint > 0 && endpoint + n_endpoint > path) n_endpoint = (size_t)(path - endpoint);
  }
  n_path = strlen(path);
  while (n_path > 0 && path[n_path - 1] == '/') n_path--;
  return ghee_asprintf("%.*s%.*s%.*s", (int)(options - uri), uri, (int)n_endpoint, endpoint ? endpoint : "", (int)n_path, path);
}

/* The path with the links of what is there of it followed. New string. */
static char *real_of(const char *path) {
  char *there = ghee_strdup(path), *made = NULL;
  for (size_t n = strlen(path); there && !made; there[n] = 0) {
    char *real = realpath(n ? there : "/", NULL);
    if (real || n == 0) made = ghee_asprintf("%s%s", real && strcmp(real, "/") != 0 ? real : "", path + n);
    free(real);
    if (made || n == 0) break;
    while (n > 0 && there[--n] != '/') {}
  }
  ghee_free(there);
  return made;
}

static void place_fini(place *of) {
  ghee_free(of->text);
  ghee_free(of->real);
}

static ghee_status place_init(const char *what, const char *uri, place *out, ghee_error *err) {
  place made = {.what = what, .uri = uri, .text = text_of(uri)};
  bool here = strncmp(uri, "file:", 5) == 0;
  if (here && made.text) made.real = real_of(made.text + strlen("file:"));
  if (!made.text || (here && !made.real)) {
    place_fini(&made);
    return no_memory(err);
  }
  *out = made;
  return GHEE_OK;
}

/* ---- two places ---- */

static bool is_within(const char *inner, const char *outer) {
  size_t n = strlen(outer);
  return strncmp(inner, outer, n) == 0 && (!inner[n] || inner[n] == '/');
}

static relation relate_texts(const char *a, const char *b) {
  if (strcmp(a, b) == 0) return SAME;
  return is_within(a, b) ? IN : is_within(b, a) ? AROUND : APART;
}

static relation relate(const place *a, const place *b, bool *by_link) {
  relation found = relate_texts(a->text, b->text);
  *by_link = found == APART && a->real && b->real;
  return *by_link ? relate_texts(a->real, b->real) : found;
}

static relation relate_to_glob_text(char *text, const char *folder, const ghee_glob *glob) {
  relation found = relate_texts(text, folder);
  if (found == SAME) return AROUND;
  if (found == IN) return ghee_glob_reaches(glob, text + strlen(folder) + 1) ? MATCHED : APART;
  return found;
}

static relation relate_to_glob(const place *a, const place *folder, const ghee_glob *glob, bool *by_link) {
  relation found = relate_to_glob_text(a->text, folder->text, glob);
  *by_link = found == APART && a->real && folder->real;
  return *by_link ? relate_to_glob_text(a->real, folder->real, glob) : found;
}

/* GHEE_INVALID: wildcards that are none, which may be a file's very name. */
static ghee_status relate_to_wildcards(const place *a, const place *input, relation *out, bool *by_link, ghee_error *err) {
  ghee_glob glob;
  place folder = {0};
  ghee_status status = ghee_glob_init(input->uri, &glob, err);
  if (status != GHEE_OK) return status == GHEE_INVALID ? GHEE_OK : status;
  status = place_init(input->what, glob.folder, &folder, err);
  if (status == GHEE_OK) *out = relate_to_glob(a, &folder, &glob, by_link);
  place_fini(&folder);
  ghee_glob_fini(&glob);
  return status;
}

static ghee_status refuse(const ghee_node *at, const place *a, relation found, bool by_link, const place *b, bool is_read, ghee_error *err) {
  static const char *const words[] = {[SAME] = "is the same place as", [IN] = "lies in", [AROUND] = "holds", [MATCHED] = "is reached by the wildcards of"};
  const char *why = !is_read                                  ? "each is published as a whole folder"
                    : found == IN || found == MATCHED         ? "what the job writes would be part of what the next run reads"
                                                              : "what is read would be replaced, or hidden by a manifest";
  return ghee_node_error(at, err, "the %s %s %s the %s %s%s: %s; name a folder apart from it", a->what, a->uri, words[found], b->what, b->uri,
                         by_link ? ", by a symbolic link" : "", why);
}

static ghee_status check_input(const ghee_node *at, const place *a, const char *uri, ghee_error *err) {
  place input;
  bool by_link = false;
  if (ghee_uri_is_record_log(uri)) return GHEE_OK;
  GHEE_TRY(place_init("input", uri, &input, err));
  relation found = relate(a, &input, &by_link);
  ghee_status status = found == APART && ghee_glob_is(uri) ? relate_to_wildcards(a, &input, &found, &by_link, err) : GHEE_OK;
  if (status == GHEE_OK && found != APART) status = refuse(at, a, found, by_link, &input, true, err);
  place_fini(&input);
  return status;
}

static ghee_status check_inputs(const ghee_job_spec *spec, const ghee_node *at, const place *a, ghee_error *err) {
  for (size_t i = 0; i < spec->n_input_uris; i++) GHEE_TRY(check_input(at, a, spec->input_uris[i], err));
  return GHEE_OK;
}

static ghee_status check_dead_letter(const ghee_job_spec *spec, const ghee_node *at, const place *dead, const place *output, ghee_error *err) {
  bool by_link = false;
  relation found = output->text ? relate(dead, output, &by_link) : APART;
  if (found != APART) return refuse(at, dead, found, by_link, output, false, err);
  return check_inputs(spec, at, dead, err);
}

ghee_status ghee_places_check(const ghee_job_spec *spec, const ghee_node *root, ghee_error *err) {
  place output = {0}, dead = {0};
  ghee_status status = GHEE_OK;
  if (spec->output_uri && !spec->output_log) status = place_init("output", spec->output_uri, &output, err);
  if (status == GHEE_OK && spec->dead_letter_uri && !spec->dead_letter_log) status = place_init("dead_letter", spec->dead_letter_uri, &dead, err);
  if (status == GHEE_OK && output.text) status = check_inputs(spec, ghee_node_get(root, "output"), &output, err);
  if (status == GHEE_OK && dead.text) status = check_dead_letter(spec, ghee_node_get(root, "dead_letter"), &dead, &output, err);
  place_fini(&output);
  place_fini(&dead);
  return status;
}
