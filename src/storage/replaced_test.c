/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/nth_alloc.h"
#include "storage/replaced.h"

static const char *const names[] = {"a=2/b=1/p0", "a=1/p1", "a=10/p2", "a=1/p3", "_manifest.json"};

static void test_folders_replace(void **state) {
  (void)state;
  ghee_replaced of = {0};
  assert_int_equal(ghee_replaced_init(&of, names, 5, NULL), GHEE_OK);
  static const char *const in[] = {"a=1/x", "a=1/deep/er/x", "a=2/b=1/x", "a=10/p2"};
  static const char *const out[] = {"x", "_SUCCESS", "a=2/x", "a=2/b=10/x", "a=2/b=2/x", "a=100/x", "a=/x", "a=1", "b=1/x"};
  for (size_t i = 0; i < sizeof in / sizeof *in; i++)
    if (!ghee_replaced_has(&of, in[i])) fail_msg("%s is replaced", in[i]);
  for (size_t i = 0; i < sizeof out / sizeof *out; i++)
    if (ghee_replaced_has(&of, out[i])) fail_msg("%s stays", out[i]);
  ghee_replaced_fini(&of);
  assert_false(ghee_replaced_has(&of, "a=1/x"));
}

static ghee_status fill(void *user, ghee_error *err) {
  (void)user;
  ghee_replaced of = {0};
  ghee_status status = ghee_replaced_init(&of, names, 5, err);
  ghee_replaced_fini(&of);
  return status;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  nth_alloc_each(fill, NULL, GHEE_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_folders_replace), cmocka_unit_test(test_memory_runs_out)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
