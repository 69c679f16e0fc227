/* SPDX-License-Identifier: Apache-2.0
 * Staging folders of an S3 store ("a/out" and job "j": a/.out.ghee-j), and what goes with them when a job is canceled: unfinished uploads, the
 * claim, copies of an output that was not to be. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "storage/s3_claim.h"

bool ghee_s3_is_last(const char *name) {
  const char *slash = strrchr(name, '/');
  return (slash ? slash[1] : name[0]) == '_';
}

static ghee_status staging_of(ghee_s3_store *store, const char *uri, const char *job, char **out, ghee_error *err) {
  char *copy = ghee_strdup(uri), *key;
  ghee_status status = copy ? ghee_s3_key(store, copy, &key, err) : ghee_error_no_memory(err, "naming a staging folder");
  if (status == GHEE_OK) {
    char *slash = strrchr(key, '/'), *name = slash ? slash + 1 : key;
    char *made = *key ? ghee_asprintf("%s%.*s.%s.ghee-%s", store->head, (int)(name - key), key, name, job) : ghee_asprintf("%s.ghee-%s", store->head, job);
    if (made) *out = made;
    else status = ghee_error_no_memory(err, "naming a staging folder");
  }
  ghee_free(copy);
  return status;
}

ghee_status ghee_s3_store_staging(ghee_object_store *base, const char *uri, const char *job, char **out, ghee_error *err) {
  if (!*job || strchr(job, '/') || strlen(job) > 200)
    return ghee_error_set(err, GHEE_INVALID, "\"%s\" cannot name a staging folder: 1 to 200 characters without a slash are needed", job);
  return staging_of((ghee_s3_store *)base, uri, job, out, err);
}

ghee_status ghee_s3_store_check_output(ghee_object_store *base, const char *uri, ghee_error *err) {
  ghee_s3_store *store = (ghee_s3_store *)base;
  ghee_random random;
  char job[64], *probe = NULL, *key;
  ghee_random_init(&random, ghee_clock_ns(), (uint64_t)getpid(), 0);
  snprintf(job, sizeof job, "probe-%016llx", (unsigned long long)ghee_random_next(&random));
  GHEE_TRY(staging_of(store, uri, job, &probe, err));
  ghee_status status = ghee_s3_key(store, probe, &key, err);
  if (status == GHEE_OK) status = ghee_s3_claim_probe(store, key, err);
  ghee_free(probe);
  return status;
}

/* ---- what a canceled job leaves ---- */

typedef struct undoing {
  ghee_s3_crew crew;
  const char *prefix, *staging_prefix;
  bool published;
} undoing;

/* Whether the output has the object that lies at a name of the staging folder. */
static ghee_status is_copied(ghee_s3_store *store, const char *to, const ghee_s3_object *staged, bool *out, ghee_error *err) {
  uint64_t size;
  char etag[GHEE_S3_ETAG_SIZE];
  ghee_error why;
  ghee_status status = ghee_s3_head(store, to, &size, etag, &why);
  *out = status == GHEE_OK && size == staged->size_bytes && staged->etag && strcmp(etag, staged->etag) == 0;
  return status == GHEE_OK || status == GHEE_NOT_FOUND ? GHEE_OK : ghee_error_set(err, status, "%s", why.message);
}

/* The manifest is asked first: with it the job had been published, and all stays. */
static ghee_status undo_one(void *user, const ghee_s3_object *object, ghee_error *err) {
  undoing *by = user;
  const char *name = object->key + strlen(by->staging_prefix);
  bool manifest = strcmp(name, "_manifest.json") == 0, copied = false;
  if (by->published || (ghee_s3_is_last(name) && !manifest)) return GHEE_OK;
  char *to = ghee_asprintf("%s%s", by->prefix, name);
  ghee_status status = to ? is_copied(by->crew.store, to, object, &copied, err) : ghee_error_no_memory(err, "removing objects");
  if (status == GHEE_OK && manifest) by->published = copied;
  else if (status == GHEE_OK && copied) status = ghee_s3_crew_remove(&by->crew, to, err);
  ghee_free(to);
  return status;
}

