/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/job/wire.h"

static int pair[2];
static uint8_t room[GHEE_WIRE_MAX];
static ghee_wire_kind kind;
static const void *data;
static size_t size;

static int setup(void **state) {
  (void)state;
  return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int teardown(void **state) {
  (void)state;
  close(pair[0]);
  close(pair[1]);
  return 0;
}

static ghee_status receive(void) { return ghee_wire_receive(pair[1], room, &kind, &data, &size); }

static void test_packets_come_whole_and_in_order(void **state) {
  (void)state;
  assert_int_equal(receive(), GHEE_AGAIN);
  assert_true(ghee_wire_send(pair[0], GHEE_WIRE_LINE, "one line", 8));
  assert_true(ghee_wire_send(pair[0], GHEE_WIRE_STOP, NULL, 0));
  assert_int_equal(receive(), GHEE_OK);
  assert_int_equal(kind, GHEE_WIRE_LINE);
  assert_int_equal(size, 8);
  assert_memory_equal(data, "one line", 8);
  assert_int_equal(receive(), GHEE_OK);
  assert_int_equal(kind, GHEE_WIRE_STOP);
  assert_int_equal(size, 0);
  assert_int_equal(receive(), GHEE_AGAIN);
}

static void test_what_is_too_long_is_cut(void **state) {
  (void)state;
  static char text[GHEE_WIRE_MAX + 100];
  memset(text, 'x', sizeof text);
  assert_true(ghee_wire_send(pair[0], GHEE_WIRE_LINE, text, sizeof text));
  assert_int_equal(receive(), GHEE_OK);
  assert_int_equal(size, GHEE_WIRE_MAX - 1);
  assert_memory_equal(data, text, size);
  assert_int_equal(receive(), GHEE_AGAIN);
}

/* What was said before the end is heard. */
static void test_the_end_of_the_other_side(void **state) {
  (void)state;
  assert_true(ghee_wire_send(pair[0], GHEE_WIRE_LINE, "last words", 10));
  close(pair[0]);
  assert_int_equal(receive(), GHEE_OK);
  assert_int_equal(receive(), GHEE_CLOSED);
  assert_false(ghee_wire_send(pair[1], GHEE_WIRE_STOP, NULL, 0)); /* and no signal */
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {TEST(test_packets_come_whole_and_in_order), TEST(test_what_is_too_long_is_cut), TEST(test_the_end_of_the_other_side)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
