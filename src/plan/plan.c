/* SPDX-License-Identifier: Apache-2.0
 * A finished plan: loaded, checked, asked. */
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/random.h"
#include "plan/plan_file.h"

/* The order of parts in one epoch of a shuffled job; made anew when another epoch is asked for. */
struct ghee_plan_order {
  pthread_mutex_t mutex;
  uint32_t epoch;
  bool made;
  uint32_t *parts;
};

/* ---- checking ----
 * A plan of a million chunks takes 60 MB, and whoever loads it asks for little of it at a time: pages of a mapped one are given back as soon as
 * they have been looked through, and come again from the page cache when they are asked for. */

enum { WINDOW_BYTES = 1 << 20 };

/* From the beginning on: a fault brings pages before it as well. */
static void look_away(const ghee_plan *plan, const void *end) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), size = plan ? (uintptr_t)end - (uintptr_t)plan->data : 0;
  if (plan && plan->mapped) (void)madvise((void *)plan->data, size / page * page, MADV_DONTNEED);
}

static uint64_t hash_of(const uint8_t *block, uint64_t size_bytes, const ghee_plan *plan) {
  uint64_t hash = 0;
  for (uint64_t at = offsetof(ghee_plan_header, version), n; at < size_bytes; at += n) {
    n = size_bytes - at < WINDOW_BYTES ? size_bytes - at : WINDOW_BYTES;
    hash = ghee_hash(block + at, n, hash);
    look_away(plan, block + at + n);
  }
  return hash;
}

void ghee_plan_seal(uint8_t *block, uint64_t size_bytes) {
  ghee_plan_header *header = (ghee_plan_header *)(void *)block;
  header->size_bytes = size_bytes;
  header->hash = hash_of(block, size_bytes, NULL);
}

static bool inside(const ghee_plan_header *header, uint64_t at, uint64_t count, uint64_t item_bytes) {
  return at % 8 == 0 && at <= header->size_bytes && count <= (header->size_bytes - at) / item_bytes;
}

static bool text_at(const ghee_plan *plan, uint64_t at) {
  return at < plan->size_bytes && memchr(plan->data + at, 0, plan->size_bytes - at);
}

static bool parts_fit(const ghee_plan *plan) {
  const ghee_plan_totals *totals = &plan->header->totals;
  int64_t rows = 0;
  enum { WINDOW = WINDOW_BYTES / sizeof(ghee_plan_record) };
  for (uint64_t i = 0; i < totals->parts; i++) {
    const ghee_plan_record *part = &plan->parts[i];
    if (part->file >= totals->files || part->rows < -1 || (part->rows > 0 && __builtin_add_overflow(rows, part->rows, &rows))) return false;
    if (i % WINDOW == WINDOW - 1) look_away(plan, part);
  }
  return true;
}

static bool starts_fit(const ghee_plan *plan) {
  const ghee_plan_totals *totals = &plan->header->totals;
  for (uint64_t i = 0; i < totals->chunks; i++)
    if (plan->starts[i] > plan->starts[i + 1] || plan->starts[i + 1] > totals->parts) return false;
  look_away(plan, plan->starts + totals->chunks);
  return true;
}

static bool tables_fit(ghee_plan *plan) {
  const ghee_plan_header *header = plan->header;
  const ghee_plan_totals *totals = &header->totals;
  if (!inside(header, header->files_at, totals->files, sizeof(ghee_plan_file)) || !inside(header, header->parts_at, totals->parts, sizeof(ghee_plan_record)) ||
      !inside(header, header->hosts_at, totals->hosts, sizeof(ghee_plan_host_record)) || !inside(header, header->starts_at, totals->chunks + 1, 4) || header->schema_at > header->size_bytes ||
      header->schema_bytes > header->size_bytes - header->schema_at || header->read_schema_at > header->size_bytes ||
      header->read_schema_bytes > header->size_bytes - header->read_schema_at || header->file_schema_at > header->size_bytes ||
      header->file_schema_bytes > header->size_bytes - header->file_schema_at || !text_at(plan, header->format_at) || totals->chunks >= UINT32_MAX || totals->interleave == 0)
    return false;
  plan->files = (const ghee_plan_file *)(plan->data + header->files_at);
  plan->parts = (const ghee_plan_record *)(plan->data + header->parts_at);
  plan->hosts = (const ghee_plan_host_record *)(plan->data + header->hosts_at);
  plan->starts = (const uint32_t *)(plan->data + header->starts_at);
  for (uint64_t i = 0; i < totals->hosts; i++)
    if (!text_at(plan, plan->hosts[i].name_at)) return false;
  for (uint64_t i = 0; i < totals->files; i++)
    if (!text_at(plan, plan->files[i].uri_at) || !text_at(plan, plan->files[i].path_at) || !text_at(plan, plan->files[i].version_at)) return false;
  return parts_fit(plan) && starts_fit(plan);
}

