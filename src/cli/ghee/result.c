/* SPDX-License-Identifier: Apache-2.0
 * What a job has done, in words or as JSON. */
#include <stdio.h>

#include "cli.h"

int cli_print_result(const ghee_job_result *result, bool json) {
  ghee_error err;
  char *text;
  if (ghee_job_result_text(result, json, &text, &err) != GHEE_OK) return cli_fail(&err);
  fputs(text, stdout);
  ghee_text_free(text);
  return 0;
}
