/* SPDX-License-Identifier: Apache-2.0
 * Words for people: the nearest of some, counts, sizes, times. */
#include <stdio.h>
#include <string.h>

#include "text/document.h"

enum { LONGEST = 64 };

/* Edits (insert, delete, replace, swap of neighbours) between two words; LONGEST when one is too long. Damerau 1964, restricted. */
static size_t distance(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b), rows[3][LONGEST + 1], *before = rows[0], *last = rows[1], *now = rows[2];
  if (n >= LONGEST || m >= LONGEST) return LONGEST;
  for (size_t j = 0; j <= m; j++) last[j] = j;
  for (size_t i = 1; i <= n; i++) {
    now[0] = i;
    for (size_t j = 1; j <= m; j++) {
      size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
      if (last[j] + 1 < best) best = last[j] + 1;
      if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best) best = before[j - 2] + 1;
      now[j] = best;
    }
    size_t *free_row = before;
    before = last;
    last = now;
    now = free_row;
  }
  return last[m];
}

const char *ghee_text_nearest(const char *word, const char *const *words) {
  size_t most = strlen(word) / 3 > 2 ? strlen(word) / 3 : 2, best = most + 1;
  const char *nearest = NULL;
  for (; *words; words++) {
    size_t d = distance(word, *words);
    if (d < best && d < strlen(*words)) {
      best = d;
      nearest = *words;
    }
  }
  return nearest;
}

void ghee_text_count(ghee_buffer *out, uint64_t n) {
  char digits[32];
  int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
  for (int i = 0; i < length; i++) {
    ghee_buffer_put(out, &digits[i], 1);
    if (i + 1 < length && (length - i) % 3 == 1) ghee_buffer_put(out, ",", 1);
  }
}

void ghee_text_size(ghee_buffer *out, uint64_t bytes) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = (double)bytes;
  int unit = 0;
  for (; value >= 1024 && unit < 6; unit++) value /= 1024;
  ghee_buffer_printf(out, unit == 0 || value >= 100 || value == (double)(uint64_t)value ? "%.0f %s" : "%.1f %s", value, units[unit]);
}
