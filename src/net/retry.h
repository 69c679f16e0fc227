/* SPDX-License-Identifier: Apache-2.0
 * When to try again: exponential back-off with full jitter, and what a server asks for. */
#ifndef GHEE_NET_RETRY_H
#define GHEE_NET_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"

/** Milliseconds to wait before try number `next` (2 = the first repetition): uniform in [1, min(10 s, 100 ms × 2^(next-1))]. */
uint64_t ghee_retry_wait_ms(ghee_random *random, unsigned next);
/** HTTP statuses that may go away: 429, 500, 502, 503, 504. */
bool ghee_retry_status(int http_status);
/** Milliseconds that a Retry-After header asks for: seconds, or a date (RFC 9110) seen from `now_s` (seconds since 1970). 0: none that can be read. */
uint64_t ghee_retry_after_ms(const char *value, int64_t now_s);

#endif
