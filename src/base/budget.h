/* SPDX-License-Identifier: Apache-2.0
 * A promise in bytes: what a process may hold in batches. Reserving waits, overrun is a debt that later reservations
 * wait for; nothing here fails for want of room. */
#ifndef GHEE_BASE_BUDGET_H
#define GHEE_BASE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct ghee_budget ghee_budget;

/** `limit_bytes` > 0. out gives: ghee_budget_free. Thread: all calls from any thread. */
ghee_status ghee_budget_new(size_t limit_bytes, ghee_budget **out, ghee_error *err);
void ghee_budget_free(ghee_budget *budget);

/** Waits until `size_bytes` more fit, or until nothing is reserved (one reservation is always let through, so that a
 *  large one moves on). GHEE_CANCELED after ghee_budget_cancel.  Blocks: yes. */
ghee_status ghee_budget_reserve(ghee_budget *budget, size_t size_bytes);
/** The same for one who holds `own_bytes` himself, which nobody else could release while he waits: until no more than those are reserved. */
ghee_status ghee_budget_reserve_beside(ghee_budget *budget, size_t size_bytes, size_t own_bytes);
/** The same without waiting: false if it does not fit. */
bool ghee_budget_try_reserve(ghee_budget *budget, size_t size_bytes);
/** Reserves in any case: an overrun, or the one batch that everybody waits for. */
void ghee_budget_force(ghee_budget *budget, size_t size_bytes);
void ghee_budget_release(ghee_budget *budget, size_t size_bytes);
/** Wakes all waiters; later reservations that would wait fail. */
void ghee_budget_cancel(ghee_budget *budget);

size_t ghee_budget_limit(const ghee_budget *budget);
size_t ghee_budget_used(const ghee_budget *budget);
size_t ghee_budget_peak(const ghee_budget *budget);

#endif
