/* SPDX-License-Identifier: Apache-2.0
 * Records collected into columns.
 *
 * Design notes
 * - The columns that describe a record are appended to builders as it comes. JSON values are decoded together when the batch is taken out; where
 *   that fails, they are tried one by one. A value of Arrow IPC is decoded at once, as only that tells how many rows it has. */
#include "plan/records.h"

#include <string.h>

#include "ghee/batch.h"
#include "plan/ipc_values.h"
#include "plan/json_values.h"
#include "text/json.h"

enum { N_KINDS = 6, MOST_SHOWN = 2048 };
static const char *const names[N_KINDS] = {"key", "value", "headers", "partition", "offset", "timestamp"};
enum { KEY, VALUE, HEADERS, PARTITION, OFFSET, TIMESTAMP };

typedef struct numbers { int64_t *items; size_t count, capacity; } numbers;
typedef struct counts { int32_t *items; size_t count, capacity; } counts;

struct ghee_records {
  const ghee_job_spec *spec;
  const char *where;
  bool json, ipc;                    /* what the values are; neither: bytes */
  char *columns[N_KINDS];            /* name of each that is wanted, else NULL */
  ghee_schema *schema;               /* of the batches; NULL: not known yet */
  const char **value_columns;        /* wanted of them; NULL: all. Borrowed texts */
  size_t n_value_columns;
  ghee_builder *texts[2], *header_names, *header_values; /* KEY and VALUE; the headers of all records, flat */
  counts header_ends, partitions;
  numbers offsets, times;
  ghee_buffer has_time;
  ghee_json_values lines;
  ghee_ipc_values batches;
  GHEE_ARRAY(const char *) reasons;  /* by record: why it cannot be read, NULL: it can */
  GHEE_ARRAY(char *) texts_owned;    /* behind those of IPC */
  uint64_t bytes;
};

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "turning records into columns"); }

/* ---- life ---- */

static ghee_status begin_text(ghee_builder **builder, const char *name, bool binary, ghee_error *err) {
  if (!*builder) GHEE_TRY(ghee_builder_new(builder, err));
  return ghee_builder_begin_text(*builder, name, binary, err);
}

static void drop_texts(ghee_records *of) {
  while (of->texts_owned.count > 0) ghee_free(of->texts_owned.items[--of->texts_owned.count]);
}

/* Everything empty, for the next batch. */
static ghee_status begin(ghee_records *of, ghee_error *err) {
  for (int i = KEY; i <= VALUE; i++)
    if (of->columns[i]) GHEE_TRY(begin_text(&of->texts[i], names[i], true, err));
  if (of->columns[HEADERS]) {
    GHEE_TRY(begin_text(&of->header_names, "key", false, err));
    GHEE_TRY(begin_text(&of->header_values, "value", true, err));
  }
  of->header_ends.count = of->partitions.count = of->offsets.count = of->times.count = of->reasons.count = 0;
  ghee_buffer_clear(&of->has_time);
  ghee_json_values_clear(&of->lines);
  ghee_ipc_values_clear(&of->batches);
  drop_texts(of);
  of->bytes = 0;
  return ghee_array_push(&of->header_ends, 0) ? GHEE_OK : no_memory(err);
}

/* Whether values have columns of their own. */
static bool parsed(const ghee_records *of) { return of->json || of->ipc; }

static bool wants(const ghee_job_spec *spec, const char *column) {
  for (size_t i = 0; i < spec->n_read_columns; i++)
    if (strcmp(spec->read_columns[i], column) == 0) return true;
  return spec->n_read_columns == 0;
}

/* Whether a column describes the records. Else it is one of the values. */
static bool is_metadata(const ghee_records *of, const char *column) {
  for (int i = 0; i < N_KINDS; i++)
    if (of->columns[i] && strcmp(of->columns[i], column) == 0) return true;
  return false;
}

