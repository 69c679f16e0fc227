/* SPDX-License-Identifier: Apache-2.0
 * The manifest as JSON, one file a line. Texts are escaped so that YAML readers, for which some characters are line breaks or not
 * allowed, read the same as JSON readers. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "manifest/check.h"
#include "text/document.h"
#include "text/utf8.h"

enum {
  VERSION = 2,
  MOST_BYTES = 256 << 20
};

/* ---- out ---- */

/* A character that must be escaped: controls, line breaks of YAML, and what YAML does not allow. `n` bytes of UTF-8. */
static bool must_escape(const unsigned char *at, size_t n, unsigned *code) {
  if (n == 1) *code = at[0];
  else if (n == 2) *code = (at[0] & 0x1fu) << 6 | (at[1] & 0x3fu);
  else if (n == 3) *code = (at[0] & 0x0fu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
  else return false;
  return *code < 0x20 || *code == '"' || *code == '\\' || (*code >= 0x7f && *code < 0xa0) || *code == 0x2028 || *code == 0x2029 || *code == 0xfeff ||
         *code >= 0xfffe;
}

static void put_text(ghee_buffer *json, const char *text) {
  const unsigned char *at = (const unsigned char *)text;
  size_t left = strlen(text);
  ghee_buffer_put(json, "\"", 1);
  for (size_t n; left > 0; at += n, left -= n) {
    unsigned code;
    n = ghee_utf8_length(at, left);
    if (n == 0) n = 1; /* only job and format, which are told elsewhere too */
    if (must_escape(at, n, &code)) ghee_buffer_printf(json, "\\u%04x", code);
    else ghee_buffer_put(json, at, n);
  }
  ghee_buffer_put(json, "\"", 1);
}

static void put_commit(ghee_buffer *json, const ghee_manifest_commit *commit) {
  ghee_buffer_printf(json, "{\"job\": ");
  put_text(json, commit->job);
  ghee_buffer_printf(json, ", \"chunks\": \"");
  for (size_t i = 0; i < commit->count; i++) {
    ghee_manifest_range range = commit->ranges[i];
    ghee_buffer_printf(json, "%s%u", i ? "," : "", (unsigned)range.first);
    if (range.last > range.first) ghee_buffer_printf(json, "-%u", (unsigned)range.last);
  }
  ghee_buffer_printf(json, "\"}");
}

static void put_file(ghee_buffer *json, const ghee_manifest_file *file) {
  ghee_buffer_printf(json, "{\"name\": ");
  put_text(json, file->name);
  ghee_buffer_printf(json, ", \"rows\": %llu, \"size_bytes\": %llu, \"checksum\": \"%s\"", (unsigned long long)file->rows,
                     (unsigned long long)file->size_bytes, file->checksum);
  if (file->commit != GHEE_MANIFEST_NO_COMMIT) ghee_buffer_printf(json, ", \"commit\": %u", (unsigned)file->commit);
  ghee_buffer_printf(json, "}");
}

ghee_status ghee_manifest_encode(const ghee_manifest *of, ghee_buffer *json, ghee_error *err) {
  for (size_t i = 0; i < of->count; i++) GHEE_TRY(ghee_manifest_check_file(of, &of->files[i], err));
  GHEE_TRY(ghee_manifest_check_whole(of, err));
  ghee_buffer_printf(json, "{\n  \"version\": %d,\n  \"job\": ", VERSION);
  put_text(json, of->job ? of->job : "");
  ghee_buffer_printf(json, ",\n  \"format\": ");
  put_text(json, of->format ? of->format : "");
  ghee_buffer_printf(json, ",\n  \"created_ms\": %lld,\n  \"commits\": [", (long long)of->created_ms);
  for (size_t i = 0; i < of->n_commits; i++) {
    ghee_buffer_printf(json, "%s\n    ", i ? "," : "");
    put_commit(json, &of->commits[i]);
  }
  ghee_buffer_printf(json, "%s],\n  \"files\": [", of->n_commits ? "\n  " : "");
  for (size_t i = 0; i < of->count; i++) {
    ghee_buffer_printf(json, "%s\n    ", i ? "," : "");
    put_file(json, &of->files[i]);
  }
  ghee_buffer_printf(json, "%s]\n}\n", of->count ? "\n  " : "");
  return ghee_buffer_check(json, "writing a manifest", err);
}

/* ---- in ---- */

/* A number of decimal digits at `*at`, which goes on behind it. */
static bool read_chunk(const char **at, uint32_t *out) {
  uint64_t value = 0;
  const char *from = *at;
  for (; **at >= '0' && **at <= '9' && value <= UINT32_MAX; (*at)++) value = value * 10 + (uint64_t)(**at - '0');
  *out = (uint32_t)value;
  return *at > from && value <= UINT32_MAX;
}

/* "0-5,9", or nothing. */
static ghee_status read_ranges(const ghee_node *node, const char *at, ghee_manifest_commit *commit, ghee_error *err) {
  for (bool more = *at; more;) {
    ghee_manifest_range range;
    bool good = read_chunk(&at, &range.first);
    range.last = range.first;
    if (good && *at == '-') {
      at++;
      good = read_chunk(&at, &range.last);
    }
    more = *at == ',';
    if (!good || (*at && !more)) return ghee_node_error(node, err, "chunks must be like \"0-5,9\"");
    if (more) at++;
    ghee_error why;
    ghee_status status = ghee_manifest_hold_range(commit, range, &why);
    if (status != GHEE_OK) return status == GHEE_INVALID ? ghee_node_error(node, err, "%s", why.message) : ghee_error_set(err, status, "%s", why.message);
  }
  return GHEE_OK;
}

static ghee_status read_commit(const ghee_node *node, ghee_manifest *out, ghee_error *err) {
  static const char *const known[] = {"job", "chunks", NULL};
  const char *job = NULL, *chunks = NULL;
  uint32_t commit;
  if (node->kind != GHEE_NODE_MAP) return ghee_node_error(node, err, "a commit must be a map");
  GHEE_TRY(ghee_node_only(node, "commit", known, err));
  GHEE_TRY(ghee_node_read_text(node, "job", &job, err));
  GHEE_TRY(ghee_node_read_text(node, "chunks", &chunks, err));
  if (!job || !chunks) return ghee_node_error(node, err, "a commit needs job and chunks");
  GHEE_TRY(ghee_manifest_begin(out, job, &commit, err));
  return read_ranges(node, chunks, &out->commits[commit], err);
}

static ghee_status read_file(const ghee_node *node, ghee_manifest *out, ghee_error *err) {
  static const char *const known[] = {"name", "rows", "size_bytes", "checksum", "commit", NULL};
  const char *name = NULL, *checksum = NULL;
  int64_t rows = -1, size_bytes = -1, commit = GHEE_MANIFEST_NO_COMMIT;
  if (node->kind != GHEE_NODE_MAP) return ghee_node_error(node, err, "a file must be a map");
  GHEE_TRY(ghee_node_only(node, "file", known, err));
  GHEE_TRY(ghee_node_read_text(node, "name", &name, err));
  GHEE_TRY(ghee_node_read_text(node, "checksum", &checksum, err));
  GHEE_TRY(ghee_node_read_int(node, "rows", 0, INT64_MAX, &rows, err));
  GHEE_TRY(ghee_node_read_int(node, "size_bytes", 0, INT64_MAX, &size_bytes, err));
  GHEE_TRY(ghee_node_read_int(node, "commit", 0, GHEE_MANIFEST_NO_COMMIT - 1, &commit, err));
  if (!name || !checksum || rows < 0 || size_bytes < 0) return ghee_node_error(node, err, "a file needs name, rows, size_bytes and checksum");
  ghee_error why;
  ghee_manifest_file file = {.name = (char *)name, .checksum = (char *)checksum, .commit = (uint32_t)commit};
  if (ghee_manifest_check_file(out, &file, &why) != GHEE_OK) return ghee_node_error(node, err, "%s", why.message);
  return ghee_manifest_add(out, name, (uint64_t)rows, (uint64_t)size_bytes, checksum, (uint32_t)commit, err);
}

static ghee_status read_root(const ghee_node *root, ghee_manifest *out, ghee_error *err) {
  static const char *const known[] = {"version", "job", "format", "created_ms", "commits", "files", NULL};
  if (!root || root->kind != GHEE_NODE_MAP) return ghee_error_set(err, GHEE_INVALID, "_manifest.json:1:1: a manifest must be a map");
  int64_t version = 0;
  GHEE_TRY(ghee_node_read_int(root, "version", 1, INT64_MAX, &version, err));
  if (version > VERSION) return ghee_error_set(err, GHEE_UNSUPPORTED, "the manifest was written by a newer ghee (its version is %lld)", (long long)version);
  GHEE_TRY(ghee_node_only(root, "manifest", known, err));
  const char *job = NULL, *format = NULL;
  const ghee_node *commits = ghee_node_get(root, "commits"), *files = ghee_node_get(root, "files");
  int64_t created_ms = 0;
  GHEE_TRY(ghee_node_read_text(root, "job", &job, err));
  GHEE_TRY(ghee_node_read_text(root, "format", &format, err));
  GHEE_TRY(ghee_node_read_int(root, "created_ms", INT64_MIN, INT64_MAX, &created_ms, err));
  if (commits && commits->kind != GHEE_NODE_LIST) return ghee_node_error(commits, err, "commits must be a list");
  if (version < 1 || !job || !format || !files || files->kind != GHEE_NODE_LIST)
    return ghee_node_error(root, err, "a manifest needs version, job, format and a list of files");
  out->created_ms = created_ms;
  out->job = ghee_strdup(job);
  out->format = ghee_strdup(format);
  if (!out->job || !out->format) return ghee_error_no_memory(err, "reading a manifest");
  for (size_t i = 0; commits && i < commits->n; i++) GHEE_TRY(read_commit(commits->items[i], out, err));
  for (size_t i = 0; i < files->n; i++) GHEE_TRY(read_file(files->items[i], out, err));
  ghee_error why;
  ghee_status status = ghee_manifest_check_whole(out, &why);
  return status == GHEE_INVALID ? ghee_node_error(files, err, "%s", why.message) : status == GHEE_OK ? status : ghee_error_set(err, status, "%s", why.message);
}

ghee_status ghee_manifest_decode(const char *json, size_t size_bytes, ghee_manifest *out, ghee_error *err) {
  ghee_document *document = NULL;
  ghee_manifest made = {0};
  ghee_status status = ghee_document_parse(json, size_bytes, "_manifest.json", &document, err);
  if (status == GHEE_OK) status = read_root(ghee_document_root(document), &made, err);
  ghee_document_free(document);
  if (status == GHEE_OK) {
    *out = made;
    return GHEE_OK;
  }
  ghee_manifest_fini(&made);
  if (status != GHEE_INVALID) return status;
  if (err) err->status = GHEE_CORRUPT;
  return GHEE_CORRUPT;
}

static ghee_status decode_source(ghee_source *source, ghee_manifest *out, ghee_error *err) {
  if (source->size_bytes > MOST_BYTES) return ghee_error_set(err, GHEE_CORRUPT, "%llu bytes are too many", (unsigned long long)source->size_bytes);
  char *json = ghee_alloc((size_t)source->size_bytes);
  if (!json) return ghee_error_no_memory(err, "reading a manifest");
  ghee_status status = source->ops->read(source, 0, (size_t)source->size_bytes, json, err);
  if (status == GHEE_OK) status = ghee_manifest_decode(json, (size_t)source->size_bytes, out, err);
  ghee_free(json);
  return status;
}

ghee_status ghee_manifest_read(ghee_object_store *store, const char *uri, ghee_manifest *out, ghee_error *err) {
  char *name = ghee_uri_join(uri, "_manifest.json");
  if (!name) return ghee_error_no_memory(err, "reading a manifest");
  ghee_source *source;
  ghee_status status = store->ops->read(store, name, NULL, &source, err);
  ghee_free(name);
  GHEE_TRY(status);
  status = decode_source(source, out, err);
  source->ops->close(source);
  if (status != GHEE_OK) ghee_error_prefix(err, "cannot use the manifest of %s", uri);
  return status;
}
