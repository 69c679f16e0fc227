/* SPDX-License-Identifier: Apache-2.0
 * Inputs that are record logs, as described and as canonical JSON. */
#define _XOPEN_SOURCE 700
#include "plan/spec_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEFAULT_SECONDS = 10, DEFAULT_ROWS = 1000000 };
#define DEFAULT_BYTES ((uint64_t)256 << 20)
static const char *const metadata_names[] = {"key", "value", "headers", "partition", "offset", "timestamp", NULL};

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "reading a description"); }

void ghee_log_bound_fini(ghee_log_bound *bound) { ghee_array_fini(&bound->offsets); }

bool ghee_spec_is_log(const ghee_job_spec *spec, const ghee_node *input) {
  return ghee_node_get(input, "from") || ghee_node_get(input, "to") || (spec->n_input_uris > 0 && ghee_uri_is_record_log(spec->input_uris[0]));
}

/* ---- options ---- */

ghee_status ghee_spec_read_options(const ghee_node *map, ghee_settings *out, ghee_error *err) {
  const ghee_node *options = NULL;
  GHEE_TRY(ghee_node_read_map(map, "options", &options, err));
  for (size_t i = 0; options && i < options->n; i++) {
    const char *value = options->items[i]->text; /* as written: true, 30 and texts alike */
    ghee_error why;
    if (options->items[i]->kind == GHEE_NODE_LIST || options->items[i]->kind == GHEE_NODE_MAP || options->items[i]->kind == GHEE_NODE_NULL)
      return ghee_node_error(options->items[i], err, "option %s must be a text or a number", options->keys[i]);
    if (ghee_setting_check(options->keys[i], value, &why) != GHEE_OK) return ghee_node_error(options->items[i], err, "%s", why.message);
    GHEE_TRY(ghee_settings_put(out, options->keys[i], value, err));
  }
  return GHEE_OK;
}

void ghee_spec_put_options(ghee_json *json, const ghee_settings *settings) {
  if (settings->count == 0) return;
  ghee_json_begin_map(json, "options");
  for (size_t i = 0; i < settings->count; i++) ghee_json_text(json, settings->items[i].key, settings->items[i].value);
  ghee_json_end_map(json);
}

/* ---- bounds ---- */

/* "2026-11-24", "2026-11-24T08:00:00", with fractions and with Z or +01:00 behind; UTC where no zone is said. */
static bool parse_time(const char *text, int64_t *out_ms) {
  static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
  struct tm tm;
  const char *at = NULL;
  for (size_t i = 0; i < sizeof forms / sizeof *forms && !at; i++) {
    memset(&tm, 0, sizeof tm);
    at = strptime(text, forms[i], &tm);
  }
  if (!at) return false;
  double fraction = 0;
  if (*at == '.') {
    char *end;
    fraction = strtod(at, &end);
    at = end;
  }
  int hours = 0, minutes = 0, sign = *at == '-' ? -1 : 1;
  if (*at == 'Z') at++;
  else if (*at == '+' || *at == '-') at = sscanf(at + 1, "%2d:%2d", &hours, &minutes) == 2 && strlen(at) == 6 ? at + 6 : "?";
  if (*at) return false;
  *out_ms = ((int64_t)timegm(&tm) - sign * (hours * 3600 + minutes * 60)) * 1000 + (int64_t)(fraction * 1000 + 0.5);
  return true;
}

static ghee_status read_offsets(const ghee_node *map, const char *key, ghee_log_bound *out, ghee_error *err) {
  for (size_t i = 0; i < map->n; i++) {
    char *end;
    unsigned long partition = strtoul(map->keys[i], &end, 10);
    int64_t offset = 0;
    if (*end || end == map->keys[i] || partition >= UINT32_MAX) return ghee_node_error(map->items[i], err, "%s has offsets by number of partition, not '%s'", key, map->keys[i]);
    GHEE_TRY(ghee_node_read_int(map, map->keys[i], 0, INT64_MAX, &offset, err));
    if (!ghee_array_push(&out->offsets, ((ghee_log_range){.partition = (uint32_t)partition, .first = offset}))) return no_memory(err);
  }
  out->what = GHEE_BOUND_OFFSETS;
  return GHEE_OK;
}

