/* SPDX-License-Identifier: Apache-2.0
 * Inside plan/: which files an input is. */
#ifndef GHEE_PLAN_LISTING_H
#define GHEE_PLAN_LISTING_H

#include "plan/spec.h"
#include "storage/object_store.h"

typedef struct ghee_plan_listing {
  ghee_object_list files;
  GHEE_ARRAY(uint32_t) prefixes; /* of each URI the bytes of the input's own folder, the last `/` included; all of it where the file is the input */
  uint64_t left_out;             /* files that are not in the manifest of their folder */
} ghee_plan_listing;
void ghee_plan_listing_fini(ghee_plan_listing *of);

/** Lists each URI of the input: what has its very name, or else matches its wildcards. A folder that has a manifest is the files that the manifest
 *  names, so that an output is read as it was published, whatever else a store shows meanwhile. In the order of the URIs, below each by name. GHEE_NOT_FOUND, GHEE_CORRUPT: a file of a manifest is missing or of another size; GHEE_INVALID: a file is in the
 *  input twice. Blocks: yes. out gives: ghee_plan_listing_fini, also on failure. */
ghee_status ghee_plan_list(ghee_object_store *store, const ghee_job_spec *spec, ghee_plan_listing *out, ghee_error *err);

#endif
