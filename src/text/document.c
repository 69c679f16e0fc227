/* SPDX-License-Identifier: Apache-2.0
 * libyaml's events as a tree. Memory of a document is a list of blocks that are freed together. */
#include "text/document.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/array.h"
#include "base/file.h"
#include "base/hash.h"
#include "text/json.h"
#include "text/scalar.h"

enum {
  MAX_DEPTH = 64,
  MAX_NODES = 1000000,
  MAX_BYTES = 64 << 20,
  MAX_KEY = 1000 /* bytes as JSON: libyaml takes keys of 1,024 there */
};

typedef struct arena_block { struct arena_block *next; } arena_block;

struct ghee_document {
  arena_block *blocks;
  const char *name;
  const char *input; /* while it is parsed */
  ghee_node *root;
  size_t nodes;
  yaml_parser_t parser;
};

static void *arena(ghee_document *document, size_t size) {
  arena_block *block = ghee_alloc_zero(1, sizeof *block + size);
  if (!block) return NULL;
  block->next = document->blocks;
  document->blocks = block;
  return block + 1;
}

static const char *arena_text(ghee_document *document, const char *text, size_t size) {
  char *copy = arena(document, size + 1);
  if (copy) memcpy(copy, text, size);
  return copy;
}

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "reading a description"); }

static ghee_status at_mark(const ghee_document *document, const yaml_mark_t *mark, ghee_error *err, const char *what) {
  return ghee_error_set(err, GHEE_INVALID, "%s:%zu:%zu: %s", document->name, mark->line + 1, mark->column + 1, what);
}

/* Line and column, in characters, of a byte of the input: of bytes that libyaml cannot read it tells the offset alone. */
static yaml_mark_t mark_of(const char *input, size_t offset) {
  yaml_mark_t mark = {0};
  for (const char *at = input; at < input + offset; at++) {
    bool breaks = *at == '\n' || (*at == '\r' && at[1] != '\n');
    mark.line += breaks;
    mark.column = breaks ? 0 : mark.column + ((*at & 0xc0) != 0x80 && *at != '\r');
  }
  return mark;
}

static ghee_status next_event(ghee_document *document, yaml_event_t *event, ghee_error *err) {
  if (yaml_parser_parse(&document->parser, event)) return GHEE_OK;
  yaml_parser_t *parser = &document->parser;
  if (parser->error == YAML_MEMORY_ERROR) return no_memory(err);
  if (parser->error == YAML_READER_ERROR) parser->problem_mark = mark_of(document->input, parser->problem_offset);
  char what[256];
  snprintf(what, sizeof what, "%s%s%s", parser->problem ? parser->problem : "cannot be read", parser->context ? ", " : "",
           parser->context ? parser->context : "");
  return at_mark(document, &parser->problem_mark, err, what);
}

static ghee_status node_new(ghee_document *document, const yaml_event_t *event, ghee_node **out, ghee_error *err) {
  if (++document->nodes > MAX_NODES) return at_mark(document, &event->start_mark, err, "the document has more than 1,000,000 nodes");
  ghee_node *node = arena(document, sizeof *node);
  if (!node) return no_memory(err);
  node->file = document->name;
  node->line = (uint32_t)event->start_mark.line + 1;
  node->column = (uint32_t)event->start_mark.column + 1;
  node->text = "";
  *out = node;
  return GHEE_OK;
}

static ghee_status build(ghee_document *document, yaml_event_t *event, int depth, ghee_node **out, ghee_error *err);

/* The text of a key or a value. */
static ghee_status take_text(ghee_document *document, const yaml_event_t *event, const char **out, ghee_error *err) {
  const char *value = (const char *)event->data.scalar.value;
  size_t size = event->data.scalar.length;
  if (event->data.scalar.anchor) return at_mark(document, &event->start_mark, err, "anchors (&) are not supported");
  if (event->data.scalar.tag) return at_mark(document, &event->start_mark, err, "tags (!) are not supported");
  if (memchr(value, 0, size)) return at_mark(document, &event->start_mark, err, "a NUL byte in text");
  const char *text = arena_text(document, value, size);
  if (!text) return no_memory(err);
  *out = text;
  return GHEE_OK;
}

static ghee_status build_scalar(ghee_document *document, const yaml_event_t *event, ghee_node *node, ghee_error *err) {
  GHEE_TRY(take_text(document, event, &node->text, err));
  if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) ghee_scalar_resolve(node);
  else node->kind = GHEE_NODE_TEXT;
  return GHEE_OK;
}