static ghee_status read_bound(const ghee_node *input, const char *key, bool is_end, ghee_log_bound *out, ghee_error *err) {
  const ghee_node *node = ghee_node_get(input, key);
  if (!node) return GHEE_OK;
  if (node->kind == GHEE_NODE_MAP) return read_offsets(node, key, out, err);
  const char *words = is_end ? "now, never, a time" : "earliest, latest, a time";
  if (node->kind == GHEE_NODE_INT && node->integer >= 0) {
    out->what = GHEE_BOUND_TIME;
    out->time_ms = node->integer;
  } else if (parse_time(node->text, &out->time_ms)) {
    out->what = GHEE_BOUND_TIME;
  } else if (strcmp(node->text, is_end ? "now" : "latest") == 0 || (is_end && strcmp(node->text, "latest") == 0)) {
    out->what = GHEE_BOUND_NOW;
  } else if (!is_end && strcmp(node->text, "earliest") == 0) {
    out->what = GHEE_BOUND_EARLIEST;
  } else if (is_end && strcmp(node->text, "never") == 0) {
    out->what = GHEE_BOUND_NEVER;
  } else {
    return ghee_node_error(node, err, "%s must be %s (2026-01-31T08:00:00Z, or milliseconds since 1970), or offsets ({0: 17, 1: 4}), not '%s'", key, words, node->text);
  }
  return GHEE_OK;
}

static void put_bound(ghee_json *json, const char *key, const ghee_log_bound *bound) {
  static const char *const words[] = {[GHEE_BOUND_EARLIEST] = "earliest", [GHEE_BOUND_NOW] = "latest", [GHEE_BOUND_NEVER] = "never"};
  if (bound->what == GHEE_BOUND_TIME) {
    ghee_json_int(json, key, bound->time_ms);
  } else if (bound->what == GHEE_BOUND_OFFSETS) {
    ghee_json_begin_map(json, key);
    for (size_t i = 0; i < bound->offsets.count; i++) {
      char partition[16];
      snprintf(partition, sizeof partition, "%u", bound->offsets.items[i].partition);
      ghee_json_int(json, partition, bound->offsets.items[i].first);
    }
    ghee_json_end_map(json);
  } else {
    ghee_json_text(json, key, words[bound->what]);
  }
}

/* ---- the whole ---- */

static ghee_status read_metadata(ghee_job_spec *spec, const ghee_node *input, ghee_error *err) {
  const char **texts = NULL;
  size_t n = 0;
  GHEE_TRY(ghee_node_read_texts(input, "metadata", &texts, &n, err));
  ghee_status status = GHEE_OK;
  if (n > 0 && strcmp(spec->format, "bytes") == 0)
    status = ghee_node_error(ghee_node_get(input, "metadata"), err, "format: %s has key, partition and the others as columns already", spec->format);
  for (size_t i = 0; i < n && status == GHEE_OK; i++) {
    uint32_t bit = 0;
    for (uint32_t k = 0; metadata_names[k]; k++)
      if (strcmp(texts[i], metadata_names[k]) == 0) bit = 1u << k;
    if (!bit) status = ghee_node_error(ghee_node_get(input, "metadata"), err, "a record has no '%s'; it has key, value, headers, partition, offset, timestamp", texts[i]);
    spec->metadata |= bit;
  }
  ghee_free(texts);
  return status;
}

static ghee_status read_every(ghee_job_spec *spec, const ghee_node *input, ghee_error *err) {
  static const char *const known[] = {"seconds", "rows", "bytes", NULL};
  const ghee_node *every = NULL;
  double seconds = DEFAULT_SECONDS;
  int64_t rows = DEFAULT_ROWS;
  spec->every_bytes = DEFAULT_BYTES;
  GHEE_TRY(ghee_node_read_map(input, "every", &every, err));
  if (every) {
    if (spec->to.what != GHEE_BOUND_NEVER) return ghee_node_error(every, err, "every is for a job that follows its input: to: never");
    GHEE_TRY(ghee_node_only(every, "every", known, err));
    GHEE_TRY(ghee_node_read_real(every, "seconds", 0, 1e6, &seconds, err));
    GHEE_TRY(ghee_node_read_int(every, "rows", 1, INT64_MAX, &rows, err));
    GHEE_TRY(ghee_node_read_bytes(every, "bytes", &spec->every_bytes, err));
  }
  spec->every_ms = (uint64_t)(seconds * 1000);
  spec->every_rows = (uint64_t)rows;
  return GHEE_OK;
}

/* What a job without end cannot do. */
static ghee_status check_endless(const ghee_job_spec *spec, const ghee_node *input, ghee_error *err) {
  const ghee_node *to = ghee_node_get(input, "to");
  if (spec->train) return ghee_node_error(to, err, "train needs an input that ends: to: now, a time, or offsets");
  if (spec->n_input_uris > 1) return ghee_node_error(to, err, "a job follows one topic (to: never); make a job for each");
  if (ghee_node_get(input, "shuffle")) return ghee_node_error(ghee_node_get(input, "shuffle"), err, "an input without end cannot be shuffled");
  return *spec->name ? GHEE_OK : ghee_node_error(to, err, "a job that follows its input (to: never) needs a name, by which it goes on after a stop");
}

