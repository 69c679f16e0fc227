/* SPDX-License-Identifier: Apache-2.0
 * A job's progress and result in words for people, and as JSON. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "runtime/client/report.h"

static const char *const phases[] = {"planning", "starting", "running", "publishing", "done", "failed", "canceled"};

enum { PARTS = 8, PART_SIZE = 48 };

/* A piece of the first line; where the line is too wide those of the largest rank go first. */
typedef struct part { int rank; char text[PART_SIZE]; } part;

static void put_count(char *out, size_t size, unsigned long long n, const char *unit) {
  char digits[24], grouped[32];
  int length = snprintf(digits, sizeof digits, "%llu", n), at = 0;
  for (int i = 0; i < length; i++) {
    grouped[at++] = digits[i];
    if (i + 1 < length && (length - i) % 3 == 1) grouped[at++] = ',';
  }
  snprintf(out, size, "%.*s%s", at, grouped, unit);
}

static void put_time(char *out, size_t size, double seconds, const char *unit) {
  unsigned long long s = (unsigned long long)seconds;
  if (s >= 3600) snprintf(out, size, "%llu:%02llu:%02llu%s", s / 3600, s / 60 % 60, s % 60, unit);
  else snprintf(out, size, "%llu:%02llu%s", s / 60, s % 60, unit);
}

static int make_parts(const ghee_job_progress *p, part parts[PARTS]) {
  bool running = p->phase == GHEE_PHASE_RUNNING;
  int n = 0;
#define PART(of) (parts[n].rank = (of), parts[n++].text)
  snprintf(PART(0), PART_SIZE, "%-10s", phases[p->phase]);
  if (p->rows_total > 0) snprintf(PART(0), PART_SIZE, "%3.0f %%", 100 * p->fraction);
  if (p->lag >= 0) put_count(PART(0), PART_SIZE, (unsigned long long)p->lag, " behind");
  put_count(PART(1), PART_SIZE, p->rows_in, " rows");
  if (running && p->rows_per_second > 0) put_count(PART(2), PART_SIZE, (unsigned long long)p->rows_per_second, " rows/s");
  if (p->epochs > 1) snprintf(PART(4), PART_SIZE, "epoch %u of %u", p->epoch + 1, p->epochs);
  if (p->step > 0) put_count(PART(5), PART_SIZE, p->step, " steps");
  put_time(PART(3), PART_SIZE, p->seconds, "");
  if (running && p->left_seconds >= 0) put_time(PART(1), PART_SIZE, p->left_seconds, " left");
#undef PART
  return n;
}

/* What was appended since `start` ends at `columns`. */
static void cut(ghee_buffer *out, size_t start, unsigned columns) {
  if (columns && out->size - start > columns) out->size = start + columns;
}

static void put_first_line(ghee_buffer *out, const ghee_job_progress *p, unsigned columns) {
  part parts[PARTS];
  int n = make_parts(p, parts);
  for (;;) {
    size_t width = 0;
    int last = 0;
    for (int i = 0; i < n; i++) {
      width += strlen(parts[i].text) + (i ? 2 : 0);
      if (parts[i].rank >= parts[last].rank) last = i;
    }
    if (columns == 0 || width <= columns || n == 1) break;
    memmove(&parts[last], &parts[last + 1], (size_t)(--n - last) * sizeof *parts);
  }
  size_t start = out->size;
  for (int i = 0; i < n; i++) ghee_buffer_printf(out, "%s%s", i ? "  " : "", parts[i].text);
  cut(out, start, columns);
}

static void put_lines(ghee_buffer *out, const ghee_job_progress *p, unsigned columns) {
  for (uint32_t i = 0; i < p->n_stages; i++) {
    const ghee_stage_progress *s = &p->stages[i];
    ghee_buffer_put(out, "\n", 1);
    size_t start = out->size;
    char who[32];
    snprintf(who, sizeof who, "%s x%u", s->name, s->workers);
    ghee_buffer_printf(out, "  %-16s busy %3.0f %%  starved %3.0f %%  blocked %3.0f %%", who, 100 * s->busy, 100 * s->starved, 100 * s->blocked);
    if (s->deaths) ghee_buffer_printf(out, "  %llu deaths", (unsigned long long)s->deaths);
    cut(out, start, columns);
  }
  if (!p->verdict[0]) return;
  ghee_buffer_put(out, "\n", 1);
  size_t start = out->size;
  ghee_buffer_printf(out, "  %s", p->verdict);
  cut(out, start, columns);
}

/* Everything behind the first line in the same line. */
static void put_compact(ghee_buffer *out, const ghee_job_progress *p) {
  for (uint32_t i = 0; i < p->n_stages; i++) {
    const ghee_stage_progress *s = &p->stages[i];
    ghee_buffer_printf(out, "%s%s %.0f/%.0f/%.0f", i ? ", " : "  busy/starved/blocked %: ", s->name, 100 * s->busy, 100 * s->starved, 100 * s->blocked);
  }
  if (p->verdict[0]) ghee_buffer_printf(out, "; %s", p->verdict);
}

