/* SPDX-License-Identifier: Apache-2.0
 * What every file format does, whatever its bytes. A backend is one line of `backends`. Tables stay within the types that
 * all of them hold; the types of each are tested beside its source. */
#include "format/orc_sample.h"

#include <pthread.h>
#include <stdio.h>

enum { ROWS = 1000, GROUP_ROWS = 300, BATCH_ROWS = 128 };

typedef struct backend {
  const char *name;
  bool typed;              /* the file knows its types */
  uint64_t part_bytes;     /* that cut the table into several parts */
} backend;

static const backend backends[] = {{"parquet", true, 0}, {"csv", false, 5000}, {"jsonl", false, 15000}, {"ipc", true, 0}, {"orc", true, 0}};
enum { BACKENDS = sizeof backends / sizeof *backends };

static sample_type columns[] = {
    {"id", "l", false, NULL, 0, NULL},    {"rating", "g", true, NULL, 0, NULL}, {"small", "s", true, NULL, 0, NULL},
    {"day", "tdD", true, NULL, 0, NULL},  {"yes", "b", true, NULL, 0, NULL},    {"at", "tsu:UTC", true, NULL, 0, NULL},
    {"narrow", "f", false, NULL, 0, NULL},
};
enum { COLUMNS = sizeof columns / sizeof *columns, AT = 5 };

static const struct ghee_format_ops *ops;
static const backend *of;
static ghee_schema *schema;
static ghee_batch table;
static ghee_buffer bytes;

static ghee_read_options options(void) {
  return (ghee_read_options){.batch_rows = BATCH_ROWS, .schema = of->typed ? NULL : schema};
}

/* Also of a format that ghee only reads. */
static void write_table(ghee_batch *batches, size_t n, int64_t group_rows, ghee_buffer *out) {
  ghee_write_options how = {.row_group_rows = group_rows};
  ghee_batch whole = {0};
  if (ops->create) {
    SAMPLE_OK(sample_write(ops, schema, batches, n, &how, out, err));
    return;
  }
  if (n > 0) SAMPLE_OK(ghee_batch_concat(batches, n, &whole, err));
  orc_sample_write(schema, n > 0 ? &whole : NULL, group_rows > 0 ? group_rows : 1 << 20, false, out);
  ghee_batch_release(&whole);
}

static void begin(const backend *with) {
  of = with;
  ops = ghee_format_named(of->name);
  assert_non_null(ops);
  columns[AT].format = strcmp(of->name, "orc") ? "tsu:UTC" : "tsn:UTC"; /* its times are all of nanoseconds */
  schema = sample_schema(columns, COLUMNS);
  sample_batch(schema, columns, COLUMNS, ROWS, 1, &table);
  write_table(&table, 1, GROUP_ROWS, &bytes);
}

static void end(void) {
  ghee_batch_release(&table);
  ghee_schema_unref(schema);
  ghee_buffer_fini(&bytes);
  memset(&bytes, 0, sizeof bytes);
}

#define FOR_EACH_BACKEND \
  (void)state;           \
  for (int b_ = 0; b_ < BACKENDS && (begin(&backends[b_]), true); b_++, end())

static void comes_back_equal(void **state) {
  FOR_EACH_BACKEND {
    ghee_read_options how = options();
    sample_file in;
    ghee_batch got = {0};
    int64_t rows;
    SAMPLE_OK(sample_open(ops, bytes.data, bytes.size, &how, &in, err));
    SAMPLE_OK(sample_read_all(in.file, of->part_bytes, BATCH_ROWS, &got, &rows, err));
    assert_int_equal(rows, ROWS);
    assert_true(ghee_schema_equal(ops->schema(in.file), schema));
    assert_true(ghee_batch_equal(&got, &table));
    ghee_batch_release(&got);
    sample_close(&in);
  }
}

static void parts_are_several_and_know_their_place(void **state) {
  FOR_EACH_BACKEND {
    ghee_read_options how = options();
    sample_file in;
    sample_parts parts = {.count = 0};
    SAMPLE_OK(sample_open(ops, bytes.data, bytes.size, &how, &in, err));
    SAMPLE_OK(ops->parts(in.file, of->part_bytes, sample_each, &parts, err));
    assert_true(parts.count >= 3);
    int64_t rows = 0;
    uint64_t last = 0;
    for (int i = 0; i < parts.count; i++) {
      ghee_part *part = &parts.items[i];
      assert_true(part->offset >= last);
      assert_true(part->offset + part->size_bytes <= bytes.size);
      assert_true(part->memory_bytes > 0);
      last = part->offset;
      rows += part->rows;
    }
    if (of->typed) assert_int_equal(rows, ROWS);
    else assert_int_equal(rows, -parts.count);
    sample_close(&in);
  }
}