ghee_status ghee_spec_read_log(ghee_job_spec *spec, const ghee_node *input, ghee_error *err) {
  static const char *const formats[] = {"bytes", "json", "ipc", NULL}, *const of_files[] = {"delimiter", "header", "null", NULL};
  int format = 0;
  const char *prefix = "_";
  for (const char *const *key = of_files; *key; key++)
    if (ghee_node_get(input, *key)) return ghee_node_error(ghee_node_get(input, *key), err, "%s is for files of text; this input is a record log", *key);
  GHEE_TRY(ghee_node_read_choice(input, "format", formats, &format, err));
  spec->record_log = true;
  spec->format = formats[format];
  spec->from.what = GHEE_BOUND_EARLIEST;
  spec->to.what = GHEE_BOUND_NOW;
  GHEE_TRY(read_bound(input, "from", false, &spec->from, err));
  GHEE_TRY(read_bound(input, "to", true, &spec->to, err));
  GHEE_TRY(read_metadata(spec, input, err));
  GHEE_TRY(ghee_node_read_text(input, "metadata_prefix", &prefix, err));
  GHEE_TRY(read_every(spec, input, err));
  if (spec->to.what == GHEE_BOUND_NEVER) GHEE_TRY(check_endless(spec, input, err));
  spec->metadata_prefix = ghee_strdup(prefix);
  return spec->metadata_prefix ? GHEE_OK : no_memory(err);
}

ghee_status ghee_spec_read_output_log(ghee_job_spec *spec, const ghee_node *output, ghee_error *err) {
  static const char *const formats[] = {"json", "ipc", NULL}, *const of_files[] = {"codec", "target_file_size", "row_group_rows", "mode", "partition_by", "sort_by", NULL};
  int format = 0;
  for (const char *const *key = of_files; *key; key++)
    if (ghee_node_get(output, *key)) return ghee_node_error(ghee_node_get(output, *key), err, "%s is for files; this output is a topic, to which records are added", *key);
  GHEE_TRY(ghee_node_read_choice(output, "format", formats, &format, err));
  spec->output_format = formats[format];
  spec->mode = GHEE_OUTPUT_APPEND;
  for (size_t i = 0; i < spec->n_input_uris; i++)
    if (strcmp(spec->input_uris[i], spec->output_uri) == 0) return ghee_node_error(output, err, "output and input are the same topic, %s", spec->output_uri);
  return GHEE_OK;
}

/* "kafka://a:1,b:2" of "kafka://a:1,b:2/topic". */
static size_t brokers_of(const char *uri) { return strlen("kafka://") + strcspn(uri + strlen("kafka://"), "/"); }

ghee_status ghee_spec_check_dead_letter(ghee_job_spec *spec, const ghee_node *node, ghee_error *err) {
  spec->dead_letter_log = ghee_uri_is_record_log(spec->dead_letter_uri);
  if (!spec->output_uri || (!spec->output_log && !spec->dead_letter_log)) return GHEE_OK;
  if (!spec->output_log) return ghee_node_error(node, err, "dead_letter must be a folder, as the output is one: both are committed together");
  if (!spec->dead_letter_log) return ghee_node_error(node, err, "dead_letter must be a topic, as the output is one: both are written in one transaction");
  size_t n = brokers_of(spec->output_uri);
  if (n != brokers_of(spec->dead_letter_uri) || strncmp(spec->output_uri, spec->dead_letter_uri, n) != 0)
    return ghee_node_error(node, err, "dead_letter must be a topic of the same brokers as the output, %.*s: both are written in one transaction", (int)n, spec->output_uri);
  if (strcmp(spec->output_uri, spec->dead_letter_uri) == 0) return ghee_node_error(node, err, "dead_letter and output are the same topic, %s", spec->output_uri);
  for (size_t i = 0; i < spec->n_input_uris; i++)
    if (strcmp(spec->input_uris[i], spec->dead_letter_uri) == 0) return ghee_node_error(node, err, "dead_letter and input are the same topic, %s", spec->dead_letter_uri);
  return GHEE_OK;
}

void ghee_spec_put_log(ghee_json *json, const ghee_job_spec *spec) {
  put_bound(json, "from", &spec->from);
  put_bound(json, "to", &spec->to);
  if (spec->to.what == GHEE_BOUND_NEVER) {
    ghee_json_begin_map(json, "every");
    ghee_json_real(json, "seconds", (double)spec->every_ms / 1e3);
    ghee_json_uint(json, "rows", spec->every_rows);
    ghee_json_uint(json, "bytes", spec->every_bytes);
    ghee_json_end_map(json);
  }
  if (spec->metadata) {
    ghee_json_begin_list(json, "metadata");
    for (uint32_t k = 0; metadata_names[k]; k++)
      if (spec->metadata & 1u << k) ghee_json_text(json, NULL, metadata_names[k]);
    ghee_json_end_list(json);
  }
  ghee_json_text(json, "metadata_prefix", spec->metadata_prefix);
}
