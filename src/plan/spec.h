/* SPDX-License-Identifier: Apache-2.0
 * The description of a job, checked and with every default filled in. docs/description.md is its reference for users.
 *
 *   name: ratings
 *   input:   {uri: data/ratings, format: parquet, columns: [user, item], filter: "rating >= 4", shuffle: {seed: 1, window: 8}, epochs: 3,
 *             delimiter: ",", header: true, null: "NA", options: {…}}
 *   input:   {uri: "kafka://host:9092/topic", format: bytes | json | ipc, from: earliest | latest | TIME | {PARTITION: OFFSET}, to: now | TIME | {…},
 *             metadata: [key, offset], metadata_prefix: "_", every: {seconds: 10, rows: 1000000, bytes: 256MiB}, options: {security.protocol: SASL_SSL, sasl.password: "${NAME}"}}
 *   preprocess:  {run: "features:preprocess", workers: 16, batch_size: 8192, args: {…}, timeout: 30s, as: numpy,
 *                 rows: any, cpu: 1, memory: 2Gi, gpu: 0, image: "reco:1", env: {K: V}}
 *   train:       {…}          or   predict: {…}      and then optionally   postprocess: {…}
 *   output:  {uri: out, format: parquet, codec: zstd, target_file_size: 256MiB, row_group_rows: 1048576, mode: error, partition_by: [country],
 *            sort_by: [day, -rating]}
 *   output:  {uri: "kafka://host:9092/topic", format: json | ipc, key: COLUMN, partition: COLUMN, headers: [COLUMN], options: {…}}
 *   order: planned | any     on_reject: stop | divert     dead_letter: URI     max_crashes: 5      buffer: 64MiB
 *   transport: shm | zmq */
#ifndef GHEE_PLAN_SPEC_H
#define GHEE_PLAN_SPEC_H

#include "batch/sort.h"
#include "filter/filter.h"
#include "storage/record_log.h"
#include "text/document.h"

typedef enum ghee_role { GHEE_ROLE_READ, GHEE_ROLE_PREPROCESS, GHEE_ROLE_TRAIN, GHEE_ROLE_PREDICT, GHEE_ROLE_POSTPROCESS } ghee_role;
typedef enum ghee_order { GHEE_ORDER_PLANNED, GHEE_ORDER_ANY } ghee_order;
typedef enum ghee_batch_form { GHEE_FORM_NUMPY, GHEE_FORM_ARROW, GHEE_FORM_PANDAS, GHEE_FORM_ROWS, GHEE_FORM_TORCH } ghee_batch_form;
typedef enum ghee_transport { GHEE_TRANSPORT_SHM, GHEE_TRANSPORT_ZMQ } ghee_transport;
typedef enum ghee_output_mode { GHEE_OUTPUT_ERROR, GHEE_OUTPUT_OVERWRITE, GHEE_OUTPUT_APPEND, GHEE_OUTPUT_PARTITIONS } ghee_output_mode;

typedef struct ghee_stage_spec {
  ghee_role role;
  const char *name;         /* "preprocess" … ; "read" for the stage that is put before a train without preprocess */
  const char *run;          /* "package.module:function", "libfm.so:preprocess", "code:FILE" (shipped, in the job's folder), NULL: pass on */
  bool native;              /* run names a shared object (or is NULL) */
  uint32_t workers;
  int64_t batch_rows;       /* 0: as it comes */
  uint64_t timeout_ms;      /* of one call; 0: none */
  ghee_batch_form form;
  bool same_rows;           /* rows: same */
  double cpu;
  uint64_t memory_bytes;    /* 0: not stated */
  uint32_t gpu;
  const char *image;
  const char *args_json;    /* "{}" if none */
  const char *const *env;   /* "K=V", NULL-terminated */
  uint64_t buffer_bytes;    /* ghee's own buffers of one worker */
} ghee_stage_spec;

/** Where reading a record log begins or ends. NOW: where the log ends when the plan is made. NEVER: the job follows the log. */
typedef struct ghee_log_bound {
  enum { GHEE_BOUND_EARLIEST, GHEE_BOUND_NOW, GHEE_BOUND_TIME, GHEE_BOUND_OFFSETS, GHEE_BOUND_NEVER } what;
  int64_t time_ms;
  ghee_log_ranges offsets;  /* `first` of each partition that is named; the others are read from their beginning, to their end */
} ghee_log_bound;

enum { GHEE_MAX_STAGES = 3 };

typedef struct ghee_job_spec {
  char *name;
  const char *const *input_uris; size_t n_input_uris; /* canonical */
  ghee_settings input_options;
  const char *format;       /* NULL: by suffix; of a record log: "bytes", "json", "ipc" */
  bool record_log;          /* the input is record logs; then: */
  ghee_log_bound from, to;
  uint32_t metadata;        /* bits of key, value, headers, partition, offset, timestamp: columns besides those of the values */
  char *metadata_prefix;
  uint64_t every_ms, every_rows, every_bytes; /* to: never: when what has come is read, and how much at most at once */
  bool hive_partitions;     /* folders "name=value" are columns */
  const char *const *columns; size_t n_columns; /* 0: all */
  ghee_filter *filter;      /* only rows that fulfil it; NULL: all */
  const char *const *read_columns; size_t n_read_columns; /* `columns` and behind them those that only the filter needs; 0: all */
  bool shuffle; uint64_t seed; uint32_t shuffle_window; /* row groups at a time; 0: default 8 */
  uint32_t epochs;
  char csv_delimiter; bool csv_header; const char *csv_null;
  ghee_stage_spec stages[GHEE_MAX_STAGES]; uint32_t n_stages; /* in the order of the data */
  bool train;               /* the last stage is train */
  const char *output_uri;   /* NULL for train */
  bool output_log;          /* it is a topic; its format is "json" or "ipc" */
  const char *key_column, *partition_column; /* of the rows for a topic: what its record has. NULL: none */
  const char *const *header_columns; size_t n_header_columns;
  ghee_settings output_options;
  const char *output_format, *codec; uint64_t target_file_bytes; int64_t row_group_rows; ghee_output_mode mode;
  const char *const *partition_by; size_t n_partition_by; /* columns that become folders; 0: none */
  const ghee_sort_key *sort_by; size_t n_sort_by; /* the rows of each file are in this order; 0: as they come */
  ghee_order order;
  bool divert; const char *dead_letter_uri;
  bool dead_letter_log;     /* it is a topic, of the brokers of the output */
  uint32_t max_crashes;     /* 0: no limit */
  uint32_t interleave;      /* I: chunks that are mixed in planned order, 16 */
  ghee_transport transport; /* how batches go from stage to stage */
  void *owned;              /* memory behind the texts */
} ghee_job_spec;

/** From a parsed document, or a file. Paths are made absolute against `folder` (NULL: the working directory).
 *  GHEE_INVALID with line:column and the nearest right key. out gives: ghee_job_spec_free. */
ghee_status ghee_job_spec_new(const ghee_document *document, const char *folder, ghee_job_spec **out, ghee_error *err);
void ghee_job_spec_free(ghee_job_spec *spec);
/** Canonical JSON with all defaults; reads back to the same. */
ghee_status ghee_job_spec_encode(const ghee_job_spec *spec, ghee_buffer *json, ghee_error *err);

#endif
