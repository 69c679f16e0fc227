/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli.h"

static int run(int argc, char **argv) {
  const char *stage = NULL, *lines = "100";
  const cli_option options[] = {{"--stage", "STAGE", "only this stage's workers", NULL, &stage}, {"--lines", "N", "of each worker; 100", NULL, &lines}, {0}};
  int exit_code;
  if (cli_parse(&cli_logs, options, argc, argv, 1, 1, &exit_code) < 0) return exit_code;
  long long n = cli_number(lines, "--lines");
  if (n < 0) return GHEE_USAGE;
  ghee_error err;
  char *text = NULL;
  if (ghee_job_logs(argv[0], stage, (size_t)n, &text, &err) != GHEE_OK) return cli_fail(&err);
  fputs(text, stdout);
  ghee_text_free(text);
  return 0;
}

const cli_command cli_logs = {"logs", "[OPTIONS] NAME", "what the workers of a job printed last", "  ghee logs ratings\n  ghee logs --stage predict --lines 20 ratings\n", run};