/* Copies a gathered list into the arena. */
static ghee_status keep_items(ghee_document *document, ghee_node *node, ghee_node **items, const char **keys, size_t n, ghee_error *err) {
  ghee_node **kept = arena(document, (n + 1) * sizeof *kept);
  const char **names = arena(document, (n + 1) * sizeof *names);
  if (!kept || !names) return no_memory(err);
  if (n) memcpy(kept, items, n * sizeof *kept);
  if (n && keys) memcpy(names, keys, n * sizeof *names);
  node->items = kept;
  node->keys = names;
  node->n = n;
  return GHEE_OK;
}

static ghee_status build_list(ghee_document *document, ghee_node *node, int depth, ghee_error *err) {
  GHEE_ARRAY(ghee_node *) items = {0};
  ghee_status status = GHEE_OK;
  node->kind = GHEE_NODE_LIST;
  for (bool end = false; !end && status == GHEE_OK;) {
    yaml_event_t event;
    status = next_event(document, &event, err);
    if (status != GHEE_OK) break;
    ghee_node *item;
    end = event.type == YAML_SEQUENCE_END_EVENT;
    if (!end) status = build(document, &event, depth + 1, &item, err);
    if (!end && status == GHEE_OK && !ghee_array_push(&items, item)) status = no_memory(err);
    yaml_event_delete(&event);
  }
  if (status == GHEE_OK) status = keep_items(document, node, items.items, NULL, items.count, err);
  ghee_array_fini(&items);
  return status;
}

static ghee_status check_key(ghee_document *document, const yaml_event_t *event, const char *key, ghee_error *err) {
  ghee_buffer written = {0};
  ghee_json_text(&(ghee_json){.out = &written}, NULL, key);
  ghee_status status = ghee_buffer_check(&written, "reading a key", err);
  if (status == GHEE_OK && written.size > MAX_KEY) status = at_mark(document, &event->start_mark, err, "a key of more than 1,000 bytes");
  ghee_buffer_fini(&written);
  return status;
}

/* `seen`: hash of a key → its text. */
static ghee_status take_key(ghee_document *document, const yaml_event_t *event, ghee_map *seen, const char **out, ghee_error *err) {
  if (event->type != YAML_SCALAR_EVENT) return at_mark(document, &event->start_mark, err, "a key must be text");
  const char *key;
  GHEE_TRY(take_text(document, event, &key, err));
  if (event->data.scalar.length > MAX_KEY / 6) GHEE_TRY(check_key(document, event, key, err)); /* an escape makes 6 of one */
  if (strcmp(key, "<<") == 0) return at_mark(document, &event->start_mark, err, "merge keys (<<) are not supported");
  uint64_t hash = ghee_hash(key, strlen(key), 0);
  const char *before = ghee_map_get(seen, hash);
  if (before && strcmp(before, key) == 0)
    return ghee_error_set(err, GHEE_INVALID, "%s:%zu:%zu: key '%s' stands here a second time", document->name, event->start_mark.line + 1,
                          event->start_mark.column + 1, key);
  if (!ghee_map_put(seen, hash, (void *)key)) return no_memory(err);
  *out = key;
  return GHEE_OK;
}

static ghee_status build_map(ghee_document *document, ghee_node *node, int depth, ghee_error *err) {
  GHEE_ARRAY(ghee_node *) items = {0};
  GHEE_ARRAY(const char *) keys = {0};
  ghee_map seen = {0};
  ghee_status status = GHEE_OK;
  node->kind = GHEE_NODE_MAP;
  for (bool end = false; !end && status == GHEE_OK;) {
    yaml_event_t event;
    status = next_event(document, &event, err);
    if (status != GHEE_OK) break;
    end = event.type == YAML_MAPPING_END_EVENT;
    const char *key = NULL;
    if (!end) status = take_key(document, &event, &seen, &key, err);
    yaml_event_delete(&event);
    if (end || status != GHEE_OK) continue;
    ghee_node *item;
    status = next_event(document, &event, err);
    if (status != GHEE_OK) break;
    status = build(document, &event, depth + 1, &item, err);
    yaml_event_delete(&event);
    if (status == GHEE_OK && (!ghee_array_push(&keys, key) || !ghee_array_push(&items, item))) status = no_memory(err);
  }
  if (status == GHEE_OK) status = keep_items(document, node, items.items, keys.items, items.count, err);
  ghee_array_fini(&items);
  ghee_array_fini(&keys);
  ghee_map_fini(&seen);
  return status;
}

