/* SPDX-License-Identifier: Apache-2.0
 * Text to the tree of a filter.
 *
 *   any    = all { "or" all }          all = one { "and" one }          one = "not" one | "(" any ")" | column test
 *   test   = order literal | ["not"] "in" "(" literal { "," literal } ")" | "is" ["not"] "null" */
#include <string.h>

#include "base/memory.h"
#include "filter/scan.h"

typedef struct parser {
  ghee_filter *filter;
  ghee_token now;
  int depth;
} parser;

static ghee_status no_memory(ghee_error *err) { return ghee_error_no_memory(err, "reading a filter"); }

/* ---- tokens ---- */

static ghee_status step(parser *of, ghee_error *err) { return ghee_token_next(&of->now, err); }

static bool is_word_of_language(const ghee_token *token) {
  static const char *const words[] = {"and", "or", "not", "in", "is", "null", "true", "false", NULL};
  for (const char *const *word = words; *word; word++)
    if (ghee_token_is(token, *word)) return true;
  return false;
}

static ghee_status expected(const parser *of, const char *what, ghee_error *err) {
  if (of->now.kind == GHEE_TOKEN_END) return ghee_filter_error(of->now.at, err, "it ends where %s should stand", what);
  return ghee_filter_error(of->now.at, err, "%s should stand where '%.*s' is", what, of->now.size > 100 ? 100 : (int)of->now.size, of->now.from);
}

static ghee_status take(parser *of, ghee_token_kind kind, const char *what, ghee_error *err) {
  return of->now.kind == kind ? step(of, err) : expected(of, what, err);
}

/* ---- nodes ---- */

static ghee_status add_node(parser *of, ghee_filter_kind kind, size_t at, ghee_filter_node **out, ghee_error *err) {
  ghee_filter_node *node = ghee_alloc_zero(1, sizeof *node);
  if (!node) return no_memory(err);
  *node = (ghee_filter_node){.kind = kind, .index = of->filter->nodes.count, .at = at};
  if (!ghee_array_push(&of->filter->nodes, node)) {
    ghee_free(node);
    return no_memory(err);
  }
  *out = node;
  return GHEE_OK;
}

static ghee_status add_child(ghee_filter_node *to, ghee_filter_node *child, ghee_error *err) {
  return ghee_array_push(&to->children, child) ? GHEE_OK : no_memory(err);
}

static ghee_status negate(parser *of, ghee_filter_node **node, ghee_error *err) {
  ghee_filter_node *not;
  GHEE_TRY(add_node(of, GHEE_FILTER_NOT, (*node)->at, &not, err));
  GHEE_TRY(add_child(not, *node, err));
  *node = not;
  return GHEE_OK;
}

/* ---- columns and literals ---- */

static ghee_status read_column(parser *of, size_t *out, ghee_error *err) {
  const ghee_token *now = &of->now;
  if (now->kind == GHEE_TOKEN_NUMBER || now->kind == GHEE_TOKEN_TEXT || ghee_token_is(now, "true") || ghee_token_is(now, "false"))
    return ghee_filter_error(now->at, err, "a comparison begins with its column: write \"column < 5\", not \"5 > column\"");
  if (now->kind != GHEE_TOKEN_NAME && (now->kind != GHEE_TOKEN_WORD || is_word_of_language(now))) return expected(of, "a column, `not` or '('", err);
  char *name = ghee_token_value(now);
  if (!name) return no_memory(err);
  for (*out = 0; *out < of->filter->columns.count; (*out)++) {
    if (strcmp(of->filter->columns.items[*out], name) != 0) continue;
    ghee_free(name);
    return step(of, err);
  }
  if (!ghee_array_push(&of->filter->columns, name)) {
    ghee_free(name);
    return no_memory(err);
  }
  return step(of, err);
}

