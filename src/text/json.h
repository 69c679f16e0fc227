/* SPDX-License-Identifier: Apache-2.0
 * Printing JSON: commas and escapes by themselves. Bytes that are not UTF-8 become U+FFFD. */
#ifndef GHEE_TEXT_JSON_H
#define GHEE_TEXT_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

/** Start with {0} and a buffer. A key of NULL inside a list. Owner: one thread. */
typedef struct ghee_json {
  ghee_buffer *out;
  uint64_t comma; /* a bit a level: something stands before */
  int depth;
} ghee_json;

void ghee_json_begin_map(ghee_json *json, const char *key);
void ghee_json_end_map(ghee_json *json);
void ghee_json_begin_list(ghee_json *json, const char *key);
void ghee_json_end_list(ghee_json *json);
void ghee_json_text(ghee_json *json, const char *key, const char *value); /* NULL value: null */
void ghee_json_int(ghee_json *json, const char *key, int64_t value);
void ghee_json_uint(ghee_json *json, const char *key, uint64_t value);
void ghee_json_real(ghee_json *json, const char *key, double value); /* shortest that reads back; not finite: null */
void ghee_json_bool(ghee_json *json, const char *key, bool value);
/** Text that is JSON already. */
void ghee_json_raw(ghee_json *json, const char *key, const char *value);

#endif
