/* SPDX-License-Identifier: Apache-2.0
 * For tests: a column of each type written, read back and compared. */
#ifndef GHEE_FORMAT_TYPES_SAMPLE_H
#define GHEE_FORMAT_TYPES_SAMPLE_H

#include "batch/types_sample.h"
#include "format/sample.h"

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
