/* SPDX-License-Identifier: Apache-2.0
 * Scalars. */
#include "text/scalar.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool one_of(const char *text, const char *const *words) {
  for (; *words; words++)
    if (strcmp(text, *words) == 0) return true;
  return false;
}

static bool is_number(const char *text) {
  const char *at = text + (*text == '-' || *text == '+');
  if (*at == '.') at++;
  return *at >= '0' && *at <= '9' && text[strspn(text, "0123456789+-.eE")] == 0;
}

void ghee_scalar_resolve(ghee_node *node) {
  static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
  static const char *const trues[] = {"true", "True", "TRUE", NULL}, *const falses[] = {"false", "False", "FALSE", NULL};
  char *end;
  node->kind = GHEE_NODE_TEXT;
  if (one_of(node->text, nulls)) {
    node->kind = GHEE_NODE_NULL;
  } else if (one_of(node->text, trues) || one_of(node->text, falses)) {
    node->kind = GHEE_NODE_BOOL;
    node->boolean = one_of(node->text, trues);
  } else if (is_number(node->text)) {
    errno = 0;
    node->integer = strtoll(node->text, &end, 10);
    if (!*end && errno == 0) {
      node->kind = GHEE_NODE_INT;
      node->real = (double)node->integer;
      return;
    }
    node->real = strtod(node->text, &end);
    if (!*end) node->kind = GHEE_NODE_FLOAT;
  }
}

/* The four digits of a \u escape that starts at `at`, 0 if there is none or it is not of a surrogate. */
static unsigned surrogate(const char *at, const char *end) {
  char digits[5] = {0}, *stop;
  if (end - at < 6 || at[0] != '\\' || at[1] != 'u') return 0;
  memcpy(digits, at + 2, 4);
  if (!isxdigit((unsigned char)digits[0])) return 0;
  unsigned long code = strtoul(digits, &stop, 16);
  return stop == digits + 4 && code >= 0xd800 && code < 0xe000 ? (unsigned)code : 0;
}

bool ghee_scalar_join_surrogates(const char *text, size_t size, ghee_buffer *out) {
  const char *at = text, *end = text + size, *copied = text;
  while (at < end && strchr(" \t\r\n", *at)) at++;
  if (at == end || (*at != '{' && *at != '[')) return false;
  for (bool quoted = false; at < end; at++) {
    quoted ^= *at == '"';
    if (!quoted || *at != '\\') continue;
    unsigned high = surrogate(at, end), low = high ? surrogate(at + 6, end) : 0;
    if (high < 0xdc00 && low >= 0xdc00) {
      ghee_buffer_put(out, copied, (size_t)(at - copied));
      ghee_buffer_printf(out, "\\U%08x", 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
      copied = at + 12;
      at += 11;
    } else {
      at++; /* what is escaped */
    }
  }
  if (copied == text) return false;
  ghee_buffer_put(out, copied, (size_t)(end - copied));
  return true;
}

typedef struct unit { const char *name; uint64_t factor; } unit;

/* Whole numbers are multiplied as such: a double says not all of them. */
static bool scaled(const char *text, const unit *units, uint64_t *out) {
  char *end;
  if (*text < '0' || *text > '9') return false;
  errno = 0;
  uint64_t whole = strtoull(text, &end, 10);
  bool fraction = *end == '.' || *end == 'e' || *end == 'E';
  double number = fraction ? strtod(text, &end) : 0;
  while (*end == ' ') end++;
  for (; units->name; units++) {
    if (strcasecmp(end, units->name) != 0) continue;
    double value = number * (double)units->factor;
    if (errno || !(value < 9.2e18)) return false;
    if (fraction) whole = (uint64_t)llround(value);
    else if (__builtin_mul_overflow(whole, units->factor, &whole)) return false;
    *out = whole;
    return true;
  }
  return false;
}

bool ghee_scalar_bytes(const char *text, uint64_t *out) {
  static const unit units[] = {{"", 1}, {"B", 1}, {"k", 1000}, {"kB", 1000}, {"M", 1000000}, {"MB", 1000000}, {"G", 1000000000}, {"GB", 1000000000},
                               {"T", 1000000000000}, {"TB", 1000000000000}, {"Ki", 1 << 10}, {"KiB", 1 << 10}, {"Mi", 1 << 20}, {"MiB", 1 << 20},
                               {"Gi", 1 << 30}, {"GiB", 1 << 30}, {"Ti", (uint64_t)1 << 40}, {"TiB", (uint64_t)1 << 40}, {NULL, 0}};
  return scaled(text, units, out);
}

bool ghee_scalar_duration(const char *text, uint64_t *out_ms) {
  static const unit units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
  return scaled(text, units, out_ms);
}
