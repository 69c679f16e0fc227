/* SPDX-License-Identifier: Apache-2.0
 * Casts: every value survives, or the column, both types and the row are named. */
#include "batch/types_sample.h"

#include <math.h>

#include "batch/field.h"

/* A batch of one column "x" over plain memory. */
static ghee_batch column_of(const char *format, const void *values, int64_t rows, size_t width) {
  ghee_schema *schema = sample_schema(&(sample_type){"x", format, true, NULL, 0, NULL}, 1);
  struct ArrowArray *top = &(struct ArrowArray){0};
  sample_type type = {"x", format, false, NULL, 0, NULL}, whole = {"", "+s", false, &type, 1, NULL};
  ghee_batch batch;
  sample_array_fill(&whole, rows, 1, top);
  memcpy((void *)(uintptr_t)top->children[0]->buffers[1], values, (size_t)rows * width);
  SAMPLE_OK(ghee_batch_new(schema, top, false, &batch, err));
  ghee_schema_unref(schema);
  return batch;
}

static ghee_status cast(ghee_batch *batch, const char *format, ghee_batch *out, ghee_error *err) {
  ghee_schema *schema = sample_schema(&(sample_type){"x", format, true, NULL, 0, NULL}, 1);
  memset(out, 7, sizeof *out);
  ghee_status status = ghee_batch_cast(batch, schema, out, err);
  if (status != GHEE_OK) {
    assert_true(nth_alloc_untouched(out, 7));
    assert_non_null(batch->schema); /* still the caller's */
    ghee_batch_release(batch);
  } else {
    assert_null(batch->schema); /* taken */
    assert_true(ghee_schema_equal(out->schema, schema));
  }
  ghee_schema_unref(schema);
  return status;
}

/* ---- integers: each kind to each, at the edges of both ---- */

typedef struct integer { const char *format; int bits; bool is_signed; } integer;
static const integer integers[] = {{"c", 8, true}, {"s", 16, true}, {"i", 32, true}, {"l", 64, true}, {"C", 8, false}, {"S", 16, false}, {"I", 32, false}, {"L", 64, false}};

__extension__ typedef __int128 wide;

static wide least_of(const integer *of) { return of->is_signed ? -((wide)1 << (of->bits - 1)) : 0; }
static wide most_of(const integer *of) { return ((wide)1 << (of->bits - of->is_signed)) - 1; }

static void test_integers(void **state) {
  (void)state;
  for (size_t a = 0; a < 8; a++)
    for (size_t b = 0; b < 8; b++) {
      const integer *from = &integers[a], *to = &integers[b];
      const wide edges[] = {0, 1, -1, least_of(from), most_of(from), least_of(to), most_of(to), least_of(to) - 1, most_of(to) + 1};
      for (size_t e = 0; e < sizeof edges / sizeof *edges; e++) {
        if (edges[e] < least_of(from) || edges[e] > most_of(from)) continue;
        int64_t little = (int64_t)edges[e], back = 0;
        ghee_batch batch = column_of(from->format, &little, 1, (size_t)from->bits / 8), out;
        ghee_status want = edges[e] >= least_of(to) && edges[e] <= most_of(to) ? GHEE_OK : GHEE_SCHEMA, status = cast(&batch, to->format, &out, NULL);
        if (status != want) fail_msg("%s → %s, edge %zu: %s", from->format, to->format, e, ghee_status_name(status));
        if (status != GHEE_OK) continue;
        memcpy(&back, out.array.children[0]->buffers[1], (size_t)to->bits / 8);
        assert_int_equal(back & (to->bits == 64 ? -1 : ((int64_t)1 << to->bits) - 1), little & (to->bits == 64 ? -1 : ((int64_t)1 << to->bits) - 1));
        ghee_batch_release(&out);
      }
    }
}

/* ---- reals ---- */

