/* SPDX-License-Identifier: Apache-2.0
 * Scalars. */
#include "text/scalar.h"

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

static unsigned half(const unsigned char *at) { /* a surrogate as three bytes, 0 if it is none */
  return at[0] == 0xed && at[1] >= 0xa0 && (at[2] & 0xc0) == 0x80 ? (unsigned)((at[0] & 15) << 12 | (at[1] & 63) << 6 | (at[2] & 63)) : 0;
}

void ghee_scalar_join_surrogates(char *text) {
  unsigned char *from = (unsigned char *)text, *to = from;
  while (*from) {
    unsigned high = from[1] && from[2] ? half(from) : 0;
    unsigned low = high && from[3] && from[4] && from[5] ? half(from + 3) : 0;
    if (high >= 0xd800 && high < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
      unsigned code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
      *to++ = (unsigned char)(0xf0 | code >> 18);
      *to++ = (unsigned char)(0x80 | (code >> 12 & 63));
      *to++ = (unsigned char)(0x80 | (code >> 6 & 63));
      *to++ = (unsigned char)(0x80 | (code & 63));
      from += 6;
    } else {
      *to++ = *from++;
    }
  }
  *to = 0;
}

typedef struct unit { const char *name; double factor; } unit;

static bool scaled(const char *text, const unit *units, uint64_t *out) {
  char *end;
  if (*text < '0' || *text > '9') return false;
  errno = 0;
  double number = strtod(text, &end);
  while (*end == ' ') end++;
  for (; units->name; units++) {
    if (strcasecmp(end, units->name) != 0) continue;
    double value = number * units->factor;
    if (errno || !(value < 9.2e18)) return false;
    *out = (uint64_t)llround(value);
    return true;
  }
  return false;
}

bool ghee_scalar_bytes(const char *text, uint64_t *out) {
  static const unit units[] = {{"", 1}, {"B", 1}, {"k", 1e3}, {"kB", 1e3}, {"M", 1e6}, {"MB", 1e6}, {"G", 1e9}, {"GB", 1e9}, {"T", 1e12}, {"TB", 1e12},
                               {"Ki", 1024.0}, {"KiB", 1024.0}, {"Mi", 1048576.0}, {"MiB", 1048576.0}, {"Gi", 1073741824.0}, {"GiB", 1073741824.0},
                               {"Ti", 1099511627776.0}, {"TiB", 1099511627776.0}, {NULL, 0}};
  return scaled(text, units, out);
}

bool ghee_scalar_duration(const char *text, uint64_t *out_ms) {
  static const unit units[] = {{"", 1e3}, {"s", 1e3}, {"ms", 1}, {"m", 6e4}, {"min", 6e4}, {"h", 3.6e6}, {"d", 8.64e7}, {NULL, 0}};
  return scaled(text, units, out_ms);
}
