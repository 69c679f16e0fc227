/* SPDX-License-Identifier: Apache-2.0
 * ghee-coordinator: the one process of a job that plans, leases and records. Started by a client. */
#include "ghee/worker.h"

int main(int argc, char **argv) { return ghee_coordinator_main(argc, argv); }
