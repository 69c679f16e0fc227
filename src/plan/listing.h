/* SPDX-License-Identifier: Apache-2.0
 * Inside plan/: which files an input is. */
#ifndef GHEE_PLAN_LISTING_H
#define GHEE_PLAN_LISTING_H

#include "plan/spec.h"
#include "storage/object_store.h"

/** Lists each URI of the input: what has its very name, or else matches its wildcards. A folder that has a manifest is the files that the manifest
 *  names, so that an output is read as it was published, whatever else a store shows meanwhile; `left_out` counts the others. In the order of the
 *  URIs, below each by name. GHEE_NOT_FOUND, GHEE_CORRUPT: a file of a manifest is missing or of another size; GHEE_INVALID: a file is in the
 *  input twice. Blocks: yes. */
ghee_status ghee_plan_list(ghee_object_store *store, const ghee_job_spec *spec, ghee_object_list *out, uint64_t *left_out, ghee_error *err);

#endif
