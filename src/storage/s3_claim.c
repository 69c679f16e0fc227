/* SPDX-License-Identifier: Apache-2.0
 * Claims.
 *
 * Design notes
 * - Two lines: the phase, and the key of the staging folder. Only the owner writes it once it is there.
 * - A store is asked every time whether it keeps to If-None-Match: a second conditional PUT over our own claim must be refused.
 * - 409 is what AWS answers while another conditional PUT of the key is under way: the claim is somebody's, or will be. */
#include <string.h>

#include "base/memory.h"
#include "storage/s3_claim.h"

enum { MOST_CLAIM_BYTES = 8192, ROUNDS = 5 };
static const char *const phases[] = {"claimed", "copying", "done"};

ghee_status ghee_s3_claim_init(ghee_s3_claim *out, ghee_s3_store *store, const char *target, const char *staging, ghee_error *err) {
  const char *slash = strrchr(target, '/');
  int parent = slash ? (int)(slash + 1 - target) : 0;
  ghee_s3_claim claim = {.store = store, .staging = ghee_strdup(staging)};
  claim.key = *target ? ghee_asprintf("%.*s.%s.ghee.claim", parent, target, target + parent) : ghee_strdup(".ghee.claim");
  if (!claim.key || !claim.staging) {
    ghee_s3_claim_fini(&claim);
    return ghee_error_no_memory(err, "publishing");
  }
  *out = claim;
  return GHEE_OK;
}

void ghee_s3_claim_fini(ghee_s3_claim *claim) {
  ghee_free(claim->key);
  ghee_free(claim->staging);
  *claim = (ghee_s3_claim){0};
}

/* *put false: something is there already. */
static ghee_status put(ghee_s3_store *store, const char *key, const char *text, bool only_new, bool *out, ghee_error *err) {
  char *what = ghee_asprintf("cannot write %s%s", store->head, key);
  if (!what) return ghee_error_no_memory(err, "publishing");
  ghee_s3_request request = {.what = what, .method = "PUT", .key = key, .body = text, .body_bytes = strlen(text), .headers = {"if-none-match: *"}, .n_headers = only_new};
  ghee_status status = ghee_s3_start(store, &request, err);
  if (status == GHEE_OK) status = ghee_s3_wait(store, &request, err);
  int answer = request.response.status;
  bool taken = only_new && (answer == 412 || answer == 409);
  if (status == GHEE_OK && !taken) status = ghee_s3_refused(store, &request, err);
  if (status == GHEE_OK) *out = !taken;
  ghee_s3_request_fini(&request);
  ghee_free(what);
  return status;
}

static ghee_status drop(ghee_s3_store *store, const char *key, ghee_error *err) {
  ghee_s3_crew crew = {.store = store};
  ghee_status status = ghee_s3_crew_remove(&crew, key, err);
  if (status == GHEE_OK) status = ghee_s3_crew_end(&crew, err);
  ghee_s3_crew_fini(&crew);
  return status;
}

static char *text_of(const ghee_s3_claim *claim, ghee_s3_phase phase) { return ghee_asprintf("%s\n%s\n", phases[phase], claim->staging); }

static ghee_status not_kept(const ghee_s3_store *store, ghee_error *err) {
  return ghee_error_set(err, GHEE_UNSUPPORTED, "the store of %s ignores If-None-Match, so two jobs could publish to one place and neither be told; "
                        "where only one job ever writes to a place, write ;unguarded behind the bucket", store->head);
}

/* ---- reading ---- */

