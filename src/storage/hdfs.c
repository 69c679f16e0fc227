/* SPDX-License-Identifier: Apache-2.0
 * The hdfs: backend: the table, URIs, looking and removing. */
#include "storage/hdfs.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "net/url.h"
#include "storage/hdfs_conf.h"
#include "storage/uri.h"

/* ---- URIs ---- */

ghee_status ghee_hdfs_path(const ghee_hdfs_store *store, const char *uri, char **out, ghee_error *err) {
  size_t length = strlen(store->head);
  if (strncmp(uri, store->head, length) != 0 || (uri[length] && uri[length] != '/'))
    return ghee_error_set(err, GHEE_INVALID, "%s and %s/ are in different clusters; inputs of one job must share them", uri, store->head);
  char *path = ghee_alloc(strlen(uri + length) + 2), *to = path;
  if (!path) return ghee_error_no_memory(err, "reading a URI");
  for (const char *at = uri + length; *at;) {
    at += strspn(at, "/");
    size_t n = strcspn(at, "/");
    if ((n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.')) {
      ghee_free(path);
      return ghee_error_set(err, GHEE_INVALID, "%s has . or .. in its path, which HDFS does not know", uri);
    }
    if (n > 0) *to++ = '/';
    memcpy(to, at, n);
    to += n;
    at += n;
  }
  if (to == path) *to++ = '/';
  *to = 0;
  *out = path;
  return GHEE_OK;
}

char *ghee_hdfs_parent(const char *path) {
  const char *slash = strrchr(path, '/');
  return ghee_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

const char *ghee_hdfs_name(const char *path) { return strrchr(path, '/') + 1; }

/* ---- options ---- */

static const char *const settings[] = {"user", "tls", "ca", "block_size", "replication", "negotiate", NULL};

/* The first of a name counts. */
static ghee_status set_option(ghee_hdfs_store *store, const char *text, size_t length, ghee_error *err) {
  struct { const char *name; char **value; } known[] = {
      {"user", &store->options.user}, {"tls", &store->options.tls}, {"ca", &store->options.ca}, {"block_size", &store->options.block_size},
      {"replication", &store->options.replication}, {"negotiate", &store->options.negotiate}};
  size_t name = strcspn(text, "=;/");
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strlen(known[i].name) != name || strncmp(known[i].name, text, name) != 0) continue;
    if (*known[i].value) return GHEE_OK;
    *known[i].value = name < length ? ghee_strndup(text + name + 1, length - name - 1) : ghee_strdup("true");
    return *known[i].value ? ghee_url_unescape(*known[i].value, err) : ghee_error_no_memory(err, "opening HDFS");
  }
  return ghee_error_set(err, GHEE_INVALID, "an hdfs: URI has no option %.*s; there are user, tls, ca, block_size, replication and negotiate", (int)name, text);
}

static ghee_status read_options(ghee_hdfs_store *store, const char *options, ghee_error *err) {
  for (const char *at = options; *at == ';' && at[1] && at[1] != '/';) {
    size_t n = strcspn(++at, ";/");
    GHEE_TRY(set_option(store, at, n, err));
    at += n;
  }
  char **tls = &store->options.tls, **negotiate = &store->options.negotiate;
  for (char ***flag = (char **[]){tls, negotiate, NULL}; *flag; flag++) {
    if (!**flag || strcmp(**flag, "true") == 0) continue;
    ghee_free(**flag);
    **flag = NULL;
  }
  return GHEE_OK;
}

static ghee_status find_user(ghee_hdfs_store *store, ghee_error *err) {
  const char *token = getenv("GHEE_HDFS_TOKEN"), *name = getenv("HADOOP_USER_NAME");
  if (token && *token && !(store->token = ghee_strdup(token))) return ghee_error_no_memory(err, "opening HDFS");
  if (store->options.user) return GHEE_OK;
  struct passwd room, *found = NULL;
  char texts[4096];
  if (!name || !*name) name = getpwuid_r(geteuid(), &room, texts, sizeof texts, &found) == 0 && found ? found->pw_name : "dr.who";
  store->options.user = ghee_strdup(name);
  return store->options.user ? GHEE_OK : ghee_error_no_memory(err, "opening HDFS");
}

/* Room for a default port behind each name. */
static ghee_status read_namenodes(ghee_hdfs_store *store, const char *list, size_t length, ghee_error *err) {
  ghee_buffer text = {0};
  size_t starts[GHEE_HDFS_NAMENODES];
  for (size_t at = 0; at < length;) {
    size_t n = strcspn(list + at, ",;/");
    if (n == 0 || store->n_namenodes == GHEE_HDFS_NAMENODES || memchr(list + at, '@', n)) {
      ghee_buffer_fini(&text);
      return ghee_error_set(err, GHEE_INVALID, "%.*s names no NameNodes: write hdfs://HOST:PORT/PATH, or HOST,HOST of up to %d", (int)length, list, GHEE_HDFS_NAMENODES);
    }
    starts[store->n_namenodes++] = text.size;
    ghee_buffer_printf(&text, "%.*s%s", (int)n, list + at, memchr(list + at, ':', n) ? "" : store->options.tls ? ":9871" : ":9870");
    ghee_buffer_put_u8(&text, 0);
    at += n + (list[at + n] == ',');
  }
  GHEE_TRY(ghee_buffer_check(&text, "opening HDFS", err));
  store->text = (char *)text.data;
  for (unsigned i = 0; i < store->n_namenodes; i++) store->namenodes[i] = store->text + starts[i];
  return GHEE_OK;
}

