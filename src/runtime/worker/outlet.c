/* SPDX-License-Identifier: Apache-2.0
 * Batches to the stage behind. Two ways: sticky (all of an attempt to the worker with most credit when it began) where the job
 * has an output, planned (batch s of chunk p to rank (p + s) mod world, the end to all ranks) where it trains.
 *
 * Design notes
 * - An attempt whose receiver dies is LOST: said to the coordinator, dead here at once. In a training job nothing is lost that way: a
 *   dead rank makes the coordinator revoke everything.
 * - The transport queues; memory is bounded by its arena, where reserve waits. In planned order a rank may WANT a batch of a chunk
 *   that this worker still has to make; until then nothing waits for room, or all would wait for each other. */
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "batch/frame.h"
#include "runtime/worker/worker.h"

typedef struct target {             /* a worker of the next stage */
  uint64_t number;                  /* 0: not there */
  bool has_schema;
  bool wants; uint32_t epoch, chunk, seq; /* the batch that it waits for */
} target;
typedef struct path { ghee_attempt attempt; uint32_t to; uint32_t acks; bool ended; } path; /* an attempt under way */

struct ghee_outlet {
  ghee_worker *worker;
  const struct ghee_stream_ops *ops;
  ghee_sender *sender;
  uint64_t self;                    /* what receivers know it by: another in each life of a worker, or the end of one would be taken for the next's */
  bool planned;
  uint32_t n;
  ghee_schema *schema;              /* what is sent; a reference */
  atomic_bool flows;                /* the next stage has worked a chunk off: from now on waiting for it counts */
  struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    target *targets;
    GHEE_ARRAY(path) paths;
    bool canceled;
  } locked;
};

enum { NOWHERE = UINT32_MAX };

static bool alive(ghee_outlet *outlet, const ghee_attempt *attempt) { return ghee_attempts_alive(&outlet->worker->attempts, attempt); }

/* mutex held */
static path *path_of(ghee_outlet *outlet, uint64_t token) {
  for (size_t i = 0; i < outlet->locked.paths.count; i++)
    if (outlet->locked.paths.items[i].attempt.token == token) return &outlet->locked.paths.items[i];
  return NULL;
}
static void drop_path(ghee_outlet *outlet, path *one) { *one = outlet->locked.paths.items[--outlet->locked.paths.count]; }

static uint32_t target_numbered(ghee_outlet *outlet, uint64_t number) {
  for (uint32_t i = 0; i < outlet->n; i++)
    if (outlet->locked.targets[i].number == number) return i;
  return NOWHERE;
}

/* A new coordinator holds all of this void anyway: what could not be said needs no repetition. */
static void say_lost(ghee_outlet *outlet, const ghee_attempt *attempt) {
  ghee_say_message message = {.what = GHEE_SAY_LOST, .attempt = *attempt};
  (void)ghee_link_say(outlet->worker->link, &message);
}
static void say_passed(ghee_outlet *outlet, const ghee_attempt *attempt, uint32_t to, uint64_t number) {
  ghee_say_message message = {.what = GHEE_SAY_PASSED, .passed = {.attempt = *attempt, .to = to, .number = number}};
  (void)ghee_link_say(outlet->worker->link, &message);
}

/* An end was taken: when by all who must, the chunk has left this worker. */
static void acknowledged(ghee_outlet *outlet, uint64_t peer, const ghee_stream_head *head) {
  ghee_attempt attempt = {0};
  uint32_t to = NOWHERE;
  outlet->flows = true;
  pthread_mutex_lock(&outlet->locked.mutex);
  path *one = path_of(outlet, head->token);
  if (one && ++one->acks == (outlet->planned ? outlet->n : 1)) {
    attempt = one->attempt;
    to = one->to;
    drop_path(outlet, one);
  } else {
    one = NULL;
  }
  pthread_mutex_unlock(&outlet->locked.mutex);
  if (one) say_passed(outlet, &attempt, to, peer);
}

