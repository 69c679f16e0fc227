/* SPDX-License-Identifier: Apache-2.0
 * Rows into the records of a topic, a transaction a chunk. */
#include "runtime/job/output_log.h"

#include <stdio.h>
#include <string.h>

#include "runtime/job/topic_rows.h"
#include "storage/record_log.h"

struct ghee_output_log {
  ghee_record_log *log;
  ghee_log_writer *writer;
  char *id, *run;                      /* transactional id, and group; id of the run */
  int64_t serial;                      /* of the mark: offsets must be something */
  ghee_topic_rows *rows;
  const char *dead_topic;              /* for dead letters, of the same brokers; NULL: none */
};

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "writing to a topic"); }

static ghee_status ignore(void *user, const ghee_log_mark *mark, ghee_error *err) { return (void)user, (void)mark, (void)err, GHEE_OK; }

ghee_status ghee_output_log_open(const ghee_job_spec *spec, const char *run, uint32_t sink, ghee_output_log **out, ghee_error *err) {
  ghee_output_log *output = ghee_alloc_zero(1, sizeof *output);
  if (!output) return no_memory(err);
  output->id = ghee_asprintf("ghee-%s-sink-%u", *spec->name ? spec->name : run, sink);
  output->run = ghee_strdup(run);
  ghee_status status = output->id && output->run ? ghee_record_log_open(spec->output_uri, &spec->output_options, &output->log, err) : no_memory(err);
  if (status == GHEE_OK) status = output->log->ops->open_writer(output->log, output->id, &output->writer, err);
  /* Offsets in a transaction are refused while the broker still loads the group; asking for them waits until it has. */
  if (status == GHEE_OK) status = output->log->ops->get_marks(output->log, output->id, ignore, NULL, err);
  if (status == GHEE_OK) status = ghee_topic_rows_new(spec, output->log, output->writer, &output->rows, err);
  if (spec->dead_letter_log) output->dead_topic = strrchr(spec->dead_letter_uri, '/') + 1;
  if (status != GHEE_OK) {
    ghee_output_log_close(output);
    return status;
  }
  *out = output;
  return GHEE_OK;
}

void ghee_output_log_close(ghee_output_log *output) {
  if (!output) return;
  if (output->writer) output->log->ops->close_writer(output->writer);
  ghee_record_log_close(output->log);
  ghee_topic_rows_free(output->rows);
  ghee_free(output->id);
  ghee_free(output->run);
  ghee_free(output);
}

ghee_status ghee_output_log_write(ghee_output_log *output, ghee_batch *batch, ghee_error *err) { return ghee_topic_rows_append(output->rows, batch, err); }

ghee_status ghee_output_log_reject(ghee_output_log *output, const ghee_buffer *lines, ghee_error *err) {
  return ghee_topic_rows_append_lines(output->rows, output->dead_topic, lines, err);
}

ghee_status ghee_output_log_commit(ghee_output_log *output, const ghee_output_mark *mark, ghee_error *err) {
  char *note = ghee_asprintf("%s %u %u %llu %llu", output->run, mark->epoch, mark->chunk, (unsigned long long)mark->rows, (unsigned long long)mark->rejected);
  if (!note) return no_memory(err);
  ghee_log_mark with = {.partition = 0, .offset = ++output->serial, .note = note};
  ghee_status status = output->log->ops->commit(output->writer, output->id, &with, 1, err);
  ghee_free(note);
  return status;
}

typedef struct search { const char *run; ghee_output_mark mark; bool found; } search;

static ghee_status look(void *user, const ghee_log_mark *mark, ghee_error *err) {
  search *of = user;
  size_t n = strlen(of->run);
  unsigned long long rows, rejected;
  (void)err;
  if (mark->partition != 0 || strncmp(mark->note, of->run, n) != 0 || mark->note[n] != ' ') return GHEE_OK; /* of an earlier run of that name */
  of->found = sscanf(mark->note + n, " %u %u %llu %llu", &of->mark.epoch, &of->mark.chunk, &rows, &rejected) == 4;
  if (of->found) of->mark.rows = rows, of->mark.rejected = rejected;
  return GHEE_OK;
}

ghee_status ghee_output_log_last(ghee_output_log *output, ghee_output_mark *out, ghee_error *err) {
  search of = {.run = output->run};
  GHEE_TRY(output->log->ops->get_marks(output->log, output->id, look, &of, err));
  if (!of.found) return GHEE_NOT_FOUND;
  *out = of.mark;
  return GHEE_OK;
}

static ghee_status check_topic(const ghee_job_spec *spec, const char *uri, ghee_error *err) {
  ghee_record_log *log;
  ghee_log_ranges ranges = {0};
  GHEE_TRY(ghee_record_log_open(uri, &spec->output_options, &log, err));
  ghee_status status = log->ops->partitions(log, &ranges, err);
  ghee_array_fini(&ranges);
  ghee_record_log_close(log);
  return status;
}

ghee_status ghee_output_log_check(const ghee_job_spec *spec, ghee_error *err) {
  GHEE_TRY(check_topic(spec, spec->output_uri, err));
  return spec->dead_letter_log ? check_topic(spec, spec->dead_letter_uri, err) : GHEE_OK;
}
