/* SPDX-License-Identifier: Apache-2.0
 * The door to the heap and its failing hook; growing arrays. */
#include "base/nth_alloc.h"

#include "base/array.h"

static void test_the_nth_fails_once(void **state) {
  (void)state;
  for (long n = 1; n <= 4; n++) {
    ghee_memory_fail_at(n);
    for (long i = 1; i <= 5; i++) {
      void *memory = i % 2 ? ghee_alloc(8) : ghee_alloc_aligned(8);
      assert_true((memory == NULL) == (i == n));
      if (i % 2) ghee_free(memory);
      else ghee_free_aligned(memory);
    }
    assert_int_equal(ghee_memory_count(), 5);
  }
  ghee_memory_fail_at(0);
  for (int i = 0; i < 3; i++) ghee_free(ghee_strdup("x"));
  assert_int_equal(ghee_memory_count(), 3);
}

static void test_every_door_fails(void **state) {
  (void)state;
  char *kept = ghee_strdup("kept");
  for (int door = 0; door < 7; door++) {
    ghee_memory_fail_at(1);
    switch (door) {
      case 0: assert_null(ghee_alloc(1)); break;
      case 1: assert_null(ghee_alloc_zero(1, 1)); break;
      case 2: assert_null(ghee_realloc(kept, 100)); break;
      case 3: assert_null(ghee_strdup("a")); break;
      case 4: assert_null(ghee_strndup("abc", 2)); break;
      case 5: assert_null(ghee_asprintf("%d", 7)); break;
      default: assert_null(ghee_alloc_aligned(1));
    }
    ghee_memory_fail_at(0);
  }
  assert_string_equal(kept, "kept"); /* a realloc that failed leaves what was there */
  ghee_free(kept);
}

static void test_sizes(void **state) {
  (void)state;
  for (size_t size = 0; size < 200; size += 7) {
    uint8_t *aligned = ghee_alloc_aligned(size), *zero = ghee_alloc_zero(size, 3), *plain = ghee_alloc(size);
    assert_non_null(plain);
    assert_int_equal((uintptr_t)aligned % 64, 0);
    for (size_t i = 0; i < size * 3; i++) assert_int_equal(zero[i], 0);
    memset(aligned, 1, size);
    ghee_free_aligned(aligned);
    ghee_free(zero);
    ghee_free(plain);
  }
  assert_null(ghee_alloc_aligned(SIZE_MAX - 3));
  ghee_free(NULL);
  ghee_free_aligned(NULL);
}

static void test_texts(void **state) {
  (void)state;
  char *a = ghee_strndup("abc\0def", 7), *b = ghee_asprintf("%s-%04d", "x", 42), *empty = ghee_strndup("abc", 0);
  assert_memory_equal(a, "abc\0def", 8);
  assert_string_equal(b, "x-0042");
  assert_string_equal(empty, "");
  ghee_free(a);
  ghee_free(b);
  ghee_free(empty);
}

static ghee_status push_many(void *user, ghee_error *err) {
  GHEE_ARRAY(uint64_t) numbers = {0};
  size_t n = *(const size_t *)user, i = 0;
  while (i < n && ghee_array_push(&numbers, i * i)) i++;
  assert_int_equal(numbers.count, i);
  for (size_t k = 0; k < i; k++) assert_int_equal(numbers.items[k], k * k); /* what was pushed before a failure stays */
  ghee_array_fini(&numbers);
  assert_null(numbers.items);
  return i == n ? GHEE_OK : ghee_error_no_memory(err, "pushing");
}

static void test_arrays(void **state) {
  (void)state;
  size_t many = 10000, none = 0;
  assert_int_equal(nth_alloc_each(push_many, &none, GHEE_OK), 0);
  assert_true(nth_alloc_each(push_many, &many, GHEE_OK) < 16); /* doubling */
  void *items = NULL;
  size_t capacity = 0;
  assert_false(ghee_array_grow(&items, &capacity, SIZE_MAX / 8, 16)); /* more than there can be */
  assert_int_equal(capacity, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_nth_fails_once), cmocka_unit_test(test_every_door_fails), cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_texts), cmocka_unit_test(test_arrays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
