/* SPDX-License-Identifier: Apache-2.0
 * The s3: backend: the table, URIs, looking and removing. */
#include "storage/s3.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "storage/uri.h"

/* ---- URIs ---- */

ghee_status ghee_s3_key(const ghee_s3_store *store, const char *uri, char **out, ghee_error *err) {
  size_t length = strlen(store->head);
  bool bucket = strncmp(uri, store->head, length - 1) == 0 && !uri[length - 1];
  if (!bucket && strncmp(uri, store->head, length) != 0)
    return ghee_error_set(err, GHEE_INVALID, "%s and %s are in different buckets or at different endpoints; inputs of one job must share them", uri, store->head);
  char *key = (char *)uri + length - bucket, *end = key + strlen(key);
  while (end > key && end[-1] == '/') *--end = 0;
  *out = key;
  return GHEE_OK;
}

char *ghee_s3_uri(const ghee_s3_store *store, const char *key) { return ghee_asprintf("%s%s", store->head, key); }

static ghee_status read_uri(ghee_s3_store *store, const char *uri, ghee_error *err) {
  const char *at = strncmp(uri, "s3://", 5) == 0 ? uri + 5 : NULL;
  size_t authority = at ? ghee_uri_authority(at) : 0, bucket = at ? strcspn(at, "/;") : 0;
  if (bucket == 0 || strcspn(at, "@:%?#[] ") < bucket)
    return ghee_error_set(err, GHEE_INVALID, "%s names no bucket: write s3://BUCKET/KEY, with options as s3://BUCKET;endpoint=http://HOST:PORT/KEY", uri);
  store->bucket = ghee_strndup(at, bucket);
  store->head = ghee_asprintf("s3://%.*s/", (int)authority, at);
  store->options = ghee_strndup(at + bucket + (bucket < authority), authority - bucket - (bucket < authority));
  if (!store->bucket || !store->head || !store->options) return ghee_error_no_memory(err, "opening an S3 store");
  GHEE_TRY(ghee_s3_config_read(store->options, &store->config, err));
  store->locked.keys = store->config.keys;
  store->config.keys = (ghee_s3_keys){0};
  return GHEE_OK;
}

/* ---- opening ---- */

static void store_close(ghee_object_store *base) {
  ghee_s3_store *store = (ghee_s3_store *)base;
  ghee_http_close(store->http);
  pthread_mutex_destroy(&store->locked.mutex);
  ghee_free(store->locked.region);
  ghee_s3_keys_fini(&store->locked.keys);
  ghee_s3_config_fini(&store->config);
  ghee_free(store->options);
  ghee_free(store->bucket);
  ghee_free(store->head);
  ghee_free(store);
}

static ghee_status store_open(const char *uri, ghee_object_store **out, ghee_error *err) {
  ghee_s3_store *store = ghee_alloc_zero(1, sizeof *store);
  if (!store) return ghee_error_no_memory(err, "opening an S3 store");
  store->base.ops = &ghee_object_store_s3;
  pthread_mutex_init(&store->locked.mutex, NULL);
  ghee_status status = read_uri(store, uri, err);
  ghee_url endpoint = {0};
  if (status == GHEE_OK && store->config.endpoint) status = ghee_url_parse(store->config.endpoint, &endpoint, err);
  ghee_url_fini(&endpoint);
  if (status == GHEE_OK && !(store->locked.region = ghee_strdup(store->config.region))) status = ghee_error_no_memory(err, "opening an S3 store");
  if (status == GHEE_OK) status = ghee_http_open(&(ghee_http_options){.ca_file = store->config.ca}, &store->http, err);
  if (status != GHEE_OK) {
    store_close(&store->base);
    return status;
  }
  *out = &store->base;
  return GHEE_OK;
}

/* ---- looking ---- */

void ghee_s3_bare_etag(char *etag) {
  size_t length = strlen(etag);
  if (length < 2 || etag[0] != '"' || etag[length - 1] != '"') return;
  memmove(etag, etag + 1, length - 2);
  etag[length - 2] = 0;
}

/* The answer to HEAD has no body, so a refusal does not say why: GET is asked, whose answer does. */
static ghee_status ask_why(ghee_s3_store *store, const ghee_s3_request *head_request, ghee_status refused, ghee_error *err) {
  ghee_s3_request request = {.what = head_request->what, .method = "GET", .key = head_request->key, .headers = {"range: bytes=0-0"}, .n_headers = 1, .most_body_bytes = 1};
  ghee_error why = {0};
  ghee_status status = ghee_s3_do(store, &request, &why);
  ghee_s3_request_fini(&request);
  return status == GHEE_OK ? refused : ghee_error_set(err, status, "%s", why.message);
}

