/* SPDX-License-Identifier: Apache-2.0
 * What `explain` says of plans with known numbers. */
#include "batch/types_sample.h"
#include "plan/layout.h"

static ghee_job_spec *spec_of(const char *text) {
  ghee_document *document = NULL;
  ghee_job_spec *spec = NULL;
  SAMPLE_OK(ghee_document_parse(text, strlen(text), "job", &document, err));
  SAMPLE_OK(ghee_job_spec_new(document, "/home", &spec, err));
  ghee_document_free(document);
  return spec;
}

static const ghee_plan_layout *layout; /* of the next explanations */

/* Four parts of a million rows and 8 MiB, in two files; `rows` -1 as in text. */
static void explain(const char *text, int64_t rows, bool json, ghee_buffer *out) {
  ghee_object_info infos[2] = {{.uri = (char *)"file:/home/in/a.parquet", .size_bytes = 3 << 20, .version = (char *)"1"},
                               {.uri = (char *)"file:/home/in/b.parquet", .size_bytes = 1 << 20, .version = (char *)"1"}};
  ghee_object_list files = {.items = infos, .count = 2};
  ghee_plan_record records[4];
  for (uint32_t i = 0; i < 4; i++) records[i] = (ghee_plan_record){.size_bytes = 1 << 20, .memory_bytes = 8 << 20, .rows = rows, .file = i / 2, .index = i % 2};
  ghee_plan_records parts = {.items = records, .count = 4};
  uint64_t ruled_out = strstr(text, "filter") != NULL;
  ghee_plan_draft draft = {.ruled_out_files = ruled_out, .ruled_out_parts = 3 * ruled_out,
                           .files = &files, .parts = &parts, .layout = layout, .schema = sample_schema(sample_pair, 2), .format = "parquet", .batch_bytes = 1 << 20};
  ghee_job_spec *spec = spec_of(text);
  ghee_plan *plan = NULL;
  SAMPLE_OK(ghee_plan_assemble(spec, &draft, &plan, err));
  SAMPLE_OK(ghee_plan_explain(plan, spec, json, out, err));
  ghee_plan_free(plan);
  ghee_job_spec_free(spec);
  ghee_schema_unref(draft.schema);
}

static void says(const char *text, int64_t rows, const char *want) {
  ghee_buffer out = {0};
  explain(text, rows, false, &out);
  assert_string_equal(ghee_buffer_text(&out), want);
  ghee_buffer_fini(&out);
}

static const char predict[] = "name: scores\ninput: {uri: in}\npreprocess: {run: 'm:f', workers: 3}\npredict: {run: 'm:g', batch_size: 100}\noutput: {uri: out}\n";
static const char filtered[] = "name: scores\ninput: {uri: in, filter: x > 1}\npreprocess: {run: 'm:f', workers: 3}\npredict: {run: 'm:g', batch_size: 100}\noutput: {uri: out}\n";
static const char train[] = "input: {uri: [in, in2], shuffle: {seed: 5, window: 9}, epochs: 3}\npreprocess: {run: 'm:f'}\ntrain: {run: 'm:g', workers: 2}\ntransport: zmq\nbuffer: 32MiB\n";

