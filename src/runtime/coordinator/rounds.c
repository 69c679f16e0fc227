/* SPDX-License-Identifier: Apache-2.0
 * Jobs without end (input.to: never), as rounds: what has come to the topic is planned, read, and published like a job of its own.
 *
 * Design notes
 * - Round R is the chunks of epoch R. Its plan, with exact offsets, lies in the job's folder before the ledger says that R has begun; so
 *   whoever takes the job over reads the same offsets again.
 * - A round ends when its files are published (the manifest has it under JOB-R, so it is added once) and then, in one transaction of the ledger,
 *   its chunks and files are forgotten and the positions move on. A crash between the two publishes again, which does nothing.
 * - The workers live on from round to round; the last stage closes its files at the end of each. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "runtime/coordinator/coordinator.h"
#include "runtime/coordinator/follow.h"

static const char fact[] = "round";

struct ghee_rounds {
  ghee_plan *base;
  ghee_follow *follow;
  uint32_t number;               /* of the round that runs, or comes next */
  bool active;
  ghee_log_ranges positions;     /* before the round: [first, end) is the round's, [first, first) while there is none */
  ghee_log_ranges ends;          /* of the topic, newest */
  uint64_t begun_ms;             /* when the last round began; 0 never in this life */
};

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "following the input"); }

bool ghee_rounds_endless(const ghee_coordinator *of) { return of->spec->to.what == GHEE_BOUND_NEVER; }
bool ghee_rounds_active(const ghee_coordinator *of) { return of->rounds->active; }

/* ---- the record in the ledger ---- */

static ghee_status encode(const ghee_rounds *rounds, uint32_t number, bool active, ghee_buffer *out, ghee_error *err) {
  ghee_buffer_put_u32(out, number);
  ghee_buffer_put_u8(out, active);
  ghee_buffer_put_u32(out, (uint32_t)rounds->positions.count);
  for (size_t i = 0; i < rounds->positions.count; i++) {
    ghee_buffer_put_u64(out, (uint64_t)rounds->positions.items[i].first);
    ghee_buffer_put_u64(out, (uint64_t)rounds->positions.items[i].end);
  }
  return ghee_buffer_check(out, "following the input", err);
}

static ghee_status decode(ghee_rounds *rounds, const void *data, size_t size, ghee_error *err) {
  ghee_reader from = ghee_reader_of(data, size);
  rounds->number = ghee_reader_u32(&from);
  rounds->active = ghee_reader_u8(&from) != 0;
  uint32_t n = ghee_reader_u32(&from);
  for (uint32_t i = 0; i < n && !from.bad; i++) {
    ghee_log_range range = {.partition = i, .first = (int64_t)ghee_reader_u64(&from)};
    range.end = (int64_t)ghee_reader_u64(&from);
    if (!ghee_array_push(&rounds->positions, range)) return no_memory(err);
  }
  return ghee_reader_done(&from) ? GHEE_OK : ghee_error_set(err, GHEE_CORRUPT, "the ledger's record of the round is damaged");
}

static ghee_status load(ghee_coordinator *of, ghee_rounds *rounds, ghee_error *err) {
  void *value;
  size_t size;
  ghee_status status = ghee_ledger_get(of->ledger, fact, &value, &size, err);
  if (status == GHEE_NOT_FOUND) return ghee_plan_starts(rounds->base, &rounds->positions, err);
  GHEE_TRY(status);
  status = decode(rounds, value, size, err);
  ghee_free(value);
  return status;
}

/* ---- plans ---- */

static ghee_status use_plan(ghee_coordinator *of, ghee_plan *plan, ghee_error *err) {
  if (of->plan != of->rounds->base) ghee_plan_free(of->plan);
  of->plan = plan;
  of->flushed = false;
  return ghee_chunks_turn(&of->chunks, (uint32_t)ghee_plan_totals_of(plan)->chunks, of->rounds->number, err);
}

static ghee_status load_plan(ghee_coordinator *of, ghee_error *err) {
  ghee_plan *plan = NULL;
  char *path = ghee_job_folder_round(of->folder, of->rounds->number);
  ghee_status status = path ? ghee_plan_load(path, &plan, err) : no_memory(err);
  ghee_free(path);
  return status == GHEE_OK ? use_plan(of, plan, err) : status;
}

static ghee_status make_plan(ghee_coordinator *of, ghee_plan **out, ghee_error *err) {
  char *path = ghee_job_folder_round(of->folder, of->rounds->number);
  ghee_status status = path ? ghee_plan_make_round(of->spec, of->rounds->base, &of->rounds->positions, out, err) : no_memory(err);
  if (status == GHEE_OK) status = ghee_plan_save(*out, path, err);
  if (status != GHEE_OK) ghee_plan_free(*out);
  ghee_free(path);
  return status;
}

/* ---- beginning a round ---- */

/* Partitions that the topic has got since are read from their beginning. */
static ghee_status add_partitions(ghee_rounds *rounds, ghee_error *err) {
  for (size_t i = rounds->positions.count; i < rounds->ends.count; i++)
    if (!ghee_array_push(&rounds->positions, ((ghee_log_range){.partition = (uint32_t)i, .first = rounds->ends.items[i].first, .end = rounds->ends.items[i].first})))
      return no_memory(err);
  return GHEE_OK;
}

