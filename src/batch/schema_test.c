/* SPDX-License-Identifier: Apache-2.0
 * Schemas and types: formats read and said, names, differences, the bytes of the wire whole and damaged, metadata. */
#include "batch/types_sample.h"

#include "batch/metadata.h"

static void test_types_in_words(void **state) {
  (void)state;
  static const char *const words[SAMPLE_TYPES] = {
      "null", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "binary", "large_binary", "string",
      "large_string", "fixed_binary[5]", "decimal128(20, 3)", "decimal256(50, 3)", "date32", "date64", "time32[s]", "time32[ms]", "time64[us]", "time64[ns]",
      "timestamp[s]", "timestamp[ms, UTC]", "timestamp[us, Europe/Berlin]", "timestamp[ns, +02:00]", "duration[s]", "duration[ms]", "duration[us]", "duration[ns]",
      "interval[months]", "interval[days, ms]", "interval[months, days, ns]", "list<int32>", "large_list<int32>", "fixed_list<int32, 3>", "map<string, int64>",
      "struct<x: float64, y: string>", "list<list<int32>>", "list<struct<x: float64, y: string>>", "dictionary<int8, string>", "dictionary<int32, string>",
      "dictionary<uint16, string>", "dictionary<int32, float64>"};
  ghee_schema *schema = sample_schema(sample_all_types, SAMPLE_TYPES);
  for (int i = 0; i < SAMPLE_TYPES; i++) {
    ghee_buffer text = {0};
    ghee_type_describe(ghee_schema_arrow(schema)->children[i], &text);
    assert_string_equal(ghee_buffer_text(&text), words[i]);
    assert_int_equal(ghee_schema_find(schema, sample_all_types[i].name), i);
    ghee_buffer_fini(&text);
  }
  assert_int_equal(ghee_schema_find(schema, "none"), -1);
  assert_int_equal(ghee_schema_find(schema, ""), -1);
  ghee_schema_unref(schema);
  ghee_schema_unref(NULL);
}

static void test_formats_that_are_none(void **state) {
  (void)state;
  static const char *const unknown[] = {"", "x", "ll", "w:", "w:-1", "w:x", "w:5 ", "+w:", "+w:9999999999", "d:", "d:20", "d:20,", "d:0,0", "d:39,0", "d:77,0,256", "d:20,3,64",
                                        "tsx:", "ts", "tss", "tdx", "tt", "+", "+lx", "+w:3x", "vu", "vz", "+vl", "+us:0,1", "+ud:0", "+r", "w:999999999999"};
  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
    ghee_type type;
    ghee_error why = {0};
    memset(&type, 7, sizeof type);
    if (ghee_type_parse(unknown[i], &type, &why) != GHEE_UNSUPPORTED) fail_msg("'%s' is taken", unknown[i]);
    assert_true(nth_alloc_untouched(&type, 7));
    assert_non_null(strstr(why.message, "cast the column"));
  }
  assert_int_equal(ghee_type_parse(NULL, &(ghee_type){0}, NULL), GHEE_CORRUPT);
}

static ghee_status make(const sample_type *columns, int n, ghee_schema **out, ghee_error *err) {
  struct ArrowSchema arrow;
  sample_schema_fill(&(sample_type){"", "+s", false, columns, n, NULL}, &arrow);
  ghee_status status = ghee_schema_new(&arrow, out, err);
  assert_null(arrow.release); /* taken all the same */
  return status;
}

static void refused(const sample_type *column, ghee_status want, const char *words) {
  ghee_schema *schema = NULL;
  ghee_error why = {0};
  ghee_status status = make(column, 1, &schema, &why);
  if (status != want || !strstr(why.message, words)) fail_msg("%s, wanted '%s': %s", ghee_status_name(status), words, why.message);
  assert_null(schema);
}

static void test_schemas_that_are_none(void **state) {
  (void)state;
  refused(&(sample_type){"v", "vu", true, NULL, 0, NULL}, GHEE_UNSUPPORTED, "column \"v\"");
  refused(&(sample_type){"l", "+l", true, NULL, 0, NULL}, GHEE_CORRUPT, "0 children, its type needs 1");
  refused(&(sample_type){"n", "l", true, sample_item, 1, NULL}, GHEE_CORRUPT, "1 children, its type needs 0");
  refused(&(sample_type){"m", "+m", true, sample_item, 1, NULL}, GHEE_CORRUPT, "pairs of key and value");
  refused(&(sample_type){"d", "g", true, NULL, 0, &sample_words}, GHEE_CORRUPT, "no integer");
  sample_type deep[80];
  for (int i = 0; i < 80; i++) deep[i] = (sample_type){"deep", i < 79 ? "+l" : "i", true, i < 79 ? &deep[i + 1] : NULL, i < 79, NULL};
  refused(&deep[0], GHEE_UNSUPPORTED, "nested deeper than 64");
  sample_type twice[] = {{"a", "i", true, NULL, 0, NULL}, {"b", "i", true, NULL, 0, NULL}, {"a", "l", true, NULL, 0, NULL}};
  ghee_schema *schema = NULL;
  ghee_error why;
  assert_int_equal(make(twice, 3, &schema, &why), GHEE_UNSUPPORTED);
  assert_string_equal(why.message, "two columns are named \"a\"; rename one of them");
  struct ArrowSchema plain;
  sample_schema_fill(&(sample_type){"n", "l", true, NULL, 0, NULL}, &plain);
  assert_int_equal(ghee_schema_new(&plain, &schema, &why), GHEE_INVALID);
  assert_null(schema);
}

