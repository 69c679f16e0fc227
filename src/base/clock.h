/* SPDX-License-Identifier: Apache-2.0
 * Time: monotonic for durations, wall for records. */
#ifndef GHEE_BASE_CLOCK_H
#define GHEE_BASE_CLOCK_H

#include <stdint.h>

/** CLOCK_MONOTONIC in nanoseconds; milliseconds. Thread: any. */
uint64_t ghee_clock_ns(void);
uint64_t ghee_clock_ms(void);
/** Milliseconds since 1970-01-01 UTC. */
int64_t ghee_clock_wall_ms(void);

#endif