static void test_in_words(void **state) {
  (void)state;
#define STAGES                                                                                                     \
  "stage    preprocess     3 workers  m:f, batches of 8,192, buffers of 64 MiB a worker, reading needs 1 MiB\n"    \
  "stage    predict        1 worker   m:g, batches of 100, buffers of 64 MiB a worker\n"                           \
  "output   file:/home/out: parquet, files of about 256 MiB\n"
#define INPUT                                                                                                      \
  "columns  x float64, y string\n"                                                                                 \
  "splits   4 in 4 chunks of up to 8 MiB decoded (the unit of leasing, replay and commit)\n"
  says(predict, 1000000, "job      scores\ninput    file:/home/in: 2 parquet files, 4 MiB, 4,000,000 rows\n" INPUT STAGES);
  says(predict, -1, "job      scores\ninput    file:/home/in: 2 parquet files, 4 MiB\n" INPUT STAGES);
  says(filtered, 1000000, "job      scores\ninput    file:/home/in: 2 parquet files, 4 MiB, 4,000,000 rows before the filter\ncolumns  x float64, y string\n"
       "filter   x > 1: rules out 3 of 7 row groups, all of 1 files\nsplits   4 in 4 chunks of up to 8 MiB decoded (the unit of leasing, replay and commit)\n" STAGES);
  says(train, 1000000,
       "input    file:/home/in and others: 2 parquet files, 4 MiB, 4,000,000 rows, 3 epochs\n" INPUT
       "shuffle  seed 5, 1 row groups at a time (cut from 9 to fit the buffer of 32 MiB)\n"
       "stage    preprocess     1 worker   m:f, batches of 8,192, buffers of 32 MiB a worker, reading needs 32 MiB\n"
       "stage    train          2 workers  m:g, batches of 8,192, buffers of 32 MiB a worker\n"
       "wire     ZeroMQ over TCP, encrypted\n"
       "order    planned: 2 chunks are mixed, the same for any number of workers\n");
}

/* Each part is in a block of its own, of which only the first three are whole on one host. */
static void test_blocks(void **state) {
  (void)state;
  ghee_plan_host hosts[9];
  uint64_t homes[4] = {0, 1, 2, 3};
  ghee_plan_layout of = {.blocks = 4, .near_bytes = 3 << 20, .homes = {.items = homes, .count = 4}, .hosts = {.items = hosts, .count = 9}};
  for (size_t i = 0; i < 9; i++) hosts[i] = (ghee_plan_host){.name = (const char *[]){"n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"}[i], .blocks = 1000 + i, .bytes = 7};
  layout = &of;
  ghee_buffer out = {0}, json = {0};
  explain(predict, 1000000, false, &out);
  explain(predict, 1000000, true, &json);
  layout = NULL;
  assert_non_null(strstr(ghee_buffer_text(&out), "\nblocks   4 on 9 hosts: n1 1,000, n2 1,001, n3 1,002, n4 1,003, n5 1,004, n6 1,005, n7 1,006, n8 1,007, others: 1; "
                                                 "75 % of a split lie on one host\nsplits   4 in 4 chunks"));
  assert_non_null(strstr(ghee_buffer_text(&json), "\"near_bytes\": 3145728"));
  assert_non_null(strstr(ghee_buffer_text(&json), "\"name\": \"n9\""));
  ghee_buffer_fini(&out);
  ghee_buffer_fini(&json);
}

static void test_as_json(void **state) {
  (void)state;
  static const struct { const char *key; int64_t value; } numbers[] = {
      {"files", 2}, {"file_bytes", 4 << 20}, {"read_bytes", 4 << 20}, {"memory_bytes", 32 << 20}, {"rows", 4000000}, {"most_rows", 4000000}, {"ruled_out_files", 0}, {"ruled_out_splits", 0}, {"splits", 4}, {"chunks", 4},
      {"largest_chunk_bytes", 8 << 20}, {"shuffle_window", 0}, {"interleave", 16}, {"reader_bytes", 1 << 20}};
  ghee_buffer out = {0};
  ghee_document *document = NULL;
  explain(predict, 1000000, true, &out);
  SAMPLE_OK(ghee_document_parse(ghee_buffer_text(&out), out.size, "explained", &document, err));
  const ghee_node *root = ghee_document_root(document);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    int64_t value = -9;
    SAMPLE_OK(ghee_node_read_int(root, numbers[i].key, INT64_MIN, INT64_MAX, &value, err));
    if (value != numbers[i].value) fail_msg("%s is %lld", numbers[i].key, (long long)value);
  }
  const char *text = NULL;
  SAMPLE_OK(ghee_node_read_text(root, "name", &text, err));
  assert_string_equal(text, "scores");
  SAMPLE_OK(ghee_node_read_text(root, "output", &text, err));
  assert_string_equal(text, "file:/home/out");
  assert_non_null(strstr(ghee_buffer_text(&out), "\"run\": \"m:g\""));
  ghee_document_free(document);
  ghee_buffer_fini(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_in_words), cmocka_unit_test(test_blocks), cmocka_unit_test(test_as_json)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
