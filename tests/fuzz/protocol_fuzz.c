/* SPDX-License-Identifier: Apache-2.0
 * Messages between coordinator and workers: the decoded encodes to the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "runtime/job/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ghee_say_message message;
  ghee_buffer bytes = {0};
  ghee_error err = {0};
  if (ghee_say_decode(data, size, &message, &err) != GHEE_OK) return err.message[0] ? 0 : (abort(), 0);
  if (ghee_say_encode(&message, &bytes, &err) != GHEE_OK || bytes.size != size || memcmp(bytes.data, data, size) != 0) abort();
  ghee_say_fini(&message);
  ghee_buffer_fini(&bytes);
  return 0;
}
