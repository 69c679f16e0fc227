/* SPDX-License-Identifier: Apache-2.0
 * The order of a batch's rows by some of its columns. */
#ifndef GHEE_BATCH_SORT_H
#define GHEE_BATCH_SORT_H

#include "batch/batch.h"

typedef struct ghee_sort_key { const char *column; bool descending; } ghee_sort_key;

/** Fills `rows` with the numbers of all rows (ghee_batch_rows of them) in order: by the first key, where it is equal by the next, and so on; stable.
 *  Text and binary by their bytes, false before true, NaN greater than all numbers, -0 and 0 equal. Nulls last, descending or not.
 *  Columns that have an order: bool, numbers, decimals of 128 bits, text, binary, dates and times, and dictionaries of them. GHEE_NOT_FOUND: a column is not
 *  there; GHEE_SCHEMA names column and type of one without an order. */
ghee_status ghee_batch_sort(const ghee_batch *batch, const ghee_sort_key *keys, size_t n, uint32_t *rows, ghee_error *err);

#endif
