/* SPDX-License-Identifier: Apache-2.0
 * Requests of an S3 store: URL, signature, what the answers mean.
 *
 * Design notes
 * - Three answers are put right here, once a request: RequestTimeTooSkewed (the server's Date gives the difference, kept for all later
 *   requests), a bucket of another region (x-amz-bucket-region, or <Region> of the message; kept likewise), and keys that have expired,
 *   which are read anew: whoever renews them writes them to the profile file.
 * - The body is signed over http:, where nothing else protects it, unless the URI says that nothing must; over https: TLS does, and it is
 *   sent as UNSIGNED-PAYLOAD. */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "storage/s3.h"
#include "storage/s3_sign.h"
#include "storage/xml.h"

enum { CODE_SIZE = 64, SAID_SIZE = 512, REGION_SIZE = 64, MOST_HEADERS = sizeof ((ghee_s3_request *)0)->sent / sizeof(char *) };

/* ---- where to ---- */

/* Names of buckets with a dot would not fit the server's certificate. */
static bool in_host(const ghee_s3_store *store, const ghee_url *endpoint) {
  if (store->config.style) return strcmp(store->config.style, "virtual") == 0;
  return !store->config.endpoint && !(strcmp(endpoint->scheme, "https") == 0 && strchr(store->bucket, '.'));
}

/* The URL of a request in `url`; its Host header; where in `url` the path begins. */
static ghee_status locate(const ghee_s3_store *store, ghee_s3_request *of, const char *region, ghee_buffer *host, size_t *path_at, bool *tls, ghee_error *err) {
  ghee_buffer text = {0};
  ghee_url endpoint = {0};
  if (store->config.endpoint) ghee_buffer_printf(&text, "%s", store->config.endpoint);
  else ghee_buffer_printf(&text, "https://s3.%s.amazonaws.com", region);
  ghee_status status = ghee_buffer_check(&text, "sending a request", err);
  if (status == GHEE_OK) status = ghee_url_parse(ghee_buffer_text(&text), &endpoint, err);
  if (status == GHEE_OK) {
    bool virtual = in_host(store, &endpoint);
    size_t path = strlen(endpoint.path);
    *tls = strcmp(endpoint.scheme, "https") == 0;
    ghee_buffer_printf(host, virtual ? "%s.%s" : "%.0s%s", store->bucket, endpoint.authority);
    ghee_buffer_printf(&of->url, "%s://%s", endpoint.scheme, ghee_buffer_text(host));
    *path_at = of->url.size;
    ghee_buffer_printf(&of->url, "%.*s/", (int)(path - (endpoint.path[path - 1] == '/')), endpoint.path);
    if (!virtual) ghee_buffer_printf(&of->url, *of->key ? "%s/" : "%s", store->bucket);
    ghee_url_escape(&of->url, of->key, true);
  }
  ghee_url_fini(&endpoint);
  ghee_buffer_fini(&text);
  return status;
}

/* ---- signing ---- */

/* Adds a line to those that are sent; they lie in `lines`, one behind the other, and move while it grows: at[] are places. */
static void add_line(ghee_s3_request *of, size_t at[], size_t *n, const char *name, const char *value) {
  at[(*n)++] = of->lines.size;
  ghee_buffer_printf(&of->lines, "%s: %s", name, value);
  ghee_buffer_put_u8(&of->lines, 0);
}

