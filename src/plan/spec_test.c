/* SPDX-License-Identifier: Apache-2.0
 * Descriptions: defaults, refusals with their places, and the canonical form, which reads back to itself. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "plan/spec.h"

static ghee_status read_spec(const char *text, ghee_job_spec **out, ghee_error *err) {
  ghee_document *document;
  GHEE_TRY(ghee_document_parse(text, strlen(text), "job", &document, err));
  ghee_status status = ghee_job_spec_new(document, "/home", out, err);
  ghee_document_free(document);
  return status;
}

static ghee_job_spec *good(const char *text) {
  ghee_job_spec *spec;
  ghee_error err;
  if (read_spec(text, &spec, &err) != GHEE_OK) fail_msg("%s", err.message);
  return spec;
}

static void defaults_are_filled_in(void **state) {
  (void)state;
  ghee_job_spec *spec = good("input: {uri: data}\npredict: {run: 'm:f'}\noutput: {uri: out}\n");
  assert_string_equal(spec->input_uris[0], "file:/home/data");
  assert_string_equal(spec->output_uri, "file:/home/out");
  assert_string_equal(spec->output_format, "parquet");
  assert_string_equal(spec->codec, "zstd");
  assert_int_equal(spec->row_group_rows, 1 << 20);
  assert_int_equal(spec->n_stages, 1);
  assert_int_equal(spec->stages[0].workers, 1);
  assert_int_equal(spec->stages[0].batch_rows, 8192);
  assert_int_equal(spec->stages[0].buffer_bytes, 64 << 20);
  assert_string_equal(spec->stages[0].args_json, "{}");
  assert_int_equal(spec->max_crashes, 5);
  assert_int_equal(spec->interleave, 16);
  assert_int_equal(spec->order, GHEE_ORDER_ANY);
  assert_int_equal(spec->mode, GHEE_OUTPUT_ERROR);
  ghee_job_spec_free(spec);
  spec = good("input: {uri: data, shuffle: true}\ntrain: {run: 'm:f', workers: 9}\n");
  assert_int_equal(spec->stages[0].role, GHEE_ROLE_READ); /* put before a train that has no preprocess */
  assert_int_equal(spec->stages[0].workers, 4);
  assert_int_equal(spec->stages[1].form, GHEE_FORM_TORCH);
  assert_int_equal(spec->shuffle_window, 8);
  assert_int_equal(spec->order, GHEE_ORDER_PLANNED);
  ghee_job_spec_free(spec);
}

static void the_canonical_form_reads_back_to_itself(void **state) {
  (void)state;
  char long_name[512];
  memset(long_name, 'N', 300);
  strcpy(long_name + 300, "");
  char with_env[1024];
  snprintf(with_env, sizeof with_env, "input: {uri: data}\npreprocess: {env: {%s: v, B: 'a=b'}}\noutput: {uri: out}\n", long_name);
  const char *const texts[] = {
      with_env,
      "input: {uri: data}\nbuffer: 1MiB\ntrain: {run: 'm:f', workers: 2, buffer: 2MiB}\n",
      "name: x-1\ninput: {uri: [a, b], format: csv, delimiter: \"\\t\", header: false, null: NA, columns: [c, d], shuffle: {seed: 7, window: 3}, epochs: 4}\n"
      "preprocess: {run: 'lib.so:f', workers: 7, batch_size: 100, timeout: 1234ms, as: arrow, rows: same, cpu: 0.5, memory: 2Gi, gpu: 1, image: 'i:1', args: {a: [1, 2.5, null, {b: \"q\\\"\"}]}}\n"
      "train: {run: 'm:f', as: numpy}\nmax_crashes: 0\ninterleave: 3\n",
      "input: {uri: data}\npreprocess: {}\npredict: {run: 'code:p.pkl'}\npostprocess: {}\n"
      "output: {uri: out, format: csv, mode: append, target_file_size: 1MB, row_group_rows: 5}\non_reject: divert\ndead_letter: dead\norder: planned\n",
      "input: {uri: 'kafka://h:1/in', format: ipc, metadata: [offset], to: {0: 7}}\npredict: {}\n"
      "output: {uri: 'kafka://h:1/out', format: json, key: a, partition: b, headers: [c, d]}\non_reject: divert\ndead_letter: 'kafka://h:1/dead'\n",
      "input: {uri: data, columns: [a, b], filter: \"c = 'it''s' and a > 1\"}\npreprocess: {}\noutput: {uri: out}\n",
      "input: {uri: data}\npreprocess: {}\noutput: {uri: out, partition_by: [country, day], sort_by: [a, -b, '-'], mode: overwrite_partitions}\n"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    ghee_job_spec *spec = good(texts[i]);
    ghee_buffer first = {0}, second = {0};
    assert_int_equal(ghee_job_spec_encode(spec, &first, NULL), GHEE_OK);
    ghee_job_spec *again = good(ghee_buffer_text(&first));
    assert_int_equal(ghee_job_spec_encode(again, &second, NULL), GHEE_OK);
    assert_string_equal(ghee_buffer_text(&first), ghee_buffer_text(&second));
    assert_int_equal(spec->n_stages, again->n_stages);
    for (uint32_t s = 0; s < spec->n_stages; s++) {
      assert_int_equal(spec->stages[s].buffer_bytes, again->stages[s].buffer_bytes);
      assert_int_equal(spec->stages[s].timeout_ms, again->stages[s].timeout_ms);
      for (size_t e = 0; spec->stages[s].env[e] || again->stages[s].env[e]; e++) assert_string_equal(spec->stages[s].env[e], again->stages[s].env[e]);
    }
    ghee_buffer_fini(&first);
    ghee_buffer_fini(&second);
    ghee_job_spec_free(spec);
    ghee_job_spec_free(again);
  }
}

