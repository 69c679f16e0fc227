/* SPDX-License-Identifier: Apache-2.0
 * Reading, as part of the first stage: a thread that turns leases into batches, ahead of the function.
 *
 * Design notes
 * - Of all leases the one whose next batch comes first in the job's order is read next: by place in planned order, by token
 *   otherwise. So a batch that is needed early is made early, and a lease that comes late but is needed at once goes first.
 * - A worker holds few leases: the next is wanted when the function is through with one, not when it has been read. Else the first
 *   worker would take small chunks that others could work on.
 * - What lies ready is bounded by a few batches and by the budget: the estimate of a batch is reserved before it is decoded, the difference to what
 *   it took is a debt or given back. The host gives the bytes back when it is done with the batch. What a filter has left for the next batch of
 *   a part is a debt too, which the thread does not wait for itself to repay.
 * - A shuffled chunk is read whole; its batches are rows of it in an order by (seed, epoch, chunk), which are named here and copied by the
 *   host's thread, once. So reading the next chunk overlaps with giving out this one: it is read while enough lies ready. A chunk stays
 *   until the last of its rows were copied; the plan has made room for one more than a worker has leases (runtime/worker/shuffled.h). */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "plan/input.h"
#include "runtime/worker/shuffled.h"
#include "runtime/worker/worker.h"

enum { MOST_READY = 4 }; /* batches: more would only hold memory */

typedef struct lease {
  ghee_attempt attempt;
  uint32_t from_seq, seq;        /* first that is wanted; next to be made */
  ghee_plan *plan;               /* the worker's, or that of a round of a job without end */
  bool own_plan;
  uint32_t part, parts;          /* next part to open */
  ghee_part_reader *reader;      /* of the open part */
  ghee_plan_part of;             /* the open part */
  ghee_shuffled *shuffled;       /* the chunk, where rows are shuffled and it has been read */
  bool begun;                    /* rows of it were given out */
  ghee_buffer rejects;           /* of rows that could not be read, for the next item */
  uint64_t estimate;             /* bytes of a batch */
  size_t kept;                   /* bytes of what a filter has left and no batch has yet, reserved */
} lease;

struct ghee_source_reader {
  ghee_worker *worker;
  ghee_input *input;
  int64_t batch_rows;
  ghee_budget *budget;
  pthread_t thread;
  bool started;
  _Atomic size_t kept;           /* of all leases */
  _Atomic uint32_t chunks;       /* shuffled ones in memory, those included whose rows wait to be copied */
  struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    GHEE_ARRAY(lease *) leases;
    lease *current;              /* in the reading thread's hands, also in `leases` */
    GHEE_ARRAY(ghee_item) ready; /* a ring would save moves; there are few */
    bool canceled;
    ghee_error failure;
    bool failed;
  } locked;
};

void ghee_item_fini(ghee_item *item) {
  ghee_gather_fini(&item->gather);
  ghee_batch_release(&item->batch);
  ghee_free(item->text);
  item->text = NULL;
}

static void close_part(lease *of) {
  ghee_part_reader_close(of->reader);
  of->reader = NULL;
}

/* One holder of a chunk less. Whoever calls it wakes the reading thread afterwards, which may wait for the memory. */
static void leave(ghee_source_reader *source, ghee_shuffled *of) {
  if (ghee_shuffled_unref(of)) atomic_fetch_sub(&source->chunks, 1);
}

/* What a filter has left of the batches so far is in memory for as long as the lease is, so nothing is waited for. */
static void reserve_kept(ghee_source_reader *source, lease *of) {
  size_t now = of->reader ? (size_t)ghee_part_reader_kept(of->reader) : 0;
  if (now > of->kept) ghee_budget_force(source->budget, now - of->kept);
  if (now < of->kept) ghee_budget_release(source->budget, of->kept - now);
  atomic_fetch_add(&source->kept, now - of->kept);
  of->kept = now;
}

static void lease_free(ghee_source_reader *source, lease *of) {
  close_part(of);
  reserve_kept(source, of);
  leave(source, of->shuffled);
  ghee_buffer_fini(&of->rejects);
  if (of->own_plan) ghee_plan_free(of->plan);
  ghee_free(of);
}

