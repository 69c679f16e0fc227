/* SPDX-License-Identifier: Apache-2.0
 * Tokens of a filter. */
#include "filter/scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

ghee_status ghee_filter_error(size_t at, ghee_error *err, const char *format, ...) {
  char text[GHEE_ERROR_SIZE / 2];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return ghee_error_set(err, GHEE_INVALID, "the filter, character %zu: %s", at, text);
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80; }

/* Characters of UTF-8. */
static size_t count_characters(const char *from, const char *to) {
  size_t n = 0;
  for (; from < to; from++) n += ((unsigned char)*from & 0xc0) != 0x80;
  return n;
}

/* Bytes of what is quoted, the quotes included; 0: it has no end. */
static size_t quoted_size(const char *from) {
  char quote = *from;
  for (const char *at = from + 1; *at; at++) {
    if (*at != quote) continue;
    if (at[1] != quote) return (size_t)(at + 1 - from);
    at++;
  }
  return 0;
}

static bool begins_number(const char *from) {
  if (*from == '-' || *from == '+') from++;
  return is_digit(*from) || (*from == '.' && is_digit(from[1]));
}

static size_t number_size(const char *from) {
  const char *at = from + (*from == '-' || *from == '+');
  while (is_digit(*at)) at++;
  if (*at == '.') at++;
  while (is_digit(*at)) at++;
  if (*at != 'e' && *at != 'E') return (size_t)(at - from);
  const char *power = at + 1;
  if (*power == '-' || *power == '+') power++;
  while (is_digit(*power)) at = ++power;
  return (size_t)(at - from);
}

static bool scan_order(const char *from, ghee_token *out) {
  static const struct { const char *text; ghee_filter_order order; } orders[] = {
      {"==", GHEE_FILTER_EQUAL}, {"!=", GHEE_FILTER_UNEQUAL}, {"<>", GHEE_FILTER_UNEQUAL}, {"<=", GHEE_FILTER_AT_MOST}, {">=", GHEE_FILTER_AT_LEAST},
      {"=", GHEE_FILTER_EQUAL},  {"<", GHEE_FILTER_LESS},     {">", GHEE_FILTER_GREATER}};
  for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
    size_t n = strlen(orders[i].text);
    if (strncmp(from, orders[i].text, n) != 0) continue;
    out->kind = GHEE_TOKEN_ORDER;
    out->size = n;
    out->order = orders[i].order;
    return true;
  }
  return false;
}

static bool scan_mark(const char *from, ghee_token *out) {
  static const char marks[] = "(),";
  static const ghee_token_kind kinds[] = {GHEE_TOKEN_OPEN, GHEE_TOKEN_CLOSE, GHEE_TOKEN_COMMA};
  const char *mark = strchr(marks, *from);
  if (!mark) return false;
  out->kind = kinds[mark - marks];
  out->size = 1;
  return true;
}

static ghee_status scan_quoted(ghee_token *out, ghee_error *err) {
  out->kind = *out->from == '\'' ? GHEE_TOKEN_TEXT : GHEE_TOKEN_NAME;
  out->size = quoted_size(out->from);
  if (out->size == 0) return ghee_filter_error(out->at, err, "the %c that opens here is not closed; one inside of quotes is doubled", *out->from);
  if (out->size == 2 && out->kind == GHEE_TOKEN_NAME) return ghee_filter_error(out->at, err, "a column's name is missing between the quotes");
  return GHEE_OK;
}

ghee_status ghee_token_next(ghee_token *out, ghee_error *err) {
  const char *before = out->from, *from = before + out->size;
  while (*from == ' ' || *from == '\t' || *from == '\n' || *from == '\r') from++;
  *out = (ghee_token){.from = from, .at = out->at + count_characters(before, from)};
  if (!*from) return GHEE_OK;
  if (*from == '\'' || *from == '"' || *from == '`') return scan_quoted(out, err);
  if (scan_order(from, out) || scan_mark(from, out)) return GHEE_OK;
  if (begins_number(from)) {
    out->kind = GHEE_TOKEN_NUMBER;
    out->size = number_size(from);
    if (!is_letter(from[out->size])) return GHEE_OK;
    return ghee_filter_error(out->at, err, "'%.*s' is no number; a column whose name begins with a digit stands in double quotes", (int)out->size + 1, from);
  }
  if (!is_letter(*from))
    return ghee_filter_error(out->at, err, "'%c' has no meaning in a filter; a column whose name is no plain word stands in double quotes", *from);
  out->kind = GHEE_TOKEN_WORD;
  while (is_letter(from[out->size]) || is_digit(from[out->size])) out->size++;
  return GHEE_OK;
}

bool ghee_token_is(const ghee_token *token, const char *word) {
  return token->kind == GHEE_TOKEN_WORD && token->size == strlen(word) && strncasecmp(token->from, word, token->size) == 0;
}

char *ghee_token_value(const ghee_token *token) {
  if (token->kind != GHEE_TOKEN_TEXT && token->kind != GHEE_TOKEN_NAME) return ghee_strndup(token->from, token->size);
  char *value = ghee_strndup(token->from + 1, token->size - 2), *to = value;
  for (const char *at = value; value && *at; at++) {
    *to++ = *at;
    at += *at == *token->from;
  }
  if (to) *to = 0;
  return value;
}
