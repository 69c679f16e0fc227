/* SPDX-License-Identifier: Apache-2.0
 * Blocks of files and their hosts, counted. */
#include "plan/layout.h"

#include <string.h>

/* ---- of one file ---- */

static ghee_status add_block(void *user, const ghee_object_block *given, ghee_error *err) {
  ghee_plan_blocks *to = user;
  ghee_plan_block block = {.offset = given->offset, .size_bytes = given->size_bytes, .hosts_at = to->names.size, .n_hosts = (uint32_t)given->n_hosts};
  for (size_t i = 0; i < given->n_hosts; i++) ghee_buffer_put(&to->names, given->hosts[i], strlen(given->hosts[i]) + 1);
  GHEE_TRY(ghee_buffer_check(&to->names, "planning", err));
  return ghee_array_push(to, block) ? GHEE_OK : ghee_error_no_memory(err, "planning");
}

ghee_status ghee_plan_blocks_read(ghee_object_store *store, const char *uri, ghee_plan_blocks *out, ghee_error *err) {
  if (!store->ops->blocks) return GHEE_OK;
  ghee_error why;
  ghee_status status = store->ops->blocks(store, uri, add_block, out, &why);
  return status == GHEE_OK || status == GHEE_UNSUPPORTED ? GHEE_OK : ghee_error_set(err, status, "%s", why.message);
}

void ghee_plan_blocks_fini(ghee_plan_blocks *blocks) {
  ghee_array_fini(blocks);
  ghee_buffer_fini(&blocks->names);
}

uint64_t ghee_plan_blocks_part_bytes(const ghee_plan_blocks *blocks, uint64_t most) {
  uint64_t bytes = blocks->count > 1 ? blocks->items[0].size_bytes : most; /* all but the last are of one size */
  while (bytes > most && bytes % 2 == 0) bytes /= 2;
  if (bytes == 0 || bytes > most) return most;
  return most / bytes * bytes;
}

static uint64_t overlap(const ghee_plan_block *block, const ghee_plan_record *part) {
  uint64_t from = block->offset > part->offset ? block->offset : part->offset;
  uint64_t block_end = block->offset + block->size_bytes, part_end = part->offset + part->size_bytes, to = block_end < part_end ? block_end : part_end;
  return to > from ? to - from : 0;
}

static const char *host_of(const ghee_plan_blocks *blocks, const ghee_plan_block *block, uint32_t i) {
  const char *name = (const char *)blocks->names.data + block->hosts_at;
  for (; i > 0; i--) name += strlen(name) + 1;
  return name;
}

static bool has_host(const ghee_plan_blocks *blocks, const ghee_plan_block *block, const char *name) {
  for (uint32_t i = 0; i < block->n_hosts; i++)
    if (strcmp(host_of(blocks, block, i), name) == 0) return true;
  return false;
}

/* The first block that ends behind an offset. */
static size_t block_at(const ghee_plan_blocks *blocks, uint64_t offset) {
  size_t low = 0, high = blocks->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (blocks->items[middle].offset + blocks->items[middle].size_bytes <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

/* The block with most of a part, the first of equals; and how much of the part the best of its hosts has. */
static size_t find_home(const ghee_plan_blocks *blocks, const ghee_plan_record *part, uint64_t *near_bytes) {
  size_t first = block_at(blocks, part->offset), end = first, home = first;
  for (; end < blocks->count && blocks->items[end].offset < part->offset + part->size_bytes; end++)
    if (overlap(&blocks->items[end], part) > overlap(&blocks->items[home], part)) home = end;
  *near_bytes = 0;
  if (home == end) return home; /* a part without bytes */
  for (uint32_t i = 0; i < blocks->items[home].n_hosts; i++) {
    const char *host = host_of(blocks, &blocks->items[home], i);
    uint64_t bytes = 0;
    for (size_t k = first; k < end; k++)
      if (has_host(blocks, &blocks->items[k], host)) bytes += overlap(&blocks->items[k], part);
    if (bytes > *near_bytes) *near_bytes = bytes;
  }
  return home;
}

/* ---- of all ---- */

/* The host of that name, where it is or will be. */
static size_t host_at(const ghee_plan_layout *layout, const char *name) {
  size_t low = 0, high = layout->hosts.count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (strcmp(layout->hosts.items[middle].name, name) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

static ghee_status add_to_host(ghee_plan_layout *layout, const char *name, uint64_t bytes, ghee_error *err) {
  size_t at = host_at(layout, name);
  ghee_plan_host *host = &layout->hosts.items[at];
  if (at == layout->hosts.count || strcmp(host->name, name) != 0) {
    ghee_plan_host none = {.name = name};
    if (!ghee_array_push(&layout->hosts, none)) return ghee_error_no_memory(err, "planning");
    host = &layout->hosts.items[at];
    memmove(host + 1, host, (layout->hosts.count - 1 - at) * sizeof *host);
    *host = none;
  }
  host->blocks++;
  host->bytes += bytes;
  return GHEE_OK;
}

ghee_status ghee_plan_layout_add_file(ghee_plan_layout *layout, const ghee_plan_blocks *blocks, ghee_error *err) {
  for (size_t i = 0; i < blocks->count; i++)
    for (uint32_t k = 0; k < blocks->items[i].n_hosts; k++)
      GHEE_TRY(add_to_host(layout, host_of(blocks, &blocks->items[i], k), blocks->items[i].size_bytes, err));
  layout->blocks += blocks->count;
  return GHEE_OK;
}

ghee_status ghee_plan_layout_add_part(ghee_plan_layout *layout, const ghee_plan_blocks *blocks, const ghee_plan_record *part, ghee_error *err) {
  uint64_t near_bytes, home = layout->blocks - blocks->count + find_home(blocks, part, &near_bytes);
  layout->near_bytes += near_bytes;
  return ghee_array_push(&layout->homes, home) ? GHEE_OK : ghee_error_no_memory(err, "planning");
}

void ghee_plan_layout_fini(ghee_plan_layout *layout) {
  ghee_array_fini(&layout->hosts);
  ghee_array_fini(&layout->homes);
}