static bool planned(const ghee_source_reader *source) { return source->worker->spec->order == GHEE_ORDER_PLANNED && source->worker->spec->train; }

static bool before(const ghee_source_reader *source, const lease *a, const lease *b) {
  if (!planned(source)) return a->attempt.token < b->attempt.token;
  uint32_t interleave = ghee_plan_totals_of(source->worker->plan)->interleave;
  ghee_place at_a = ghee_plan_place(a->attempt.epoch, a->attempt.chunk, a->seq, interleave);
  ghee_place at_b = ghee_plan_place(b->attempt.epoch, b->attempt.chunk, b->seq, interleave);
  return ghee_place_compare(&at_a, &at_b) < 0;
}

/* ---- one lease ---- */

static ghee_status open_part(ghee_source_reader *source, lease *of, uint32_t index, ghee_error *err) {
  of->of = ghee_plan_chunk_part(of->plan, of->attempt.epoch, of->attempt.chunk, index);
  GHEE_TRY(ghee_input_read(source->input, &of->of, &of->reader, err));
  if (of->of.part.rows > 0)
    of->estimate = of->of.part.memory_bytes * (uint64_t)source->batch_rows / (uint64_t)of->of.part.rows + 1;
  return GHEE_OK;
}

/* Rows that cannot be read are put aside where the job says so. */
static ghee_status next_batch(ghee_source_reader *source, lease *of, ghee_batch *out, uint64_t *row, ghee_error *err) {
  return ghee_part_reader_next(of->reader, out, row, source->worker->spec->divert ? &of->rejects : NULL, err);
}

/* Files that cannot be read: says what to do. */
static ghee_status remedied(const ghee_source_reader *source, ghee_status status, ghee_error *err) {
  return source->worker->spec->record_log ? status : ghee_plan_remedy(status, err);
}

typedef GHEE_ARRAY(ghee_batch) batches;

static ghee_status read_parts(ghee_source_reader *source, lease *of, batches *out, ghee_error *err) {
  ghee_status status = GHEE_OK;
  for (uint32_t i = 0; i < of->parts && status == GHEE_OK; i++) {
    status = open_part(source, of, i, err);
    while (status == GHEE_OK) {
      ghee_batch batch = {0};
      uint64_t row;
      status = next_batch(source, of, &batch, &row, err);
      if (status == GHEE_OK && ghee_batch_rows(&batch) > 0 && ghee_array_push(out, batch)) continue;
      if (status == GHEE_OK && ghee_batch_rows(&batch) > 0) status = ghee_error_no_memory(err, "reading a chunk to shuffle it");
      ghee_batch_release(&batch);
    }
    if (status == GHEE_CLOSED) status = GHEE_OK;
    close_part(of);
  }
  return status;
}

/* Reads a whole chunk and draws the order of its rows. */
static ghee_status read_shuffled(ghee_source_reader *source, lease *of, ghee_error *err) {
  batches read = {0};
  ghee_random random;
  ghee_random_init(&random, source->worker->spec->seed, of->attempt.epoch, (uint64_t)of->attempt.chunk + 1);
  ghee_status status = read_parts(source, of, &read, err);
  if (status == GHEE_OK) status = ghee_shuffled_new(read.items, read.count, &random, &of->shuffled, err);
  else for (size_t i = 0; i < read.count; i++) ghee_batch_release(&read.items[i]);
  ghee_array_fini(&read);
  if (status != GHEE_OK) return remedied(source, status, err);
  atomic_fetch_add(&source->chunks, 1);
  /* The ranks may be further than this chunk is long: its end still says how many batches it has. */
  int64_t size = source->batch_rows, count = (ghee_shuffled_rows(of->shuffled) + size - 1) / size;
  of->seq = of->from_seq < count ? of->from_seq : (uint32_t)count;
  return GHEE_OK;
}

