/* SPDX-License-Identifier: Apache-2.0
 * Documents: what they mean, and line and column of everything that is refused. */
#include "text/sample.h"

#include <unistd.h>

#include "base/random.h"
#include "text/json.h"

static void test_yaml_and_json_mean_the_same(void **state) {
  (void)state;
  static const char json[] = "{\"a\": 1, \"b\": [true, null, \"x\", 2.5], \"c\": {\"d\": \"yes\"}}";
  sample_reads_as(json, json);
  sample_reads_as("a: 1\nb: [true, ~, x, 2.5]\nc: {d: yes}\n", json);
  sample_reads_as("# a comment\n---\na: 1\nb:\n- true\n-\n- x\n- 2.5\nc:\n  d: yes\n...\n", json);
  sample_reads_as("{\"a\":1,\"b\":[true,null,\"x\",2.5],\n\t\"c\":{\"d\":\"yes\"}}", json); /* no blanks, tabs */
}

static void test_scalars(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"[~, null, Null, NULL, ]", "[null, null, null, null]"},
      {"[true, True, FALSE]", "[true, true, false]"},
      {"[yes, no, on, off, y, n]", "[\"yes\", \"no\", \"on\", \"off\", \"y\", \"n\"]"},
      {"[0, -1, +7, 9223372036854775807, -9223372036854775808]", "[0, -1, 7, 9223372036854775807, -9223372036854775808]"},
      {"[1.5, -2e3, .5, 1e400]", "[1.5, -2e+03, 0.5, null]"},
      {"[1.0, -0., 2e0, 2]", "[1.0, -0.0, 2.0, 2]"}, /* a real number stays one */
      {"[9223372036854775808]", "[9.223372036854776e+18]"},
      {"[1.2.3, 1-2, 2026-01-02, 0x10, 12:30, 1_000, '1', \"1\"]", "[\"1.2.3\", \"1-2\", \"2026-01-02\", \"0x10\", \"12:30\", \"1_000\", \"1\", \"1\"]"},
      {"[.inf, .nan, inf, nan, infinity]", "[\".inf\", \".nan\", \"inf\", \"nan\", \"infinity\"]"},
      {"- |\n  two\n  lines\n- >\n  one\n  line\n", "[\"two\\nlines\\n\", \"one line\\n\"]"},
      {"'it''s'", "\"it's\""},
      {"\"\\t\\\"\\\\\\/\\b\\f\\n\\r\\u00e9\"", "\"\\u0009\\\"\\\\/\\u0008\\u000c\\n\\u000d\xc3\xa9\""},
      {"[\"a\\ud83d\\ude00\\uD83D\\uDE00b\"]", "[\"a\xf0\x9f\x98\x80\xf0\x9f\x98\x80" "b\"]"}, /* two escapes of JSON, one character */
      {"[\"\\\\ud83d\\\\ude00\"]", "[\"\\\\ud83d\\\\ude00\"]"}, /* a backslash that is escaped itself */
      {"a: '\\ud83d\\ude00'", "{\"a\": \"\\\\ud83d\\\\ude00\"}"},
      {"{\"\\ud83d\\ude00\": 1}", "{\"\xf0\x9f\x98\x80\": 1}"},
      {"[\xf0\x9f\x98\x80, \xe6\x97\xa5\xe6\x9c\xac, \"\xc2\xa0\"]", "[\"\xf0\x9f\x98\x80\", \"\xe6\x97\xa5\xe6\x9c\xac\", \"\xc2\xa0\"]"},
      {"\xef\xbb\xbf" "a: 1", "{\"a\": 1}"}, /* a byte order mark */
      {"a: 1\r\nb: 2\r\n", "{\"a\": 1, \"b\": 2}"},
      {"{}", "{}"},
      {"[]", "[]"},
      {"a:", "{\"a\": null}"},
      {"007", "7"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) sample_reads_as(cases[i][0], cases[i][1]);
}

