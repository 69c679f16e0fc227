/* SPDX-License-Identifier: Apache-2.0
 * The builder, as bindings use it: memory that is not copied, bits, texts, tensors, Arrow columns, and who frees what when. */
#include "batch/types_sample.h"

#include "batch/bits.h"
#include "batch/metadata.h"
#include "ghee/batch.h"

static int released;
static void count_release(void *owner) {
  assert_ptr_equal(owner, &released);
  released++;
}

static ghee_builder *builder_new(void) {
  ghee_builder *builder = NULL;
  SAMPLE_OK(ghee_builder_new(&builder, err));
  return builder;
}

/* The finished batch, taken with all checks. */
static ghee_batch finish(ghee_builder *builder) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  ghee_schema *made = NULL;
  ghee_batch batch = {0};
  SAMPLE_OK(ghee_builder_finish(builder, &schema, &array, err));
  ghee_builder_free(builder);
  SAMPLE_OK(ghee_schema_new(&schema, &made, err));
  SAMPLE_OK(ghee_batch_new(made, &array, false, &batch, err));
  ghee_schema_unref(made);
  return batch;
}

static void test_every_kind_of_column(void **state) {
  (void)state;
  ghee_builder *builder = builder_new();
  static const int64_t numbers[] = {1, 2, 3};
  static const uint8_t flags[] = {1, 0, 7}, valid[] = {1, 1, 0};
  static const float matrix[3 * 6] = {0, 1, 2, 3, 4, 5, 6};
  void *bitmap;
  int64_t nulls;
  released = 0;
  SAMPLE_OK(ghee_builder_bitmap(valid, 3, &bitmap, &nulls, err));
  assert_int_equal(nulls, 1);
  SAMPLE_OK(ghee_builder_add_fixed(builder, "n", "l", 3, numbers, bitmap, nulls, NULL, 0, count_release, &released, err));
  SAMPLE_OK(ghee_builder_add_fixed(builder, "m", "f", 3, matrix, NULL, 0, (const int64_t[]){2, 3}, 2, count_release, &released, err));
  SAMPLE_OK(ghee_builder_add_bool(builder, "b", 3, flags, valid, err));
  SAMPLE_OK(ghee_builder_begin_text(builder, "t", 0, err));
  SAMPLE_OK(ghee_builder_append_text(builder, "one", 3, err));
  SAMPLE_OK(ghee_builder_append_null(builder, err));
  SAMPLE_OK(ghee_builder_append_text(builder, "", 0, err));
  SAMPLE_OK(ghee_builder_end_text(builder, err));
  struct ArrowSchema schema;
  struct ArrowArray array;
  sample_schema_fill(&(sample_type){"other", "+l", true, sample_item, 1, NULL}, &schema);
  sample_array_fill(&(sample_type){"other", "+l", true, sample_item, 1, NULL}, 3, 1, &array);
  SAMPLE_OK(ghee_builder_add_arrow(builder, "l", &schema, &array, err));
  assert_null(schema.release);
  assert_null(array.release);
  ghee_batch batch = finish(builder);
  static const char *const names[] = {"n", "m", "b", "t", "l"}, *const formats[] = {"l", "+w:6", "b", "u", "+l"};
  for (int i = 0; i < 5; i++) {
    assert_string_equal(ghee_schema_arrow(batch.schema)->children[i]->name, names[i]);
    assert_string_equal(ghee_schema_arrow(batch.schema)->children[i]->format, formats[i]);
  }
  assert_ptr_equal(batch.array.children[0]->buffers[1], numbers); /* not copied */
  assert_ptr_equal(batch.array.children[1]->children[0]->buffers[1], matrix);
  assert_int_equal(((const uint8_t *)batch.array.children[2]->buffers[1])[0], 5);
  assert_int_equal(batch.array.children[3]->null_count, 1);
  assert_int_equal(released, 0);
  ghee_batch_release(&batch);
  assert_int_equal(released, 2);
  ghee_builder_bitmap_free(bitmap);
}

