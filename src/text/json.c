/* SPDX-License-Identifier: Apache-2.0
 * Printing JSON. */
#include "text/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

static void put(ghee_json *json, const char *text) { ghee_buffer_put(json->out, text, strlen(text)); }

/* What JSON wants escaped, and what YAML would refuse or take for the end of a line: controls, separators, the byte order mark. */
static bool needs_escape(unsigned code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 || code == 0xfeff || code == 0xfffe || code == 0xffff;
}

/* The character of n ≤ 3 bytes. */
static unsigned code_of(const unsigned char *at, size_t n) {
  return n == 1 ? at[0] : n == 2 ? (at[0] & 31u) << 6 | (at[1] & 63u) : (at[0] & 15u) << 12 | (at[1] & 63u) << 6 | (at[2] & 63u);
}

static void put_text(ghee_json *json, const char *value) {
  const unsigned char *at = (const unsigned char *)value, *end = at + strlen(value);
  put(json, "\"");
  while (at < end) {
    size_t n = ghee_utf8_length(at, (size_t)(end - at));
    char escaped[8];
    if (n == 0) {
      put(json, "\xef\xbf\xbd"); /* U+FFFD */
      at++;
      continue;
    }
    if (*at == '"' || *at == '\\') snprintf(escaped, sizeof escaped, "\\%c", *at);
    else if (*at == '\n') snprintf(escaped, sizeof escaped, "\\n");
    else if (n < 4 && needs_escape(code_of(at, n))) snprintf(escaped, sizeof escaped, "\\u%04x", code_of(at, n));
    else escaped[0] = 0;
    if (escaped[0]) put(json, escaped);
    else ghee_buffer_put(json->out, at, n);
    at += n;
  }
  put(json, "\"");
}

/* Comma and key before a value. */
static void lead(ghee_json *json, const char *key) {
  uint64_t bit = (uint64_t)1 << (json->depth & 63);
  if (json->comma & bit) put(json, ", ");
  json->comma |= bit;
  if (!key) return;
  put_text(json, key);
  put(json, ": ");
}

static void open_level(ghee_json *json, const char *key, const char *bracket) {
  lead(json, key);
  put(json, bracket);
  json->depth++;
  json->comma &= ~((uint64_t)1 << (json->depth & 63));
}

static void close_level(ghee_json *json, const char *bracket) {
  json->depth--;
  put(json, bracket);
}

void ghee_json_begin_map(ghee_json *json, const char *key) { open_level(json, key, "{"); }
void ghee_json_end_map(ghee_json *json) { close_level(json, "}"); }
void ghee_json_begin_list(ghee_json *json, const char *key) { open_level(json, key, "["); }
void ghee_json_end_list(ghee_json *json) { close_level(json, "]"); }

void ghee_json_text(ghee_json *json, const char *key, const char *value) {
  lead(json, key);
  if (value) put_text(json, value);
  else put(json, "null");
}

void ghee_json_int(ghee_json *json, const char *key, int64_t value) {
  lead(json, key);
  ghee_buffer_printf(json->out, "%lld", (long long)value);
}

void ghee_json_uint(ghee_json *json, const char *key, uint64_t value) {
  lead(json, key);
  ghee_buffer_printf(json->out, "%llu", (unsigned long long)value);
}

void ghee_json_real(ghee_json *json, const char *key, double value) {
  char text[32];
  lead(json, key);
  if (!isfinite(value)) {
    put(json, "null");
    return;
  }
  for (int digits = 1; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, value);
    if (strtod(text, NULL) == value) break;
  }
  put(json, text);
  if (!strpbrk(text, ".e")) put(json, ".0"); /* it stays a real number, and −0 negative */
}

void ghee_json_bool(ghee_json *json, const char *key, bool value) {
  lead(json, key);
  put(json, value ? "true" : "false");
}

void ghee_json_raw(ghee_json *json, const char *key, const char *value) {
  lead(json, key);
  put(json, value);
}
