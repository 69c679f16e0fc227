/* SPDX-License-Identifier: Apache-2.0
 * The chunk table. */
#include "runtime/coordinator/chunks.h"

#include <string.h>

static uint64_t key_of(uint32_t epoch, uint32_t chunk) { return (uint64_t)epoch << 32 | chunk; }

ghee_status ghee_chunks_init(ghee_chunks *table, uint32_t chunks, uint32_t epochs, uint32_t generation, ghee_error *err) {
  *table = (ghee_chunks){.chunks = chunks, .epochs = epochs, .generation = generation};
  for (int i = 0; i < 2; i++) table->slots[i] = ghee_alloc_zero(chunks ? chunks : 1, sizeof **table->slots);
  if (table->slots[0] && table->slots[1]) return GHEE_OK;
  ghee_chunks_fini(table);
  return ghee_error_no_memory(err, "making the table of chunks");
}

void ghee_chunks_fini(ghee_chunks *table) {
  ghee_free(table->slots[0]);
  ghee_free(table->slots[1]);
  ghee_array_fini(&table->returned);
  *table = (ghee_chunks){0};
}

ghee_status ghee_chunks_turn(ghee_chunks *table, uint32_t chunks, uint32_t epoch, ghee_error *err) {
  uint32_t generation = table->generation, counter = table->counter;
  ghee_chunks_fini(table);
  GHEE_TRY(ghee_chunks_init(table, chunks, epoch + 1, generation, err));
  table->counter = counter;
  table->epoch = epoch;
  table->next = key_of(epoch, 0);
  table->done = table->leased = (uint64_t)epoch * chunks;
  return GHEE_OK;
}

static ghee_chunk_slot *slot_of(const ghee_chunks *table, uint32_t epoch, uint32_t chunk) {
  bool open = epoch >= table->epoch && epoch - table->epoch < 2 && epoch < table->epochs && chunk < table->chunks;
  return open ? &table->slots[epoch & 1][chunk] : NULL;
}

const ghee_chunk_slot *ghee_chunks_slot(const ghee_chunks *table, uint32_t epoch, uint32_t chunk) { return slot_of(table, epoch, chunk); }

static ghee_chunk_slot *alive(const ghee_chunks *table, const ghee_attempt *attempt) {
  ghee_chunk_slot *slot = slot_of(table, attempt->epoch, attempt->chunk);
  return slot && slot->token == attempt->token && slot->state == GHEE_CHUNK_HELD ? slot : NULL;
}

/* ---- the heap of returned chunks ---- */

static void give_back(ghee_chunks *table, uint64_t key) {
  if (!ghee_array_push(&table->returned, key)) {
    /* Without memory: begin again at this key; what is not todo is passed over. */
    if (key < table->next) table->next = key;
    return;
  }
  uint64_t *items = table->returned.items;
  for (size_t i = table->returned.count - 1; i > 0 && items[(i - 1) / 2] > items[i]; i = (i - 1) / 2) {
    uint64_t swap = items[i];
    items[i] = items[(i - 1) / 2];
    items[(i - 1) / 2] = swap;
  }
}

static uint64_t pop_returned(ghee_chunks *table) {
  uint64_t *items = table->returned.items, first = items[0];
  size_t n = --table->returned.count;
  items[0] = items[n];
  for (size_t i = 0;;) {
    size_t least = i, left = 2 * i + 1, right = left + 1;
    if (left < n && items[left] < items[least]) least = left;
    if (right < n && items[right] < items[least]) least = right;
    if (least == i) return first;
    uint64_t swap = items[i];
    items[i] = items[least];
    items[least] = swap;
    i = least;
  }
}

static bool todo(const ghee_chunks *table, uint64_t key) {
  const ghee_chunk_slot *slot = slot_of(table, (uint32_t)(key >> 32), (uint32_t)key);
  return slot && slot->state == GHEE_CHUNK_TODO;
}

/* Puts `next` on a chunk that is todo and was never leased. */
static bool find_fresh(ghee_chunks *table) {
  while (!table->closed && table->chunks > 0) {
    uint32_t epoch = (uint32_t)(table->next >> 32), chunk = (uint32_t)table->next;
    if (chunk >= table->chunks) {
      epoch++;
      chunk = 0;
    }
    table->next = key_of(epoch, chunk);
    if (epoch >= table->epochs || epoch - table->epoch >= 2) return false;
    if (todo(table, table->next)) return true;
    table->next = key_of(epoch, chunk + 1);
  }
  return false;
}

bool ghee_chunks_next(ghee_chunks *table, ghee_chunk_next *out) {
  while (table->returned.count > 0 && !todo(table, table->returned.items[0])) pop_returned(table);
  bool again = table->returned.count > 0;
  if (!again && !find_fresh(table)) return false;
  uint64_t key = again ? table->returned.items[0] : table->next;
  *out = (ghee_chunk_next){.epoch = (uint32_t)(key >> 32), .chunk = (uint32_t)key, .again = again};
  return true;
}

bool ghee_chunks_lease(ghee_chunks *table, uint32_t worker, ghee_attempt *out) {
  ghee_chunk_next next;
  if (!ghee_chunks_next(table, &next)) return false;
  if (next.again) pop_returned(table);
  else table->next++;
  ghee_chunk_slot *slot = slot_of(table, next.epoch, next.chunk);
  if (!slot->token) table->leased++;
  *slot = (ghee_chunk_slot){.token = (uint64_t)table->generation << 32 | ++table->counter, .worker = (uint16_t)worker, .state = GHEE_CHUNK_HELD};
  *out = (ghee_attempt){.epoch = next.epoch, .chunk = next.chunk, .token = slot->token};
  return true;
}