static bool header_fits(const ghee_plan *plan) {
  const ghee_plan_header *header = plan->header;
  return plan->size_bytes >= sizeof *header && header->magic == GHEE_PLAN_MAGIC && header->version == GHEE_PLAN_VERSION &&
         header->size_bytes == plan->size_bytes && header->hash == hash_of(plan->data, plan->size_bytes, plan);
}

static ghee_status open_block(ghee_plan *plan, ghee_error *err) {
  plan->header = (const ghee_plan_header *)plan->data;
  if (!header_fits(plan) || !tables_fit(plan)) return ghee_error_set(err, GHEE_CORRUPT, "the stored plan is damaged or of another version of ghee");
  GHEE_TRY(ghee_schema_decode(plan->data + plan->header->schema_at, plan->header->schema_bytes, &plan->schema, err));
  GHEE_TRY(ghee_schema_decode(plan->data + plan->header->read_schema_at, plan->header->read_schema_bytes, &plan->read_schema, err));
  GHEE_TRY(ghee_schema_decode(plan->data + plan->header->file_schema_at, plan->header->file_schema_bytes, &plan->file_schema, err));
  if (!plan->header->shuffle) return GHEE_OK;
  plan->order = ghee_alloc_zero(1, sizeof *plan->order);
  if (!plan->order) return ghee_error_no_memory(err, "opening a plan");
  pthread_mutex_init(&plan->order->mutex, NULL);
  plan->order->parts = ghee_alloc((plan->header->totals.parts + 1) * sizeof *plan->order->parts);
  return plan->order->parts ? GHEE_OK : ghee_error_no_memory(err, "opening a plan");
}

static void free_block(const uint8_t *data, uint64_t size, bool mapped) {
  if (mapped) munmap((void *)data, size);
  else ghee_free_aligned((void *)data);
}

ghee_status ghee_plan_of_block(const uint8_t *data, uint64_t size_bytes, bool mapped, ghee_plan **out, ghee_error *err) {
  ghee_plan *plan = ghee_alloc_zero(1, sizeof *plan);
  if (!plan) {
    free_block(data, size_bytes, mapped);
    return ghee_error_no_memory(err, "opening a plan");
  }
  *plan = (ghee_plan){.data = data, .size_bytes = size_bytes, .mapped = mapped};
  ghee_status status = open_block(plan, err);
  if (status != GHEE_OK) {
    ghee_plan_free(plan);
    return status;
  }
  *out = plan;
  return GHEE_OK;
}

void ghee_plan_free(ghee_plan *plan) {
  if (!plan) return;
  if (plan->order) {
    ghee_free(plan->order->parts);
    pthread_mutex_destroy(&plan->order->mutex);
    ghee_free(plan->order);
  }
  ghee_schema_unref(plan->schema);
  ghee_schema_unref(plan->read_schema);
  ghee_schema_unref(plan->file_schema);
  free_block(plan->data, plan->size_bytes, plan->mapped);
  ghee_free(plan);
}

ghee_status ghee_plan_save(const ghee_plan *plan, const char *path, ghee_error *err) {
  return ghee_file_write_atomic(path, plan->data, plan->size_bytes, err);
}

ghee_status ghee_plan_load(const char *path, ghee_plan **out, ghee_error *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ghee_error_set_errno(err, errno, "cannot open the plan %s", path);
  struct stat st;
  void *data = MAP_FAILED;
  ghee_status status = fstat(fd, &st) != 0 ? ghee_error_set_errno(err, errno, "cannot read the plan %s", path) : GHEE_OK;
  if (status == GHEE_OK && st.st_size < (off_t)sizeof(ghee_plan_header)) status = ghee_error_set(err, GHEE_CORRUPT, "the stored plan %s is cut off", path);
  if (status == GHEE_OK) {
    data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) status = ghee_error_set_errno(err, errno, "cannot map the plan %s", path);
  }
  close(fd);
  return status == GHEE_OK ? ghee_plan_of_block(data, (uint64_t)st.st_size, true, out, err) : status;
}

const ghee_plan_totals *ghee_plan_totals_of(const ghee_plan *plan) { return &plan->header->totals; }
ghee_schema *ghee_plan_schema(const ghee_plan *plan) { return plan->schema; }
ghee_schema *ghee_plan_read_schema(const ghee_plan *plan) { return plan->read_schema; }
ghee_schema *ghee_plan_file_schema(const ghee_plan *plan) { return plan->file_schema; }
const char *ghee_plan_format(const ghee_plan *plan) { return (const char *)plan->data + plan->header->format_at; }

