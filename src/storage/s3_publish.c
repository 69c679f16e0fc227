/* SPDX-License-Identifier: Apache-2.0
 * Publication on an S3 store.
 *
 * Design notes. Nothing can be renamed and nothing happens to many objects at once, so the manifest is the truth (docs/object_store.md):
 *   claim     one job at a time publishes to a place (s3_claim.h); the others are told
 *   check     every name is staged; under mode error the place is empty, under append no file is there already
 *   copy      by the server, data first, then what begins with '_' in the order given: with _manifest.json the output is the new one
 *   tidy      what was there before (overwrite; partitions: in their folders), the staging folder with its unfinished uploads, the claim
 * The claim holds the phase, and a later call goes on where an earlier one died: until all is copied the staging folder stays whole.
 * Uploads of staging folders nobody came back for are aborted a day after they began. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "storage/replaced.h"
#include "storage/s3_claim.h"
#include "storage/s3_upload.h"

enum { OLD_UPLOAD_S = 24 * 3600 };
static const uint64_t MOST_COPY_BYTES = 5ULL << 30, COPY_PART_BYTES = 1ULL << 30;

typedef struct publication {
  ghee_s3_store *store;
  char *texts[2];            /* hold `target` and `staging` */
  char *target, *staging;    /* keys */
  char *prefix, *staging_prefix; /* with their slash; "" for a bucket */
  ghee_s3_claim claim;
  ghee_publish_mode mode;
  const char *const *names;
  const char **sorted;
  bool *found;               /* by place in `sorted` */
  size_t n, n_found;
  ghee_replaced replaced;    /* mode partitions */
} publication;

/* ---- names ---- */

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static const char **find(const publication *of, const char *name) {
  return of->n > 0 ? bsearch(&name, of->sorted, of->n, sizeof *of->sorted, by_text) : NULL;
}

/* Of an output that is a whole bucket, our own things are not part. */
static bool is_own(const publication *of, const char *key) { return !*of->target && key[0] == '.'; }

typedef struct search {
  publication *of;
  const char *prefix;
  bool other;               /* something that is not among the names */
  const char *data;         /* a name of data that is there */
} search;

static ghee_status look_at(void *user, const ghee_s3_object *object, ghee_error *err) {
  search *by = user;
  (void)err;
  if (is_own(by->of, object->key)) return GHEE_OK;
  const char **name = find(by->of, object->key + strlen(by->prefix));
  if (!name) {
    by->other = true;
    return GHEE_OK;
  }
  size_t at = (size_t)(name - by->of->sorted);
  by->of->n_found += !by->of->found[at];
  by->of->found[at] = true;
  if (!ghee_s3_is_last(*name)) by->data = *name;
  return GHEE_OK;
}

/* Which names lie below a prefix. */
static ghee_status look(publication *of, const char *prefix, search *out, ghee_error *err) {
  *out = (search){.of = of, .prefix = prefix};
  of->n_found = 0;
  if (of->n > 0) memset(of->found, 0, of->n * sizeof *of->found);
  return ghee_s3_each(of->store, prefix, look_at, out, err);
}

static ghee_status missing(const publication *of, ghee_error *err) {
  for (size_t i = 0; i < of->n; i++) {
    size_t at = (size_t)(find(of, of->names[i]) - of->sorted);
    if (!of->found[at])
      return ghee_error_set(err, GHEE_NOT_FOUND, "cannot publish %s%s: %s is not in %s; something else has removed it, so the job must run again", of->store->head,
                            of->target, of->names[i], of->staging_prefix);
  }
  return GHEE_OK;
}

/* ---- check ---- */

static ghee_status check_place(publication *of, ghee_error *err) {
  search in_target;
  uint64_t size;
  ghee_error why;
  ghee_status status = *of->target ? ghee_s3_head(of->store, of->target, &size, NULL, &why) : GHEE_NOT_FOUND;
  if (status == GHEE_OK) return ghee_error_set(err, GHEE_EXISTS, "cannot publish to %s%s: an object of that name is there", of->store->head, of->target);
  if (status != GHEE_NOT_FOUND) return ghee_error_set(err, status, "%s", why.message);
  if (of->mode == GHEE_PUBLISH_OVERWRITE) return GHEE_OK;
  GHEE_TRY(look(of, of->prefix, &in_target, err));
  if (of->mode == GHEE_PUBLISH_ERROR && (in_target.other || of->n_found > 0))
    return ghee_error_set(err, GHEE_EXISTS, "the output %s%s is there already; choose another place, or mode overwrite or append", of->store->head, of->target);
  if (in_target.data) return ghee_error_set(err, GHEE_EXISTS, "cannot append to %s%s: it has a file %s already", of->store->head, of->target, in_target.data);
  return GHEE_OK;
}

