/* SPDX-License-Identifier: Apache-2.0
 * Stored plans: what they answer, and damaged ones, which are refused. */
#include "plan/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

static ghee_status open_block(const ghee_buffer *block, ghee_plan **out, ghee_error *err) {
  uint8_t *copy = ghee_alloc_aligned(block->size);
  if (!copy) return ghee_error_no_memory(err, "copying");
  memcpy(copy, block->data, block->size);
  return ghee_plan_of_block(copy, block->size, false, out, err);
}

static void test_answers(void **state) {
  (void)state;
  ghee_buffer block = {0};
  ghee_plan *plan;
  sample_plan(0, &block);
  SAMPLE_OK(open_block(&block, &plan, err));
  assert_string_equal(ghee_plan_format(plan), "parquet");
  assert_string_equal(ghee_plan_file_uri(plan, 1), "file:/b.parquet");
  assert_int_equal(ghee_schema_columns(ghee_plan_schema(plan)), 2);
  assert_int_equal(ghee_plan_chunk_parts(plan, 0, 0), 2);
  assert_int_equal(ghee_plan_chunk_rows(plan, 0, 0), 10);
  assert_int_equal(ghee_plan_chunk_rows(plan, 0, 1), -1);
  ghee_plan_part part = ghee_plan_chunk_part(plan, 0, 0, 1);
  assert_int_equal(part.first_row, 5);
  assert_string_equal(part.version, "version-1");
  ghee_plan_free(plan);
  ghee_buffer_fini(&block);
}

static void test_a_shuffle_has_every_part_once(void **state) {
  (void)state;
  ghee_buffer block = {0};
  ghee_plan *plan;
  bool differs = false;
  sample_plan(1, &block);
  SAMPLE_OK(open_block(&block, &plan, err));
  for (uint32_t epoch = 0; epoch < 20; epoch++) {
    unsigned seen = 0;
    for (uint32_t chunk = 0; chunk < 2; chunk++)
      for (uint32_t i = 0; i < ghee_plan_chunk_parts(plan, epoch, chunk); i++) {
        ghee_plan_part part = ghee_plan_chunk_part(plan, epoch, chunk, i), again = ghee_plan_chunk_part(plan, epoch, chunk, i);
        assert_int_equal(part.part.index + 2 * part.file, again.part.index + 2 * again.file);
        seen |= 1u << (part.part.index + 2 * part.file);
        differs |= chunk == 0 && i == 0 && part.file == 1;
      }
    assert_int_equal(seen, 7);
  }
  assert_true(differs);
  ghee_plan_free(plan);
  ghee_buffer_fini(&block);
}

