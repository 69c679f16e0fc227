/* SPDX-License-Identifier: Apache-2.0
 * Inside filter/: the text of a filter as tokens. */
#ifndef GHEE_FILTER_SCAN_H
#define GHEE_FILTER_SCAN_H

#include <stdbool.h>

#include "filter/tree.h"

typedef enum ghee_token_kind {
  GHEE_TOKEN_END, GHEE_TOKEN_WORD, GHEE_TOKEN_NAME, GHEE_TOKEN_TEXT, GHEE_TOKEN_NUMBER, GHEE_TOKEN_ORDER, GHEE_TOKEN_OPEN, GHEE_TOKEN_CLOSE, GHEE_TOKEN_COMMA
} ghee_token_kind;

/** A token lies where it was written: `from` with `size` bytes, quotes included. NAME is a quoted one. */
typedef struct ghee_token {
  ghee_token_kind kind;
  const char *from;
  size_t size, at;             /* `at`: character of the filter, from 1 */
  ghee_filter_order order;
} ghee_token;

/** The token behind this one takes its place; before the first stands one of no bytes at character 1. GHEE_INVALID: a quote that is not closed, a
 *  character that is none of the language. */
ghee_status ghee_token_next(ghee_token *token, ghee_error *err);
/** The word is this one, in any case. */
bool ghee_token_is(const ghee_token *token, const char *word);
/** What it says, without quotes. NULL: no memory. gives: ghee_free. */
char *ghee_token_value(const ghee_token *token);

#endif
