/* SPDX-License-Identifier: Apache-2.0
 * Contract: a file format, bytes ↔ batches behind byte sources and sinks. Parquet, CSV, JSON lines, Arrow IPC and ORC (only read) are
 * backends over the Rust shim in columnar/. Every backend passes tests/conformance/format. */
#ifndef GHEE_FORMAT_FORMAT_H
#define GHEE_FORMAT_FORMAT_H

#include <stdbool.h>

#include "base/io.h"
#include "batch/batch.h"

/** What is the same for all files of an input. Zero-initialised means the defaults. */
typedef struct ghee_read_options {
  const char *const *columns; /* NULL: all. In this order. */
  size_t n_columns;
  int64_t batch_rows;         /* rows of a batch at most; 0: 8192 */
  ghee_schema *schema;        /* CSV, JSON lines: the columns and types to parse as (from the first file), found by name in the
                               * header; GHEE_SCHEMA when one is missing. NULL: infer from the first MiB. Others ignore it */
  char csv_delimiter;         /* 0: ',' */
  bool csv_no_header;         /* columns are then named column_1 … */
  const char *csv_null;       /* text that is null besides the empty field (which always is, quoted or not); NULL: none */
  bool bounds;                /* the file's `bounds` will be asked for, where its format has them */
} ghee_read_options;

typedef struct ghee_write_options {
  const char *codec;          /* "zstd" (Parquet's default), "snappy", "lz4", "gzip", "none" (the default of the others);
                               * IPC: none, zstd, lz4; CSV, JSON lines: none. NULL: the format's default */
  int64_t row_group_rows;     /* Parquet, IPC batch, at most (128 MiB close one as well); 0: 1,048,576 */
  char csv_delimiter;
  bool ipc_stream;            /* Arrow IPC: a stream, which has no footer, not a file */
} ghee_write_options;

/** A part of a file that can be read alone. Parquet: a row group; ORC: a stripe; IPC file: a batch; text: a byte range cut at line ends
 *  (a line belongs to the part in which it begins), or all of a file that is in gzip or zstd. `rows` -1 where only reading tells. */
typedef struct ghee_part {
  uint32_t index;             /* row group, stripe, batch; 0 for text */
  uint64_t offset, size_bytes;/* in the file: compressed column chunks of the wanted columns, or the byte range */
  int64_t rows;
  uint64_t memory_bytes;      /* estimate of the decoded part */
} ghee_part;

typedef struct ghee_file ghee_file;   /* an open file: footer read. Thread: any for reads of its own parts. */
typedef struct ghee_rows ghee_rows;   /* a running read of some parts. Owner: one thread. */
typedef struct ghee_writer ghee_writer;

struct ghee_format_ops {
  const char *name;                /* "parquet", "csv", "jsonl", "ipc", "orc" */
  const char *const *suffixes;     /* ".parquet", NULL at the end */
  const char *const *codecs;       /* it can be written with, the default first, NULL at the end; NULL for formats that are only read */
  /** Reads the footer (or the head of a text). Borrows `source`, which must outlive the file. options are copied.
   *  GHEE_CORRUPT (names the file and the place), GHEE_UNSUPPORTED (names the feature), GHEE_NOT_FOUND (a column). */
  ghee_status (*open)(ghee_source *source, const ghee_read_options *options, ghee_file **out, ghee_error *err);
  void (*close)(ghee_file *file);
  /** The schema after projection: borrowed from the file. */
  ghee_schema *(*schema)(const ghee_file *file);
  /** The parts, none of them known to be empty. Calls back in order. For text: ranges that end with the line in which a multiple of `text_part_bytes` lies; a CSV file
   *  longer than that is read once from its start, as only this tells which line ends lie inside of quotes. */
  ghee_status (*parts)(ghee_file *file, uint64_t text_part_bytes,
                       ghee_status (*each)(void *user, const ghee_part *part, ghee_error *err), void *user, ghee_error *err);
  /** What is known of the values in each part without reading it, a row by `index` of the part: of each column one value that none is less than, one
   *  that none is greater than (NaN aside), of its type, and the count of nulls (int64); null where it is not known. The columns are
   *  all there, whether `options` names them or not. The file was opened with `bounds`. NULL for formats that know nothing. */
  ghee_status (*bounds)(const ghee_file *file, const char *const *columns, size_t n, ghee_batch *out, ghee_error *err);
  /** Batches of one part, of at most batch_rows rows, from its row `skip_rows` on (a replay; 0: all). The source outlives
   *  the rows. Thread: any, several at once. */
  ghee_status (*read)(ghee_file *file, const ghee_part *part, int64_t skip_rows, ghee_rows **out, ghee_error *err);
  /** GHEE_CLOSED at the end. `out` owns its memory. GHEE_CORRUPT names the row group, batch, or line and byte; GHEE_LIMIT
   *  when one batch passes 2 GiB in a column. After a failure only GHEE_CLOSED comes. */
  ghee_status (*next)(ghee_rows *rows, ghee_batch *out, ghee_error *err);
  void (*end)(ghee_rows *rows);

  /** Writing: borrows sink (not finished or closed by the writer). NULL for formats that are only read.
   *  GHEE_UNSUPPORTED names a column whose type the format cannot hold. CSV and JSON lines keep values, not types; IPC
   *  files hold dictionary columns as plain ones. */
  ghee_status (*create)(ghee_sink *sink, ghee_schema *schema, const ghee_write_options *options, ghee_writer **out, ghee_error *err);
  ghee_status (*write)(ghee_writer *writer, const ghee_batch *batch, ghee_error *err);
  /** Footer; the sink still wants its finish. */
  ghee_status (*finish)(ghee_writer *writer, ghee_error *err);
  void (*abandon)(ghee_writer *writer); /* frees, also after finish */
};
struct ghee_file { const struct ghee_format_ops *ops; };
struct ghee_rows { const struct ghee_format_ops *ops; };
struct ghee_writer { const struct ghee_format_ops *ops; };

/** By name, or NULL. */
const struct ghee_format_ops *ghee_format_named(const char *name);
/** By the suffix of a path, or NULL. */
const struct ghee_format_ops *ghee_format_of_path(const char *path);
/** "parquet, csv, jsonl, ipc, orc" for messages. */
const char *ghee_format_names(void);

/** Large blocks of memory are given out again instead of back, since the first touch of a page is many times dearer than the next: up to
 *  `most_bytes` of them in use and kept together; 0, as in the beginning: none are kept. For the whole process. Thread: any. */
void ghee_format_keep(size_t most_bytes);

#endif
