/* SPDX-License-Identifier: Apache-2.0
 * What the manifest's sources share among themselves. */
#ifndef GHEE_MANIFEST_CHECK_H
#define GHEE_MANIFEST_CHECK_H

#include "manifest/manifest.h"

/** Adds `range` behind those of the commit; joins it to its neighbour. GHEE_INVALID if it does not rise. */
ghee_status ghee_manifest_hold_range(ghee_manifest_commit *commit, ghee_manifest_range range, ghee_error *err);

/** What must hold of a file alone, its commit included. GHEE_INVALID. */
ghee_status ghee_manifest_check_file(const ghee_manifest *manifest, const ghee_manifest_file *file, ghee_error *err);
/** No name twice, no chunk of a job in two commits. GHEE_INVALID. */
ghee_status ghee_manifest_check_whole(const ghee_manifest *manifest, ghee_error *err);
/** The least chunk of the manifest's own job that is in no commit although a greater one is; -1: none is missing. */
ghee_status ghee_manifest_first_gap(const ghee_manifest *manifest, int64_t *chunk, ghee_error *err);

#endif
