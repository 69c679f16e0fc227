/* SPDX-License-Identifier: Apache-2.0
 * The C face of libghee_columnar.so (the Rust crate in this folder): Parquet, CSV, JSON lines and Arrow IPC files, read and
 * written through the caller's functions. One ABI for all formats; src/format/shim.c is its only user.
 *
 * A callback returns GHEE_OK or its own failure; the shim then stops and returns that status without touching `err`, so the
 * callback's own message stands. No panic crosses: it becomes GHEE_CORRUPT (reading) or GHEE_INTERNAL (writing). */
#ifndef GHEE_FORMAT_COLUMNAR_H
#define GHEE_FORMAT_COLUMNAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghee/arrow.h"
#include "ghee/status.h"

typedef enum ghee_columnar_kind {
  GHEE_COLUMNAR_PARQUET = 0,
  GHEE_COLUMNAR_CSV = 1,
  GHEE_COLUMNAR_JSONL = 2,
  GHEE_COLUMNAR_IPC = 3,
  GHEE_COLUMNAR_ORC = 4 /* only read */
} ghee_columnar_kind;

/** Some bytes of a file, and where they go. */
typedef struct ghee_columnar_range {
  uint64_t offset;
  size_t size_bytes;
  uint8_t *into;
} ghee_columnar_range;

/** Random reads. `read` fills exactly `size_bytes` bytes, `read_many` all of its ranges (the column chunks of a row group). Copied by the
 *  shim; `ctx` outlives whatever was made with it. */
typedef struct ghee_columnar_source {
  void *ctx;
  uint64_t size_bytes;
  ghee_status (*read)(void *ctx, uint64_t offset, size_t size_bytes, uint8_t *into);
  ghee_status (*read_many)(void *ctx, const ghee_columnar_range *ranges, size_t n);
} ghee_columnar_source;

/** Bytes in order, in pieces of about 1 MiB. */
typedef struct ghee_columnar_sink {
  void *ctx;
  ghee_status (*write)(void *ctx, const uint8_t *data, size_t size_bytes);
} ghee_columnar_sink;

typedef struct ghee_columnar_read_options {
  const char *const *columns;       /* NULL: all */
  size_t n_columns;
  int64_t batch_rows;               /* at least 1 */
  const struct ArrowSchema *schema; /* text formats: the types; borrowed for the call; NULL: infer */
  uint8_t csv_delimiter;
  bool csv_no_header;
  const char *csv_null;             /* NULL: only the empty field */
  bool bounds;                      /* ghee_columnar_bounds will be called */
} ghee_columnar_read_options;

typedef struct ghee_columnar_write_options {
  const char *codec;                /* NULL: the format's default */
  int64_t row_group_rows;           /* at least 1 */
  uint8_t csv_delimiter;
  bool ipc_stream;                  /* a stream, not a file */
} ghee_columnar_write_options;

/** As ghee_part in format.h. */
typedef struct ghee_columnar_part {
  uint32_t index;
  uint64_t offset, size_bytes;
  int64_t rows;
  uint64_t memory_bytes;
} ghee_columnar_part;

typedef struct ghee_columnar_file ghee_columnar_file;     /* immutable once open. Thread: any */
typedef struct ghee_columnar_rows ghee_columnar_rows;     /* Owner: one thread */
typedef struct ghee_columnar_writer ghee_columnar_writer; /* Owner: one thread */

ghee_status ghee_columnar_open(ghee_columnar_kind kind, const ghee_columnar_source *source,
                               const ghee_columnar_read_options *options, ghee_columnar_file **out, ghee_error *err);
void ghee_columnar_close(ghee_columnar_file *file); /* NULL is fine */
/** The schema after projection; the caller releases it. */
ghee_status ghee_columnar_schema(const ghee_columnar_file *file, struct ArrowSchema *out, ghee_error *err);
/** Calls `each` in order of the file. */
ghee_status ghee_columnar_parts(const ghee_columnar_file *file, const ghee_columnar_source *source, uint64_t text_part_bytes,
                                ghee_status (*each)(void *user, const ghee_columnar_part *part), void *user, ghee_error *err);
/** A struct array with a row for each row group of a Parquet file or stripe of an ORC file: of each column the least value, the greatest, and the count of nulls (int64), null
 *  where the footer does not tell. The caller releases both. */
ghee_status ghee_columnar_bounds(const ghee_columnar_file *file, const char *const *columns, size_t n, struct ArrowSchema *schema,
                                 struct ArrowArray *array, ghee_error *err);
/** Rows of one part from row `skip_rows` on. The file may be closed before the rows end. */
ghee_status ghee_columnar_read(const ghee_columnar_file *file, const ghee_columnar_source *source, const ghee_columnar_part *part,
                               int64_t skip_rows, ghee_columnar_rows **out, ghee_error *err);
/** One struct array; GHEE_CLOSED at the end. The caller releases it. After a failure nothing but GHEE_CLOSED comes. */
ghee_status ghee_columnar_next(ghee_columnar_rows *rows, struct ArrowArray *out, ghee_error *err);
void ghee_columnar_end(ghee_columnar_rows *rows); /* NULL is fine */

/** `schema` is borrowed for the call. */
ghee_status ghee_columnar_create(ghee_columnar_kind kind, const ghee_columnar_sink *sink, const struct ArrowSchema *schema,
                                 const ghee_columnar_write_options *options, ghee_columnar_writer **out, ghee_error *err);
/** `array` is borrowed for the call and nothing of it is kept; it comes with a release that does nothing. */
ghee_status ghee_columnar_write(ghee_columnar_writer *writer, const struct ArrowArray *array, ghee_error *err);
/** Writes what is left and the footer. */
ghee_status ghee_columnar_finish(ghee_columnar_writer *writer, ghee_error *err);
/** Frees; writes nothing. NULL is fine. */
void ghee_columnar_abandon(ghee_columnar_writer *writer);

/** How many bytes of large blocks may be held, in use or kept for the next; 0, as in the beginning: none are kept. For the whole process. Thread: any. */
void ghee_columnar_keep(size_t most_bytes);

#endif
