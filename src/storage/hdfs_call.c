/* SPDX-License-Identifier: Apache-2.0
 * Questions to NameNodes and what the answers mean.
 *
 * Design notes
 * - Of several NameNodes one is active. The one that answered last is asked first; a StandbyException or no connection goes on to the next, and
 *   after a round in vain everybody is given a moment, since a fail-over takes seconds.
 *   A cluster that has never answered is not waited for so long: its name may be wrong.
 * - OPEN, CREATE and APPEND are asked with noredirect, so that no body is sent to a NameNode and the DataNode's URL comes as text. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/retry.h"
#include "net/url.h"
#include "storage/hdfs.h"

enum { PATIENCE_MS = 60000, FIRST_PATIENCE_MS = 15000, NAME_SIZE = 128, SAID_SIZE = 1024 };

/* ---- answers ---- */

typedef struct meaning { const char *exception; ghee_status status; bool passing; const char *more; } meaning;

static const meaning meanings[] = {
    {"FileNotFoundException", GHEE_NOT_FOUND, false, ""},
    {"AccessControlException", GHEE_DENIED, false, "; HADOOP_USER_NAME or the option user says who asks"},
    {"SecurityException", GHEE_DENIED, false, "; give a delegation token (GHEE_HDFS_TOKEN) or the option negotiate"},
    {"AuthenticationException", GHEE_DENIED, false, ""},
    {"InvalidToken", GHEE_DENIED, false, "; the delegation token in GHEE_HDFS_TOKEN is not valid any more"},
    {"FileAlreadyExistsException", GHEE_EXISTS, false, ""},
    {"PathIsNotEmptyDirectoryException", GHEE_EXISTS, false, ""},
    {"NSQuotaExceededException", GHEE_NO_SPACE, false, "; make room, or ask for a larger quota"},
    {"DSQuotaExceededException", GHEE_NO_SPACE, false, "; make room, or ask for a larger quota"},
    {"QuotaExceededException", GHEE_NO_SPACE, false, "; make room, or ask for a larger quota"},
    {"QuotaByStorageTypeExceededException", GHEE_NO_SPACE, false, "; make room, or ask for a larger quota"},
    {"InvalidPathException", GHEE_INVALID, false, ""},
    {"IllegalArgumentException", GHEE_INVALID, false, ""},
    {"UnsupportedOperationException", GHEE_UNSUPPORTED, false, ""},
    {"AlreadyBeingCreatedException", GHEE_BUSY, false, ""},
    {"RecoveryInProgressException", GHEE_BUSY, false, ""},
    {"SafeModeException", GHEE_BUSY, true, "; the NameNode is in safe mode: wait, or look at its page"},
    {"RetriableException", GHEE_IO, true, ""},
    {"ConnectException", GHEE_IO, true, ""}, /* of a DataNode that has lost its NameNode */
    {"EOFException", GHEE_IO, true, ""},
    {"SocketException", GHEE_IO, true, ""},
    {"SocketTimeoutException", GHEE_IO, true, ""},
    {"StandbyException", GHEE_IO, true, "; no NameNode of the URI is active"}};

/* Exception and first line of the message; both "" where the body is something else. */
static void read_exception(const ghee_buffer *body, char name[NAME_SIZE], char said[SAID_SIZE]) {
  json_t *json = body->size ? json_loadb((const char *)body->data, body->size, 0, NULL) : NULL, *remote = json_object_get(json, "RemoteException");
  const char *exception = json_string_value(json_object_get(remote, "exception")), *message = json_string_value(json_object_get(remote, "message"));
  snprintf(name, NAME_SIZE, "%s", exception ? exception : "");
  snprintf(said, SAID_SIZE, "%s%s%.*s", name, *name && message ? ": " : "", message ? (int)strcspn(message, "\n") : 0, message ? message : "");
  json_decref(json);
}

static meaning meaning_of(const ghee_http_response *response, const char *exception, const char *said) {
  size_t length = strlen(exception);
  for (size_t i = 0; i < sizeof meanings / sizeof *meanings && length; i++)
    if (strcmp(meanings[i].exception, exception) == 0) return meanings[i];
  if (strstr(said, "safe mode")) return (meaning){.status = GHEE_BUSY, .passing = true, .more = "; the NameNode is in safe mode: wait, or look at its page"};
  if (strstr(said, "Failed to find datanode")) return (meaning){.status = GHEE_IO, .more = "; no DataNode can take it: they are full, or gone"};
  if (strstr(said, "could only be written to 0 of")) return (meaning){.status = GHEE_NO_SPACE, .more = "; the DataNodes are full or gone"};
  if (response->status == 401)
    return (meaning){.status = GHEE_DENIED, .more = "; the cluster wants Kerberos: get a ticket (kinit) and say negotiate in the URI, or give a delegation token (GHEE_HDFS_TOKEN)"};
  if (response->status == 403 && !length) return (meaning){.status = GHEE_DENIED, .more = ""};
  if (!length) return (meaning){.status = GHEE_IO, .more = "; is that the HTTP port of a NameNode (9870, not 8020)?"};
  return (meaning){.status = GHEE_IO, .more = ""};
}