/* Parts end behind the line in which a multiple of the wanted size lies, however many lines went before. */
static void parts_of_text_keep_to_multiples(void **state) {
  (void)state;
  enum { LINES = 2000, WIDTH = 8, PART = 100 };
  static const struct { const char *format, *line; } texts[] = {{"csv", "1234567\n"}, {"jsonl", "{\"a\":1}\n"}};
  for (size_t t = 0; t < 2; t++) {
    ghee_buffer text = {0};
    for (int i = 0; i < LINES; i++) ghee_buffer_put(&text, texts[t].line, WIDTH);
    ghee_read_options how = {.csv_no_header = true};
    sample_file in;
    sample_parts parts = {.count = 0};
    SAMPLE_OK(sample_open(ghee_format_named(texts[t].format), text.data, text.size, &how, &in, err));
    SAMPLE_OK(in.file->ops->parts(in.file, PART, sample_each, &parts, err));
    assert_int_equal(parts.count, LINES * WIDTH / PART);
    for (int i = 0; i + 1 < parts.count; i++)
      assert_int_equal(parts.items[i].offset + parts.items[i].size_bytes, ((i + 1) * PART + WIDTH - 1) / WIDTH * WIDTH);
    sample_close(&in);
    ghee_buffer_fini(&text);
  }
}

static void parts_read_alone_and_in_any_order(void **state) {
  FOR_EACH_BACKEND {
    ghee_read_options how = options();
    sample_file in;
    sample_parts parts = {.count = 0};
    SAMPLE_OK(sample_open(ops, bytes.data, bytes.size, &how, &in, err));
    SAMPLE_OK(ops->parts(in.file, of->part_bytes, sample_each, &parts, err));
    ghee_batch batches[64];
    size_t n = 0;
    int64_t at = ROWS;
    for (int i = parts.count - 1; i >= 0; i--) {
      size_t first = n;
      int64_t rows = 0;
      SAMPLE_OK(sample_read(in.file, &parts.items[i], 0, BATCH_ROWS, batches, &n, err));
      for (size_t k = first; k < n; k++) rows += ghee_batch_rows(&batches[k]);
      at -= rows;
      ghee_batch got, want;
      SAMPLE_OK(ghee_batch_concat(&batches[first], n - first, &got, err));
      SAMPLE_OK(ghee_batch_slice(&table, at, rows, &want, err));
      assert_true(ghee_batch_equal(&got, &want));
      ghee_batch_release(&got);
      ghee_batch_release(&want);
    }
    assert_int_equal(at, 0);
    for (size_t k = 0; k < n; k++) ghee_batch_release(&batches[k]);
    sample_close(&in);
  }
}

static void skips_rows_of_a_part(void **state) {
  static const int64_t skips[] = {0, 1, 7, BATCH_ROWS - 1, BATCH_ROWS, BATCH_ROWS + 1, GROUP_ROWS - 1, GROUP_ROWS, ROWS, 1 << 30};
  FOR_EACH_BACKEND {
    ghee_read_options how = options();
    sample_file in;
    sample_parts parts = {.count = 0};
    SAMPLE_OK(sample_open(ops, bytes.data, bytes.size, &how, &in, err));
    SAMPLE_OK(ops->parts(in.file, 1 << 20, sample_each, &parts, err));
    int64_t in_part = of->typed ? parts.items[0].rows : ROWS;
    for (size_t s = 0; s < sizeof skips / sizeof *skips; s++) {
      ghee_batch batches[64], got, want;
      size_t n = 0;
      SAMPLE_OK(sample_read(in.file, &parts.items[0], skips[s], BATCH_ROWS, batches, &n, err));
      if (skips[s] >= in_part) {
        assert_int_equal(n, 0);
        continue;
      }
      SAMPLE_OK(ghee_batch_concat(batches, n, &got, err));
      SAMPLE_OK(ghee_batch_slice(&table, skips[s], in_part - skips[s], &want, err));
      assert_true(ghee_batch_equal(&got, &want));
      ghee_batch_release(&got);
      ghee_batch_release(&want);
      for (size_t k = 0; k < n; k++) ghee_batch_release(&batches[k]);
    }
    sample_close(&in);
  }
}