static ghee_status next_shuffled(ghee_source_reader *source, lease *of, ghee_item *out, ghee_error *err) {
  int64_t first = of->seq * source->batch_rows, left = ghee_shuffled_rows(of->shuffled) - first;
  if (left <= 0) return GHEE_CLOSED;
  GHEE_TRY(ghee_shuffled_gather(of->shuffled, first, left < source->batch_rows ? left : source->batch_rows, &out->gather, err));
  out->shuffled = ghee_shuffled_ref(of->shuffled);
  of->begun = true;
  out->row = UINT64_MAX;
  out->file = of->of.file;
  return GHEE_OK;
}

/* The next batch of the lease in the order of the file. GHEE_CLOSED: there is none. */
static ghee_status next_in_order(ghee_source_reader *source, lease *of, ghee_item *out, ghee_error *err) {
  for (;;) {
    if (!of->reader) {
      if (of->part == of->parts) return GHEE_CLOSED;
      GHEE_TRY(open_part(source, of, of->part++, err));
    }
    ghee_status status = next_batch(source, of, &out->batch, &out->row, err);
    if (status == GHEE_CLOSED) {
      close_part(of);
      continue;
    }
    out->file = of->of.file;
    return status;
  }
}

/* What was put aside follows the batch that it is missing in. */
static ghee_status give_rejects(lease *of, ghee_item *out, ghee_error *err) {
  *out = (ghee_item){.what = GHEE_ITEM_REJECTS, .attempt = of->attempt, .text = ghee_strdup(ghee_buffer_text(&of->rejects))};
  ghee_buffer_clear(&of->rejects);
  return out->text ? GHEE_OK : ghee_error_no_memory(err, "keeping rejected rows");
}

/* One step of a lease: a batch, rows that were put aside, or its end. */
static ghee_status step(ghee_source_reader *source, lease *of, ghee_item *out, ghee_error *err) {
  if (of->rejects.size > 0) return give_rejects(of, out, err);
  *out = (ghee_item){.what = GHEE_ITEM_BATCH, .attempt = of->attempt};
  ghee_status status;
  do {
    ghee_batch_release(&out->batch);
    status = source->worker->spec->shuffle ? next_shuffled(source, of, out, err) : next_in_order(source, of, out, err);
    if (status == GHEE_OK) out->seq = of->seq++;
  } while (status == GHEE_OK && out->seq < of->from_seq);
  if (status != GHEE_CLOSED) return remedied(source, status, err);
  if (of->rejects.size > 0) return give_rejects(of, out, err);
  out->what = GHEE_ITEM_END;
  out->seq = of->seq;
  return GHEE_OK;
}

/* ---- the reading thread ---- */

static uint32_t capacity(const ghee_source_reader *source) {
  return ghee_lease_capacity(source->worker->of->workers, planned(source) ? ghee_plan_totals_of(source->worker->plan)->interleave : 0);
}

/* Its chunk must be read before it gives batches. */
static bool is_unread(const ghee_source_reader *source, const lease *of) {
  return source->worker->spec->shuffle && !of->shuffled && of->rejects.size == 0;
}

/* mutex held. The first in order of those that can be gone on with now; NULL: none. While enough lies ready, one chunk is read ahead. One more than there are
 * leases may be in memory, but if all that are belong to leases nothing would come of waiting. */
static lease *first_of(ghee_source_reader *source) {
  bool full = source->locked.ready.count >= MOST_READY, ahead = false;
  uint32_t chunks = atomic_load(&source->chunks), owned = 0;
  lease *best = NULL;
  for (size_t i = 0; i < source->locked.leases.count; i++) {
    lease *one = source->locked.leases.items[i];
    owned += one->shuffled != NULL;
    ahead |= one->shuffled && !one->begun;
    if ((!full || is_unread(source, one)) && (!best || before(source, one, best))) best = one;
  }
  bool room = (chunks <= capacity(source) || chunks == owned) && !(full && ahead);
  return best && is_unread(source, best) && !room ? NULL : best;
}

/* The lease to go on with; NULL when canceled. Marks it as current. */
static lease *choose(ghee_source_reader *source) {
  pthread_mutex_lock(&source->locked.mutex);
  lease *best = NULL;
  while (!source->locked.canceled && !source->locked.failed && !(best = first_of(source)))
    pthread_cond_wait(&source->locked.changed, &source->locked.mutex);
  source->locked.current = best;
  pthread_mutex_unlock(&source->locked.mutex);
  return best;
}