/* *published: there is nothing staged and everything in place, as an earlier call leaves it. */
static ghee_status check(publication *of, bool *published, ghee_error *err) {
  search in_staging, in_target;
  GHEE_TRY(look(of, of->staging_prefix, &in_staging, err));
  if (of->n_found == 0 && !in_staging.other) {
    GHEE_TRY(look(of, of->prefix, &in_target, err));
    *published = true;
    return missing(of, err);
  }
  GHEE_TRY(missing(of, err));
  return check_place(of, err);
}

/* ---- copy ---- */

/* Data that is too large for one copy; `found` then says so. */
static ghee_status copy_large(void *user, const ghee_s3_object *object, ghee_error *err) {
  const publication *of = user;
  const char *name = object->key + strlen(of->staging_prefix);
  if (object->size_bytes <= MOST_COPY_BYTES || !find(of, name)) return GHEE_OK;
  char *to = ghee_asprintf("%s%s", of->prefix, name);
  ghee_status status = to ? ghee_s3_upload_copy(of->store, object->key, to, object->size_bytes, COPY_PART_BYTES, err) : ghee_error_no_memory(err, "publishing");
  ghee_free(to);
  if (status == GHEE_OK) of->found[find(of, name) - of->sorted] = true;
  return status;
}

static ghee_status copy(ghee_s3_crew *crew, const publication *of, const char *name, ghee_error *err) {
  char *from = ghee_asprintf("%s%s", of->staging_prefix, name), *to = ghee_asprintf("%s%s", of->prefix, name);
  ghee_status status = from && to ? ghee_s3_crew_copy(crew, from, to, err) : ghee_error_no_memory(err, "publishing");
  ghee_free(from);
  ghee_free(to);
  return status;
}

static ghee_status copy_all(publication *of, ghee_error *err) {
  ghee_s3_crew crew = {.store = of->store};
  if (of->n > 0) memset(of->found, 0, of->n * sizeof *of->found);
  ghee_status status = ghee_s3_each(of->store, of->staging_prefix, copy_large, of, err);
  for (size_t i = 0; i < of->n && status == GHEE_OK; i++)
    if (!ghee_s3_is_last(of->names[i]) && !of->found[find(of, of->names[i]) - of->sorted]) status = copy(&crew, of, of->names[i], err);
  if (status == GHEE_OK) status = ghee_s3_crew_end(&crew, err);
  for (size_t i = 0; i < of->n && status == GHEE_OK; i++) {
    if (!ghee_s3_is_last(of->names[i])) continue;
    status = copy(&crew, of, of->names[i], err);
    if (status == GHEE_OK) status = ghee_s3_crew_end(&crew, err);
  }
  ghee_s3_crew_fini(&crew);
  return status;
}

/* ---- tidy ---- */

typedef struct sweep {
  ghee_s3_crew crew;
  const publication *keep;
} sweep;

static ghee_status sweep_one(void *user, const ghee_s3_object *object, ghee_error *err) {
  sweep *by = user;
  bool stays = is_own(by->keep, object->key) || find(by->keep, object->key + strlen(by->keep->prefix));
  return stays ? GHEE_OK : ghee_s3_crew_remove(&by->crew, object->key, err);
}

/* Removes what is not of the new output. */
static ghee_status sweep_old(const publication *of, ghee_error *err) {
  sweep by = {.crew = {.store = of->store}, .keep = of};
  ghee_status status = GHEE_OK;
  if (of->mode == GHEE_PUBLISH_OVERWRITE) status = ghee_s3_each(of->store, of->prefix, sweep_one, &by, err);
  for (size_t i = 0; i < of->replaced.n && status == GHEE_OK; i++) {
    char *folder = ghee_asprintf("%s%s/", of->prefix, of->replaced.folders[i]);
    status = folder ? ghee_s3_each(of->store, folder, sweep_one, &by, err) : ghee_error_no_memory(err, "publishing");
    ghee_free(folder);
  }
  if (status == GHEE_OK) status = ghee_s3_crew_end(&by.crew, err);
  ghee_s3_crew_fini(&by.crew);
  return status;
}

static bool is_old(void *user, const char *key, const char *initiated) {
  struct tm tm = {0};
  (void)user;
  (void)key;
  return strptime(initiated, "%Y-%m-%dT%H:%M:%S", &tm) && timegm(&tm) < ghee_clock_wall_ms() / 1000 - OLD_UPLOAD_S;
}

/* What a large copy left when it died. */
static bool is_ours(void *user, const char *key, const char *initiated) {
  const publication *of = user;
  (void)initiated;
  return find(of, key + strlen(of->prefix));
}

static ghee_status tidy(publication *of, ghee_error *err) {
  GHEE_TRY(ghee_s3_abort_uploads(of->store, of->prefix, is_ours, of, err));
  GHEE_TRY(sweep_old(of, err));
  GHEE_TRY(ghee_s3_remove_below(of->store, of->staging_prefix, err));
  const char *slash = strrchr(of->target, '/');
  int parent = slash ? (int)(slash + 1 - of->target) : 0;
  char *all = *of->target ? ghee_asprintf("%.*s.%s.ghee-", parent, of->target, of->target + parent) : ghee_strdup(".ghee-");
  ghee_status status = all ? ghee_s3_abort_uploads(of->store, all, is_old, NULL, err) : ghee_error_no_memory(err, "publishing");
  ghee_free(all);
  return status == GHEE_OK ? ghee_s3_claim_release(&of->claim, NULL, err) : status;
}