static void projects_in_the_order_asked_for(void **state) {
  FOR_EACH_BACKEND {
    const char *names[] = {"yes", "id", "rating"};
    ghee_read_options how = options();
    how.columns = names;
    how.n_columns = 3;
    sample_file in;
    ghee_batch got = {0}, want;
    int64_t rows;
    SAMPLE_OK(sample_open(ops, bytes.data, bytes.size, &how, &in, err));
    assert_int_equal(ghee_schema_columns(ops->schema(in.file)), 3);
    assert_int_equal(ghee_schema_find(ops->schema(in.file), "id"), 1);
    SAMPLE_OK(sample_read_all(in.file, of->part_bytes, BATCH_ROWS, &got, &rows, err));
    SAMPLE_OK(ghee_batch_project(&table, names, 3, &want, err));
    assert_true(ghee_batch_equal(&got, &want));
    ghee_batch_release(&got);
    ghee_batch_release(&want);
    sample_close(&in);
  }
}

static void misses_a_column_by_name(void **state) {
  FOR_EACH_BACKEND {
    const char *names[] = {"id", "absent"};
    ghee_read_options how = options();
    how.columns = names;
    how.n_columns = 2;
    sample_file in;
    ghee_error err = {0};
    assert_int_equal(sample_open(ops, bytes.data, bytes.size, &how, &in, &err), GHEE_NOT_FOUND);
    assert_non_null(strstr(err.message, "sample"));
    assert_non_null(strstr(err.message, "absent"));
    assert_non_null(strstr(err.message, "rating"));
  }
}

static void an_empty_table_comes_back_empty(void **state) {
  FOR_EACH_BACKEND {
    ghee_buffer empty = {0};
    write_table(NULL, 0, 0, &empty);
    ghee_read_options how = options();
    sample_file in;
    int64_t rows;
    SAMPLE_OK(sample_open(ops, empty.size ? empty.data : (const uint8_t *)"", empty.size, &how, &in, err));
    assert_true(ghee_schema_equal(ops->schema(in.file), schema));
    SAMPLE_OK(sample_read_all(in.file, 1000, BATCH_ROWS, NULL, &rows, err));
    assert_int_equal(rows, 0);
    sample_close(&in);
    ghee_buffer_fini(&empty);
  }
}

static void many_small_batches_are_one_file(void **state) {
  FOR_EACH_BACKEND {
    ghee_batch slices[250];
    for (int i = 0; i < 250; i++) SAMPLE_OK(ghee_batch_slice(&table, i * 4, 4, &slices[i], err));
    ghee_buffer out = {0};
    write_table(slices, 250, 0, &out);
    for (int i = 0; i < 250; i++) ghee_batch_release(&slices[i]);
    ghee_read_options how = options();
    sample_file in;
    ghee_batch got = {0};
    int64_t rows;
    SAMPLE_OK(sample_open(ops, out.data, out.size, &how, &in, err));
    SAMPLE_OK(sample_read_all(in.file, 1 << 20, BATCH_ROWS, &got, &rows, err));
    assert_true(ghee_batch_equal(&got, &table));
    sample_parts parts = {.count = 0};
    SAMPLE_OK(ops->parts(in.file, 1 << 20, sample_each, &parts, err));
    assert_int_equal(parts.count, 1);
    ghee_batch_release(&got);
    sample_close(&in);
    ghee_buffer_fini(&out);
  }
}

/* Every prefix: a format with a footer must see that it is missing; text loses rows or fails, and never adds one. */
static void truncated_files_fail_or_end_early(void **state) {
  FOR_EACH_BACKEND {
    ghee_read_options how = options();
    for (size_t size = 0; size < bytes.size; size += size < 100 || size + 100 > bytes.size ? 1 : 211) {
      uint8_t *copy = malloc(size + 1); /* its own allocation, so that a sanitizer sees a read behind it */
      memcpy(copy, bytes.data, size);
      sample_file in;
      int64_t rows = 0;
      ghee_error err = {0};
      ghee_status status = sample_open(ops, copy, size, &how, &in, &err);
      if (status == GHEE_OK) {
        status = sample_read_all(in.file, of->part_bytes, BATCH_ROWS, NULL, &rows, &err);
        sample_close(&in);
      }
      if (of->typed) assert_int_equal(status, GHEE_CORRUPT);
      if (status != GHEE_OK) assert_non_null(strstr(err.message, "sample"));
      assert_true(rows <= ROWS);
      free(copy);
    }
  }
}