static void test_reals(void **state) {
  (void)state;
  static const double exact[] = {0, -0.0, 1.5, INFINITY, -INFINITY, 16777216, 3.4028234663852886e38, 1.401298464324817e-45}, inexact[] = {0.1, 16777217, 1e300, 1e-300, 3.5e38};
  ghee_batch batch, out, back;
  for (size_t i = 0; i < sizeof exact / sizeof *exact; i++) {
    batch = column_of("g", &exact[i], 1, 8);
    assert_int_equal(cast(&batch, "f", &out, NULL), GHEE_OK);
    assert_int_equal(cast(&out, "g", &back, NULL), GHEE_OK);
    assert_memory_equal(back.array.children[0]->buffers[1], &exact[i], 8);
    ghee_batch_release(&back);
  }
  for (size_t i = 0; i < sizeof inexact / sizeof *inexact; i++) {
    batch = column_of("g", &inexact[i], 1, 8);
    assert_int_equal(cast(&batch, "f", &out, NULL), GHEE_SCHEMA);
  }
  double nan = NAN;
  batch = column_of("g", &nan, 1, 8);
  assert_int_equal(cast(&batch, "f", &out, NULL), GHEE_OK);
  assert_true(isnan(((const float *)out.array.children[0]->buffers[1])[0]));
  ghee_batch_release(&out);
  static const int64_t whole[] = {1 << 24, -((int64_t)1 << 53), ((int64_t)1 << 53) + 1};
  batch = column_of("l", whole, 2, 8);
  assert_int_equal(cast(&batch, "g", &out, NULL), GHEE_OK);
  assert_true(((const double *)out.array.children[0]->buffers[1])[1] == -9007199254740992.0);
  ghee_batch_release(&out);
  ghee_error err;
  batch = column_of("l", whole, 3, 8);
  assert_int_equal(cast(&batch, "g", &out, &err), GHEE_SCHEMA);
  assert_string_equal(err.message, "column x is int64, was float64, and row 2 of the batch would change its value");
  batch = column_of("g", (const double[]){1}, 1, 8);
  assert_int_equal(cast(&batch, "l", &out, &err), GHEE_SCHEMA); /* a real is no whole number, whatever it is */
}

/* ---- nulls, texts, dictionaries, what is refused ---- */

static void test_a_null_hides_its_value(void **state) {
  (void)state;
  ghee_batch out, batch = column_of("l", (const int64_t[]){5, 1000, 7}, 3, 8);
  struct ArrowArray *column = batch.array.children[0];
  uint8_t *bits = calloc(1, 1);
  *bits = 5;
  column->buffers[0] = bits;
  column->null_count = 1;
  assert_int_equal(cast(&batch, "c", &out, NULL), GHEE_OK);
  assert_int_equal(out.array.children[0]->null_count, 1);
  assert_int_equal(((const int8_t *)out.array.children[0]->buffers[1])[2], 7);
  ghee_batch_release(&out);
}

/* Random rows of `from`, whole and sliced, to `to` and back. */
static void there_and_back(const sample_type *from, const sample_type *to) {
  ghee_schema *a = sample_schema(from, 1), *b = sample_schema(to, 1);
  for (int64_t first = 0; first < 20; first += 7) {
    ghee_batch whole, cut, there, back;
    sample_batch(a, from, 1, 50, 3, &whole);
    SAMPLE_OK(ghee_batch_slice(&whole, first, 30, &cut, err));
    SAMPLE_OK(ghee_batch_cast(&cut, b, &there, err));
    assert_true(ghee_schema_equal(there.schema, b));
    if (!from->dictionary) {
      SAMPLE_OK(ghee_batch_cast(&there, a, &back, err));
      SAMPLE_OK(ghee_batch_slice(&whole, first, 30, &cut, err));
      assert_true(ghee_batch_equal(&back, &cut));
      ghee_batch_release(&cut);
      ghee_batch_release(&back);
    } else {
      ghee_batch_release(&there);
    }
    ghee_batch_release(&whole);
  }
  ghee_schema_unref(a);
  ghee_schema_unref(b);
}

static void test_texts(void **state) {
  (void)state;
  static const sample_type string = {"x", "u", true, NULL, 0, NULL}, large = {"x", "U", true, NULL, 0, NULL}, binary = {"x", "z", true, NULL, 0, NULL},
                           large_binary = {"x", "Z", true, NULL, 0, NULL}, words = {"x", "c", true, NULL, 0, &sample_words}, reals = {"x", "i", true, NULL, 0, &sample_reals},
                           real = {"x", "g", true, NULL, 0, NULL};
  there_and_back(&string, &large);
  there_and_back(&large, &string);
  there_and_back(&binary, &large_binary);
  there_and_back(&words, &string);
  there_and_back(&words, &large); /* decoded, then widened */
  there_and_back(&reals, &real);
}

