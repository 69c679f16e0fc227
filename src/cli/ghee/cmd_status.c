/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli.h"

static int run(int argc, char **argv) {
  bool json = false;
  const cli_option options[] = {{"--json", NULL, "as JSON", &json, NULL}, {0}};
  int exit_code, n = cli_parse(&cli_status, options, argc, argv, 0, 1, &exit_code);
  if (n < 0) return exit_code;
  ghee_error err;
  char *text = NULL;
  if (ghee_job_status(n ? argv[0] : NULL, json, &text, &err) != GHEE_OK) return cli_fail(&err);
  printf("%s%s", text, json ? "\n" : "");
  ghee_text_free(text);
  return 0;
}

const cli_command cli_status = {"status", "[--json] [NAME]", "all jobs, or what is known of one: state, progress, what failed",
                                "  ghee status\n  ghee status ratings\n  ghee status --json ratings | jq .state\n", run};
