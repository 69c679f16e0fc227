/* SPDX-License-Identifier: Apache-2.0
 * Progress of a job on stderr, and Ctrl-C. */
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static volatile sig_atomic_t interruptions;

static void on_signal(int number) {
  (void)number;
  interruptions++;
}

static int interrupted(void *user) {
  (void)user;
  return interruptions > 2 ? 2 : interruptions;
}

static const char *const phases[] = {"planning", "starting", "running", "publishing", "done", "failed", "canceled"};

static void print_count(FILE *to, unsigned long long n) {
  char digits[32];
  int length = snprintf(digits, sizeof digits, "%llu", n);
  for (int i = 0; i < length; i++) {
    fputc(digits[i], to);
    if (i + 1 < length && (length - i) % 3 == 1) fputc(',', to);
  }
}

static void print_time(FILE *to, double seconds) {
  unsigned s = (unsigned)seconds;
  if (s >= 3600) fprintf(to, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
  else fprintf(to, "%u:%02u", s / 60, s % 60);
}

static void print_line(FILE *to, const ghee_job_progress *p) {
  fprintf(to, "%-10s", phases[p->phase]);
  if (p->rows_total > 0) fprintf(to, " %3.0f %%", 100 * p->fraction);
  fprintf(to, "  ");
  print_count(to, p->rows_in);
  fprintf(to, " rows");
  if (p->rows_per_second > 0) {
    fprintf(to, "  ");
    print_count(to, (unsigned long long)p->rows_per_second);
    fprintf(to, " rows/s");
  }
  if (p->epochs > 1) fprintf(to, "  epoch %u of %u", p->epoch + 1, p->epochs);
  fprintf(to, "  ");
  print_time(to, p->seconds);
  if (p->left_seconds >= 0 && p->phase == GHEE_PHASE_RUNNING) {
    fprintf(to, ", ");
    print_time(to, p->left_seconds);
    fprintf(to, " left");
  }
  if (p->phase != GHEE_PHASE_RUNNING) return;
  for (unsigned i = 0; i < p->n_stages; i++)
    fprintf(to, "%s%s %.0f/%.0f/%.0f", i ? "  " : "  busy/starved/blocked %: ", p->stages[i].name, 100 * p->stages[i].busy,
            100 * p->stages[i].starved, 100 * p->stages[i].blocked);
}

static void on_progress(void *user, const ghee_job_progress *p) {
  cli_watch *watch = user;
  if (watch->quiet) return;
  if (watch->terminal) {
    fprintf(stderr, "\r\033[K");
    print_line(stderr, p);
    fflush(stderr);
    watch->shown = true;
    return;
  }
  int tenth = (int)(10 * p->fraction);
  if (tenth == watch->last_tenth && (int)p->phase == watch->last_phase) return;
  watch->last_tenth = tenth;
  watch->last_phase = p->phase;
  print_line(stderr, p);
  fprintf(stderr, "\n");
}

static void on_line(void *user, const char *line) {
  cli_watch *watch = user;
  if (watch->shown) fprintf(stderr, "\r\033[K");
  fprintf(stderr, "%s\n", line);
}

ghee_job_hooks cli_watch_hooks(cli_watch *watch, bool quiet) {
  const char *term = getenv("TERM");
  *watch = (cli_watch){.terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0, .quiet = quiet, .last_tenth = -1, .last_phase = -1};
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  return (ghee_job_hooks){.progress = on_progress, .line = on_line, .interrupted = interrupted, .user = watch};
}

void cli_watch_end(cli_watch *watch) {
  if (watch->shown) fprintf(stderr, "\n");
  watch->shown = false;
}