static void test_positions_of_nodes(void **state) {
  (void)state;
  ghee_document *document = sample_parse("input:\n  path: file:x\n  columns: [a, \"b\"]\n\n\xe6\x97\xa5: {z: 1}\n");
  const ghee_node *root = ghee_document_root(document), *input = ghee_node_get(root, "input");
  const ghee_node *columns = ghee_node_get(input, "columns");
  static const uint32_t want[][2] = {{1, 1}, {2, 3}, {2, 9}, {3, 12}, {3, 13}, {3, 16}, {5, 4}, {5, 8}};
  const ghee_node *nodes[] = {root, input, ghee_node_get(input, "path"), columns, columns->items[0], columns->items[1], root->items[1], root->items[1]->items[0]};
  for (size_t i = 0; i < 8; i++) {
    assert_int_equal(nodes[i]->line, want[i][0]);
    assert_int_equal(nodes[i]->column, want[i][1]); /* in characters, as editors count */
    assert_string_equal(nodes[i]->file, "job.yaml");
  }
  ghee_document_free(document);
}

static void test_refusals(void **state) {
  (void)state;
  static const struct { const char *text, *place, *words; } cases[] = {
      {"", "1:1", "empty"},
      {"# only a comment\n", "2:1", "empty"},
      {"a: 1\nb: [1, 2\n", "3:1", "expected ',' or ']'"},
      {"a: 1\n b: 2\n", "2:3", "not allowed"},
      {"a: {b: 1\nc: 2\n", "2:2", "expected ',' or '}'"},
      {"{\"a\" 1}", "1:6", "did not find expected"},
      {"a: \"open\n", "2:1", "unexpected end"},
      {"a: \"\\q\"", "1:5", "unknown escape"},
      {"a:\n\tb: 1", "2:1", "cannot start any token"},
      {"a: 1\nb: 2\na: 3\n", "3:1", "'a' stands here a second time"},
      {"x:\n  {b: 1, \"b\": 2}", "2:10", "'b' stands here a second time"},
      {"a: &anchor 1\nb: *anchor\n", "1:4", "anchors"},
      {"a: &m {x: 1}", "1:4", "anchors"},
      {"a: &l [1]", "1:4", "anchors"},
      {"&k a: 1", "1:1", "anchors"},
      {"a: *none\n", "1:4", "aliases"},
      {"<<: {a: 1}\n", "1:1", "merge keys"},
      {"a: !!str 1", "1:4", "tags"},
      {"a: !mine {b: 1}", "1:4", "tags"},
      {"!!str a: 1", "1:1", "tags"},
      {"? [a, b]\n: 1\n", "1:3", "key must be text"},
      {"{{a: 1}: 2}", "1:2", "key must be text"},
      {"a: 1\n---\nb: 2\n", "2:1", "second document"},
      {"a: \"\\0\"", "1:4", "NUL"},
      {"\"\\0\": 1", "1:1", "NUL"},
      {"a: 1\nb: \x01", "2:4", "control characters"},
      {"a: 1\nb: x\xff", "2:5", "UTF-8"},
      {"a: 1\nb: \xe6\x97\xa5 \xc0\x80", "2:6", "UTF-8"},
      {"a: \xed\xa0\x80", "1:4", "Unicode"},
      {"{\"a\": \"\\ud83d\"}", "1:10", "Unicode"},
      {"{\"a\": \"\\ude00\\ud83d\"}", "1:10", "Unicode"},
      {"{\"\\ud83d\\u0041\": 1}", "1:5", "Unicode"},
      {"a: @b", "1:4", "cannot start any token"},
      {"%YAML 3.0\n---\na: 1", "1:1", "YAML"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) sample_refused(cases[i].text, strlen(cases[i].text), cases[i].place, cases[i].words);
  sample_refused("a: \0b", 5, "1:4", "control characters");
}

static char *repeated(const char *piece, size_t n, const char *end) {
  size_t size = strlen(piece);
  char *text = malloc(size * n + strlen(end) + 1);
  for (size_t i = 0; i < n; i++) memcpy(text + i * size, piece, size);
  strcpy(text + size * n, end);
  return text;
}

static void test_long_keys(void **state) {
  (void)state;
  ghee_buffer json = {0};
  char *text = repeated("\t", 166, "x: 1"), *longer = repeated("k", 999, ": 1"), *escaped = repeated("\t", 168, "x: 1");
  text[0] = escaped[0] = 'k';
  ghee_document *document = sample_parse(text);
  ghee_node_to_json(ghee_document_root(document), &json);
  assert_true(json.size > 900);
  ghee_document_free(sample_parse(ghee_buffer_text(&json)));
  ghee_document_free(document);
  ghee_buffer_fini(&json);
  sample_refused(longer, strlen(longer), "1:1", "more than 1,000 bytes");
  sample_refused(escaped, strlen(escaped), "1:1", "more than 1,000 bytes");
  free(escaped);
  free(text);
  free(longer);
}

static void test_depth(void **state) {
  (void)state;
  char *text = repeated("[", 64, "1");
  char *closed = repeated("]", 64, "");
  char *all = malloc(strlen(text) + strlen(closed) + 1);
  strcpy(all, text);
  strcat(all, closed);
  ghee_document_free(sample_parse(all));
  free(all);
  free(text);
  free(closed);
  text = repeated("[", 100000, "");
  sample_refused(text, strlen(text), "1:66", "64 deep");
  free(text);
  text = repeated("{a: ", 66, "");
  sample_refused(text, strlen(text), "1:261", "64 deep");
  free(text);
}

static void test_sizes(void **state) {
  (void)state;
  char *text = repeated("- 1\n", 999999, "");
  ghee_document *document = sample_parse(text);
  assert_int_equal(ghee_document_root(document)->n, 999999);
  ghee_document_free(document);
  free(text);
  text = repeated("- 1\n", 1000000, "");
  sample_refused(text, strlen(text), "1000000:3", "1,000,000 nodes");
  free(text);
  size_t large = ((size_t)64 << 20) + 1;
  text = malloc(large);
  memset(text, ' ', large);
  ghee_error err;
  ghee_document *none = NULL;
  assert_int_equal(ghee_document_parse(text, large, "job.yaml", &none, &err), GHEE_INVALID);
  assert_string_equal(err.message, "job.yaml: larger than 64 MiB");
  free(text);
}

static void test_many_keys_take_no_square_of_time(void **state) {
  (void)state;
  ghee_buffer text = {0};
  for (int i = 0; i < 200000; i++) ghee_buffer_printf(&text, "key%d: 1\n", i); /* comparing each with each would be 2 × 10^10 */
  ghee_document *document = sample_parse(ghee_buffer_text(&text));
  assert_int_equal(ghee_document_root(document)->n, 200000);
  ghee_document_free(document);
  ghee_buffer_printf(&text, "key77: 2\n");
  sample_refused(ghee_buffer_text(&text), text.size, "200001:1", "'key77' stands here a second time");
  ghee_buffer_fini(&text);
}

static void test_loading(void **state) {
  (void)state;
  ghee_document *document = NULL;
  ghee_error err;
  char path[] = "/tmp/ghee-text-XXXXXX";
  int fd = mkstemp(path);
  assert_int_equal(write(fd, "a: 1\nb: [", 9), 9);
  close(fd);
  assert_int_equal(ghee_document_load(path, &document, &err), GHEE_INVALID);
  assert_int_equal(strncmp(err.message, path, strlen(path)), 0);
  assert_int_equal(truncate(path, 5), 0);
  assert_int_equal(ghee_document_load(path, &document, &err), GHEE_OK);
  assert_string_equal(sample_json(ghee_document_root(document)), "{\"a\": 1}");
  ghee_document_free(document);
  unlink(path);
  assert_int_equal(ghee_document_load(path, &document, &err), GHEE_NOT_FOUND);
  ghee_document_free(NULL);
}

/* ---- random documents, printed and read back ---- */

static void random_text(ghee_random *random, char *out) {
  static const char *const pieces[] = {"a", "Z", "0", " ", "\t", "\n", "\"", "\\", "'", ":", "#", "-", "{", "]", ",", "&", "*", "!", "%", "\x7f", "\x1f",
                                       "\r", "\xc2\x80", "\xc2\x85", "\xc2\xa0", "\xc3\xa9", "\xe2\x80\xa8", "\xe6\x97\xa5", "\xef\xbb\xbf", "\xef\xbf\xbe",
                                       "\xef\xbf\xbf", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "null", "<<", "1e5"};
  *out = 0;
  for (uint64_t n = ghee_random_below(random, 8); n; n--) strcat(out, pieces[ghee_random_below(random, sizeof pieces / sizeof *pieces)]);
}

static void random_value(ghee_random *random, int depth, const char *key, ghee_json *json) {
  char text[64], name[80];
  double real;
  uint64_t bits = ghee_random_next(random), kind = ghee_random_below(random, depth < 5 ? 8 : 6);
  random_text(random, text);
  memcpy(&real, &bits, 8);
  switch (kind) {
    case 0: ghee_json_text(json, key, NULL); return;
    case 1: ghee_json_bool(json, key, bits & 1); return;
    case 2: ghee_json_int(json, key, (int64_t)bits >> (bits % 64)); return;
    case 3: ghee_json_real(json, key, bits % 3 ? real : (double)(bits >> 50)); return;
    case 4: case 5: ghee_json_text(json, key, text); return;
    case 6:
      ghee_json_begin_list(json, key);
      for (uint64_t n = ghee_random_below(random, 4); n; n--) random_value(random, depth + 1, NULL, json);
      ghee_json_end_list(json);
      return;
    default:
      ghee_json_begin_map(json, key);
      for (uint64_t n = ghee_random_below(random, 4); n; n--) {
        random_text(random, text);
        snprintf(name, sizeof name, "%d%s", (int)n, text); /* no key twice */
        random_value(random, depth + 1, name, json);
      }
      ghee_json_end_map(json);
  }
}

static void test_what_is_printed_reads_back(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 3000; seed++) {
    ghee_random random;
    ghee_random_init(&random, seed, 0, 0);
    ghee_buffer text = {0};
    ghee_json json = {.out = &text};
    random_value(&random, 0, NULL, &json);
    ghee_document *document = sample_parse(ghee_buffer_text(&text));
    assert_string_equal(sample_json(ghee_document_root(document)), ghee_buffer_text(&text));
    ghee_document_free(document);
    ghee_buffer_fini(&text);
  }
}

static ghee_status parse_some(void *user, ghee_error *err) {
  ghee_document *document = NULL;
  ghee_status status = ghee_document_parse(user, strlen(user), "job.yaml", &document, err);
  assert_int_equal(document != NULL, status == GHEE_OK);
  ghee_document_free(document);
  return status;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  nth_alloc_each(parse_some, "a: 1\nb: [1, 2, {c: \"d\"}, [], {}]\ne: {f: [g], h: 1.5}\n", GHEE_OK);
  nth_alloc_each(parse_some, "a: 1\nb: [1, 2, {c: 1, c: 2}]\n", GHEE_INVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_yaml_and_json_mean_the_same), cmocka_unit_test(test_scalars), cmocka_unit_test(test_positions_of_nodes),
      cmocka_unit_test(test_refusals), cmocka_unit_test(test_long_keys), cmocka_unit_test(test_depth), cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_many_keys_take_no_square_of_time), cmocka_unit_test(test_loading),
      cmocka_unit_test(test_what_is_printed_reads_back), cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
