/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli.h"

static int run(int argc, char **argv) {
  bool json = false;
  const cli_option options[] = {{"--json", NULL, "as JSON", &json, NULL}, {0}};
  int exit_code;
  if (cli_parse(&cli_explain, options, argc, argv, 1, 1, &exit_code) < 0) return exit_code;
  ghee_error err;
  cli_source source;
  if (cli_source_load(argv[0], &source, &err) != GHEE_OK) return cli_fail(&err);
  char *text = NULL;
  ghee_status status = ghee_job_explain(&source.job, json, &text, &err);
  if (status == GHEE_OK) fputs(text, stdout);
  ghee_text_free(text);
  cli_source_free(&source);
  return status == GHEE_OK ? 0 : cli_fail(&err);
}

const cli_command cli_explain = {"explain", "[--json] FILE", "plans a job and prints stages, splits, chunks and memory; starts nothing",
                                 "  ghee explain job.yaml\n", run};