static ghee_status judge(const char *what, const ghee_http_request *request, const ghee_http_response *response, bool *passing, ghee_error *err) {
  *passing = false;
  if (response->status >= 200 && response->status < 300) return GHEE_OK;
  char exception[NAME_SIZE], said[SAID_SIZE];
  read_exception(&response->body, exception, said);
  meaning found = meaning_of(response, exception, said);
  *passing = found.passing;
  return ghee_http_refused(request, response, found.status, what, said, found.more, err);
}

ghee_status ghee_hdfs_judge(const char *what, const ghee_http_request *request, const ghee_http_response *response, ghee_error *err) {
  bool passing;
  return judge(what, request, response, &passing, err);
}

void ghee_hdfs_pause(ghee_hdfs_store *store, unsigned next) {
  ghee_random random;
  pthread_mutex_lock(&store->locked.mutex);
  ghee_random_init(&random, store->locked.random++, ghee_clock_ns(), next);
  pthread_mutex_unlock(&store->locked.mutex);
  poll(NULL, 0, (int)ghee_retry_wait_ms(&random, next));
}

/* ---- questions ---- */

static void put_url(const ghee_hdfs_store *store, unsigned namenode, const char *path, const char *const *parameters, bool noredirect, ghee_buffer *out) {
  ghee_buffer_printf(out, "%s://%s/webhdfs/v1", store->options.tls ? "https" : "http", store->namenodes[namenode]);
  ghee_url_escape(out, path, true);
  for (size_t i = 0; parameters[i]; i += 2) ghee_url_add_query(out, parameters[i], parameters[i + 1]);
  if (noredirect) ghee_url_add_query(out, "noredirect", "true");
  if (store->token) ghee_url_add_query(out, "delegation", store->token);
  else if (!store->options.negotiate) ghee_url_add_query(out, "user.name", store->options.user);
}

static void learn(ghee_hdfs_store *store) {
  pthread_mutex_lock(&store->locked.mutex);
  store->locked.known = true;
  pthread_mutex_unlock(&store->locked.mutex);
}

static unsigned active(ghee_hdfs_store *store, bool *known) {
  pthread_mutex_lock(&store->locked.mutex);
  unsigned now = store->locked.active;
  *known = store->locked.known;
  pthread_mutex_unlock(&store->locked.mutex);
  return now;
}

static void next_namenode(ghee_hdfs_store *store, unsigned after) {
  pthread_mutex_lock(&store->locked.mutex);
  if (store->locked.active == after) store->locked.active = (after + 1) % store->n_namenodes;
  pthread_mutex_unlock(&store->locked.mutex);
}

static ghee_status read_json(const char *what, const ghee_buffer *body, json_t **out, ghee_error *err) {
  json_error_t why;
  *out = NULL;
  if (body->size == 0) return GHEE_OK;
  if ((*out = json_loadb((const char *)body->data, body->size, 0, &why))) return GHEE_OK;
  return ghee_error_set(err, GHEE_CORRUPT, "%s: the NameNode's answer is no JSON (%s); is that the HTTP port of a NameNode (9870, not 8020)?", what, why.text);
}

/* One try at one NameNode. *passing: another NameNode, or a later try, may do better. */
static ghee_status ask_once(ghee_hdfs_store *store, unsigned namenode, const char *what, const char *method, const char *path, const char *const *parameters,
                            bool noredirect, json_t **out, bool *passing, ghee_error *err) {
  ghee_buffer url = {0};
  ghee_http_response response = {0};
  put_url(store, namenode, path, parameters, noredirect, &url);
  ghee_http_request request = {.method = method, .url = ghee_buffer_text(&url), .negotiate = store->options.negotiate != NULL};
  ghee_error why;
  ghee_status status = ghee_buffer_check(&url, "asking a NameNode", &why);
  *passing = false;
  if (status == GHEE_OK) {
    status = ghee_http_do(store->names, &request, &response, &why);
    *passing = status == GHEE_IO;
    if (status == GHEE_OK) learn(store);
    else ghee_error_prefix(&why, "%s", what);
  }
  if (status == GHEE_OK) status = judge(what, &request, &response, passing, &why);
  if (status == GHEE_OK) status = read_json(what, &response.body, out, &why);
  ghee_http_response_fini(&response);
  ghee_buffer_fini(&url);
  return status == GHEE_OK ? GHEE_OK : ghee_error_set(err, status, "%s", why.message);
}