static void test_shapes_survive_every_hop(void **state) {
  (void)state;
  ghee_builder *builder = builder_new();
  static const double cube[2 * 24] = {0.5};
  SAMPLE_OK(ghee_builder_add_fixed(builder, "cube", "g", 2, cube, NULL, 0, (const int64_t[]){2, 3, 4}, 3, NULL, NULL, err));
  ghee_batch batch = finish(builder), copy, taken, zeros, chosen;
  ghee_buffer bytes = {0}, words = {0};
  ghee_schema *decoded = NULL;
  SAMPLE_OK(ghee_schema_encode(batch.schema, &bytes, err));
  SAMPLE_OK(ghee_schema_decode(bytes.data, bytes.size, &decoded, err));
  SAMPLE_OK(ghee_batch_concat(&batch, 1, &copy, err));
  SAMPLE_OK(ghee_batch_take(&batch, (const uint32_t[]){1}, 1, &taken, err));
  SAMPLE_OK(ghee_batch_zeros(decoded, 3, &zeros, err));
  SAMPLE_OK(ghee_batch_project(&batch, (const char *const[]){"cube"}, 1, &chosen, err));
  const ghee_schema *hops[] = {decoded, copy.schema, taken.schema, zeros.schema, chosen.schema};
  for (int i = 0; i < 5; i++) {
    size_t size = 0;
    const char *shape = ghee_metadata_find(ghee_schema_arrow(hops[i])->children[0]->metadata, GHEE_SHAPE_KEY, &size);
    assert_int_equal(size, 5);
    assert_memory_equal(shape, "2,3,4", 5);
    assert_true(ghee_schema_equal(batch.schema, hops[i]));
  }
  assert_int_equal(zeros.array.children[0]->children[0]->length, 72);
  builder = builder_new(); /* as many values in another shape are another type */
  SAMPLE_OK(ghee_builder_add_fixed(builder, "cube", "g", 2, cube, NULL, 0, (const int64_t[]){24}, 1, NULL, NULL, err));
  ghee_batch flat = finish(builder);
  assert_false(ghee_schema_equal(batch.schema, flat.schema));
  ghee_schema_difference(batch.schema, flat.schema, &words);
  assert_non_null(strstr(ghee_buffer_text(&words), "column cube is "));
  ghee_batch_release(&flat);
  ghee_batch_release(&batch);
  ghee_batch_release(&copy);
  ghee_batch_release(&taken);
  ghee_batch_release(&zeros);
  ghee_batch_release(&chosen);
  ghee_schema_unref(decoded);
  ghee_buffer_fini(&bytes);
  ghee_buffer_fini(&words);
}

static void test_refusals(void **state) {
  (void)state;
  ghee_builder *builder = builder_new();
  struct ArrowSchema schema;
  struct ArrowArray array;
  ghee_error why;
  assert_int_equal(ghee_builder_finish(builder, &schema, &array, &why), GHEE_USER);
  assert_non_null(strstr(why.message, "no columns"));
  released = 0;
  static const int64_t huge[] = {1 << 20, 1 << 20}, negative[] = {-1};
  assert_int_equal(ghee_builder_add_fixed(builder, "x", "l", 1, NULL, NULL, 0, huge, 2, count_release, &released, &why), GHEE_LIMIT);
  assert_int_equal(ghee_builder_add_fixed(builder, "x", "l", 1, NULL, NULL, 0, negative, 1, count_release, &released, &why), GHEE_LIMIT);
  assert_int_equal(released, 2); /* also on failure */
  SAMPLE_OK(ghee_builder_add_bool(builder, "three", 3, (const uint8_t *)"\1\0\1", NULL, err));
  SAMPLE_OK(ghee_builder_add_bool(builder, "two", 2, (const uint8_t *)"\1\0", NULL, err));
  assert_int_equal(ghee_builder_finish(builder, &schema, &array, &why), GHEE_USER);
  assert_string_equal(why.message, "columns of one batch must have one length: three has 3 rows, two has 2");
  ghee_builder_free(builder); /* with its columns */
}