/* ---- the call ---- */

static void publication_fini(publication *of) {
  ghee_s3_claim_fini(&of->claim);
  ghee_replaced_fini(&of->replaced);
  ghee_free(of->found);
  ghee_free(of->sorted);
  ghee_free(of->staging_prefix);
  ghee_free(of->prefix);
  ghee_free(of->texts[0]);
  ghee_free(of->texts[1]);
}

static ghee_status publication_init(publication *of, const char *staging, const char *uri, ghee_error *err) {
  for (size_t i = 0; i < of->n; i++) GHEE_TRY(ghee_uri_check_name(of->names[i], err));
  of->texts[0] = ghee_strdup(uri);
  of->texts[1] = ghee_strdup(staging);
  if (!of->texts[0] || !of->texts[1]) return ghee_error_no_memory(err, "publishing");
  GHEE_TRY(ghee_s3_key(of->store, of->texts[0], &of->target, err));
  GHEE_TRY(ghee_s3_key(of->store, of->texts[1], &of->staging, err));
  if (strcmp(of->target, of->staging) == 0) return ghee_error_set(err, GHEE_INVALID, "%s cannot be staging folder and output at once", uri);
  GHEE_TRY(ghee_s3_claim_init(&of->claim, of->store, of->target, of->staging, err));
  of->prefix = ghee_asprintf(*of->target ? "%s/" : "%s", of->target);
  of->staging_prefix = ghee_asprintf("%s/", of->staging);
  of->sorted = ghee_alloc(of->n * sizeof *of->sorted);
  of->found = ghee_alloc_zero(of->n, sizeof *of->found);
  if (!of->prefix || !of->staging_prefix || !of->sorted || !of->found) return ghee_error_no_memory(err, "publishing");
  if (of->n > 0) memcpy(of->sorted, of->names, of->n * sizeof *of->sorted);
  if (of->n > 1) qsort(of->sorted, of->n, sizeof *of->sorted, by_text);
  return of->mode == GHEE_PUBLISH_PARTITIONS ? ghee_replaced_init(&of->replaced, of->names, of->n, err) : GHEE_OK;
}

static ghee_status publish(publication *of, ghee_error *err) {
  static const ghee_s3_phase untouched = GHEE_S3_CLAIMED;
  ghee_s3_phase phase;
  GHEE_TRY(ghee_s3_claim_take(&of->claim, &phase, err));
  if (phase == GHEE_S3_CLAIMED) {
    bool published = false;
    ghee_status status = check(of, &published, err);
    if (status != GHEE_OK || published) {
      (void)ghee_s3_claim_release(&of->claim, &untouched, NULL);
      return status;
    }
    GHEE_TRY(ghee_s3_claim_set(&of->claim, GHEE_S3_COPYING, err));
  }
  if (phase != GHEE_S3_DONE) {
    GHEE_TRY(copy_all(of, err));
    GHEE_TRY(ghee_s3_claim_set(&of->claim, GHEE_S3_DONE, err));
  }
  return tidy(of, err);
}

ghee_status ghee_s3_store_publish(ghee_object_store *base, const char *staging, const char *uri, ghee_publish_mode mode, const char *const *names, size_t n,
                                  ghee_error *err) {
  publication of = {.store = (ghee_s3_store *)base, .mode = mode, .names = names, .n = n};
  ghee_status status = publication_init(&of, staging, uri, err);
  if (status == GHEE_OK) status = publish(&of, err);
  publication_fini(&of);
  return status;
}

/* ---- the place of an output before it is published ---- */

static ghee_status with_claim(ghee_object_store *base, const char *staging, const char *uri, ghee_status (*call)(const ghee_s3_claim *, ghee_error *), ghee_error *err) {
  publication of = {.store = (ghee_s3_store *)base};
  ghee_status status = publication_init(&of, staging, uri, err);
  if (status == GHEE_OK) status = call(&of.claim, err);
  publication_fini(&of);
  return status;
}

static ghee_status take(const ghee_s3_claim *claim, ghee_error *err) {
  ghee_s3_phase phase;
  return ghee_s3_claim_take(claim, &phase, err);
}

static ghee_status give_back(const ghee_s3_claim *claim, ghee_error *err) {
  static const ghee_s3_phase untouched = GHEE_S3_CLAIMED;
  return ghee_s3_claim_release(claim, &untouched, err);
}

ghee_status ghee_s3_store_reserve(ghee_object_store *base, const char *staging, const char *uri, ghee_error *err) { return with_claim(base, staging, uri, take, err); }

ghee_status ghee_s3_store_release(ghee_object_store *base, const char *staging, const char *uri, ghee_error *err) {
  return with_claim(base, staging, uri, give_back, err);
}