/* A receiver is gone: what went to it has to begin anew. */
static void lose(ghee_outlet *outlet, uint32_t worker) {
  GHEE_ARRAY(ghee_attempt) lost = {0};
  pthread_mutex_lock(&outlet->locked.mutex);
  outlet->locked.targets[worker] = (target){0};
  for (size_t i = outlet->locked.paths.count; i-- > 0 && !outlet->planned;) {
    path *one = &outlet->locked.paths.items[i];
    if (one->to != worker) continue;
    (void)ghee_array_push(&lost, one->attempt); /* unsaid, the coordinator finds out by the death itself */
    drop_path(outlet, one);
  }
  pthread_mutex_unlock(&outlet->locked.mutex);
  for (size_t i = 0; i < lost.count; i++) {
    ghee_attempts_revoke(&outlet->worker->attempts, &lost.items[i]);
    say_lost(outlet, &lost.items[i]);
  }
  ghee_array_fini(&lost);
}

static void on_event(void *user, const ghee_sender_event *event) {
  ghee_outlet *outlet = user;
  if (event->what == GHEE_SENDER_ACK) {
    acknowledged(outlet, event->peer, &event->head);
    return;
  }
  pthread_mutex_lock(&outlet->locked.mutex);
  uint32_t worker = target_numbered(outlet, event->peer);
  if (event->what == GHEE_SENDER_WANT && worker != NOWHERE) {
    target *of = &outlet->locked.targets[worker];
    of->wants = true;
    of->epoch = event->head.epoch;
    of->chunk = event->head.chunk;
    of->seq = event->head.seq;
  }
  pthread_mutex_unlock(&outlet->locked.mutex);
  if (event->what == GHEE_SENDER_GONE && worker != NOWHERE) lose(outlet, worker);
}

void ghee_outlet_peer(ghee_outlet *outlet, const ghee_say_peer *peer) {
  if (peer->worker >= outlet->n) return;
  pthread_mutex_lock(&outlet->locked.mutex);
  bool known = outlet->locked.targets[peer->worker].number == peer->number;
  pthread_mutex_unlock(&outlet->locked.mutex);
  if (known) return; /* said again by a new coordinator; what is in flight there must stay */
  ghee_outlet_no_peer(outlet, peer->worker);
  ghee_error err;
  ghee_status status = outlet->ops->connect(outlet->sender, peer->address, outlet->self, peer->number, &err);
  if (status != GHEE_OK && status != GHEE_CLOSED) ghee_worker_fail(outlet->worker, &err);
  if (status != GHEE_OK) return; /* dead already: NO_PEER follows */
  pthread_mutex_lock(&outlet->locked.mutex);
  outlet->locked.targets[peer->worker] = (target){.number = peer->number};
  pthread_cond_broadcast(&outlet->locked.changed);
  pthread_mutex_unlock(&outlet->locked.mutex);
}

void ghee_outlet_no_peer(ghee_outlet *outlet, uint32_t worker) {
  if (worker >= outlet->n) return;
  pthread_mutex_lock(&outlet->locked.mutex);
  uint64_t number = outlet->locked.targets[worker].number;
  pthread_mutex_unlock(&outlet->locked.mutex);
  if (!number) return;
  outlet->ops->disconnect(outlet->sender, number);
  lose(outlet, worker);
}

void ghee_outlet_sweep(ghee_outlet *outlet) {
  for (;;) {
    uint64_t token = 0;
    pthread_mutex_lock(&outlet->locked.mutex);
    for (size_t i = 0; i < outlet->locked.paths.count && !token; i++) {
      path *one = &outlet->locked.paths.items[i];
      if (alive(outlet, &one->attempt)) continue;
      token = one->attempt.token;
      drop_path(outlet, one);
    }
    pthread_cond_broadcast(&outlet->locked.changed);
    pthread_mutex_unlock(&outlet->locked.mutex);
    if (!token) return;
    outlet->ops->revoke(outlet->sender, token);
  }
}

