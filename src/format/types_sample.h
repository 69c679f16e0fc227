/* SPDX-License-Identifier: Apache-2.0
 * For tests: one column of each type that batches carry. */
#ifndef GHEE_FORMAT_TYPES_SAMPLE_H
#define GHEE_FORMAT_TYPES_SAMPLE_H

#include "format/sample.h"

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

/** What became of one column of one type: written, read back and compared. */
typedef enum sample_fate { SAMPLE_SAME, SAMPLE_OTHER_TYPE, SAMPLE_REFUSED } sample_fate;

/** Fails the test unless values come back equal or the refusal names the column. `given` says whether the reader is told
 *  the types. */
static inline sample_fate sample_round_trip(const struct ghee_format_ops *ops, const sample_type *type, bool given) {
  ghee_schema *schema = sample_schema(type, 1);
  ghee_batch batch, got = {0}, cast = {0};
  ghee_buffer bytes = {0};
  ghee_error why = {0};
  sample_fate fate = SAMPLE_REFUSED;
  sample_batch(schema, type, 1, 1000, 2, &batch);
  ghee_status status = sample_write(ops, schema, &batch, 1, NULL, &bytes, &why);
  if (status == GHEE_OK) {
    ghee_read_options how = {.batch_rows = 300, .schema = given ? schema : NULL};
    sample_file in;
    int64_t rows;
    status = sample_open(ops, bytes.data, bytes.size, &how, &in, &why);
    if (status == GHEE_OK) {
      status = sample_read_all(in.file, 1 << 20, 300, &got, &rows, &why);
      if (status != GHEE_OK) fail_msg("%s %s: %s", ops->name, type->name, why.message);
      assert_int_equal(rows, 1000);
      fate = ghee_schema_equal(got.schema, schema) ? SAMPLE_SAME : SAMPLE_OTHER_TYPE;
      if (fate == SAMPLE_OTHER_TYPE) {
        SAMPLE_OK(ghee_batch_cast(&batch, got.schema, &cast, err));
        ghee_batch_move(&cast, &batch);
      }
      if (!ghee_batch_equal(&got, &batch)) fail_msg("%s %s: the values differ", ops->name, type->name);
      sample_close(&in);
    }
  }
  if (status != GHEE_OK) {
    if (status != GHEE_UNSUPPORTED || !strstr(why.message, type->name)) {
      fail_msg("%s %s: %s %s", ops->name, type->name, ghee_status_name(status), why.message);
    }
  }
  ghee_batch_release(&got);
  ghee_batch_release(&batch);
  ghee_buffer_fini(&bytes);
  ghee_schema_unref(schema);
  return fate;
}

/** Whether `name` is one of the words of `list`. */
static inline bool sample_listed(const char *list, const char *name) {
  size_t n = strlen(name);
  for (const char *at = list; (at = strstr(at, name)); at += n) {
    if ((at == list || at[-1] == ' ') && (at[n] == ' ' || !at[n])) return true;
  }
  return false;
}

/** Every type has the fate that the lists say: refused, of another type, else the same. */
static inline void sample_check_types(const struct ghee_format_ops *ops, bool given, const char *refused, const char *other) {
  for (int i = 0; i < SAMPLE_TYPES; i++) {
    const sample_type *type = &sample_all_types[i];
    sample_fate want = sample_listed(refused, type->name) ? SAMPLE_REFUSED
                       : sample_listed(other, type->name) ? SAMPLE_OTHER_TYPE : SAMPLE_SAME;
    sample_fate is = sample_round_trip(ops, type, given);
    if (is != want) fail_msg("%s %s: fate %d, wanted %d", ops->name, type->name, (int)is, (int)want);
  }
}

#endif