ghee_plan_host ghee_plan_host_at(const ghee_plan *plan, uint64_t i) {
  const ghee_plan_host_record *host = &plan->hosts[i];
  return (ghee_plan_host){.name = (const char *)plan->data + host->name_at, .blocks = host->blocks, .bytes = host->bytes};
}

const char *ghee_plan_file_uri(const ghee_plan *plan, uint32_t file) { return (const char *)plan->data + plan->files[file].uri_at; }

uint32_t ghee_plan_chunk_parts(const ghee_plan *plan, uint32_t epoch, uint32_t chunk) {
  (void)epoch; /* every epoch's chunks have as many parts */
  return plan->starts[chunk + 1] - plan->starts[chunk];
}

/* Which part stands at a place of the epoch's order. */
static uint32_t part_at(const ghee_plan *plan, uint32_t epoch, uint32_t place) {
  struct ghee_plan_order *order = plan->order;
  if (!order) return place;
  pthread_mutex_lock(&order->mutex);
  if (!order->made || order->epoch != epoch) {
    ghee_random random;
    ghee_random_init(&random, plan->header->seed, epoch, 0);
    ghee_random_permutation(&random, order->parts, plan->header->totals.parts);
    order->epoch = epoch;
    order->made = true;
  }
  uint32_t part = order->parts[place];
  pthread_mutex_unlock(&order->mutex);
  return part;
}

ghee_plan_part ghee_plan_chunk_part(const ghee_plan *plan, uint32_t epoch, uint32_t chunk, uint32_t i) {
  const ghee_plan_record *record = &plan->parts[part_at(plan, epoch, plan->starts[chunk] + i)];
  return (ghee_plan_part){.file = record->file, .uri = ghee_plan_file_uri(plan, record->file),
                          .version = (const char *)plan->data + plan->files[record->file].version_at,
                          .path = (const char *)plan->data + plan->files[record->file].path_at,
                          .part = {.index = record->index, .offset = record->offset, .size_bytes = record->size_bytes, .rows = record->rows,
                                   .memory_bytes = record->memory_bytes},
                          .first_row = record->first_row,
                          .range = {.partition = record->index, .first = (int64_t)record->offset, .end = (int64_t)record->end_offset}};
}

int64_t ghee_plan_chunk_rows(const ghee_plan *plan, uint32_t epoch, uint32_t chunk) {
  int64_t rows = 0;
  if (plan->header->filtered) return -1;
  for (uint32_t i = 0, n = ghee_plan_chunk_parts(plan, epoch, chunk); i < n; i++) {
    int64_t more = plan->parts[part_at(plan, epoch, plan->starts[chunk] + i)].rows;
    if (more < 0) return -1;
    rows += more;
  }
  return rows;
}

ghee_status ghee_plan_check_input(const ghee_plan *plan, const ghee_job_spec *spec, ghee_error *err) {
  if (spec->record_log) return ghee_plan_check_log(plan, spec, err);
  if (plan->header->totals.files == 0) return GHEE_OK;
  ghee_object_store *store;
  GHEE_TRY(ghee_object_store_open(ghee_plan_file_uri(plan, 0), &store, err));
  ghee_status status = GHEE_OK;
  for (uint32_t i = 0; i < plan->header->totals.files && status == GHEE_OK; i++) {
    ghee_source *source = NULL;
    status = store->ops->read(store, ghee_plan_file_uri(plan, i), (const char *)plan->data + plan->files[i].version_at, &source, err);
    if (status == GHEE_OK) source->ops->close(source);
    if (status == GHEE_NOT_FOUND) status = ghee_error_set(err, GHEE_CHANGED, "%s is gone since the job was planned: cancel the job and run it anew", ghee_plan_file_uri(plan, i));
  }
  ghee_object_store_close(store);
  return status;
}

ghee_place ghee_plan_place(uint32_t epoch, uint32_t chunk, uint32_t seq, uint32_t interleave) {
  return (ghee_place){.epoch = epoch, .window = chunk / interleave, .seq = seq, .chunk = chunk};
}

int ghee_place_compare(const ghee_place *a, const ghee_place *b) {
  if (a->epoch != b->epoch) return a->epoch < b->epoch ? -1 : 1;
  if (a->window != b->window) return a->window < b->window ? -1 : 1;
  if (a->seq != b->seq) return a->seq < b->seq ? -1 : 1;
  return a->chunk < b->chunk ? -1 : a->chunk > b->chunk;
}
