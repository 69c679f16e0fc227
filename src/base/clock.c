/* SPDX-License-Identifier: Apache-2.0
 * Time. */
#include "base/clock.h"

#include <time.h>

uint64_t ghee_clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t ghee_clock_ms(void) { return ghee_clock_ns() / 1000000; }

int64_t ghee_clock_wall_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
