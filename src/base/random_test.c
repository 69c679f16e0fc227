/* SPDX-License-Identifier: Apache-2.0
 * Randomness that must never change: stored plans and shuffles depend on it. */
#include "base/nth_alloc.h"

#include "base/random.h"

static void test_streams_are_fixed(void **state) {
  (void)state;
  /* Computed apart from the two papers' definitions; a change of any of these makes old plans give other rows. */
  static const struct { uint64_t seed, a, b, first, second; } streams[] = {
      {0, 0, 0, 0x8c4986f3f0e565d5u, 0xf4547fdf5c2f56b6u},
      {1, 2, 3, 0x740ddccda2dd6d03u, 0xdd861246b0dd6b46u},
      {0xffffffffffffffffu, 7, 0, 0x680f10de3c47bbfu, 0x3f47253a27a3897fu},
  };
  for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
    ghee_random random;
    ghee_random_init(&random, streams[i].seed, streams[i].a, streams[i].b);
    assert_int_equal(ghee_random_next(&random), streams[i].first);
    assert_int_equal(ghee_random_next(&random), streams[i].second);
  }
}

static void test_streams_differ(void **state) {
  (void)state;
  uint64_t firsts[1000];
  for (uint64_t i = 0; i < 1000; i++) {
    ghee_random random;
    ghee_random_init(&random, i / 100, i / 10 % 10, i % 10);
    firsts[i] = ghee_random_next(&random);
    for (uint64_t k = 0; k < i; k++) assert_int_not_equal(firsts[k], firsts[i]);
  }
}

static void test_below_is_uniform(void **state) {
  (void)state;
  static const uint64_t bounds[] = {1, 2, 3, 7, 10, 64, 100, 1000};
  ghee_random random;
  ghee_random_init(&random, 5, 0, 0);
  for (size_t b = 0; b < sizeof bounds / sizeof *bounds; b++) {
    uint64_t counts[1000] = {0}, bound = bounds[b], each = 1000;
    for (uint64_t i = 0; i < bound * each; i++) {
      uint64_t at = ghee_random_below(&random, bound);
      assert_true(at < bound);
      counts[at]++;
    }
    double chi = 0;
    for (uint64_t i = 0; i < bound; i++) chi += ((double)counts[i] - (double)each) * ((double)counts[i] - (double)each) / (double)each;
    double above = chi - (double)(bound - 1);
    assert_true(above <= 0 || above * above < 25 * 2 * (double)bound); /* 5 standard deviations; the seed is fixed */
  }
  for (int i = 0; i < 1000; i++) assert_true(ghee_random_below(&random, UINT64_MAX) < UINT64_MAX);
}

static void test_permutations(void **state) {
  (void)state;
  for (size_t n = 0; n < 300; n += n < 10 ? 1 : 37) {
    uint32_t order[300], again[300], other[300];
    bool seen[300] = {false};
    ghee_random random;
    ghee_random_init(&random, 9, n, 0);
    ghee_random_permutation(&random, order, n);
    ghee_random_init(&random, 9, n, 0);
    ghee_random_permutation(&random, again, n);
    ghee_random_init(&random, 9, n, 1);
    ghee_random_permutation(&random, other, n);
    for (size_t i = 0; i < n; i++) {
      assert_true(order[i] < n);
      assert_false(seen[order[i]]);
      seen[order[i]] = true;
    }
    assert_memory_equal(order, again, n * sizeof *order);
    if (n > 5) assert_memory_not_equal(order, other, n * sizeof *order);
  }
}

static void test_each_permutation_comes_as_often(void **state) {
  (void)state;
  int counts[4 * 4 * 4 * 4] = {0};
  for (uint64_t seed = 0; seed < 24000; seed++) {
    uint32_t p[4];
    ghee_random random;
    ghee_random_init(&random, seed, 0, 0);
    ghee_random_permutation(&random, p, 4);
    counts[((p[0] * 4 + p[1]) * 4 + p[2]) * 4 + p[3]]++;
  }
  int kinds = 0;
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    if (!counts[i]) continue;
    kinds++;
    assert_in_range(counts[i], 1000 - 160, 1000 + 160); /* 5 standard deviations */
  }
  assert_int_equal(kinds, 24);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_streams_are_fixed), cmocka_unit_test(test_streams_differ), cmocka_unit_test(test_below_is_uniform),
      cmocka_unit_test(test_permutations), cmocka_unit_test(test_each_permutation_comes_as_often),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