static void differs(const sample_type *was, int n_was, const sample_type *now, int n_now, const char *want) {
  ghee_schema *a = sample_schema(was, n_was), *b = sample_schema(now, n_now);
  ghee_buffer text = {0};
  ghee_schema_difference(a, b, &text);
  assert_string_equal(ghee_buffer_text(&text), want);
  assert_int_equal(ghee_schema_equal(a, b), !*want);
  ghee_buffer_fini(&text);
  ghee_schema_unref(a);
  ghee_schema_unref(b);
}

static void test_differences(void **state) {
  (void)state;
  static const sample_type ab[] = {{"a", "i", true, NULL, 0, NULL}, {"b", "u", false, NULL, 0, NULL}}, ba[] = {{"b", "u", true, NULL, 0, NULL}, {"a", "i", true, NULL, 0, NULL}},
                           wider[] = {{"a", "l", true, NULL, 0, NULL}, {"b", "u", true, NULL, 0, NULL}}, null_able[] = {{"a", "i", false, NULL, 0, NULL}, {"b", "u", true, NULL, 0, NULL}};
  differs(ab, 2, ab, 2, "");
  differs(ab, 2, null_able, 2, "");
  differs(ab, 2, wider, 2, "column a is int64, was int32");
  differs(ab, 2, ab, 1, "column b is missing");
  differs(ab, 1, ab, 2, "column b is new");
  differs(ab, 2, ba, 2, "column 1 is b, was a (the order changed)");
}

static void test_the_wire(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 200; seed++) {
    ghee_random random;
    ghee_random_init(&random, seed, 0, 0);
    int n = (int)ghee_random_below(&random, 8);
    ghee_schema *schema = sample_schema(sample_random_types(&random, n), n), *back = NULL;
    ghee_buffer bytes = {0}, again = {0};
    SAMPLE_OK(ghee_schema_encode(schema, &bytes, err));
    SAMPLE_OK(ghee_schema_decode(bytes.data, bytes.size, &back, err));
    assert_true(ghee_schema_equal(schema, back));
    SAMPLE_OK(ghee_schema_encode(back, &again, err));
    assert_int_equal(again.size, bytes.size);
    assert_memory_equal(again.data, bytes.data, bytes.size);
    ghee_schema_unref(back);
    for (size_t cut = 0; cut < bytes.size; cut += 1 + bytes.size / 60) {
      uint8_t *exact = malloc(cut ? cut : 1);
      memcpy(exact, bytes.data, cut);
      back = NULL;
      assert_int_equal(ghee_schema_decode(exact, cut, &back, NULL), GHEE_CORRUPT);
      assert_null(back);
      free(exact);
    }
    for (int round = 0; round < 50; round++) { /* another schema, or refused: never harm */
      size_t at = ghee_random_below(&random, bytes.size);
      uint8_t was = bytes.data[at];
      bytes.data[at] = (uint8_t)ghee_random_next(&random);
      ghee_status status = ghee_schema_decode(bytes.data, bytes.size, &back, NULL);
      if (status == GHEE_OK) ghee_schema_unref(back);
      else assert_int_equal(status, GHEE_CORRUPT);
      bytes.data[at] = was;
    }
    ghee_buffer_put_u8(&bytes, 0); /* something left over */
    assert_int_equal(ghee_schema_decode(bytes.data, bytes.size, &back, NULL), GHEE_CORRUPT);
    ghee_buffer_fini(&bytes);
    ghee_buffer_fini(&again);
    ghee_schema_unref(schema);
  }
}

static void test_metadata(void **state) {
  (void)state;
  ghee_buffer one = {0};
  size_t size;
  ghee_metadata_put(&one, "key", "value");
  const char *metadata = (const char *)one.data;
  assert_int_equal(ghee_metadata_size(metadata, one.size), one.size);
  assert_int_equal(ghee_metadata_size(NULL, 0), 0);
  for (size_t limit = 0; limit < one.size; limit++) assert_int_equal(ghee_metadata_size(metadata, limit), -1);
  assert_memory_equal(ghee_metadata_find(metadata, "key", &size), "value", 5);
  assert_int_equal(size, 5);
  assert_null(ghee_metadata_find(metadata, "ke", &size));
  assert_null(ghee_metadata_find(NULL, "key", &size));
  one.data[3] = 0x80; /* a negative number of pairs */
  assert_int_equal(ghee_metadata_size(metadata, one.size), -1);
  ghee_buffer_fini(&one);
}

static ghee_status all_of_it(void *user, ghee_error *err) {
  ghee_schema *schema = user, *back = NULL, *chosen = NULL, *owned = NULL;
  struct ArrowSchema copy = {0};
  ghee_buffer bytes = {0};
  ghee_status status;
  GHEE_GOTO(status, end, ghee_schema_encode(schema, &bytes, err));
  GHEE_GOTO(status, end, ghee_schema_decode(bytes.data, bytes.size, &back, err));
  GHEE_GOTO(status, end, ghee_schema_project(schema, (const char *const[]){"map", "int8"}, 2, &chosen, err));
  GHEE_GOTO(status, end, ghee_schema_export(schema, &copy, err));
  GHEE_GOTO(status, end, ghee_schema_new(&copy, &owned, err));
end:
  if (copy.release) copy.release(&copy);
  ghee_schema_unref(back);
  ghee_schema_unref(chosen);
  ghee_schema_unref(owned);
  ghee_buffer_fini(&bytes);
  return status;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  ghee_schema *schema = sample_schema(sample_all_types, SAMPLE_TYPES);
  nth_alloc_each(all_of_it, schema, GHEE_OK);
  ghee_schema_unref(schema);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_types_in_words), cmocka_unit_test(test_formats_that_are_none), cmocka_unit_test(test_schemas_that_are_none),
      cmocka_unit_test(test_differences), cmocka_unit_test(test_the_wire), cmocka_unit_test(test_metadata), cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
