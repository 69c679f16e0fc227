/* SPDX-License-Identifier: Apache-2.0
 * For C tests: the environment of a client of the server that tests/services/s3/up started. */
#ifndef TESTS_S3_VARIABLES_H
#define TESTS_S3_VARIABLES_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** Sets them; false when S3_RUN does not name the folder of a running server. */
static inline bool s3_variables(void) {
  char path[4096], line[256];
  const char *run = getenv("S3_RUN");
  snprintf(path, sizeof path, "%s/variables", run ? run : "");
  FILE *file = run ? fopen(path, "r") : NULL;
  while (file && fgets(line, sizeof line, file)) {
    char *equals = strchr(line, '=');
    line[strcspn(line, "\n")] = 0;
    if (equals) *equals = 0, setenv(line, equals + 1, 1);
  }
  if (file) fclose(file);
  return file;
}

#endif
