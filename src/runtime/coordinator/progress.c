/* SPDX-License-Identifier: Apache-2.0
 * What users see of a running job: counts, shares, who is slow. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "runtime/coordinator/coordinator.h"

/* Below it the shares of a stage's workers are chance. */
static const double LEAST_SECONDS = 1;

/* Returns the seconds that its shares are of, an average over the workers. */
static double fill_stage(const ghee_crew *crew, ghee_stage_progress *out, uint64_t *first_batch_ns) {
  uint64_t busy = 0, starved = 0, blocked = 0;
  snprintf(out->name, sizeof out->name, "%s", crew->of->name);
  out->workers = crew->of->workers;
  for (uint32_t i = 0; i < crew->of->workers; i++) {
    const ghee_crew_member *member = &crew->members[i];
    const ghee_say_metrics *now = &member->now, *before = &member->before;
    out->alive += member->peer != 0;
    out->deaths += member->deaths;
    out->batches += now->batches + before->batches;
    out->rows_in += now->rows_in + before->rows_in;
    out->rows_out += now->rows_out + before->rows_out;
    busy += now->busy_ns + before->busy_ns;
    starved += now->starved_ns + before->starved_ns;
    blocked += now->blocked_ns + before->blocked_ns;
    uint64_t first = before->first_batch_ns ? before->first_batch_ns : now->first_batch_ns;
    if (first && (!*first_batch_ns || first < *first_batch_ns)) *first_batch_ns = first;
  }
  double all = (double)(busy + starved + blocked);
  if (all <= 0) return 0;
  out->busy = (double)busy / all;
  out->starved = (double)starved / all;
  out->blocked = (double)blocked / all;
  return all / 1e9 / out->workers;
}

static double fraction_of(const ghee_coordinator *of, const ghee_job_progress *p) {
  if (of->outcome == GHEE_JOB_DONE && of->over) return 1;
  if (of->rounds) return 1 - 1 / (1 + (double)ghee_rounds_number(of)); /* without end: it grows with each round */
  uint64_t wanted = ghee_chunks_wanted(&of->chunks);
  double chunks = wanted ? (double)(of->chunks.done + of->chunks.accepted) / (double)wanted : 0;
  double rows = p->rows_total > 0 ? (double)p->rows_in / (double)p->rows_total : 0;
  double fraction = p->rows_total > 0 ? rows : chunks;
  return fraction < 1 ? fraction : 1;
}

static ghee_job_phase phase_of(const ghee_coordinator *of, uint64_t first_batch_ns) {
  if (of->over) return of->outcome == GHEE_JOB_DONE ? GHEE_PHASE_DONE : of->outcome == GHEE_JOB_CANCELED ? GHEE_PHASE_CANCELED : GHEE_PHASE_FAILED;
  return first_batch_ns ? GHEE_PHASE_RUNNING : GHEE_PHASE_STARTING;
}

/* Rows of the chunks that are done: what was read, each row once. -1 where a text file's rows are not known. */
static int64_t rows_of_done(const ghee_coordinator *of) {
  int64_t sum = 0;
  if (of->chunks.done == of->chunks.chunks) return ghee_plan_totals_of(of->plan)->rows;
  for (uint32_t i = 0; i < of->chunks.chunks; i++) {
    const ghee_chunk_slot *slot = ghee_chunks_slot(&of->chunks, 0, i);
    if (!slot || slot->state != GHEE_CHUNK_DONE) continue;
    int64_t rows = ghee_plan_chunk_rows(of->plan, 0, i);
    if (rows < 0) return -1;
    sum += rows;
  }
  return sum;
}

static void fill_rows(ghee_coordinator *of, ghee_job_progress *out) {
  const ghee_plan_totals *totals = ghee_plan_totals_of(of->plan);
  bool done = of->over && of->outcome == GHEE_JOB_DONE;
  out->rows_total = totals->rows < 0 ? -1 : totals->rows * (int64_t)of->spec->epochs;
  out->rows_in = out->stages[of->spec->train ? ghee_last_stage(of) : 0].rows_in;
  out->rows_out = out->stages[ghee_last_stage(of)].rows_out;
  if (out->rows_total >= 0 && out->rows_in > (uint64_t)out->rows_total) out->rows_in = (uint64_t)out->rows_total; /* some were read twice */
  if (!done || of->spec->train || of->rounds) return;
  int64_t rows = rows_of_done(of);
  if (rows >= 0) out->rows_in = (uint64_t)rows;
  out->rows_out = of->rows_committed;
}

