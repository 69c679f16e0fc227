/* SPDX-License-Identifier: Apache-2.0
 * A 64-bit hash for tables and fingerprints (not for signatures), and a map from u64 to pointer. */
#ifndef GHEE_BASE_HASH_H
#define GHEE_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The same on every machine. */
uint64_t ghee_hash(const void *data, size_t size_bytes, uint64_t seed);
uint64_t ghee_hash_mix(uint64_t value);

/** Open addressing, keys any u64, values not NULL. Zero-initialised is empty. Owner: one thread. */
typedef struct ghee_map {
  struct ghee_map_entry { uint64_t key; void *value; } *entries;
  size_t count, capacity;
} ghee_map;

void ghee_map_fini(ghee_map *map); /* leaves the values alone */
void *ghee_map_get(const ghee_map *map, uint64_t key);
/** false when there is no memory. Replaces an entry that is there. */
bool ghee_map_put(ghee_map *map, uint64_t key, void *value);
/** The removed value, NULL if none. */
void *ghee_map_remove(ghee_map *map, uint64_t key);
/** Walks the entries: *at starts at 0; NULL at the end. The map must not change meanwhile. */
void *ghee_map_next(const ghee_map *map, size_t *at, uint64_t *key);

#endif
