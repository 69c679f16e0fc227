/* SPDX-License-Identifier: Apache-2.0
 * Checked access to a document's nodes. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "text/json.h"
#include "text/scalar.h"

const ghee_node *ghee_node_get(const ghee_node *map, const char *key) {
  for (size_t i = 0; map->kind == GHEE_NODE_MAP && i < map->n; i++)
    if (strcmp(map->keys[i], key) == 0) return map->items[i]->kind == GHEE_NODE_NULL ? NULL : map->items[i];
  return NULL;
}

ghee_status ghee_node_error(const ghee_node *node, ghee_error *err, const char *format, ...) {
  char text[GHEE_ERROR_SIZE / 2];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return ghee_error_set(err, GHEE_INVALID, "%s:%u:%u: %s", node->file, node->line, node->column, text);
}

static const char *const kinds[] = {"nothing", "true or false", "a whole number", "a number", "text", "a list", "a map"};

static ghee_status wrong_kind(const ghee_node *node, const char *key, const char *want, ghee_error *err) {
  return ghee_node_error(node, err, "%s must be %s, not %s%s%s%s", key, want, kinds[node->kind], *node->text ? " (" : "", node->text, *node->text ? ")" : "");
}

ghee_status ghee_node_only(const ghee_node *map, const char *what, const char *const *known, ghee_error *err) {
  if (map->kind != GHEE_NODE_MAP) return wrong_kind(map, what, "a map", err);
  for (size_t i = 0; i < map->n; i++) {
    bool found = false;
    for (size_t k = 0; known[k] && !found; k++) found = strcmp(known[k], map->keys[i]) == 0;
    if (found) continue;
    const char *nearest = ghee_text_nearest(map->keys[i], known);
    if (nearest) return ghee_node_error(map->items[i], err, "unknown key '%s' in %s; did you mean '%s'?", map->keys[i], what, nearest);
    ghee_buffer list = {0};
    for (size_t k = 0; known[k]; k++) ghee_buffer_printf(&list, "%s%s", k ? ", " : "", known[k]);
    ghee_node_error(map->items[i], err, "unknown key '%s' in %s; there are %s", map->keys[i], what, ghee_buffer_text(&list));
    ghee_buffer_fini(&list);
    return GHEE_INVALID;
  }
  return GHEE_OK;
}

ghee_status ghee_node_read_text(const ghee_node *map, const char *key, const char **out, ghee_error *err) {
  const ghee_node *node = ghee_node_get(map, key);
  if (!node) return GHEE_OK;
  if (node->kind == GHEE_NODE_LIST || node->kind == GHEE_NODE_MAP) return wrong_kind(node, key, "text", err);
  *out = node->text;
  return GHEE_OK;
}

ghee_status ghee_node_read_bool(const ghee_node *map, const char *key, bool *out, ghee_error *err) {
  const ghee_node *node = ghee_node_get(map, key);
  if (!node) return GHEE_OK;
  if (node->kind != GHEE_NODE_BOOL) return wrong_kind(node, key, "true or false", err);
  *out = node->boolean;
  return GHEE_OK;
}

ghee_status ghee_node_read_int(const ghee_node *map, const char *key, int64_t least, int64_t most, int64_t *out, ghee_error *err) {
  const ghee_node *node = ghee_node_get(map, key);
  if (!node) return GHEE_OK;
  if (node->kind != GHEE_NODE_INT) return wrong_kind(node, key, "a whole number", err);
  if (node->integer < least || node->integer > most)
    return ghee_node_error(node, err, "%s must be from %lld to %lld, not %lld", key, (long long)least, (long long)most, (long long)node->integer);
  *out = node->integer;
  return GHEE_OK;
}

ghee_status ghee_node_read_real(const ghee_node *map, const char *key, double least, double most, double *out, ghee_error *err) {
  const ghee_node *node = ghee_node_get(map, key);
  if (!node) return GHEE_OK;
  if (node->kind != GHEE_NODE_INT && node->kind != GHEE_NODE_FLOAT) return wrong_kind(node, key, "a number", err);
  if (!(node->real >= least && node->real <= most)) return ghee_node_error(node, err, "%s must be from %g to %g, not %s", key, least, most, node->text);
  *out = node->real;
  return GHEE_OK;
}

static bool is_scalar(const ghee_node *node) { return node->kind == GHEE_NODE_TEXT || node->kind == GHEE_NODE_INT || node->kind == GHEE_NODE_FLOAT; }

ghee_status ghee_node_read_bytes(const ghee_node *map, const char *key, uint64_t *out, ghee_error *err) {
  const ghee_node *node = ghee_node_get(map, key);
  if (!node) return GHEE_OK;
  return is_scalar(node) && ghee_scalar_bytes(node->text, out) ? GHEE_OK : wrong_kind(node, key, "a size like 256MiB", err);
}

ghee_status ghee_node_read_duration(const ghee_node *map, const char *key, uint64_t *out_ms, ghee_error *err) {
  const ghee_node *node = ghee_node_get(map, key);
  if (!node) return GHEE_OK;
  return is_scalar(node) && ghee_scalar_duration(node->text, out_ms) ? GHEE_OK : wrong_kind(node, key, "a time like 30s", err);
}

ghee_status ghee_node_read_choice(const ghee_node *map, const char *key, const char *const *words, int *out, ghee_error *err) {
  const ghee_node *node = ghee_node_get(map, key);
  if (!node) return GHEE_OK;
  for (int i = 0; words[i]; i++)
    if (strcmp(words[i], node->text) == 0) {
      *out = i;
      return GHEE_OK;
    }
  ghee_buffer list = {0};
  for (int i = 0; words[i]; i++) ghee_buffer_printf(&list, "%s%s", i ? ", " : "", words[i]);
  const char *nearest = ghee_text_nearest(node->text, words);
  ghee_node_error(node, err, "%s must be one of %s, not '%s'%s%s%s", key, ghee_buffer_text(&list), node->text, nearest ? "; did you mean '" : "",
                  nearest ? nearest : "", nearest ? "'?" : "");
  ghee_buffer_fini(&list);
  return GHEE_INVALID;
}

ghee_status ghee_node_read_texts(const ghee_node *map, const char *key, const char ***out, size_t *n, ghee_error *err) {
  const ghee_node *node = ghee_node_get(map, key);
  if (!node) return GHEE_OK;
  if (node->kind == GHEE_NODE_MAP) return wrong_kind(node, key, "text or a list of texts", err);
  size_t count = node->kind == GHEE_NODE_LIST ? node->n : 1;
  const char **texts = ghee_alloc_zero(count + 1, sizeof *texts);
  if (!texts) return ghee_error_no_memory(err, "reading a list");
  for (size_t i = 0; i < count; i++) {
    const ghee_node *item = node->kind == GHEE_NODE_LIST ? node->items[i] : node;
    if (item->kind == GHEE_NODE_LIST || item->kind == GHEE_NODE_MAP || item->kind == GHEE_NODE_NULL) {
      ghee_free(texts);
      return wrong_kind(item, key, "a list of texts", err);
    }
    texts[i] = item->text;
  }
  *out = texts;
  *n = count;
  return GHEE_OK;
}

ghee_status ghee_node_read_map(const ghee_node *map, const char *key, const ghee_node **out, ghee_error *err) {
  const ghee_node *node = ghee_node_get(map, key);
  if (!node) return GHEE_OK;
  if (node->kind != GHEE_NODE_MAP) return wrong_kind(node, key, "a map", err);
  *out = node;
  return GHEE_OK;
}

static void print(const ghee_node *node, const char *key, ghee_json *json) {
  switch (node->kind) {
    case GHEE_NODE_NULL: ghee_json_text(json, key, NULL); return;
    case GHEE_NODE_BOOL: ghee_json_bool(json, key, node->boolean); return;
    case GHEE_NODE_INT: ghee_json_int(json, key, node->integer); return;
    case GHEE_NODE_FLOAT: ghee_json_real(json, key, node->real); return;
    case GHEE_NODE_TEXT: ghee_json_text(json, key, node->text); return;
    case GHEE_NODE_LIST:
      ghee_json_begin_list(json, key);
      for (size_t i = 0; i < node->n; i++) print(node->items[i], NULL, json);
      ghee_json_end_list(json);
      return;
    case GHEE_NODE_MAP:
      ghee_json_begin_map(json, key);
      for (size_t i = 0; i < node->n; i++) print(node->items[i], node->keys[i], json);
      ghee_json_end_map(json);
      return;
  }
}

void ghee_node_to_json(const ghee_node *node, ghee_buffer *out) {
  ghee_json json = {.out = out};
  print(node, NULL, &json);
}
