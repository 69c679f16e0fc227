/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli.h"

static int run(int argc, char **argv) {
  const cli_option options[] = {{0}};
  int exit_code;
  if (cli_parse(&cli_cancel, options, argc, argv, 1, 1, &exit_code) < 0) return exit_code;
  ghee_error err;
  if (ghee_job_cancel(argv[0], &err) != GHEE_OK) return cli_fail(&err);
  printf("%s is canceled\n", argv[0]);
  return 0;
}

const cli_command cli_cancel = {"cancel", "NAME", "stops a job, if it runs, and removes what it staged and its folder", "  ghee cancel ratings\n", run};
