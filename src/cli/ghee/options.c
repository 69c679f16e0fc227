/* SPDX-License-Identifier: Apache-2.0
 * Options of a command, its help, the description's file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static void help(const cli_command *command, const cli_option *options) {
  printf("usage: ghee %s %s\n\n%s.\n", command->name, command->arguments, command->summary);
  if (options->name) printf("\n");
  for (; options->name; options++) {
    char left[64];
    snprintf(left, sizeof left, "%s %s", options->name, options->value ? options->value : "");
    printf("  %-18s %s\n", left, options->help);
  }
  printf("\nexamples:\n%s", command->examples);
}

static const cli_option *find(const cli_option *options, const char *argument, const char **value) {
  size_t length = strcspn(argument, "=");
  *value = argument[length] ? argument + length + 1 : NULL;
  for (; options->name; options++)
    if (strlen(options->name) == length && strncmp(options->name, argument, length) == 0) return options;
  return NULL;
}

static int complain(const cli_command *command, const char *what, const char *which, int *exit_code) {
  fprintf(stderr, "ghee %s: %s%s\nusage: ghee %s %s\n", command->name, what, which, command->name, command->arguments);
  *exit_code = GHEE_USAGE;
  return -1;
}

int cli_parse(const cli_command *command, const cli_option *options, int argc, char **argv, int least, int most, int *exit_code) {
  int left = 0;
  for (int i = 0; i < argc; i++) {
    const char *value;
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
      help(command, options);
      *exit_code = 0;
      return -1;
    }
    if (argv[i][0] != '-' || !argv[i][1]) {
      argv[left++] = argv[i];
      continue;
    }
    const cli_option *option = find(options, argv[i], &value);
    if (!option) return complain(command, "unknown option ", argv[i], exit_code);
    if (option->flag) {
      if (value) return complain(command, "takes no value: ", option->name, exit_code);
      *option->flag = true;
      continue;
    }
    if (!value && i + 1 < argc) value = argv[++i];
    if (!value) return complain(command, "lacks a value: ", option->name, exit_code);
    *option->text = value;
  }
  if (left < least) return complain(command, "an argument is missing", "", exit_code);
  if (left > most) return complain(command, "too many arguments: ", argv[most], exit_code);
  return left;
}

static char *read_all(FILE *file, size_t *size) {
  char *text = NULL;
  size_t capacity = 0;
  *size = 0;
  do {
    if (capacity - *size < 4096) {
      char *wider = realloc(text, capacity = capacity ? capacity * 2 : 16384);
      if (!wider) {
        free(text);
        return NULL;
      }
      text = wider;
    }
    *size += fread(text + *size, 1, capacity - *size, file);
  } while (!feof(file) && !ferror(file));
  if (ferror(file)) {
    free(text);
    return NULL;
  }
  return text;
}

ghee_status cli_source_load(const char *path, cli_source *out, ghee_error *err) {
  bool standard = strcmp(path, "-") == 0;
  FILE *file = standard ? stdin : fopen(path, "re");
  if (!file)
    return ghee_error_set(err, errno == ENOENT ? GHEE_NOT_FOUND : GHEE_IO, "cannot open the description %s: %s", path, strerror(errno));
  size_t size;
  char *text = read_all(file, &size);
  int failure = errno;
  if (!standard) fclose(file);
  if (!text) return ghee_error_set(err, GHEE_IO, "cannot read the description %s: %s", path, strerror(failure));
  const char *slash = strrchr(path, '/');
  *out = (cli_source){.text = text, .folder = slash && !standard ? strndup(path, (size_t)(slash - path) + (slash == path)) : NULL};
  out->job = (ghee_job_source){.text = text, .size_bytes = size, .name = standard ? "-" : path, .folder = out->folder};
  return GHEE_OK;
}

void cli_source_free(cli_source *source) {
  free(source->text);
  free(source->folder);
}

/* A message may quote a file: what would move the cursor or change colors is not sent to a terminal. */
int cli_fail(const ghee_error *err) {
  fprintf(stderr, "ghee: ");
  for (const unsigned char *at = (const unsigned char *)err->message; *at; at++) fputc((*at < 0x20 && *at != '\n' && *at != '\t') || *at == 0x7f ? '?' : *at, stderr);
  fputc('\n', stderr);
  return err->status;
}

long long cli_number(const char *text, const char *option) {
  char *end;
  errno = 0;
  long long n = strtoll(text, &end, 10);
  if (*text && !*end && errno == 0 && n >= 0) return n;
  fprintf(stderr, "ghee: %s wants a whole number, not %s\n", option, text);
  return -1;
}
