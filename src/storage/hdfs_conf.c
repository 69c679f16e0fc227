/* SPDX-License-Identifier: Apache-2.0
 * Hadoop's configuration, as far as it tells where NameNodes are.
 *
 * Design notes
 * - Hadoop names NameNodes by their RPC addresses; WebHDFS is at the HTTP address of the same NameNode. Where that is not told, or told as
 *   0.0.0.0, it is the host of the RPC address, with the port that Hadoop takes by default. */
#include "storage/hdfs_conf.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/memory.h"
#include "storage/xml.h"

enum { MOST_FILE_BYTES = 4 << 20, MOST_REFERENCES = 20 };
static const char *const DOING = "reading the configuration of Hadoop";

/* ---- the files ---- */

static char *trimmed(const ghee_buffer *text) {
  const char *from = (const char *)text->data, *end = from ? from + text->size : from;
  while (from < end && isspace((unsigned char)*from)) from++;
  while (end > from && isspace((unsigned char)end[-1])) end--;
  return ghee_strndup(from ? from : "", (size_t)(end - from));
}

/* One <property> after the other; of two with one name the later counts. */
static ghee_status read_properties(ghee_xml *xml, const char *path, ghee_settings *out, ghee_error *err) {
  char *texts[2] = {NULL, NULL}; /* name, value */
  ghee_xml_event event;
  ghee_status status = GHEE_OK;
  while (status == GHEE_OK && (event = ghee_xml_next(xml)) <= GHEE_XML_CLOSE) {
    bool name = strcmp(xml->name, "name") == 0, value = strcmp(xml->name, "value") == 0;
    if (event == GHEE_XML_CLOSE && (name || value)) {
      ghee_free(texts[value]);
      if (!(texts[value] = trimmed(&xml->text))) status = ghee_error_no_memory(err, DOING);
    } else if (event == GHEE_XML_CLOSE && strcmp(xml->name, "property") == 0) {
      if (texts[0] && texts[1]) status = ghee_settings_put(out, texts[0], texts[1], err);
      for (int i = 0; i < 2; i++) ghee_free(texts[i]), texts[i] = NULL;
    }
  }
  for (int i = 0; i < 2; i++) ghee_free(texts[i]);
  if (status == GHEE_OK && xml->text.failed) return ghee_error_no_memory(err, DOING);
  if (status == GHEE_OK && event == GHEE_XML_BAD) return ghee_error_set(err, GHEE_CORRUPT, "%s is no configuration of Hadoop: its XML cannot be read", path);
  return status;
}

static ghee_status read_file(const char *folder, const char *name, ghee_settings *out, ghee_error *err) {
  char *path = ghee_path_join(folder, name);
  if (!path) return ghee_error_no_memory(err, DOING);
  ghee_buffer text = {0};
  ghee_xml xml;
  ghee_error why;
  ghee_status status = ghee_file_read_all(path, MOST_FILE_BYTES, &text, &why);
  if (status == GHEE_OK) {
    ghee_xml_init(&xml, text.data, text.size);
    status = read_properties(&xml, path, out, &why);
    ghee_xml_fini(&xml);
  }
  ghee_buffer_fini(&text);
  ghee_free(path);
  return status == GHEE_OK || status == GHEE_NOT_FOUND ? GHEE_OK : ghee_error_set(err, status, "%s", why.message);
}

ghee_status ghee_hdfs_conf_read(ghee_settings *out, ghee_error *err) {
  const char *conf = getenv("HADOOP_CONF_DIR"), *home = getenv("HADOOP_HOME");
  char *folder = conf && *conf ? ghee_strdup(conf) : home && *home ? ghee_path_join(home, "etc/hadoop") : ghee_strdup("/etc/hadoop/conf");
  if (!folder) return ghee_error_no_memory(err, DOING);
  ghee_status status = read_file(folder, "core-site.xml", out, err);
  if (status == GHEE_OK) status = read_file(folder, "hdfs-site.xml", out, err);
  ghee_free(folder);
  return status;
}

