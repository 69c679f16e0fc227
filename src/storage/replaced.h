/* SPDX-License-Identifier: Apache-2.0
 * Which files of an output a new one replaces under GHEE_PUBLISH_PARTITIONS: all that lie in, or below, a folder into which it puts a file. */
#ifndef GHEE_STORAGE_REPLACED_H
#define GHEE_STORAGE_REPLACED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/** Zero-initialised replaces nothing. Immutable once filled. */
typedef struct ghee_replaced { char **folders; size_t n; } ghee_replaced;

/** Of the names of new files, relative to the output; one that lies in no folder replaces nothing. `names` is not kept. */
ghee_status ghee_replaced_init(ghee_replaced *of, const char *const *names, size_t n, ghee_error *err);
void ghee_replaced_fini(ghee_replaced *of);
/** A file of this name, relative to the output, is replaced. */
bool ghee_replaced_has(const ghee_replaced *of, const char *name);

#endif
