/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nth_alloc.h"
#include "runtime/worker/worker.h"

static ghee_attempt attempt(uint32_t epoch, uint32_t chunk, uint64_t token) { return (ghee_attempt){.epoch = epoch, .chunk = chunk, .token = token}; }

static bool alive(ghee_attempts *of, uint32_t epoch, uint32_t chunk, uint64_t token) {
  ghee_attempt one = attempt(epoch, chunk, token);
  return ghee_attempts_alive(of, &one);
}

static void revoke(ghee_attempts *of, uint32_t epoch, uint32_t chunk, uint64_t token) {
  ghee_attempt one = attempt(epoch, chunk, token);
  ghee_attempts_revoke(of, &one);
}

static void test_a_token_and_all_before_it(void **state) {
  (void)state;
  ghee_attempts of;
  ghee_attempts_init(&of);
  assert_true(alive(&of, 0, 7, 0) && alive(&of, 3, 0, UINT64_MAX));
  revoke(&of, 0, 7, 20);
  assert_false(alive(&of, 0, 7, 20) || alive(&of, 0, 7, 19) || alive(&of, 0, 7, 0));
  assert_true(alive(&of, 0, 7, 21));
  assert_true(alive(&of, 1, 7, 20) && alive(&of, 0, 8, 20)); /* another epoch's, another chunk's */
  revoke(&of, 0, 7, 10); /* said late */
  assert_false(alive(&of, 0, 7, 20));
  revoke(&of, 0, 7, 21);
  assert_false(alive(&of, 0, 7, 21));
  ghee_attempts_fini(&of);
}

static void test_every_chunk_up_to_a_token(void **state) {
  (void)state;
  ghee_attempts of;
  ghee_attempts_init(&of);
  revoke(&of, 0, 1, 50);
  revoke(&of, 0, UINT32_MAX, 40);
  assert_false(alive(&of, 0, 0, 40) || alive(&of, 9, 3, 1));
  assert_true(alive(&of, 0, 0, 41));
  assert_false(alive(&of, 0, 1, 50)); /* its own mark is the higher one */
  revoke(&of, 0, UINT32_MAX, 30);
  assert_false(alive(&of, 0, 0, 40));
  revoke(&of, 0, UINT32_MAX, 60);
  assert_false(alive(&of, 0, 1, 60));
  assert_true(alive(&of, 0, 1, 61));
  ghee_attempts_fini(&of);
}

static ghee_status revoke_many(void *user, ghee_error *err) {
  (void)err;
  ghee_attempts *of = user;
  ghee_attempts_init(of);
  revoke(of, 0, UINT32_MAX, 3);
  for (uint32_t chunk = 0; chunk < 100; chunk++) revoke(of, 0, chunk, 5);
  for (uint32_t chunk = 0; chunk < 100; chunk++) {
    assert_false(alive(of, 0, chunk, 3)); /* needs no memory */
    assert_true(alive(of, 0, chunk, 6));
  }
  ghee_attempts_fini(of);
  return GHEE_OK;
}

static void test_without_memory_an_attempt_goes_on(void **state) {
  (void)state;
  ghee_attempts of;
  assert_true(nth_alloc_each(revoke_many, &of, GHEE_OK) > 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_token_and_all_before_it), cmocka_unit_test(test_every_chunk_up_to_a_token),
                                     cmocka_unit_test(test_without_memory_an_attempt_goes_on)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