static void test_dictionaries_become_their_values(void **state) {
  (void)state;
  static const sample_type words = {"x", "c", true, NULL, 0, &sample_words}, string = {"x", "u", true, NULL, 0, NULL};
  ghee_schema *a = sample_schema(&words, 1), *b = sample_schema(&string, 1);
  ghee_batch coded, kept, out;
  sample_batch(a, &words, 1, 40, 1, &coded);
  SAMPLE_OK(ghee_batch_slice(&coded, 0, 40, &kept, err));
  SAMPLE_OK(ghee_batch_cast(&coded, b, &out, err));
  const struct ArrowArray *codes = kept.array.children[0], *texts = out.array.children[0];
  for (int i = 0; i < 40; i++) {
    bool valid = codes->null_count == 0 || (((const uint8_t *)codes->buffers[0])[i / 8] >> i % 8 & 1);
    assert_int_equal(texts->null_count == 0 || (((const uint8_t *)texts->buffers[0])[i / 8] >> i % 8 & 1), valid);
    if (!valid) continue;
    int code = ((const int8_t *)codes->buffers[1])[i];
    const int32_t *from = codes->dictionary->buffers[1], *to = texts->buffers[1];
    assert_int_equal(to[i + 1] - to[i], from[code + 1] - from[code]);
    assert_memory_equal((const char *)texts->buffers[2] + to[i], (const char *)codes->dictionary->buffers[2] + from[code], (size_t)(to[i + 1] - to[i]));
  }
  ghee_batch_release(&kept);
  ghee_batch_release(&out);
  ghee_schema_unref(a);
  ghee_schema_unref(b);
}

static void refused(const sample_type *from, const sample_type *to, const char *words) {
  ghee_schema *a = sample_schema(from, 1), *b = sample_schema(to, 1);
  ghee_batch batch, out;
  ghee_error why = {0};
  sample_batch(a, from, 1, 20, 1, &batch);
  memset(&out, 7, sizeof out);
  ghee_status status = ghee_batch_cast(&batch, b, &out, &why);
  if (status != GHEE_SCHEMA || !strstr(why.message, words)) fail_msg("%s, wanted '%s': %s", ghee_status_name(status), words, why.message);
  assert_true(nth_alloc_untouched(&out, 7));
  ghee_batch_release(&batch);
  ghee_schema_unref(a);
  ghee_schema_unref(b);
}

static void test_refusals_name_both_types(void **state) {
  (void)state;
  static const sample_type number = {"x", "l", true, NULL, 0, NULL}, other = {"y", "l", true, NULL, 0, NULL}, text = {"x", "u", true, NULL, 0, NULL},
                           binary = {"x", "z", true, NULL, 0, NULL}, us = {"x", "tsu:UTC", true, NULL, 0, NULL}, ms = {"x", "tsm:UTC", true, NULL, 0, NULL},
                           list = {"x", "+l", true, sample_item, 1, NULL}, words = {"x", "c", true, NULL, 0, &sample_words}, decimal = {"x", "d:20,3", true, NULL, 0, NULL};
  refused(&number, &text, "column x is int64, was string");
  refused(&text, &number, "column x is string, was int64");
  refused(&text, &binary, "column x is string, was binary");
  refused(&us, &ms, "column x is timestamp[us, UTC], was timestamp[ms, UTC]");
  refused(&list, &number, "column x is list<int32>, was int64");
  refused(&number, &decimal, "was decimal128(20, 3)");
  refused(&text, &words, "was dictionary<int8, string>");
  refused(&words, &number, "column x is string, was int64"); /* its values cannot be */
  refused(&number, &other, "column y is missing");
  sample_type list_of_items = {"", "+l", false, sample_item, 1, NULL}, texts[] = {{"item", "u", true, NULL, 0, NULL}};
  sample_type coded_lists = {"x", "c", true, NULL, 0, &list_of_items}, list_of_texts = {"x", "+l", true, texts, 1, NULL};
  refused(&coded_lists, &list_of_texts, "column x is list<int32>, was list<string>"); /* the same format, other children */
}

