/* SPDX-License-Identifier: Apache-2.0
 * Inside filter/: literals as values that can be compared with those of a column without loss. */
#ifndef GHEE_FILTER_VALUE_H
#define GHEE_FILTER_VALUE_H

#include "batch/column.h"
#include "filter/tree.h"
#include "text/moment.h"

#define GHEE_INT128_MAX ((ghee_int128)(~(unsigned __int128)0 >> 1))
#define GHEE_INT128_MIN (-GHEE_INT128_MAX - 1)

/** How the values of a column are compared: as whole numbers (bool, integers, decimals without their point, dates, timestamps), as floating
 *  point, or as bytes. */
typedef enum ghee_value_class { GHEE_VALUES_WHOLE, GHEE_VALUES_REAL, GHEE_VALUES_BYTES } ghee_value_class;

/** A literal in the unit of a column. */
typedef struct ghee_value {
  ghee_int128 whole;             /* WHOLE: the largest whole number that is not greater */
  bool between;                  /* WHOLE: the literal is greater than that, so no value is equal to it */
  double real;                   /* REAL: the nearest value of the column's type */
  const uint8_t *bytes;          /* BYTES: borrowed from the literal */
  size_t size;
} ghee_value;

/** The class of a type; GHEE_SCHEMA names a column whose type cannot be compared. `field` of the column, or of its dictionary's values. */
ghee_status ghee_value_class_of(const struct ArrowSchema *column, const ghee_type *type, ghee_value_class *out, ghee_error *err);
/** GHEE_SCHEMA: a literal of another kind than the column, and what to write; GHEE_INVALID: one that is no date, or none of the type's numbers. */
ghee_status ghee_value_of(const ghee_literal *literal, const struct ArrowSchema *column, const ghee_type *type, ghee_value *out, ghee_error *err);

/** "12.5e1" × 10^scale. false: more than 100,000 as exponent. */
bool ghee_value_of_digits(const char *text, int32_t scale, ghee_value *out);

#endif
