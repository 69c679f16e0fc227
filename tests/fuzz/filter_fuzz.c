/* SPDX-License-Identifier: Apache-2.0
 * Filters: one that is understood can be held against columns, and what it selects are rows that are there. */
#include <stdlib.h>
#include <string.h>

#include "batch/batch.h"
#include "filter/predicate.h"
#include "ghee/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = 4 };

static void release_nothing(void *owner) { (void)owner; }

static void must(ghee_status status) {
  if (status != GHEE_OK) abort();
}

/* i, f, d, t: whole numbers, reals, days and texts. */
static void make_batch(ghee_batch *out) {
  static const int64_t whole[ROWS] = {INT64_MIN, -1, 0, INT64_MAX};
  static const double reals[ROWS] = {-1, 0, 0.5, 1e300};
  static const int32_t days[ROWS] = {INT32_MIN, -1, 0, INT32_MAX};
  static const char *const texts[ROWS] = {"", "a", "b", "ab"};
  ghee_builder *to;
  struct ArrowSchema arrow;
  struct ArrowArray array;
  ghee_schema *schema;
  must(ghee_builder_new(&to, NULL));
  must(ghee_builder_add_fixed(to, "i", "l", ROWS, whole, NULL, 0, NULL, 0, release_nothing, NULL, NULL));
  must(ghee_builder_add_fixed(to, "f", "g", ROWS, reals, NULL, 0, NULL, 0, release_nothing, NULL, NULL));
  must(ghee_builder_add_fixed(to, "d", "tdD", ROWS, days, NULL, 0, NULL, 0, release_nothing, NULL, NULL));
  must(ghee_builder_begin_text(to, "t", 0, NULL));
  for (int i = 0; i < ROWS; i++) must(ghee_builder_append_text(to, texts[i], strlen(texts[i]), NULL));
  must(ghee_builder_end_text(to, NULL));
  must(ghee_builder_finish(to, &arrow, &array, NULL));
  ghee_builder_free(to);
  must(ghee_schema_new(&arrow, &schema, NULL));
  must(ghee_batch_new(schema, &array, true, out, NULL));
  ghee_schema_unref(schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static ghee_batch batch;
  if (!batch.schema) make_batch(&batch);
  char *text = malloc(size + 1);
  if (!text) return 0;
  memcpy(text, data, size);
  text[size] = 0;
  ghee_error err = {0};
  ghee_filter *filter = NULL;
  ghee_predicate *predicate = NULL;
  uint32_t rows[ROWS];
  size_t n = 0;
  ghee_status status = ghee_filter_parse(text, &filter, &err);
  if (status != GHEE_OK && (filter || !err.message[0])) abort();
  if (status == GHEE_OK) status = ghee_predicate_new(filter, batch.schema, &predicate, &err);
  if (status == GHEE_OK) must(ghee_predicate_select(predicate, &batch, rows, &n, NULL));
  for (size_t i = 0; i < n; i++)
    if (rows[i] >= ROWS || (i > 0 && rows[i] <= rows[i - 1])) abort();
  ghee_predicate_free(predicate);
  ghee_filter_free(filter);
  free(text);
  return 0;
}
