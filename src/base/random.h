/* SPDX-License-Identifier: Apache-2.0
 * Seeded randomness that is the same on every machine and for ever: SplitMix64 for seeds (Steele, Lea, Flood 2014),
 * xoshiro256** for streams (Blackman, Vigna 2018). Not for keys. */
#ifndef GHEE_BASE_RANDOM_H
#define GHEE_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

typedef struct ghee_random {
  uint64_t s[4];
} ghee_random;

/** A stream of its own for each (seed, a, b): e.g. (seed, epoch, chunk). */
void ghee_random_init(ghee_random *random, uint64_t seed, uint64_t a, uint64_t b);
uint64_t ghee_random_next(ghee_random *random);
/** Uniform in [0, bound), bound > 0, without modulo bias (Lemire 2019). */
uint64_t ghee_random_below(ghee_random *random, uint64_t bound);
/** Fisher–Yates over 0 … n-1. */
void ghee_random_permutation(ghee_random *random, uint32_t *out, size_t n);

#endif