static ghee_status choose_columns(ghee_records *of, ghee_error *err) {
  const ghee_job_spec *spec = of->spec;
  for (int i = 0; i < N_KINDS; i++) {
    if (parsed(of) && !(spec->metadata & 1u << i)) continue;
    char *name = ghee_asprintf("%s%s", parsed(of) ? spec->metadata_prefix : "", names[i]);
    if (!name) return no_memory(err);
    if (wants(spec, name)) of->columns[i] = name;
    else ghee_free(name);
  }
  if (!parsed(of) || spec->n_read_columns == 0) return GHEE_OK;
  of->value_columns = ghee_alloc_zero(spec->n_read_columns, sizeof *of->value_columns);
  if (!of->value_columns) return no_memory(err);
  for (size_t c = 0; c < spec->n_read_columns; c++)
    if (!is_metadata(of, spec->read_columns[c])) of->value_columns[of->n_value_columns++] = spec->read_columns[c];
  return GHEE_OK;
}

/* The columns of a known schema that are not metadata: those of the values. */
static ghee_status split_schema(ghee_records *of, ghee_error *err) {
  const struct ArrowSchema *whole = ghee_schema_arrow(of->schema);
  const char **values = ghee_alloc_zero((size_t)whole->n_children + 1, sizeof *values);
  size_t n = 0;
  if (!values) return no_memory(err);
  for (int64_t c = 0; c < whole->n_children; c++)
    if (!is_metadata(of, whole->children[c]->name)) values[n++] = whole->children[c]->name;
  ghee_schema *schema = NULL;
  ghee_status status = ghee_schema_project(of->schema, values, n, &schema, err);
  ghee_free(of->value_columns);
  of->value_columns = values;
  of->n_value_columns = n;
  of->batches.schema = schema ? ghee_schema_ref(schema) : NULL;
  of->lines.schema = schema;
  return status;
}

void ghee_records_free(ghee_records *of) {
  if (!of) return;
  for (int i = 0; i < N_KINDS; i++) ghee_free(of->columns[i]);
  for (int i = KEY; i <= VALUE; i++) ghee_builder_free(of->texts[i]);
  ghee_builder_free(of->header_names);
  ghee_builder_free(of->header_values);
  ghee_schema_unref(of->schema);
  ghee_free(of->value_columns);
  ghee_array_fini(&of->header_ends);
  ghee_array_fini(&of->partitions);
  ghee_array_fini(&of->offsets);
  ghee_array_fini(&of->times);
  ghee_array_fini(&of->reasons);
  ghee_json_values_fini(&of->lines);
  ghee_ipc_values_fini(&of->batches);
  drop_texts(of);
  ghee_array_fini(&of->texts_owned);
  ghee_buffer_fini(&of->has_time);
  ghee_free(of);
}

ghee_status ghee_records_new(const ghee_job_spec *spec, const char *where, ghee_schema *schema, ghee_records **out, ghee_error *err) {
  ghee_records *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return no_memory(err);
  *of = (ghee_records){.spec = spec, .where = where, .json = strcmp(spec->format, "json") == 0, .ipc = strcmp(spec->format, "ipc") == 0,
                       .schema = schema ? ghee_schema_ref(schema) : NULL};
  ghee_status status = choose_columns(of, err);
  if (status == GHEE_OK && schema && parsed(of)) status = split_schema(of, err);
  of->lines.where = where;
  of->lines.columns = of->batches.columns = of->value_columns;
  of->lines.n_columns = of->batches.n_columns = of->n_value_columns;
  if (status == GHEE_OK) status = begin(of, err);
  if (status != GHEE_OK) {
    ghee_records_free(of);
    return status;
  }
  *out = of;
  return GHEE_OK;
}

/* ---- collecting ---- */

static ghee_status add_line(ghee_records *of, const ghee_record *record, ghee_error *err) {
  const char *reason;
  GHEE_TRY(ghee_json_values_add(&of->lines, record->value, record->value_bytes, &reason, err));
  return ghee_array_push(&of->reasons, reason) ? GHEE_OK : no_memory(err);
}

