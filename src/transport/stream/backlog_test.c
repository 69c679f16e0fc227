/* SPDX-License-Identifier: Apache-2.0
 * Who goes next, and what it does to the account. Items lie in arrays, and are known by their seq, which is their place there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "transport/stream/backlog.h"

enum { WINDOW = 100, NONE = 999, MOST = 8 };

static ghee_stream_head head_of(uint32_t seq) { return (ghee_stream_head){.epoch = 1, .chunk = 2, .seq = seq, .token = 10 + seq % 2}; }

static bool push(ghee_backlog *to, ghee_backlog_item *items, uint32_t seq, uint64_t size) {
  items[seq] = (ghee_backlog_item){.head = head_of(seq), .size_bytes = size};
  return ghee_backlog_push(to, &items[seq]);
}

/* Which one goes; NONE: none may. */
static uint32_t pop(ghee_backlog *from) {
  ghee_backlog_item **at = ghee_backlog_next(from);
  return at ? ghee_backlog_pop(from, at)->head.seq : NONE;
}

static void want(ghee_backlog *of, uint32_t seq) {
  ghee_stream_head head = head_of(seq);
  ghee_backlog_want(of, &head);
}

static void opened(ghee_backlog *of) {
  ghee_backlog_init(of);
  ghee_backlog_welcome(of, WINDOW);
}

static void test_the_account(void **state) {
  (void)state;
  ghee_backlog of;
  ghee_backlog_item items[MOST];
  opened(&of);
  assert_int_equal(ghee_backlog_credit_bytes(&of), WINDOW);
  assert_true(push(&of, items, 0, 60));
  assert_false(push(&of, items, 1, 30)); /* behind one that waits */
  assert_int_equal(ghee_backlog_credit_bytes(&of), 10);
  assert_int_equal(pop(&of), 0);
  assert_int_equal(ghee_backlog_credit_bytes(&of), 10);
  assert_int_equal(pop(&of), 1);
  assert_true(push(&of, items, 2, 10));
  assert_int_equal(pop(&of), 2);
  assert_int_equal(ghee_backlog_credit_bytes(&of), 0);
  assert_false(push(&of, items, 3, 1));
  assert_int_equal(pop(&of), NONE);
  assert_int_equal(ghee_backlog_credit_bytes(&of), 0); /* more than the window is taken */
  ghee_backlog_release(&of, 30);
  assert_int_equal(pop(&of), 3);
  assert_int_equal(ghee_backlog_credit_bytes(&of), 29);
  ghee_backlog_release(&of, 5000); /* nobody owes what was never sent */
  assert_int_equal(ghee_backlog_credit_bytes(&of), WINDOW);
}

static void test_larger_than_the_window(void **state) {
  (void)state;
  ghee_backlog of;
  ghee_backlog_item items[MOST];
  opened(&of);
  assert_true(push(&of, items, 0, 1));
  (void)push(&of, items, 1, 3 * WINDOW);
  assert_int_equal(pop(&of), 0);
  assert_int_equal(pop(&of), NONE);
  ghee_backlog_release(&of, 1);
  assert_int_equal(pop(&of), 1);
  assert_false(push(&of, items, 2, 1));
  assert_int_equal(pop(&of), NONE);
}

static void test_before_the_welcome(void **state) {
  (void)state;
  ghee_backlog of;
  ghee_backlog_item items[MOST];
  ghee_backlog_init(&of);
  assert_true(push(&of, items, 0, 0));
  assert_int_equal(pop(&of), 0);
  assert_false(push(&of, items, 1, 1));
  assert_false(push(&of, items, 2, 0)); /* without credit it would go, but not past another */
  assert_int_equal(pop(&of), NONE);
  assert_int_equal(ghee_backlog_credit_bytes(&of), 0);
  ghee_backlog_welcome(&of, WINDOW);
  assert_int_equal(pop(&of), 1);
  assert_int_equal(pop(&of), 2);
}

/* 0 is in flight and fills the window; 1 to 3 wait. */
static void filled(ghee_backlog *of, ghee_backlog_item *items) {
  opened(of);
  assert_true(push(of, items, 0, WINDOW));
  assert_int_equal(pop(of), 0);
  for (uint32_t seq = 1; seq <= 3; seq++) assert_false(push(of, items, seq, 20));
}

static void test_the_wanted_one_needs_no_credit(void **state) {
  (void)state;
  ghee_backlog of;
  ghee_backlog_item items[MOST];
  filled(&of, items);
  want(&of, 3);
  assert_int_equal(pop(&of), 3);
  assert_int_equal(pop(&of), NONE);
  want(&of, 5);
  assert_int_equal(pop(&of), NONE);
  assert_false(push(&of, items, 4, 20));
  assert_true(push(&of, items, 5, 20));
  assert_int_equal(pop(&of), 5);
  assert_false(push(&of, items, 5, 20)); /* the want was served */
  assert_int_equal(pop(&of), NONE);
}

static void test_nothing_is_overtaken_without_need(void **state) {
  (void)state;
  ghee_backlog of;
  ghee_backlog_item items[MOST];
  filled(&of, items);
  ghee_backlog_release(&of, 80); /* credit for four more, of which three wait */
  want(&of, 3);
  for (uint32_t seq = 1; seq <= 3; seq++) assert_int_equal(pop(&of), seq);
  (void)push(&of, items, 4, 40);
  assert_false(push(&of, items, 3, 20)); /* in its turn it was served as well */
  assert_int_equal(pop(&of), NONE);
}

static void test_a_want_takes_the_place_of_another(void **state) {
  (void)state;
  ghee_backlog of;
  ghee_backlog_item items[MOST];
  filled(&of, items);
  want(&of, 2);
  want(&of, 4);
  assert_int_equal(pop(&of), NONE);
  want(&of, 1);
  assert_int_equal(pop(&of), 1);
  assert_int_equal(pop(&of), NONE);
}

static void test_revoke(void **state) {
  (void)state;
  ghee_backlog of;
  ghee_backlog_item items[MOST];
  ghee_backlog_list out = {.last = &out.first};
  filled(&of, items);
  want(&of, 3);
  ghee_backlog_revoke(&of, 11, &out); /* 1 and 3 */
  assert_int_equal(ghee_backlog_list_pop(&out, &out.first)->head.seq, 1);
  assert_int_equal(ghee_backlog_list_pop(&out, &out.first)->head.seq, 3);
  assert_null(out.first);
  assert_int_equal(pop(&of), NONE);
  assert_false(push(&of, items, 4, 20)); /* to the end, which 3 was */
  assert_true(push(&of, items, 3, 20));  /* another attempt brings what is still wanted */
  assert_int_equal(pop(&of), 3);
  ghee_backlog_release(&of, WINDOW + 20);
  assert_int_equal(pop(&of), 2);
  assert_int_equal(ghee_backlog_credit_bytes(&of), WINDOW - 40);
  assert_int_equal(pop(&of), 4);
  assert_int_equal(pop(&of), NONE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_account), cmocka_unit_test(test_larger_than_the_window), cmocka_unit_test(test_before_the_welcome),
      cmocka_unit_test(test_the_wanted_one_needs_no_credit), cmocka_unit_test(test_nothing_is_overtaken_without_need),
      cmocka_unit_test(test_a_want_takes_the_place_of_another), cmocka_unit_test(test_revoke)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
