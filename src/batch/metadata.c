/* SPDX-License-Identifier: Apache-2.0
 * Reading and writing the key-value block of a field. */
#include "batch/metadata.h"

#include <stdint.h>
#include <string.h>

static int32_t load_i32(const char *at) {
  int32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

int64_t ghee_metadata_size(const char *metadata, size_t limit) {
  if (!metadata) return 0;
  if (limit < 4) return -1;
  int64_t pairs = load_i32(metadata);
  if (pairs < 0) return -1;
  size_t at = 4;
  for (int64_t i = 0; i < 2 * pairs; i++) {
    if (limit - at < 4) return -1;
    int32_t size = load_i32(metadata + at);
    at += 4;
    if (size < 0 || (size_t)size > limit - at) return -1;
    at += (size_t)size;
  }
  return (int64_t)at;
}

const char *ghee_metadata_find(const char *metadata, const char *key, size_t *size) {
  if (!metadata) return NULL;
  size_t wanted = strlen(key);
  int32_t pairs = load_i32(metadata);
  const char *at = metadata + 4;
  for (int32_t i = 0; i < pairs; i++) {
    size_t key_size = (size_t)load_i32(at);
    const char *found = at + 4;
    at = found + key_size;
    size_t value_size = (size_t)load_i32(at);
    if (key_size == wanted && memcmp(found, key, wanted) == 0) {
      *size = value_size;
      return at + 4;
    }
    at += 4 + value_size;
  }
  return NULL;
}

static void put_i32(ghee_buffer *buffer, int32_t value) { ghee_buffer_put(buffer, &value, sizeof value); }

void ghee_metadata_put(ghee_buffer *buffer, const char *key, const char *value) {
  put_i32(buffer, 1);
  put_i32(buffer, (int32_t)strlen(key));
  ghee_buffer_put(buffer, key, strlen(key));
  put_i32(buffer, (int32_t)strlen(value));
  ghee_buffer_put(buffer, value, strlen(value));
}
