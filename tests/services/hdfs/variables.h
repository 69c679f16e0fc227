/* SPDX-License-Identifier: Apache-2.0
 * For C tests: the URI of the cluster that tests/services/hdfs/up started. */
#ifndef TESTS_HDFS_VARIABLES_H
#define TESTS_HDFS_VARIABLES_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** "hdfs://HOST:PORT" in `out`; false when HDFS_RUN does not name the folder of a running cluster. */
static inline bool hdfs_address(char out[256]) {
  char path[4096];
  const char *run = getenv("HDFS_RUN");
  snprintf(path, sizeof path, "%s/address", run ? run : "");
  FILE *file = run ? fopen(path, "r") : NULL;
  bool found = file && fgets(out, 256, file);
  if (found) out[strcspn(out, "\n")] = 0;
  if (file) fclose(file);
  return found;
}

#endif
