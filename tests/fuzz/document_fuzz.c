/* SPDX-License-Identifier: Apache-2.0
 * YAML and JSON: what is accepted prints as JSON that reads back to the same. */
#include <stdlib.h>
#include <string.h>

#include "text/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ghee_document *document, *again;
  ghee_buffer json = {0}, json_again = {0};
  ghee_error err;
  if (ghee_document_parse((const char *)data, size, "fuzz", &document, &err) != GHEE_OK) return err.message[0] ? 0 : (abort(), 0);
  ghee_node_to_json(ghee_document_root(document), &json);
  ghee_document_free(document);
  if (ghee_document_parse((const char *)json.data, json.size, "json", &again, &err) != GHEE_OK) abort();
  ghee_node_to_json(ghee_document_root(again), &json_again);
  if (json.size != json_again.size || memcmp(json.data, json_again.data, json.size) != 0) abort();
  ghee_document_free(again);
  ghee_buffer_fini(&json);
  ghee_buffer_fini(&json_again);
  return 0;
}
