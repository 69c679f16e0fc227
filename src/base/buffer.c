/* SPDX-License-Identifier: Apache-2.0
 * Growing bytes and little-endian fields. */
#include "base/buffer.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

void ghee_buffer_fini(ghee_buffer *buffer) {
  ghee_free(buffer->data);
  *buffer = (ghee_buffer){0};
}

void ghee_buffer_clear(ghee_buffer *buffer) {
  buffer->size = 0;
  buffer->failed = false;
}

uint8_t *ghee_buffer_room(ghee_buffer *buffer, size_t more) {
  if (buffer->failed || more > SIZE_MAX / 2 - buffer->size) {
    buffer->failed = true;
    return NULL;
  }
  size_t need = buffer->size + more;
  if (need > buffer->capacity) {
    size_t capacity = buffer->capacity ? buffer->capacity : 64;
    while (capacity < need) capacity *= 2;
    uint8_t *data = ghee_realloc(buffer->data, capacity);
    if (!data) {
      buffer->failed = true;
      return NULL;
    }
    buffer->data = data;
    buffer->capacity = capacity;
  }
  return buffer->data ? buffer->data + buffer->size : NULL;
}

void ghee_buffer_put(ghee_buffer *buffer, const void *data, size_t size) {
  if (size == 0 || !ghee_buffer_room(buffer, size)) return;
  memcpy(buffer->data + buffer->size, data, size);
  buffer->size += size;
}

void ghee_buffer_put_u8(ghee_buffer *buffer, uint8_t value) { ghee_buffer_put(buffer, &value, 1); }

static void put_little(ghee_buffer *buffer, uint64_t value, size_t size) {
  uint8_t bytes[8];
  for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(value >> (8 * i));
  ghee_buffer_put(buffer, bytes, size);
}

void ghee_buffer_put_u32(ghee_buffer *buffer, uint32_t value) { put_little(buffer, value, 4); }
void ghee_buffer_put_u64(ghee_buffer *buffer, uint64_t value) { put_little(buffer, value, 8); }

void ghee_buffer_put_bytes(ghee_buffer *buffer, const void *data, size_t size) {
  if (size > UINT32_MAX) buffer->failed = true;
  ghee_buffer_put_u32(buffer, (uint32_t)size);
  ghee_buffer_put(buffer, data, size);
}

void ghee_buffer_put_text(ghee_buffer *buffer, const char *text) { ghee_buffer_put_bytes(buffer, text, text ? strlen(text) : 0); }

void ghee_buffer_vprintf(ghee_buffer *buffer, const char *format, va_list args) {
  va_list again;
  va_copy(again, args);
  int size = vsnprintf(NULL, 0, format, args);
  if (size >= 0 && ghee_buffer_room(buffer, (size_t)size + 1)) {
    vsnprintf((char *)buffer->data + buffer->size, (size_t)size + 1, format, again);
    buffer->size += (size_t)size;
  }
  va_end(again);
}

void ghee_buffer_printf(ghee_buffer *buffer, const char *format, ...) {
  va_list args;
  va_start(args, format);
  ghee_buffer_vprintf(buffer, format, args);
  va_end(args);
}

const char *ghee_buffer_text(ghee_buffer *buffer) {
  if (!ghee_buffer_room(buffer, 1)) return "";
  buffer->data[buffer->size] = 0;
  return (const char *)buffer->data;
}

ghee_status ghee_buffer_check(const ghee_buffer *buffer, const char *doing, ghee_error *err) {
  return buffer->failed ? ghee_error_no_memory(err, doing) : GHEE_OK;
}

ghee_reader ghee_reader_of(const void *data, size_t size) { return (ghee_reader){.at = data, .end = (const uint8_t *)data + size}; }

static const uint8_t *take(ghee_reader *reader, size_t size) {
  if (reader->bad || size > (size_t)(reader->end - reader->at)) {
    reader->bad = true;
    return NULL;
  }
  const uint8_t *at = reader->at;
  reader->at += size;
  return at;
}

static uint64_t take_little(ghee_reader *reader, size_t size) {
  const uint8_t *at = take(reader, size);
  uint64_t value = 0;
  for (size_t i = 0; at && i < size; i++) value |= (uint64_t)at[i] << (8 * i);
  return value;
}

uint8_t ghee_reader_u8(ghee_reader *reader) { return (uint8_t)take_little(reader, 1); }
uint32_t ghee_reader_u32(ghee_reader *reader) { return (uint32_t)take_little(reader, 4); }
uint64_t ghee_reader_u64(ghee_reader *reader) { return take_little(reader, 8); }

const void *ghee_reader_bytes(ghee_reader *reader, size_t *size) {
  *size = ghee_reader_u32(reader);
  const void *at = take(reader, *size);
  if (!at) *size = 0;
  return at;
}

char *ghee_reader_text(ghee_reader *reader) {
  size_t size;
  const char *at = ghee_reader_bytes(reader, &size);
  char *text = at || size == 0 ? ghee_strndup(at ? at : "", size) : NULL;
  if (!text || reader->bad || memchr(text, 0, size)) {
    reader->bad = true;
    ghee_free(text);
    return NULL;
  }
  return text;
}

bool ghee_reader_done(const ghee_reader *reader) { return !reader->bad && reader->at == reader->end; }
