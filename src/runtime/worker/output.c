/* SPDX-License-Identifier: Apache-2.0
 * The sink inside each worker of the last stage: open chunks, and the files that whole chunks are encoded into.
 *
 * Design notes: the life of a chunk here
 * - open (batches come) → complete (its end came; COMPLETE is said) → accepted (by the coordinator: no other attempt runs) →
 *   encoded into the current files by the writing thread → staged (files closed and durable; STAGED is said) → committed.
 * - The end is not acknowledged to the stage before until the chunk is complete here, so the holder is always one who has it all.
 * - Files end when they have reached their size (output_files.h), or on FLUSH, and are staged with all chunks whose rows they hold. Nothing but
 *   accepted chunks gets into a file, so no file is ever thrown away for the sake of one chunk.
 * - A new coordinator is told what is accepted, and hears STAGED again for what it has not confirmed. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "runtime/worker/output_files.h"
#include "runtime/job/output_log.h"
#include "runtime/worker/spool.h"
#include "runtime/worker/worker.h"

typedef enum chunk_state { CHUNK_OPEN, CHUNK_COMPLETE, CHUNK_ACCEPTED } chunk_state;
typedef struct chunk {
  ghee_attempt attempt;
  chunk_state state;
  bool busy;              /* the writing thread has it */
  ghee_spool spool;
  ghee_buffer rejects;    /* JSON lines */
  uint64_t rejected;
} chunk;

typedef GHEE_ARRAY(ghee_attempt) attempt_list;
/** Chunks and their files, being written, or staged and not committed yet. */
typedef struct staged {
  uint64_t ticket, rows, rejected;
  ghee_say_files files;
  attempt_list chunks;
} staged;

struct ghee_output {
  ghee_worker *worker;
  ghee_output_files *files;      /* where the output is a folder */
  ghee_output_log *topic;        /* where it is one */
  ghee_budget *budget;
  pthread_t thread;
  bool started;
  /* the writing thread's own */
  staged now;             /* the current files */
  ghee_buffer rejects;    /* of the chunks in them */
  struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    GHEE_ARRAY(chunk *) chunks;
    GHEE_ARRAY(staged) staged;
    attempt_list encoded;  /* in the current files: for HELLO */
    uint64_t next_ticket;
    bool flush, canceled;
  } locked;
};

/* ---- open chunks ---- */

static chunk *find(ghee_output *output, uint64_t token) { /* mutex held */
  for (size_t i = 0; i < output->locked.chunks.count; i++)
    if (output->locked.chunks.items[i]->attempt.token == token) return output->locked.chunks.items[i];
  return NULL;
}

static void chunk_free(ghee_output *output, chunk *of) {
  ghee_spool_fini(&of->spool, output->budget);
  ghee_buffer_fini(&of->rejects);
  ghee_free(of);
}

static void drop(ghee_output *output, chunk *of) { /* mutex held */
  for (size_t i = 0; i < output->locked.chunks.count; i++)
    if (output->locked.chunks.items[i] == of) output->locked.chunks.items[i] = output->locked.chunks.items[--output->locked.chunks.count];
  chunk_free(output, of);
}

/* The open chunk of an attempt, made if there is none; busy, so that a sweep leaves it alone. NULL without memory. */
static chunk *claim(ghee_output *output, const ghee_attempt *attempt) {
  pthread_mutex_lock(&output->locked.mutex);
  chunk *of = find(output, attempt->token);
  if (!of && (of = ghee_alloc_zero(1, sizeof *of))) {
    of->attempt = *attempt;
    if (!ghee_array_push(&output->locked.chunks, of)) {
      ghee_free(of);
      of = NULL;
    }
  }
  if (of) of->busy = true;
  pthread_mutex_unlock(&output->locked.mutex);
  return of;
}

static void unclaim(ghee_output *output, chunk *of) {
  pthread_mutex_lock(&output->locked.mutex);
  of->busy = false;
  if (of->state != CHUNK_ACCEPTED && !ghee_attempts_alive(&output->worker->attempts, &of->attempt)) drop(output, of);
  pthread_mutex_unlock(&output->locked.mutex);
}

ghee_status ghee_output_batch(ghee_output *output, const ghee_attempt *attempt, const ghee_batch *batch, ghee_error *err) {
  chunk *of = claim(output, attempt);
  if (!of) return ghee_error_no_memory(err, "opening a chunk");
  ghee_status status = batch ? ghee_spool_push(&of->spool, batch, output->budget, output->worker->folder, err) : GHEE_OK;
  unclaim(output, of);
  return status;
}

