/* SPDX-License-Identifier: Apache-2.0
 * The manifest as data and as JSON, one file a line. Texts are escaped so that YAML readers, for which some characters are line
 * breaks or not allowed, read the same as JSON readers. */
#include "manifest/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "manifest/checksum.h"
#include "text/document.h"
#include "text/utf8.h"

enum {
  VERSION = 1,
  MOST_FILES = 150000, /* what a document's limit of nodes lets us read back */
  MOST_BYTES = 256 << 20
};

void ghee_manifest_fini(ghee_manifest *of) {
  for (size_t i = 0; i < of->count; i++) {
    ghee_free(of->files[i].name);
    ghee_free(of->files[i].checksum);
  }
  ghee_free(of->files);
  ghee_free(of->job);
  ghee_free(of->format);
  *of = (ghee_manifest){0};
}

ghee_status ghee_manifest_add(ghee_manifest *of, const char *name, uint64_t rows, uint64_t size_bytes, const char *checksum, ghee_error *err) {
  if (of->count >= MOST_FILES)
    return ghee_error_set(err, GHEE_LIMIT, "an output may have %d files; choose a larger target_file_size", MOST_FILES);
  ghee_manifest_file file = {.name = ghee_strdup(name), .rows = rows, .size_bytes = size_bytes, .checksum = ghee_strdup(checksum)};
  if (file.name && file.checksum && (of->count < of->capacity || ghee_array_grow((void **)&of->files, &of->capacity, of->count, sizeof file))) {
    of->files[of->count++] = file;
    return GHEE_OK;
  }
  ghee_free(file.name);
  ghee_free(file.checksum);
  return ghee_error_no_memory(err, "adding a file to a manifest");
}

/* ---- checks, the same on the way out and in ---- */

static int by_name(const void *a, const void *b) {
  return strcmp((*(const ghee_manifest_file *const *)a)->name, (*(const ghee_manifest_file *const *)b)->name);
}

static ghee_status check_file(const ghee_manifest_file *file, ghee_error *err) {
  GHEE_TRY(ghee_uri_check_name(file->name, err));
  if (!ghee_utf8_valid(file->name, strlen(file->name))) return ghee_error_set(err, GHEE_INVALID, "the file name \"%s\" is not UTF-8", file->name);
  if (!ghee_checksum_is(file->checksum)) return ghee_error_set(err, GHEE_INVALID, "\"%s\" is not a checksum (of %s)", file->checksum, file->name);
  if (file->rows > INT64_MAX || file->size_bytes > INT64_MAX) return ghee_error_set(err, GHEE_INVALID, "the numbers of %s are too large", file->name);
  return GHEE_OK;
}

static ghee_status check_twice(const ghee_manifest *of, ghee_error *err) {
  const ghee_manifest_file **sorted = ghee_alloc(of->count * sizeof *sorted);
  if (!sorted) return ghee_error_no_memory(err, "checking a manifest");
  for (size_t i = 0; i < of->count; i++) sorted[i] = &of->files[i];
  if (of->count > 1) qsort(sorted, of->count, sizeof *sorted, by_name);
  ghee_status status = GHEE_OK;
  for (size_t i = 1; i < of->count && status == GHEE_OK; i++)
    if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0) status = ghee_error_set(err, GHEE_INVALID, "the file %s is in the manifest twice", sorted[i]->name);
  ghee_free(sorted);
  return status;
}

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

