/* SPDX-License-Identifier: Apache-2.0
 * A choice among few, by walking them. */
#include "transport/stream/seat.h"

/* How many of those with `most` credit have a smaller name. */
static uint32_t rank(void *const *peers, size_t n, uint64_t most, uint64_t name, ghee_candidate (*look)(const void *peer)) {
  uint32_t before = 0;
  for (size_t i = 0; i < n; i++) {
    ghee_candidate one = look(peers[i]);
    before += one.credit_bytes == most && one.name < name;
  }
  return before;
}

void *ghee_seat_choose(void *const *peers, size_t n, uint32_t seat, ghee_candidate (*look)(const void *peer)) {
  uint64_t most = 0;
  uint32_t alike = 0;
  for (size_t i = 0; i < n; i++) {
    uint64_t credit = look(peers[i]).credit_bytes;
    alike = credit > most ? 1 : alike + (credit == most);
    if (credit > most) most = credit;
  }
  for (size_t i = 0; i < n && most > 0; i++) {
    ghee_candidate one = look(peers[i]);
    if (one.credit_bytes == most && rank(peers, n, most, one.name, look) == seat % alike) return peers[i];
  }
  return NULL;
}