ghee_status ghee_output_rejects(ghee_output *output, const ghee_attempt *attempt, const char *lines, uint64_t rows, ghee_error *err) {
  chunk *of = claim(output, attempt);
  if (!of) return ghee_error_no_memory(err, "opening a chunk");
  ghee_buffer_put(&of->rejects, lines, strlen(lines));
  of->rejected += rows;
  ghee_status status = ghee_buffer_check(&of->rejects, "keeping rejected rows", err);
  unclaim(output, of);
  return status;
}

ghee_status ghee_output_end(ghee_output *output, const ghee_attempt *attempt, ghee_error *err) {
  chunk *of = claim(output, attempt); /* a chunk may have had no batch */
  if (!of) return ghee_error_no_memory(err, "closing a chunk");
  ghee_say_message message = {.what = GHEE_SAY_COMPLETE, .complete = {.attempt = *attempt, .rows = of->spool.rows, .rejected = of->rejected}};
  of->state = CHUNK_COMPLETE;
  unclaim(output, of);
  (void)ghee_link_say(output->worker->link, &message); /* without a coordinator the attempt is void */
  return GHEE_OK;
}

void ghee_output_abort(ghee_output *output, const ghee_attempt *attempt) {
  ghee_attempts_revoke(&output->worker->attempts, attempt);
  ghee_output_sweep(output);
}

void ghee_output_sweep(ghee_output *output) {
  pthread_mutex_lock(&output->locked.mutex);
  for (size_t i = output->locked.chunks.count; i-- > 0;) {
    chunk *of = output->locked.chunks.items[i];
    if (!of->busy && of->state != CHUNK_ACCEPTED && !ghee_attempts_alive(&output->worker->attempts, &of->attempt)) drop(output, of);
  }
  pthread_mutex_unlock(&output->locked.mutex);
}

void ghee_output_accept(ghee_output *output, const ghee_attempt *attempt) {
  pthread_mutex_lock(&output->locked.mutex);
  chunk *of = find(output, attempt->token);
  if (of) of->state = CHUNK_ACCEPTED;
  pthread_cond_broadcast(&output->locked.changed);
  pthread_mutex_unlock(&output->locked.mutex);
}

void ghee_output_flush(ghee_output *output) {
  pthread_mutex_lock(&output->locked.mutex);
  output->locked.flush = true;
  pthread_cond_broadcast(&output->locked.changed);
  pthread_mutex_unlock(&output->locked.mutex);
}

/* ---- staged chunks ---- */

static void staged_fini(staged *of) {
  ghee_say_files_fini(&of->files);
  ghee_array_fini(&of->chunks);
  *of = (staged){0};
}

/* FILE of each, then STAGED, which borrows from `of`; mutex held, so that those of two tickets do not mix. */
static void say_staged(ghee_output *output, const staged *of) {
  for (size_t i = 0; i < of->files.count; i++) {
    ghee_say_message file = {.what = GHEE_SAY_FILE, .file = of->files.items[i]};
    file.file.ticket = of->ticket;
    (void)ghee_link_say(output->worker->link, &file);
  }
  ghee_say_message message = {.what = GHEE_SAY_STAGED,
                              .staged = {.ticket = of->ticket, .rows = of->rows, .rejected = of->rejected, .files = (uint32_t)of->files.count}};
  message.staged.chunks.items = of->chunks.items;
  message.staged.chunks.count = of->chunks.count;
  (void)ghee_link_say(output->worker->link, &message); /* all of it is said again to a new coordinator */
}

/* Hands the finished files over to the staged ones and says so. */
static ghee_status stage(ghee_output *output, ghee_error *err) {
  staged *now = &output->now;
  pthread_mutex_lock(&output->locked.mutex);
  now->ticket = ++output->locked.next_ticket;
  bool kept = ghee_array_push(&output->locked.staged, *now);
  if (kept) {
    output->locked.encoded.count = 0;
    say_staged(output, now);
    *now = (staged){0};
  }
  pthread_mutex_unlock(&output->locked.mutex);
  return kept ? GHEE_OK : ghee_error_no_memory(err, "staging an output file");
}

