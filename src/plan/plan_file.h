/* SPDX-License-Identifier: Apache-2.0
 * The stored plan: one flat block, the same in memory and on disk, native byte order (it does not leave the machine's jobs).
 *
 *   header | files[n_files] | parts[n_parts] | chunk_starts[n_chunks + 1] | texts: URIs and versions, schema, format */
#ifndef GHEE_PLAN_PLAN_FILE_H
#define GHEE_PLAN_PLAN_FILE_H

#include "plan/plan.h"

enum { GHEE_PLAN_VERSION = 1 };
#define GHEE_PLAN_MAGIC 0x6e616c7065656867u /* "gheeplan" */

typedef struct ghee_plan_header {
  uint64_t magic, hash;          /* hash of everything behind this field */
  uint32_t version, shuffle;
  uint64_t seed;
  uint64_t size_bytes;
  uint64_t files_at, parts_at, starts_at, schema_at, schema_bytes, format_at;
  ghee_plan_totals totals;
} ghee_plan_header;

typedef struct ghee_plan_file { uint64_t uri_at, version_at; } ghee_plan_file;

typedef struct ghee_plan_record {
  uint64_t offset, size_bytes, memory_bytes, first_row;
  int64_t rows;
  uint32_t file, index;
} ghee_plan_record;

struct ghee_plan {
  const uint8_t *data;
  uint64_t size_bytes;
  bool mapped;
  const ghee_plan_header *header;
  const ghee_plan_file *files;
  const ghee_plan_record *parts;
  const uint32_t *starts;
  ghee_schema *schema;
  /* the permutation of the epoch that was asked for last, with its lock */
  struct ghee_plan_order *order;
};

/** Makes a plan of a whole block, which it takes (munmap or ghee_free_aligned, also on failure). Checks it: GHEE_CORRUPT. */
ghee_status ghee_plan_of_block(const uint8_t *data, uint64_t size_bytes, bool mapped, ghee_plan **out, ghee_error *err);

#endif