static uint64_t behind(const ghee_log_ranges *positions, const ghee_log_ranges *ends) {
  uint64_t sum = 0;
  for (size_t i = 0; i < positions->count && i < ends->count; i++)
    if (ends->items[i].end > positions->items[i].first) sum += (uint64_t)(ends->items[i].end - positions->items[i].first);
  return sum;
}

/* How many records a round takes at most. */
static uint64_t most_rows(const ghee_coordinator *of) {
  uint64_t bytes, memory;
  ghee_plan_record_sizes(of->rounds->base, &bytes, &memory);
  uint64_t by_bytes = of->spec->every_bytes / bytes + 1;
  return by_bytes < of->spec->every_rows ? by_bytes : of->spec->every_rows;
}

/* Each partition gives as large a part of what it has. */
static void choose_ends(ghee_rounds *rounds, uint64_t available, uint64_t most) {
  for (size_t i = 0; i < rounds->positions.count; i++) {
    ghee_log_range *range = &rounds->positions.items[i];
    int64_t end = i < rounds->ends.count ? rounds->ends.items[i].end : range->first;
    if (end < range->first) end = range->first;
    if (available > most) end = range->first + (int64_t)((double)(end - range->first) * ((double)most / (double)available) + 0.999999);
    range->end = end;
  }
}

static ghee_status begin_round(ghee_coordinator *of, uint64_t available, uint64_t most, ghee_error *err) {
  ghee_rounds *rounds = of->rounds;
  ghee_buffer record = {0};
  ghee_plan *plan = NULL;
  choose_ends(rounds, available, most);
  GHEE_TRY(make_plan(of, &plan, err));
  ghee_status status = encode(rounds, rounds->number, true, &record, err);
  if (status == GHEE_OK) status = ghee_ledger_put(of->ledger, fact, record.data, record.size, err);
  ghee_buffer_fini(&record);
  if (status != GHEE_OK) {
    ghee_plan_free(plan);
    return status;
  }
  rounds->active = true;
  rounds->begun_ms = ghee_clock_ms();
  return use_plan(of, plan, err);
}

ghee_status ghee_rounds_settle(ghee_coordinator *of, ghee_error *err) {
  ghee_rounds *rounds = of->rounds;
  ghee_status status = ghee_follow_ends(rounds->follow, &rounds->ends, err);
  if (status == GHEE_AGAIN) return GHEE_OK;
  GHEE_TRY(status);
  if (rounds->active) return GHEE_OK;
  GHEE_TRY(add_partitions(rounds, err));
  uint64_t available = behind(&rounds->positions, &rounds->ends), most = most_rows(of);
  bool due = !rounds->begun_ms || ghee_clock_ms() - rounds->begun_ms >= of->spec->every_ms || available >= most;
  return available > 0 && due ? begin_round(of, available, most, err) : GHEE_OK;
}

/* ---- ending a round ---- */

ghee_status ghee_rounds_end(ghee_coordinator *of, ghee_error *err) {
  ghee_rounds *rounds = of->rounds;
  ghee_buffer record = {0};
  for (size_t i = 0; i < rounds->positions.count; i++) rounds->positions.items[i].first = rounds->positions.items[i].end;
  ghee_status status = encode(rounds, rounds->number + 1, false, &record, err);
  if (status == GHEE_OK) status = ghee_ledger_turn(of->ledger, fact, record.data, record.size, err);
  ghee_buffer_fini(&record);
  GHEE_TRY(status);
  char *path = rounds->number ? ghee_job_folder_round(of->folder, rounds->number - 1) : NULL;
  if (path) unlink(path); /* that of the last round stays a while for workers that hear of its end late */
  ghee_free(path);
  rounds->number++;
  rounds->active = false;
  ghee_plan_free(of->plan);
  of->plan = rounds->base;
  GHEE_TRY(ghee_chunks_turn(&of->chunks, 0, rounds->number, err));
  return ghee_follow_done(rounds->follow, &rounds->positions, err);
}

uint32_t ghee_rounds_number(const ghee_coordinator *of) { return of->rounds->number; }

int64_t ghee_rounds_lag(const ghee_coordinator *of) { return of->rounds->ends.count ? (int64_t)behind(&of->rounds->positions, &of->rounds->ends) : -1; }

int ghee_rounds_fd(const ghee_coordinator *of) { return ghee_follow_fd(of->rounds->follow); }

/* ---- life ---- */

ghee_status ghee_rounds_open(ghee_coordinator *of, ghee_error *err) {
  ghee_rounds *rounds = of->rounds = ghee_alloc_zero(1, sizeof *rounds);
  if (!rounds) return no_memory(err);
  rounds->base = of->plan;
  GHEE_TRY(load(of, rounds, err));
  char *group = ghee_asprintf("ghee-%s", of->spec->name);
  ghee_status status = group ? ghee_follow_start(of->spec, group, &rounds->follow, err) : no_memory(err);
  ghee_free(group);
  GHEE_TRY(status);
  GHEE_TRY(ghee_follow_done(rounds->follow, &rounds->positions, err)); /* a life before may not have come to it */
  return rounds->active ? load_plan(of, err) : ghee_chunks_turn(&of->chunks, 0, rounds->number, err);
}

void ghee_rounds_close(ghee_coordinator *of) {
  ghee_rounds *rounds = of->rounds;
  if (!rounds) return;
  ghee_follow_stop(rounds->follow);
  if (of->plan != rounds->base) ghee_plan_free(rounds->base);
  ghee_array_fini(&rounds->positions);
  ghee_array_fini(&rounds->ends);
  ghee_free(rounds);
  of->rounds = NULL;
}