/* ---- values ---- */

/* Appends a value, "${…}" in it replaced; what refers to nothing stands for itself, as in Hadoop. */
static void put_value(const ghee_settings *conf, const char *value, unsigned depth, ghee_buffer *out) {
  for (const char *at = value; *at;) {
    const char *open = strstr(at, "${"), *close = open ? strchr(open, '}') : NULL;
    if (!close || depth == MOST_REFERENCES) {
      ghee_buffer_printf(out, "%s", at);
      return;
    }
    char *name = ghee_strndup(open + 2, (size_t)(close - open - 2));
    const char *found = !name ? NULL : strncmp(name, "env.", 4) == 0 ? getenv(name + 4) : ghee_settings_get(conf, name);
    ghee_buffer_put(out, at, (size_t)(open - at));
    if (found) put_value(conf, found, depth + 1, out);
    else ghee_buffer_put(out, open, (size_t)(close + 1 - open));
    out->failed |= !name;
    ghee_free(name);
    at = close + 1;
  }
}

/* The value of a property; of "NAME.SUFFIX" where a suffix is given. "" where there is none. out gives: ghee_free. */
static ghee_status get(const ghee_settings *conf, const char *name, const char *suffix, char **out, ghee_error *err) {
  ghee_buffer key = {0}, value = {0};
  ghee_buffer_printf(&key, *suffix ? "%s.%s" : "%s%s", name, suffix);
  const char *found = key.failed ? NULL : ghee_settings_get(conf, ghee_buffer_text(&key));
  if (found) put_value(conf, found, 0, &value);
  const char *text = ghee_buffer_text(&value);
  *out = key.failed || value.failed ? NULL : ghee_strdup(text);
  ghee_buffer_fini(&key);
  ghee_buffer_fini(&value);
  return *out ? GHEE_OK : ghee_error_no_memory(err, DOING);
}

static bool is(const ghee_settings *conf, const char *name, const char *wanted) {
  char *value = NULL;
  bool same = get(conf, name, "", &value, NULL) == GHEE_OK && strcmp(value, wanted) == 0;
  ghee_free(value);
  return same;
}

bool ghee_hdfs_conf_tls(const ghee_settings *conf) { return is(conf, "dfs.http.policy", "HTTPS_ONLY"); }
bool ghee_hdfs_conf_kerberos(const ghee_settings *conf) { return is(conf, "hadoop.security.authentication", "kerberos"); }

/* ---- NameNodes ---- */

/* Appends "HOST:PORT" of the HTTP server of the NameNode that the suffix ("", "SERVICE" or "SERVICE.ID") names; `rpc`: its RPC address. */
static ghee_status put_namenode(const ghee_settings *conf, const char *suffix, const char *rpc, bool tls, ghee_buffer *out, ghee_error *err) {
  char *http;
  GHEE_TRY(get(conf, tls ? "dfs.namenode.https-address" : "dfs.namenode.http-address", suffix, &http, err));
  const char *port = strrchr(http, ':');
  bool anywhere = strncmp(http, "0.0.0.0:", 8) == 0 || !*http;
  if (anywhere && !*rpc && *http) anywhere = false; /* no better name is known */
  if (*http || *rpc) {
    ghee_buffer_printf(out, "%s", out->size ? "," : "");
    if (anywhere) ghee_buffer_printf(out, "%.*s%s", (int)strcspn(rpc, ":"), rpc, *http && port ? port : tls ? ":9871" : ":9870");
    else ghee_buffer_printf(out, "%s", http);
  }
  ghee_free(http);
  return GHEE_OK;
}

/* The next name of a list "a, b"; NULL at its end. Cuts the list. */
static char *next_name(char **list) {
  *list += strspn(*list, ", \t\n");
  char *name = *list;
  size_t n = strcspn(name, ", \t\n");
  *list += n + (name[n] != 0);
  name[n] = 0;
  return n > 0 ? name : NULL;
}

