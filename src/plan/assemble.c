/* SPDX-License-Identifier: Apache-2.0
 * Parts to a plan: chunks are cut, the block is written. */
#include <math.h>
#include <string.h>

#include "plan/layout.h"

#define MOST_CHUNK_BYTES ((uint64_t)32 << 20)
/* Of a part whose rows nobody has counted: text, which is read as it comes, however long it is (packed text is one part a file). */
#define UNKNOWN_BATCH_BYTES ((uint64_t)32 << 20)

/* ---- chunks ---- */

uint32_t ghee_plan_most_workers(const ghee_job_spec *spec) {
  uint32_t most = 1;
  for (uint32_t i = 0; i < spec->n_stages; i++)
    if (spec->stages[i].workers > most) most = spec->stages[i].workers;
  return most;
}

void ghee_plan_limit(ghee_plan_records *parts, int64_t limit_rows) {
  int64_t rows = 0;
  for (size_t i = 0; i < parts->count && limit_rows > 0; i++) {
    rows = parts->items[i].rows < 0 ? limit_rows : rows + parts->items[i].rows;
    if (rows >= limit_rows) parts->count = i + 1;
  }
}

static void sum_parts(const ghee_plan_records *parts, ghee_plan_totals *totals) {
  totals->parts = parts->count;
  for (size_t i = 0; i < parts->count; i++) {
    const ghee_plan_record *part = &parts->items[i];
    totals->read_bytes += part->size_bytes;
    totals->memory_bytes += part->memory_bytes;
    if (part->memory_bytes > totals->largest_part_bytes) totals->largest_part_bytes = part->memory_bytes;
    totals->rows = part->rows < 0 || totals->rows < 0 ? -1 : totals->rows + part->rows;
  }
}

static uint64_t chunks_at_once(const ghee_job_spec *spec, uint32_t interleave) {
  uint32_t workers = spec->stages[0].workers;
  return spec->train ? (interleave + workers - 1) / workers + 1 : 2;
}

/* A shuffled chunk is held whole until the last of its rows were copied, while the next is read already; and a worker has several under way. So
 * few of its row groups or few chunks at a time have to do where the buffer is small. */
static ghee_status fit_window(const ghee_job_spec *spec, ghee_plan_totals *totals, ghee_error *err) {
  const ghee_stage_spec *first = &spec->stages[0];
  uint64_t largest = totals->largest_part_bytes ? totals->largest_part_bytes : 1, groups = first->buffer_bytes / largest;
  if (groups < chunks_at_once(spec, 1) + 1)
    return ghee_error_set(err, GHEE_LIMIT, "shuffling needs %llu MiB of `buffer` in each worker of %s (%llu row groups of up to %llu MiB at once), which has %llu MiB: "
                          "raise buffer, or write smaller row groups",
                          (unsigned long long)(largest * (chunks_at_once(spec, 1) + 1) >> 20) + 1, first->name, (unsigned long long)chunks_at_once(spec, 1) + 1,
                          (unsigned long long)(largest >> 20) + 1, (unsigned long long)(first->buffer_bytes >> 20));
  uint64_t room = (groups - 2) * first->workers;
  if (spec->train && room < totals->interleave) totals->interleave = (uint32_t)room;
  uint64_t shares = chunks_at_once(spec, totals->interleave) + 1, window = groups / shares;
  totals->shuffle_window = window < spec->shuffle_window ? (uint32_t)window : spec->shuffle_window;
  totals->reader_bytes = totals->largest_part_bytes * totals->shuffle_window * shares;
  return GHEE_OK;
}

static ghee_status fit_batches(const ghee_job_spec *spec, const ghee_plan_draft *draft, ghee_plan_totals *totals, ghee_error *err) {
  const ghee_stage_spec *first = &spec->stages[0];
  totals->reader_bytes = draft->batch_bytes;
  for (size_t i = 0; i < draft->parts->count && !draft->batch_bytes; i++) {
    const ghee_plan_record *part = &draft->parts->items[i];
    uint64_t batch = part->rows > first->batch_rows ? (uint64_t)((double)part->memory_bytes * (double)first->batch_rows / (double)part->rows) : part->memory_bytes;
    if (part->rows < 0 && batch > UNKNOWN_BATCH_BYTES) batch = UNKNOWN_BATCH_BYTES;
    if (batch > totals->reader_bytes) totals->reader_bytes = batch;
  }
  if (totals->reader_bytes <= first->buffer_bytes) return GHEE_OK;
  return ghee_error_set(err, GHEE_LIMIT, "one batch of %lld rows takes about %llu MiB, more than the `buffer` of %s, %llu MiB: lower batch_size or raise buffer",
                        (long long)first->batch_rows, (unsigned long long)(totals->reader_bytes >> 20) + 1, first->name,
                        (unsigned long long)(first->buffer_bytes >> 20));
}

