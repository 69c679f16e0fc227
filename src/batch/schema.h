/* SPDX-License-Identifier: Apache-2.0
 * A schema: the columns of batches, immutable and shared. Wraps an ArrowSchema whose format is "+s". */
#ifndef GHEE_BATCH_SCHEMA_H
#define GHEE_BATCH_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "ghee/arrow.h"

/** How deep fields may nest; deeper is GHEE_UNSUPPORTED. */
enum { GHEE_SCHEMA_DEPTH = 64 };

/** The Arrow types that ghee carries. Parameters (width, unit, zone, precision, list size) stand in ghee_type. */
typedef enum ghee_kind {
  GHEE_NULL, GHEE_BOOL,
  GHEE_INT8, GHEE_INT16, GHEE_INT32, GHEE_INT64, GHEE_UINT8, GHEE_UINT16, GHEE_UINT32, GHEE_UINT64,
  GHEE_FLOAT16, GHEE_FLOAT32, GHEE_FLOAT64,
  GHEE_BINARY, GHEE_LARGE_BINARY, GHEE_STRING, GHEE_LARGE_STRING, GHEE_FIXED_BINARY,
  GHEE_DECIMAL128, GHEE_DECIMAL256,
  GHEE_DATE32, GHEE_DATE64, GHEE_TIME32, GHEE_TIME64, GHEE_TIMESTAMP, GHEE_DURATION,
  GHEE_INTERVAL_MONTHS, GHEE_INTERVAL_DAYS, GHEE_INTERVAL_MONTH_DAY_NANO,
  GHEE_LIST, GHEE_LARGE_LIST, GHEE_FIXED_LIST, GHEE_MAP, GHEE_STRUCT
} ghee_kind;

/** What a format string says. `dictionary` of the ArrowSchema is looked at apart from it. */
typedef struct ghee_type {
  ghee_kind kind;
  int32_t width_bits;      /* of one value in the data buffer; 1 for bool, 0 where values have no fixed width */
  int32_t fixed_size;      /* fixed binary: bytes; fixed list: items */
  int32_t precision, scale;
  char unit;               /* 's' 'm' 'u' 'n'; 0 if none */
  const char *zone;        /* timestamp: borrows from the format string, "" if none */
  int n_buffers;           /* that an array of this type has */
} ghee_type;

/** GHEE_UNSUPPORTED names the type (unions, views, run-end). Thread: any. */
ghee_status ghee_type_parse(const char *format, ghee_type *out, ghee_error *err);
/** "int32", "timestamp[us, UTC]", "list<float>", "dictionary<int8, string>" … appended for messages. */
void ghee_type_describe(const struct ArrowSchema *field, ghee_buffer *text);

/** Shared, counted, immutable. Thread: any. */
typedef struct ghee_schema ghee_schema;

/** Takes `schema` (its release is set to NULL), even on failure. Every type in it is checked, and that no two columns share a
 *  name (GHEE_UNSUPPORTED). out gives: ghee_schema_unref. */
ghee_status ghee_schema_new(struct ArrowSchema *schema, ghee_schema **out, ghee_error *err);
ghee_schema *ghee_schema_ref(ghee_schema *schema);
void ghee_schema_unref(ghee_schema *schema); /* NULL is fine */
const struct ArrowSchema *ghee_schema_arrow(const ghee_schema *schema);
int64_t ghee_schema_columns(const ghee_schema *schema);
/** Index of a column, -1 if there is none. */
int64_t ghee_schema_find(const ghee_schema *schema, const char *name);
/** GHEE_NOT_FOUND: a column that is not there, with those that there are. */
ghee_status ghee_schema_not_found(const ghee_schema *schema, const char *name, ghee_error *err);
/** A deep copy for someone who wants to own one (export). */
ghee_status ghee_schema_export(const ghee_schema *schema, struct ArrowSchema *out, ghee_error *err);
/** A deep copy of a schema or a field that stays its owner's. */
ghee_status ghee_schema_copy_arrow(const struct ArrowSchema *schema, struct ArrowSchema *out, ghee_error *err);
/** Only these columns, in this order. GHEE_NOT_FOUND names the column and those that there are. */
ghee_status ghee_schema_project(const ghee_schema *schema, const char *const *names, size_t n, ghee_schema **out, ghee_error *err);
/** Same names, types, metadata that carries tensor shapes or extension types; nullability may differ. */
bool ghee_schema_equal(const ghee_schema *a, const ghee_schema *b);
/** The first difference in words: "column rating is float64, was float32". Empty if none. */
void ghee_schema_difference(const ghee_schema *was, const ghee_schema *now, ghee_buffer *text);

/** Flat bytes for the wire and the ledger. Decoding checks everything: GHEE_CORRUPT. */
ghee_status ghee_schema_encode(const ghee_schema *schema, ghee_buffer *out, ghee_error *err);
ghee_status ghee_schema_decode(const void *data, size_t size_bytes, ghee_schema **out, ghee_error *err);

#endif
