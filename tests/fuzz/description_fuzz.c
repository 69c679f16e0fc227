/* SPDX-License-Identifier: Apache-2.0
 * Descriptions of jobs: a spec that is accepted, written and read again is the same. */
#include <stdlib.h>
#include <string.h>

#include "plan/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ghee_job_spec *spec_of(const void *text, size_t size, const char *folder, ghee_error *err) {
  ghee_document *document;
  ghee_job_spec *spec = NULL;
  if (ghee_document_parse(text, size, "fuzz", &document, err) != GHEE_OK) return NULL;
  ghee_status status = ghee_job_spec_new(document, folder, &spec, err);
  ghee_document_free(document);
  if (status != GHEE_OK && (spec || !err->message[0])) abort();
  return spec;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ghee_error err = {0};
  ghee_buffer json = {0}, json_again = {0};
  ghee_job_spec *spec = spec_of(data, size, "/folder", &err);
  if (!spec) return 0;
  if (ghee_job_spec_encode(spec, &json, &err) != GHEE_OK) abort();
  ghee_job_spec *again = spec_of(json.data, json.size, "/folder", &err);
  if (again) {
    if (ghee_job_spec_encode(again, &json_again, &err) != GHEE_OK) abort();
    if (json.size != json_again.size || memcmp(json.data, json_again.data, json.size) != 0) abort();
    ghee_job_spec_free(again);
  } else if (!strstr(err.message, "simple key") && !strstr(err.message, "':'")) {
    abort();
  }
  ghee_job_spec_free(spec);
  ghee_buffer_fini(&json);
  ghee_buffer_fini(&json_again);
  return 0;
}