static ghee_status ask(ghee_hdfs_store *store, const char *what, const char *method, const char *path, const char *const *parameters, bool noredirect, json_t **out,
                       ghee_error *err) {
  uint64_t start = ghee_clock_ms();
  json_t *json = NULL;
  for (unsigned try = 1;; try++) {
    bool passing, known;
    unsigned namenode = active(store, &known);
    ghee_status status = ask_once(store, namenode, what, method, path, parameters, noredirect, &json, &passing, err);
    if (status == GHEE_OK) break;
    (void)active(store, &known); /* whatever was answered, it is a NameNode */
    if (!passing || ghee_clock_ms() - start > (known ? PATIENCE_MS : FIRST_PATIENCE_MS)) return status;
    if (try == 3 * store->n_namenodes && err) ghee_log(GHEE_LOG_WARN, "%s; still trying", err->message);
    next_namenode(store, namenode);
    if (try % store->n_namenodes == 0) ghee_hdfs_pause(store, 1 + try / store->n_namenodes);
  }
  if (out) *out = json;
  else json_decref(json);
  return GHEE_OK;
}

ghee_status ghee_hdfs_ask(ghee_hdfs_store *store, const char *what, const char *method, const char *path, const char *const *parameters, json_t **out, ghee_error *err) {
  return ask(store, what, method, path, parameters, false, out, err);
}

ghee_status ghee_hdfs_locate(ghee_hdfs_store *store, const char *what, const char *method, const char *path, const char *const *parameters, char **out, ghee_error *err) {
  json_t *json;
  GHEE_TRY(ask(store, what, method, path, parameters, true, &json, err));
  const char *location = json_string_value(json_object_get(json, "Location"));
  ghee_status status = location ? GHEE_OK : ghee_error_set(err, GHEE_CORRUPT, "%s: the NameNode names no DataNode", what);
  char *copy = location ? ghee_strdup(location) : NULL;
  if (location && !copy) status = ghee_error_no_memory(err, "finding a DataNode");
  json_decref(json);
  if (status == GHEE_OK) *out = copy;
  return status;
}

/* ---- the simple operations ---- */

ghee_status ghee_hdfs_status_read(const char *what, json_t *json, ghee_hdfs_status *out, ghee_error *err) {
  const char *type = json_string_value(json_object_get(json, "type"));
  json_t *length = json_object_get(json, "length"), *id = json_object_get(json, "fileId"), *modified = json_object_get(json, "modificationTime");
  if (!type || !json_is_integer(length) || !json_is_integer(id) || !json_is_integer(modified))
    return ghee_error_set(err, GHEE_CORRUPT, "%s: the NameNode's answer lacks type, length, fileId or modificationTime", what);
  *out = (ghee_hdfs_status){.folder = strcmp(type, "DIRECTORY") == 0, .size_bytes = (uint64_t)json_integer_value(length),
                            .file_id = (uint64_t)json_integer_value(id), .modified_ms = (uint64_t)json_integer_value(modified),
                            .block_bytes = (uint64_t)json_integer_value(json_object_get(json, "blockSize"))};
  return GHEE_OK;
}

ghee_status ghee_hdfs_stat(ghee_hdfs_store *store, const char *what, const char *path, ghee_hdfs_status *out, ghee_error *err) {
  json_t *json;
  GHEE_TRY(ghee_hdfs_ask(store, what, "GET", path, (const char *const[]){"op", "GETFILESTATUS", NULL}, &json, err));
  ghee_status status = ghee_hdfs_status_read(what, json_object_get(json, "FileStatus"), out, err);
  json_decref(json);
  return status;
}

void ghee_hdfs_version(const ghee_hdfs_status *of, char out[GHEE_HDFS_VERSION_SIZE]) {
  snprintf(out, GHEE_HDFS_VERSION_SIZE, "%llx-%llx-%llx", (unsigned long long)of->file_id, (unsigned long long)of->size_bytes, (unsigned long long)of->modified_ms);
}

ghee_status ghee_hdfs_delete(ghee_hdfs_store *store, const char *what, const char *path, bool recursive, ghee_error *err) {
  return ghee_hdfs_ask(store, what, "DELETE", path, (const char *const[]){"op", "DELETE", "recursive", recursive ? "true" : "false", NULL}, NULL, err);
}

ghee_status ghee_hdfs_make_folders(ghee_hdfs_store *store, const char *what, const char *path, ghee_error *err) {
  return ghee_hdfs_ask(store, what, "PUT", path, (const char *const[]){"op", "MKDIRS", NULL}, NULL, err);
}

ghee_status ghee_hdfs_rename(ghee_hdfs_store *store, const char *what, const char *from, const char *to, bool replace, ghee_error *err) {
  ghee_hdfs_status before, after;
  ghee_error why;
  GHEE_TRY(ghee_hdfs_stat(store, what, from, &before, err));
  const char *const parameters[] = {"op", "RENAME", "destination", to, "renameoptions", replace ? "OVERWRITE" : "NONE", NULL};
  ghee_status status = ghee_hdfs_ask(store, what, "PUT", from, parameters, NULL, &why);
  if (status == GHEE_OK) return GHEE_OK;
  /* A second try finds what a first one did whose answer was lost: what was there is here now. */
  if (ghee_hdfs_stat(store, what, to, &after, NULL) == GHEE_OK && after.file_id == before.file_id) return GHEE_OK;
  return ghee_error_set(err, status, "%s", why.message);
}
