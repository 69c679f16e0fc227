/* SPDX-License-Identifier: Apache-2.0
 * A topic read or written through the contract record_log, one thread. Usage:
 *   bench_log read URI               every partition from its beginning to its end
 *   bench_log write URI FILE [ID]    each line of FILE is a record; with a transactional ID in transactions of 32 MiB, as a job's chunks
 * Prints a line of JSON: records, bytes, seconds. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/clock.h"
#include "storage/record_log.h"

enum { AT_ONCE = 512, TRANSACTION_BYTES = 32 << 20 };

static void fail(const ghee_error *err) {
  fprintf(stderr, "bench_log: %s\n", err->message);
  exit((int)err->status);
}

#define OK(call)                        \
  do {                                  \
    ghee_error err;                     \
    if ((call) != GHEE_OK) fail(&err);  \
  } while (0)

static uint64_t records, bytes;

static void read_all(ghee_record_log *log) {
  static ghee_record got[AT_ONCE];
  ghee_log_ranges ranges = {0};
  ghee_error why;
  OK(log->ops->partitions(log, &ranges, &err));
  for (size_t p = 0; p < ranges.count; p++) {
    ghee_log_reader *reader;
    ghee_status status;
    size_t n;
    OK(log->ops->read(log, &ranges.items[p], &reader, &err));
    while ((status = log->ops->next(reader, got, AT_ONCE, &n, &why)) == GHEE_OK)
      for (size_t i = 0; i < n; i++, records++) bytes += got[i].value_bytes;
    if (status != GHEE_CLOSED) fail(&why);
    log->ops->end(reader);
  }
  ghee_array_fini(&ranges);
}

/* Line by line, so that reading the file and sending overlap. */
static void write_all(ghee_record_log *log, const char *path, const char *id) {
  char *line = NULL;
  size_t room = 0;
  uint64_t committed = 0;
  ghee_log_writer *writer;
  FILE *file = fopen(path, "re");
  OK(file ? GHEE_OK : ghee_error_set_errno(&err, errno, "cannot open %s", path));
  OK(log->ops->open_writer(log, id, &writer, &err));
  for (ssize_t size; (size = getline(&line, &room, file)) > 0; records++) {
    size -= line[size - 1] == '\n';
    ghee_record record = {.partition = GHEE_ANY_PARTITION, .timestamp_ms = -1, .value = line, .value_bytes = (size_t)size};
    OK(log->ops->append(writer, &record, 1, &err));
    bytes += (uint64_t)size;
    if (!id || bytes - committed < TRANSACTION_BYTES) continue;
    OK(log->ops->commit(writer, NULL, NULL, 0, &err));
    committed = bytes;
  }
  OK(id ? log->ops->commit(writer, NULL, NULL, 0, &err) : log->ops->flush(writer, &err));
  log->ops->close_writer(writer);
  fclose(file);
  free(line);
}

int main(int argc, char **argv) {
  ghee_record_log *log;
  if (argc < 3 || (strcmp(argv[1], "write") == 0 && argc < 4)) return GHEE_USAGE;
  ghee_record_log_register(&ghee_record_log_kafka);
  ghee_record_log_register(&ghee_record_log_file);
  uint64_t start = ghee_clock_ns();
  OK(ghee_record_log_open(argv[2], NULL, &log, &err));
  if (strcmp(argv[1], "write") == 0) write_all(log, argv[3], argc > 4 ? argv[4] : NULL);
  else read_all(log);
  ghee_record_log_close(log);
  printf("{\"records\": %llu, \"bytes\": %llu, \"seconds\": %.6f}\n", (unsigned long long)records, (unsigned long long)bytes, (double)(ghee_clock_ns() - start) / 1e9);
  return 0;
}
