/* SPDX-License-Identifier: Apache-2.0
 * Blocks of an input: where parts lie, how chunks and parts of texts keep to them. */
#include "batch/types_sample.h"
#include "plan/layout.h"

enum { MIB = 1 << 20 };

/* A store whose every file has three blocks of 10 bytes, the last one of 5, on hosts a, b and c. */
static ghee_status three_blocks(ghee_object_store *store, const char *uri, ghee_status (*each)(void *user, const ghee_object_block *block, ghee_error *err), void *user,
                                ghee_error *err) {
  static const char *const hosts[3][2] = {{"b", "a"}, {"b", "c"}, {"a", "c"}};
  (void)store;
  if (strcmp(uri, "untold") == 0) return ghee_error_set(err, GHEE_UNSUPPORTED, "%s", uri);
  if (strcmp(uri, "broken") == 0) return ghee_error_set(err, GHEE_IO, "%s", uri);
  for (uint64_t i = 0; i < 3; i++) {
    ghee_object_block block = {.offset = 10 * i, .size_bytes = i < 2 ? 10 : 5, .hosts = hosts[i], .n_hosts = 2};
    GHEE_TRY(each(user, &block, err));
  }
  return GHEE_OK;
}

static const struct ghee_object_store_ops ops = {.scheme = "three", .blocks = three_blocks}, no_blocks = {.scheme = "none"};

static ghee_plan_blocks blocks_of(const char *uri) {
  ghee_object_store store = {&ops};
  ghee_plan_blocks blocks = {0};
  SAMPLE_OK(ghee_plan_blocks_read(&store, uri, &blocks, err));
  return blocks;
}

static void test_what_a_store_tells(void **state) {
  (void)state;
  ghee_object_store store = {&no_blocks}, broken = {&ops};
  ghee_plan_blocks blocks = {0};
  SAMPLE_OK(ghee_plan_blocks_read(&store, "a", &blocks, err));
  assert_int_equal(blocks.count, 0);
  assert_int_equal(blocks_of("untold").count, 0);
  assert_int_equal(ghee_plan_blocks_read(&broken, "broken", &blocks, NULL), GHEE_IO);
}

static void test_parts_and_hosts(void **state) {
  (void)state;
  static const struct { uint64_t offset, size_bytes, home, near_bytes; } parts[] = {
      {0, 10, 0, 10}, {0, 25, 0, 20}, {8, 8, 1, 8}, {9, 12, 1, 11}, {20, 5, 2, 5}, {24, 1, 2, 1}, {3, 0, 0, 0}};
  ghee_plan_blocks first = blocks_of("1"), second = blocks_of("2");
  ghee_plan_layout layout = {0};
  uint64_t near_bytes = 0;
  SAMPLE_OK(ghee_plan_layout_add_file(&layout, &first, err));
  SAMPLE_OK(ghee_plan_layout_add_file(&layout, &second, err));
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    ghee_plan_record part = {.offset = parts[i].offset, .size_bytes = parts[i].size_bytes};
    SAMPLE_OK(ghee_plan_layout_add_part(&layout, &second, &part, err));
    assert_int_equal(layout.homes.items[i], 3 + parts[i].home);
    assert_int_equal(layout.near_bytes - near_bytes, parts[i].near_bytes);
    near_bytes = layout.near_bytes;
  }
  static const ghee_plan_host expected[] = {{"a", 4, 30}, {"b", 4, 40}, {"c", 4, 30}};
  assert_int_equal(layout.blocks, 6);
  assert_int_equal(layout.hosts.count, 3);
  for (size_t i = 0; i < 3; i++) {
    assert_string_equal(layout.hosts.items[i].name, expected[i].name);
    assert_int_equal(layout.hosts.items[i].blocks, expected[i].blocks);
    assert_int_equal(layout.hosts.items[i].bytes, expected[i].bytes);
  }
  ghee_plan_layout_fini(&layout);
  ghee_plan_blocks_fini(&first);
  ghee_plan_blocks_fini(&second);
}

