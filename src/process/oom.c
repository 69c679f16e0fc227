/* SPDX-License-Identifier: Apache-2.0
 * What the kernel's out-of-memory killer has done in our control group, in either version of control groups. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "process/process.h"

/* The file that counts: for a line of /proc/self/cgroup, "4:memory:/path" (version 1) or "0::/path" (version 2). New string or NULL. */
static char *counting_file(char *line) {
  char *kinds = strchr(line, ':'), *path = kinds ? strchr(kinds + 1, ':') : NULL;
  if (!path) return NULL;
  *path++ = 0;
  path[strcspn(path, "\n")] = 0;
  if (strcmp(kinds + 1, "memory") == 0) return ghee_asprintf("/sys/fs/cgroup/memory%s/memory.oom_control", path);
  return kinds[1] ? NULL : ghee_asprintf("/sys/fs/cgroup%s/memory.events", path);
}

static uint64_t count_in(const char *path) {
  FILE *file = fopen(path, "re");
  char line[256];
  unsigned long long count = 0;
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "oom_kill %llu", &count) == 1) break;
  if (file) fclose(file);
  return count;
}

uint64_t ghee_process_oom_kills(void) {
  FILE *file = fopen("/proc/self/cgroup", "re");
  char line[4096];
  uint64_t count = 0;
  while (file && fgets(line, sizeof line, file)) {
    char *path = counting_file(line);
    if (path) count += count_in(path);
    ghee_free(path);
  }
  if (file) fclose(file);
  return count;
}
