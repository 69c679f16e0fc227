/* SPDX-License-Identifier: Apache-2.0
 * A filter as its user writes it: parsed, but not yet held against the columns of an input (that is filter/predicate.h).
 *
 *   rating >= 4 and country in ('de', 'fr') and not (age is null)
 *
 * A comparison is a column, one of = == != <> < <= > >=, and a number, a 'text', true or false; besides there are `in (…)`, `not in (…)`, `is null`,
 * `is not null`, `and`, `or`, `not` and parentheses. Words of the language may be written in any case. A column whose name is no plain word stands in
 * "double quotes" or `backticks`; a quote inside of quotes is doubled. */
#ifndef GHEE_FILTER_FILTER_H
#define GHEE_FILTER_FILTER_H

#include <stddef.h>

#include "base/status.h"

/** How deep `not` and parentheses may nest. */
enum { GHEE_FILTER_DEPTH = 64 };

/** Does not change. Thread: any. */
typedef struct ghee_filter ghee_filter;

/** GHEE_INVALID says at which character of the text, and what to write. out gives: ghee_filter_free. */
ghee_status ghee_filter_parse(const char *text, ghee_filter **out, ghee_error *err);
void ghee_filter_free(ghee_filter *filter); /* NULL is fine */
/** As it was written. */
const char *ghee_filter_text(const ghee_filter *filter);
/** The columns that it names, each once, in the order in which they come. Borrowed. */
const char *const *ghee_filter_columns(const ghee_filter *filter, size_t *n);

#endif