static ghee_status sign(const ghee_s3_store *store, ghee_s3_request *of, const ghee_s3_keys *keys, const char *host, const char *region, int64_t now_s, bool tls, size_t path_at, ghee_error *err) {
  char hash[GHEE_S3_HASH_SIZE], date[GHEE_S3_DATE_SIZE];
  size_t at[MOST_HEADERS], n = 0;
  const char *given[MOST_HEADERS];
  if ((tls || store->config.unsigned_bodies) && of->body_bytes > 0) strcpy(hash, "UNSIGNED-PAYLOAD");
  else GHEE_TRY(ghee_s3_hash(of->body, of->body_bytes, hash, err));
  ghee_s3_date(now_s, date);
  add_line(of, at, &n, "host", host);
  add_line(of, at, &n, "x-amz-content-sha256", hash);
  add_line(of, at, &n, "x-amz-date", date);
  if (keys->token) add_line(of, at, &n, "x-amz-security-token", keys->token);
  GHEE_TRY(ghee_buffer_check(&of->lines, "signing a request", err));
  for (size_t i = 0; i < n; i++) given[i] = (const char *)of->lines.data + at[i];
  for (size_t i = 0; i < of->n_headers; i++) given[n + i] = of->headers[i];
  char *url = (char *)of->url.data, *query = strchr(url + path_at, '?');
  if (query) *query = 0;
  ghee_s3_signing signing = {.method = of->method, .path = url + path_at, .query = query ? query + 1 : "", .headers = given, .n_headers = n + of->n_headers,
                             .payload_hash = hash, .date = date, .key = keys->key, .secret = keys->secret, .region = region};
  ghee_buffer authorization = {0};
  ghee_status status = ghee_s3_sign(&signing, &authorization, err);
  if (query) *query = '?';
  if (status == GHEE_OK) add_line(of, at, &n, "authorization", ghee_buffer_text(&authorization));
  ghee_buffer_fini(&authorization);
  for (size_t i = 0; i < n; i++) of->sent[of->http.n_headers++] = (const char *)of->lines.data + at[i];
  return status == GHEE_OK ? ghee_buffer_check(&of->lines, "signing a request", err) : status;
}

static ghee_status prepare(ghee_s3_store *store, ghee_s3_request *of, ghee_error *err) {
  ghee_buffer host = {0};
  size_t path_at = 0;
  bool tls = false;
  ghee_s3_keys keys = {0};
  pthread_mutex_lock(&store->locked.mutex);
  char *region = ghee_strdup(store->locked.region);
  ghee_status status = ghee_s3_keys_copy(&store->locked.keys, &keys, err);
  of->keys_read = store->locked.keys_read;
  int64_t now_s = ghee_clock_wall_ms() / 1000 + store->locked.skew_s;
  pthread_mutex_unlock(&store->locked.mutex);
  ghee_buffer_clear(&of->url);
  ghee_buffer_clear(&of->lines);
  of->http = (ghee_http_request){.method = of->method, .headers = of->sent, .body = of->body, .body_bytes = of->body_bytes,
                                 .into = of->into, .into_bytes = of->into_bytes, .most_body_bytes = of->most_body_bytes};
  if (status == GHEE_OK) status = region ? locate(store, of, region, &host, &path_at, &tls, err) : ghee_error_no_memory(err, "sending a request");
  if (status == GHEE_OK) {
    ghee_buffer_put(&of->url, of->query.data, of->query.size);
    ghee_buffer_put_u8(&of->url, 0);
    status = of->query.failed || of->url.failed || host.failed ? ghee_error_no_memory(err, "sending a request") : GHEE_OK;
  }
  if (status == GHEE_OK && !store->config.anonymous) status = sign(store, of, &keys, ghee_buffer_text(&host), region, now_s, tls, path_at, err);
  for (size_t i = 0; i < of->n_headers; i++) of->sent[of->http.n_headers++] = of->headers[i];
  of->http.url = (const char *)of->url.data;
  ghee_buffer_fini(&host);
  ghee_s3_keys_fini(&keys);
  ghee_free(region);
  return status;
}

ghee_status ghee_s3_start(ghee_s3_store *store, ghee_s3_request *of, ghee_error *err) {
  GHEE_TRY(prepare(store, of, err));
  return ghee_http_start(store->http, &of->http, &of->call, err);
}

void ghee_s3_request_fini(ghee_s3_request *of) {
  ghee_http_cancel(of->call);
  ghee_http_response_fini(&of->response);
  ghee_buffer_fini(&of->query);
  ghee_buffer_fini(&of->url);
  ghee_buffer_fini(&of->lines);
  *of = (ghee_s3_request){0};
}

