/* SPDX-License-Identifier: Apache-2.0
 * A budget under one thread, under many, and when it is canceled. Waiting is seen by what the others may do, never by a clock. */
#include "base/nth_alloc.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/budget.h"
#include "base/random.h"

static ghee_budget *budget_of(size_t limit) {
  ghee_budget *budget;
  assert_int_equal(ghee_budget_new(limit, &budget, NULL), GHEE_OK);
  return budget;
}

static void test_counts(void **state) {
  (void)state;
  ghee_budget *budget = budget_of(100);
  assert_int_equal(ghee_budget_limit(budget), 100);
  assert_true(ghee_budget_try_reserve(budget, 60));
  assert_false(ghee_budget_try_reserve(budget, 41));
  assert_true(ghee_budget_try_reserve(budget, 40));
  assert_false(ghee_budget_try_reserve(budget, 1));
  assert_true(ghee_budget_try_reserve(budget, 0));
  ghee_budget_force(budget, 50); /* an overrun is a debt … */
  assert_int_equal(ghee_budget_used(budget), 150);
  ghee_budget_release(budget, 60);
  assert_false(ghee_budget_try_reserve(budget, 11)); /* … that is repaid first */
  assert_true(ghee_budget_try_reserve(budget, 10));
  assert_int_equal(ghee_budget_peak(budget), 150);
  ghee_budget_release(budget, SIZE_MAX); /* never below nothing */
  assert_int_equal(ghee_budget_used(budget), 0);
  assert_int_equal(ghee_budget_reserve(budget, 1000), GHEE_OK); /* alone, a large one moves on */
  assert_false(ghee_budget_try_reserve(budget, 1));
  ghee_budget_free(budget);
  ghee_budget_free(NULL);
}

static void test_own_bytes_are_not_waited_for(void **state) {
  (void)state;
  ghee_budget *budget = budget_of(100);
  ghee_budget_force(budget, 120);
  assert_int_equal(ghee_budget_reserve_beside(budget, 50, 120), GHEE_OK);
  assert_int_equal(ghee_budget_used(budget), 170);
  ghee_budget_release(budget, 90);
  assert_int_equal(ghee_budget_reserve_beside(budget, 20, 1), GHEE_OK); /* beside others that fit */
  ghee_budget_free(budget);
}

static void test_nothing_is_no_budget(void **state) {
  (void)state;
  ghee_budget *budget = NULL;
  ghee_error err;
  assert_int_equal(ghee_budget_new(0, &budget, &err), GHEE_INVALID);
  assert_null(budget);
  assert_non_null(strstr(err.message, "0 bytes"));
}

typedef struct worker { ghee_budget *budget; int number; atomic_int *order; int place; ghee_status status; size_t size; } worker;

static void *reserve_once(void *user) {
  worker *w = user;
  w->status = ghee_budget_reserve(w->budget, w->size);
  if (w->status == GHEE_OK) w->place = atomic_fetch_add(w->order, 1);
  return NULL;
}

/* Until somebody waits, a byte could still be had beside 90 of 100. */
static void until_waiting(ghee_budget *budget) {
  while (ghee_budget_try_reserve(budget, 1)) {
    ghee_budget_release(budget, 1);
    sched_yield();
  }
}

static void test_a_waiter_is_not_passed(void **state) {
  (void)state;
  ghee_budget *budget = budget_of(100);
  atomic_int order = 0;
  worker large = {.budget = budget, .order = &order, .size = 50};
  pthread_t thread;
  assert_int_equal(ghee_budget_reserve(budget, 90), GHEE_OK);
  assert_int_equal(pthread_create(&thread, NULL, reserve_once, &large), 0);
  until_waiting(budget); /* from now on the small one has to wait behind the large one, though it would fit */
  assert_false(ghee_budget_try_reserve(budget, 1));
  ghee_budget_release(budget, 40);
  pthread_join(thread, NULL);
  assert_int_equal(large.status, GHEE_OK);
  assert_int_equal(ghee_budget_used(budget), 100);
  ghee_budget_release(budget, 100);
  ghee_budget_free(budget);
}

static void test_cancel_wakes_all(void **state) {
  (void)state;
  ghee_budget *budget = budget_of(10);
  atomic_int order = 0;
  worker workers[4];
  pthread_t threads[4];
  ghee_budget_force(budget, 10);
  for (int i = 0; i < 4; i++) {
    workers[i] = (worker){.budget = budget, .order = &order, .size = 5, .status = GHEE_INTERNAL};
    assert_int_equal(pthread_create(&threads[i], NULL, reserve_once, &workers[i]), 0);
  }
  ghee_budget_cancel(budget);
  for (int i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(workers[i].status, GHEE_CANCELED);
  }
  assert_false(ghee_budget_try_reserve(budget, 0));
  assert_int_equal(ghee_budget_reserve(budget, 1), GHEE_CANCELED);
  assert_int_equal(ghee_budget_used(budget), 10);
  ghee_budget_free(budget);
}

/* ---- many threads: the sum never passes the limit by more than one reservation let through alone ---- */

enum { LIMIT = 1000, THREADS = 4, ROUNDS = 3000 };
typedef struct crowd { ghee_budget *budget; _Atomic long held; _Atomic long most; } crowd;
typedef struct member { crowd *of; uint64_t seed; } member;

static void *reserve_many(void *user) {
  member *m = user;
  ghee_random random;
  ghee_random_init(&random, m->seed, 0, 0);
  for (int i = 0; i < ROUNDS; i++) {
    long size = 1 + (long)ghee_random_below(&random, LIMIT);
    if (i % 3 == 0 ? !ghee_budget_try_reserve(m->of->budget, (size_t)size) : ghee_budget_reserve(m->of->budget, (size_t)size) != GHEE_OK) continue;
    long now = atomic_fetch_add(&m->of->held, size) + size, most = atomic_load(&m->of->most);
    while (now > most && !atomic_compare_exchange_weak(&m->of->most, &most, now)) {}
    atomic_fetch_sub(&m->of->held, size);
    ghee_budget_release(m->of->budget, (size_t)size);
  }
  return NULL;
}

static void test_a_crowd_keeps_the_limit(void **state) {
  (void)state;
  crowd of = {.budget = budget_of(LIMIT)};
  member members[THREADS];
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) {
    members[i] = (member){.of = &of, .seed = (uint64_t)i};
    assert_int_equal(pthread_create(&threads[i], NULL, reserve_many, &members[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  assert_in_range(of.most, 1, LIMIT);
  assert_int_equal(ghee_budget_used(of.budget), 0);
  assert_in_range(ghee_budget_peak(of.budget), 1, LIMIT);
  ghee_budget_free(of.budget);
}

static ghee_status make(void *user, ghee_error *err) {
  (void)user;
  ghee_budget *budget;
  GHEE_TRY(ghee_budget_new(1, &budget, err));
  ghee_budget_free(budget);
  return GHEE_OK;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  assert_int_equal(nth_alloc_each(make, NULL, GHEE_OK), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_counts), cmocka_unit_test(test_own_bytes_are_not_waited_for), cmocka_unit_test(test_nothing_is_no_budget),
      cmocka_unit_test(test_a_waiter_is_not_passed),
      cmocka_unit_test(test_cancel_wakes_all), cmocka_unit_test(test_a_crowd_keeps_the_limit), cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
