/* SPDX-License-Identifier: Apache-2.0
 * Progress of a job on stderr, and Ctrl-C.
 *
 * Design notes
 * - On a terminal the report is a block of lines that is drawn over itself: the cursor goes up by as many lines as were drawn, and each
 *   line is cleared to its end. No line is as wide as the terminal, whose width is asked for each time, so none wraps.
 * - A terminal without cursor movement (TERM=dumb), a file and a pipe get a plain line at each change of phase and tenth of the job. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"

enum { USUAL_COLUMNS = 80, LEAST_COLUMNS = 20, MOST_COLUMNS = 120 };

static volatile sig_atomic_t interruptions;

static void on_signal(int number) {
  (void)number;
  interruptions++;
}

static unsigned columns(void) {
  struct winsize size;
  unsigned n = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : USUAL_COLUMNS;
  return n <= LEAST_COLUMNS ? LEAST_COLUMNS : n > MOST_COLUMNS ? MOST_COLUMNS : n - 1;
}

static void erase(cli_watch *watch) {
  if (watch->lines) fprintf(stderr, "\033[%dA\r\033[J", watch->lines);
  watch->lines = 0;
}

static void draw(cli_watch *watch, const ghee_job_progress *p) {
  char *text;
  if (ghee_job_progress_text(p, columns(), &text, NULL) != GHEE_OK) return;
  if (watch->lines) fprintf(stderr, "\033[%dA\r", watch->lines);
  watch->lines = 0;
  for (const char *at = text; *at;) {
    size_t n = strcspn(at, "\n");
    bool faint = watch->color && watch->lines > 0;
    fprintf(stderr, "%s%.*s%s\033[K\n", faint ? "\033[2m" : "", (int)n, at, faint ? "\033[0m" : "");
    watch->lines++;
    at += n + (at[n] == '\n');
  }
  fprintf(stderr, "\033[J");
  fflush(stderr);
  ghee_text_free(text);
}

static void print_plain(cli_watch *watch, const ghee_job_progress *p) {
  int tenth = (int)(10 * p->fraction);
  char *text;
  if (tenth == watch->last_tenth && (int)p->phase == watch->last_phase) return;
  watch->last_tenth = tenth;
  watch->last_phase = p->phase;
  if (ghee_job_progress_text(p, 0, &text, NULL) != GHEE_OK) return;
  fprintf(stderr, "%s\n", text);
  ghee_text_free(text);
}

static void on_progress(void *user, const ghee_job_progress *p) {
  cli_watch *watch = user;
  if (watch->terminal) draw(watch, p);
  else print_plain(watch, p);
}

static void on_line(void *user, const char *line) {
  erase(user);
  fprintf(stderr, "%s\n", line);
}

static int interrupted(void *user) {
  cli_watch *watch = user;
  int wish = interruptions > 2 ? 2 : interruptions;
  if (wish == 1 && !watch->told) {
    watch->told = true;
    on_line(watch, "stopping; Ctrl-C once more leaves at once");
  }
  return wish;
}

ghee_job_hooks cli_watch_hooks(cli_watch *watch, bool quiet) {
  const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
  bool terminal = isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
  *watch = (cli_watch){.terminal = terminal, .color = terminal && !(no_color && *no_color), .last_tenth = -1, .last_phase = -1};
  struct sigaction action = {.sa_handler = on_signal}, before;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, NULL); /* nohup stays in force */
  return (ghee_job_hooks){.progress = quiet ? NULL : on_progress, .line = on_line, .interrupted = interrupted, .user = watch};
}

void cli_watch_end(cli_watch *watch) { erase(watch); }