/* All NameNodes of a nameservice; only the one whose RPC address is `rpc` where that is given. */
static ghee_status put_service(const ghee_settings *conf, const char *service, const char *rpc, bool tls, ghee_buffer *out, ghee_error *err) {
  char *ids, *its = NULL;
  GHEE_TRY(get(conf, "dfs.ha.namenodes", service, &ids, err));
  ghee_status status = GHEE_OK;
  bool one = !*ids;
  for (char *list = ids, *id; status == GHEE_OK && ((id = next_name(&list)) || one); one = false) {
    char *suffix = id ? ghee_asprintf("%s.%s", service, id) : ghee_strdup(service);
    status = suffix ? get(conf, "dfs.namenode.rpc-address", suffix, &its, err) : ghee_error_no_memory(err, DOING);
    if (status == GHEE_OK && (!rpc || strcmp(rpc, its) == 0)) status = put_namenode(conf, suffix, its, tls, out, err);
    ghee_free(its);
    its = NULL;
    ghee_free(suffix);
  }
  ghee_free(ids);
  return status;
}

/* The NameNodes of an authority that is not "", into `out`; nothing where it is not known. */
static ghee_status put_authority(const ghee_settings *conf, const char *authority, bool tls, ghee_buffer *out, ghee_error *err) {
  char *services, *rpc = NULL;
  bool address = strchr(authority, ':');
  GHEE_TRY(get(conf, "dfs.nameservices", "", &services, err));
  ghee_status status = GHEE_OK;
  for (char *list = services, *service; status == GHEE_OK && out->size == 0 && (service = next_name(&list));)
    if (address || strcmp(service, authority) == 0) status = put_service(conf, service, address ? authority : NULL, tls, out, err);
  ghee_free(services);
  if (status == GHEE_OK && out->size == 0) status = get(conf, "dfs.namenode.rpc-address", "", &rpc, err);
  if (status == GHEE_OK && out->size == 0 && strcmp(rpc, authority) == 0) status = put_namenode(conf, "", rpc, tls, out, err);
  ghee_free(rpc);
  return status;
}

/* What stands between "hdfs://" and the path in fs.defaultFS. out gives: ghee_free. */
static ghee_status default_authority(const ghee_settings *conf, char **out, ghee_error *err) {
  char *fs;
  GHEE_TRY(get(conf, "fs.defaultFS", "", &fs, err));
  size_t n = strncmp(fs, "hdfs://", 7) == 0 ? strcspn(fs + 7, "/") : 0;
  *out = n > 0 ? ghee_strndup(fs + 7, n) : NULL;
  ghee_free(fs);
  if (n == 0) return ghee_error_set(err, GHEE_INVALID, "a URI without a NameNode needs fs.defaultFS, hdfs://…, in the core-site.xml of HADOOP_CONF_DIR");
  return *out ? GHEE_OK : ghee_error_no_memory(err, DOING);
}

ghee_status ghee_hdfs_conf_namenodes(const ghee_settings *conf, const char *authority, bool tls, char **out, ghee_error *err) {
  char *fallback = NULL, *found = NULL;
  ghee_buffer text = {0};
  ghee_error why;
  ghee_status status = default_authority(conf, &fallback, &why);
  if (status != GHEE_OK && (!*authority || status == GHEE_NO_MEMORY)) return ghee_error_set(err, status, "%s", why.message);
  bool is_default = !*authority || (fallback && strcmp(authority, fallback) == 0);
  status = put_authority(conf, *authority ? authority : fallback, tls, &text, err);
  if (status == GHEE_OK && text.size == 0 && is_default) status = put_namenode(conf, "", fallback, tls, &text, err);
  ghee_free(fallback);
  const char *list = ghee_buffer_text(&text);
  if (status == GHEE_OK) status = ghee_buffer_check(&text, DOING, err);
  if (status == GHEE_OK && *list && !(found = ghee_strdup(list))) status = ghee_error_no_memory(err, DOING);
  ghee_buffer_fini(&text);
  if (status == GHEE_OK) *out = found;
  return status;
}
