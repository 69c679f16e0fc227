/* SPDX-License-Identifier: Apache-2.0
 * How parts become chunks. */
#include "base/random.h"
#include "plan/sample.h"

enum { MOST_PARTS = 2000 };

typedef struct input { ghee_plan_record parts[MOST_PARTS]; ghee_plan_records records; uint64_t bytes, largest; } input;

static void add(input *to, uint64_t memory_bytes) {
  assert_true(to->records.count < MOST_PARTS);
  to->records.items = to->parts;
  to->parts[to->records.count++] = (ghee_plan_record){.rows = (int64_t)(memory_bytes / 20), .memory_bytes = memory_bytes, .size_bytes = memory_bytes};
  to->bytes += memory_bytes;
  if (memory_bytes > to->largest) to->largest = memory_bytes;
}

static ghee_plan *assemble(const input *of, bool train, uint32_t workers, uint32_t interleave) {
  ghee_schema *schema = sample_schema(sample_pair, 2);
  ghee_object_info file = {.uri = (char *)"file:/a.parquet", .version = (char *)"1"};
  ghee_object_list files = {.items = &file, .count = 1};
  ghee_plan_draft draft = {.files = &files, .parts = &of->records, .schema = schema, .format = "parquet"};
  ghee_job_spec spec = {.n_stages = 2, .train = train, .interleave = interleave};
  for (int i = 0; i < 2; i++) spec.stages[i] = (ghee_stage_spec){.name = "stage", .workers = i ? 1 : workers, .batch_rows = 100, .buffer_bytes = 64 << 20};
  ghee_plan *plan;
  SAMPLE_OK(ghee_plan_assemble(&spec, &draft, &plan, err));
  ghee_schema_unref(schema);
  return plan;
}

static uint64_t bytes_of(const ghee_plan *plan, uint32_t chunk) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < ghee_plan_chunk_parts(plan, 0, chunk); i++) bytes += ghee_plan_chunk_part(plan, 0, chunk, i).part.memory_bytes;
  return bytes;
}

/* 64 files of five row groups, the last of which is shorter, and in some files one row longer than in others. */
static void files_that_are_nearly_equal_are_a_chunk_each(void **state) {
  (void)state;
  static input of;
  of = (input){0};
  for (int file = 0; file < 64; file++)
    for (int group = 0; group < 5; group++) add(&of, 20 * (group < 4 ? 65536 : 50360 + (file % 9 == 8)));
  ghee_plan *plan = assemble(&of, true, 16, 16);
  assert_int_equal(ghee_plan_totals_of(plan)->chunks, 64);
  for (uint32_t chunk = 0; chunk < 64; chunk++) assert_int_equal(ghee_plan_chunk_parts(plan, 0, chunk), 5);
  assert_int_equal(ghee_plan_totals_of(plan)->largest_chunk_bytes, 20 * (4 * 65536 + 50361));
  ghee_plan_free(plan);
}

/* Any parts: each is in one chunk, no chunk is further from its share than a part, and windows are full. */
static void chunks_are_as_equal_as_whole_parts_allow(void **state) {
  (void)state;
  static input of;
  ghee_random random;
  for (uint64_t seed = 0; seed < 50; seed++) {
    ghee_random_init(&random, seed, 0, 0);
    of = (input){0};
    for (uint32_t i = 0; i < 1500; i++) add(&of, 1000 + ghee_random_below(&random, 200000));
    uint32_t workers = 1 + (uint32_t)ghee_random_below(&random, 20), interleave = 1 + (uint32_t)ghee_random_below(&random, 20);
    ghee_plan *plan = assemble(&of, true, workers, interleave);
    uint64_t chunks = ghee_plan_totals_of(plan)->chunks, parts = 0;
    assert_true(chunks >= 4 * workers);
    if (chunks > interleave) assert_int_equal(chunks % interleave, 0);
    for (uint32_t chunk = 0; chunk < chunks; chunk++) {
      uint64_t bytes = bytes_of(plan, chunk), share = of.bytes / chunks;
      assert_true(bytes <= share + of.largest && share <= bytes + of.largest);
      parts += ghee_plan_chunk_parts(plan, 0, chunk);
    }
    assert_int_equal(parts, 1500);
    ghee_plan_free(plan);
  }
}

static void a_part_that_is_larger_than_its_share_is_a_chunk(void **state) {
  (void)state;
  static input of;
  of = (input){0};
  for (int i = 0; i < 8; i++) add(&of, i == 3 ? 40 << 20 : 1 << 20);
  ghee_plan *plan = assemble(&of, false, 2, 16);
  const uint32_t expected[] = {3, 1, 4};
  assert_int_equal(ghee_plan_totals_of(plan)->chunks, 3);
  for (uint32_t chunk = 0; chunk < 3; chunk++) assert_int_equal(ghee_plan_chunk_parts(plan, 0, chunk), expected[chunk]);
  ghee_plan_free(plan);
}

static void much_input_is_cut_to_32_mib(void **state) {
  (void)state;
  static input of;
  of = (input){0};
  for (int i = 0; i < 1000; i++) add(&of, 1 << 20);
  ghee_plan *plan = assemble(&of, false, 1, 16);
  assert_int_equal(ghee_plan_totals_of(plan)->chunks, 32);
  ghee_plan_free(plan);
  plan = assemble(&of, true, 1, 24);
  assert_int_equal(ghee_plan_totals_of(plan)->chunks, 48);
  ghee_plan_free(plan);
}

static void input_without_bytes_is_one_chunk(void **state) {
  (void)state;
  static input of;
  of = (input){0};
  for (int i = 0; i < 10; i++) add(&of, 0);
  ghee_plan *plan = assemble(&of, true, 2, 16);
  assert_int_equal(ghee_plan_totals_of(plan)->chunks, 1);
  ghee_plan_free(plan);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(files_that_are_nearly_equal_are_a_chunk_each), cmocka_unit_test(chunks_are_as_equal_as_whole_parts_allow),
      cmocka_unit_test(a_part_that_is_larger_than_its_share_is_a_chunk), cmocka_unit_test(much_input_is_cut_to_32_mib),
      cmocka_unit_test(input_without_bytes_is_one_chunk),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