/* Somebody waits for a batch of a chunk that is still to be made here: room must not be waited for. */
static bool urgent(ghee_outlet *outlet) {
  if (!outlet->planned) return false;
  for (uint32_t i = 0; i < outlet->n; i++) {
    pthread_mutex_lock(&outlet->locked.mutex);
    target of = outlet->locked.targets[i];
    pthread_mutex_unlock(&outlet->locked.mutex);
    if (of.wants && ghee_source_has(outlet->worker->source, of.epoch, of.chunk)) return true;
  }
  return false;
}

static ghee_status reserve(ghee_outlet *outlet, uint64_t size, ghee_slot *slot, ghee_error *err) {
  uint64_t start = ghee_clock_ns();
  bool flows = outlet->flows;
  ghee_status status;
  do status = outlet->ops->reserve(outlet->sender, size, urgent(outlet), slot, err);
  while (status == GHEE_AGAIN); /* a want came */
  if (flows) outlet->worker->meter.blocked_ns += ghee_clock_ns() - start;
  return status;
}

/* Chooses where an attempt goes, when its first frame does. GHEE_CLOSED: the attempt has died. */
static ghee_status choose(ghee_outlet *outlet, const ghee_attempt *attempt, uint32_t *to, ghee_error *err) {
  for (;;) {
    pthread_mutex_lock(&outlet->locked.mutex);
    path *one = path_of(outlet, attempt->token);
    *to = one ? one->to : NOWHERE;
    pthread_mutex_unlock(&outlet->locked.mutex);
    if (one) return GHEE_OK;
    if (!alive(outlet, attempt)) return GHEE_CLOSED;
    uint64_t number = 0, start = ghee_clock_ns();
    bool flows = outlet->flows;
    if (!outlet->planned) GHEE_TRY(outlet->ops->pick(outlet->sender, &number, err));
    if (flows) outlet->worker->meter.blocked_ns += ghee_clock_ns() - start;
    pthread_mutex_lock(&outlet->locked.mutex);
    uint32_t worker = outlet->planned ? 0 : target_numbered(outlet, number);
    bool kept = worker == NOWHERE || ghee_array_push(&outlet->locked.paths, ((path){.attempt = *attempt, .to = outlet->planned ? NOWHERE : worker}));
    pthread_mutex_unlock(&outlet->locked.mutex);
    if (!kept) return ghee_error_no_memory(err, "opening a way for a chunk");
  }
}

/* The number of a target that is there; waits for one that is being started. GHEE_CLOSED: the attempt died meanwhile. */
static ghee_status await_target(ghee_outlet *outlet, const ghee_attempt *attempt, uint32_t worker, uint64_t *number, bool *needs_schema) {
  ghee_status status = GHEE_OK;
  pthread_mutex_lock(&outlet->locked.mutex);
  while (!outlet->locked.canceled && alive(outlet, attempt) && !outlet->locked.targets[worker].number)
    pthread_cond_wait(&outlet->locked.changed, &outlet->locked.mutex);
  if (outlet->locked.canceled) status = GHEE_CANCELED;
  else if (!alive(outlet, attempt)) status = GHEE_CLOSED;
  *number = outlet->locked.targets[worker].number;
  *needs_schema = status == GHEE_OK && outlet->schema && !outlet->locked.targets[worker].has_schema;
  if (*needs_schema) outlet->locked.targets[worker].has_schema = true;
  pthread_mutex_unlock(&outlet->locked.mutex);
  return status;
}

static ghee_status send_bytes(ghee_outlet *outlet, uint64_t number, const ghee_stream_head *head, const void *data, size_t size, ghee_error *err) {
  ghee_slot slot = {0};
  if (size > 0) {
    GHEE_TRY(reserve(outlet, size, &slot, err));
    memcpy(slot.data, data, size);
  }
  return outlet->ops->send(outlet->sender, number, head, size ? &slot : NULL, size, err);
}

static ghee_status send_schema(ghee_outlet *outlet, uint64_t number, ghee_error *err) {
  ghee_buffer bytes = {0};
  ghee_status status = ghee_schema_encode(outlet->schema, &bytes, err);
  ghee_stream_head head = {.kind = GHEE_FRAME_SCHEMA, .epoch = UINT32_MAX}; /* no batch's: it is never taken for a wanted one */
  if (status == GHEE_OK) status = send_bytes(outlet, number, &head, bytes.data, bytes.size, err);
  ghee_buffer_fini(&bytes);
  return status;
}

