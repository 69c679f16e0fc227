/* SPDX-License-Identifier: Apache-2.0
 * The heap, with a hook that lets the n-th allocation fail. */
#include "base/memory.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Atomic long countdown; /* 0: off; falls to 1, at which the allocation fails */
static _Atomic long count;
static _Atomic int counting;

static int refused(void) {
  if (!atomic_load_explicit(&counting, memory_order_relaxed)) return 0;
  atomic_fetch_add(&count, 1);
  return atomic_load(&countdown) > 0 && atomic_fetch_sub(&countdown, 1) == 1;
}

void ghee_memory_fail_at(long n) {
  atomic_store(&countdown, n);
  atomic_store(&count, 0);
  atomic_store(&counting, 1);
}

long ghee_memory_count(void) { return atomic_load(&count); }

void *ghee_alloc(size_t size_bytes) { return refused() ? NULL : malloc(size_bytes ? size_bytes : 1); }

void *ghee_alloc_zero(size_t n, size_t size_bytes) {
  return refused() ? NULL : calloc(n ? n : 1, size_bytes ? size_bytes : 1);
}

void *ghee_realloc(void *memory, size_t size_bytes) { return refused() ? NULL : realloc(memory, size_bytes ? size_bytes : 1); }

void ghee_free(void *memory) { free(memory); }

char *ghee_strndup(const char *text, size_t length) {
  char *copy = ghee_alloc(length + 1);
  if (!copy) return NULL;
  memcpy(copy, text, length);
  copy[length] = 0;
  return copy;
}

char *ghee_strdup(const char *text) { return ghee_strndup(text, strlen(text)); }

char *ghee_asprintf(const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int size = vsnprintf(NULL, 0, format, args);
  va_end(args);
  char *text = size < 0 ? NULL : ghee_alloc((size_t)size + 1);
  if (text) vsnprintf(text, (size_t)size + 1, format, again);
  va_end(again);
  return text;
}

void *ghee_alloc_aligned(size_t size_bytes) {
  if (size_bytes > SIZE_MAX - 63) return NULL;
  return refused() ? NULL : aligned_alloc(64, size_bytes ? (size_bytes + 63) & ~(size_t)63 : 64);
}

void ghee_free_aligned(void *memory) { free(memory); }