bool ghee_chunks_settled(ghee_chunks *table, uint32_t epoch, uint32_t chunk) {
  if (epoch != table->epoch) return epoch < table->epoch;
  while (table->settled < chunk && table->slots[epoch & 1][table->settled].state == GHEE_CHUNK_DONE) table->settled++;
  return table->settled >= chunk;
}

bool ghee_chunks_pass(ghee_chunks *table, const ghee_attempt *attempt, uint32_t stage, uint32_t worker) {
  ghee_chunk_slot *slot = alive(table, attempt);
  if (!slot) return false;
  /* Reports of two hops may cross: the later stage is nearer to the truth. */
  if (stage < slot->stage) return true;
  slot->stage = (uint16_t)stage;
  slot->worker = (uint16_t)worker;
  return true;
}

bool ghee_chunks_lose(ghee_chunks *table, const ghee_attempt *attempt) {
  ghee_chunk_slot *slot = alive(table, attempt);
  if (!slot) return false;
  slot->state = GHEE_CHUNK_TODO;
  give_back(table, key_of(attempt->epoch, attempt->chunk));
  return true;
}

static void mark_accepted(ghee_chunks *table, ghee_chunk_slot *slot, uint32_t stage, uint32_t worker) {
  slot->state = GHEE_CHUNK_ACCEPTED;
  slot->stage = (uint16_t)stage;
  slot->worker = (uint16_t)worker;
  table->accepted++;
}

bool ghee_chunks_accept(ghee_chunks *table, const ghee_attempt *attempt, uint32_t stage, uint32_t worker) {
  ghee_chunk_slot *slot = alive(table, attempt);
  if (slot) mark_accepted(table, slot, stage, worker);
  return slot != NULL;
}

bool ghee_chunks_adopt(ghee_chunks *table, const ghee_attempt *attempt, uint32_t stage, uint32_t worker) {
  ghee_chunk_slot *slot = slot_of(table, attempt->epoch, attempt->chunk);
  if (!slot || slot->state != GHEE_CHUNK_TODO) return false;
  slot->token = attempt->token;
  table->leased++;
  mark_accepted(table, slot, stage, worker);
  return true;
}

void ghee_chunks_stage(ghee_chunks *table, uint32_t epoch, uint32_t chunk) {
  ghee_chunk_slot *slot = slot_of(table, epoch, chunk);
  if (slot && slot->state == GHEE_CHUNK_ACCEPTED) slot->state = GHEE_CHUNK_STAGED;
}

/* Opens the next epochs while the oldest is all done. The younger one may have been done before it. */
static void advance(ghee_chunks *table) {
  while (table->epoch + 1 < table->epochs && table->done_of[table->epoch & 1] == table->chunks) {
    memset(table->slots[table->epoch & 1], 0, table->chunks * sizeof **table->slots);
    table->done_of[table->epoch & 1] = 0;
    table->epoch++;
    table->settled = 0;
  }
  if (table->next < key_of(table->epoch, 0)) table->next = key_of(table->epoch, 0);
}

static void mark_done(ghee_chunks *table, uint32_t epoch, uint32_t chunk) {
  table->slots[epoch & 1][chunk].state = GHEE_CHUNK_DONE;
  table->done_of[epoch & 1]++;
  table->done++;
}

void ghee_chunks_finish(ghee_chunks *table, uint32_t epoch, uint32_t chunk) {
  ghee_chunk_slot *slot = slot_of(table, epoch, chunk);
  if (!slot || slot->state == GHEE_CHUNK_DONE) return;
  if (slot->state == GHEE_CHUNK_ACCEPTED || slot->state == GHEE_CHUNK_STAGED) table->accepted--;
  mark_done(table, epoch, chunk);
  advance(table);
}

void ghee_chunks_bury(ghee_chunks *table, uint32_t stage, uint32_t worker, void (*each)(void *user, const ghee_attempt *attempt), void *user) {
  for (uint32_t e = table->epoch; e < table->epoch + 2 && e < table->epochs; e++)
    for (uint32_t i = 0; i < table->chunks; i++) {
      ghee_chunk_slot *slot = &table->slots[e & 1][i];
      if ((slot->state != GHEE_CHUNK_HELD && slot->state != GHEE_CHUNK_ACCEPTED) || slot->stage != stage || slot->worker != worker) continue;
      if (slot->state == GHEE_CHUNK_ACCEPTED) table->accepted--;
      slot->state = GHEE_CHUNK_TODO;
      give_back(table, key_of(e, i));
      each(user, &(ghee_attempt){.epoch = e, .chunk = i, .token = slot->token});
    }
}

uint64_t ghee_chunks_rewind(ghee_chunks *table, const ghee_place *place, uint32_t interleave) {
  bool behind_all = place->epoch >= table->epochs;
  uint64_t before = behind_all ? table->chunks : (uint64_t)place->window * interleave;
  memset(table->slots[0], 0, table->chunks * sizeof **table->slots);
  memset(table->slots[1], 0, table->chunks * sizeof **table->slots);
  table->done_of[0] = table->done_of[1] = table->settled = 0;
  table->returned.count = 0;
  table->accepted = 0;
  table->epoch = behind_all ? table->epochs - 1 : place->epoch;
  table->done = (uint64_t)table->epoch * table->chunks;
  table->next = key_of(table->epoch, 0);
  for (uint32_t i = 0; i < table->chunks && i < before; i++) mark_done(table, table->epoch, i);
  advance(table);
  return (uint64_t)table->generation << 32 | table->counter;
}

uint64_t ghee_chunks_wanted(const ghee_chunks *table) {
  return table->closed ? table->leased : (uint64_t)table->chunks * table->epochs;
}
