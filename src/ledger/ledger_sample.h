/* SPDX-License-Identifier: Apache-2.0
 * For tests: a folder with room for a ledger. Include after cmocka.h. */
#ifndef GHEE_LEDGER_LEDGER_SAMPLE_H
#define GHEE_LEDGER_LEDGER_SAMPLE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "ledger/ledger.h"

static char root[64], path[96];

static int setup(void **state) {
  (void)state;
  strcpy(root, "/tmp/ghee-ledger-XXXXXX");
  if (!mkdtemp(root)) return -1;
  snprintf(path, sizeof path, "%s/ledger.db", root);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  return ghee_dir_remove_all(root, NULL) == GHEE_OK ? 0 : -1;
}

#endif