/* ---- what can be put right ---- */

static void code_of(const ghee_s3_request *of, char code[CODE_SIZE]) {
  const ghee_buffer *body = &of->response.body;
  if (!ghee_xml_find(body->data, body->size, "Code", code, CODE_SIZE)) code[0] = 0;
}

/* The server's Date, where the clocks are the trouble. */
static bool set_clock(ghee_s3_store *store, ghee_s3_request *of, const char *code) {
  char date[64];
  if (of->clock_set || strcmp(code, "RequestTimeTooSkewed") != 0 || !ghee_http_header(&of->response, "date", date, sizeof date)) return false;
  int64_t there = (int64_t)curl_getdate(date, NULL);
  if (there < 0) return false;
  pthread_mutex_lock(&store->locked.mutex);
  store->locked.skew_s = there - ghee_clock_wall_ms() / 1000;
  pthread_mutex_unlock(&store->locked.mutex);
  return of->clock_set = true;
}

static bool set_region(ghee_s3_store *store, ghee_s3_request *of) {
  char region[REGION_SIZE];
  const ghee_buffer *body = &of->response.body;
  int status = of->response.status;
  if (of->region_set || (status != 301 && status != 307 && status != 400 && status != 403)) return false;
  if (!ghee_http_header(&of->response, "x-amz-bucket-region", region, sizeof region) && !ghee_xml_find(body->data, body->size, "Region", region, sizeof region)) return false;
  char *copy = ghee_strdup(region);
  if (!copy || !*region) return ghee_free(copy), false;
  pthread_mutex_lock(&store->locked.mutex);
  bool other = strcmp(store->locked.region, region) != 0;
  char *old = other ? store->locked.region : copy;
  if (other) store->locked.region = copy;
  pthread_mutex_unlock(&store->locked.mutex);
  ghee_free(old);
  return of->region_set = other;
}

/* Whether keys that are read anew could help. A refused HEAD does not say why. */
static bool keys_are_old(const ghee_s3_request *of, const char *code) {
  static const char *const codes[] = {"ExpiredToken", "TokenRefreshRequired", "InvalidToken", "InvalidAccessKeyId"};
  if (strcmp(of->method, "HEAD") == 0) return of->response.status == 400 || of->response.status == 403;
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (strcmp(codes[i], code) == 0) return true;
  return false;
}

/* Others are there now, in the profile files or the environment; or another request has read them since this one was signed. */
static bool set_keys(ghee_s3_store *store, ghee_s3_request *of, const char *code) {
  ghee_s3_config now;
  if (of->keys_set || store->config.anonymous || !keys_are_old(of, code)) return false;
  if (ghee_s3_config_read(store->options, &now, NULL) != GHEE_OK) return false;
  pthread_mutex_lock(&store->locked.mutex);
  if (!ghee_s3_keys_equal(&now.keys, &store->locked.keys)) {
    ghee_s3_keys old = store->locked.keys;
    store->locked.keys = now.keys;
    store->locked.keys_read++;
    now.keys = old;
  }
  bool others = of->keys_read != store->locked.keys_read;
  pthread_mutex_unlock(&store->locked.mutex);
  ghee_s3_config_fini(&now);
  return of->keys_set = others;
}

ghee_status ghee_s3_wait(ghee_s3_store *store, ghee_s3_request *of, ghee_error *err) {
  for (;;) {
    ghee_http_call *call = of->call;
    char code[CODE_SIZE];
    of->call = NULL;
    ghee_http_response_fini(&of->response);
    ghee_status status = ghee_http_wait(call, &of->response, err);
    if (status != GHEE_OK) {
      ghee_error_prefix(err, "%s", of->what);
      return status;
    }
    if (of->response.status < 300) return GHEE_OK;
    code_of(of, code);
    if (!set_clock(store, of, code) && !set_region(store, of) && !set_keys(store, of, code)) return GHEE_OK;
    GHEE_TRY(ghee_s3_start(store, of, err));
  }
}