/* A record without a value has no rows. */
static ghee_status add_batches(ghee_records *of, const ghee_record *record, ghee_error *err) {
  ghee_error why;
  char *reason = NULL;
  ghee_status status = record->value ? ghee_ipc_values_add(&of->batches, record->value, record->value_bytes, (uint32_t)of->offsets.count, &why) : GHEE_OK;
  if (status == GHEE_NO_MEMORY) return no_memory(err);
  if (status != GHEE_OK) {
    reason = ghee_strdup(why.message);
    if (!reason || !ghee_array_push(&of->texts_owned, reason)) {
      ghee_free(reason);
      return no_memory(err);
    }
  }
  return ghee_array_push(&of->reasons, reason) ? GHEE_OK : no_memory(err);
}

static ghee_status add_text(ghee_builder *to, const void *data, size_t size, ghee_error *err) {
  return data ? ghee_builder_append_text(to, data, size, err) : ghee_builder_append_null(to, err);
}

static ghee_status add_headers(ghee_records *of, const ghee_record *record, ghee_error *err) {
  for (size_t i = 0; i < record->n_headers; i++) {
    GHEE_TRY(add_text(of->header_names, record->headers[i].name, strlen(record->headers[i].name), err));
    GHEE_TRY(add_text(of->header_values, record->headers[i].value, record->headers[i].value_bytes, err));
  }
  int32_t end = of->header_ends.items[of->header_ends.count - 1] + (int32_t)record->n_headers;
  return ghee_array_push(&of->header_ends, end) ? GHEE_OK : no_memory(err);
}

ghee_status ghee_records_add(ghee_records *of, const ghee_record *record, ghee_error *err) {
  if (of->json) GHEE_TRY(add_line(of, record, err));
  if (of->ipc) GHEE_TRY(add_batches(of, record, err));
  if (of->columns[KEY]) GHEE_TRY(add_text(of->texts[KEY], record->key, record->key_bytes, err));
  if (of->columns[VALUE]) GHEE_TRY(add_text(of->texts[VALUE], record->value, record->value_bytes, err));
  if (of->columns[HEADERS]) GHEE_TRY(add_headers(of, record, err));
  of->bytes += record->key_bytes + record->value_bytes + 16;
  ghee_buffer_put_u8(&of->has_time, record->timestamp_ms >= 0);
  bool ok = !of->has_time.failed && ghee_array_push(&of->partitions, (int32_t)record->partition) && ghee_array_push(&of->offsets, record->offset) &&
            ghee_array_push(&of->times, record->timestamp_ms);
  return ok ? GHEE_OK : no_memory(err);
}

uint64_t ghee_records_count(const ghee_records *of) { return of->offsets.count; }
uint64_t ghee_records_rows(const ghee_records *of) { return of->ipc ? of->batches.record_of.count : of->offsets.count; }
uint64_t ghee_records_bytes(const ghee_records *of) { return of->bytes; }

/* ---- values ---- */

static ghee_status refuse(const ghee_records *of, size_t i, const char *reason, ghee_error *err) {
  return ghee_error_set(err, GHEE_CORRUPT, "the value at offset %lld of partition %d of %s cannot be read as %s: %s; `on_reject: divert` would put it aside",
                        (long long)of->offsets.items[i], of->partitions.items[i], of->where, of->ipc ? "Arrow IPC" : "JSON", reason);
}

static void put_value(const ghee_records *of, size_t i, ghee_json *json) {
  size_t size;
  const char *text = ghee_json_values_text(&of->lines, i, &size);
  char shown[MOST_SHOWN + 1];
  size_t n = size < MOST_SHOWN ? size : MOST_SHOWN;
  memcpy(shown, text, n);
  shown[n] = 0;
  ghee_json_text(json, "value", shown);
}

