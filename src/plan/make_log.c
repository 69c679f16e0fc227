/* SPDX-License-Identifier: Apache-2.0
 * Making a plan of record logs: the bounds become offsets, a sample tells columns and sizes, and the offsets are cut into parts. Nothing
 * else is read: what a part holds is fixed by its offsets. */
#include <string.h>

#include "filter/predicate.h"
#include "plan/plan_file.h"
#include "plan/records.h"

enum { SAMPLE_RECORDS = 4096, SAMPLE_PARTITIONS = 16, READ_RECORDS = 256, UNKNOWN_RECORD_BYTES = 1024 };
#define SAMPLE_BYTES ((uint64_t)1 << 20)
#define LEAST_PART_BYTES ((uint64_t)64 << 10)
#define MOST_PART_BYTES ((uint64_t)32 << 20)
#define SHUFFLED_PART_BYTES ((uint64_t)8 << 20)

typedef struct log_maker {
  const ghee_job_spec *spec;
  ghee_object_list files;       /* partitions */
  ghee_log_ranges ranges;       /* beside them: what is wanted of each */
  ghee_plan_records parts;
  ghee_schema *schema;
  uint64_t sampled, sampled_rows, sampled_bytes, sampled_memory;
  uint64_t batch_bytes;         /* decoded, of a batch */
} log_maker;

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "planning"); }

/* ---- bounds ---- */

static ghee_status apply_offsets(const char *uri, const ghee_log_bound *bound, bool is_end, ghee_log_ranges *all, ghee_error *err) {
  for (size_t i = 0; i < bound->offsets.count; i++) {
    const ghee_log_range *wish = &bound->offsets.items[i];
    if (wish->partition >= all->count)
      return ghee_error_set(err, GHEE_NOT_FOUND, "input.%s names partition %u, but %s has %zu", is_end ? "to" : "from", wish->partition, uri, all->count);
    ghee_log_range *range = &all->items[wish->partition];
    if (wish->first < range->first || wish->first > range->end)
      return ghee_error_set(err, GHEE_NOT_FOUND, "input.%s asks for offset %lld of partition %u of %s, which has offsets %lld to %lld now", is_end ? "to" : "from",
                            (long long)wish->first, wish->partition, uri, (long long)range->first, (long long)range->end);
    if (is_end) range->end = wish->first;
    else range->first = wish->first;
  }
  return GHEE_OK;
}

static ghee_status apply_time(ghee_record_log *log, int64_t time_ms, bool is_end, ghee_log_ranges *all, ghee_error *err) {
  ghee_log_ranges found = {0};
  bool ok = true;
  for (size_t i = 0; i < all->count && ok; i++) ok = ghee_array_push(&found, all->items[i]);
  ghee_status status = ok ? log->ops->seek_time(log, time_ms, &found, err) : no_memory(err);
  for (size_t i = 0; i < all->count && status == GHEE_OK; i++) {
    if (is_end) all->items[i].end = found.items[i].first;
    else all->items[i].first = found.items[i].first;
  }
  ghee_array_fini(&found);
  return status;
}

static ghee_status apply_from(ghee_record_log *log, const char *uri, const ghee_log_bound *from, ghee_log_ranges *all, ghee_error *err) {
  if (from->what == GHEE_BOUND_OFFSETS) return apply_offsets(uri, from, false, all, err);
  if (from->what == GHEE_BOUND_TIME) return apply_time(log, from->time_ms, false, all, err);
  for (size_t i = 0; i < all->count && from->what == GHEE_BOUND_NOW; i++) all->items[i].first = all->items[i].end;
  return GHEE_OK;
}

/* What the spec's bounds are in offsets now, of each partition of a log. */
static ghee_status find_ranges(const ghee_job_spec *spec, ghee_record_log *log, const char *uri, ghee_log_ranges *out, ghee_error *err) {
  ghee_log_ranges ends = {0}; /* `to` is looked up before `from` has cut the ranges */
  ghee_status status = log->ops->partitions(log, out, err);
  bool ok = true;
  for (size_t i = 0; i < out->count && ok && status == GHEE_OK; i++) ok = ghee_array_push(&ends, out->items[i]);
  if (!ok) status = no_memory(err);
  if (status == GHEE_OK && spec->to.what == GHEE_BOUND_OFFSETS) status = apply_offsets(uri, &spec->to, true, &ends, err);
  if (status == GHEE_OK && spec->to.what == GHEE_BOUND_TIME) status = apply_time(log, spec->to.time_ms, true, &ends, err);
  if (status == GHEE_OK) status = apply_from(log, uri, &spec->from, out, err);
  for (size_t i = 0; i < out->count && status == GHEE_OK; i++) {
    out->items[i].end = ends.items[i].end;
    if (out->items[i].first > out->items[i].end) out->items[i].first = out->items[i].end;
  }
  ghee_array_fini(&ends);
  return status;
}

