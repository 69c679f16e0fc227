/* SPDX-License-Identifier: Apache-2.0
 * Who is named as slow, from the shares of stages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "runtime/coordinator/coordinator.h"

static ghee_stage_progress stage(const char *name, uint32_t workers, double busy, double starved, double blocked) {
  ghee_stage_progress of = {.workers = workers, .busy = busy, .starved = starved, .blocked = blocked};
  snprintf(of.name, sizeof of.name, "%s", name);
  return of;
}

static void says(const ghee_stage_progress *stages, uint32_t n, const char *words) {
  char verdict[256];
  ghee_progress_verdict(stages, n, 8, verdict, sizeof verdict);
  assert_string_equal(verdict, words);
}

static void the_slow_stage_is_named(void **state) {
  (void)state;
  says((ghee_stage_progress[]){stage("preprocess", 4, 1, 0, 0), stage("train", 1, 0.5, 0.5, 0)}, 2, "train waits 50 % of the time: preprocess needs about 4 more workers");
  says((ghee_stage_progress[]){stage("preprocess", 4, 1, 0, 0), stage("train", 1, 0.4, 0.6, 0)}, 2,
       "train waits 60 % of the time: preprocess needs about 6 more workers, or a faster function: this machine has 8 processors");
  says((ghee_stage_progress[]){stage("preprocess", 4, 0.2, 0, 0.8), stage("train", 1, 1, 0, 0)}, 2, "train is the limit (busy 100 %); preprocess waits 80 % of the time for room behind it");
  says((ghee_stage_progress[]){stage("preprocess", 4, 0.9, 0.1, 0), stage("train", 1, 0.97, 0.03, 0)}, 2, "no stage holds the others back; train is the busiest (97 %)");
  says((ghee_stage_progress[]){stage("predict", 4, 0.9, 0.05, 0)}, 1, "predict is busy 90 % of the time");
}

static void reading_is_named_where_all_wait_for_it(void **state) {
  (void)state;
  says((ghee_stage_progress[]){stage("predict", 4, 0.3, 0.7, 0)}, 1, "predict waits 70 % of the time for its input: reading is the limit");
  says((ghee_stage_progress[]){stage("preprocess", 4, 0.1, 0.9, 0), stage("train", 1, 0.2, 0.8, 0)}, 2, "preprocess waits 90 % of the time for its input: reading is the limit");
}

static void nothing_is_said_of_nothing(void **state) {
  (void)state;
  says(NULL, 0, "");
  says((ghee_stage_progress[]){stage("preprocess", 4, 0, 0, 0), stage("train", 1, 0, 0, 0)}, 2, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_slow_stage_is_named), cmocka_unit_test(reading_is_named_where_all_wait_for_it),
                                     cmocka_unit_test(nothing_is_said_of_nothing)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
