/* SPDX-License-Identifier: Apache-2.0
 * A growing array of any type: `GHEE_ARRAY(int) numbers = {0}; if (!ghee_array_push(&numbers, 7)) …`. */
#ifndef GHEE_BASE_ARRAY_H
#define GHEE_BASE_ARRAY_H

#include <stdbool.h>
#include <stddef.h>

#define GHEE_ARRAY(type) struct { type *items; size_t count, capacity; }

/** Room for one more item of `item_bytes`; false when there is no memory. */
bool ghee_array_grow(void **items, size_t *capacity, size_t count, size_t item_bytes);

#define ghee_array_push(array, value)                                                                        \
  (((array)->count < (array)->capacity ||                                                                    \
    ghee_array_grow((void **)&(array)->items, &(array)->capacity, (array)->count, sizeof *(array)->items))   \
       ? ((array)->items[(array)->count++] = (value), true)                                                  \
       : false)
#define ghee_array_fini(array) (ghee_free((array)->items), (array)->items = NULL, (array)->count = (array)->capacity = 0)

#include "base/memory.h"

#endif
