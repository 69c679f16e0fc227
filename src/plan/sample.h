/* SPDX-License-Identifier: Apache-2.0
 * For tests: the block of a stored plan, made by hand. */
#ifndef GHEE_PLAN_SAMPLE_H
#define GHEE_PLAN_SAMPLE_H

#include "batch/types_sample.h"
#include "plan/plan_file.h"

/** Two files with parts of 5, 5 and unknown rows, in chunks of two and one. */
static inline void sample_plan(uint32_t shuffle, ghee_buffer *block) {
  ghee_schema *schema = sample_schema(sample_pair, 2);
  ghee_buffer bytes = {0};
  SAMPLE_OK(ghee_schema_encode(schema, &bytes, err));
  static const ghee_plan_record parts[3] = {{.size_bytes = 10, .memory_bytes = 20, .rows = 5},
                                            {.offset = 10, .size_bytes = 10, .memory_bytes = 20, .first_row = 5, .rows = 5, .index = 1},
                                            {.size_bytes = 10, .memory_bytes = 20, .rows = -1, .file = 1}};
  static const uint32_t starts[4] = {0, 2, 3, 0};
  static const char texts[] = "file:/a.parquet\0version-1\0file:/b.parquet\0version-2\0parquet";
  ghee_plan_header header = {.magic = GHEE_PLAN_MAGIC, .version = GHEE_PLAN_VERSION, .shuffle = shuffle, .seed = 5, .files_at = sizeof header};
  ghee_plan_file files[2];
  header.totals = (ghee_plan_totals){.files = 2, .parts = 3, .chunks = 2, .rows = -1, .interleave = 16};
  header.parts_at = header.files_at + sizeof files;
  header.hosts_at = header.starts_at = header.parts_at + sizeof parts;
  uint64_t texts_at = header.starts_at + sizeof starts;
  files[0] = (ghee_plan_file){texts_at, texts_at + 6, texts_at + 16};
  files[1] = (ghee_plan_file){texts_at + 26, texts_at + 32, texts_at + 42};
  header.format_at = texts_at + 52;
  header.schema_at = texts_at + sizeof texts;
  header.read_schema_at = header.file_schema_at = header.schema_at;
  header.schema_bytes = header.read_schema_bytes = header.file_schema_bytes = bytes.size;
  ghee_buffer_put(block, &header, sizeof header);
  ghee_buffer_put(block, files, sizeof files);
  ghee_buffer_put(block, parts, sizeof parts);
  ghee_buffer_put(block, starts, sizeof starts);
  ghee_buffer_put(block, texts, sizeof texts);
  ghee_buffer_put(block, bytes.data, bytes.size);
  ghee_plan_seal(block->data, block->size);
  ghee_buffer_fini(&bytes);
  ghee_schema_unref(schema);
}

#endif
