/* SPDX-License-Identifier: Apache-2.0
 * Inside manifest/: BLAKE2b-256 of bytes that come in pieces, as the text that manifests hold. */
#ifndef GHEE_MANIFEST_CHECKSUM_H
#define GHEE_MANIFEST_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/** "blake2b:", 64 hex digits and a NUL. */
enum { GHEE_CHECKSUM_SIZE = 8 + 64 + 1 };

typedef struct ghee_checksum ghee_checksum;
/** gives: ghee_checksum_free. NULL without memory. */
ghee_checksum *ghee_checksum_new(void);
void ghee_checksum_free(ghee_checksum *checksum);
void ghee_checksum_start(ghee_checksum *checksum);
void ghee_checksum_add(ghee_checksum *checksum, const void *data, size_t size_bytes);
/** Ends it; start comes before it is used again. */
void ghee_checksum_text(ghee_checksum *checksum, char out[GHEE_CHECKSUM_SIZE]);
/** Whether a text has the form of a checksum. */
bool ghee_checksum_is(const char *text);

#endif
