/* SPDX-License-Identifier: Apache-2.0
 * For tests: one thing done again and again with its n-th allocation failing, n = 1, 2 … until none is left to fail. What
 * leaks or is freed twice on the way the address sanitizer tells. GHEE_FAIL_ALLOCATIONS=all leaves none out; without it n goes
 * in longer and longer steps, so that the everyday run stays short. */
#ifndef GHEE_BASE_NTH_ALLOC_H
#define GHEE_BASE_NTH_ALLOC_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/status.h"

/** Does it once, from the same beginning each time, and frees what came of it; gives back its status. */
typedef ghee_status (*nth_attempt)(void *user, ghee_error *err);

static inline long nth_alloc_next(long n) {
  const char *all = getenv("GHEE_FAIL_ALLOCATIONS");
  return n + 1 + (all && strcmp(all, "all") == 0 ? 0 : n / 16);
}

/** Fails the test unless every attempt whose n-th allocation failed says GHEE_NO_MEMORY in words (or manages without it), and the
 *  one that loses none ends with `want`. Returns how many allocations that one made. */
static inline long nth_alloc_each(nth_attempt attempt, void *user, ghee_status want) {
  for (long n = 1;; n = nth_alloc_next(n)) {
    ghee_error err = {0};
    ghee_memory_fail_at(n);
    ghee_status status = attempt(user, &err);
    long made = ghee_memory_count();
    ghee_memory_fail_at(0);
    if (status != want && (made < n || status != GHEE_NO_MEMORY))
      fail_msg("allocation %ld of %ld: %s: %s", n, made, ghee_status_name(status), err.message);
    if (status == GHEE_NO_MEMORY && !err.message[0]) fail_msg("allocation %ld: no message", n);
    if (made < n) return made;
  }
}

/** `*out` still holds the byte that it was filled with. */
#define nth_alloc_untouched(out, byte) nth_alloc_is_filled((out), sizeof *(out), (byte))
static inline bool nth_alloc_is_filled(const void *memory, size_t size, int byte) {
  for (size_t i = 0; i < size; i++)
    if (((const unsigned char *)memory)[i] != byte) return false;
  return true;
}

#endif
