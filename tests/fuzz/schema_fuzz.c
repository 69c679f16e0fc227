/* SPDX-License-Identifier: Apache-2.0
 * Schemas of the wire: what is decoded encodes to the same bytes, equals its copy and can be described. */
#include <stdlib.h>
#include <string.h>

#include "batch/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ghee_schema *schema, *copy;
  struct ArrowSchema arrow;
  ghee_buffer bytes = {0}, text = {0};
  ghee_error err = {0};
  if (ghee_schema_decode(data, size, &schema, &err) != GHEE_OK) return err.message[0] ? 0 : (abort(), 0);
  if (ghee_schema_encode(schema, &bytes, &err) != GHEE_OK || bytes.size != size || memcmp(bytes.data, data, size) != 0) abort();
  if (ghee_schema_export(schema, &arrow, &err) != GHEE_OK || ghee_schema_new(&arrow, &copy, &err) != GHEE_OK) abort();
  if (!ghee_schema_equal(schema, copy)) abort();
  ghee_schema_difference(schema, copy, &text);
  if (text.size) abort();
  for (int64_t i = 0; i < ghee_schema_columns(schema); i++) {
    const struct ArrowSchema *column = ghee_schema_arrow(schema)->children[i];
    ghee_type_describe(column, &text);
    if (ghee_schema_find(schema, column->name) != i) abort();
  }
  ghee_schema_unref(copy);
  ghee_schema_unref(schema);
  ghee_buffer_fini(&bytes);
  ghee_buffer_fini(&text);
  return 0;
}