static void mistakes_are_named_with_their_place(void **state) {
  (void)state;
  static const struct { const char *text; ghee_status status; const char *place, *words; } cases[] = {
      {"input: {uri: a}\npredict: {wokers: 2}\noutput: {uri: b}\n", GHEE_INVALID, "job:2:", "workers"},
      {"inptu: {uri: a}\npredict: {}\noutput: {uri: b}\n", GHEE_INVALID, "job:1:", "input"},
      {"input: {uri: a}\npredict: {workers: two}\noutput: {uri: b}\n", GHEE_INVALID, "job:2:", "workers"},
      {"input: {uri: a}\npredict: {workers: 0}\noutput: {uri: b}\n", GHEE_INVALID, "job:2:", "workers"},
      {"input: {uri: a}\npredict: {as: numpi}\noutput: {uri: b}\n", GHEE_INVALID, "job:2:", "numpy"},
      {"input: {uri: a}\ntrain: {run: 'm:f', as: arrow}\n", GHEE_INVALID, "job:2:", "torch or numpy"},
      {"input: {uri: a}\npredict: {buffer: 1k}\noutput: {uri: b}\n", GHEE_INVALID, "job:2:", "64 KiB"},
      {"input: {uri: a}\npredict: {run: f}\noutput: {uri: b}\n", GHEE_INVALID, "job:2:", "module:function"},
      {"input: {uri: a, delimiter: ab}\npredict: {}\noutput: {uri: b}\n", GHEE_INVALID, "job:1:", "one character"},
      {"input: {uri: [a, ./a]}\npredict: {}\noutput: {uri: b}\n", GHEE_INVALID, "job:1:", "twice"},
      {"input: {uri: a, filter: 'b = 1 and'}\npredict: {}\noutput: {uri: b}\n", GHEE_INVALID, "job:1:", "character 10"},
      {"input: {uri: a, filter: ''}\npredict: {}\noutput: {uri: b}\n", GHEE_INVALID, "job:1:", "leave it out"},
      {"input: {uri: a, filter: 5}\npredict: {}\noutput: {uri: b}\n", GHEE_INVALID, "job:1:", "filter"},
      {"input: {uri: a, epochs: 2}\npredict: {}\noutput: {uri: b}\n", GHEE_INVALID, "job:1:", "train"},
      {"input: {uri: a}\npredict: {}\n", GHEE_INVALID, "job:1:", "no output"},
      {"predict: {}\noutput: {uri: b}\n", GHEE_INVALID, "job:1:", "no input"},
      {"input: {uri: a}\noutput: {uri: b}\n", GHEE_INVALID, "job:1:", "does nothing"},
      {"input: {uri: a}\ntrain: {run: 'm:f'}\npredict: {}\n", GHEE_INVALID, "job:3:", "two jobs"},
      {"input: {uri: a}\ntrain: {}\n", GHEE_INVALID, "job:2:", "run"},
      {"input: {uri: a}\ntrain: {run: 'x.so:f'}\n", GHEE_INVALID, "job:2:", "Python"},
      {"input: {uri: a}\ntrain: {run: 'm:f'}\norder: any\n", GHEE_UNSUPPORTED, "job:3:", "planned"},
      {"input: {uri: a}\npredict: {}\noutput: {uri: b}\non_reject: divert\n", GHEE_INVALID, "job:4:", "dead_letter"},
      {"input: {uri: a}\npredict: {}\noutput: {uri: b, key: c}\n", GHEE_INVALID, "job:3:", "for topics"},
      {"input: {uri: a}\npredict: {}\noutput: {uri: 'kafka://h:1/b'}\non_reject: divert\ndead_letter: c\n", GHEE_INVALID, "job:5:", "must be a topic"},
      {"input: {uri: a}\npredict: {}\noutput: {uri: b, partition_bi: [c]}\n", GHEE_INVALID, "job:3:", "partition_by"},
      {"input: {uri: a}\npredict: {}\noutput: {uri: b, partition_by: [c, c]}\n", GHEE_INVALID, "job:3:", "named twice"},
      {"input: {uri: a}\npredict: {}\noutput: {uri: b, partition_by: [_c]}\n", GHEE_INVALID, "job:3:", "rename the column"},
      {"input: {uri: a}\npredict: {}\noutput: {uri: b, mode: overwrite_partitions}\n", GHEE_INVALID, "job:3:", "needs partition_by"},
      {"input: {uri: a}\npredict: {}\noutput: {uri: b, mode: overwrite_partition}\n", GHEE_INVALID, "job:3:", "overwrite_partitions"},
      {"input: {uri: a}\npredict: {}\noutput: {uri: b, sort_by: [c, -c]}\n", GHEE_INVALID, "job:3:", "named twice"},
      {"input: {uri: a}\npredict: {}\noutput: {uri: b, partition_by: [c], sort_by: [-c]}\n", GHEE_INVALID, "job:3:", "same in all rows"},
      {"input: {uri: a}\npredict: {}\noutput: {uri: b, codec: lzma}\n", GHEE_INVALID, "job:3:", "zstd, snappy, lz4, gzip, none"},
      {"input: {uri: a}\npredict: {}\noutput: {uri: b,\n  format: csv, codec: gzip}\n", GHEE_INVALID, "job:4:", "format csv has no codec 'gzip'"},
      {"input: {uri: [a, 's3://b/c']}\npredict: {}\noutput: {uri: b}\n", GHEE_INVALID, "job:1:", "on one storage"},
      {"input: {uri: ['kafka://h:1/t', a]}\npredict: {}\noutput: {uri: b}\n", GHEE_INVALID, "job:1:", "on one storage"},
      {"name: n\ninput: {uri: 'kafka://h:1/t', to: never, format: json}\npredict: {}\noutput: {uri: b, partition_by: [c], mode: overwrite_partitions}\n", GHEE_INVALID, "job:4:", "follows a topic"},
      {"input: {uri: a}\npredict: {}\noutput: {uri: 'kafka://h:1/t', partition_by: [c]}\n", GHEE_INVALID, "job:3:", "is for files"},
      {"name: a/b\ninput: {uri: a}\npredict: {}\noutput: {uri: b}\n", GHEE_INVALID, "job:1:", "a/b"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ghee_job_spec *spec;
    ghee_error err;
    assert_int_equal(read_spec(cases[i].text, &spec, &err), cases[i].status);
    if (strncmp(err.message, cases[i].place, strlen(cases[i].place)) != 0 || !strstr(err.message, cases[i].words))
      fail_msg("%s\ngives: %s", cases[i].text, err.message);
  }
}

static void nothing_is_left_without_memory(void **state) {
  (void)state;
  const char *text = "name: n\ninput: {uri: [a, b], columns: [c]}\npreprocess: {run: 'm:f', env: {A: b}, args: {x: 1}}\noutput: {uri: out, codec: zstd}\n";
  ghee_document *document;
  assert_int_equal(ghee_document_parse(text, strlen(text), "job", &document, NULL), GHEE_OK);
  for (long n = 1, done = 0; !done; n++) {
    ghee_job_spec *spec = NULL;
    ghee_memory_fail_at(n);
    ghee_status status = ghee_job_spec_new(document, "/home", &spec, NULL);
    done = ghee_memory_count() < n;
    ghee_memory_fail_at(0);
    assert_int_equal(status, done ? GHEE_OK : GHEE_NO_MEMORY);
    ghee_job_spec_free(spec);
  }
  ghee_document_free(document);
}

int main(void) {
  ghee_record_log_register(&ghee_record_log_kafka);
  const struct CMUnitTest tests[] = {cmocka_unit_test(defaults_are_filled_in), cmocka_unit_test(the_canonical_form_reads_back_to_itself),
                                     cmocka_unit_test(mistakes_are_named_with_their_place), cmocka_unit_test(nothing_is_left_without_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
