/* SPDX-License-Identifier: Apache-2.0
 * Checked access: every reader takes what it should and refuses the rest in words, with the position. */
#include "text/sample.h"

static const char text[] =
    "word: hello\nnumber: 42\nreal: 2.5\nyes: true\nnothing:\nlist: [a, 1, true]\nmap: {x: 1}\nsize: 1.5GiB\ntime: 500ms\nnested: [[1]]\nholes: [a, ~]\n";

typedef struct fixture { ghee_document *document; const ghee_node *root; } fixture;
static fixture of;

static int setup(void **state) {
  (void)state;
  of.document = sample_parse(text);
  of.root = ghee_document_root(of.document);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  ghee_document_free(of.document);
  return 0;
}

static void says(const ghee_error *err, const char *want) { assert_string_equal(err->message, want); }

static void test_right_kinds(void **state) {
  (void)state;
  const char *word = "before", **words = NULL;
  bool flag = false;
  int64_t number = 0;
  double real = 0;
  uint64_t size = 0, ms = 0;
  size_t n = 0;
  const ghee_node *map = NULL;
  assert_int_equal(ghee_node_read_text(of.root, "word", &word, NULL), GHEE_OK);
  assert_string_equal(word, "hello");
  assert_int_equal(ghee_node_read_text(of.root, "number", &word, NULL), GHEE_OK); /* as written */
  assert_string_equal(word, "42");
  assert_int_equal(ghee_node_read_bool(of.root, "yes", &flag, NULL), GHEE_OK);
  assert_int_equal(ghee_node_read_int(of.root, "number", 42, 42, &number, NULL), GHEE_OK);
  assert_int_equal(ghee_node_read_real(of.root, "real", 2.5, 2.5, &real, NULL), GHEE_OK);
  assert_int_equal(ghee_node_read_bytes(of.root, "size", &size, NULL), GHEE_OK);
  assert_int_equal(ghee_node_read_duration(of.root, "time", &ms, NULL), GHEE_OK);
  assert_true(flag && number == 42 && real == 2.5 && size == 3u << 29 && ms == 500);
  assert_int_equal(ghee_node_read_real(of.root, "number", 0, 100, &real, NULL), GHEE_OK); /* a whole number is a number */
  assert_int_equal(ghee_node_read_bytes(of.root, "number", &size, NULL), GHEE_OK);
  assert_int_equal(ghee_node_read_duration(of.root, "real", &ms, NULL), GHEE_OK);
  assert_true(real == 42 && size == 42 && ms == 2500);
  assert_int_equal(ghee_node_read_map(of.root, "map", &map, NULL), GHEE_OK);
  assert_int_equal(map->n, 1);
  assert_int_equal(ghee_node_read_texts(of.root, "list", &words, &n, NULL), GHEE_OK);
  assert_int_equal(n, 3);
  assert_string_equal(words[1], "1");
  ghee_free(words);
  assert_int_equal(ghee_node_read_texts(of.root, "word", &words, &n, NULL), GHEE_OK); /* one is a list of one */
  assert_int_equal(n, 1);
  assert_string_equal(words[0], "hello");
  ghee_free(words);
}

static void test_absent_and_null_leave_the_default(void **state) {
  (void)state;
  static const char *const keys[] = {"none", "nothing"};
  for (int i = 0; i < 2; i++) {
    const char *word = "default", **words = &word;
    bool flag = true;
    int64_t number = 7;
    double real = 7;
    uint64_t size = 7, ms = 7;
    size_t n = 7;
    int choice = 7;
    const ghee_node *map = of.root;
    assert_null(ghee_node_get(of.root, keys[i]));
    assert_int_equal(ghee_node_read_text(of.root, keys[i], &word, NULL), GHEE_OK);
    assert_int_equal(ghee_node_read_bool(of.root, keys[i], &flag, NULL), GHEE_OK);
    assert_int_equal(ghee_node_read_int(of.root, keys[i], 0, 1, &number, NULL), GHEE_OK);
    assert_int_equal(ghee_node_read_real(of.root, keys[i], 0, 1, &real, NULL), GHEE_OK);
    assert_int_equal(ghee_node_read_bytes(of.root, keys[i], &size, NULL), GHEE_OK);
    assert_int_equal(ghee_node_read_duration(of.root, keys[i], &ms, NULL), GHEE_OK);
    assert_int_equal(ghee_node_read_texts(of.root, keys[i], &words, &n, NULL), GHEE_OK);
    assert_int_equal(ghee_node_read_choice(of.root, keys[i], (const char *const[]){"a", NULL}, &choice, NULL), GHEE_OK);
    assert_int_equal(ghee_node_read_map(of.root, keys[i], &map, NULL), GHEE_OK);
    assert_true(flag && number == 7 && real == 7 && size == 7 && ms == 7 && n == 7 && choice == 7 && words == &word && map == of.root);
    assert_string_equal(word, "default");
  }
}

