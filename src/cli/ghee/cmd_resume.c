/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

static int run(int argc, char **argv) {
  bool json = false, quiet = false;
  const cli_option options[] = {{"--json", NULL, "the result as one JSON line", &json, NULL}, {"--quiet", NULL, "no progress", &quiet, NULL}, {0}};
  int exit_code;
  if (cli_parse(&cli_resume, options, argc, argv, 1, 1, &exit_code) < 0) return exit_code;
  ghee_error err;
  cli_watch watch;
  ghee_job_hooks hooks = cli_watch_hooks(&watch, quiet);
  ghee_job_result result = {0};
  ghee_status status = ghee_job_resume(argv[0], &hooks, &result, &err);
  cli_watch_end(&watch);
  int code = status == GHEE_OK ? cli_print_result(&result, json) : cli_fail(&err);
  ghee_job_result_fini(&result);
  return code;
}

const cli_command cli_resume = {"resume", "[OPTIONS] NAME", "goes on with a job that was killed, failed or was interrupted", "  ghee resume ratings\n", run};
