/* SPDX-License-Identifier: Apache-2.0
 * What a job has done, in words or as JSON. */
#include <stdio.h>

#include "cli.h"

static void print_words(const ghee_job_result *result) {
  const ghee_job_progress *p = &result->progress;
  printf("%s: %llu rows in, %llu rows out, %.1f s", result->name ? result->name : "job", (unsigned long long)p->rows_in,
         (unsigned long long)p->rows_out, p->seconds);
  if (p->rejected) printf(", %llu rejected", (unsigned long long)p->rejected);
  if (result->output_uri) printf(", in %s", result->output_uri);
  if (result->value_path) printf(", trained value in %s", result->value_path);
  printf("\n");
  if (p->verdict[0]) printf("%s\n", p->verdict);
}

int cli_print_result(const ghee_job_result *result, bool json) {
  ghee_error err;
  char *text;
  if (!json) {
    print_words(result);
    return 0;
  }
  if (ghee_job_result_json(result, &text, &err) != GHEE_OK) return cli_fail(&err);
  printf("%s\n", text);
  ghee_text_free(text);
  return 0;
}
