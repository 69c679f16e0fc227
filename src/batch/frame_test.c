/* SPDX-License-Identifier: Apache-2.0
 * Frames: batches of all kinds there and back, and bytes of a stranger, which may do no harm. */
#include "batch/types_sample.h"

#include "batch/frame.h"
#include "batch/frame_layout.h"

static int released;
static void count_release(void *user) {
  released++;
  free(user);
}

/* A frame in memory of exactly its size, so that a byte read behind it is seen. */
static void *frame_of(const ghee_batch *batch, uint64_t *size) {
  void *frame = NULL;
  SAMPLE_OK(ghee_frame_size(batch, size, err));
  assert_int_equal(posix_memalign(&frame, 64, *size), 0);
  memset(frame, 0xaa, *size);
  SAMPLE_OK(ghee_frame_write(batch, frame, *size, err));
  return frame;
}

static void *copy_of(const void *frame, uint64_t size) {
  void *copy = NULL;
  assert_int_equal(posix_memalign(&copy, 64, size ? size : 1), 0);
  memcpy(copy, frame, size);
  return copy;
}

static void check_round_trip(const ghee_batch *batch, const char *what, uint64_t seed) {
  for (int trusted = 0; trusted < 2; trusted++) {
    uint64_t size, again_size;
    ghee_batch back = {0};
    void *frame = frame_of(batch, &size);
    released = 0;
    ghee_error err = {0};
    if (ghee_frame_read(batch->schema, frame, size, trusted, count_release, frame, &back, &err) != GHEE_OK)
      fail_msg("%s, seed %llu: %s", what, (unsigned long long)seed, err.message);
    if (!ghee_batch_equal(batch, &back)) fail_msg("%s, seed %llu: other rows", what, (unsigned long long)seed);
    void *again = frame_of(&back, &again_size);
    assert_int_equal(again_size, size);
    assert_memory_equal(again, frame, size); /* what is written of what was read is the same, every byte of it */
    free(again);
    assert_int_equal(released, 0);
    ghee_batch_release(&back);
    assert_int_equal(released, 1);
  }
}

static void test_every_type(void **state) {
  (void)state;
  for (int i = 0; i < SAMPLE_TYPES; i++)
    for (int64_t rows = 0; rows < 100; rows += 1 + rows) {
      ghee_schema *schema = sample_schema(&sample_all_types[i], 1);
      ghee_batch batch;
      sample_batch(schema, &sample_all_types[i], 1, rows, 4, &batch);
      check_round_trip(&batch, sample_all_types[i].name, (uint64_t)rows);
      ghee_batch_release(&batch);
      ghee_schema_unref(schema);
    }
}

/* They have rows and no bytes: nothing is read of their buffers, which may be NULL. */
static void test_values_of_no_width(void **state) {
  (void)state;
  static const sample_type type = {.name = "none", .format = "w:0"};
  ghee_schema *schema = sample_schema(&type, 1);
  ghee_batch batch;
  sample_batch(schema, &type, 1, 3, 4, &batch);
  check_round_trip(&batch, type.name, 3);
  ghee_batch_release(&batch);
  ghee_schema_unref(schema);
}

/* A batch of random types and rows, and a slice of it. */
static void random_batch(uint64_t seed, ghee_batch *whole, ghee_batch *cut) {
  ghee_random random;
  ghee_random_init(&random, seed, 1, 0);
  int columns = 1 + (int)ghee_random_below(&random, 6);
  const sample_type *types = sample_random_types(&random, columns);
  ghee_schema *schema = sample_schema(types, columns);
  sample_batch(schema, types, columns, (int64_t)ghee_random_below(&random, 150), (unsigned)seed, whole);
  uint64_t first = ghee_random_below(&random, (uint64_t)ghee_batch_rows(whole) + 1);
  SAMPLE_OK(ghee_batch_slice(whole, (int64_t)first, (int64_t)ghee_random_below(&random, (uint64_t)ghee_batch_rows(whole) - first + 1), cut, err));
  ghee_schema_unref(schema);
}

static void test_random_batches(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 500; seed++) {
    ghee_batch whole = {0}, cut = {0};
    random_batch(seed, &whole, &cut);
    check_round_trip(&whole, "whole", seed);
    check_round_trip(&cut, "a slice", seed);
    ghee_batch_release(&whole);
    ghee_batch_release(&cut);
  }
}

static void test_a_slice_takes_no_more_than_its_rows(void **state) {
  (void)state;
  static const sample_type type[] = {{"n", "l", false, NULL, 0, NULL}, {"t", "u", false, NULL, 0, NULL}};
  ghee_schema *schema = sample_schema(type, 2);
  ghee_batch batch, cut = {0};
  uint64_t all, few;
  sample_batch(schema, type, 2, 10000, 1, &batch);
  SAMPLE_OK(ghee_batch_slice(&batch, 5000, 10, &cut, err));
  SAMPLE_OK(ghee_frame_size(&batch, &all, err));
  SAMPLE_OK(ghee_frame_size(&cut, &few, err));
  assert_true(all > 120000 && few <= 512); /* head, 80 bytes, 44 bytes, the texts */
  ghee_batch_release(&cut);
  ghee_batch_release(&batch);
  ghee_schema_unref(schema);
}

