/* SPDX-License-Identifier: Apache-2.0
 * UTF-8. */
#include "text/utf8.h"

size_t ghee_utf8_length(const unsigned char *at, size_t size) {
  if (size == 0) return 0;
  if (at[0] < 0x80) return 1;
  size_t n = at[0] >= 0xc2 && at[0] <= 0xdf ? 2 : (at[0] & 0xf0) == 0xe0 ? 3 : at[0] >= 0xf0 && at[0] <= 0xf4 ? 4 : 0;
  if (n == 0 || n > size) return 0;
  for (size_t i = 1; i < n; i++)
    if ((at[i] & 0xc0) != 0x80) return 0;
  if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f)) return 0;
  return n;
}

bool ghee_utf8_valid(const char *text, size_t size) {
  for (size_t i = 0, n; i < size; i += n)
    if (!(n = ghee_utf8_length((const unsigned char *)text + i, size - i))) return false;
  return true;
}
