/* SPDX-License-Identifier: Apache-2.0
 * A filter over batches of one schema, with SQL's three values: a row passes where the filter is true, not where it is false or, for a null,
 * unknown. Comparisons are exact: a number is compared with whole numbers and decimals as it is written, with floats as the nearest value of
 * the column's type; text by its bytes; false is less than true. NaN is not equal to, less or greater than any number, as IEEE 754 and Arrow have it,
 * so of the comparisons only != is true of it. */
#ifndef GHEE_FILTER_PREDICATE_H
#define GHEE_FILTER_PREDICATE_H

#include "batch/batch.h"
#include "filter/filter.h"

/** Does not change. Thread: any. */
typedef struct ghee_predicate ghee_predicate;

/** Borrows the filter, shares the schema. GHEE_NOT_FOUND names a column that is not there, and the nearest that is; GHEE_SCHEMA a comparison that its type does not
 *  allow: columns of bool, integers, float32 and float64, decimals of 128 bits, text, binary, dates, timestamps and dictionaries of them can be
 *  compared, all can be asked for nulls. out gives: ghee_predicate_free. */
ghee_status ghee_predicate_new(const ghee_filter *filter, ghee_schema *schema, ghee_predicate **out, ghee_error *err);
void ghee_predicate_free(ghee_predicate *of); /* NULL is fine */

/** The numbers of the rows that pass, rising. `rows` has room for all rows of the batch, whose schema is equal to the predicate's. */
ghee_status ghee_predicate_select(const ghee_predicate *of, const ghee_batch *batch, uint32_t *rows, size_t *n, ghee_error *err);

/** False where none of `rows` rows can pass. Of each column of the filter, in the order of ghee_filter_columns, `bounds` has three: one value that none is
 *  less than, one that none is greater than (NaN aside), and the count of nulls (int64), each null where it is not known; they stand in row `at`. */
bool ghee_predicate_may_pass(const ghee_predicate *of, const ghee_batch *bounds, int64_t at, int64_t rows);

#endif