static void test_too_small_a_place(void **state) {
  (void)state;
  ghee_batch whole = {0}, cut = {0};
  random_batch(3, &whole, &cut);
  uint64_t size;
  void *frame = frame_of(&whole, &size);
  ghee_error err;
  assert_int_equal(ghee_frame_write(&whole, frame, size - 1, &err), GHEE_INTERNAL);
  free(frame);
  ghee_batch_release(&whole);
  ghee_batch_release(&cut);
}

/* ---- damage ---- */

/* Reads bytes that nobody vouches for. They are refused, or everything that a batch is used for can be done with it. */
static bool harmless(ghee_schema *schema, const void *frame, uint64_t size) {
  ghee_batch batch, copy = {0};
  ghee_error why = {0};
  memset(&batch, 7, sizeof batch);
  released = 0;
  void *own = copy_of(frame, size);
  ghee_status status = ghee_frame_read(schema, own, size, false, count_release, own, &batch, &why);
  if (status != GHEE_OK) {
    assert_int_equal(status, GHEE_CORRUPT);
    assert_true(why.message[0]);
    assert_int_equal(released, 1);
    assert_true(nth_alloc_untouched(&batch, 7));
    return false;
  }
  uint64_t again;
  (void)ghee_batch_bytes(&batch);
  SAMPLE_OK(ghee_batch_concat(&batch, 1, &copy, err));
  void *written = frame_of(&batch, &again);
  free(written);
  ghee_batch_release(&copy);
  ghee_batch_release(&batch);
  assert_int_equal(released, 1);
  return true;
}

static void test_damaged_frames_do_no_harm(void **state) {
  (void)state;
  int accepted = 0, refused = 0;
  for (uint64_t seed = 0; seed < 150; seed++) {
    ghee_random random;
    ghee_random_init(&random, seed, 2, 0);
    ghee_batch whole = {0}, cut = {0};
    random_batch(seed, &whole, &cut);
    uint64_t size;
    uint8_t *frame = frame_of(&whole, &size);
    uint64_t head = ((ghee_frame_header *)(void *)frame)->body_offset;
    for (int round = 0; round < 60; round++) {
      uint8_t *spoilt = copy_of(frame, size);
      for (uint64_t n = 1 + ghee_random_below(&random, 3); n; n--) {
        uint64_t at = ghee_random_below(&random, 4) ? ghee_random_below(&random, head) : ghee_random_below(&random, size);
        static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
        spoilt[at] = ghee_random_below(&random, 2) ? values[ghee_random_below(&random, 5)] : (uint8_t)ghee_random_next(&random);
      }
      if (harmless(whole.schema, spoilt, size)) accepted++;
      else refused++;
      free(spoilt);
    }
    for (uint64_t shorter = 0; shorter < size; shorter += 1 + size / 50) assert_false(harmless(whole.schema, frame, shorter));
    free(frame);
    ghee_batch_release(&whole);
    ghee_batch_release(&cut);
  }
  assert_true(accepted > 100 && refused > 1000); /* both are tried */
}

/* One column of 8 rows whose table says something else. */
static void table_refused(const sample_type *type, void (*spoil)(ghee_frame_header *, ghee_frame_node *, ghee_frame_buffer *)) {
  ghee_schema *schema = sample_schema(type, 1);
  ghee_batch batch;
  sample_batch(schema, type, 1, 8, 1, &batch);
  uint64_t size;
  ghee_frame_header *frame = frame_of(&batch, &size);
  ghee_frame_node *nodes = (ghee_frame_node *)(frame + 1);
  spoil(frame, nodes, (ghee_frame_buffer *)(nodes + frame->nodes));
  assert_false(harmless(schema, frame, size));
  free(frame);
  ghee_batch_release(&batch);
  ghee_schema_unref(schema);
}

#define SPOIL(name, statement)                                                                   \
  static void name(ghee_frame_header *head, ghee_frame_node *nodes, ghee_frame_buffer *buffers) { \
    (void)head, (void)nodes, (void)buffers;                                                      \
    statement;                                                                                   \
  }
