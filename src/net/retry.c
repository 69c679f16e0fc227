/* SPDX-License-Identifier: Apache-2.0
 * The arithmetic of repetitions. Full jitter: a crowd that failed together does not come back together. */
#include "net/retry.h"

#include <stdlib.h>

#include <curl/curl.h>

enum { BASE_MS = 100, MOST_MS = 10000 };

uint64_t ghee_retry_wait_ms(ghee_random *random, unsigned next) {
  uint64_t most = next > 8 ? MOST_MS : (uint64_t)BASE_MS << (next - 1);
  return 1 + ghee_random_below(random, most < MOST_MS ? most : MOST_MS);
}

bool ghee_retry_status(int http_status) {
  return http_status == 429 || http_status == 500 || (http_status >= 502 && http_status <= 504);
}

uint64_t ghee_retry_after_ms(const char *value, int64_t now_s) {
  char *end;
  unsigned long long seconds = strtoull(value, &end, 10);
  if (end > value && !*end && *value != '-') return seconds < UINT64_MAX / 1000 ? seconds * 1000 : UINT64_MAX;
  int64_t when = (int64_t)curl_getdate(value, NULL);
  return when > now_s ? (uint64_t)(when - now_s) * 1000 : 0;
}
