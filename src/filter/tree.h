/* SPDX-License-Identifier: Apache-2.0
 * Inside filter/: the tree of a parsed filter. `not in` and `is not null` are a `not` over the other. */
#ifndef GHEE_FILTER_TREE_H
#define GHEE_FILTER_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"
#include "filter/filter.h"

typedef enum ghee_filter_kind { GHEE_FILTER_AND, GHEE_FILTER_OR, GHEE_FILTER_NOT, GHEE_FILTER_IS_NULL, GHEE_FILTER_COMPARE, GHEE_FILTER_IN } ghee_filter_kind;
typedef enum ghee_filter_order {
  GHEE_FILTER_EQUAL, GHEE_FILTER_UNEQUAL, GHEE_FILTER_LESS, GHEE_FILTER_AT_MOST, GHEE_FILTER_GREATER, GHEE_FILTER_AT_LEAST
} ghee_filter_order;

typedef struct ghee_literal {
  enum { GHEE_LITERAL_NUMBER, GHEE_LITERAL_TEXT, GHEE_LITERAL_BOOL } kind;
  char *text;      /* digits as written; the text without its quotes; "true" or "false" */
  size_t at;       /* character of the filter, from 1 */
} ghee_literal;

typedef struct ghee_filter_node ghee_filter_node;
struct ghee_filter_node {
  ghee_filter_kind kind;
  size_t index;                /* among all nodes of the filter */
  size_t at;                   /* character of the filter, from 1 */
  ghee_filter_order order;     /* COMPARE */
  size_t column;               /* IS_NULL, COMPARE, IN: of the filter's columns */
  GHEE_ARRAY(ghee_literal) literals;       /* COMPARE: one; IN: one or more */
  GHEE_ARRAY(ghee_filter_node *) children; /* NOT: one; AND, OR: two or more */
};

struct ghee_filter {
  char *text;
  GHEE_ARRAY(char *) columns;
  GHEE_ARRAY(ghee_filter_node *) nodes;    /* owns them */
  const ghee_filter_node *root;
};

/** "the filter, character 12: …" as GHEE_INVALID. */
ghee_status ghee_filter_error(size_t at, ghee_error *err, const char *format, ...) GHEE_PRINTF(3, 4);

#endif
