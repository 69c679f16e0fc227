/* SPDX-License-Identifier: Apache-2.0
 * Manifests: what is accepted, written and read again is the same. */
#include <stdlib.h>
#include <string.h>

#include "manifest/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ghee_manifest manifest = {0}, again = {0};
  ghee_buffer json = {0}, json_again = {0};
  ghee_error err = {0};
  if (ghee_manifest_decode((const char *)data, size, &manifest, &err) != GHEE_OK) return err.message[0] ? 0 : (abort(), 0);
  if (ghee_manifest_encode(&manifest, &json, &err) != GHEE_OK) abort();
  if (ghee_manifest_decode((const char *)json.data, json.size, &again, &err) != GHEE_OK) abort();
  if (ghee_manifest_encode(&again, &json_again, &err) != GHEE_OK) abort();
  if (json.size != json_again.size || memcmp(json.data, json_again.data, json.size) != 0) abort();
  ghee_manifest_fini(&manifest);
  ghee_manifest_fini(&again);
  ghee_buffer_fini(&json);
  ghee_buffer_fini(&json_again);
  return 0;
}
