/* SPDX-License-Identifier: Apache-2.0
 * Listings of an S3 store: objects (ListObjectsV2) and unfinished uploads. A page is held at a time, and the next one is on its way
 * while it is given out, so the memory does not grow with the number of objects. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "storage/s3.h"
#include "storage/xml.h"

/* ---- one page ---- */

typedef struct page {
  GHEE_ARRAY(ghee_s3_object) objects;
  bool more;
  char *token;
} page;

static void object_fini(ghee_s3_object *of) {
  ghee_free(of->key);
  ghee_free(of->etag);
  *of = (ghee_s3_object){0};
}

static void page_fini(page *of) {
  for (size_t i = 0; i < of->objects.count; i++) object_fini(&of->objects.items[i]);
  ghee_array_fini(&of->objects);
  ghee_free(of->token);
  *of = (page){0};
}

static bool keep(char **to, ghee_buffer *text) {
  ghee_free(*to);
  return (*to = ghee_strdup(ghee_buffer_text(text)));
}

/* False: no memory. */
static bool take_element(page *of, ghee_xml *xml, ghee_s3_object *object) {
  const char *name = xml->name;
  if (xml->depth == 1) {
    if (strcmp(name, "IsTruncated") == 0) of->more = strcmp(ghee_buffer_text(&xml->text), "true") == 0;
    if (strcmp(name, "NextContinuationToken") == 0) return keep(&of->token, &xml->text);
    if (strcmp(name, "Contents") != 0) return true;
    bool kept = object->key && ghee_array_push(&of->objects, *object);
    if (kept) *object = (ghee_s3_object){0};
    return kept;
  }
  if (xml->depth != 2) return true;
  if (strcmp(name, "Key") == 0) return keep(&object->key, &xml->text);
  if (strcmp(name, "Size") == 0) object->size_bytes = strtoull(ghee_buffer_text(&xml->text), NULL, 10);
  if (strcmp(name, "ETag") != 0) return true;
  if (!keep(&object->etag, &xml->text)) return false;
  ghee_s3_bare_etag(object->etag);
  return true;
}

static ghee_status read_page(const ghee_s3_request *request, page *of, ghee_error *err) {
  ghee_s3_object object = {0};
  ghee_xml xml;
  ghee_xml_event event;
  bool room = true;
  ghee_xml_init(&xml, request->response.body.data, request->response.body.size);
  while (room && (event = ghee_xml_next(&xml)) <= GHEE_XML_CLOSE)
    if (event == GHEE_XML_CLOSE) room = take_element(of, &xml, &object);
  bool bad = room && event == GHEE_XML_BAD && !xml.text.failed;
  room = room && !xml.text.failed;
  ghee_xml_fini(&xml);
  object_fini(&object);
  if (!room) return ghee_error_no_memory(err, "listing objects");
  if (bad || (of->more && !of->token)) return ghee_error_set(err, GHEE_IO, "%s: the server's answer is no listing", request->what);
  return GHEE_OK;
}

/* ---- all of them ---- */

static ghee_status ask_page(ghee_s3_store *store, ghee_s3_request *request, const char *what, const char *prefix, const char *token, ghee_error *err) {
  ghee_s3_request_fini(request);
  *request = (ghee_s3_request){.what = what, .method = "GET", .key = ""};
  if (token) ghee_url_add_query(&request->query, "continuation-token", token);
  ghee_url_add_query(&request->query, "list-type", "2");
  ghee_url_add_query(&request->query, "prefix", prefix);
  return ghee_s3_start(store, request, err);
}

static ghee_status each_page(ghee_s3_store *store, ghee_s3_request *request, const char *prefix, ghee_status (*each)(void *, const ghee_s3_object *, ghee_error *),
                             void *user, bool *more, ghee_error *err) {
  page of = {0};
  GHEE_TRY(ghee_s3_wait(store, request, err));
  GHEE_TRY(ghee_s3_refused(store, request, err));
  ghee_status status = read_page(request, &of, err);
  *more = of.more;
  if (status == GHEE_OK && of.more) status = ask_page(store, request, request->what, prefix, of.token, err);
  for (size_t i = 0; i < of.objects.count && status == GHEE_OK; i++) status = each(user, &of.objects.items[i], err);
  page_fini(&of);
  return status;
}

