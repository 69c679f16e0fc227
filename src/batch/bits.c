/* SPDX-License-Identifier: Apache-2.0
 * Bitmaps in words of 64 bits where there are enough of them. Little-endian machines only. */
#include "batch/bits.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "batches and frames are little-endian");

static uint64_t load(const uint8_t *at, size_t size) {
  uint64_t word = 0;
  memcpy(&word, at, size);
  return word;
}

/** n ≤ 64 bits from `offset`; touches no byte behind the last of them. */
static uint64_t read_bits(const uint8_t *from, int64_t offset, int64_t n) {
  const uint8_t *at = from + (offset >> 3);
  int shift = (int)(offset & 7);
  int64_t bytes = ghee_bits_bytes(shift + n);
  uint64_t word = load(at, bytes < 8 ? (size_t)bytes : 8) >> shift;
  if (bytes == 9) word |= (uint64_t)at[8] << (64 - shift);
  return n == 64 ? word : word & (((uint64_t)1 << n) - 1);
}

void ghee_bits_copy(const uint8_t *from, int64_t offset, int64_t n, uint8_t *to) {
  if (n <= 0) return;
  int64_t bytes = ghee_bits_bytes(n);
  if ((offset & 7) == 0) {
    memcpy(to, from + (offset >> 3), (size_t)bytes);
    if (n & 7) to[bytes - 1] &= (uint8_t)((1 << (n & 7)) - 1);
    return;
  }
  int64_t at = 0;
  for (; n - at >= 64; at += 64) {
    uint64_t word = read_bits(from, offset + at, 64);
    memcpy(to + (at >> 3), &word, 8);
  }
  if (at == n) return;
  uint64_t word = read_bits(from, offset + at, n - at);
  memcpy(to + (at >> 3), &word, (size_t)(bytes - (at >> 3)));
}

/** Ors the low n ≤ 56 bits of `word` in at bit `at`. */
static void or_bits(uint8_t *to, int64_t at, uint64_t word, int64_t n) {
  uint8_t *byte = to + (at >> 3);
  int shift = (int)(at & 7);
  size_t bytes = (size_t)ghee_bits_bytes(shift + n);
  uint64_t there = load(byte, bytes) | word << shift;
  memcpy(byte, &there, bytes);
}

void ghee_bits_append(const uint8_t *from, int64_t offset, int64_t n, uint8_t *to, int64_t at) {
  while (n > 0) {
    int64_t now = n < 56 ? n : 56;
    or_bits(to, at, read_bits(from, offset, now), now);
    offset += now;
    at += now;
    n -= now;
  }
}

void ghee_bits_fill(uint8_t *to, int64_t at, int64_t n) {
  for (; n > 0 && (at & 7); at++, n--) ghee_bit_set(to, at);
  if (n <= 0) return;
  memset(to + (at >> 3), 0xff, (size_t)(n >> 3));
  if (n & 7) to[(at + n) >> 3] = (uint8_t)((1 << (n & 7)) - 1);
}

int64_t ghee_bits_count(const uint8_t *bits, int64_t offset, int64_t n) {
  int64_t set = 0;
  for (int64_t at = 0; at < n; at += 64) set += __builtin_popcountll(read_bits(bits, offset + at, n - at < 64 ? n - at : 64));
  return set;
}

int64_t ghee_bits_pack(const uint8_t *bytes, int64_t n, uint8_t *to) {
  int64_t set = 0;
  for (int64_t at = 0; at < n; at += 8) {
    unsigned packed = 0;
    int64_t now = n - at < 8 ? n - at : 8;
    for (int64_t i = 0; i < now; i++) packed |= (unsigned)(bytes[at + i] != 0) << i;
    to[at >> 3] = (uint8_t)packed;
    set += __builtin_popcount(packed);
  }
  return set;
}
