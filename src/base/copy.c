/* SPDX-License-Identifier: Apache-2.0
 * Non-temporal stores where the processor has them; elsewhere memcpy. */
#include "base/copy.h"

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>

enum { LINE = 64, LEAST = 4096 }; /* below, the caches win */

static void copy_lines(uint8_t *to, const uint8_t *from, size_t size) {
  for (size_t i = 0; i < size; i += LINE) {
    __m128i a = _mm_loadu_si128((const __m128i *)(from + i)), b = _mm_loadu_si128((const __m128i *)(from + i + 16));
    __m128i c = _mm_loadu_si128((const __m128i *)(from + i + 32)), d = _mm_loadu_si128((const __m128i *)(from + i + 48));
    _mm_stream_si128((__m128i *)(to + i), a);
    _mm_stream_si128((__m128i *)(to + i + 16), b);
    _mm_stream_si128((__m128i *)(to + i + 32), c);
    _mm_stream_si128((__m128i *)(to + i + 48), d);
  }
  _mm_sfence(); /* such stores are not ordered by the lock or the system call that hands the memory over */
}

void ghee_copy_out(void *to, const void *from, size_t size) {
  uint8_t *out = to;
  const uint8_t *in = from;
  size_t head = size < LEAST ? size : (size_t)(-(uintptr_t)to & (LINE - 1)), lines = (size - head) & ~(size_t)(LINE - 1), tail = size - head - lines;
  if (head) memcpy(out, in, head);
  if (lines) copy_lines(out + head, in + head, lines);
  if (tail) memcpy(out + head + lines, in + head + lines, tail);
}
#else
void ghee_copy_out(void *to, const void *from, size_t size) {
  if (size) memcpy(to, from, size);
}
#endif