/* ---- what answers mean ---- */

typedef struct meaning {
  const char *code;
  ghee_status status;
  const char *more;
} meaning;

static const meaning meanings[] = {
    {"NoSuchBucket", GHEE_NOT_FOUND, "; is the name of the bucket right, and the endpoint?"},
    {"NoSuchKey", GHEE_NOT_FOUND, ""},
    {"NoSuchUpload", GHEE_NOT_FOUND, ""},
    {"AccessDenied", GHEE_DENIED, "; these credentials may not do this: ask whoever owns the bucket for the right, or use others"},
    {"InvalidAccessKeyId", GHEE_DENIED, "; the server does not know this access key: look at AWS_ACCESS_KEY_ID, or the profile, and the endpoint"},
    {"SignatureDoesNotMatch", GHEE_DENIED, "; the secret does not belong to the access key: look at AWS_SECRET_ACCESS_KEY, or the profile"},
    {"ExpiredToken", GHEE_DENIED, "; the session has ended: get a new AWS_SESSION_TOKEN with its keys, then ghee resume"},
    {"InvalidToken", GHEE_DENIED, "; AWS_SESSION_TOKEN does not belong to these keys"},
    {"RequestTimeTooSkewed", GHEE_DENIED, "; set the clock of this machine"},
    {"PreconditionFailed", GHEE_CHANGED, ""},
    {"QuotaExceeded", GHEE_NO_SPACE, "; make room, or ask for a larger quota"},
    {"XMinioStorageFull", GHEE_NO_SPACE, "; make room"},
    {"EntityTooLarge", GHEE_LIMIT, ""},
    {"InvalidBucketName", GHEE_INVALID, ""},
    {"KeyTooLongError", GHEE_INVALID, "; a key has at most 1024 bytes"},
    {"NotImplemented", GHEE_UNSUPPORTED, "; this store cannot do that"},
};

static meaning meaning_of(const ghee_s3_request *of, const char *code) {
  for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
    if (strcmp(meanings[i].code, code) == 0) return meanings[i];
  switch (of->response.status) {
    case 301: case 307: return (meaning){code, GHEE_INVALID, "; the bucket is at another endpoint or in another region: say which"};
    case 401: case 403: return (meaning){code, GHEE_DENIED, "; look at the credentials and at what they may do"};
    case 404: return (meaning){code, GHEE_NOT_FOUND, ""};
    case 412: return (meaning){code, GHEE_CHANGED, ""};
    case 501: return (meaning){code, GHEE_UNSUPPORTED, "; this store cannot do that"};
    case 507: return (meaning){code, GHEE_NO_SPACE, "; make room"};
    case 429: case 500: case 502: case 503: case 504: return (meaning){code, GHEE_IO, "; the store is in trouble or overloaded: go on later"};
    default: return (meaning){code, GHEE_IO, ""};
  }
}

ghee_status ghee_s3_refused(const ghee_s3_store *store, ghee_s3_request *of, ghee_error *err) {
  const ghee_buffer *body = &of->response.body;
  char code[CODE_SIZE], message[SAID_SIZE], said[CODE_SIZE + SAID_SIZE + 2];
  (void)store;
  code_of(of, code);
  if (of->response.status < 300 && !*code) return GHEE_OK;
  if (!ghee_xml_find(body->data, body->size, "Message", message, sizeof message)) message[0] = 0;
  snprintf(said, sizeof said, "%s%s%s", code, *code && *message ? ": " : "", message);
  meaning is = meaning_of(of, code);
  return ghee_http_refused(&of->http, &of->response, is.status, of->what, said, is.more, err);
}

ghee_status ghee_s3_do(ghee_s3_store *store, ghee_s3_request *of, ghee_error *err) {
  GHEE_TRY(ghee_s3_start(store, of, err));
  GHEE_TRY(ghee_s3_wait(store, of, err));
  return ghee_s3_refused(store, of, err);
}