/* Copies of an output that was not to be. */
static ghee_status undo(ghee_s3_store *store, const char *target, const char *staging, ghee_error *err) {
  undoing by = {.crew = {.store = store}};
  char *prefix = ghee_asprintf(*target ? "%s/" : "%s", target), *staging_prefix = ghee_asprintf("%s/", staging), *manifest = ghee_asprintf("%s/_manifest.json", staging);
  ghee_status status = prefix && staging_prefix && manifest ? GHEE_OK : ghee_error_no_memory(err, "removing objects");
  by.prefix = prefix;
  by.staging_prefix = staging_prefix;
  if (status == GHEE_OK) status = ghee_s3_each(store, manifest, undo_one, &by, err);
  if (status == GHEE_OK && !by.published) status = ghee_s3_each(store, staging_prefix, undo_one, &by, err);
  if (status == GHEE_OK) status = ghee_s3_crew_end(&by.crew, err);
  ghee_s3_crew_fini(&by.crew);
  ghee_free(manifest);
  ghee_free(staging_prefix);
  ghee_free(prefix);
  return status;
}

/* The output that a staging folder belongs to, from its name; NULL in *out for what is no staging folder. */
static ghee_status target_of(const char *staging, char **out, ghee_error *err) {
  const char *slash = strrchr(staging, '/'), *name = slash ? slash + 1 : staging, *mark = NULL;
  *out = NULL;
  for (const char *at = name; (at = strstr(at, ".ghee-")); at++) mark = at;
  if (*name != '.' || !mark) return GHEE_OK;
  *out = mark == name ? ghee_strdup("") : ghee_asprintf("%.*s%.*s", (int)(name - staging), staging, (int)(mark - name - 1), name + 1);
  return *out ? GHEE_OK : ghee_error_no_memory(err, "removing objects");
}

/* A canceled job takes back what it had begun to publish, and gives back its claim. */
static ghee_status take_back(ghee_s3_store *store, const char *staging, ghee_error *err) {
  char *target;
  ghee_s3_claim claim = {0};
  ghee_s3_phase phase = GHEE_S3_CLAIMED;
  ghee_error why;
  GHEE_TRY(target_of(staging, &target, err));
  if (!target) return GHEE_OK;
  ghee_status status = ghee_s3_claim_init(&claim, store, target, staging, &why);
  if (status == GHEE_OK) status = ghee_s3_claim_look(&claim, &phase, &why);
  bool ours = status == GHEE_OK;
  if (ours && phase == GHEE_S3_COPYING) status = undo(store, target, staging, &why);
  if (ours && status == GHEE_OK) status = ghee_s3_claim_release(&claim, NULL, &why);
  ghee_s3_claim_fini(&claim);
  ghee_free(target);
  return status == GHEE_OK || status == GHEE_NOT_FOUND || status == GHEE_BUSY ? GHEE_OK : ghee_error_set(err, status, "%s", why.message);
}

/* ---- removing ---- */

static ghee_status remove_one(void *user, const ghee_s3_object *object, ghee_error *err) { return ghee_s3_crew_remove(user, object->key, err); }

ghee_status ghee_s3_remove_below(ghee_s3_store *store, const char *prefix, ghee_error *err) {
  ghee_s3_crew crew = {.store = store};
  GHEE_TRY(ghee_s3_abort_uploads(store, prefix, NULL, NULL, err));
  ghee_status status = ghee_s3_each(store, prefix, remove_one, &crew, err);
  if (status == GHEE_OK) status = ghee_s3_crew_end(&crew, err);
  ghee_s3_crew_fini(&crew);
  return status;
}

ghee_status ghee_s3_store_remove_all(ghee_object_store *base, const char *uri, ghee_error *err) {
  ghee_s3_store *store = (ghee_s3_store *)base;
  char *copy = ghee_strdup(uri), *key, *prefix = NULL;
  ghee_status status = copy ? ghee_s3_key(store, copy, &key, err) : ghee_error_no_memory(err, "removing objects");
  if (status == GHEE_OK && !*key) status = ghee_error_set(err, GHEE_INVALID, "a whole bucket is not removed: %s", uri);
  if (status == GHEE_OK && !(prefix = ghee_asprintf("%s/", key))) status = ghee_error_no_memory(err, "removing objects");
  if (status == GHEE_OK) status = take_back(store, key, err);
  if (status == GHEE_OK) status = base->ops->remove(base, uri, err);
  if (status == GHEE_OK) status = ghee_s3_remove_below(store, prefix, err);
  ghee_free(prefix);
  ghee_free(copy);
  return status;
}
