/* SPDX-License-Identifier: Apache-2.0
 * Every batch goes to exactly one rank, in an order that does not depend on how batches arrive. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "runtime/worker/order.h"

enum { CHUNKS = 23, INTERLEAVE = 4, MOST = 9 };

/* Batches without rows are enough: the order looks at their places only. */
static void put(ghee_order_queue *queue, uint32_t epoch, uint32_t chunk, uint32_t seq) {
  ghee_batch batch = {0};
  assert_int_equal(ghee_order_put(queue, epoch, chunk, seq, &batch, NULL), GHEE_OK);
}

static uint32_t count_of(uint32_t chunk) { return (chunk * 7 + 3) % (MOST + 1); }

typedef struct arrival { uint32_t chunk, seq; } arrival; /* seq == count: the end */

static size_t arrivals(arrival *out) {
  size_t n = 0;
  for (uint32_t chunk = 0; chunk < CHUNKS; chunk++)
    for (uint32_t seq = 0; seq <= count_of(chunk); seq++) out[n++] = (arrival){chunk, seq};
  return n;
}

static void arrive(ghee_order_queue *queue, const arrival *one) {
  if (one->seq == count_of(one->chunk)) assert_int_equal(ghee_order_end(queue, 0, one->chunk, one->seq, NULL), GHEE_OK);
  else if (ghee_plan_rank(one->chunk, one->seq, queue->world) == queue->rank) put(queue, 0, one->chunk, one->seq);
}

/* Places in the order in which they come out, with arrivals permuted by `seed`. */
static size_t drain(uint32_t rank, uint32_t world, uint64_t seed, const ghee_place *from, ghee_place *out) {
  static arrival all[CHUNKS * (MOST + 1)];
  static uint32_t order[CHUNKS * (MOST + 1)];
  size_t n = arrivals(all), got = 0;
  ghee_random random;
  ghee_random_init(&random, seed, 0, 0);
  ghee_random_permutation(&random, order, n);
  ghee_order_queue queue;
  ghee_order_init(&queue, rank, world, INTERLEAVE, CHUNKS);
  if (from) ghee_order_seek(&queue, from);
  for (size_t i = 0; i <= n; i++) {
    ghee_order_next next;
    for (ghee_order_take(&queue, &next); next.what == GHEE_ORDER_BATCH; ghee_order_take(&queue, &next)) out[got++] = next.place;
    if (i < n) assert_true(next.what == GHEE_ORDER_WAIT || next.what == GHEE_ORDER_EPOCH_END);
    else assert_int_equal(next.what, GHEE_ORDER_EPOCH_END);
    if (i < n) arrive(&queue, &all[order[i]]);
  }
  assert_int_equal(queue.held_bytes, 0);
  ghee_order_fini(&queue);
  return got;
}

static void each_batch_once(void **state) {
  (void)state;
  for (uint32_t world = 1; world <= 7; world++) {
    int seen[CHUNKS][MOST] = {{0}};
    ghee_place places[CHUNKS * MOST];
    for (uint32_t rank = 0; rank < world; rank++) {
      size_t n = drain(rank, world, 1, NULL, places);
      for (size_t i = 0; i < n; i++) {
        seen[places[i].chunk][places[i].seq]++;
        assert_int_equal(ghee_plan_rank(places[i].chunk, places[i].seq, world), rank);
        if (i) assert_true(ghee_place_compare(&places[i - 1], &places[i]) < 0);
      }
    }
    for (uint32_t chunk = 0; chunk < CHUNKS; chunk++)
      for (uint32_t seq = 0; seq < MOST; seq++) assert_int_equal(seen[chunk][seq], seq < count_of(chunk));
  }
}

static void order_does_not_depend_on_arrival(void **state) {
  (void)state;
  ghee_place first[CHUNKS * MOST], other[CHUNKS * MOST];
  for (uint64_t seed = 2; seed < 20; seed++) {
    size_t n = drain(1, 3, 1, NULL, first);
    assert_int_equal(drain(1, 3, seed, NULL, other), n);
    assert_memory_equal(first, other, n * sizeof *first);
  }
}

static void goes_on_at_any_place(void **state) {
  (void)state;
  ghee_place all[CHUNKS * MOST], rest[CHUNKS * MOST];
  size_t n = drain(0, 2, 1, NULL, all);
  for (size_t i = 0; i < n; i++) {
    assert_int_equal(drain(0, 2, i, &all[i], rest), n - i);
    assert_memory_equal(all + i, rest, (n - i) * sizeof *all);
  }
}

static void says_it_when_a_chunk_changes(void **state) {
  (void)state;
  ghee_order_queue queue;
  ghee_error err;
  ghee_order_init(&queue, 0, 1, INTERLEAVE, CHUNKS);
  assert_int_equal(ghee_order_end(&queue, 0, 2, 5, &err), GHEE_OK);
  assert_int_equal(ghee_order_end(&queue, 0, 2, 5, &err), GHEE_OK);
  assert_int_equal(ghee_order_end(&queue, 0, 2, 6, &err), GHEE_USER);
  assert_non_null(strstr(err.message, "chunk 2"));
  ghee_order_fini(&queue);
}

static void second_copy_is_dropped(void **state) {
  (void)state;
  ghee_order_queue queue;
  ghee_order_next next;
  ghee_order_init(&queue, 0, 1, INTERLEAVE, 1);
  put(&queue, 0, 0, 0);
  put(&queue, 0, 0, 0);
  ghee_order_take(&queue, &next);
  assert_int_equal(next.what, GHEE_ORDER_BATCH);
  put(&queue, 0, 0, 0); /* before the place now */
  assert_int_equal(queue.held.count, 0);
  ghee_order_fini(&queue);
}

static void survives_lack_of_memory(void **state) {
  (void)state;
  for (long n = 1; n < 8; n++) {
    ghee_order_queue queue;
    ghee_order_init(&queue, 0, 1, INTERLEAVE, CHUNKS);
    ghee_memory_fail_at(n);
    ghee_status status = GHEE_OK;
    for (uint32_t seq = 0; seq < 4 && status == GHEE_OK; seq++) {
      ghee_batch batch = {0};
      status = ghee_order_put(&queue, 0, 1, seq, &batch, NULL);
      if (status == GHEE_OK) status = ghee_order_end(&queue, 0, 2 + seq, 1, NULL);
    }
    assert_true(status == GHEE_OK || status == GHEE_NO_MEMORY);
    ghee_memory_fail_at(0);
    ghee_order_fini(&queue);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(each_batch_once), cmocka_unit_test(order_does_not_depend_on_arrival),
                                     cmocka_unit_test(goes_on_at_any_place), cmocka_unit_test(says_it_when_a_chunk_changes),
                                     cmocka_unit_test(second_copy_is_dropped), cmocka_unit_test(survives_lack_of_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
