/* SPDX-License-Identifier: Apache-2.0
 * What the commands of the `ghee` program share: options, reading a description, progress, exit. */
#ifndef GHEE_CLI_H
#define GHEE_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "ghee/job.h"

/** One option of a command. `value` NULL: a switch. */
typedef struct cli_option {
  const char *name;         /* "--limit" */
  const char *value;        /* "ROWS" for the help */
  const char *help;
  bool *flag;               /* set by a switch */
  const char **text;        /* set by a value */
} cli_option;

typedef struct cli_command {
  const char *name, *arguments, *summary, *examples;
  int (*run)(int argc, char **argv);
} cli_command;

extern const cli_command cli_run, cli_check, cli_explain, cli_status, cli_logs, cli_resume, cli_cancel, cli_verify;

/** Takes options out of argv; what is left are the arguments: their number, or -1 after a message or --help (then *exit_code).
 *  `least` and `most` arguments are wanted. options end with a NULL name. */
int cli_parse(const cli_command *command, const cli_option *options, int argc, char **argv, int least, int most, int *exit_code);

/** A description's text with its name and folder. Free by cli_source_free. */
typedef struct cli_source { ghee_job_source job; char *text, *folder; } cli_source;
ghee_status cli_source_load(const char *path, cli_source *out, ghee_error *err);
void cli_source_free(cli_source *source);

/** Hooks that show progress on stderr (some live lines on a terminal, plain lines elsewhere, nothing if quiet) and catch Ctrl-C: the
 *  first stops the job and cleans up, the second leaves at once. */
typedef struct cli_watch {
  bool terminal, color, told;
  int lines;                      /* of the live block that is on the terminal now */
  int last_tenth, last_phase;
} cli_watch;
ghee_job_hooks cli_watch_hooks(cli_watch *watch, bool quiet);
/** Removes the live lines. */
void cli_watch_end(cli_watch *watch);

/** The error on stderr, its status as exit code. */
int cli_fail(const ghee_error *err);
/** The last report as one JSON line, or in words, on stdout: the exit code. */
int cli_print_result(const ghee_job_result *result, bool json);
/** A whole number, or -1 after a message. */
long long cli_number(const char *text, const char *option);

#endif
