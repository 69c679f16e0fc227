/* SPDX-License-Identifier: Apache-2.0
 * The map against a plain array that knows the truth; hashes that must never change. */
#include "base/nth_alloc.h"

#include "base/hash.h"
#include "base/random.h"

static void test_hashes_are_fixed(void **state) {
  (void)state;
  assert_int_equal(ghee_hash("", 0, 0), 0u);
  assert_int_equal(ghee_hash("ghee", 4, 0), 0x3264a611954d9b0u);
  assert_int_equal(ghee_hash("0123456789abcdef!", 17, 42), 0x466f995bd4262fc1u);
}

static void test_hashes_differ(void **state) {
  (void)state;
  /* Every single bit of 24 bytes, every length, two seeds: no two alike. */
  uint64_t seen[24 * 8 + 25 + 1];
  size_t n = 0;
  uint8_t data[24] = {0};
  for (size_t bit = 0; bit < 24 * 8; bit++) {
    data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    seen[n++] = ghee_hash(data, 24, 0);
    data[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  for (size_t size = 0; size <= 24; size++) seen[n++] = ghee_hash(data, size, 0);
  seen[n++] = ghee_hash(data, 24, 1);
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < i; k++) assert_int_not_equal(seen[i], seen[k]);
}

static void test_an_odd_address(void **state) {
  (void)state;
  char moved[40];
  uint64_t want = ghee_hash("some text of 30 bytes or so ..", 30, 3);
  for (int shift = 0; shift < 8; shift++) {
    memcpy(moved + shift, "some text of 30 bytes or so ..", 30);
    assert_int_equal(ghee_hash(moved + shift, 30, 3), want);
  }
}

enum { KEYS = 500 };

/* Keys that collide, and 0 and the largest. */
static uint64_t key_of(uint64_t i) { return i == 0 ? 0 : i == 1 ? UINT64_MAX : i % 2 ? i << 40 : i; }

static void check_against(const ghee_map *map, void *const *truth) {
  size_t count = 0, at = 0, walked = 0;
  for (uint64_t i = 0; i < KEYS; i++) {
    assert_ptr_equal(ghee_map_get(map, key_of(i)), truth[i]);
    count += truth[i] != NULL;
  }
  uint64_t key;
  for (void *value; (value = ghee_map_next(map, &at, &key)); walked++) assert_ptr_equal(ghee_map_get(map, key), value);
  assert_int_equal(map->count, count);
  assert_int_equal(walked, count);
}

static void test_the_map_against_the_truth(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 20; seed++) {
    ghee_random random;
    ghee_random_init(&random, seed, 0, 0);
    ghee_map map = {0};
    void *truth[KEYS] = {0};
    static char values[KEYS * 4];
    uint64_t keys = 1 + ghee_random_below(&random, KEYS);
    for (int step = 0; step < 4000; step++) {
      uint64_t i = ghee_random_below(&random, keys);
      if (ghee_random_below(&random, 5) < 3) {
        void *value = &values[ghee_random_below(&random, sizeof values)];
        assert_true(ghee_map_put(&map, key_of(i), value));
        truth[i] = value;
      } else {
        assert_ptr_equal(ghee_map_remove(&map, key_of(i)), truth[i]);
        truth[i] = NULL;
      }
      if (step % 200 == 0) check_against(&map, truth);
    }
    check_against(&map, truth);
    for (uint64_t i = 0; i < keys; i++) assert_ptr_equal(ghee_map_remove(&map, key_of(i)), truth[i]);
    assert_int_equal(map.count, 0);
    ghee_map_fini(&map);
    assert_null(ghee_map_get(&map, 1));
    assert_null(ghee_map_remove(&map, 1));
  }
}

static ghee_status put_many(void *user, ghee_error *err) {
  (void)user;
  ghee_map map = {0};
  ghee_status status = GHEE_OK;
  uint64_t n = 0;
  while (n < 1000 && status == GHEE_OK) status = ghee_map_put(&map, n, &map) ? (n++, GHEE_OK) : ghee_error_no_memory(err, "putting");
  assert_int_equal(map.count, n); /* a put that fails changes nothing */
  for (uint64_t i = 0; i < n; i++) assert_ptr_equal(ghee_map_get(&map, i), &map);
  ghee_map_fini(&map);
  return status;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  assert_true(nth_alloc_each(put_many, NULL, GHEE_OK) > 5);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_hashes_are_fixed), cmocka_unit_test(test_hashes_differ), cmocka_unit_test(test_an_odd_address),
      cmocka_unit_test(test_the_map_against_the_truth), cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
