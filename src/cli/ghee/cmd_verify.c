/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli.h"

static int run(int argc, char **argv) {
  bool json = false;
  const cli_option options[] = {{"--json", NULL, "as JSON", &json, NULL}, {0}};
  int exit_code;
  if (cli_parse(&cli_verify, options, argc, argv, 1, 1, &exit_code) < 0) return exit_code;
  ghee_error err;
  char *text = NULL;
  if (ghee_output_verify(argv[0], json, &text, &err) != GHEE_OK) return cli_fail(&err);
  printf("%s\n", text);
  ghee_text_free(text);
  return 0;
}

const cli_command cli_verify = {"verify", "[--json] URI", "re-reads an output and compares it with its manifest", "  ghee verify scores\n", run};
