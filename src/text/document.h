/* SPDX-License-Identifier: Apache-2.0
 * YAML and JSON (both read by libyaml, JSON being YAML) as a tree whose every node knows file, line and column, and checked
 * access to it: a wrong type or an unknown key is a message with position and the nearest right key. */
#ifndef GHEE_TEXT_DOCUMENT_H
#define GHEE_TEXT_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

typedef enum ghee_node_kind { GHEE_NODE_NULL, GHEE_NODE_BOOL, GHEE_NODE_INT, GHEE_NODE_FLOAT, GHEE_NODE_TEXT, GHEE_NODE_LIST, GHEE_NODE_MAP } ghee_node_kind;

/** A node; everything in it belongs to the document. */
typedef struct ghee_node ghee_node;
struct ghee_node {
  ghee_node_kind kind;
  const char *file;         /* name for messages */
  uint32_t line, column;    /* from 1 */
  const char *text;         /* scalars as written; "" else */
  bool boolean;
  int64_t integer;
  double real;              /* also set for INT */
  const char **keys;        /* MAP: n keys, in the order of the file */
  ghee_node *const *items;  /* LIST, MAP: n values */
  size_t n;
};

typedef struct ghee_document ghee_document;

/** Parses text of one document. GHEE_INVALID with "name:line:column: …": syntax, double keys, anchors and tags (not supported),
 *  depth over 64, more than 1,000,000 nodes, keys over 1,000 bytes. What is accepted is accepted as the JSON of ghee_node_to_json, too. YAML 1.2 core scalars (yes/no/on/off are text). out gives: ghee_document_free. */
ghee_status ghee_document_parse(const char *text, size_t size_bytes, const char *name, ghee_document **out, ghee_error *err);
/** Reads a file, "-" is stdin. */
ghee_status ghee_document_load(const char *path, ghee_document **out, ghee_error *err);
void ghee_document_free(ghee_document *document);
const ghee_node *ghee_document_root(const ghee_document *document);

/** Value of a key, NULL if there is none (or it is null). `map` must be a MAP. */
const ghee_node *ghee_node_get(const ghee_node *map, const char *key);
/** "file:line:column: <text>" as GHEE_INVALID. */
ghee_status ghee_node_error(const ghee_node *node, ghee_error *err, const char *format, ...) GHEE_PRINTF(3, 4);
/** Every key of `map` is among `known` (NULL-terminated), else the message names the nearest. `what` names the map ("input"). */
ghee_status ghee_node_only(const ghee_node *map, const char *what, const char *const *known, ghee_error *err);

/* Reads key `key` of `map` into *out; leaves *out alone when the key is absent. Text borrows from the document. */
ghee_status ghee_node_read_text(const ghee_node *map, const char *key, const char **out, ghee_error *err);
ghee_status ghee_node_read_bool(const ghee_node *map, const char *key, bool *out, ghee_error *err);
ghee_status ghee_node_read_int(const ghee_node *map, const char *key, int64_t least, int64_t most, int64_t *out, ghee_error *err);
ghee_status ghee_node_read_real(const ghee_node *map, const char *key, double least, double most, double *out, ghee_error *err);
/** "256MiB", "2Gi", "64k", "1.5GB" or a number of bytes. */
ghee_status ghee_node_read_bytes(const ghee_node *map, const char *key, uint64_t *out, ghee_error *err);
/** "30s", "500ms", "2m", "1h" or a number of seconds; milliseconds come out. */
ghee_status ghee_node_read_duration(const ghee_node *map, const char *key, uint64_t *out_ms, ghee_error *err);
/** One of the words; the index comes out. The message lists them and names the nearest. */
ghee_status ghee_node_read_choice(const ghee_node *map, const char *key, const char *const *words, int *out, ghee_error *err);
/** A list of texts (a single text is a list of one). `out` gives an array of borrowed texts: ghee_free. */
ghee_status ghee_node_read_texts(const ghee_node *map, const char *key, const char ***out, size_t *n, ghee_error *err);
/** A MAP, or NULL when absent. */
ghee_status ghee_node_read_map(const ghee_node *map, const char *key, const ghee_node **out, ghee_error *err);

/** Writes a node as compact canonical JSON (keys in their order). */
void ghee_node_to_json(const ghee_node *node, ghee_buffer *out);

/** The nearest of `words` to `word` by edit distance ≤ 2 (or a third of its length), NULL if none is near. */
const char *ghee_text_nearest(const char *word, const char *const *words);
/** "1,234,567"; "1.5 GiB": appended. */
void ghee_text_count(ghee_buffer *out, uint64_t n);
void ghee_text_size(ghee_buffer *out, uint64_t bytes);

#endif