ghee_status ghee_manifest_encode(const ghee_manifest *of, ghee_buffer *json, ghee_error *err) {
  for (size_t i = 0; i < of->count; i++) GHEE_TRY(check_file(&of->files[i], err));
  GHEE_TRY(check_twice(of, err));
  ghee_buffer_printf(json, "{\n  \"version\": %d,\n  \"job\": ", VERSION);
  put_text(json, of->job ? of->job : "");
  ghee_buffer_printf(json, ",\n  \"format\": ");
  put_text(json, of->format ? of->format : "");
  ghee_buffer_printf(json, ",\n  \"created_ms\": %lld,\n  \"files\": [", (long long)of->created_ms);
  for (size_t i = 0; i < of->count; i++) {
    const ghee_manifest_file *file = &of->files[i];
    ghee_buffer_printf(json, "%s\n    {\"name\": ", i ? "," : "");
    put_text(json, file->name);
    ghee_buffer_printf(json, ", \"rows\": %llu, \"size_bytes\": %llu, \"checksum\": \"%s\"}", (unsigned long long)file->rows,
                       (unsigned long long)file->size_bytes, file->checksum);
  }
  ghee_buffer_printf(json, "%s]\n}\n", of->count ? "\n  " : "");
  return ghee_buffer_check(json, "writing a manifest", err);
}

/* ---- in ---- */

static ghee_status read_file(const ghee_node *node, ghee_manifest *out, ghee_error *err) {
  static const char *const known[] = {"name", "rows", "size_bytes", "checksum", NULL};
  const char *name = NULL, *checksum = NULL;
  int64_t rows = -1, size_bytes = -1;
  if (node->kind != GHEE_NODE_MAP) return ghee_node_error(node, err, "a file must be a map");
  GHEE_TRY(ghee_node_only(node, "file", known, err));
  GHEE_TRY(ghee_node_read_text(node, "name", &name, err));
  GHEE_TRY(ghee_node_read_text(node, "checksum", &checksum, err));
  GHEE_TRY(ghee_node_read_int(node, "rows", 0, INT64_MAX, &rows, err));
  GHEE_TRY(ghee_node_read_int(node, "size_bytes", 0, INT64_MAX, &size_bytes, err));
  if (!name || !checksum || rows < 0 || size_bytes < 0) return ghee_node_error(node, err, "a file needs name, rows, size_bytes and checksum");
  ghee_error why;
  ghee_manifest_file file = {.name = (char *)name, .checksum = (char *)checksum};
  if (check_file(&file, &why) != GHEE_OK) return ghee_node_error(node, err, "%s", why.message);
  return ghee_manifest_add(out, name, (uint64_t)rows, (uint64_t)size_bytes, checksum, err);
}

static ghee_status read_root(const ghee_node *root, ghee_manifest *out, ghee_error *err) {
  static const char *const known[] = {"version", "job", "format", "created_ms", "files", NULL};
  if (!root || root->kind != GHEE_NODE_MAP) return ghee_error_set(err, GHEE_INVALID, "_manifest.json:1:1: a manifest must be a map");
  int64_t version = 0;
  GHEE_TRY(ghee_node_read_int(root, "version", 1, INT64_MAX, &version, err));
  if (version > VERSION) return ghee_error_set(err, GHEE_UNSUPPORTED, "the manifest was written by a newer ghee (its version is %lld)", (long long)version);
  GHEE_TRY(ghee_node_only(root, "manifest", known, err));
  const char *job = NULL, *format = NULL;
  const ghee_node *files = ghee_node_get(root, "files");
  int64_t created_ms = 0;
  GHEE_TRY(ghee_node_read_text(root, "job", &job, err));
  GHEE_TRY(ghee_node_read_text(root, "format", &format, err));
  GHEE_TRY(ghee_node_read_int(root, "created_ms", INT64_MIN, INT64_MAX, &created_ms, err));
  if (version < 1 || !job || !format || !files || files->kind != GHEE_NODE_LIST)
    return ghee_node_error(root, err, "a manifest needs version, job, format and a list of files");
  out->created_ms = created_ms;
  out->job = ghee_strdup(job);
  out->format = ghee_strdup(format);
  if (!out->job || !out->format) return ghee_error_no_memory(err, "reading a manifest");
  for (size_t i = 0; i < files->n; i++) GHEE_TRY(read_file(files->items[i], out, err));
  ghee_error why;
  ghee_status status = check_twice(out, &why);
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
