/* SPDX-License-Identifier: Apache-2.0
 * Where what a job reads and writes lies, held against each other. */
#ifndef GHEE_PLAN_PLACES_H
#define GHEE_PLAN_PLACES_H

#include "plan/spec.h"

/** None of output and dead_letter may be, hold or lie in the other or the input; of an input with wildcards, be or hold its folder, or be where the
 *  wildcards reach. Of places of this machine the symbolic links are followed as well; no other storage is asked. Topics are not looked at.
 *  root   borrows: of the description, for the position.   GHEE_INVALID names both.   Blocks: yes, for links. */
ghee_status ghee_places_check(const ghee_job_spec *spec, const ghee_node *root, ghee_error *err);

#endif