/* What the authority stands for, as Hadoop's configuration has it; *out NULL where it does not know. With it comes how to talk there. */
static ghee_status look_up(ghee_hdfs_store *store, const char *authority, char **out, ghee_error *err) {
  ghee_settings conf = {0};
  ghee_hdfs_options *options = &store->options;
  *out = NULL;
  ghee_status status = ghee_hdfs_conf_read(&conf, err);
  bool tls = options->tls || ghee_hdfs_conf_tls(&conf), kerberos = ghee_hdfs_conf_kerberos(&conf);
  if (status == GHEE_OK) status = ghee_hdfs_conf_namenodes(&conf, authority, tls, out, err);
  ghee_settings_fini(&conf);
  if (status != GHEE_OK || !*out) return status;
  if (tls && !options->tls && !(options->tls = ghee_strdup("true"))) status = ghee_error_no_memory(err, "opening HDFS");
  if (kerberos && !options->negotiate && !(options->negotiate = ghee_strdup("true"))) status = ghee_error_no_memory(err, "opening HDFS");
  return status;
}

/* A list of NameNodes is one; anything else may be a name that Hadoop's configuration explains. */
static ghee_status find_namenodes(ghee_hdfs_store *store, const char *hosts, size_t length, ghee_error *err) {
  char *authority = ghee_strndup(hosts, length), *found = NULL;
  ghee_status status = authority ? GHEE_OK : ghee_error_no_memory(err, "opening HDFS");
  if (status == GHEE_OK && !strchr(authority, ',')) status = look_up(store, authority, &found, err);
  if (status == GHEE_OK) status = found ? read_namenodes(store, found, strlen(found), err) : read_namenodes(store, hosts, length, err);
  ghee_free(found);
  ghee_free(authority);
  return status;
}

static ghee_status read_uri(ghee_hdfs_store *store, const char *uri, ghee_error *err) {
  if (strncmp(uri, "hdfs://", 7) != 0) return ghee_error_set(err, GHEE_INVALID, "%s names no NameNode: write hdfs://HOST:PORT/PATH, with the port of its HTTP server", uri);
  const char *at = uri + 7;
  size_t hosts = strcspn(at, ";/"), authority = ghee_uri_authority(at);
  if (!(store->head = ghee_asprintf("hdfs://%.*s", (int)authority, at))) return ghee_error_no_memory(err, "opening HDFS");
  GHEE_TRY(read_options(store, at + hosts, err));
  GHEE_TRY(find_namenodes(store, at, hosts, err));
  return find_user(store, err);
}

/* ---- opening ---- */

static void store_close(ghee_object_store *base) {
  ghee_hdfs_store *store = (ghee_hdfs_store *)base;
  ghee_hdfs_options *options = &store->options;
  ghee_http_close(store->names);
  ghee_http_close(store->data);
  pthread_mutex_destroy(&store->locked.mutex);
  ghee_free(options->user);
  ghee_free(options->tls);
  ghee_free(options->ca);
  ghee_free(options->block_size);
  ghee_free(options->replication);
  ghee_free(options->negotiate);
  ghee_free(store->token);
  ghee_free(store->text);
  ghee_free(store->head);
  ghee_free(store);
}

static ghee_status store_open(const char *uri, ghee_object_store **out, ghee_error *err) {
  ghee_hdfs_store *store = ghee_alloc_zero(1, sizeof *store);
  if (!store) return ghee_error_no_memory(err, "opening HDFS");
  store->base.ops = &ghee_object_store_hdfs;
  store->locked.random = ghee_clock_ns();
  pthread_mutex_init(&store->locked.mutex, NULL);
  ghee_status status = read_uri(store, uri, err);
  /* Who fails is not asked again and again: there are other NameNodes and DataNodes. */
  if (status == GHEE_OK) status = ghee_http_open(&(ghee_http_options){.ca_file = store->options.ca, .tries = 2}, &store->names, err);
  if (status == GHEE_OK) status = ghee_http_open(&(ghee_http_options){.ca_file = store->options.ca, .tries = 1}, &store->data, err);
  if (status != GHEE_OK) {
    store_close(&store->base);
    return status;
  }
  *out = &store->base;
  return GHEE_OK;
}

/* ---- looking and removing ---- */

static ghee_status found_one(void *user, const char *name, const ghee_hdfs_status *status, ghee_error *err) {
  (void)name;
  (void)status;
  (void)err;
  *(bool *)user = true;
  return GHEE_CANCELED; /* seen enough */
}