ghee_status ghee_s3_each(ghee_s3_store *store, const char *prefix, ghee_status (*each)(void *user, const ghee_s3_object *object, ghee_error *err), void *user,
                         ghee_error *err) {
  ghee_s3_request request = {0};
  char *what = ghee_asprintf("cannot list %s%s", store->head, prefix);
  if (!what) return ghee_error_no_memory(err, "listing objects");
  bool more = true;
  ghee_status status = ask_page(store, &request, what, prefix, NULL, err);
  while (status == GHEE_OK && more) status = each_page(store, &request, prefix, each, user, &more, err);
  ghee_s3_request_fini(&request);
  ghee_free(what);
  return status;
}

/* ---- the slot ---- */

typedef struct listing {
  ghee_s3_store *store;
  ghee_status (*each)(void *user, const ghee_object_info *info, ghee_error *err);
  void *user;
  size_t skip;     /* bytes of the prefix: names behind it may be hidden */
  bool found;
} listing;

static bool is_hidden(const char *name) {
  for (;;) {
    if (*name == '.' || *name == '_') return true;
    name = strchr(name, '/');
    if (!name) return false;
    name++;
  }
}

static ghee_status give(listing *of, const char *key, uint64_t size, const char *etag, ghee_error *err) {
  char *uri = ghee_s3_uri(of->store, key), *version = ghee_strdup(etag ? etag : "");
  ghee_object_info info = {uri, size, version};
  ghee_status status = uri && version ? of->each(of->user, &info, err) : ghee_error_no_memory(err, "listing objects");
  ghee_free(uri);
  ghee_free(version);
  return status;
}

static ghee_status give_visible(void *user, const ghee_s3_object *object, ghee_error *err) {
  listing *of = user;
  size_t length = strlen(object->key);
  of->found = true;
  /* What ends in a slash stands for a folder and has no bytes of its own. */
  if (object->key[length - 1] == '/' || is_hidden(object->key + of->skip)) return GHEE_OK;
  return give(of, object->key, object->size_bytes, object->etag, err);
}

static ghee_status list_object(listing *of, const char *key, ghee_error *err) {
  uint64_t size;
  char etag[GHEE_S3_ETAG_SIZE];
  ghee_error why;
  ghee_status status = ghee_s3_head(of->store, key, &size, etag, &why);
  if (status == GHEE_NOT_FOUND) return GHEE_OK;
  if (status != GHEE_OK) return ghee_error_set(err, status, "%s", why.message);
  of->found = true;
  return give(of, key, size, etag, err);
}

ghee_status ghee_s3_store_list(ghee_object_store *base, const char *uri, ghee_status (*each)(void *user, const ghee_object_info *info, ghee_error *err),
                               void *user, ghee_error *err) {
  listing of = {.store = (ghee_s3_store *)base, .each = each, .user = user};
  char *copy = ghee_strdup(uri), *key, *prefix = NULL;
  ghee_status status = copy ? ghee_s3_key(of.store, copy, &key, err) : ghee_error_no_memory(err, "listing objects");
  if (status == GHEE_OK) {
    prefix = ghee_asprintf(*key ? "%s/" : "%s", key);
    of.skip = prefix ? strlen(prefix) : 0;
    if (!prefix) status = ghee_error_no_memory(err, "listing objects");
    if (status == GHEE_OK && *key) status = list_object(&of, key, err);
    if (status == GHEE_OK) status = ghee_s3_each(of.store, prefix, give_visible, &of, err);
    if (status == GHEE_OK && !of.found) status = ghee_error_set(err, GHEE_NOT_FOUND, "there is nothing at %s", uri);
  }
  ghee_free(prefix);
  ghee_free(copy);
  return status;
}

