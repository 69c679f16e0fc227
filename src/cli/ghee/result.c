/* SPDX-License-Identifier: Apache-2.0
 * What a job has done, in words or as JSON. */
#include <stdio.h>

#include "cli.h"

void cli_print_json_text(const char *text) {
  putchar('"');
  for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
    if (*at == '"' || *at == '\\') printf("\\%c", *at);
    else if (*at < 0x20) printf("\\u%04x", *at);
    else putchar(*at);
  }
  putchar('"');
}

static void print_json(const ghee_job_result *result) {
  const ghee_job_progress *p = &result->progress;
  printf("{\"name\": ");
  cli_print_json_text(result->name ? result->name : "");
  printf(", \"rows_in\": %llu, \"rows_out\": %llu, \"rejected\": %llu, \"steps\": %llu, \"seconds\": %.3f, \"first_batch_seconds\": %.3f",
         (unsigned long long)p->rows_in, (unsigned long long)p->rows_out, (unsigned long long)p->rejected, (unsigned long long)p->step, p->seconds,
         p->first_batch_seconds);
  printf(", \"stages\": [");
  for (unsigned i = 0; i < p->n_stages; i++)
    printf("%s{\"name\": \"%s\", \"workers\": %u, \"busy\": %.4f, \"starved\": %.4f, \"blocked\": %.4f, \"deaths\": %llu}", i ? ", " : "",
           p->stages[i].name, p->stages[i].workers, p->stages[i].busy, p->stages[i].starved, p->stages[i].blocked, (unsigned long long)p->stages[i].deaths);
  printf("], \"verdict\": ");
  cli_print_json_text(p->verdict);
  if (result->output_uri) {
    printf(", \"output\": ");
    cli_print_json_text(result->output_uri);
  }
  if (result->value_path) {
    printf(", \"value\": ");
    cli_print_json_text(result->value_path);
  }
  printf("}\n");
}

void cli_print_result(const ghee_job_result *result, bool json) {
  const ghee_job_progress *p = &result->progress;
  if (json) {
    print_json(result);
    return;
  }
  printf("%s: %llu rows in, %llu rows out, %.1f s", result->name ? result->name : "job", (unsigned long long)p->rows_in,
         (unsigned long long)p->rows_out, p->seconds);
  if (p->rejected) printf(", %llu rejected", (unsigned long long)p->rejected);
  if (result->output_uri) printf(", in %s", result->output_uri);
  if (result->value_path) printf(", trained value in %s", result->value_path);
  printf("\n");
  if (p->verdict[0]) printf("%s\n", p->verdict);
}