static void describe_reject(const ghee_records *of, size_t i, const char *reason, ghee_buffer *rejects) {
  ghee_json json = {.out = rejects};
  ghee_json_begin_map(&json, NULL);
  ghee_json_text(&json, "stage", "input");
  ghee_json_text(&json, "file", of->where);
  ghee_json_int(&json, "partition", of->partitions.items[i]);
  ghee_json_int(&json, "offset", of->offsets.items[i]);
  ghee_json_text(&json, "reason", reason);
  if (!of->reasons.items[i]) put_value(of, i, &json); /* else the line is not the value any more */
  ghee_json_end_map(&json);
  ghee_buffer_put(rejects, "\n", 1);
}

/* Tries record after record; good[] gets the rows that can be read. */
static ghee_status sift(const ghee_records *of, uint32_t *good, size_t *n_good, ghee_buffer *rejects, ghee_error *err) {
  for (size_t i = 0; i < of->offsets.count; i++) {
    const char *reason = of->reasons.items[i];
    ghee_error why;
    if (!reason && ghee_json_values_try(&of->lines, i, &why) == GHEE_OK) {
      good[(*n_good)++] = (uint32_t)i;
      continue;
    }
    if (!reason) reason = why.message;
    if (!rejects) return refuse(of, i, reason, err);
    describe_reject(of, i, reason, rejects);
  }
  return rejects ? ghee_buffer_check(rejects, "keeping rejected rows", err) : GHEE_OK;
}

/* The columns of JSON values. `*good` (owned by the caller) stays NULL where every record is good. */
static ghee_status take_lines(ghee_records *of, ghee_batch *out, uint32_t **good, size_t *n_good, ghee_buffer *rejects, ghee_error *err) {
  size_t n = of->offsets.count;
  bool clean = n > 0;
  for (size_t i = 0; i < n && clean; i++) clean = !of->reasons.items[i];
  if (clean && ghee_json_values_decode(&of->lines, NULL, n, out, NULL) == GHEE_OK) return GHEE_OK;
  if (!(*good = ghee_alloc((n + 1) * sizeof **good))) return no_memory(err);
  GHEE_TRY(sift(of, *good, n_good, rejects, err));
  return ghee_json_values_decode(&of->lines, *good, *n_good, out, err);
}

/* Those of Arrow IPC; `*good` says the record of each row. */
static ghee_status take_batches(ghee_records *of, ghee_batch *out, uint32_t **good, size_t *n_good, ghee_buffer *rejects, ghee_error *err) {
  for (size_t i = 0; i < of->reasons.count; i++) {
    if (!of->reasons.items[i]) continue;
    if (!rejects) return refuse(of, i, of->reasons.items[i], err);
    describe_reject(of, i, of->reasons.items[i], rejects);
  }
  if (rejects) GHEE_TRY(ghee_buffer_check(rejects, "keeping rejected rows", err));
  *n_good = of->batches.record_of.count;
  if (!(*good = ghee_alloc((*n_good + 1) * sizeof **good))) return no_memory(err);
  if (*n_good > 0) memcpy(*good, of->batches.record_of.items, *n_good * sizeof **good);
  ghee_status status = ghee_ipc_values_take(&of->batches, out, err);
  if (status != GHEE_OK) ghee_error_prefix(err, "%s", of->where);
  return status;
}

/* ---- columns ---- */

/* Moves the columns of a struct array to a builder; releases the rest. */
static ghee_status move_columns(ghee_builder *to, const struct ArrowSchema *schema, struct ArrowArray *array, ghee_error *err) {
  ghee_status status = GHEE_OK;
  for (int64_t i = 0; i < schema->n_children && status == GHEE_OK; i++) {
    struct ArrowSchema field;
    struct ArrowArray column = *array->children[i];
    status = ghee_schema_copy_arrow(schema->children[i], &field, err);
    if (status != GHEE_OK) break;
    array->children[i]->release = NULL;
    status = ghee_builder_add_arrow(to, schema->children[i]->name, &field, &column, err);
  }
  if (array->release) array->release(array);
  return status;
}

