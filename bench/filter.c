/* SPDX-License-Identifier: Apache-2.0
 * Reads the rows of a folder of files that fulfil a filter, on one thread, all columns, in batches of 8,192 rows, as a worker does, and says how long it took,
 * planning included:
 *   bench_filter FOLDER 'id < 1000'     '' for all rows, without a filter
 * Prints one line of JSON: rows, batches, seconds, cpu_seconds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "plan/input.h"

enum { BATCH_ROWS = 8192, BUFFER = 64 << 20 }; /* a worker's by default */

typedef struct tally { uint64_t rows, batches; } tally;

static void must(ghee_status status, const ghee_error *err) {
  if (status == GHEE_OK) return;
  fprintf(stderr, "bench_filter: %s\n", err->message);
  exit((int)status);
}

static ghee_job_spec *describe(const char *folder, const char *filter) {
  char *text = ghee_asprintf("input: {uri: \"%s\"%s%s%s}\npreprocess: {}\noutput: {uri: not-written}\n", folder, *filter ? ", filter: \"" : "", filter, *filter ? "\"" : "");
  ghee_document *document;
  ghee_job_spec *spec;
  ghee_error err;
  must(ghee_document_parse(text, strlen(text), "the arguments", &document, &err), &err);
  must(ghee_job_spec_new(document, NULL, &spec, &err), &err);
  ghee_document_free(document);
  ghee_free(text);
  return spec;
}

static void read_part(ghee_input *input, const ghee_plan_part *part, tally *to) {
  ghee_part_reader *reader;
  ghee_error err;
  ghee_status status;
  ghee_batch batch = {0};
  uint64_t row;
  must(ghee_input_read(input, part, &reader, &err), &err);
  while ((status = ghee_part_reader_next(reader, &batch, &row, NULL, &err)) == GHEE_OK) {
    to->rows += (uint64_t)ghee_batch_rows(&batch);
    to->batches++;
    ghee_batch_release(&batch);
  }
  if (status != GHEE_CLOSED) must(status, &err);
  ghee_part_reader_close(reader);
}

int main(int argc, char **argv) {
  if (argc != 3) return fprintf(stderr, "usage: bench_filter FOLDER FILTER\n"), 2;
  tally total = {0};
  ghee_error err;
  ghee_plan *plan;
  ghee_input *input;
  ghee_object_store_register(&ghee_object_store_file);
  ghee_format_keep(BUFFER);
  ghee_job_spec *spec = describe(argv[1], argv[2]);
  uint64_t start = ghee_clock_ns();
  clock_t cpu = clock();
  must(ghee_plan_make(spec, 0, &plan, &err), &err);
  must(ghee_input_open(spec, plan, BATCH_ROWS, &input, &err), &err);
  for (uint32_t chunk = 0; chunk < ghee_plan_totals_of(plan)->chunks; chunk++)
    for (uint32_t i = 0; i < ghee_plan_chunk_parts(plan, 0, chunk); i++) {
      ghee_plan_part part = ghee_plan_chunk_part(plan, 0, chunk, i);
      read_part(input, &part, &total);
    }
  double seconds = (double)(ghee_clock_ns() - start) / 1e9;
  ghee_input_close(input);
  ghee_plan_free(plan);
  ghee_job_spec_free(spec);
  printf("{\"rows\": %llu, \"batches\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n", (unsigned long long)total.rows, (unsigned long long)total.batches, seconds,
         (double)(clock() - cpu) / CLOCKS_PER_SEC);
  return 0;
}
