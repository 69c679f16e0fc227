/* SPDX-License-Identifier: Apache-2.0
 * The stored plan: one flat block, the same in memory and on disk, native byte order (it does not leave the machine's jobs).
 *
 *   header | files[n_files] | parts[n_parts] | hosts[n_hosts] | chunk_starts[n_chunks + 1] | schemas | texts: format, hosts, URIs and versions */
#ifndef GHEE_PLAN_PLAN_FILE_H
#define GHEE_PLAN_PLAN_FILE_H

#include "plan/plan.h"

enum { GHEE_PLAN_VERSION = 7 };
#define GHEE_PLAN_MAGIC 0x6e616c7065656867u /* "gheeplan" */

typedef struct ghee_plan_header {
  uint64_t magic, hash;          /* hash of everything behind this field: ghee_plan_seal */
  uint32_t version;
  uint16_t shuffle, filtered;
  uint64_t seed;
  uint64_t size_bytes;
  uint64_t files_at, parts_at, hosts_at, starts_at, schema_at, schema_bytes, read_schema_at, read_schema_bytes, file_schema_at, file_schema_bytes, format_at;
  ghee_plan_totals totals;
} ghee_plan_header;

typedef struct ghee_plan_file { uint64_t uri_at, path_at, version_at; /* path: the end of the URI, what lies below the input */ } ghee_plan_file;

typedef struct ghee_plan_host_record { uint64_t name_at, blocks, bytes; } ghee_plan_host_record;

typedef struct ghee_plan_record {
  uint64_t offset, end_offset, size_bytes, memory_bytes, first_row;
  int64_t rows;
  uint32_t file, index;
} ghee_plan_record;

typedef struct ghee_plan_records { ghee_plan_record *items; size_t count, capacity; } ghee_plan_records;

/** What is known of an input before chunks are cut. Everything is borrowed. */
typedef struct ghee_plan_draft {
  const ghee_object_list *files;
  const uint32_t *prefixes;        /* of each URI what is not its path below the input; NULL: all of it */
  const ghee_plan_records *parts;  /* in the order of the files */
  const struct ghee_plan_layout *layout; /* NULL: not known */
  ghee_schema *schema;             /* of what is read */
  ghee_schema *file_schema;        /* of what of that is in the files; NULL: all */
  const char *format;
  uint64_t left_out_files, ruled_out_files, ruled_out_parts;
  uint64_t batch_bytes;            /* decoded, of the largest batch; 0: it follows from the parts */
} ghee_plan_draft;

struct ghee_plan {
  const uint8_t *data;
  uint64_t size_bytes;
  bool mapped;
  const ghee_plan_header *header;
  const ghee_plan_file *files;
  const ghee_plan_record *parts;
  const ghee_plan_host_record *hosts;
  const uint32_t *starts;
  ghee_schema *schema, *read_schema, *file_schema;
  /* the permutation of the epoch that was asked for last, with its lock */
  struct ghee_plan_order *order;
};

/** Says in the header of a block that it is whole: its size, and the hash of what is behind. */
void ghee_plan_seal(uint8_t *block, uint64_t size_bytes);
/** Makes a plan of a whole block, which it takes (munmap or ghee_free_aligned, also on failure). Checks it: GHEE_CORRUPT. */
ghee_status ghee_plan_of_block(const uint8_t *data, uint64_t size_bytes, bool mapped, ghee_plan **out, ghee_error *err);

/** Leaves the first parts, up to the one with row `limit_rows` or of unknown rows; 0: all. */
void ghee_plan_limit(ghee_plan_records *parts, int64_t limit_rows);
/** Cuts chunks and writes the block. GHEE_LIMIT: a part exceeds the buffer. */
ghee_status ghee_plan_assemble(const ghee_job_spec *spec, const ghee_plan_draft *draft, ghee_plan **out, ghee_error *err);
/** The workers of the stage that has most. */
uint32_t ghee_plan_most_workers(const ghee_job_spec *spec);
/** ghee_plan_make for record logs. */
ghee_status ghee_plan_make_log(const ghee_job_spec *spec, int64_t limit_rows, ghee_plan **out, ghee_error *err);
/** ghee_plan_check_input for record logs. */
ghee_status ghee_plan_check_log(const ghee_plan *plan, const ghee_job_spec *spec, ghee_error *err);

#endif
