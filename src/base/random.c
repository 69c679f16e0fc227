/* SPDX-License-Identifier: Apache-2.0
 * SplitMix64 seeds, xoshiro256** streams. */
#include "base/random.h"

static uint64_t split_mix(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

void ghee_random_init(ghee_random *random, uint64_t seed, uint64_t a, uint64_t b) {
  uint64_t state = seed;
  state = split_mix(&state) ^ a;
  state = split_mix(&state) ^ b;
  for (int i = 0; i < 4; i++) random->s[i] = split_mix(&state);
}

static uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

uint64_t ghee_random_next(ghee_random *random) {
  uint64_t *s = random->s, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate(s[3], 45);
  return result;
}

uint64_t ghee_random_below(ghee_random *random, uint64_t bound) {
  __extension__ typedef unsigned __int128 wide;
  wide product = (wide)ghee_random_next(random) * bound;
  if ((uint64_t)product < bound) {
    uint64_t threshold = -bound % bound;
    while ((uint64_t)product < threshold) product = (wide)ghee_random_next(random) * bound;
  }
  return (uint64_t)(product >> 64);
}

void ghee_random_permutation(ghee_random *random, uint32_t *out, size_t n) {
  for (size_t i = 0; i < n; i++) {
    size_t j = (size_t)ghee_random_below(random, i + 1);
    out[i] = out[j];
    out[j] = (uint32_t)i;
  }
}
