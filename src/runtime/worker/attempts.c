/* SPDX-License-Identifier: Apache-2.0
 * Which attempts were revoked: a token a chunk, and one below which all are dead. */
#include "runtime/worker/worker.h"

void ghee_attempts_init(ghee_attempts *attempts) {
  *attempts = (ghee_attempts){0};
  pthread_mutex_init(&attempts->mutex, NULL);
}

void ghee_attempts_fini(ghee_attempts *attempts) {
  ghee_map_fini(&attempts->dead);
  pthread_mutex_destroy(&attempts->mutex);
}

static uint64_t key_of(const ghee_attempt *attempt) { return (uint64_t)attempt->epoch << 32 | attempt->chunk; }

bool ghee_attempts_alive(ghee_attempts *attempts, const ghee_attempt *attempt) {
  pthread_mutex_lock(&attempts->mutex);
  bool alive = attempt->token >= attempts->dead_below &&
               attempt->token >= (uint64_t)(uintptr_t)ghee_map_get(&attempts->dead, key_of(attempt));
  pthread_mutex_unlock(&attempts->mutex);
  return alive;
}

void ghee_attempts_revoke(ghee_attempts *attempts, const ghee_attempt *attempt) {
  uint64_t first_alive = attempt->token + 1;
  pthread_mutex_lock(&attempts->mutex);
  if (attempt->chunk == UINT32_MAX) {
    if (first_alive > attempts->dead_below) attempts->dead_below = first_alive;
  } else {
    uint64_t known = (uint64_t)(uintptr_t)ghee_map_get(&attempts->dead, key_of(attempt));
    /* Without memory for the entry the attempt goes on; the coordinator refuses it when it is complete. */
    if (first_alive > known) (void)ghee_map_put(&attempts->dead, key_of(attempt), (void *)(uintptr_t)first_alive);
  }
  pthread_mutex_unlock(&attempts->mutex);
}