static void forget(ghee_source_reader *source, lease *of) { /* mutex held */
  for (size_t i = 0; i < source->locked.leases.count; i++)
    if (source->locked.leases.items[i] == of) {
      source->locked.leases.items[i] = source->locked.leases.items[--source->locked.leases.count];
      return;
    }
}

/* Of the coordinator that is there now. The end of one of its leases makes room for another; those of one before are made up for at WELCOME. */
static uint32_t generation(ghee_source_reader *source) {
  ghee_worker *worker = source->worker;
  pthread_mutex_lock(&worker->locked.mutex);
  uint32_t now = worker->locked.generation;
  pthread_mutex_unlock(&worker->locked.mutex);
  return now;
}
static bool of_generation(const ghee_attempt *attempt, uint32_t now) { return attempt->token >> 32 == now; }

static void want(ghee_source_reader *source, uint32_t n) {
  ghee_say_message message = {.what = GHEE_SAY_WANT, .want = n};
  (void)ghee_link_say(source->worker->link, &message); /* said again at WELCOME */
}

/* Puts back a lease that was gone on with, and what that made, if anything, among the ready. What is dead is dropped. True: a lease was dropped and
 * one more is wanted. */
static bool deliver(ghee_source_reader *source, lease *of, ghee_item *item) {
  bool alive = ghee_attempts_alive(&source->worker->attempts, &of->attempt), over = !alive || (item && item->what == GHEE_ITEM_END), known = false, kept = false;
  pthread_mutex_lock(&source->locked.mutex);
  source->locked.current = NULL;
  for (size_t i = 0; i < source->locked.leases.count; i++) known |= source->locked.leases.items[i] == of;
  if (over && known) forget(source, of);
  if (item && alive && known && !source->locked.canceled && ghee_array_push(&source->locked.ready, *item)) {
    kept = true;
    *item = (ghee_item){0};
    pthread_cond_broadcast(&source->locked.changed);
  }
  pthread_mutex_unlock(&source->locked.mutex);
  if (over || !known) lease_free(source, of);
  return over && known && !kept;
}

/* An item that is not handed on, or that its host is done with. */
static void drop(ghee_source_reader *source, ghee_item *item) {
  ghee_budget_release(source->budget, item->budget_bytes);
  ghee_item_fini(item);
  leave(source, item->shuffled);
  *item = (ghee_item){0};
}

static void fail(ghee_source_reader *source, const ghee_error *failure) {
  pthread_mutex_lock(&source->locked.mutex);
  if (!source->locked.failed) source->locked.failure = *failure;
  source->locked.failed = true;
  source->locked.current = NULL;
  pthread_cond_broadcast(&source->locked.changed);
  pthread_mutex_unlock(&source->locked.mutex);
}

/* A step whose bytes are reserved before it. Shuffled rows, which are only named here, lie in chunks that the plan has made room for. */
static ghee_status make(ghee_source_reader *source, lease *of, ghee_item *out, ghee_error *err) {
  size_t reserved = source->worker->spec->shuffle ? 0 : of->estimate;
  if (reserved && ghee_budget_reserve_beside(source->budget, reserved, atomic_load(&source->kept)) != GHEE_OK) reserved = 0;
  ghee_status status = step(source, of, out, err);
  reserve_kept(source, of);
  size_t bytes = status == GHEE_OK && out->what == GHEE_ITEM_BATCH ? (size_t)ghee_batch_bytes(&out->batch) : 0;
  if (bytes > reserved) ghee_budget_force(source->budget, bytes - reserved);
  if (bytes < reserved) ghee_budget_release(source->budget, reserved - bytes);
  out->budget_bytes = bytes;
  if (bytes && !source->worker->spec->filter) of->estimate = bytes; /* what a filter has left says nothing of what is decoded */
  return status;
}