static void test_wrong_kinds(void **state) {
  (void)state;
  ghee_error err;
  const char *word, **words;
  bool flag;
  int64_t number;
  double real;
  uint64_t size;
  size_t n;
  const ghee_node *map;
  assert_int_equal(ghee_node_read_text(of.root, "list", &word, &err), GHEE_INVALID);
  says(&err, "job.yaml:6:7: list must be text, not a list");
  assert_int_equal(ghee_node_read_bool(of.root, "word", &flag, &err), GHEE_INVALID);
  says(&err, "job.yaml:1:7: word must be true or false, not text (hello)");
  assert_int_equal(ghee_node_read_int(of.root, "real", 0, 1, &number, &err), GHEE_INVALID);
  says(&err, "job.yaml:3:7: real must be a whole number, not a number (2.5)");
  assert_int_equal(ghee_node_read_int(of.root, "number", 1, 41, &number, &err), GHEE_INVALID);
  says(&err, "job.yaml:2:9: number must be from 1 to 41, not 42");
  assert_int_equal(ghee_node_read_real(of.root, "real", 3, 4, &real, &err), GHEE_INVALID);
  says(&err, "job.yaml:3:7: real must be from 3 to 4, not 2.5");
  assert_int_equal(ghee_node_read_real(of.root, "yes", 3, 4, &real, &err), GHEE_INVALID);
  assert_int_equal(ghee_node_read_bytes(of.root, "word", &size, &err), GHEE_INVALID);
  says(&err, "job.yaml:1:7: word must be a size like 256MiB, not text (hello)");
  assert_int_equal(ghee_node_read_duration(of.root, "size", &size, &err), GHEE_INVALID);
  says(&err, "job.yaml:8:7: size must be a time like 30s, not text (1.5GiB)");
  assert_int_equal(ghee_node_read_texts(of.root, "map", &words, &n, &err), GHEE_INVALID);
  assert_int_equal(ghee_node_read_texts(of.root, "nested", &words, &n, &err), GHEE_INVALID);
  says(&err, "job.yaml:10:10: nested must be a list of texts, not a list");
  assert_int_equal(ghee_node_read_texts(of.root, "holes", &words, &n, &err), GHEE_INVALID);
  assert_int_equal(ghee_node_read_map(of.root, "word", &map, &err), GHEE_INVALID);
}

static void test_choices_and_keys(void **state) {
  (void)state;
  ghee_error err;
  int choice = -1;
  static const char *const words[] = {"hallo", "hello", "bye", NULL}, *const others[] = {"jello", "zzz", NULL}, *const far[] = {"one", "two", NULL};
  assert_int_equal(ghee_node_read_choice(of.root, "word", words, &choice, NULL), GHEE_OK);
  assert_int_equal(choice, 1);
  assert_int_equal(ghee_node_read_choice(of.root, "word", others, &choice, &err), GHEE_INVALID);
  says(&err, "job.yaml:1:7: word must be one of jello, zzz, not 'hello'; did you mean 'jello'?");
  assert_int_equal(ghee_node_read_choice(of.root, "word", far, &choice, &err), GHEE_INVALID);
  says(&err, "job.yaml:1:7: word must be one of one, two, not 'hello'");
  static const char *const known[] = {"x", "y", NULL}, *const near[] = {"wrd", "number", NULL};
  assert_int_equal(ghee_node_only(ghee_node_get(of.root, "map"), "map", known, NULL), GHEE_OK);
  assert_int_equal(ghee_node_only(of.root, "the job", near, &err), GHEE_INVALID);
  says(&err, "job.yaml:1:7: unknown key 'word' in the job; did you mean 'wrd'?");
  assert_int_equal(ghee_node_only(of.root, "the job", known, &err), GHEE_INVALID);
  says(&err, "job.yaml:1:7: unknown key 'word' in the job; there are x, y");
  assert_int_equal(ghee_node_only(ghee_node_get(of.root, "list"), "list", known, &err), GHEE_INVALID);
  says(&err, "job.yaml:6:7: list must be a map, not a list");
}

static ghee_status read_texts(void *user, ghee_error *err) {
  (void)user;
  const char **words;
  size_t n;
  GHEE_TRY(ghee_node_read_texts(of.root, "list", &words, &n, err));
  ghee_free(words);
  return GHEE_OK;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  assert_int_equal(nth_alloc_each(read_texts, NULL, GHEE_OK), 1);
}

int main(void) {
#define IN_DOCUMENT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
  const struct CMUnitTest tests[] = {
      IN_DOCUMENT(test_right_kinds), IN_DOCUMENT(test_absent_and_null_leave_the_default), IN_DOCUMENT(test_wrong_kinds),
      IN_DOCUMENT(test_choices_and_keys), IN_DOCUMENT(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