/* An empty folder is nothing, as on stores that know no folders. */
static ghee_status path_exists(ghee_hdfs_store *store, const char *what, const char *path, bool *out, ghee_error *err) {
  ghee_hdfs_status found;
  ghee_error why;
  bool there = false;
  ghee_status status = ghee_hdfs_stat(store, what, path, &found, &why);
  if (status == GHEE_OK && found.folder) {
    status = ghee_hdfs_each(store, what, path, found_one, &there, &why);
    if (status == GHEE_CANCELED) status = GHEE_OK;
  } else {
    there = status == GHEE_OK;
  }
  if (status != GHEE_OK && status != GHEE_NOT_FOUND) return ghee_error_set(err, status, "%s", why.message);
  *out = there;
  return GHEE_OK;
}

/* Runs one of the calls below on the path of a URI. */
static ghee_status on_path(ghee_object_store *base, const char *verb, const char *uri,
                           ghee_status (*call)(ghee_hdfs_store *store, const char *what, const char *path, bool *out, ghee_error *err), bool *out, ghee_error *err) {
  ghee_hdfs_store *store = (ghee_hdfs_store *)base;
  char *what = ghee_asprintf("cannot %s %s", verb, uri), *path = NULL;
  ghee_status status = what ? ghee_hdfs_path(store, uri, &path, err) : ghee_error_no_memory(err, "working on HDFS");
  if (status == GHEE_OK) status = call(store, what, path, out, err);
  ghee_free(path);
  ghee_free(what);
  return status;
}

static ghee_status remove_file(ghee_hdfs_store *store, const char *what, const char *path, bool *out, ghee_error *err) {
  ghee_hdfs_status found;
  ghee_error why;
  (void)out;
  ghee_status status = ghee_hdfs_stat(store, what, path, &found, &why);
  if (status == GHEE_NOT_FOUND) return GHEE_OK;
  if (status != GHEE_OK) return ghee_error_set(err, status, "%s", why.message);
  if (found.folder) return ghee_error_set(err, GHEE_INVALID, "%s as a file: it is a folder", what);
  return ghee_hdfs_delete(store, what, path, false, err);
}

/* With a staging folder goes the claim of its job, if there is one. */
static ghee_status remove_tree(ghee_hdfs_store *store, const char *what, const char *path, bool *out, ghee_error *err) {
  (void)out;
  if (strcmp(path, "/") == 0) return ghee_error_set(err, GHEE_INVALID, "the root folder is not removed");
  GHEE_TRY(ghee_hdfs_release_staging(store, path, err));
  return ghee_hdfs_delete(store, what, path, true, err);
}

/* The nearest folder that is there must let us write. */
static ghee_status may_write(ghee_hdfs_store *store, const char *what, const char *path, bool *out, ghee_error *err) {
  static const char *const parameters[] = {"op", "CHECKACCESS", "fsaction", "-wx", NULL};
  (void)out;
  char *at = ghee_hdfs_parent(path);
  if (strcmp(path, "/") == 0) {
    ghee_free(at);
    return ghee_error_set(err, GHEE_INVALID, "%s: the root folder cannot be an output; name a folder in it", what);
  }
  for (ghee_error why; at;) {
    ghee_status status = ghee_hdfs_ask(store, what, "GET", at, parameters, NULL, &why);
    if (status != GHEE_NOT_FOUND || strcmp(at, "/") == 0) {
      ghee_free(at);
      return status == GHEE_OK ? GHEE_OK : ghee_error_set(err, status, "%s", why.message);
    }
    char *above = ghee_hdfs_parent(at);
    ghee_free(at);
    at = above;
  }
  return ghee_error_no_memory(err, "looking at an output");
}

static ghee_status store_exists(ghee_object_store *store, const char *uri, bool *out, ghee_error *err) { return on_path(store, "look at", uri, path_exists, out, err); }
static ghee_status store_remove(ghee_object_store *store, const char *uri, ghee_error *err) { return on_path(store, "remove", uri, remove_file, NULL, err); }
static ghee_status store_remove_all(ghee_object_store *store, const char *uri, ghee_error *err) { return on_path(store, "remove", uri, remove_tree, NULL, err); }
static ghee_status store_check_output(ghee_object_store *store, const char *uri, ghee_error *err) { return on_path(store, "write to", uri, may_write, NULL, err); }

const struct ghee_object_store_ops ghee_object_store_hdfs = {
    .scheme = "hdfs", .settings = settings, .open = store_open, .close = store_close, .list = ghee_hdfs_store_list, .read = ghee_hdfs_store_read, .blocks = ghee_hdfs_store_blocks,
    .write = ghee_hdfs_store_write, .remove = store_remove, .remove_all = store_remove_all, .exists = store_exists, .check_output = store_check_output, .staging = ghee_hdfs_store_staging,
    .reserve = ghee_hdfs_store_reserve, .release = ghee_hdfs_store_release, .publish = ghee_hdfs_store_publish};
