/* SPDX-License-Identifier: Apache-2.0
 * The one door to the heap: a hook so that tests can make the n-th allocation fail. */
#ifndef GHEE_BASE_MEMORY_H
#define GHEE_BASE_MEMORY_H

#include <stddef.h>

/** As malloc, calloc, realloc, free, strdup, strndup; NULL when there is no memory (or the test says so). Thread: any. */
void *ghee_alloc(size_t size_bytes);
void *ghee_alloc_zero(size_t count, size_t size_bytes);
void *ghee_realloc(void *memory, size_t size_bytes);
void ghee_free(void *memory);
char *ghee_strdup(const char *text);
char *ghee_strndup(const char *text, size_t length);
/** printf into new memory; NULL when there is none. */
char *ghee_asprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** 64-byte aligned memory for buffers of batches; freed by ghee_free_aligned. Not counted against any budget. */
void *ghee_alloc_aligned(size_t size_bytes);
void ghee_free_aligned(void *memory);

/** Tests: the n-th allocation from now on fails once (1 = the next); 0 = none. Process-wide. */
void ghee_memory_fail_at(long n);
/** Allocations since the last ghee_memory_fail_at. */
long ghee_memory_count(void);

#endif
