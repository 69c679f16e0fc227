/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/nth_alloc.h"
#include "filter/tree.h"

/* The tree with all its parentheses. */
static void put(const ghee_filter *filter, const ghee_filter_node *node, ghee_buffer *out) {
  static const char *const orders[] = {"=", "!=", "<", "<=", ">", ">="};
  if (node->kind == GHEE_FILTER_NOT) ghee_buffer_printf(out, "not ");
  if (node->children.count > 0 && node->kind != GHEE_FILTER_NOT) ghee_buffer_printf(out, "(");
  for (size_t i = 0; i < node->children.count; i++) {
    if (i > 0) ghee_buffer_printf(out, node->kind == GHEE_FILTER_AND ? " and " : " or ");
    put(filter, node->children.items[i], out);
  }
  if (node->children.count > 0) {
    ghee_buffer_printf(out, node->kind == GHEE_FILTER_NOT ? "" : ")");
    return;
  }
  ghee_buffer_printf(out, "[%s]", filter->columns.items[node->column]);
  if (node->kind == GHEE_FILTER_IS_NULL) ghee_buffer_printf(out, " null");
  else ghee_buffer_printf(out, " %s", node->kind == GHEE_FILTER_IN ? "in" : orders[node->order]);
  for (size_t i = 0; i < node->literals.count; i++)
    ghee_buffer_printf(out, node->literals.items[i].kind == GHEE_LITERAL_TEXT ? " '%s'" : " %s", node->literals.items[i].text);
}

