/* SPDX-License-Identifier: Apache-2.0
 * Bytes that are promised. Waiters are served in the order in which they came, so that a large one is not passed for ever. */
#include "base/budget.h"

#include <pthread.h>

#include "base/memory.h"

struct ghee_budget {
  size_t limit_bytes;
  struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    size_t used, peak;
    uint64_t next_ticket, serving; /* of those who wait */
    bool canceled;
  } locked;
};

ghee_status ghee_budget_new(size_t limit_bytes, ghee_budget **out, ghee_error *err) {
  if (limit_bytes == 0) return ghee_error_set(err, GHEE_INVALID, "a memory budget of 0 bytes cannot hold anything");
  ghee_budget *budget = ghee_alloc_zero(1, sizeof *budget);
  if (!budget) return ghee_error_no_memory(err, "making a memory budget");
  budget->limit_bytes = limit_bytes;
  pthread_mutex_init(&budget->locked.mutex, NULL);
  pthread_cond_init(&budget->locked.changed, NULL);
  *out = budget;
  return GHEE_OK;
}

void ghee_budget_free(ghee_budget *budget) {
  if (!budget) return;
  pthread_cond_destroy(&budget->locked.changed);
  pthread_mutex_destroy(&budget->locked.mutex);
  ghee_free(budget);
}

static bool fits(const ghee_budget *budget, size_t size, size_t own) {
  size_t used = budget->locked.used;
  return used <= own || (size <= budget->limit_bytes && used <= budget->limit_bytes - size);
}

static void add(ghee_budget *budget, size_t size) {
  budget->locked.used += size;
  if (budget->locked.used > budget->locked.peak) budget->locked.peak = budget->locked.used;
}

ghee_status ghee_budget_reserve_beside(ghee_budget *budget, size_t size, size_t own) {
  pthread_mutex_lock(&budget->locked.mutex);
  uint64_t ticket = budget->locked.next_ticket++;
  while (!budget->locked.canceled && (budget->locked.serving != ticket || !fits(budget, size, own)))
    pthread_cond_wait(&budget->locked.changed, &budget->locked.mutex);
  bool canceled = budget->locked.canceled;
  if (!canceled) {
    add(budget, size);
    budget->locked.serving++;
    pthread_cond_broadcast(&budget->locked.changed);
  }
  pthread_mutex_unlock(&budget->locked.mutex);
  return canceled ? GHEE_CANCELED : GHEE_OK;
}

ghee_status ghee_budget_reserve(ghee_budget *budget, size_t size) { return ghee_budget_reserve_beside(budget, size, 0); }

bool ghee_budget_try_reserve(ghee_budget *budget, size_t size) {
  pthread_mutex_lock(&budget->locked.mutex);
  bool ok = !budget->locked.canceled && budget->locked.serving == budget->locked.next_ticket && fits(budget, size, 0);
  if (ok) add(budget, size);
  pthread_mutex_unlock(&budget->locked.mutex);
  return ok;
}

void ghee_budget_force(ghee_budget *budget, size_t size) {
  pthread_mutex_lock(&budget->locked.mutex);
  add(budget, size);
  pthread_mutex_unlock(&budget->locked.mutex);
}

void ghee_budget_release(ghee_budget *budget, size_t size) {
  pthread_mutex_lock(&budget->locked.mutex);
  budget->locked.used -= size < budget->locked.used ? size : budget->locked.used;
  pthread_cond_broadcast(&budget->locked.changed);
  pthread_mutex_unlock(&budget->locked.mutex);
}

void ghee_budget_cancel(ghee_budget *budget) {
  pthread_mutex_lock(&budget->locked.mutex);
  budget->locked.canceled = true;
  pthread_cond_broadcast(&budget->locked.changed);
  pthread_mutex_unlock(&budget->locked.mutex);
}

size_t ghee_budget_limit(const ghee_budget *budget) { return budget->limit_bytes; }

static size_t read_locked(const ghee_budget *budget, const size_t *field) {
  pthread_mutex_t *mutex = (pthread_mutex_t *)&budget->locked.mutex;
  pthread_mutex_lock(mutex);
  size_t value = *field;
  pthread_mutex_unlock(mutex);
  return value;
}

size_t ghee_budget_used(const ghee_budget *budget) { return read_locked(budget, &budget->locked.used); }
size_t ghee_budget_peak(const ghee_budget *budget) { return read_locked(budget, &budget->locked.peak); }
