/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/copy.h"

/* Sizes around the lines and the limit, at every offset of either side; nothing beside is touched. */
static void test_sizes_and_offsets(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 63, 64, 65, 4095, 4096, 4097, 4159, 4160, 8191, 70001};
  enum { MOST = 70001, ROOM = MOST + 256 };
  uint8_t *from = malloc(ROOM), *to = malloc(ROOM), *want = malloc(ROOM);
  for (size_t i = 0; i < ROOM; i++) from[i] = (uint8_t)(i * 31 + (i >> 8));
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (size_t offset = 0; offset < 64; offset += 7) {
      memset(to, 0xaa, ROOM);
      memset(want, 0xaa, ROOM);
      memcpy(want + offset, from + 63 - offset, sizes[s]);
      ghee_copy_out(to + offset, from + 63 - offset, sizes[s]);
      assert_memory_equal(to, want, ROOM);
    }
  free(from);
  free(to);
  free(want);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes_and_offsets)};
  return cmocka_run_group_tests_name("copy", tests, NULL, NULL);
}