static ghee_status add_files(log_maker *of, const char *uri, const ghee_log_ranges *ranges, ghee_error *err) {
  for (size_t i = 0; i < ranges->count; i++) {
    ghee_object_info file = {.uri = ghee_asprintf("%s#%u", uri, ranges->items[i].partition), .version = ghee_strdup("")};
    if (file.uri && file.version && ghee_array_push(&of->files, file)) {
      if (!ghee_array_push(&of->ranges, ranges->items[i])) return no_memory(err);
      continue;
    }
    ghee_free(file.uri);
    ghee_free(file.version);
    return no_memory(err);
  }
  return GHEE_OK;
}

/* ---- the sample ---- */

static ghee_status sample_range(ghee_record_log *log, const ghee_log_range *range, uint64_t most_bytes, ghee_records *to, ghee_error *err) {
  ghee_log_reader *reader;
  ghee_record records[READ_RECORDS];
  uint64_t start = ghee_records_bytes(to);
  size_t n;
  ghee_status status = log->ops->read(log, range, &reader, err);
  if (status != GHEE_OK) return status;
  while (status == GHEE_OK && ghee_records_bytes(to) - start < most_bytes && ghee_records_count(to) < SAMPLE_RECORDS) {
    status = log->ops->next(reader, records, READ_RECORDS, &n, err);
    for (size_t i = 0; i < n && status == GHEE_OK; i++) status = ghee_records_add(to, &records[i], err);
  }
  log->ops->end(reader);
  return status == GHEE_CLOSED ? GHEE_OK : status;
}

/* A part of each of some partitions; the columns of values are those of the first topic that has records. */
static ghee_status sample(log_maker *of, ghee_record_log *log, const char *uri, const ghee_log_ranges *ranges, ghee_error *err) {
  ghee_records *records;
  ghee_batch batch = {0};
  ghee_buffer rejects = {0};
  int64_t offset;
  size_t full = 0, taken = 0;
  for (size_t i = 0; i < ranges->count; i++) full += ranges->items[i].first < ranges->items[i].end;
  if (full == 0 && (of->schema || strcmp(of->spec->format, "bytes") != 0)) return GHEE_OK;
  GHEE_TRY(ghee_records_new(of->spec, uri, of->schema, &records, err));
  size_t n = full < SAMPLE_PARTITIONS ? full : SAMPLE_PARTITIONS;
  ghee_status status = GHEE_OK;
  for (size_t i = 0; i < ranges->count && taken < n && status == GHEE_OK; i++) {
    if (ranges->items[i].first >= ranges->items[i].end) continue;
    status = sample_range(log, &ranges->items[i], SAMPLE_BYTES / n, records, err);
    taken++;
  }
  of->sampled += ghee_records_count(records);
  of->sampled_rows += ghee_records_rows(records);
  of->sampled_bytes += ghee_records_bytes(records);
  if (status == GHEE_OK) status = ghee_records_take(records, &batch, &offset, &rejects, err);
  if (status == GHEE_OK) of->sampled_memory += (uint64_t)ghee_batch_bytes(&batch);
  if (status == GHEE_OK && !of->schema) of->schema = ghee_schema_ref(batch.schema);
  ghee_batch_release(&batch);
  ghee_buffer_fini(&rejects);
  ghee_records_free(records);
  return status;
}

static ghee_status read_log(log_maker *of, const char *uri, ghee_error *err) {
  ghee_record_log *log;
  ghee_log_ranges ranges = {0};
  GHEE_TRY(ghee_record_log_open(uri, &of->spec->input_options, &log, err));
  ghee_status status = find_ranges(of->spec, log, uri, &ranges, err);
  if (status == GHEE_OK) status = sample(of, log, uri, &ranges, err);
  if (status == GHEE_OK) status = add_files(of, uri, &ranges, err);
  ghee_array_fini(&ranges);
  ghee_record_log_close(log);
  return status;
}

