/* SPDX-License-Identifier: Apache-2.0
 * For tests: one column of each type that batches carry. */
#ifndef GHEE_BATCH_TYPES_SAMPLE_H
#define GHEE_BATCH_TYPES_SAMPLE_H

#include <stdio.h>

#include "base/random.h"
#include "batch/sample.h"

static const sample_type sample_item[] = {{"item", "i", true, NULL, 0, NULL}};
static const sample_type sample_words = {"", "u", false, NULL, 0, NULL};
static const sample_type sample_reals = {"", "g", false, NULL, 0, NULL};
static const sample_type sample_pair[] = {{"x", "g", true, NULL, 0, NULL}, {"y", "u", true, NULL, 0, NULL}};
static const sample_type sample_entry[] = {{"key", "u", false, NULL, 0, NULL}, {"value", "l", true, NULL, 0, NULL}};
static const sample_type sample_entries[] = {{"entries", "+s", false, sample_entry, 2, NULL}};
static const sample_type sample_list[] = {{"item", "+l", true, sample_item, 1, NULL}};
static const sample_type sample_struct[] = {{"item", "+s", true, sample_pair, 2, NULL}};

static const sample_type sample_all_types[] = {
    {"null", "n", true, NULL, 0, NULL},
    {"bool", "b", true, NULL, 0, NULL},
    {"int8", "c", true, NULL, 0, NULL},
    {"int16", "s", true, NULL, 0, NULL},
    {"int32", "i", false, NULL, 0, NULL},
    {"int64", "l", true, NULL, 0, NULL},
    {"uint8", "C", true, NULL, 0, NULL},
    {"uint16", "S", true, NULL, 0, NULL},
    {"uint32", "I", true, NULL, 0, NULL},
    {"uint64", "L", true, NULL, 0, NULL},
    {"float16", "e", true, NULL, 0, NULL},
    {"float32", "f", true, NULL, 0, NULL},
    {"float64", "g", true, NULL, 0, NULL},
    {"binary", "z", true, NULL, 0, NULL},
    {"large_binary", "Z", true, NULL, 0, NULL},
    {"string", "u", true, NULL, 0, NULL},
    {"large_string", "U", true, NULL, 0, NULL},
    {"fixed_binary", "w:5", true, NULL, 0, NULL},
    {"decimal128", "d:20,3", true, NULL, 0, NULL},
    {"decimal256", "d:50,3,256", true, NULL, 0, NULL},
    {"date32", "tdD", true, NULL, 0, NULL},
    {"date64", "tdm", true, NULL, 0, NULL},
    {"time32_s", "tts", true, NULL, 0, NULL},
    {"time32_ms", "ttm", true, NULL, 0, NULL},
    {"time64_us", "ttu", true, NULL, 0, NULL},
    {"time64_ns", "ttn", true, NULL, 0, NULL},
    {"timestamp_s", "tss:", true, NULL, 0, NULL},
    {"timestamp_ms", "tsm:UTC", true, NULL, 0, NULL},
    {"timestamp_us", "tsu:Europe/Berlin", true, NULL, 0, NULL},
    {"timestamp_ns", "tsn:+02:00", true, NULL, 0, NULL},
    {"duration_s", "tDs", true, NULL, 0, NULL},
    {"duration_ms", "tDm", true, NULL, 0, NULL},
    {"duration_us", "tDu", true, NULL, 0, NULL},
    {"duration_ns", "tDn", true, NULL, 0, NULL},
    {"interval_months", "tiM", true, NULL, 0, NULL},
    {"interval_days", "tiD", true, NULL, 0, NULL},
    {"interval_month_day_nano", "tin", true, NULL, 0, NULL},
    {"list", "+l", true, sample_item, 1, NULL},
    {"large_list", "+L", true, sample_item, 1, NULL},
    {"fixed_list", "+w:3", true, sample_item, 1, NULL},
    {"map", "+m", true, sample_entries, 1, NULL},
    {"struct", "+s", true, sample_pair, 2, NULL},
    {"list_of_lists", "+l", true, sample_list, 1, NULL},
    {"list_of_structs", "+l", true, sample_struct, 1, NULL},
    {"dictionary8", "c", true, NULL, 0, &sample_words},
    {"dictionary32", "i", true, NULL, 0, &sample_words},
    {"dictionary_u16", "S", true, NULL, 0, &sample_words},
    {"dictionary_of_reals", "i", true, NULL, 0, &sample_reals},
};
enum { SAMPLE_TYPES = sizeof sample_all_types / sizeof *sample_all_types };

/** Columns of random types (c0, c1, …), some made of others: lists, structs, fixed lists, dictionaries. Lives until the next call. */
static inline const sample_type *sample_random_types(ghee_random *random, int n_columns) {
  static sample_type pool[256];
  static char names[256][16];
  int used = n_columns;
  memset(pool, 0, sizeof pool);
  for (int i = 0; i < used; i++) {
    snprintf(names[i], sizeof names[i], "c%d", i);
    uint64_t kind = used < 200 ? ghee_random_below(random, 12) : 0;
    const sample_type *any = &sample_all_types[ghee_random_below(random, SAMPLE_TYPES)];
    static const char *const nested[] = {"+l", "+L", "+w:2", "+w:0", "+s"}, *const indices[] = {"c", "S", "i", "L"};
    pool[i] = (sample_type){names[i], any->format, ghee_random_below(random, 3) > 0, any->children, any->n_children, any->dictionary};
    if (kind < 7) continue;
    int below = kind == 11 ? (int)ghee_random_below(random, 4) : 1;
    bool dictionary = kind == 10 && i < n_columns; /* values of a dictionary are of a plain type here */
    pool[i].format = dictionary ? indices[ghee_random_below(random, 4)] : kind == 11 ? "+s" : nested[kind % 4];
    pool[i].children = dictionary ? NULL : &pool[used];
    pool[i].n_children = dictionary ? 0 : below;
    pool[i].dictionary = dictionary ? &sample_words : NULL;
    if (!dictionary) used += below;
  }
  return pool;
}

#endif
