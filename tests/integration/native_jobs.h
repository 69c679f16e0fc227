/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GHEE_INTEGRATION_NATIVE_JOBS_H
#define GHEE_INTEGRATION_NATIVE_JOBS_H

#include "harness.h"

/** The tests of native_failures.c, run as a group; how many failed. */
int run_failures(void);

#endif