static void test_columns_are_matched_by_name(void **state) {
  (void)state;
  static const sample_type from[] = {{"a", "i", true, NULL, 0, NULL}, {"b", "u", true, NULL, 0, NULL}, {"m", "+m", true, sample_entries, 1, NULL}},
                           to[] = {{"m", "+m", false, sample_entries, 1, NULL}, {"b", "U", true, NULL, 0, NULL}, {"a", "l", true, NULL, 0, NULL}};
  ghee_schema *a = sample_schema(from, 3), *b = sample_schema(to, 3);
  ghee_batch batch, kept, out;
  sample_batch(a, from, 3, 30, 1, &batch);
  SAMPLE_OK(ghee_batch_slice(&batch, 0, 30, &kept, err));
  SAMPLE_OK(ghee_batch_cast(&batch, b, &out, err));
  for (int i = 0; i < 30; i++)
    assert_int_equal(((const int64_t *)out.array.children[2]->buffers[1])[i], ((const int32_t *)kept.array.children[0]->buffers[1])[i]);
  ghee_batch_release(&kept);
  ghee_batch_release(&out);
  ghee_schema_unref(a);
  ghee_schema_unref(b);
}

/* A dictionary without entries, all rows null; a dictionary of nulls. */
static void test_odd_dictionaries(void **state) {
  (void)state;
  static const sample_type nothing = {"", "n", true, NULL, 0, NULL}, coded = {"x", "c", true, NULL, 0, &nothing}, null = {"x", "n", true, NULL, 0, NULL},
                           words = {"x", "c", true, NULL, 0, &sample_words}, string = {"x", "u", true, NULL, 0, NULL};
  there_and_back(&coded, &null);
  ghee_schema *a = sample_schema(&words, 1), *b = sample_schema(&string, 1);
  sample_type top = {"", "+s", false, &words, 1, NULL};
  struct ArrowArray array;
  ghee_batch batch, out;
  sample_array_fill(&top, 10, 1, &array);
  memset((void *)(uintptr_t)array.children[0]->buffers[0], 0, 2);
  array.children[0]->null_count = 10;
  array.children[0]->dictionary->length = 0;
  SAMPLE_OK(ghee_batch_new(a, &array, false, &batch, err));
  SAMPLE_OK(ghee_batch_cast(&batch, b, &out, err));
  assert_int_equal(out.array.children[0]->null_count, 10);
  ghee_batch_release(&out);
  ghee_schema_unref(a);
  ghee_schema_unref(b);
}

static ghee_status cast_all(void *user, ghee_error *err) {
  ghee_schema **schemas = user;
  static const sample_type from[] = {{"a", "i", true, NULL, 0, NULL}, {"b", "u", true, NULL, 0, NULL}, {"c", "c", true, NULL, 0, &sample_words}};
  ghee_batch batch, out;
  sample_type top = {"", "+s", false, from, 3, NULL};
  struct ArrowArray array;
  sample_array_fill(&top, 30, 1, &array);
  GHEE_TRY(ghee_batch_new(schemas[0], &array, false, &batch, err));
  memset(&out, 7, sizeof out);
  ghee_status status = ghee_batch_cast(&batch, schemas[1], &out, err);
  if (status != GHEE_OK) assert_true(nth_alloc_untouched(&out, 7));
  ghee_batch_release(status == GHEE_OK ? &out : &batch);
  return status;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  static const sample_type from[] = {{"a", "i", true, NULL, 0, NULL}, {"b", "u", true, NULL, 0, NULL}, {"c", "c", true, NULL, 0, &sample_words}},
                           to[] = {{"a", "l", true, NULL, 0, NULL}, {"b", "U", true, NULL, 0, NULL}, {"c", "U", true, NULL, 0, NULL}};
  ghee_schema *schemas[] = {sample_schema(from, 3), sample_schema(to, 3)};
  nth_alloc_each(cast_all, schemas, GHEE_OK);
  ghee_schema_unref(schemas[0]);
  ghee_schema_unref(schemas[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_integers), cmocka_unit_test(test_reals), cmocka_unit_test(test_a_null_hides_its_value), cmocka_unit_test(test_texts),
      cmocka_unit_test(test_dictionaries_become_their_values), cmocka_unit_test(test_refusals_name_both_types),
      cmocka_unit_test(test_columns_are_matched_by_name), cmocka_unit_test(test_odd_dictionaries), cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
