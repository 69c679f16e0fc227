/* SPDX-License-Identifier: Apache-2.0
 * Stored plans. The hash over the block is set right, so that the checks behind it are reached. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "plan/plan_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sum;

static void ask(const ghee_plan *plan) {
  const ghee_plan_totals *totals = ghee_plan_totals_of(plan);
  sum += strlen(ghee_plan_format(plan)) + (size_t)ghee_schema_columns(ghee_plan_schema(plan));
  for (uint32_t chunk = 0; chunk < totals->chunks; chunk++)
    for (uint32_t epoch = 0; epoch < 2; epoch++) {
      uint32_t n = ghee_plan_chunk_parts(plan, epoch, chunk);
      for (uint32_t i = 0; i < n; i++) {
        ghee_plan_part part = ghee_plan_chunk_part(plan, epoch, chunk, i);
        sum += strlen(part.uri) + strlen(part.version);
      }
      sum += (size_t)ghee_plan_chunk_rows(plan, epoch, chunk);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *block = ghee_alloc_aligned(size);
  ghee_plan *plan;
  ghee_error err = {0};
  memcpy(block, data, size);
  if (size >= sizeof(ghee_plan_header)) ghee_plan_seal(block, size);
  if (ghee_plan_of_block(block, size, false, &plan, &err) != GHEE_OK) return err.message[0] ? 0 : (abort(), 0);
  ask(plan);
  ghee_plan_free(plan);
  return 0;
}
