/* SPDX-License-Identifier: Apache-2.0
 * A word-at-a-time multiplicative hash, and a map with linear probing and backward-shift deletion. */
#include "base/hash.h"

#include <string.h>

#include "base/memory.h"

uint64_t ghee_hash_mix(uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93u;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93u;
  return x ^ (x >> 32);
}

static uint64_t little(const uint8_t *at, size_t size) {
  uint64_t word = 0;
  for (size_t i = 0; i < size; i++) word |= (uint64_t)at[i] << (8 * i);
  return word;
}

uint64_t ghee_hash(const void *data, size_t size, uint64_t seed) {
  const uint8_t *at = data;
  uint64_t hash = ghee_hash_mix(seed ^ size);
  for (; size >= 8; at += 8, size -= 8) hash = ghee_hash_mix(hash ^ little(at, 8));
  return size ? ghee_hash_mix(hash ^ little(at, size)) : hash;
}

void ghee_map_fini(ghee_map *map) {
  ghee_free(map->entries);
  *map = (ghee_map){0};
}

static size_t home(const ghee_map *map, uint64_t key) { return (size_t)ghee_hash_mix(key) & (map->capacity - 1); }

static struct ghee_map_entry *find(const ghee_map *map, uint64_t key) {
  if (map->count == 0) return NULL;
  for (size_t i = home(map, key);; i = (i + 1) & (map->capacity - 1)) {
    if (!map->entries[i].value) return NULL;
    if (map->entries[i].key == key) return &map->entries[i];
  }
}

void *ghee_map_get(const ghee_map *map, uint64_t key) {
  struct ghee_map_entry *entry = find(map, key);
  return entry ? entry->value : NULL;
}

static void insert(ghee_map *map, uint64_t key, void *value) {
  size_t i = home(map, key);
  while (map->entries[i].value) i = (i + 1) & (map->capacity - 1);
  map->entries[i] = (struct ghee_map_entry){.key = key, .value = value};
  map->count++;
}

static bool grow(ghee_map *map) {
  ghee_map wider = {.capacity = map->capacity ? map->capacity * 2 : 16};
  wider.entries = ghee_alloc_zero(wider.capacity, sizeof *wider.entries);
  if (!wider.entries) return false;
  for (size_t i = 0; i < map->capacity; i++)
    if (map->entries[i].value) insert(&wider, map->entries[i].key, map->entries[i].value);
  ghee_free(map->entries);
  *map = wider;
  return true;
}

bool ghee_map_put(ghee_map *map, uint64_t key, void *value) {
  struct ghee_map_entry *entry = find(map, key);
  if (entry) {
    entry->value = value;
    return true;
  }
  if ((map->count + 1) * 4 > map->capacity * 3 && !grow(map)) return false;
  insert(map, key, value);
  return true;
}

void *ghee_map_remove(ghee_map *map, uint64_t key) {
  struct ghee_map_entry *entry = find(map, key);
  if (!entry) return NULL;
  void *value = entry->value;
  size_t mask = map->capacity - 1, hole = (size_t)(entry - map->entries);
  for (size_t i = (hole + 1) & mask; map->entries[i].value; i = (i + 1) & mask) {
    if (((i - home(map, map->entries[i].key)) & mask) < ((i - hole) & mask)) continue;
    map->entries[hole] = map->entries[i];
    hole = i;
  }
  map->entries[hole].value = NULL;
  map->count--;
  return value;
}

void *ghee_map_next(const ghee_map *map, size_t *at, uint64_t *key) {
  for (; *at < map->capacity; ++*at) {
    if (!map->entries[*at].value) continue;
    if (key) *key = map->entries[*at].key;
    return map->entries[(*at)++].value;
  }
  return NULL;
}