/* Ends the current files; the refused rows of their chunks get a file of their own. */
static ghee_status finish_files(ghee_output *output, ghee_error *err) {
  staged *now = &output->now;
  GHEE_TRY(output->topic ? GHEE_OK : ghee_output_files_finish(output->files, &now->files, err));
  if (output->rejects.size > 0) GHEE_TRY(ghee_output_files_reject(output->files, &output->rejects, now->rejected, &now->files, err));
  ghee_buffer_clear(&output->rejects);
  return now->chunks.count > 0 ? stage(output, err) : GHEE_OK;
}

/* ---- encoding ---- */

static ghee_status write_batch(ghee_output *output, ghee_batch *batch, ghee_error *err) {
  return output->topic ? ghee_output_log_write(output->topic, batch, err) : ghee_output_files_write(output->files, batch, err);
}

/* Commits the chunk whose rows were written, and those it rejected, once the ledger has the one before. */
static ghee_status commit_records(ghee_output *output, const ghee_attempt *attempt, ghee_error *err) {
  pthread_mutex_lock(&output->locked.mutex);
  while (!output->locked.canceled && output->locked.staged.count > 0) pthread_cond_wait(&output->locked.changed, &output->locked.mutex);
  bool go_on = !output->locked.canceled;
  pthread_mutex_unlock(&output->locked.mutex);
  if (!go_on) return GHEE_OK; /* undone when the output is closed */
  ghee_output_mark mark = {.epoch = attempt->epoch, .chunk = attempt->chunk, .rows = output->now.rows, .rejected = output->now.rejected};
  GHEE_TRY(ghee_output_log_reject(output->topic, &output->rejects, err));
  GHEE_TRY(ghee_output_log_commit(output->topic, &mark, err));
  ghee_buffer_clear(&output->rejects);
  return stage(output, err);
}

static ghee_status encode(ghee_output *output, chunk *of, ghee_error *err) {
  ghee_batch batch = {0};
  ghee_attempt attempt = of->attempt;
  ghee_status status;
  while ((status = ghee_spool_pop(&of->spool, &batch, err)) == GHEE_OK) {
    status = write_batch(output, &batch, err);
    output->now.rows += (uint64_t)ghee_batch_rows(&batch);
    ghee_batch_release(&batch);
    GHEE_TRY(status);
  }
  if (status != GHEE_CLOSED) return status;
  ghee_buffer_put(&output->rejects, of->rejects.data, of->rejects.size);
  output->now.rejected += of->rejected;
  GHEE_TRY(ghee_buffer_check(&output->rejects, "keeping rejected rows", err));
  if (!ghee_array_push(&output->now.chunks, of->attempt)) return ghee_error_no_memory(err, "encoding a chunk");
  pthread_mutex_lock(&output->locked.mutex);
  bool kept = ghee_array_push(&output->locked.encoded, of->attempt);
  drop(output, of);
  pthread_mutex_unlock(&output->locked.mutex);
  if (!kept) return ghee_error_no_memory(err, "encoding a chunk");
  if (output->topic) return commit_records(output, &attempt, err);
  /* Many chunks without rows must not wait for a file that never fills; STAGED has to fit a message. */
  return ghee_output_files_full(output->files) || output->now.chunks.count >= 2048 ? finish_files(output, err) : GHEE_OK;
}

/* What the writing thread does next: an accepted chunk, else a flush, else it waits. False: canceled. */
static bool next_work(ghee_output *output, chunk **of) {
  *of = NULL;
  pthread_mutex_lock(&output->locked.mutex);
  while (!output->locked.canceled) {
    for (size_t i = 0; i < output->locked.chunks.count && !*of; i++)
      if (output->locked.chunks.items[i]->state == CHUNK_ACCEPTED) *of = output->locked.chunks.items[i];
    if (*of || output->locked.flush) break;
    pthread_cond_wait(&output->locked.changed, &output->locked.mutex);
  }
  if (*of) (*of)->busy = true;
  else output->locked.flush = false;
  bool go_on = !output->locked.canceled;
  pthread_mutex_unlock(&output->locked.mutex);
  return go_on;
}

static void *run(void *user) {
  ghee_output *output = user;
  ghee_error err;
  chunk *of;
  while (next_work(output, &of)) {
    if ((of ? encode(output, of, &err) : finish_files(output, &err)) == GHEE_OK) continue;
    ghee_error_prefix(&err, "cannot write the output");
    ghee_worker_fail(output->worker, &err);
    break;
  }
  return NULL;
}

/* ---- the coordinator's answers ---- */

