/* SPDX-License-Identifier: Apache-2.0
 * Lines to the sink that the process set. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static ghee_log_sink log_sink;
static void *log_user;
static ghee_log_level log_least;

void ghee_log_set(ghee_log_sink sink, void *user, ghee_log_level least) {
  log_sink = sink;
  log_user = user;
  log_least = least;
}

void ghee_log(ghee_log_level level, const char *format, ...) {
  if (!log_sink || level < log_least) return;
  char line[4096];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  log_sink(log_user, level, line);
}
