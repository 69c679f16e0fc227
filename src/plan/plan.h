/* SPDX-License-Identifier: Apache-2.0
 * The plan of a job: the input's files (or a log's partitions) and their parts, gathered into chunks. Made once, stored in the job's folder, mapped by
 * every process. The same spec over the same input gives the same plan.
 *
 * Design notes
 * - A chunk is whole parts of about min(32 MiB, total / (4 × the most workers)) decoded bytes, at least one part. Without shuffle its parts are
 *   neighbours in the order of the files, and all chunks are as equal as whole parts allow; in a train job they fill whole windows of I. Where
 *   the store tells of blocks, a chunk that would end near the border of two ends there.
 * - With shuffle, epoch e has its own order: the parts are permuted by (seed, e), chunk p takes `window` of them, and
 *   its rows are permuted by (seed, e, p). I and the window are cut until the decoded rows of a reader's chunks fit its buffer.
 * - Order of batches in a train job: batch (p, s), the s-th of chunk p, goes to rank (p + s) mod world; each rank takes
 *   its batches by rising (p / I, s, p). No count of batches has to be known before, so text files can be planned too. */
#ifndef GHEE_PLAN_PLAN_H
#define GHEE_PLAN_PLAN_H

#include "format/format.h"
#include "plan/spec.h"
#include "storage/object_store.h"

typedef struct ghee_plan ghee_plan;

typedef struct ghee_plan_totals {
  uint64_t files, parts, chunks;   /* chunks of one epoch */
  uint64_t left_out_files;         /* not in the manifest of their folder, so not of the input */
  uint64_t ruled_out_files, ruled_out_parts; /* the filter can pass none of their rows; parts are not in the plan, files still are */
  int64_t rows;                    /* -1 where only reading tells, as with a filter */
  int64_t most_rows;               /* before the filter; -1 where only reading tells */
  uint64_t file_bytes, read_bytes, memory_bytes; /* of the files, of the wanted columns, decoded */
  uint64_t blocks, hosts;          /* of the files, where the store tells; else 0 */
  uint64_t near_bytes;             /* of read_bytes: of each part what lies on one host, the one that has most of it */
  uint64_t chunk_bytes, largest_part_bytes, largest_chunk_bytes; /* decoded */
  uint32_t shuffle_window;         /* after cutting; 0 without shuffle */
  uint32_t interleave;             /* I of planned order, after cutting */
  uint64_t reader_bytes;           /* what a worker of the first stage needs at most for one part or shuffled chunk */
} ghee_plan_totals;

/** One part of a chunk; its rows are those before the filter. `uri`, `version` borrow from the plan. */
typedef struct ghee_plan_part {
  uint32_t file;
  const char *uri, *version;
  const char *path;                /* the end of the URI: what lies below the input */
  ghee_part part;
  uint64_t first_row;              /* of the part in its file, for messages and ids; UINT64_MAX where unknown */
  ghee_log_range range;            /* record logs: the offsets of the part; its file is a partition ("kafka://host:9092/topic#3") */
} ghee_plan_part;

/** A host of the input's files: how many of their blocks it has, and their bytes. Replicas count with each of theirs. */
typedef struct ghee_plan_host { const char *name; uint64_t blocks, bytes; } ghee_plan_host;

/** Lists, reads footers (in parallel), checks that all schemas agree (GHEE_SCHEMA names both files and the column),
 *  GHEE_NOT_FOUND: no input, no files. GHEE_LIMIT: one part exceeds the buffer, with the numbers.
 *  `limit_rows`: of whole parts only as many as these rows are in, before the filter; 0: all. */
ghee_status ghee_plan_make(const ghee_job_spec *spec, int64_t limit_rows, ghee_plan **out, ghee_error *err);
ghee_status ghee_plan_save(const ghee_plan *plan, const char *path, ghee_error *err);
/** Maps a stored plan; checked: GHEE_CORRUPT. out gives: ghee_plan_free. */
ghee_status ghee_plan_load(const char *path, ghee_plan **out, ghee_error *err);
void ghee_plan_free(ghee_plan *plan);

/** Says behind a failure to read an input file what its user can do. Returns `status`. */
ghee_status ghee_plan_remedy(ghee_status status, ghee_error *err);

const ghee_plan_totals *ghee_plan_totals_of(const ghee_plan *plan);
/** Schema of the input after projection: borrows. */
ghee_schema *ghee_plan_schema(const ghee_plan *plan);
/** The same with the columns behind that only the filter needs. */
ghee_schema *ghee_plan_read_schema(const ghee_plan *plan);
/** What is read of a file: less the columns that its folders give. */
ghee_schema *ghee_plan_file_schema(const ghee_plan *plan);
const char *ghee_plan_format(const ghee_plan *plan);
/** Number of parts of chunk p in epoch e, and part i of it. Thread: any. */
uint32_t ghee_plan_chunk_parts(const ghee_plan *plan, uint32_t epoch, uint32_t chunk);
ghee_plan_part ghee_plan_chunk_part(const ghee_plan *plan, uint32_t epoch, uint32_t chunk, uint32_t i);
/** Rows of a chunk, -1 unknown. */
int64_t ghee_plan_chunk_rows(const ghee_plan *plan, uint32_t epoch, uint32_t chunk);
/** Host i of totals.hosts, by name. `name` borrows from the plan. */
ghee_plan_host ghee_plan_host_at(const ghee_plan *plan, uint64_t i);
const char *ghee_plan_file_uri(const ghee_plan *plan, uint32_t file);
/** Every file is still what it was, every partition still as long: GHEE_CHANGED names the first that is not. */
ghee_status ghee_plan_check_input(const ghee_plan *plan, const ghee_job_spec *spec, ghee_error *err);

/* ---- jobs without end (input.to: never) ---- */
/** Their plan has no chunks: it says where each partition begins; rounds of exact offsets follow. `out` is appended to: [first, first). */
ghee_status ghee_plan_starts(const ghee_plan *base, ghee_log_ranges *out, ghee_error *err);
/** Of one record in the log and decoded, as sampled. */
void ghee_plan_record_sizes(const ghee_plan *base, uint64_t *bytes, uint64_t *memory);
/** The plan of one round: these offsets, with the columns of `base`. */
ghee_status ghee_plan_make_round(const ghee_job_spec *spec, const ghee_plan *base, const ghee_log_ranges *ranges, ghee_plan **out, ghee_error *err);

/** Position of a batch in the order of a rank: compare by ghee_place_compare. */
typedef struct ghee_place { uint32_t epoch, window, seq, chunk; } ghee_place;
ghee_place ghee_plan_place(uint32_t epoch, uint32_t chunk, uint32_t seq, uint32_t interleave);
int ghee_place_compare(const ghee_place *a, const ghee_place *b);
static inline uint32_t ghee_plan_rank(uint32_t chunk, uint32_t seq, uint32_t world) { return (uint32_t)(((uint64_t)chunk + seq) % world); }

/** What `ghee explain` prints: stages, splits, chunks, memory of each process, order; as text or JSON. */
ghee_status ghee_plan_explain(const ghee_plan *plan, const ghee_job_spec *spec, bool json, ghee_buffer *out, ghee_error *err);

#endif