/* ---- parts ---- */

/* Each partition in equal pieces, so that a chunk is one piece: a reader then follows one range. */
static ghee_status cut_parts(log_maker *of, uint64_t bytes, uint64_t memory, ghee_error *err) {
  uint64_t records = 0;
  for (size_t i = 0; i < of->ranges.count; i++) records += (uint64_t)(of->ranges.items[i].end - of->ranges.items[i].first);
  uint64_t target = records * memory / (4 * (uint64_t)ghee_plan_most_workers(of->spec));
  uint64_t most = of->spec->shuffle ? SHUFFLED_PART_BYTES : MOST_PART_BYTES;
  if (target < LEAST_PART_BYTES) target = LEAST_PART_BYTES;
  if (target > most) target = most;
  int64_t step = (int64_t)(target / memory + 1);
  for (size_t i = 0; i < of->ranges.count; i++) {
    const ghee_log_range *range = &of->ranges.items[i];
    of->files.items[i].size_bytes = (uint64_t)(range->end - range->first) * bytes;
    for (int64_t at = range->first; at < range->end; at += step) {
      int64_t end = range->end - at > step ? at + step : range->end;
      uint64_t n = (uint64_t)(end - at);
      ghee_plan_record part = {.file = (uint32_t)i, .index = range->partition, .offset = (uint64_t)at, .end_offset = (uint64_t)end, .size_bytes = n * bytes,
                               .memory_bytes = n * memory, .first_row = (uint64_t)at, .rows = -1};
      if (!ghee_array_push(&of->parts, part)) return no_memory(err);
    }
  }
  return GHEE_OK;
}

/* A job without end: its plan says only where each partition begins, and how large a record is. */
static ghee_status mark_starts(log_maker *of, uint64_t bytes, uint64_t memory, ghee_error *err) {
  for (size_t i = 0; i < of->ranges.count; i++) {
    uint64_t first = (uint64_t)of->ranges.items[i].first;
    ghee_plan_record part = {.file = (uint32_t)i, .index = of->ranges.items[i].partition, .offset = first, .end_offset = first, .size_bytes = bytes,
                             .memory_bytes = memory, .first_row = first, .rows = -1};
    if (!ghee_array_push(&of->parts, part)) return no_memory(err);
  }
  return GHEE_OK;
}

static ghee_status check_filter(const log_maker *of, ghee_error *err) {
  ghee_predicate *predicate = NULL;
  ghee_status status = of->spec->filter ? ghee_predicate_new(of->spec->filter, of->schema, &predicate, err) : GHEE_OK;
  ghee_predicate_free(predicate);
  return status;
}

static ghee_status assemble(log_maker *of, ghee_plan **out, ghee_error *err) {
  ghee_plan_draft draft = {.files = &of->files, .parts = &of->parts, .schema = of->schema, .format = of->spec->format, .batch_bytes = of->batch_bytes};
  return ghee_plan_assemble(of->spec, &draft, out, err);
}

static void maker_fini(log_maker *of) {
  ghee_object_list_fini(&of->files);
  ghee_array_fini(&of->ranges);
  ghee_array_fini(&of->parts);
  ghee_schema_unref(of->schema);
}

static ghee_status no_columns(const ghee_job_spec *spec, ghee_error *err) {
  bool all = spec->from.what == GHEE_BOUND_EARLIEST && (spec->to.what == GHEE_BOUND_NOW || spec->to.what == GHEE_BOUND_NEVER);
  const char *where = all ? " yet" : spec->to.what == GHEE_BOUND_NEVER || spec->to.what == GHEE_BOUND_NOW ? " behind `from` yet" : " between `from` and `to`";
  return ghee_error_set(err, GHEE_NOT_FOUND, "%s has no records%s, and with format: %s it is they that tell the columns: send a record first, or say format: bytes",
                        spec->input_uris[0], where, spec->format);
}