/* What a frame is made of: one of them, or nothing. */
typedef struct content { const ghee_batch *batch; const ghee_gather *gather; const char *text; } content;

static ghee_status measure_frame(const content *what, uint64_t *size, ghee_error *err) {
  return what->gather ? ghee_gather_frame_size(what->gather, size, err) : ghee_frame_size(what->batch, size, err);
}

static ghee_status write_frame(const content *what, void *into, uint64_t *size, ghee_error *err) {
  return what->gather ? ghee_gather_write(what->gather, into, *size, size, err) : ghee_frame_write(what->batch, into, *size, err);
}

static ghee_status send_frame(ghee_outlet *outlet, uint64_t number, const ghee_stream_head *head, const content *what, ghee_error *err) {
  if (!what->gather && (!what->batch || ghee_batch_rows(what->batch) == 0)) return outlet->ops->send(outlet->sender, number, head, NULL, 0, err);
  uint64_t size;
  ghee_slot slot;
  GHEE_TRY(measure_frame(what, &size, err));
  GHEE_TRY(reserve(outlet, size, &slot, err));
  ghee_status status = write_frame(what, slot.data, &size, err);
  if (status != GHEE_OK) {
    outlet->ops->unreserve(outlet->sender, &slot);
    return status;
  }
  return outlet->ops->send(outlet->sender, number, head, &slot, size, err);
}

/* One frame to one target. A dead attempt or receiver is no error: somebody else knows and begins anew. */
static ghee_status post(ghee_outlet *outlet, uint32_t worker, const ghee_stream_head *head, const content *what, ghee_error *err) {
  ghee_attempt attempt = {.epoch = head->epoch, .chunk = head->chunk, .token = head->token};
  uint64_t number;
  bool needs_schema;
  ghee_status status = await_target(outlet, &attempt, worker, &number, &needs_schema);
  if (status == GHEE_OK && needs_schema) status = send_schema(outlet, number, err);
  if (status == GHEE_OK)
    status = what->text ? send_bytes(outlet, number, head, what->text, strlen(what->text), err) : send_frame(outlet, number, head, what, err);
  return status == GHEE_CLOSED ? GHEE_OK : status;
}

static ghee_stream_head head_of(uint32_t kind, const ghee_attempt *attempt, uint32_t seq) {
  return (ghee_stream_head){.kind = kind, .epoch = attempt->epoch, .chunk = attempt->chunk, .token = attempt->token, .seq = seq};
}

static ghee_status post_rows(ghee_outlet *outlet, const ghee_item *item, const content *what, ghee_schema *schema, ghee_error *err) {
  if (!outlet->schema && schema) outlet->schema = ghee_schema_ref(schema);
  uint32_t to;
  ghee_status status = choose(outlet, &item->attempt, &to, err);
  if (status == GHEE_CLOSED) return GHEE_OK;
  GHEE_TRY(status);
  ghee_stream_head head = head_of(GHEE_FRAME_BATCH, &item->attempt, item->seq);
  head.file = item->file;
  head.rows = item->row;
  return post(outlet, outlet->planned ? ghee_plan_rank(item->attempt.chunk, item->seq, outlet->n) : to, &head, what, err);
}

ghee_status ghee_outlet_batch(ghee_outlet *outlet, const ghee_item *item, const ghee_batch *batch, ghee_error *err) {
  return post_rows(outlet, item, &(content){.batch = batch}, batch ? batch->schema : NULL, err);
}

ghee_status ghee_outlet_gather(ghee_outlet *outlet, const ghee_item *item, ghee_error *err) {
  return post_rows(outlet, item, &(content){.gather = &item->gather}, item->gather.batches[0].schema, err);
}

ghee_status ghee_outlet_rejects(ghee_outlet *outlet, const ghee_attempt *attempt, const char *lines, ghee_error *err) {
  uint32_t to;
  ghee_status status = choose(outlet, attempt, &to, err);
  if (status == GHEE_CLOSED) return GHEE_OK;
  GHEE_TRY(status);
  ghee_stream_head head = head_of(GHEE_FRAME_REJECTS, attempt, 0);
  return post(outlet, to, &head, &(content){.text = lines}, err);
}

