/* SPDX-License-Identifier: Apache-2.0
 * For tests under ThreadSanitizer: C11 threads, of which librdkafka makes its own, as POSIX threads. The sanitizer knows no others, and a thread that
 * it does not know of dies in the first function that it watches. */
#ifndef GHEE_STORAGE_C11_THREADS_H
#define GHEE_STORAGE_C11_THREADS_H

#ifdef __SANITIZE_THREAD__
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

typedef struct c11_start { thrd_start_t run; void *user; } c11_start;

static void *c11_run(void *user) {
  c11_start start = *(c11_start *)user;
  free(user);
  return (void *)(intptr_t)start.run(start.user);
}

__attribute__((visibility("default"))) int thrd_create(thrd_t *thread, thrd_start_t run, void *user) {
  c11_start *start = malloc(sizeof *start);
  if (!start) return thrd_nomem;
  *start = (c11_start){run, user};
  if (pthread_create(thread, NULL, c11_run, start) == 0) return thrd_success;
  free(start);
  return thrd_error;
}

__attribute__((visibility("default"))) int thrd_join(thrd_t thread, int *result) {
  void *ended;
  if (pthread_join(thread, &ended) != 0) return thrd_error;
  if (result) *result = (int)(intptr_t)ended;
  return thrd_success;
}
#endif

#endif
