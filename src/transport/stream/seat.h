/* SPDX-License-Identifier: Apache-2.0
 * Which receiver a sender chooses. Each sees only its own credit, so at the beginning, and whenever all have kept up, all receivers look alike to all
 * senders: without seats the first would get everything. */
#ifndef GHEE_TRANSPORT_SEAT_H
#define GHEE_TRANSPORT_SEAT_H

#include <stddef.h>
#include <stdint.h>

typedef struct ghee_candidate { uint64_t name, credit_bytes; } ghee_candidate;

/** The peer with most credit; of k with the most, the (seat mod k)-th by name. NULL: none has any. `look` says who a peer is. */
void *ghee_seat_choose(void *const *peers, size_t n, uint32_t seat, ghee_candidate (*look)(const void *peer));

#endif
