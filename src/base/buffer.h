/* SPDX-License-Identifier: Apache-2.0
 * Bytes: a growing buffer, and little-endian fields put into and taken out of it (control messages, headers).
 * A reader that runs past the end turns bad and stays bad; ask once at the end. */
#ifndef GHEE_BASE_BUFFER_H
#define GHEE_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdarg.h>

#include "base/status.h"

/** Zero-initialised is empty. `failed` is set when memory ran out; later puts do nothing. Owner: one thread. */
typedef struct ghee_buffer {
  uint8_t *data;
  size_t size, capacity;
  bool failed;
} ghee_buffer;

void ghee_buffer_fini(ghee_buffer *buffer);
void ghee_buffer_clear(ghee_buffer *buffer); /* keeps the memory */
/** Room for `size_bytes` more at the end; NULL (and failed) when there is no memory. Does not move `size`. */
uint8_t *ghee_buffer_room(ghee_buffer *buffer, size_t size_bytes);
void ghee_buffer_put(ghee_buffer *buffer, const void *data, size_t size_bytes);
void ghee_buffer_put_u8(ghee_buffer *buffer, uint8_t value);
void ghee_buffer_put_u32(ghee_buffer *buffer, uint32_t value);
void ghee_buffer_put_u64(ghee_buffer *buffer, uint64_t value);
/** u32 length, then the bytes. NULL text is length 0. */
void ghee_buffer_put_text(ghee_buffer *buffer, const char *text);
void ghee_buffer_put_bytes(ghee_buffer *buffer, const void *data, size_t size_bytes);
void ghee_buffer_printf(ghee_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ghee_buffer_vprintf(ghee_buffer *buffer, const char *format, va_list args);
/** Terminates with a NUL that `size` does not count, and returns the text; "" if it failed. */
const char *ghee_buffer_text(ghee_buffer *buffer);
/** GHEE_NO_MEMORY if a put failed. */
ghee_status ghee_buffer_check(const ghee_buffer *buffer, const char *doing, ghee_error *err);

typedef struct ghee_reader {
  const uint8_t *at, *end;
  bool bad;
} ghee_reader;

ghee_reader ghee_reader_of(const void *data, size_t size_bytes);
uint8_t ghee_reader_u8(ghee_reader *reader);
uint32_t ghee_reader_u32(ghee_reader *reader);
uint64_t ghee_reader_u64(ghee_reader *reader);
/** A new string, NULL if bad or without memory. */
char *ghee_reader_text(ghee_reader *reader);
/** Borrows `*size_bytes` bytes of the message. */
const void *ghee_reader_bytes(ghee_reader *reader, size_t *size_bytes);
/** Not bad, and nothing left over. */
bool ghee_reader_done(const ghee_reader *reader);

#endif