typedef GHEE_ARRAY(uint32_t) starts;

/* In a window that is not full, or in which one chunk is longer than the others, a rank has its batches of few workers at the end. */
static uint64_t chunks_for(const ghee_job_spec *spec, const ghee_plan_totals *totals) {
  uint64_t n = 4 * (uint64_t)ghee_plan_most_workers(spec), of_size = (totals->memory_bytes + MOST_CHUNK_BYTES - 1) / MOST_CHUNK_BYTES;
  if (of_size > n) n = of_size;
  if (spec->train && n > totals->interleave) n = (n + totals->interleave - 1) / totals->interleave * totals->interleave;
  return n;
}

/* Where a chunk that begins behind `start` bytes should end, if all were of `share` bytes. */
static double end_after(uint64_t start, double share) { return share > 0 ? (floor((double)start / share + 0.5) + 1) * share : 0; }

/* Instead of `end` the border of two blocks that is nearest, if one is no further from it than an eighth of a share. `at`: bytes before part i. */
static double border_near(const ghee_plan_records *parts, const ghee_plan_layout *layout, size_t i, uint64_t at, double end, double share) {
  double found = end, nearest = share / 8;
  for (at += parts->items[i++].memory_bytes; i < parts->count && (double)at <= end + nearest; at += parts->items[i++].memory_bytes) {
    double far = fabs((double)at - end);
    if (layout->homes.items[i] == layout->homes.items[i - 1] || far > nearest) continue;
    found = (double)at;
    nearest = far;
  }
  return found;
}

static ghee_status cut_chunks(const ghee_job_spec *spec, const ghee_plan_records *parts, const ghee_plan_layout *layout, ghee_plan_totals *totals, starts *out,
                              ghee_error *err) {
  double share = (double)totals->memory_bytes / (double)chunks_for(spec, totals);
  uint64_t at = 0;
  totals->chunk_bytes = (uint64_t)share;
  for (size_t i = 0; i < parts->count;) {
    uint64_t start = at, n = 0;
    double end = end_after(start, share);
    if (layout && !spec->shuffle) end = border_near(parts, layout, i, at, end, share);
    if (!ghee_array_push(out, (uint32_t)i)) return ghee_error_no_memory(err, "planning");
    while (i < parts->count && (n == 0 || (spec->shuffle ? n < totals->shuffle_window : (double)at + (double)parts->items[i].memory_bytes / 2 <= end))) {
      at += parts->items[i++].memory_bytes;
      n++;
    }
    if (at - start > totals->largest_chunk_bytes) totals->largest_chunk_bytes = at - start;
  }
  totals->chunks = out->count;
  return ghee_array_push(out, (uint32_t)parts->count) ? GHEE_OK : ghee_error_no_memory(err, "planning");
}

/* ---- the block ---- */

static void align(ghee_buffer *out) {
  static const uint8_t zeros[8];
  ghee_buffer_put(out, zeros, (8 - out->size % 8) % 8);
}

/* Behind the schema of what is read stand that of the files and that of what is passed on; the same one where there is no difference. */
static ghee_status put_schemas(const ghee_job_spec *spec, const ghee_plan_draft *draft, ghee_plan_header *header, ghee_buffer *block, ghee_error *err) {
  ghee_schema *read = draft->schema, *passed = NULL;
  header->read_schema_at = header->file_schema_at = header->schema_at = block->size;
  GHEE_TRY(ghee_schema_encode(read, block, err));
  header->read_schema_bytes = header->file_schema_bytes = header->schema_bytes = block->size - header->read_schema_at;
  if (draft->file_schema) {
    header->file_schema_at = block->size;
    GHEE_TRY(ghee_schema_encode(draft->file_schema, block, err));
    header->file_schema_bytes = block->size - header->file_schema_at;
  }
  if (spec->n_columns == spec->n_read_columns) return GHEE_OK;
  GHEE_TRY(ghee_schema_project(read, spec->columns, spec->n_columns, &passed, err));
  header->schema_at = block->size;
  ghee_status status = ghee_schema_encode(passed, block, err);
  header->schema_bytes = block->size - header->schema_at;
  ghee_schema_unref(passed);
  return status;
}

static uint64_t put_text(ghee_buffer *out, const char *text) {
  uint64_t at = out->size;
  ghee_buffer_put(out, text, strlen(text) + 1);
  return at;
}

