/* SPDX-License-Identifier: Apache-2.0
 * ghee: runs machine-learning applications from one description. Each command stands in its own cmd_<name>.c. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static const cli_command *const commands[] = {&cli_run, &cli_check, &cli_explain, &cli_status, &cli_logs, &cli_resume, &cli_cancel, &cli_verify};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void help(FILE *to) {
  fprintf(to, "ghee %s: storage, preprocess, train or predict, postprocess, storage, from one description\n\nusage: ghee COMMAND [OPTIONS] [ARGUMENTS]\n\n", GHEE_VERSION);
  for (int i = 0; i < N_COMMANDS; i++) fprintf(to, "  %-8s %-18s %s\n", commands[i]->name, commands[i]->arguments, commands[i]->summary);
  fprintf(to,
          "\n`ghee COMMAND --help` tells more, with examples.\n\n"
          "exit codes: 0 done, 1 defect of ghee, 2 command line, 3 description, 4 not found, 5 denied, 6 corrupt data, 7 schema,\n"
          "            8 exists, 9 i/o, 10 no space, 11 over a limit, 12 no memory, 13 user function, 14 crashed too often,\n"
          "            15 time limit, 16 busy, 17 input changed, 18 not in this build, 130 interrupted\n");
}

int main(int argc, char **argv) {
  if (argc < 2) {
    help(stderr);
    return GHEE_USAGE;
  }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
    help(stdout);
    return 0;
  }
  if (strcmp(argv[1], "--version") == 0) {
    printf("ghee %s\n", GHEE_VERSION);
    return 0;
  }
  for (int i = 0; i < N_COMMANDS; i++)
    if (strcmp(argv[1], commands[i]->name) == 0) return commands[i]->run(argc - 2, argv + 2);
  fprintf(stderr, "ghee: there is no command %s; `ghee --help` lists them\n", argv[1]);
  return GHEE_USAGE;
}