static void fill_rate(ghee_coordinator *of, ghee_job_progress *out) {
  uint64_t now = ghee_clock_ns();
  double seconds = (double)(now - of->rate_at_ns) / 1e9;
  if (of->rate_at_ns == 0 || seconds >= 1) {
    double rate = of->rate_at_ns && out->rows_in >= of->rate_rows ? (double)(out->rows_in - of->rate_rows) / seconds : 0;
    of->rate = of->rate > 0 ? 0.7 * of->rate + 0.3 * rate : rate;
    of->rate_at_ns = now;
    of->rate_rows = out->rows_in;
  }
  out->rows_per_second = of->rate;
  bool known = out->rows_total > 0 && of->rate > 0;
  out->left_seconds = known ? (double)((uint64_t)out->rows_total - out->rows_in) / of->rate : -1;
}

void ghee_progress_fill(ghee_coordinator *of, ghee_job_progress *out) {
  uint64_t first_batch_ns = 0, any_ns = 0;
  double measured = 0;
  memset(out, 0, sizeof *out);
  out->left_seconds = out->first_batch_seconds = -1;
  out->rows_total = out->lag = -1;
  out->seconds = (double)(ghee_clock_ns() - of->started_ns) / 1e9;
  if (!of->spec || !of->plan) return;
  if (of->rounds) {
    out->lag = ghee_rounds_lag(of);
    out->round = ghee_rounds_number(of);
  }
  out->n_stages = of->spec->n_stages;
  out->epochs = of->spec->epochs;
  for (uint32_t s = 0; s < out->n_stages && of->crews[s].members; s++) {
    first_batch_ns = 0;
    measured = fill_stage(&of->crews[s], &out->stages[s], &first_batch_ns);
    if (first_batch_ns) any_ns = first_batch_ns;
  }
  out->phase = phase_of(of, any_ns);
  if (first_batch_ns) out->first_batch_seconds = (double)(first_batch_ns - of->started_ns) / 1e9;
  if (!of->crews[ghee_last_stage(of)].members) return;
  fill_rows(of, out);
  out->fraction = fraction_of(of, out);
  fill_rate(of, out);
  out->epoch = of->crews[ghee_last_stage(of)].members[0].now.place.epoch;
  if (out->epoch >= out->epochs) out->epoch = out->epochs - 1;
  out->step = of->spec->train ? of->crews[ghee_last_stage(of)].members[0].now.batches + of->crews[ghee_last_stage(of)].members[0].before.batches : 0;
  out->rejected = of->rows_rejected;
  if (measured >= LEAST_SECONDS) ghee_progress_verdict(out->stages, out->n_stages, (unsigned)sysconf(_SC_NPROCESSORS_ONLN), out->verdict, sizeof out->verdict);
}

/* The stage with the largest busy share holds the others back, if some of them wait for it; else it may be the input that all wait for. */
void ghee_progress_verdict(const ghee_stage_progress *stages, uint32_t n, unsigned processors, char *out, size_t size) {
  uint32_t slow = 0;
  out[0] = 0;
  for (uint32_t i = 1; i < n; i++)
    if (stages[i].busy > stages[slow].busy) slow = i;
  if (n == 0 || stages[slow].busy <= 0) return;
  const ghee_stage_progress *first = &stages[0], *last = &stages[n - 1], *of = &stages[slow];
  bool reading = n == 1 ? first->starved > 0.1 : first->starved > first->busy && first->starved > first->blocked && last->starved > 0.05;
  if (reading) {
    snprintf(out, size, "%s waits %.0f %% of the time for its input: reading is the limit", first->name, 100 * first->starved);
  } else if (n == 1) {
    snprintf(out, size, "%s is busy %.0f %% of the time", of->name, 100 * of->busy);
  } else if (slow != n - 1 && last->starved > 0.05) {
    /* Its workers would have to do in the time that the last stage is busy what they do now in all of it. */
    double missing = last->busy > 0.01 ? of->workers * of->busy * (1 / (1 - last->starved) - 1) : of->workers;
    unsigned more = (unsigned)(missing + 0.999);
    if (more == 0) more = 1;
    bool fit = of->workers + more <= processors; /* beyond that they gain only where they wait, for a model's server perhaps */
    int used = snprintf(out, size, "%s waits %.0f %% of the time: %s needs about %u more worker%s", last->name, 100 * last->starved, of->name, more, more > 1 ? "s" : "");
    if (!fit && used > 0 && (size_t)used < size)
      snprintf(out + used, size - (size_t)used, ", or a faster function: this machine has %u processor%s", processors, processors == 1 ? "" : "s");
  } else if (slow == n - 1 && first->blocked > 0.05) {
    snprintf(out, size, "%s is the limit (busy %.0f %%); %s waits %.0f %% of the time for room behind it", of->name, 100 * of->busy, first->name,
             100 * first->blocked);
  } else {
    snprintf(out, size, "no stage holds the others back; %s is the busiest (%.0f %%)", of->name, 100 * of->busy);
  }
}