static ghee_status check_literal(const parser *of, ghee_error *err) {
  const ghee_token *now = &of->now;
  if (now->kind == GHEE_TOKEN_NUMBER || now->kind == GHEE_TOKEN_TEXT || ghee_token_is(now, "true") || ghee_token_is(now, "false")) return GHEE_OK;
  if (ghee_token_is(now, "null")) return ghee_filter_error(now->at, err, "nothing is equal to null, or unequal: write `is null` or `is not null`");
  bool name = now->kind == GHEE_TOKEN_NAME || (now->kind == GHEE_TOKEN_WORD && !is_word_of_language(now));
  if (!name) return expected(of, "a number, a 'text', true or false", err);
  return ghee_filter_error(now->at, err, "%.*s is the name of a column, and columns are compared with values only; text stands in single quotes",
                           now->size > 100 ? 100 : (int)now->size, now->from);
}

static ghee_status read_literal(parser *of, ghee_filter_node *to, ghee_error *err) {
  GHEE_TRY(check_literal(of, err));
  ghee_literal literal = {.kind = GHEE_LITERAL_BOOL, .at = of->now.at};
  if (of->now.kind == GHEE_TOKEN_NUMBER) literal.kind = GHEE_LITERAL_NUMBER;
  if (of->now.kind == GHEE_TOKEN_TEXT) literal.kind = GHEE_LITERAL_TEXT;
  literal.text = literal.kind != GHEE_LITERAL_BOOL ? ghee_token_value(&of->now) : ghee_strdup(ghee_token_is(&of->now, "true") ? "true" : "false");
  if (!literal.text || !ghee_array_push(&to->literals, literal)) {
    ghee_free(literal.text);
    return no_memory(err);
  }
  return step(of, err);
}

/* ---- the grammar ---- */

static ghee_status read_list(parser *of, ghee_filter_node *to, ghee_error *err) {
  GHEE_TRY(take(of, GHEE_TOKEN_OPEN, "'(' and the values", err));
  for (;;) {
    GHEE_TRY(read_literal(of, to, err));
    if (of->now.kind != GHEE_TOKEN_COMMA) break;
    GHEE_TRY(step(of, err));
  }
  return take(of, GHEE_TOKEN_CLOSE, "',' or ')'", err);
}

/* What is asked of a column. */
static ghee_status read_test(parser *of, ghee_filter_node **out, ghee_error *err) {
  size_t at = of->now.at, column = 0;
  GHEE_TRY(read_column(of, &column, err));
  ghee_token test = of->now;
  bool in = ghee_token_is(&test, "in") || ghee_token_is(&test, "not"), is = ghee_token_is(&test, "is"), not = ghee_token_is(&test, "not");
  if (!in && !is && test.kind != GHEE_TOKEN_ORDER)
    return expected(of, "a comparison (= != < <= > >=, `in (…)`, `is null`; of a column of true and false: = true)", err);
  GHEE_TRY(add_node(of, in ? GHEE_FILTER_IN : is ? GHEE_FILTER_IS_NULL : GHEE_FILTER_COMPARE, at, out, err));
  (*out)->column = column;
  (*out)->order = test.order;
  GHEE_TRY(step(of, err));
  if (is && ghee_token_is(&of->now, "not")) {
    not = true;
    GHEE_TRY(step(of, err));
  } else if (not) {
    if (!ghee_token_is(&of->now, "in")) return expected(of, "`in`", err);
    GHEE_TRY(step(of, err));
  }
  if (is && !ghee_token_is(&of->now, "null")) return expected(of, "`null`", err);
  GHEE_TRY(is ? step(of, err) : in ? read_list(of, *out, err) : read_literal(of, *out, err));
  return not ? negate(of, out, err) : GHEE_OK;
}

static ghee_status read_any(parser *of, ghee_filter_node **out, ghee_error *err);

