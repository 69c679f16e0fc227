/* SPDX-License-Identifier: Apache-2.0
 * Copies for memory that another core reads next, or that is read only when the caches near this one have something else. */
#ifndef GHEE_BASE_COPY_H
#define GHEE_BASE_COPY_H

#include <stddef.h>

/** As memcpy, but what is large goes past the caches: a store into lines that the reader's cache still holds from the last time costs
 *  several times the copy. Thread: any. */
void ghee_copy_out(void *to, const void *from, size_t size_bytes);

#endif