static void test_more_than_2_gib_of_text_is_large(void **state) {
  (void)state;
  if (!getenv("GHEE_LARGE_TESTS")) skip(); /* takes 8 GiB of memory */
  ghee_builder *builder = builder_new();
  size_t mib = 1 << 20;
  char *text = malloc(mib);
  memset(text, 'x', mib);
  SAMPLE_OK(ghee_builder_begin_text(builder, "t", 0, err));
  for (int i = 0; i < 2049; i++) SAMPLE_OK(ghee_builder_append_text(builder, text, mib, err));
  SAMPLE_OK(ghee_builder_end_text(builder, err));
  ghee_batch batch = finish(builder);
  assert_string_equal(ghee_schema_arrow(batch.schema)->children[0]->format, "U");
  assert_int_equal(((const int64_t *)batch.array.children[0]->buffers[1])[2049], (int64_t)2049 << 20);
  assert_int_equal(((const char *)batch.array.children[0]->buffers[2])[((int64_t)2049 << 20) - 1], 'x');
  ghee_batch_release(&batch);
  free(text);
}

/* Every bit operation against one that goes bit by bit. */
static void test_bits(void **state) {
  (void)state;
  ghee_random random;
  ghee_random_init(&random, 3, 0, 0);
  for (int round = 0; round < 3000; round++) {
    int64_t offset = (int64_t)ghee_random_below(&random, 70), n = (int64_t)ghee_random_below(&random, 300), at = (int64_t)ghee_random_below(&random, 70), set = 0;
    uint8_t *from = malloc((size_t)ghee_bits_bytes(offset + n) + !(offset + n)), copy[64] = {0}, appended[64] = {0}, filled[64] = {0};
    for (int64_t i = 0; i < ghee_bits_bytes(offset + n); i++) from[i] = (uint8_t)ghee_random_next(&random);
    memset(copy, 0xff, sizeof copy);
    ghee_bits_copy(from, offset, n, copy);
    ghee_bits_append(from, offset, n, appended, at);
    ghee_bits_fill(filled, at, n);
    for (int64_t i = 0; i < n; i++) {
      bool bit = ghee_bit(from, offset + i);
      set += bit;
      assert_int_equal(ghee_bit(copy, i), bit);
      assert_int_equal(ghee_bit(appended, at + i), bit);
      assert_true(ghee_bit(filled, at + i));
    }
    for (int64_t i = n; i < 8 * ghee_bits_bytes(n); i++) assert_false(ghee_bit(copy, i)); /* the rest of the last byte */
    assert_int_equal(ghee_bits_count(from, offset, n), set);
    assert_int_equal(ghee_bits_count(appended, 0, 512), set);
    assert_int_equal(ghee_bits_count(filled, 0, 512), n);
    free(from);
  }
}

static ghee_status build(void *user, ghee_error *err) {
  (void)user;
  ghee_builder *builder;
  struct ArrowSchema schema;
  struct ArrowArray array;
  ghee_status status;
  memset(&array, 7, sizeof array);
  released = 0;
  int given = 0;
  GHEE_TRY(ghee_builder_new(&builder, err));
  given++;
  GHEE_GOTO(status, end, ghee_builder_add_fixed(builder, "a", "g", 2, "0123456789abcdef", NULL, 0, NULL, 0, count_release, &released, err));
  given++;
  GHEE_GOTO(status, end, ghee_builder_add_fixed(builder, "b", "g", 2, "0123456789abcdef", NULL, 0, (const int64_t[]){1, 1}, 2, count_release, &released, err));
  GHEE_GOTO(status, end, ghee_builder_add_bool(builder, "c", 2, (const uint8_t *)"\1\0", (const uint8_t *)"\1\0", err));
  GHEE_GOTO(status, end, ghee_builder_begin_text(builder, "d", 1, err));
  GHEE_GOTO(status, end, ghee_builder_append_text(builder, "text", 4, err));
  GHEE_GOTO(status, end, ghee_builder_append_null(builder, err));
  GHEE_GOTO(status, end, ghee_builder_end_text(builder, err));
  GHEE_GOTO(status, end, ghee_builder_finish(builder, &schema, &array, err));
  schema.release(&schema);
  array.release(&array);
end:
  if (status != GHEE_OK) assert_true(nth_alloc_untouched(&array, 7));
  ghee_builder_free(builder);
  assert_int_equal(released, given); /* once each, whatever happened */
  return status;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  assert_true(nth_alloc_each(build, NULL, GHEE_OK) > 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_kind_of_column), cmocka_unit_test(test_shapes_survive_every_hop), cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_more_than_2_gib_of_text_is_large), cmocka_unit_test(test_bits), cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