void ghee_output_committed(ghee_output *output, uint64_t ticket) {
  pthread_mutex_lock(&output->locked.mutex);
  for (size_t i = 0; i < output->locked.staged.count; i++) {
    if (output->locked.staged.items[i].ticket != ticket) continue;
    staged_fini(&output->locked.staged.items[i]);
    output->locked.staged.items[i] = output->locked.staged.items[--output->locked.staged.count];
    break;
  }
  pthread_cond_broadcast(&output->locked.changed); /* a topic's next chunk may wait for it */
  pthread_mutex_unlock(&output->locked.mutex);
}

static bool add_all(ghee_say_hello *hello, const ghee_attempt *attempts, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!ghee_array_push(&hello->accepted, attempts[i])) return false;
  return true;
}

bool ghee_output_accepted(ghee_output *output, ghee_say_hello *hello) {
  pthread_mutex_lock(&output->locked.mutex);
  bool ok = add_all(hello, output->locked.encoded.items, output->locked.encoded.count);
  for (size_t i = 0; i < output->locked.chunks.count && ok; i++)
    if (output->locked.chunks.items[i]->state == CHUNK_ACCEPTED) ok = add_all(hello, &output->locked.chunks.items[i]->attempt, 1);
  for (size_t i = 0; i < output->locked.staged.count && ok; i++)
    ok = add_all(hello, output->locked.staged.items[i].chunks.items, output->locked.staged.items[i].chunks.count);
  pthread_mutex_unlock(&output->locked.mutex);
  return ok;
}

void ghee_output_restart(ghee_output *output) {
  ghee_output_sweep(output);
  pthread_mutex_lock(&output->locked.mutex);
  for (size_t i = 0; i < output->locked.staged.count; i++) say_staged(output, &output->locked.staged.items[i]);
  pthread_mutex_unlock(&output->locked.mutex);
}

/* ---- life ---- */

void ghee_output_cancel(ghee_output *output) {
  pthread_mutex_lock(&output->locked.mutex);
  output->locked.canceled = true;
  pthread_cond_broadcast(&output->locked.changed);
  pthread_mutex_unlock(&output->locked.mutex);
}

static ghee_status open_topic(ghee_output *output, ghee_error *err) {
  char *run = NULL;
  GHEE_TRY(ghee_job_folder_read_id(output->worker->folder, &run, err));
  ghee_status status = ghee_output_log_open(output->worker->spec, run, output->worker->index, &output->topic, err);
  ghee_free(run);
  return status;
}

ghee_status ghee_output_open(ghee_worker *worker, ghee_output **out, ghee_error *err) {
  ghee_output *output = ghee_alloc_zero(1, sizeof *output);
  if (!output) return ghee_error_no_memory(err, "opening the output");
  output->worker = worker;
  pthread_mutex_init(&output->locked.mutex, NULL);
  pthread_cond_init(&output->locked.changed, NULL);
  ghee_status status = ghee_budget_new(worker->of->buffer_bytes / (worker->spec->n_partition_by + worker->spec->n_sort_by > 0 ? 4 : 2), &output->budget, err);
  if (status == GHEE_OK) status = worker->spec->output_log ? open_topic(output, err) : ghee_output_files_open(worker, &output->files, err);
  if (status == GHEE_OK && pthread_create(&output->thread, NULL, run, output) != 0)
    status = ghee_error_set(err, GHEE_IO, "cannot start the writing thread");
  output->started = status == GHEE_OK;
  if (status != GHEE_OK) {
    ghee_output_close(output);
    return status;
  }
  *out = output;
  return GHEE_OK;
}

void ghee_output_close(ghee_output *output) {
  if (!output) return;
  if (output->started) {
    ghee_output_cancel(output);
    pthread_join(output->thread, NULL);
  }
  ghee_output_files_close(output->files);
  while (output->locked.chunks.count > 0) drop(output, output->locked.chunks.items[0]);
  for (size_t i = 0; i < output->locked.staged.count; i++) staged_fini(&output->locked.staged.items[i]);
  ghee_array_fini(&output->locked.chunks);
  ghee_array_fini(&output->locked.staged);
  ghee_array_fini(&output->locked.encoded);
  staged_fini(&output->now);
  ghee_buffer_fini(&output->rejects);
  ghee_output_log_close(output->topic);
  ghee_budget_free(output->budget);
  pthread_cond_destroy(&output->locked.changed);
  pthread_mutex_destroy(&output->locked.mutex);
  ghee_free(output);
}
