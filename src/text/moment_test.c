/* SPDX-License-Identifier: Apache-2.0
 * Dates and times: what is one, and which. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "text/moment.h"

static void test_moments(void **state) {
  (void)state;
  static const struct { const char *text; int64_t seconds, ns; bool has_time, has_offset; } cases[] = {
      {"1970-01-01", 0, 0, false, false},
      {"2024-02-29", 19782 * INT64_C(86400), 0, false, false},
      {"1969-12-31", -86400, 0, false, false},
      {"0001-01-01", -719162 * INT64_C(86400), 0, false, false},
      {"9999-12-31", 2932896 * INT64_C(86400), 0, false, false},
      {"1970-01-01 00:00:01", 1, 0, true, false},
      {"1970-01-02T03:04", 86400 + 3 * 3600 + 4 * 60, 0, true, false},
      {"1970-01-01 00:00:00.5Z", 0, 500000000, true, true},
      {"1970-01-01t00:00:00.000000001z", 0, 1, true, true},
      {"1970-01-01 02:00+02:00", 0, 0, true, true},
      {"1970-01-01 00:00-00:30", 1800, 0, true, true},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ghee_moment moment;
    if (!ghee_moment_parse(cases[i].text, &moment)) fail_msg("%s", cases[i].text);
    if (moment.ns != (ghee_int128)cases[i].seconds * GHEE_NS_PER_SECOND + cases[i].ns || moment.has_time != cases[i].has_time || moment.has_offset != cases[i].has_offset)
      fail_msg("%s", cases[i].text);
  }
}

static void test_what_is_none(void **state) {
  (void)state;
  static const char *const texts[] = {"", "2024", "2024-2-9", "2024-13-01", "2024-00-01", "2023-02-29", "1900-02-29", "2024-04-31", "0000-01-01", "12024-01-01", "2024-01-01x",
                                      "2024-01-01 ", "2024-01-01 1:00", "2024-01-01 24:00", "2024-01-01 00:60", "2024-01-01 00:00:60", "2024-01-01 00:00:00.",
                                      "2024-01-01 00:00:00.0000000001", "2024-01-01 00:00 +01:00", "2024-01-01 00:00+1:00", "2024-01-01Z", "-2024-01-01"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    ghee_moment moment;
    if (ghee_moment_parse(texts[i], &moment)) fail_msg("%s", texts[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_moments), cmocka_unit_test(test_what_is_none)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