static void test_parts_of_a_text(void **state) {
  (void)state;
  static const struct { uint64_t block_bytes, part_bytes; } sizes[] = {
      {128 * MIB, 8 * MIB}, {100 * MIB, 6553600}, {8 * MIB, 8 * MIB}, {3 * MIB, 6 * MIB}, {(16 * MIB) + 1, 8 * MIB}, {0, 8 * MIB}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    ghee_plan_block items[2] = {{.size_bytes = sizes[i].block_bytes}, {.offset = sizes[i].block_bytes, .size_bytes = 1}};
    assert_int_equal(ghee_plan_blocks_part_bytes(&(ghee_plan_blocks){.items = items, .count = 2}, 8 * MIB), sizes[i].part_bytes);
  }
  ghee_plan_block only = {.size_bytes = 1000};
  assert_int_equal(ghee_plan_blocks_part_bytes(&(ghee_plan_blocks){.items = &only, .count = 1}, 8 * MIB), 8 * MIB);
}

/* 80 parts of 1 MiB for one worker; of those from `second` on, all lie in a second block. Where the chunks end, in parts. */
static void chunks_with_border(size_t second, bool shuffle, uint32_t ends[4]) {
  static ghee_plan_record records[80];
  static uint64_t homes[80];
  ghee_object_info file = {.uri = (char *)"hdfs://n/a.parquet", .version = (char *)"1"};
  ghee_object_list files = {.items = &file, .count = 1};
  ghee_plan_records parts = {.items = records, .count = 80};
  ghee_plan_layout layout = {.blocks = 2};
  layout.homes.items = homes;
  layout.homes.count = 80;
  for (size_t i = 0; i < 80; i++) {
    records[i] = (ghee_plan_record){.memory_bytes = MIB, .rows = 1};
    homes[i] = i >= second;
  }
  ghee_plan_draft draft = {.files = &files, .parts = &parts, .layout = &layout, .schema = sample_schema(sample_pair, 2), .format = "parquet"};
  ghee_job_spec spec = {.n_stages = 1, .interleave = 16, .shuffle = shuffle, .shuffle_window = 20};
  spec.stages[0] = (ghee_stage_spec){.name = "stage", .workers = 1, .batch_rows = 1, .buffer_bytes = 64 * MIB};
  ghee_plan *plan;
  SAMPLE_OK(ghee_plan_assemble(&spec, &draft, &plan, err));
  assert_int_equal(ghee_plan_totals_of(plan)->chunks, 4);
  for (uint32_t i = 0, at = 0; i < 4; i++) ends[i] = at += ghee_plan_chunk_parts(plan, 0, i);
  ghee_plan_free(plan);
  ghee_schema_unref(draft.schema);
}

static void expect_ends(size_t second, bool shuffle, uint32_t first_end, uint32_t second_end) {
  uint32_t ends[4];
  chunks_with_border(second, shuffle, ends);
  if (ends[0] != first_end || ends[1] != second_end || ends[2] != 60 || ends[3] != 80) fail_msg("border at %zu: chunks end at %u, %u, %u, %u", second, ends[0], ends[1], ends[2], ends[3]);
}

/* Chunks of 20 MiB: an eighth of that is 2.5. */
static void test_chunks_end_at_borders(void **state) {
  (void)state;
  expect_ends(80, false, 20, 40);
  expect_ends(18, false, 18, 40);
  expect_ends(22, false, 22, 40);
  expect_ends(42, false, 20, 42);
  expect_ends(17, false, 20, 40);
  expect_ends(23, false, 20, 40);
  expect_ends(22, true, 20, 40);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_a_store_tells), cmocka_unit_test(test_parts_and_hosts), cmocka_unit_test(test_parts_of_a_text),
                                     cmocka_unit_test(test_chunks_end_at_borders)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