/* Flipped bits anywhere: wrong values are allowed, crashes and hangs are not. */
static void damaged_files_do_no_harm(void **state) {
  FOR_EACH_BACKEND {
    ghee_read_options how = options();
    uint8_t *copy = malloc(bytes.size);
    for (size_t at = 0; at < bytes.size; at += at < 100 || at + 600 > bytes.size ? 1 : 211) {
      memcpy(copy, bytes.data, bytes.size);
      copy[at] ^= (uint8_t)(1u << at % 8 | 0x80u);
      sample_file in;
      int64_t rows;
      if (sample_open(ops, copy, bytes.size, &how, &in, NULL) != GHEE_OK) continue;
      (void)sample_read_all(in.file, of->part_bytes, BATCH_ROWS, NULL, &rows, NULL);
      sample_close(&in);
    }
    free(copy);
  }
}

static void foreign_files_are_refused(void **state) {
  static const uint8_t picture[64] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R', '"', 0xff, 0xfe};
  FOR_EACH_BACKEND {
    ghee_read_options how = {0};
    sample_file in;
    ghee_error err = {0};
    assert_int_equal(sample_open(ops, picture, sizeof picture, &how, &in, &err), GHEE_CORRUPT);
    assert_non_null(strstr(err.message, "sample"));
  }
}

/* A source that fails at its n-th read with a status of its own. */
typedef struct failing_source {
  ghee_source base;
  ghee_source *inner;
  long left;
  ghee_status status;
} failing_source;

static ghee_status failing_read(ghee_source *base, uint64_t offset, size_t size, void *into, ghee_error *err) {
  failing_source *source = (failing_source *)base;
  if (--source->left < 0) return ghee_error_set(err, source->status, "the cable is cut");
  return source->inner->ops->read(source->inner, offset, size, into, err);
}

static const struct ghee_source_ops failing_ops = {.read = failing_read};

static ghee_status read_whole(void *source, ghee_error *err) {
  ghee_read_options how = options();
  ghee_file *file;
  int64_t rows;
  GHEE_TRY(ops->open(source, &how, &file, err));
  ghee_status status = sample_read_all(file, of->part_bytes, BATCH_ROWS, NULL, &rows, err);
  ops->close(file);
  return status;
}

static void a_failing_source_speaks_for_itself(void **state) {
  static const ghee_status statuses[] = {GHEE_DENIED, GHEE_CLOSED};
  FOR_EACH_BACKEND {
    for (int s = 0; s < 2; s++) {
      long n = 0;
      ghee_status status;
      do {
        failing_source source = {.base = {&failing_ops, bytes.size, "cut"}, .left = n++, .status = statuses[s]};
        SAMPLE_OK(ghee_source_of_memory(bytes.data, bytes.size, "inner", &source.inner, err));
        ghee_error err = {0};
        status = read_whole(&source.base, &err);
        source.inner->ops->close(source.inner);
        if (status == GHEE_OK) break;
        assert_int_equal(status, statuses[s] == GHEE_CLOSED ? GHEE_IO : statuses[s]);
        assert_string_equal(err.message, "the cable is cut");
      } while (n < 1000);
      assert_int_equal(status, GHEE_OK);
      assert_true(n > 3);
    }
  }
}

static ghee_status full_write(ghee_sink *sink, const void *data, size_t size, ghee_error *err) {
  (void)data;
  sink->written_bytes += size;
  return ghee_error_set(err, GHEE_NO_SPACE, "the disk is full");
}

static const struct ghee_sink_ops full_ops = {.write = full_write};

static void a_full_sink_fails_the_writer(void **state) {
  FOR_EACH_BACKEND {
    if (!ops->create) continue;
    ghee_sink sink = {&full_ops, 0, "full"};
    ghee_writer *writer;
    ghee_error why = {0};
    SAMPLE_OK(ops->create(&sink, schema, NULL, &writer, err));
    ghee_status status = ops->write(writer, &table, &why);
    if (status == GHEE_OK) status = ops->finish(writer, &why);
    assert_int_equal(status, GHEE_NO_SPACE);
    assert_string_equal(why.message, "the disk is full");
    uint64_t before = sink.written_bytes;
    ops->abandon(writer);
    assert_int_equal(sink.written_bytes, before);
  }
}

