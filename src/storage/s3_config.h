/* SPDX-License-Identifier: Apache-2.0
 * Inside storage/: where an S3 store is and who asks: the options of the URI, then the environment, then the profile files. */
#ifndef GHEE_STORAGE_S3_CONFIG_H
#define GHEE_STORAGE_S3_CONFIG_H

#include <stdbool.h>

#include "base/status.h"

/** Options of a URI, each ";name=value" behind the bucket (values with percent escapes; a lone name means "true"):
 *  endpoint   http[s]://host[:port]     AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL     endpoint_url
 *  region                               AWS_REGION, AWS_DEFAULT_REGION            region               us-east-1
 *  profile                              AWS_PROFILE                               —                    default
 *  style      path, virtual             —                                         —                    path with an endpoint, else virtual
 *  ca                                   AWS_CA_BUNDLE                             ca_bundle            the system's authorities
 *  anonymous  true                      —                                         —                    requests are not signed
 *  unguarded  true                      —                                         —                    publish though the store ignores If-None-Match
 *  unsigned   true                      —                                         —                    bodies are not hashed over http: either: for networks that
 *                                                                                                                  are trusted
 *  Key, secret and session token stand in no URI: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, or the profile's in
 *  AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials) and AWS_CONFIG_FILE (~/.aws/config). A profile in the URI goes before the environment. */
typedef struct ghee_s3_keys { char *key, *secret, *token; } ghee_s3_keys; /* NULL: not set */
typedef struct ghee_s3_config {
  char *endpoint, *region, *profile, *style, *ca, *anonymous, *unguarded, *unsigned_bodies; /* NULL: not set */
  ghee_s3_keys keys;
} ghee_s3_config;

/** `options`: what stands between bucket and key, without the first ';'; "" for none.
 *  GHEE_INVALID: an option that is none · GHEE_DENIED: no key, and not anonymous. out gives: ghee_s3_config_fini. */
ghee_status ghee_s3_config_read(const char *options, ghee_s3_config *out, ghee_error *err);
void ghee_s3_config_fini(ghee_s3_config *config);

/** out gives: ghee_s3_keys_fini. */
ghee_status ghee_s3_keys_copy(const ghee_s3_keys *keys, ghee_s3_keys *out, ghee_error *err);
void ghee_s3_keys_fini(ghee_s3_keys *keys);
bool ghee_s3_keys_equal(const ghee_s3_keys *a, const ghee_s3_keys *b);

#endif
