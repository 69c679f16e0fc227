/* SPDX-License-Identifier: Apache-2.0
 * Values to lines, lines to rows. */
#include "plan/json_values.h"

#include "format/format.h"

/* Appends a value as one line. NULL, or why it is no object of JSON as far as brackets tell. */
static const char *put_line(ghee_buffer *out, const uint8_t *value, size_t size) {
  uint8_t *to = ghee_buffer_room(out, size + 1);
  if (!to) return NULL;
  size_t depth = 0, begun = 0;
  bool text = false, over = false;
  for (size_t i = 0; i < size; i++) {
    uint8_t c = value[i];
    bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (text && (c == '\n' || c == '\r')) return "a line break stands inside of a text";
    if (over && !blank) return "something stands behind the object";
    if (!begun && !blank && c != '{') return "it is no JSON object";
    to[i] = blank ? ' ' : c;
    if (blank) continue;
    begun = 1;
    if (text && c == '\\' && i + 1 < size) {
      i++;
      to[i] = value[i];
    } else if (c == '"') {
      text = !text;
    } else if (!text && (c == '{' || c == '[')) {
      depth++;
    } else if (!text && (c == '}' || c == ']')) {
      over = --depth == 0;
    }
  }
  if (!over) return begun ? "it is cut off" : "it is empty";
  to[size] = '\n';
  out->size += size + 1;
  return NULL;
}

ghee_status ghee_json_values_add(ghee_json_values *of, const void *data, size_t size, const char **reason, ghee_error *err) {
  *reason = data ? put_line(&of->lines, data, size) : NULL;
  if (*reason || !data) ghee_buffer_put(&of->lines, "{}\n", 3);
  return !of->lines.failed && ghee_array_push(&of->ends, of->lines.size) ? GHEE_OK : ghee_error_no_memory(err, "keeping values of JSON");
}

/* Lines into one batch; without a schema it is inferred. */
static ghee_status decode(const ghee_json_values *of, const uint8_t *lines, size_t size, int64_t rows, ghee_batch *out, ghee_error *err) {
  const struct ghee_format_ops *ops = ghee_format_named("jsonl");
  ghee_read_options options = {.schema = of->schema, .columns = of->schema ? NULL : of->columns, .n_columns = of->schema ? 0 : of->n_columns, .batch_rows = rows};
  ghee_source *source;
  ghee_file *file = NULL;
  ghee_rows *reading = NULL;
  GHEE_TRY(ghee_source_of_memory(lines, size, of->where, &source, err));
  ghee_status status = ops->open(source, &options, &file, err);
  ghee_part all = {.size_bytes = size, .rows = -1};
  if (status == GHEE_OK) status = ops->read(file, &all, 0, &reading, err);
  if (status == GHEE_OK) status = ops->next(reading, out, err);
  if (status == GHEE_OK && ghee_batch_rows(out) != rows) {
    status = ghee_error_set(err, GHEE_CORRUPT, "%s: %lld values of JSON are read as %lld rows", of->where, (long long)rows, (long long)ghee_batch_rows(out));
    ghee_batch_release(out);
  }
  if (status == GHEE_CLOSED) status = ghee_error_set(err, GHEE_CORRUPT, "%s: a value of JSON is no row", of->where);
  if (reading) ops->end(reading);
  if (file) ops->close(file);
  source->ops->close(source);
  return status;
}

/* With its end. */
static const uint8_t *line_at(const ghee_json_values *of, size_t i, size_t *size) {
  size_t start = i ? of->ends.items[i - 1] : 0;
  *size = of->ends.items[i] - start;
  return of->lines.data + start;
}

const char *ghee_json_values_text(const ghee_json_values *of, size_t i, size_t *size) {
  const uint8_t *line = line_at(of, i, size);
  --*size;
  return (const char *)line;
}

ghee_status ghee_json_values_try(const ghee_json_values *of, size_t i, ghee_error *err) {
  ghee_batch one = {0};
  size_t size;
  const uint8_t *line = line_at(of, i, &size);
  GHEE_TRY(decode(of, line, size, 1, &one, err));
  ghee_batch_release(&one);
  return GHEE_OK;
}

static ghee_status decode_some(const ghee_json_values *of, const uint32_t *which, size_t n, ghee_batch *out, ghee_error *err) {
  ghee_buffer lines = {0};
  for (size_t i = 0; i < n; i++) {
    size_t size;
    const uint8_t *line = line_at(of, which[i], &size);
    ghee_buffer_put(&lines, line, size);
  }
  ghee_status status = ghee_buffer_check(&lines, "reading JSON", err);
  if (status == GHEE_OK) status = decode(of, lines.data, lines.size, (int64_t)n, out, err);
  ghee_buffer_fini(&lines);
  return status;
}

ghee_status ghee_json_values_decode(ghee_json_values *of, const uint32_t *which, size_t n, ghee_batch *out, ghee_error *err) {
  if (n == 0) return of->schema ? ghee_batch_zeros(of->schema, 0, out, err) : ghee_error_set(err, GHEE_CORRUPT, "%s: none of its first records is a JSON object", of->where);
  GHEE_TRY(which ? decode_some(of, which, n, out, err) : decode(of, of->lines.data, of->lines.size, (int64_t)n, out, err));
  if (!of->schema) of->schema = ghee_schema_ref(out->schema);
  return GHEE_OK;
}

void ghee_json_values_clear(ghee_json_values *of) {
  ghee_buffer_clear(&of->lines);
  of->ends.count = 0;
}

void ghee_json_values_fini(ghee_json_values *of) {
  ghee_buffer_fini(&of->lines);
  ghee_array_fini(&of->ends);
  ghee_schema_unref(of->schema);
}