SPOIL(other_magic, head->magic++)
SPOIL(other_version, head->version++)
SPOIL(more_rows, head->rows++)
SPOIL(endless_rows, (head->rows = UINT64_MAX, nodes[0].length = -1))
SPOIL(many_rows, (head->rows = (uint64_t)1 << 40, nodes[0].length = nodes[0].null_count = (int64_t)1 << 40))
SPOIL(many_rows_and_items, (head->rows = (uint64_t)1 << 50, nodes[0].length = (int64_t)1 << 50, nodes[1].length = (int64_t)3 << 50))
SPOIL(more_nodes, head->nodes++)
SPOIL(most_nodes, head->nodes = UINT32_MAX)
SPOIL(fewer_buffers, head->buffers--)
SPOIL(longer_node, nodes[0].length++)
SPOIL(negative_nulls, nodes[0].null_count = -1)
SPOIL(nulls_over_length, nodes[0].null_count = 9)
SPOIL(shorter_buffer, buffers[1].size /= 2)
SPOIL(odd_place, buffers[1].offset += 8)
SPOIL(behind_the_end, buffers[1].offset = head->total_size)
SPOIL(wrapping, (buffers[1].offset = UINT64_MAX - 63, buffers[1].size = 64))
SPOIL(endless_buffer, buffers[1].size = UINT64_MAX)
SPOIL(no_validity, (nodes[0].null_count = 1, buffers[0].size = 0))
/* The last list loses its items, which stay; the text before them claims a lot, the last one of all does not. */
static void hidden_items(ghee_frame_header *head, ghee_frame_node *nodes, ghee_frame_buffer *buffers) {
  (void)nodes;
  int32_t *lists = (int32_t *)(void *)((uint8_t *)head + buffers[1].offset), *texts = (int32_t *)(void *)((uint8_t *)head + buffers[3].offset);
  assert_true(lists[8] > lists[7]);
  lists[8] = lists[7];
  texts[lists[8]] = 1 << 30;
}
SPOIL(larger_than_given, head->total_size += 64)

static void test_tables_that_lie(void **state) {
  (void)state;
  static const sample_type number = {"n", "l", true, NULL, 0, NULL}, fixed = {"f", "+w:3", false, sample_item, 1, NULL}, nothing = {"z", "n", true, NULL, 0, NULL},
                           wide = {"w", "+w:2000000000", false, sample_item, 1, NULL};
  void (*const spoils[])(ghee_frame_header *, ghee_frame_node *, ghee_frame_buffer *) = {
      other_magic, other_version, more_rows, endless_rows, many_rows, more_nodes, most_nodes, fewer_buffers, longer_node, negative_nulls,
      nulls_over_length, shorter_buffer, odd_place, behind_the_end, wrapping, endless_buffer, no_validity, larger_than_given};
  for (size_t i = 0; i < sizeof spoils / sizeof *spoils; i++) table_refused(&number, spoils[i]);
  table_refused(&fixed, many_rows_and_items);
  table_refused(&nothing, many_rows);
  table_refused(&(sample_type){"t", "+l", false, &(sample_type){"item", "u", false, NULL, 0, NULL}, 1, NULL}, hidden_items);
  ghee_schema *schema = sample_schema(&wide, 1); /* rows × items pass 64 bits */
  struct { ghee_frame_header head; ghee_frame_node nodes[2]; ghee_frame_buffer buffers[3]; uint8_t rest[64]; } lie = {
      .head = {GHEE_FRAME_MAGIC, GHEE_FRAME_VERSION, (uint64_t)1 << 40, 2, 3, 128, sizeof lie}, .nodes = {{(int64_t)1 << 40, 0}, {0, 0}}};
  assert_false(harmless(schema, &lie, sizeof lie));
  ghee_schema_unref(schema);
}

static void test_another_schema(void **state) {
  (void)state;
  int refused = 0;
  for (uint64_t seed = 0; seed < 60; seed++) {
    ghee_batch a = {0}, a_cut = {0}, b = {0}, b_cut = {0};
    random_batch(seed, &a, &a_cut);
    random_batch(seed + 1000, &b, &b_cut);
    uint64_t size;
    void *frame = frame_of(&a, &size);
    refused += !harmless(b.schema, frame, size);
    free(frame);
    ghee_batch_release(&a);
    ghee_batch_release(&a_cut);
    ghee_batch_release(&b);
    ghee_batch_release(&b_cut);
  }
  assert_true(refused > 50);
}

static ghee_batch failing;

static ghee_status read_frame(void *user, ghee_error *err) {
  (void)user;
  uint64_t size;
  ghee_batch back;
  void *frame = frame_of(&failing, &size);
  memset(&back, 7, sizeof back);
  released = 0;
  ghee_status status = ghee_frame_read(failing.schema, frame, size, false, count_release, frame, &back, err);
  if (status == GHEE_OK) ghee_batch_release(&back);
  else assert_true(nth_alloc_untouched(&back, 7));
  assert_int_equal(released, 1);
  return status;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  ghee_batch cut = {0};
  random_batch(7, &failing, &cut);
  assert_int_equal(nth_alloc_each(read_frame, NULL, GHEE_OK), 1); /* writing makes none, reading one, however many columns */
  ghee_batch_release(&failing);
  ghee_batch_release(&cut);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_type), cmocka_unit_test(test_values_of_no_width), cmocka_unit_test(test_random_batches), cmocka_unit_test(test_a_slice_takes_no_more_than_its_rows),
      cmocka_unit_test(test_too_small_a_place), cmocka_unit_test(test_damaged_frames_do_no_harm), cmocka_unit_test(test_tables_that_lie),
      cmocka_unit_test(test_another_schema), cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
