/* SPDX-License-Identifier: Apache-2.0
 * Lines to the sink that the process set. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

enum { PAUSE_MS = 15000 };

static ghee_log_sink log_sink;
static void *log_user;
static ghee_log_level log_least;

void ghee_log_set(ghee_log_sink sink, void *user, ghee_log_level least) {
  log_sink = sink;
  log_user = user;
  log_least = least;
}

static void print(void *user, ghee_log_level level, const char *line) {
  static _Atomic uint64_t next_ms;
  uint64_t now = ghee_clock_ms(), next = atomic_load(&next_ms);
  (void)user;
  if (level < GHEE_LOG_ERROR && (now < next || !atomic_compare_exchange_strong(&next_ms, &next, now + PAUSE_MS))) return;
  fprintf(stderr, "%sghee: %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", line); /* a line of progress may stand there */
}

void ghee_log_to_stderr(ghee_log_level least) { ghee_log_set(print, NULL, least); }

void ghee_log(ghee_log_level level, const char *format, ...) {
  if (!log_sink || level < log_least) return;
  char line[4096];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  log_sink(log_user, level, line);
}
