/* SPDX-License-Identifier: Apache-2.0
 * Where an input lies: the blocks of its files and their hosts, as the store tells while the plan is made. Inside plan/. */
#ifndef GHEE_PLAN_LAYOUT_H
#define GHEE_PLAN_LAYOUT_H

#include "base/array.h"
#include "base/buffer.h"
#include "plan/plan_file.h"

typedef struct ghee_plan_block { uint64_t offset, size_bytes; size_t hosts_at; uint32_t n_hosts; } ghee_plan_block;

/** Blocks of one file, in their order. Zero-initialised is empty, as it is where the store tells nothing. */
typedef struct ghee_plan_blocks {
  ghee_plan_block *items;
  size_t count, capacity;
  ghee_buffer names;             /* of hosts, each ended by 0; those of a block stand together */
} ghee_plan_blocks;

ghee_status ghee_plan_blocks_read(ghee_object_store *store, const char *uri, ghee_plan_blocks *out, ghee_error *err);
void ghee_plan_blocks_fini(ghee_plan_blocks *blocks);
/** Of parts of a text of at most `most` bytes, of which a whole number is a block, or of whole blocks where these are small. */
uint64_t ghee_plan_blocks_part_bytes(const ghee_plan_blocks *blocks, uint64_t most);

/** Of the whole input. Names borrow from the blocks that were added. */
typedef struct ghee_plan_layout {
  GHEE_ARRAY(ghee_plan_host) hosts; /* by name */
  GHEE_ARRAY(uint64_t) homes;       /* of each part the number of the block that has most of it */
  uint64_t blocks, near_bytes;      /* near: of each part what lies on one host, that which has most of it */
} ghee_plan_layout;

ghee_status ghee_plan_layout_add_file(ghee_plan_layout *layout, const ghee_plan_blocks *blocks, ghee_error *err);
/** A part of the file that was added last. */
ghee_status ghee_plan_layout_add_part(ghee_plan_layout *layout, const ghee_plan_blocks *blocks, const ghee_plan_record *part, ghee_error *err);
void ghee_plan_layout_fini(ghee_plan_layout *layout);

#endif
