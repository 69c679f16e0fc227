/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli.h"

static int run(int argc, char **argv) {
  bool json = false;
  const cli_option options[] = {{"--json", NULL, "the description with every default filled in", &json, NULL}, {0}};
  int exit_code;
  if (cli_parse(&cli_check, options, argc, argv, 1, 1, &exit_code) < 0) return exit_code;
  ghee_error err;
  cli_source source;
  if (cli_source_load(argv[0], &source, &err) != GHEE_OK) return cli_fail(&err);
  char *canonical = NULL;
  ghee_status status = ghee_job_check(&source.job, &canonical, &err);
  if (status == GHEE_OK) {
    if (json) printf("%s\n", canonical);
    else printf("%s is right\n", argv[0]);
  }
  ghee_text_free(canonical);
  cli_source_free(&source);
  return status == GHEE_OK ? 0 : cli_fail(&err);
}

const cli_command cli_check = {"check", "[--json] FILE", "checks a description, not its input", "  ghee check job.yaml\n  ghee check --json job.yaml\n", run};
