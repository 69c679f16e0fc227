/* SPDX-License-Identifier: Apache-2.0
 * Inside filter/: what is asked of one column, over its values and over what is known of them. */
#ifndef GHEE_FILTER_CONDITION_H
#define GHEE_FILTER_CONDITION_H

#include "filter/value.h"

/** SQL's three values, so that `and` is the least, `or` the greatest and `not` the difference to TRUE. */
enum { GHEE_FALSE, GHEE_UNKNOWN, GHEE_TRUE };
/** How a value lies to a literal; NONE of NaN. As bits. */
enum { GHEE_LESS = 1, GHEE_SAME = 2, GHEE_MORE = 4, GHEE_NONE = 8 };
/** What may come out over some rows, as bits. */
enum { GHEE_MAY_BE_TRUE = 1, GHEE_MAY_BE_FALSE = 2 };

/** Of a COMPARE or an IN. Zero-initialised is empty. Does not change. Thread: any. */
typedef struct ghee_condition {
  ghee_type type;                    /* of the values; of a dictionary's where there is one */
  ghee_value_class values;
  unsigned orders;                   /* COMPARE: those that make it true */
  bool is_list;
  GHEE_ARRAY(ghee_value) items;      /* COMPARE: one; IN: rising, those that no value is equal to left out */
} ghee_condition;

/** Borrows the node. GHEE_SCHEMA, GHEE_INVALID as of ghee_value_of. out gives: ghee_condition_fini. */
ghee_status ghee_condition_init(const ghee_filter_node *node, const struct ArrowSchema *column, ghee_condition *out, ghee_error *err);
void ghee_condition_fini(ghee_condition *of);

/** One of the three values for each row of the column. */
ghee_status ghee_condition_apply(const ghee_condition *of, const ghee_column *column, uint8_t *truth, ghee_error *err);
/** Bits of GHEE_MAY_BE_…: over values that all lie from row `row` of `least` to that of `greatest`, and NaN. A bound that is null or of another type
 *  tells nothing. */
unsigned ghee_condition_reach(const ghee_condition *of, const ghee_column *least, const ghee_column *greatest, int64_t row);
/** TRUE for each row that is null, FALSE for the others. */
void ghee_condition_nulls(const ghee_column *column, uint8_t *truth);

#endif