static void *run(void *user) {
  ghee_source_reader *source = user;
  ghee_error err;
  lease *of;
  while ((of = choose(source))) {
    ghee_attempt attempt = of->attempt;
    ghee_item item = {0};
    bool reads = is_unread(source, of);
    ghee_status status = reads ? read_shuffled(source, of, &err) : make(source, of, &item, &err);
    if (status != GHEE_OK && ghee_attempts_alive(&source->worker->attempts, &attempt)) {
      fail(source, &err);
      return NULL;
    }
    if (status != GHEE_OK) item = (ghee_item){.what = GHEE_ITEM_ABORT};
    bool dropped = deliver(source, of, reads && status == GHEE_OK ? NULL : &item);
    drop(source, &item);
    if (dropped && of_generation(&attempt, generation(source))) want(source, 1);
  }
  return NULL;
}

/* ---- the other threads ---- */

/* A job without end has a plan for each round (epoch). */
static ghee_status find_plan(ghee_source_reader *source, lease *of, ghee_error *err) {
  ghee_worker *worker = source->worker;
  of->plan = worker->plan;
  if (worker->spec->to.what != GHEE_BOUND_NEVER) return GHEE_OK;
  char *path = ghee_job_folder_round(worker->folder, of->attempt.epoch);
  ghee_status status = path ? ghee_plan_load(path, &of->plan, err) : ghee_error_no_memory(err, "taking a lease");
  ghee_free(path);
  of->own_plan = status == GHEE_OK;
  return status;
}

static ghee_status add_lease(ghee_source_reader *source, const ghee_say_lease *given, ghee_error *err) {
  lease *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return ghee_error_no_memory(err, "taking a lease");
  *of = (lease){.attempt = given->attempt, .from_seq = given->from_seq};
  ghee_status status = find_plan(source, of, err);
  if (status == GHEE_OK) {
    of->parts = ghee_plan_chunk_parts(of->plan, given->attempt.epoch, given->attempt.chunk);
    pthread_mutex_lock(&source->locked.mutex);
    if (!ghee_array_push(&source->locked.leases, of)) status = ghee_error_no_memory(err, "taking a lease");
    pthread_cond_broadcast(&source->locked.changed);
    pthread_mutex_unlock(&source->locked.mutex);
  }
  if (status != GHEE_OK) lease_free(source, of);
  return status;
}

void ghee_source_lease(ghee_source_reader *source, const ghee_say_lease *given) {
  ghee_error err;
  if (add_lease(source, given, &err) != GHEE_OK) fail(source, &err);
}

static bool alive(ghee_source_reader *source, const ghee_attempt *attempt) { return ghee_attempts_alive(&source->worker->attempts, attempt); }

void ghee_source_sweep(ghee_source_reader *source) {
  uint32_t gone = 0, now = generation(source);
  pthread_mutex_lock(&source->locked.mutex);
  for (size_t i = source->locked.leases.count; i-- > 0;) {
    lease *of = source->locked.leases.items[i];
    if (alive(source, &of->attempt)) continue;
    forget(source, of);
    gone += of_generation(&of->attempt, now);
    if (of != source->locked.current) lease_free(source, of); /* else the reading thread frees it */
  }
  size_t kept = 0;
  for (size_t i = 0; i < source->locked.ready.count; i++) {
    ghee_item *item = &source->locked.ready.items[i];
    if (alive(source, &item->attempt)) {
      source->locked.ready.items[kept++] = *item;
    } else {
      gone += item->what == GHEE_ITEM_END && of_generation(&item->attempt, now);
      drop(source, item);
    }
  }
  source->locked.ready.count = kept;
  pthread_cond_broadcast(&source->locked.changed);
  pthread_mutex_unlock(&source->locked.mutex);
  if (gone) want(source, gone);
}

void ghee_source_restart(ghee_source_reader *source) {
  ghee_source_sweep(source);
  want(source, capacity(source));
}