static ghee_status build(ghee_document *document, yaml_event_t *event, int depth, ghee_node **out, ghee_error *err) {
  ghee_node *node = NULL;
  if (depth > MAX_DEPTH) return at_mark(document, &event->start_mark, err, "nested more than 64 deep");
  if (event->type == YAML_ALIAS_EVENT) return at_mark(document, &event->start_mark, err, "aliases (*) are not supported");
  GHEE_TRY(node_new(document, event, &node, err));
  *out = node;
  switch (event->type) {
    case YAML_SCALAR_EVENT:
      return build_scalar(document, event, node, err);
    case YAML_SEQUENCE_START_EVENT:
      if (event->data.sequence_start.anchor || event->data.sequence_start.tag) return at_mark(document, &event->start_mark, err, "anchors and tags are not supported");
      return build_list(document, node, depth, err);
    case YAML_MAPPING_START_EVENT:
      if (event->data.mapping_start.anchor || event->data.mapping_start.tag) return at_mark(document, &event->start_mark, err, "anchors and tags are not supported");
      return build_map(document, node, depth, err);
    default:
      return at_mark(document, &event->start_mark, err, "something is missing here");
  }
}

static ghee_status expect(ghee_document *document, yaml_event_type_t type, const char *what, ghee_error *err) {
  yaml_event_t event;
  GHEE_TRY(next_event(document, &event, err));
  ghee_status status = event.type == type ? GHEE_OK : at_mark(document, &event.start_mark, err, what);
  yaml_event_delete(&event);
  return status;
}

static ghee_status parse(ghee_document *document, ghee_error *err) {
  GHEE_TRY(expect(document, YAML_STREAM_START_EVENT, "not a document", err));
  GHEE_TRY(expect(document, YAML_DOCUMENT_START_EVENT, "the document is empty", err));
  yaml_event_t event;
  GHEE_TRY(next_event(document, &event, err));
  ghee_status status = build(document, &event, 0, &document->root, err);
  yaml_event_delete(&event);
  GHEE_TRY(status);
  GHEE_TRY(expect(document, YAML_DOCUMENT_END_EVENT, "something stands behind the document", err));
  return expect(document, YAML_STREAM_END_EVENT, "a second document is not supported", err);
}

static ghee_status parse_text(ghee_document *document, const char *text, size_t size_bytes, ghee_error *err) {
  if (!yaml_parser_initialize(&document->parser)) return no_memory(err);
  document->input = text;
  yaml_parser_set_input_string(&document->parser, (const unsigned char *)text, size_bytes);
  yaml_parser_set_encoding(&document->parser, YAML_UTF8_ENCODING);
  ghee_status status = parse(document, err);
  yaml_parser_delete(&document->parser);
  return status;
}

ghee_status ghee_document_parse(const char *text, size_t size_bytes, const char *name, ghee_document **out, ghee_error *err) {
  if (size_bytes > MAX_BYTES) return ghee_error_set(err, GHEE_INVALID, "%s: larger than 64 MiB", name);
  ghee_document *document = ghee_alloc_zero(1, sizeof *document);
  if (!document) return no_memory(err);
  ghee_buffer joined = {0};
  ghee_status status = (document->name = arena_text(document, name, strlen(name))) ? GHEE_OK : no_memory(err);
  if (status == GHEE_OK && ghee_scalar_join_surrogates(text, size_bytes, &joined)) {
    status = ghee_buffer_check(&joined, "reading a description", err);
    text = (const char *)joined.data;
    size_bytes = joined.size;
  }
  if (status == GHEE_OK) status = parse_text(document, text, size_bytes, err);
  ghee_buffer_fini(&joined);
  if (status == GHEE_OK) *out = document;
  else ghee_document_free(document);
  return status;
}

ghee_status ghee_document_load(const char *path, ghee_document **out, ghee_error *err) {
  ghee_buffer text = {0};
  ghee_status status = ghee_file_read_all(strcmp(path, "-") == 0 ? "/dev/stdin" : path, MAX_BYTES, &text, err);
  if (status == GHEE_OK) status = ghee_document_parse((const char *)text.data, text.size, path, out, err);
  ghee_buffer_fini(&text);
  return status;
}

void ghee_document_free(ghee_document *document) {
  if (!document) return;
  for (arena_block *block = document->blocks, *next; block; block = next) {
    next = block->next;
    ghee_free(block);
  }
  ghee_free(document);
}

const ghee_node *ghee_document_root(const ghee_document *document) { return document->root; }
