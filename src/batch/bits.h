/* SPDX-License-Identifier: Apache-2.0
 * Bitmaps as Arrow has them: bit i of a row is bit i % 8 of byte i / 8. Internal to the batch layer. */
#ifndef GHEE_BATCH_BITS_H
#define GHEE_BATCH_BITS_H

#include <stdbool.h>
#include <stdint.h>

static inline bool ghee_bit(const uint8_t *bits, int64_t at) { return bits[at >> 3] >> (at & 7) & 1; }
static inline void ghee_bit_set(uint8_t *bits, int64_t at) { bits[at >> 3] |= (uint8_t)(1 << (at & 7)); }
static inline int64_t ghee_bits_bytes(int64_t n) { return (n >> 3) + ((n & 7) != 0); }

/** Copies n bits to the start of `to`; the bits behind them in its last byte become 0. */
void ghee_bits_copy(const uint8_t *from, int64_t offset, int64_t n, uint8_t *to);
/** Ors n bits into `to` from bit `at`, where `to` is 0. */
void ghee_bits_append(const uint8_t *from, int64_t offset, int64_t n, uint8_t *to, int64_t at);
/** Sets n bits from `at`, where `to` is 0. */
void ghee_bits_fill(uint8_t *to, int64_t at, int64_t n);
/** How many of n bits are set. */
int64_t ghee_bits_count(const uint8_t *bits, int64_t offset, int64_t n);
/** One byte a row (0 or not) into bits at the start of `to`; returns how many were not 0. */
int64_t ghee_bits_pack(const uint8_t *bytes, int64_t n, uint8_t *to);

#endif
