/* SPDX-License-Identifier: Apache-2.0
 * The names of partition folders, as Hive, Spark, DuckDB and Arrow read them: "column=value". Null, and an empty text, are
 * "__HIVE_DEFAULT_PARTITION__"; what cannot stand in a path is "%XX". */
#ifndef GHEE_WORKER_PARTITION_NAME_H
#define GHEE_WORKER_PARTITION_NAME_H

#include "batch/column.h"

/** A column of this type can name folders: bool, integers, text, dates and timestamps, and dictionaries of them. GHEE_SCHEMA names column
 *  and type. */
ghee_status ghee_partition_name_check(const struct ArrowSchema *field, ghee_error *err);
/** Appends "column=value" of row `row` of a checked column. Integers in decimal, "true" and "false", dates "2024-02-29", timestamps (UTC)
 *  "2024-02-29 12:30:00", with as many digits of a second as it has. */
void ghee_partition_name_put(ghee_buffer *name, const ghee_column *column, int64_t row);

#endif