static void an_abandoned_writer_adds_nothing(void **state) {
  FOR_EACH_BACKEND {
    if (!ops->create) continue;
    ghee_sink sink = {&full_ops, 0, "full"};
    ghee_writer *writer;
    SAMPLE_OK(ops->create(&sink, schema, NULL, &writer, err));
    SAMPLE_OK(ops->write(writer, &table, err));
    ops->abandon(writer);
    assert_int_equal(sink.written_bytes, 0);
  }
}

static void unknown_codecs_are_refused(void **state) {
  FOR_EACH_BACKEND {
    if (!ops->create) continue;
    ghee_buffer out = {0};
    ghee_error err = {0};
    ghee_write_options how = {.codec = "shorthand"};
    assert_int_equal(sample_write(ops, schema, &table, 1, &how, &out, &err), GHEE_UNSUPPORTED);
    assert_non_null(strstr(err.message, "shorthand"));
    ghee_buffer_fini(&out);
    for (const char *const *codec = ops->codecs; *codec; codec++) {
      how.codec = *codec;
      assert_int_equal(sample_write(ops, schema, &table, 1, &how, &out, &err), GHEE_OK);
      ghee_buffer_fini(&out);
    }
  }
}

static ghee_status stop_at_once(void *user, const ghee_part *part, ghee_error *err) {
  (void)part;
  ++*(int *)user;
  return ghee_error_set(err, GHEE_CANCELED, "enough");
}

static void parts_stop_when_told(void **state) {
  FOR_EACH_BACKEND {
    ghee_read_options how = options();
    sample_file in;
    ghee_error why = {0};
    int calls = 0;
    SAMPLE_OK(sample_open(ops, bytes.data, bytes.size, &how, &in, err));
    assert_int_equal(ops->parts(in.file, of->part_bytes, stop_at_once, &calls, &why), GHEE_CANCELED);
    assert_string_equal(why.message, "enough");
    assert_int_equal(calls, 1);
    sample_close(&in);
  }
}

static void memory_that_runs_out_is_an_error(void **state) {
  FOR_EACH_BACKEND {
    ghee_source *source;
    SAMPLE_OK(ghee_source_of_memory(bytes.data, bytes.size, "sample", &source, err));
    nth_alloc_each(read_whole, source, GHEE_OK);
    source->ops->close(source);
  }
}

static void *read_in_thread(void *file) {
  int64_t rows = 0;
  ghee_batch got = {0};
  if (sample_read_all(file, of->part_bytes, BATCH_ROWS, &got, &rows, NULL) != GHEE_OK) return NULL;
  bool equal = ghee_batch_equal(&got, &table);
  ghee_batch_release(&got);
  return equal ? file : NULL;
}

static void threads_read_the_same_file(void **state) {
  FOR_EACH_BACKEND {
    ghee_read_options how = options();
    sample_file in;
    SAMPLE_OK(sample_open(ops, bytes.data, bytes.size, &how, &in, err));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, read_in_thread, in.file), 0);
    for (int i = 0; i < 4; i++) {
      void *file;
      assert_int_equal(pthread_join(threads[i], &file), 0);
      assert_ptr_equal(file, in.file);
    }
    sample_close(&in);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(comes_back_equal),
      cmocka_unit_test(parts_are_several_and_know_their_place),
      cmocka_unit_test(parts_of_text_keep_to_multiples),
      cmocka_unit_test(parts_read_alone_and_in_any_order),
      cmocka_unit_test(skips_rows_of_a_part),
      cmocka_unit_test(projects_in_the_order_asked_for),
      cmocka_unit_test(misses_a_column_by_name),
      cmocka_unit_test(an_empty_table_comes_back_empty),
      cmocka_unit_test(many_small_batches_are_one_file),
      cmocka_unit_test(truncated_files_fail_or_end_early),
      cmocka_unit_test(damaged_files_do_no_harm),
      cmocka_unit_test(foreign_files_are_refused),
      cmocka_unit_test(a_failing_source_speaks_for_itself),
      cmocka_unit_test(a_full_sink_fails_the_writer),
      cmocka_unit_test(an_abandoned_writer_adds_nothing),
      cmocka_unit_test(unknown_codecs_are_refused),
      cmocka_unit_test(parts_stop_when_told),
      cmocka_unit_test(memory_that_runs_out_is_an_error),
      cmocka_unit_test(threads_read_the_same_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
