/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* Becomes a Python that runs the job in itself. */
static int run_inline(const char *file, const char *name, const char *limit, bool json, bool quiet) {
  const char *set = getenv("GHEE_PYTHON"), *python = set && *set ? set : "python3", *argv[12] = {python, "-m", "ghee.inline", file};
  int n = 4;
  if (name) argv[n++] = "--name", argv[n++] = name;
  if (limit) argv[n++] = "--limit", argv[n++] = limit;
  if (json) argv[n++] = "--json";
  if (quiet) argv[n++] = "--quiet";
  execvp(python, (char **)argv);
  fprintf(stderr, "ghee: cannot start %s: %s; set GHEE_PYTHON to a Python that has ghee\n", python, strerror(errno));
  return GHEE_NOT_FOUND;
}

static int run(int argc, char **argv) {
  const char *name = NULL, *limit = NULL;
  bool json = false, quiet = false, here = false;
  const cli_option options[] = {{"--name", "NAME", "instead of the description's", NULL, &name},
                                {"--limit", "ROWS", "read only the first splits, up to the one with row ROWS (0: all)", NULL, &limit},
                                {"--json", NULL, "the result as one JSON line", &json, NULL},
                                {"--inline", NULL, "in one process, one worker a stage, for a debugger", &here, NULL},
                                {"--quiet", NULL, "no progress", &quiet, NULL},
                                {0}};
  int exit_code;
  if (cli_parse(&cli_run, options, argc, argv, 1, 1, &exit_code) < 0) return exit_code;
  long long rows = limit ? cli_number(limit, "--limit") : 0;
  if (rows < 0) return GHEE_USAGE;
  if (here) return run_inline(argv[0], name, limit, json, quiet);
  ghee_error err;
  cli_source source;
  if (cli_source_load(argv[0], &source, &err) != GHEE_OK) return cli_fail(&err);
  cli_watch watch;
  ghee_job_options job = {.source = source.job, .name = name, .limit_rows = rows, .hooks = cli_watch_hooks(&watch, quiet)};
  ghee_job_result result = {0};
  ghee_status status = ghee_job_run(&job, &result, &err);
  cli_watch_end(&watch);
  int code = status == GHEE_OK ? cli_print_result(&result, json) : cli_fail(&err);
  ghee_job_result_fini(&result);
  cli_source_free(&source);
  return code;
}

const cli_command cli_run = {"run", "[OPTIONS] FILE", "runs the job that FILE (YAML or JSON, - for stdin) describes", 
                             "  ghee run job.yaml\n  ghee run --inline --limit 10000 job.yaml\n  ghee run --json --quiet job.yaml | jq .rows_out\n", run};
