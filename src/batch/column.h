/* SPDX-License-Identifier: Apache-2.0
 * A range of one column, with its type looked up: what every walk over a batch is made of. */
#ifndef GHEE_BATCH_COLUMN_H
#define GHEE_BATCH_COLUMN_H

#include "batch/batch.h"
#include "batch/bits.h"
#include "batch/field.h"

/** `start` counts from the buffers' beginning (the array's own offset is in it). Borrows. */
typedef struct ghee_column {
  const struct ArrowSchema *field;
  const struct ArrowArray *array;
  ghee_type type;
  int64_t start, length;
} ghee_column;

/** Rows [start, start + length) of `array`, start counted without its offset. The schema was checked: types parse. */
ghee_column ghee_column_of(const struct ArrowSchema *field, const struct ArrowArray *array, int64_t start, int64_t length);
/** Column i of a batch. */
ghee_column ghee_column_at(const ghee_batch *batch, int64_t i);
/** Column i of a struct, items of a list (map) or fixed list, values of a dictionary: the part that the range covers. */
ghee_column ghee_column_child(const ghee_column *column, int64_t i);
ghee_column ghee_column_dictionary(const ghee_column *column);

/** Bits of the buffer (the range begins at `start`), NULL where all rows are valid or the type has none. */
const uint8_t *ghee_column_validity(const ghee_column *column);
bool ghee_column_valid(const ghee_column *column, int64_t row);
/** Nulls in the range; counts bits only where there are any. */
int64_t ghee_column_nulls(const ghee_column *column);
/** For text, binary, lists: offset of row (0 … length) in the data or the items. */
int64_t ghee_column_offset(const ghee_column *column, int64_t row);
/** Of a column of whole numbers, dates, times, timestamps or durations, and of indices in a dictionary: the number; of a null row whatever stands there.
 *  Those of uint64 beyond int64 come out negative. */
int64_t ghee_column_number(const ghee_column *column, int64_t row);
/** Row i of one and row k of the other, of one type, are equal: both null, or values that are. */
bool ghee_column_same(const ghee_column *a, int64_t i, const ghee_column *b, int64_t k);

static inline bool ghee_kind_is_large(ghee_kind kind) { return ghee_kind_has_offsets(kind) && ghee_kind_offset_bytes(kind) == 8; }

#endif