ghee_status ghee_s3_head(ghee_s3_store *store, const char *key, uint64_t *size_bytes, char *etag, ghee_error *err) {
  char *what = ghee_asprintf("cannot look at %s%s", store->head, key), length[32] = "0";
  if (!what) return ghee_error_no_memory(err, "looking at an object");
  ghee_s3_request request = {.what = what, .method = "HEAD", .key = key};
  ghee_status status = ghee_s3_do(store, &request, err);
  if (status == GHEE_OK) {
    (void)ghee_http_header(&request.response, "content-length", length, sizeof length);
    *size_bytes = strtoull(length, NULL, 10);
    if (etag && !ghee_http_header(&request.response, "etag", etag, GHEE_S3_ETAG_SIZE)) etag[0] = 0;
    if (etag) ghee_s3_bare_etag(etag);
  } else if (request.response.status == 400 || request.response.status == 403) {
    status = ask_why(store, &request, status, err);
  }
  ghee_s3_request_fini(&request);
  ghee_free(what);
  return status;
}

static ghee_status found_one(void *user, const ghee_s3_object *object, ghee_error *err) {
  (void)object;
  (void)err;
  *(bool *)user = true;
  return GHEE_CANCELED; /* seen enough */
}

static ghee_status key_exists(ghee_s3_store *store, const char *key, bool *out, ghee_error *err) {
  uint64_t size;
  bool there = false;
  ghee_error why;
  ghee_status status = *key ? ghee_s3_head(store, key, &size, NULL, &why) : GHEE_NOT_FOUND;
  if (status != GHEE_OK && status != GHEE_NOT_FOUND) return ghee_error_set(err, status, "%s", why.message);
  there = status == GHEE_OK;
  if (!there) {
    char *prefix = ghee_asprintf(*key ? "%s/" : "%s", key);
    if (!prefix) return ghee_error_no_memory(err, "looking at objects");
    status = ghee_s3_each(store, prefix, found_one, &there, err);
    ghee_free(prefix);
    if (status != GHEE_OK && status != GHEE_CANCELED) return status;
  }
  *out = there;
  return GHEE_OK;
}

static ghee_status store_exists(ghee_object_store *base, const char *uri, bool *out, ghee_error *err) {
  char *copy = ghee_strdup(uri), *key;
  ghee_status status = copy ? ghee_s3_key((ghee_s3_store *)base, copy, &key, err) : ghee_error_no_memory(err, "looking at objects");
  if (status == GHEE_OK) status = key_exists((ghee_s3_store *)base, key, out, err);
  ghee_free(copy);
  return status;
}

/* ---- removing ---- */

static ghee_status store_remove(ghee_object_store *base, const char *uri, ghee_error *err) {
  ghee_s3_store *store = (ghee_s3_store *)base;
  char *copy = ghee_strdup(uri), *key;
  ghee_status status = copy ? ghee_s3_key(store, copy, &key, err) : ghee_error_no_memory(err, "removing an object");
  if (status == GHEE_OK && !*key) status = ghee_error_set(err, GHEE_INVALID, "cannot remove %s: it is a bucket", uri);
  if (status == GHEE_OK) {
    ghee_s3_crew crew = {.store = store};
    status = ghee_s3_crew_remove(&crew, key, err);
    if (status == GHEE_OK) status = ghee_s3_crew_end(&crew, err);
    ghee_s3_crew_fini(&crew);
  }
  ghee_free(copy);
  return status;
}

static const char *const settings[] = {"endpoint", "region", "profile", "style", "ca", "anonymous", "unguarded", "unsigned", NULL};

const struct ghee_object_store_ops ghee_object_store_s3 = {
    .scheme = "s3", .settings = settings, .open = store_open, .close = store_close, .list = ghee_s3_store_list, .read = ghee_s3_store_read, .write = ghee_s3_store_write,
    .remove = store_remove, .remove_all = ghee_s3_store_remove_all, .exists = store_exists, .check_output = ghee_s3_store_check_output,
    .staging = ghee_s3_store_staging, .reserve = ghee_s3_store_reserve, .release = ghee_s3_store_release, .publish = ghee_s3_store_publish};