static ghee_status read_one(parser *of, ghee_filter_node **out, ghee_error *err) {
  bool not = ghee_token_is(&of->now, "not");
  if (!not && of->now.kind != GHEE_TOKEN_OPEN) return read_test(of, out, err);
  if (++of->depth > GHEE_FILTER_DEPTH) return ghee_filter_error(of->now.at, err, "it is nested more than %d deep", GHEE_FILTER_DEPTH);
  GHEE_TRY(step(of, err));
  GHEE_TRY(not ? read_one(of, out, err) : read_any(of, out, err));
  if (!not) GHEE_TRY(take(of, GHEE_TOKEN_CLOSE, "`and`, `or` or ')'", err));
  of->depth--;
  return not ? negate(of, out, err) : GHEE_OK;
}

/* Operands with this word between them; one alone is itself. */
static ghee_status read_chain(parser *of, const char *word, ghee_filter_kind kind, ghee_status (*operand)(parser *, ghee_filter_node **, ghee_error *),
                              ghee_filter_node **out, ghee_error *err) {
  ghee_filter_node *first, *chain = NULL;
  GHEE_TRY(operand(of, &first, err));
  while (ghee_token_is(&of->now, word)) {
    ghee_filter_node *next;
    GHEE_TRY(step(of, err));
    if (!chain) {
      GHEE_TRY(add_node(of, kind, first->at, &chain, err));
      GHEE_TRY(add_child(chain, first, err));
    }
    GHEE_TRY(operand(of, &next, err));
    GHEE_TRY(add_child(chain, next, err));
  }
  *out = chain ? chain : first;
  return GHEE_OK;
}

static ghee_status read_all(parser *of, ghee_filter_node **out, ghee_error *err) { return read_chain(of, "and", GHEE_FILTER_AND, read_one, out, err); }
static ghee_status read_any(parser *of, ghee_filter_node **out, ghee_error *err) { return read_chain(of, "or", GHEE_FILTER_OR, read_all, out, err); }

static ghee_status read_filter(ghee_filter *filter, ghee_error *err) {
  parser of = {.filter = filter, .now = {.from = filter->text, .at = 1}};
  ghee_filter_node *root;
  GHEE_TRY(step(&of, err));
  if (of.now.kind == GHEE_TOKEN_END) return ghee_filter_error(1, err, "it is empty: write what the rows are to fulfil, \"rating >= 4\", or leave it out");
  GHEE_TRY(read_any(&of, &root, err));
  if (of.now.kind != GHEE_TOKEN_END) return expected(&of, "`and`, `or` or the end", err);
  filter->root = root;
  return GHEE_OK;
}

/* ---- the filter ---- */

ghee_status ghee_filter_parse(const char *text, ghee_filter **out, ghee_error *err) {
  ghee_filter *filter = ghee_alloc_zero(1, sizeof *filter);
  if (!filter) return no_memory(err);
  filter->text = ghee_strdup(text);
  ghee_status status = filter->text ? read_filter(filter, err) : no_memory(err);
  if (status != GHEE_OK) {
    ghee_filter_free(filter);
    return status;
  }
  *out = filter;
  return GHEE_OK;
}

static void node_free(ghee_filter_node *node) {
  for (size_t i = 0; i < node->literals.count; i++) ghee_free(node->literals.items[i].text);
  ghee_array_fini(&node->literals);
  ghee_array_fini(&node->children);
  ghee_free(node);
}

void ghee_filter_free(ghee_filter *filter) {
  if (!filter) return;
  for (size_t i = 0; i < filter->nodes.count; i++) node_free(filter->nodes.items[i]);
  for (size_t i = 0; i < filter->columns.count; i++) ghee_free(filter->columns.items[i]);
  ghee_array_fini(&filter->nodes);
  ghee_array_fini(&filter->columns);
  ghee_free(filter->text);
  ghee_free(filter);
}

const char *ghee_filter_text(const ghee_filter *filter) { return filter->text; }

const char *const *ghee_filter_columns(const ghee_filter *filter, size_t *n) {
  *n = filter->columns.count;
  return (const char *const *)filter->columns.items;
}