ghee_status ghee_plan_make_log(const ghee_job_spec *spec, int64_t limit_rows, ghee_plan **out, ghee_error *err) {
  log_maker of = {.spec = spec};
  ghee_status status = GHEE_OK;
  for (size_t i = 0; i < spec->n_input_uris && status == GHEE_OK; i++) status = read_log(&of, spec->input_uris[i], err);
  if (status == GHEE_OK && !of.schema)
    status = no_columns(spec, err);
  if (status == GHEE_OK) status = check_filter(&of, err);
  uint64_t bytes = of.sampled ? of.sampled_bytes / of.sampled + 1 : UNKNOWN_RECORD_BYTES, memory = of.sampled ? of.sampled_memory / of.sampled + 1 : UNKNOWN_RECORD_BYTES;
  uint64_t rows = of.sampled_rows ? of.sampled_rows : 1, row_memory = of.sampled ? of.sampled_memory / rows + 1 : memory;
  of.batch_bytes = row_memory * (uint64_t)spec->stages[0].batch_rows;
  if (status == GHEE_OK) status = spec->to.what == GHEE_BOUND_NEVER ? mark_starts(&of, bytes, memory, err) : cut_parts(&of, bytes, memory, err);
  if (status == GHEE_OK && spec->to.what != GHEE_BOUND_NEVER) ghee_plan_limit(&of.parts, limit_rows);
  if (status == GHEE_OK) status = assemble(&of, out, err);
  maker_fini(&of);
  return status;
}

ghee_status ghee_plan_make_round(const ghee_job_spec *spec, const ghee_plan *base, const ghee_log_ranges *ranges, ghee_plan **out, ghee_error *err) {
  log_maker of = {.spec = spec, .schema = ghee_schema_ref(ghee_plan_read_schema(base)), .batch_bytes = base->header->totals.reader_bytes};
  uint64_t bytes, memory;
  ghee_plan_record_sizes(base, &bytes, &memory);
  ghee_status status = add_files(&of, spec->input_uris[0], ranges, err);
  if (status == GHEE_OK) status = cut_parts(&of, bytes, memory, err);
  if (status == GHEE_OK) status = assemble(&of, out, err);
  maker_fini(&of);
  return status;
}

ghee_status ghee_plan_starts(const ghee_plan *base, ghee_log_ranges *out, ghee_error *err) {
  for (uint64_t i = 0; i < base->header->totals.parts; i++) {
    const ghee_plan_record *part = &base->parts[i];
    if (!ghee_array_push(out, ((ghee_log_range){.partition = part->index, .first = (int64_t)part->offset, .end = (int64_t)part->offset}))) return no_memory(err);
  }
  return GHEE_OK;
}

void ghee_plan_record_sizes(const ghee_plan *base, uint64_t *bytes, uint64_t *memory) {
  bool known = base->header->totals.parts > 0;
  *bytes = known ? base->parts[0].size_bytes : UNKNOWN_RECORD_BYTES;
  *memory = known ? base->parts[0].memory_bytes : UNKNOWN_RECORD_BYTES;
}

ghee_status ghee_plan_check_log(const ghee_plan *plan, const ghee_job_spec *spec, ghee_error *err) {
  size_t part = 0, n_parts = (size_t)plan->header->totals.parts;
  uint32_t file = 0;
  for (size_t i = 0; i < spec->n_input_uris; i++) {
    ghee_record_log *log;
    ghee_log_ranges now = {0};
    GHEE_TRY(ghee_record_log_open(spec->input_uris[i], &spec->input_options, &log, err));
    ghee_status status = log->ops->partitions(log, &now, err);
    /* A topic may have got more partitions since: those of the plan come first. */
    size_t length = strlen(spec->input_uris[i]);
    for (; file < plan->header->totals.files && strncmp(ghee_plan_file_uri(plan, file), spec->input_uris[i], length) == 0 && status == GHEE_OK; file++)
      for (; part < n_parts && plan->parts[part].file == file && status == GHEE_OK; part++)
        if (plan->parts[part].index >= now.count || (int64_t)plan->parts[part].end_offset > now.items[plan->parts[part].index].end)
          status = ghee_error_set(err, GHEE_CHANGED, "%s does not reach offset %lld any more: the topic was made anew since the job was planned; cancel the job and run it again",
                                  ghee_plan_file_uri(plan, file), (long long)plan->parts[part].end_offset);
    ghee_array_fini(&now);
    ghee_record_log_close(log);
    GHEE_TRY(status);
  }
  return GHEE_OK;
}
