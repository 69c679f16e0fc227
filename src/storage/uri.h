/* SPDX-License-Identifier: Apache-2.0
 * Inside storage/: the parts of a URI. */
#ifndef GHEE_STORAGE_URI_H
#define GHEE_STORAGE_URI_H

#include <stddef.h>

/** Length of the scheme before its colon; 0 for a bare path. */
size_t ghee_uri_scheme(const char *uri);
/** Length of what stands behind "scheme://", up to the slash of the path. */
size_t ghee_uri_authority(const char *at);

#endif