static ghee_status add_text_column(ghee_builder *to, const char *name, ghee_builder *texts, ghee_error *err) {
  struct ArrowSchema schema, field;
  struct ArrowArray array;
  GHEE_TRY(ghee_builder_end_text(texts, err));
  GHEE_TRY(ghee_builder_finish(texts, &schema, &array, err));
  ghee_status status = ghee_schema_copy_arrow(schema.children[0], &field, err);
  if (status == GHEE_OK) {
    struct ArrowArray column = *array.children[0];
    array.children[0]->release = NULL;
    status = ghee_builder_add_arrow(to, name, &field, &column, err);
  }
  schema.release(&schema);
  array.release(&array);
  return status;
}

static ghee_status add_header_column(ghee_records *of, ghee_builder *to, ghee_error *err) {
  ghee_builder *items;
  struct ArrowSchema schema;
  struct ArrowArray array;
  GHEE_TRY(ghee_builder_new(&items, err));
  ghee_status status = add_text_column(items, "key", of->header_names, err);
  if (status == GHEE_OK) status = add_text_column(items, "value", of->header_values, err);
  if (status == GHEE_OK) status = ghee_builder_finish(items, &schema, &array, err);
  ghee_builder_free(items);
  if (status != GHEE_OK) return status;
  return ghee_builder_add_list(to, of->columns[HEADERS], (int64_t)of->offsets.count, of->header_ends.items, &schema, &array, err);
}

static void free_numbers(void *owner) { ghee_free(owner); }

static ghee_status add_numbers(ghee_builder *to, const char *name, const char *format, size_t n, void *values, ghee_error *err) {
  void *kept = values ? values : ghee_alloc(1);
  if (!kept) return no_memory(err);
  return ghee_builder_add_fixed(to, name, format, (int64_t)n, kept, NULL, 0, NULL, 0, free_numbers, kept, err);
}

typedef struct times_owner { void *times, *bitmap; } times_owner;

static void free_times(void *owner) {
  times_owner *of = owner;
  ghee_free(of->times);
  ghee_builder_bitmap_free(of->bitmap);
  ghee_free(of);
}

static ghee_status add_times(ghee_records *of, ghee_builder *to, ghee_error *err) {
  times_owner *owner = ghee_alloc_zero(1, sizeof *owner);
  int64_t nulls = 0, n = (int64_t)of->times.count;
  if (!owner) return no_memory(err);
  ghee_status status = ghee_builder_bitmap(of->has_time.data, n, &owner->bitmap, &nulls, err);
  if (status == GHEE_OK && n == 0 && !of->times.items) status = (of->times.items = ghee_alloc(sizeof(int64_t))) ? GHEE_OK : no_memory(err);
  if (status != GHEE_OK) {
    free_times(owner);
    return status;
  }
  owner->times = of->times.items;
  of->times = (numbers){0};
  return ghee_builder_add_fixed(to, of->columns[TIMESTAMP], "tsm:UTC", n, owner->times, nulls ? owner->bitmap : NULL, nulls, NULL, 0, free_times, owner, err);
}

/* What describes the records, in the order of `names`. */
static ghee_status add_metadata(ghee_records *of, ghee_builder *to, ghee_error *err) {
  if (of->columns[KEY]) GHEE_TRY(add_text_column(to, of->columns[KEY], of->texts[KEY], err));
  if (of->columns[VALUE]) GHEE_TRY(add_text_column(to, of->columns[VALUE], of->texts[VALUE], err));
  if (of->columns[HEADERS]) GHEE_TRY(add_header_column(of, to, err));
  size_t n = of->offsets.count;
  if (of->columns[PARTITION]) {
    void *taken = of->partitions.items;
    of->partitions = (counts){0};
    GHEE_TRY(add_numbers(to, of->columns[PARTITION], "i", n, taken, err));
  }
  if (of->columns[OFFSET]) {
    void *taken = of->offsets.items;
    of->offsets = (numbers){0};
    GHEE_TRY(add_numbers(to, of->columns[OFFSET], "l", n, taken, err));
  }
  return of->columns[TIMESTAMP] ? add_times(of, to, err) : GHEE_OK;
}