static ghee_status write_block(const ghee_job_spec *spec, const ghee_plan_draft *draft, const starts *chunks, ghee_plan_totals totals, ghee_plan **out, ghee_error *err) {
  const ghee_plan_records *parts = draft->parts;
  ghee_plan_header header = {.magic = GHEE_PLAN_MAGIC, .version = GHEE_PLAN_VERSION, .shuffle = spec->shuffle, .seed = spec->seed, .totals = totals};
  header.filtered = spec->filter != NULL;
  ghee_buffer block = {0};
  ghee_buffer_put(&block, &header, sizeof header);
  header.files_at = block.size;
  for (size_t i = 0; i < draft->files->count; i++) ghee_buffer_put(&block, &(ghee_plan_file){0}, sizeof(ghee_plan_file));
  header.parts_at = block.size;
  if (parts->count) ghee_buffer_put(&block, parts->items, parts->count * sizeof *parts->items);
  header.hosts_at = block.size;
  for (size_t i = 0; i < totals.hosts; i++) ghee_buffer_put(&block, &(ghee_plan_host_record){0}, sizeof(ghee_plan_host_record));
  header.starts_at = block.size;
  ghee_buffer_put(&block, chunks->items, chunks->count * sizeof *chunks->items);
  align(&block);
  ghee_status status = put_schemas(spec, draft, &header, &block, err);
  header.format_at = put_text(&block, draft->format);
  for (size_t i = 0; i < draft->files->count; i++) {
    ghee_plan_file file = {.uri_at = put_text(&block, draft->files->items[i].uri)};
    file.path_at = file.uri_at + (draft->prefixes ? draft->prefixes[i] : strlen(draft->files->items[i].uri));
    file.version_at = put_text(&block, draft->files->items[i].version);
    if (!block.failed) memcpy(block.data + header.files_at + i * sizeof file, &file, sizeof file);
  }
  for (size_t i = 0; i < totals.hosts; i++) {
    const ghee_plan_host *known = &draft->layout->hosts.items[i];
    ghee_plan_host_record host = {.name_at = put_text(&block, known->name), .blocks = known->blocks, .bytes = known->bytes};
    if (!block.failed) memcpy(block.data + header.hosts_at + i * sizeof host, &host, sizeof host);
  }
  if (status == GHEE_OK) status = ghee_buffer_check(&block, "planning", err);
  uint8_t *kept = status == GHEE_OK ? ghee_alloc_aligned(block.size) : NULL;
  if (status == GHEE_OK && !kept) status = ghee_error_no_memory(err, "planning");
  if (status == GHEE_OK) {
    memcpy(block.data, &header, sizeof header);
    ghee_plan_seal(block.data, block.size);
    memcpy(kept, block.data, block.size);
    status = ghee_plan_of_block(kept, block.size, false, out, err);
  }
  ghee_buffer_fini(&block);
  return status;
}

ghee_status ghee_plan_assemble(const ghee_job_spec *spec, const ghee_plan_draft *draft, ghee_plan **out, ghee_error *err) {
  ghee_plan_totals totals = {.files = draft->files->count, .interleave = spec->interleave};
  starts chunks = {0};
  for (size_t i = 0; i < draft->files->count; i++) totals.file_bytes += draft->files->items[i].size_bytes;
  if (draft->parts->count > UINT32_MAX - 1) return ghee_error_set(err, GHEE_LIMIT, "the input has more than 4 billion parts");
  if (draft->layout) {
    totals.blocks = draft->layout->blocks;
    totals.hosts = draft->layout->hosts.count;
    totals.near_bytes = draft->layout->near_bytes;
  }
  totals.left_out_files = draft->left_out_files;
  totals.ruled_out_files = draft->ruled_out_files;
  totals.ruled_out_parts = draft->ruled_out_parts;
  sum_parts(draft->parts, &totals);
  totals.most_rows = totals.rows;
  if (spec->filter) totals.rows = -1;
  ghee_status status = spec->shuffle ? fit_window(spec, &totals, err) : fit_batches(spec, draft, &totals, err);
  bool endless = spec->to.what == GHEE_BOUND_NEVER && totals.parts > 0 && draft->parts->items[0].offset == draft->parts->items[0].end_offset;
  if (status == GHEE_OK && endless) status = ghee_array_push(&chunks, 0) ? GHEE_OK : ghee_error_no_memory(err, "planning");
  else if (status == GHEE_OK) status = cut_chunks(spec, draft->parts, draft->layout, &totals, &chunks, err);
  if (status == GHEE_OK) status = write_block(spec, draft, &chunks, totals, out, err);
  ghee_array_fini(&chunks);
  return status;
}