ghee_status ghee_job_progress_text(const ghee_job_progress *progress, unsigned columns, char **out, ghee_error *err) {
  ghee_buffer text = {0};
  put_first_line(&text, progress, columns);
  if (progress->phase == GHEE_PHASE_RUNNING) {
    if (columns) put_lines(&text, progress, columns);
    else put_compact(&text, progress);
  }
  return ghee_report_give(&text, GHEE_OK, out, err);
}

/* ---- JSON ---- */

void ghee_report_progress(ghee_json *json, const ghee_job_progress *p) {
  ghee_json_text(json, "phase", phases[p->phase]);
  ghee_json_real(json, "fraction", p->fraction);
  ghee_json_uint(json, "rows_in", p->rows_in);
  ghee_json_uint(json, "rows_out", p->rows_out);
  if (p->rows_total >= 0) ghee_json_int(json, "rows_total", p->rows_total);
  ghee_json_uint(json, "rejected", p->rejected);
  if (p->lag >= 0) {
    ghee_json_int(json, "lag", p->lag);
    ghee_json_uint(json, "round", p->round);
  }
  ghee_json_uint(json, "epoch", p->epoch);
  ghee_json_uint(json, "epochs", p->epochs);
  ghee_json_uint(json, "steps", p->step);
  ghee_json_real(json, "rows_per_second", p->rows_per_second);
  ghee_json_real(json, "seconds", p->seconds);
  if (p->first_batch_seconds >= 0) ghee_json_real(json, "first_batch_seconds", p->first_batch_seconds);
  if (p->left_seconds >= 0) ghee_json_real(json, "left_seconds", p->left_seconds);
  ghee_json_begin_list(json, "stages");
  for (uint32_t i = 0; i < p->n_stages; i++) {
    const ghee_stage_progress *s = &p->stages[i];
    ghee_json_begin_map(json, NULL);
    ghee_json_text(json, "name", s->name);
    ghee_json_uint(json, "workers", s->workers);
    ghee_json_uint(json, "alive", s->alive);
    ghee_json_uint(json, "batches", s->batches);
    ghee_json_uint(json, "rows_in", s->rows_in);
    ghee_json_uint(json, "rows_out", s->rows_out);
    ghee_json_real(json, "busy", s->busy);
    ghee_json_real(json, "starved", s->starved);
    ghee_json_real(json, "blocked", s->blocked);
    ghee_json_uint(json, "deaths", s->deaths);
    ghee_json_end_map(json);
  }
  ghee_json_end_list(json);
  ghee_json_text(json, "verdict", p->verdict);
}

static void result_json(ghee_buffer *text, const ghee_job_result *result) {
  ghee_json json = {.out = text};
  ghee_json_begin_map(&json, NULL);
  ghee_json_text(&json, "name", result->name);
  if (result->output_uri) ghee_json_text(&json, "output", result->output_uri);
  if (result->value_path) ghee_json_text(&json, "value", result->value_path);
  ghee_report_progress(&json, &result->progress);
  ghee_json_end_map(&json);
  ghee_buffer_put(text, "\n", 1);
}

static void result_words(ghee_buffer *text, const ghee_job_result *result) {
  const ghee_job_progress *p = &result->progress;
  ghee_buffer_printf(text, "%s: %llu rows in, %llu rows out, %.1f s", result->name, (unsigned long long)p->rows_in, (unsigned long long)p->rows_out, p->seconds);
  if (p->rejected) ghee_buffer_printf(text, ", %llu rejected", (unsigned long long)p->rejected);
  if (result->output_uri) ghee_buffer_printf(text, ", in %s", result->output_uri);
  if (result->value_path) ghee_buffer_printf(text, ", trained value in %s", result->value_path);
  ghee_buffer_printf(text, "\n");
  if (p->verdict[0]) ghee_buffer_printf(text, "%s\n", p->verdict);
}

ghee_status ghee_job_result_text(const ghee_job_result *result, bool json, char **out, ghee_error *err) {
  ghee_buffer text = {0};
  if (json) result_json(&text, result);
  else result_words(&text, result);
  return ghee_report_give(&text, GHEE_OK, out, err);
}

ghee_status ghee_report_give(ghee_buffer *text, ghee_status status, char **out, ghee_error *err) {
  char *copy = status == GHEE_OK ? ghee_strdup(ghee_buffer_text(text)) : NULL;
  if (status == GHEE_OK && (text->failed || !copy)) status = ghee_error_no_memory(err, "writing an answer");
  ghee_buffer_fini(text);
  if (status == GHEE_OK) *out = copy;
  else ghee_free(copy);
  return status;
}
