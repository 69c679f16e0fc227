/* SPDX-License-Identifier: Apache-2.0
 * Growth of arrays. */
#include "base/array.h"

#include <stdint.h>

bool ghee_array_grow(void **items, size_t *capacity, size_t count, size_t item_bytes) {
  size_t wider = count < 4 ? 8 : count * 2;
  if (wider > SIZE_MAX / item_bytes) return false;
  void *moved = ghee_realloc(*items, wider * item_bytes);
  if (!moved) return false;
  *items = moved;
  *capacity = wider;
  return true;
}