/* ---- unfinished uploads ---- */

typedef struct upload {
  char *key, *id, *initiated;
} upload;
typedef GHEE_ARRAY(upload) upload_list;

static void upload_fini(upload *of) {
  ghee_free(of->key);
  ghee_free(of->id);
  ghee_free(of->initiated);
  *of = (upload){0};
}

static ghee_status read_uploads(const ghee_s3_request *request, upload_list *out, bool *more, ghee_error *err) {
  upload one = {0};
  ghee_xml xml;
  ghee_xml_event event;
  bool room = true;
  *more = false;
  ghee_xml_init(&xml, request->response.body.data, request->response.body.size);
  while (room && (event = ghee_xml_next(&xml)) <= GHEE_XML_CLOSE) {
    if (event != GHEE_XML_CLOSE) continue;
    if (strcmp(xml.name, "Key") == 0) room = keep(&one.key, &xml.text);
    else if (strcmp(xml.name, "UploadId") == 0) room = keep(&one.id, &xml.text);
    else if (strcmp(xml.name, "Initiated") == 0) room = keep(&one.initiated, &xml.text);
    else if (strcmp(xml.name, "IsTruncated") == 0) *more = strcmp(ghee_buffer_text(&xml.text), "true") == 0;
    else if (strcmp(xml.name, "Upload") == 0 && one.key && one.id && (room = ghee_array_push(out, one))) one = (upload){0};
  }
  room = room && !xml.text.failed;
  ghee_xml_fini(&xml);
  upload_fini(&one);
  return room ? GHEE_OK : ghee_error_no_memory(err, "listing unfinished uploads");
}

static ghee_status abort_upload(ghee_s3_store *store, const char *what, const upload *of, ghee_error *err) {
  ghee_s3_request request = {.what = what, .method = "DELETE", .key = of->key};
  ghee_url_add_query(&request.query, "uploadId", of->id);
  ghee_error why;
  ghee_status status = ghee_s3_do(store, &request, &why);
  ghee_s3_request_fini(&request);
  return status == GHEE_OK || status == GHEE_NOT_FOUND ? GHEE_OK : ghee_error_set(err, status, "%s", why.message);
}

/* Aborts those of one page; false in *again when there is nothing left to do. */
static ghee_status abort_page(ghee_s3_store *store, const char *what, const char *prefix, bool (*doomed)(void *, const char *, const char *), void *user, bool *again,
                              ghee_error *err) {
  ghee_s3_request request = {.what = what, .method = "GET", .key = ""};
  upload_list list = {0};
  bool more = false;
  size_t aborted = 0;
  ghee_url_add_query(&request.query, "prefix", prefix);
  ghee_url_add_query(&request.query, "uploads", NULL);
  ghee_status status = ghee_s3_do(store, &request, err);
  if (status == GHEE_OK) status = read_uploads(&request, &list, &more, err);
  for (size_t i = 0; i < list.count; i++) {
    const upload *of = &list.items[i];
    bool ours = strncmp(of->key, prefix, strlen(prefix)) == 0 && (!doomed || doomed(user, of->key, of->initiated ? of->initiated : ""));
    if (status == GHEE_OK && ours) status = abort_upload(store, what, of, err), aborted++;
    upload_fini(&list.items[i]);
  }
  ghee_array_fini(&list);
  ghee_s3_request_fini(&request);
  *again = more && aborted > 0;
  return status;
}

ghee_status ghee_s3_abort_uploads(ghee_s3_store *store, const char *prefix, bool (*doomed)(void *user, const char *key, const char *initiated), void *user,
                                  ghee_error *err) {
  char *what = ghee_asprintf("cannot abort the unfinished uploads of %s%s", store->head, prefix);
  if (!what) return ghee_error_no_memory(err, "aborting uploads");
  bool again = true;
  ghee_status status = GHEE_OK;
  while (status == GHEE_OK && again) status = abort_page(store, what, prefix, doomed, user, &again, err);
  ghee_free(what);
  return status;
}