bool ghee_source_has(ghee_source_reader *source, uint32_t epoch, uint32_t chunk) {
  bool has = false;
  pthread_mutex_lock(&source->locked.mutex);
  for (size_t i = 0; i < source->locked.leases.count && !has; i++)
    has = source->locked.leases.items[i]->attempt.epoch == epoch && source->locked.leases.items[i]->attempt.chunk == chunk;
  for (size_t i = 0; i < source->locked.ready.count && !has; i++)
    has = source->locked.ready.items[i].attempt.epoch == epoch && source->locked.ready.items[i].attempt.chunk == chunk;
  pthread_mutex_unlock(&source->locked.mutex);
  return has;
}

ghee_status ghee_source_next(ghee_source_reader *source, ghee_item *out, ghee_error *err) {
  ghee_status status = GHEE_OK;
  pthread_mutex_lock(&source->locked.mutex);
  while (!source->locked.canceled && !source->locked.failed && source->locked.ready.count == 0)
    pthread_cond_wait(&source->locked.changed, &source->locked.mutex);
  if (source->locked.canceled) {
    status = GHEE_CANCELED;
  } else if (source->locked.ready.count > 0) {
    *out = source->locked.ready.items[0];
    memmove(source->locked.ready.items, source->locked.ready.items + 1, --source->locked.ready.count * sizeof *out);
    pthread_cond_broadcast(&source->locked.changed);
  } else {
    status = source->locked.failure.status;
    if (err) *err = source->locked.failure;
  }
  pthread_mutex_unlock(&source->locked.mutex);
  return status;
}

void ghee_source_done(ghee_source_reader *source, ghee_item *item) {
  bool another = item->what == GHEE_ITEM_END && of_generation(&item->attempt, generation(source)), wakes = item->shuffled;
  drop(source, item);
  if (wakes) {
    pthread_mutex_lock(&source->locked.mutex);
    pthread_cond_broadcast(&source->locked.changed);
    pthread_mutex_unlock(&source->locked.mutex);
  }
  if (another) want(source, 1);
}

void ghee_source_cancel(ghee_source_reader *source) {
  pthread_mutex_lock(&source->locked.mutex);
  source->locked.canceled = true;
  pthread_cond_broadcast(&source->locked.changed);
  pthread_mutex_unlock(&source->locked.mutex);
  ghee_budget_cancel(source->budget);
}

ghee_status ghee_source_start(ghee_worker *worker, ghee_source_reader **out, ghee_error *err) {
  ghee_source_reader *source = ghee_alloc_zero(1, sizeof *source);
  if (!source) return ghee_error_no_memory(err, "starting the reader");
  source->worker = worker;
  source->batch_rows = worker->of->batch_rows ? worker->of->batch_rows : 8192;
  pthread_mutex_init(&source->locked.mutex, NULL);
  pthread_cond_init(&source->locked.changed, NULL);
  ghee_format_keep(worker->of->buffer_bytes);
  ghee_status status = ghee_input_open(worker->spec, worker->plan, source->batch_rows, &source->input, err);
  if (status == GHEE_OK) status = ghee_budget_new(worker->of->buffer_bytes / 4, &source->budget, err);
  if (status == GHEE_OK) {
    worker->source = source; /* leases may come as soon as somebody asks for them */
    if (pthread_create(&source->thread, NULL, run, source) != 0) status = ghee_error_set(err, GHEE_IO, "cannot start the reading thread");
    source->started = status == GHEE_OK;
  }
  if (status != GHEE_OK) {
    worker->source = NULL;
    ghee_source_stop(source);
    return status;
  }
  *out = source;
  return GHEE_OK;
}

void ghee_source_stop(ghee_source_reader *source) {
  if (!source) return;
  if (source->started) {
    ghee_source_cancel(source);
    pthread_join(source->thread, NULL);
  }
  for (size_t i = 0; i < source->locked.leases.count; i++) lease_free(source, source->locked.leases.items[i]);
  for (size_t i = 0; i < source->locked.ready.count; i++) drop(source, &source->locked.ready.items[i]);
  ghee_array_fini(&source->locked.leases);
  ghee_array_fini(&source->locked.ready);
  ghee_budget_free(source->budget);
  ghee_input_close(source->input);
  pthread_cond_destroy(&source->locked.changed);
  pthread_mutex_destroy(&source->locked.mutex);
  ghee_free(source);
}
