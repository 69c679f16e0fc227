/* SPDX-License-Identifier: Apache-2.0
 * A job's key pair. */
#include <sodium.h>

#include "transport/stream/stream.h"

ghee_status ghee_stream_key_new(ghee_stream_key *out, ghee_error *err) {
  if (sodium_init() < 0) return ghee_error_set(err, GHEE_INTERNAL, "libsodium does not start: no source of randomness");
  crypto_box_keypair(out->public_key, out->secret_key); /* Curve25519, as CURVE wants it */
  return GHEE_OK;
}