ghee_status ghee_s3_claim_look(const ghee_s3_claim *claim, ghee_s3_phase *out, ghee_error *err) {
  char *what = ghee_asprintf("cannot read %s%s", claim->store->head, claim->key);
  if (!what) return ghee_error_no_memory(err, "publishing");
  ghee_s3_request request = {.what = what, .method = "GET", .key = claim->key, .most_body_bytes = MOST_CLAIM_BYTES};
  ghee_status status = ghee_s3_do(claim->store, &request, err);
  if (status == GHEE_OK) {
    const char *text = ghee_buffer_text(&request.response.body);
    size_t first = strcspn(text, "\n"), second = text[first] ? strcspn(text + first + 1, "\n") : 0;
    status = GHEE_CORRUPT;
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
      if (strlen(phases[i]) == first && strncmp(phases[i], text, first) == 0) *out = (ghee_s3_phase)i, status = GHEE_OK;
    bool ours = status == GHEE_OK && strlen(claim->staging) == second && strncmp(claim->staging, text + first + 1, second) == 0;
    if (status != GHEE_OK) ghee_error_set(err, status, "%s%s is no claim of ghee; remove it if nothing else needs it", claim->store->head, claim->key);
    else if (!ours)
      status = ghee_error_set(err, GHEE_BUSY, "another job is publishing to the same place (its files are at %s%.*s): wait for it, or ghee resume or ghee cancel it",
                              claim->store->head, (int)second, text + first + 1);
  }
  ghee_s3_request_fini(&request);
  ghee_free(what);
  return status;
}

/* ---- taking and giving back ---- */

/* *out false: somebody has it, or it is ours by a PUT whose answer was lost. */
static ghee_status make(const ghee_s3_claim *claim, bool *out, ghee_error *err) {
  char *text = text_of(claim, GHEE_S3_CLAIMED);
  bool made = false, twice = false;
  ghee_status status = text ? put(claim->store, claim->key, text, true, &made, err) : ghee_error_no_memory(err, "publishing");
  if (status == GHEE_OK && made && !claim->store->config.unguarded) status = put(claim->store, claim->key, text, true, &twice, err);
  if (status == GHEE_OK && twice) {
    (void)drop(claim->store, claim->key, NULL);
    status = not_kept(claim->store, err);
  }
  if (status == GHEE_OK) *out = made;
  ghee_free(text);
  return status;
}

ghee_status ghee_s3_claim_take(const ghee_s3_claim *claim, ghee_s3_phase *out, ghee_error *err) {
  ghee_error why;
  for (int round = 0; round < ROUNDS; round++) {
    ghee_status status = ghee_s3_claim_look(claim, out, &why);
    if (status != GHEE_NOT_FOUND) return status == GHEE_OK ? status : ghee_error_set(err, status, "%s", why.message);
    bool made = false;
    GHEE_TRY(make(claim, &made, err));
    if (!made) continue;
    *out = GHEE_S3_CLAIMED;
    return GHEE_OK;
  }
  return ghee_error_set(err, GHEE_BUSY, "other jobs are publishing to the same place, %s%s comes and goes; try again", claim->store->head, claim->key);
}

ghee_status ghee_s3_claim_set(const ghee_s3_claim *claim, ghee_s3_phase phase, ghee_error *err) {
  char *text = text_of(claim, phase);
  bool made;
  ghee_status status = text ? put(claim->store, claim->key, text, false, &made, err) : ghee_error_no_memory(err, "publishing");
  ghee_free(text);
  return status;
}

ghee_status ghee_s3_claim_release(const ghee_s3_claim *claim, const ghee_s3_phase *phase, ghee_error *err) {
  ghee_s3_phase now;
  ghee_error why;
  ghee_status status = ghee_s3_claim_look(claim, &now, &why);
  if (status == GHEE_NOT_FOUND || status == GHEE_BUSY || (status == GHEE_OK && phase && *phase != now)) return GHEE_OK;
  return status == GHEE_OK ? drop(claim->store, claim->key, err) : ghee_error_set(err, status, "%s", why.message);
}

ghee_status ghee_s3_claim_probe(ghee_s3_store *store, const char *key, ghee_error *err) {
  bool made = false, twice = false;
  GHEE_TRY(put(store, key, "probe\n", true, &made, err));
  ghee_status status = store->config.unguarded ? GHEE_OK : put(store, key, "probe\n", true, &twice, err);
  ghee_status dropped = drop(store, key, status == GHEE_OK ? err : NULL);
  if (status == GHEE_OK) status = dropped;
  return status == GHEE_OK && twice ? not_kept(store, err) : status;
}