static bool has_metadata(const ghee_records *of) {
  for (int i = 0; i < N_KINDS; i++)
    if (of->columns[i]) return true;
  return false;
}

/* The metadata of the good rows alone. */
static ghee_status add_metadata_of(ghee_records *of, const uint32_t *good, size_t n, ghee_builder *to, ghee_error *err) {
  ghee_builder *all;
  struct ArrowSchema arrow;
  struct ArrowArray array;
  ghee_schema *schema = NULL;
  ghee_batch batch = {0}, taken = {0};
  GHEE_TRY(ghee_builder_new(&all, err));
  ghee_status status = add_metadata(of, all, err);
  if (status == GHEE_OK) status = ghee_builder_finish(all, &arrow, &array, err);
  ghee_builder_free(all);
  if (status != GHEE_OK) return status;
  status = ghee_schema_new(&arrow, &schema, err);
  if (status == GHEE_OK) status = ghee_batch_new(schema, &array, true, &batch, err);
  else array.release(&array);
  if (status == GHEE_OK) status = ghee_batch_take(&batch, good, n, &taken, err);
  if (status == GHEE_OK) status = move_columns(to, ghee_schema_arrow(schema), &taken.array, err);
  ghee_batch_release(&taken);
  ghee_batch_release(&batch);
  ghee_schema_unref(schema);
  return status;
}

static ghee_status add_all(ghee_records *of, ghee_builder *to, ghee_buffer *rejects, ghee_error *err) {
  uint32_t *good = NULL;
  size_t n_good = 0;
  ghee_status status = GHEE_OK;
  if (of->ipc || (of->json && !(of->value_columns && of->n_value_columns == 0))) {
    ghee_batch values = {0};
    status = (of->ipc ? take_batches : take_lines)(of, &values, &good, &n_good, rejects, err);
    if (status == GHEE_OK) status = move_columns(to, ghee_schema_arrow(values.schema), &values.array, err);
    ghee_batch_release(&values);
  }
  if (status == GHEE_OK && has_metadata(of)) status = good ? add_metadata_of(of, good, n_good, to, err) : add_metadata(of, to, err);
  ghee_free(good);
  return status;
}

static ghee_status finish(ghee_records *of, ghee_builder *from, ghee_batch *out, ghee_error *err) {
  struct ArrowSchema arrow;
  struct ArrowArray array;
  ghee_schema *schema = NULL;
  ghee_batch whole = {0};
  GHEE_TRY(ghee_builder_finish(from, &arrow, &array, err));
  ghee_status status = ghee_schema_new(&arrow, &schema, err);
  if (status == GHEE_OK) status = ghee_batch_new(schema, &array, true, &whole, err);
  else array.release(&array);
  if (status == GHEE_OK && of->spec->n_read_columns > 0) status = ghee_batch_project(&whole, of->spec->read_columns, of->spec->n_read_columns, out, err);
  else if (status == GHEE_OK) ghee_batch_move(&whole, out);
  ghee_batch_release(&whole);
  ghee_schema_unref(schema);
  return status;
}

ghee_status ghee_records_take(ghee_records *of, ghee_batch *out, int64_t *offset, ghee_buffer *rejects, ghee_error *err) {
  ghee_builder *whole;
  if (of->offsets.count > 0) *offset = of->offsets.items[0];
  GHEE_TRY(ghee_builder_new(&whole, err));
  ghee_status status = add_all(of, whole, rejects, err);
  if (status == GHEE_OK) status = finish(of, whole, out, err);
  ghee_builder_free(whole);
  if (status == GHEE_OK) status = begin(of, err);
  if (status != GHEE_OK) ghee_batch_release(out);
  return status;
}