/* A block with one field changed, and sealed again, so that only the field's own check can refuse it. */
#define REFUSED(field, value)                                                    \
  do {                                                                           \
    ghee_buffer block = {0};                                                     \
    ghee_plan *plan = NULL;                                                      \
    ghee_error why = {0};                                                        \
    sample_plan(0, &block);                                                      \
    ghee_plan_header *header = (ghee_plan_header *)(void *)block.data;           \
    ghee_plan_record *parts = (ghee_plan_record *)(void *)(block.data + header->parts_at); \
    uint32_t *starts = (uint32_t *)(void *)(block.data + header->starts_at);     \
    ghee_plan_file *files = (ghee_plan_file *)(void *)(block.data + header->files_at);    \
    (void)parts, (void)starts, (void)files;                                      \
    field = value;                                                               \
    ghee_plan_seal(block.data, block.size);                                                    \
    if (open_block(&block, &plan, &why) != GHEE_CORRUPT) fail_msg("%s", #field); \
    assert_null(plan);                                                           \
    ghee_buffer_fini(&block);                                                    \
  } while (0)

static void test_damaged_plans_are_refused(void **state) {
  (void)state;
  REFUSED(header->magic, 1);
  REFUSED(header->version, GHEE_PLAN_VERSION + 1);
  REFUSED(header->files_at, header->size_bytes);
  REFUSED(header->files_at, header->files_at + 4);
  REFUSED(header->parts_at, UINT64_MAX - 7);
  REFUSED(header->totals.parts, UINT64_MAX / 8);
  REFUSED(header->hosts_at, header->size_bytes + 8);
  REFUSED(header->totals.hosts, UINT64_MAX / 8);
  REFUSED(header->totals.hosts, 1); /* whose name would be behind the end */
  REFUSED(header->totals.chunks, UINT64_MAX);
  REFUSED(header->totals.chunks, 1000000);
  REFUSED(header->totals.files, 1);
  REFUSED(header->totals.interleave, 0);
  REFUSED(header->schema_at, UINT64_MAX);
  REFUSED(header->schema_bytes, header->schema_bytes - 1);
  REFUSED(header->read_schema_at, UINT64_MAX);
  REFUSED(header->read_schema_bytes, header->read_schema_bytes - 1);
  REFUSED(header->file_schema_at, UINT64_MAX);
  REFUSED(header->file_schema_bytes, header->file_schema_bytes - 1);
  REFUSED(files[1].path_at, header->size_bytes);
  REFUSED(header->format_at, header->size_bytes);
  REFUSED(parts[2].file, 2);
  REFUSED(parts[0].rows, -2);
  REFUSED(parts[0].rows, INT64_MAX); /* with the others' more than there can be */
  REFUSED(starts[1], 4);
  REFUSED(starts[2], 1);
}

static void test_any_byte_counts(void **state) {
  (void)state;
  ghee_buffer block = {0};
  ghee_plan *plan;
  sample_plan(0, &block);
  for (size_t i = 0; i < block.size; i++) {
    block.data[i] ^= 0x10;
    assert_int_equal(open_block(&block, &plan, NULL), GHEE_CORRUPT);
    block.data[i] ^= 0x10;
  }
  for (; block.size > 0; block.size--)
    if (block.size % 7 == 0) assert_int_equal(open_block(&block, &plan, NULL), GHEE_CORRUPT);
  ghee_buffer_fini(&block);
}

static long resident_file_bytes(void) {
  char line[256];
  long found = -1;
  FILE *file = fopen("/proc/self/status", "re");
  while (file && found < 0 && fgets(line, sizeof line, file))
    if (strncmp(line, "RssFile:", 8) == 0) found = atol(line + 8) << 10;
  fclose(file);
  return found;
}

/* Parts of a plan of 256 thousand chunks, and what is behind them. */
static ghee_status save_large(const char *path, ghee_error *err) {
  static const uint8_t zeros[8];
  ghee_buffer small = {0}, block = {0};
  sample_plan(0, &small);
  ghee_plan_header header = *(const ghee_plan_header *)(const void *)small.data;
  uint32_t n = 1 << 18;
  uint64_t behind = header.parts_at + n * sizeof(ghee_plan_record), moved = behind + (n + 2) * sizeof(uint32_t) - header.schema_at;
  ghee_buffer_put(&block, small.data, header.parts_at);
  for (uint32_t i = 0; i < n; i++) ghee_buffer_put(&block, &(ghee_plan_record){.rows = 5, .first_row = i, .file = i & 1, .index = i}, sizeof(ghee_plan_record));
  for (uint32_t i = 0; i <= n; i++) ghee_buffer_put_u32(&block, i);
  ghee_buffer_put(&block, zeros, 4);
  ghee_buffer_put(&block, small.data + header.schema_at, header.schema_bytes);
  header.starts_at = behind;
  header.schema_at = header.read_schema_at = header.file_schema_at = header.schema_at + moved;
  header.format_at = header.files_at; /* any text */
  header.totals.parts = header.totals.chunks = n;
  memcpy(block.data, &header, sizeof header);
  ghee_plan_file *files = (ghee_plan_file *)(void *)(block.data + header.files_at);
  for (int i = 0; i < 2; i++) files[i] = (ghee_plan_file){.uri_at = header.schema_at, .path_at = header.schema_at, .version_at = header.schema_at};
  ghee_plan_seal(block.data, block.size);
  ghee_status status = ghee_file_write_atomic(path, block.data, block.size, err);
  ghee_buffer_fini(&small);
  ghee_buffer_fini(&block);
  return status;
}

static void test_a_large_plan_does_not_stay_in_memory(void **state) {
  (void)state;
  char path[] = "/tmp/ghee-plan-XXXXXX";
  ghee_plan *plan;
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  SAMPLE_OK(save_large(path, err));
  long before = resident_file_bytes();
  SAMPLE_OK(ghee_plan_load(path, &plan, err));
  assert_in_range(resident_file_bytes() - before, 0, 4 << 20); /* of 15 MB */
  assert_int_equal(ghee_plan_chunk_part(plan, 0, (1 << 18) - 1, 0).first_row, (1 << 18) - 1);
  assert_int_equal(ghee_plan_chunk_rows(plan, 0, 77), 5);
  ghee_plan_free(plan);
  unlink(path);
}

static ghee_status open_shuffled(void *user, ghee_error *err) {
  ghee_plan *plan;
  GHEE_TRY(open_block(user, &plan, err));
  ghee_plan_free(plan);
  return GHEE_OK;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  ghee_buffer block = {0};
  sample_plan(1, &block);
  assert_true(nth_alloc_each(open_shuffled, &block, GHEE_OK) > 5);
  ghee_buffer_fini(&block);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_answers), cmocka_unit_test(test_a_shuffle_has_every_part_once), cmocka_unit_test(test_damaged_plans_are_refused),
      cmocka_unit_test(test_any_byte_counts), cmocka_unit_test(test_a_large_plan_does_not_stay_in_memory),
      cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
