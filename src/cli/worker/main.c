/* SPDX-License-Identifier: Apache-2.0
 * ghee-worker: see ghee/worker.h. */
#include "ghee/worker.h"

int main(int argc, char **argv) { return ghee_worker_main(argc, argv); }