ghee_status ghee_outlet_end(ghee_outlet *outlet, const ghee_attempt *attempt, uint32_t count, ghee_error *err) {
  uint32_t to;
  ghee_status status = choose(outlet, attempt, &to, err);
  if (status == GHEE_CLOSED) return GHEE_OK;
  GHEE_TRY(status);
  ghee_stream_head head = head_of(GHEE_FRAME_END, attempt, count);
  if (!outlet->planned) return post(outlet, to, &head, &(content){0}, err);
  for (uint32_t rank = 0; rank < outlet->n; rank++) GHEE_TRY(post(outlet, rank, &head, &(content){0}, err));
  return GHEE_OK;
}

ghee_status ghee_outlet_abort(ghee_outlet *outlet, const ghee_attempt *attempt, ghee_error *err) {
  pthread_mutex_lock(&outlet->locked.mutex);
  path *one = path_of(outlet, attempt->token);
  uint32_t to = one ? one->to : NOWHERE;
  if (one) drop_path(outlet, one);
  uint64_t number = to == NOWHERE ? 0 : outlet->locked.targets[to].number;
  pthread_mutex_unlock(&outlet->locked.mutex);
  ghee_attempts_revoke(&outlet->worker->attempts, attempt);
  outlet->ops->revoke(outlet->sender, attempt->token);
  if (!number) return GHEE_OK;
  ghee_stream_head head = head_of(GHEE_FRAME_ABORT, attempt, 0);
  ghee_status status = outlet->ops->send(outlet->sender, number, &head, NULL, 0, err);
  return status == GHEE_CLOSED ? GHEE_OK : status;
}

void ghee_outlet_cancel(ghee_outlet *outlet) {
  pthread_mutex_lock(&outlet->locked.mutex);
  outlet->locked.canceled = true;
  pthread_cond_broadcast(&outlet->locked.changed);
  pthread_mutex_unlock(&outlet->locked.mutex);
  outlet->ops->sender_cancel(outlet->sender);
}

ghee_status ghee_outlet_open(ghee_worker *worker, ghee_outlet **out, ghee_error *err) {
  ghee_outlet *outlet = ghee_alloc_zero(1, sizeof *outlet);
  uint32_t n = worker->spec->stages[worker->stage + 1].workers;
  target *targets = ghee_alloc_zero(n, sizeof *targets);
  ghee_status status = outlet && targets ? GHEE_OK : ghee_error_no_memory(err, "opening the way out");
  if (status == GHEE_OK) {
    *outlet = (ghee_outlet){.worker = worker, .ops = worker->transport, .n = n, .planned = worker->spec->train};
    outlet->self = ghee_hash(&(uint64_t[]){(uint64_t)getpid(), ghee_clock_ns()}, 16, worker->index);
    outlet->locked.targets = targets;
    pthread_mutex_init(&outlet->locked.mutex, NULL);
    pthread_cond_init(&outlet->locked.changed, NULL);
    ghee_stream_options options = {.key = worker->key, .folder = worker->folder, .host = "127.0.0.1", .arena_bytes = worker->of->buffer_bytes / 2,
                                   .seat = worker->index};
    status = outlet->ops->sender_open(&options, on_event, outlet, &outlet->sender, err);
  }
  if (status != GHEE_OK) {
    ghee_free(targets);
    ghee_free(outlet);
    return status;
  }
  *out = outlet;
  return GHEE_OK;
}

void ghee_outlet_close(ghee_outlet *outlet) {
  if (!outlet) return;
  outlet->ops->sender_close(outlet->sender, false);
  ghee_schema_unref(outlet->schema);
  ghee_array_fini(&outlet->locked.paths);
  ghee_free(outlet->locked.targets);
  pthread_cond_destroy(&outlet->locked.changed);
  pthread_mutex_destroy(&outlet->locked.mutex);
  ghee_free(outlet);
}
