/* SPDX-License-Identifier: Apache-2.0
 * Inside plan/: folders "name=value" as columns, as Hive, Spark and `partition_by` lay out tables. What a file's path says is not in the
 * file: its columns are added to each batch. */
#ifndef GHEE_PLAN_FOLDERS_H
#define GHEE_PLAN_FOLDERS_H

#include "batch/batch.h"
#include "plan/listing.h"

/** A column that folders give. Of the kinds bool, int64, date32, string: the first that all values of the input are of. */
typedef struct ghee_folder_key { char *name; ghee_kind kind; } ghee_folder_key;
/** In any order; what is found in paths is in theirs. */
typedef struct ghee_folder_keys { ghee_folder_key *items; size_t count, capacity; } ghee_folder_keys;

/** What the path of one file says of each key. */
typedef struct ghee_folder_value { char *text; /* unescaped; NULL: null */ int64_t number; } ghee_folder_value;
typedef struct ghee_folder_values { ghee_folder_value *items; size_t count, capacity; } ghee_folder_values;

/** Adds the keys of one path, unescaped, as texts. GHEE_SCHEMA: one is there twice. out gives: ghee_folder_keys_fini, also on failure. */
ghee_status ghee_folder_keys_add(const char *path, ghee_folder_keys *out, ghee_error *err);
/** The keys of all files; none where no path has any. GHEE_SCHEMA: files that do not lie in folders of the same keys. out gives:
 *  ghee_folder_keys_fini, also on failure. */
ghee_status ghee_folder_keys_find(const ghee_plan_listing *listing, ghee_folder_keys *out, ghee_error *err);
/** Those columns of `whole` that are not in `files`. Likewise. */
ghee_status ghee_folder_keys_between(const ghee_schema *whole, const ghee_schema *files, ghee_folder_keys *out, ghee_error *err);
/** Forgets the keys that are columns of the files. */
void ghee_folder_keys_drop(ghee_folder_keys *keys, const ghee_schema *files);
void ghee_folder_keys_fini(ghee_folder_keys *keys);

/** The columns of the files with the keys behind them; of these `columns` in their order, n 0: all. GHEE_NOT_FOUND, GHEE_SCHEMA. */
ghee_status ghee_folder_schema(const ghee_folder_keys *keys, const ghee_schema *files, const char *const *columns, size_t n, ghee_schema **out, ghee_error *err);

/** `path`: of the URI what lies behind the input's own folder. GHEE_CORRUPT: it has not these keys. out gives: ghee_folder_values_fini, also on
 *  failure. */
ghee_status ghee_folder_values_read(const ghee_folder_keys *keys, const char *path, ghee_folder_values *out, ghee_error *err);
void ghee_folder_values_fini(ghee_folder_values *values);

/** The Arrow format of a key. */
const char *ghee_folder_format(ghee_kind kind);
/** A column of one value, `rows` times. out gives. */
ghee_status ghee_folder_column(ghee_kind kind, const ghee_folder_value *value, int64_t rows, struct ArrowArray *out, ghee_error *err);
/** The batch's columns and the keys' in the order of `schema`. Takes the batch, also on failure. */
ghee_status ghee_folder_add(const ghee_folder_keys *keys, const ghee_folder_values *values, ghee_schema *schema, ghee_batch *batch, ghee_batch *out,
                            ghee_error *err);

#endif