static void test_what_is_understood(void **state) {
  (void)state;
  static const struct { const char *text, *tree; } cases[] = {
      {"a = 1", "[a] = 1"},
      {"a==1", "[a] = 1"},
      {"a<>1", "[a] != 1"},
      {"a != -1.5e-3", "[a] != -1.5e-3"},
      {"a<=.5", "[a] <= .5"},
      {"a >= +7.", "[a] >= +7."},
      {"a < 1 and b > 2 or c = TRUE", "(([a] < 1 and [b] > 2) or [c] = true)"},
      {"a < 1 and (b > 2 or c = False)", "([a] < 1 and ([b] > 2 or [c] = false))"},
      {"a = 1 or b = 2 or c = 3", "([a] = 1 or [b] = 2 or [c] = 3)"},
      {"not a = 1 and b = 2", "(not [a] = 1 and [b] = 2)"},
      {"not not (a = 1 or a = 2)", "not not ([a] = 1 or [a] = 2)"},
      {"rating >= 4 AND country IN ('de', 'fr') And Not (age Is Null)", "([rating] >= 4 and [country] in 'de' 'fr' and not [age] null)"},
      {"a is not null", "not [a] null"},
      {"a not in (1,2 , 3)", "not [a] in 1 2 3"},
      {"\"a b\" = 'it''s'", "[a b] = 'it's'"},
      {"`not` = ''", "[not] = ''"},
      {"\"say \"\"hi\"\"\" = 'a\"b'", "[say \"hi\"] = 'a\"b'"},
      {"größe\n\t< 1\r\n", "[größe] < 1"},
      {"a_1 = 1 and \"a_1\" = 2", "([a_1] = 1 and [a_1] = 2)"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ghee_filter *filter;
    ghee_error err;
    ghee_buffer tree = {0};
    if (ghee_filter_parse(cases[i].text, &filter, &err) != GHEE_OK) fail_msg("%s: %s", cases[i].text, err.message);
    put(filter, filter->root, &tree);
    assert_string_equal(ghee_buffer_text(&tree), cases[i].tree);
    assert_string_equal(ghee_filter_text(filter), cases[i].text);
    ghee_buffer_fini(&tree);
    ghee_filter_free(filter);
  }
}

static void test_columns_are_named_once(void **state) {
  (void)state;
  ghee_filter *filter;
  size_t n;
  assert_int_equal(ghee_filter_parse("b = 1 and (a = 2 or b is null) and \"c d\" in (1)", &filter, NULL), GHEE_OK);
  const char *const *columns = ghee_filter_columns(filter, &n);
  assert_int_equal(n, 3);
  assert_string_equal(columns[0], "b");
  assert_string_equal(columns[1], "a");
  assert_string_equal(columns[2], "c d");
  ghee_filter_free(filter);
}

static void refused(const char *text, size_t at, const char *words) {
  ghee_filter *filter = NULL;
  ghee_error err;
  char place[40];
  if (ghee_filter_parse(text, &filter, &err) != GHEE_INVALID) fail_msg("%s is understood", text);
  assert_null(filter);
  snprintf(place, sizeof place, "the filter, character %zu: ", at);
  if (strncmp(err.message, place, strlen(place)) != 0) fail_msg("%s: not at %zu: %s", text, at, err.message);
  if (!strstr(err.message, words)) fail_msg("%s: '%s' is not in: %s", text, words, err.message);
}

static void test_what_is_refused(void **state) {
  (void)state;
  refused("", 1, "empty");
  refused("  ", 1, "empty");
  refused("a", 2, "a comparison");
  refused("active and b = 1", 8, "= true");
  refused("a = ", 5, "it ends where a number");
  refused("a = null", 5, "`is null`");
  refused("a in (1, null)", 10, "`is null`");
  refused("country = \"de\"", 11, "single quotes");
  refused("country = de", 11, "single quotes");
  refused("5 < a", 1, "begins with its column");
  refused("a = 1 b = 2", 7, "`and`, `or` or the end");
  refused("a = 1 and", 10, "it ends where a column");
  refused("a = 1 and or b = 1", 11, "'or'");
  refused("(a = 1", 7, "')'");
  refused("a = 1)", 6, "the end");
  refused("a in 1", 6, "'('");
  refused("a in ()", 7, "a number");
  refused("a in (1 2)", 9, "','");
  refused("a is 1", 6, "`null`");
  refused("a not 1", 7, "`in`");
  refused("a like 'x'", 3, "a comparison");
  refused("a = 'x", 5, "not closed");
  refused("\"a = 1", 1, "not closed");
  refused("\"\" = 1", 1, "missing");
  refused("ä = 1 ; b = 2", 7, "';'");
  refused("1a = 1", 1, "double quotes");
  refused("a - 1 = 2", 3, "'-'");
  refused("a.b = 1", 2, "double quotes");
}

static char *nested(int depth, const char *open, const char *close) {
  ghee_buffer text = {0};
  for (int i = 0; i < depth; i++) ghee_buffer_printf(&text, "%s", open);
  ghee_buffer_printf(&text, "a = 1");
  for (int i = 0; i < depth; i++) ghee_buffer_printf(&text, "%s", close);
  ghee_buffer_put(&text, "", 1);
  return (char *)text.data;
}

static void test_depth_is_bounded(void **state) {
  (void)state;
  static const char *const pairs[][2] = {{"(", ")"}, {"not ", ""}};
  for (int i = 0; i < 2; i++) {
    ghee_filter *filter;
    char *deep = nested(GHEE_FILTER_DEPTH, pairs[i][0], pairs[i][1]), *deeper = nested(GHEE_FILTER_DEPTH + 1, pairs[i][0], pairs[i][1]);
    assert_int_equal(ghee_filter_parse(deep, &filter, NULL), GHEE_OK);
    ghee_filter_free(filter);
    refused(deeper, GHEE_FILTER_DEPTH * strlen(pairs[i][0]) + 1, "nested more than 64 deep");
    ghee_free(deep);
    ghee_free(deeper);
  }
}

static ghee_status parse(void *user, ghee_error *err) {
  ghee_filter *filter = NULL;
  ghee_status status = ghee_filter_parse(user, &filter, err);
  if (status != GHEE_OK) assert_null(filter);
  ghee_filter_free(filter);
  return status;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  assert_true(nth_alloc_each(parse, "not (a = 1 or b in ('x', 'y') or \"c\" is not null)", GHEE_OK) > 10);
  nth_alloc_each(parse, "a = 1 and b in ('x', 'y'", GHEE_INVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_what_is_understood), cmocka_unit_test(test_columns_are_named_once), cmocka_unit_test(test_what_is_refused),
      cmocka_unit_test(test_depth_is_bounded), cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
