/* SPDX-License-Identifier: Apache-2.0
 * Group commit.
 *
 * Design notes
 * - The thread takes the whole queue, applies it in one transaction and commits. What is queued while the commit syncs the disk
 *   is the next group, so the groups grow by themselves as the disk gets slower or the writers faster.
 * - Each request has a savepoint: one that is refused (GHEE_EXISTS) leaves the rest of its group alone. A failure of the disk or
 *   of memory, or of the commit, is the result of the whole group.
 * - A result is told only after the commit. */
#include "ledger/writer.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/memory.h"

static void list_init(ghee_ledger_list *list) {
  list->first = NULL;
  list->end = &list->first;
}

static void list_push(ghee_ledger_list *list, ghee_ledger_request *request) {
  request->next = NULL;
  *list->end = request;
  list->end = &request->next;
}

void ghee_ledger_request_free(ghee_ledger_request *request) {
  if (!request) return;
  ghee_free(request->failure);
  ghee_free(request);
}

static void list_free(ghee_ledger_list *list) {
  for (ghee_ledger_request *at = list->first, *next; at; at = next) {
    next = at->next;
    ghee_ledger_request_free(at);
  }
  list_init(list);
}

/* ---- one group ---- */

static void set_result(ghee_ledger_request *of, ghee_status status, const ghee_error *why) {
  of->status = status;
  if (status == GHEE_OK) return;
  if (!of->waited && !of->failure) of->failure = ghee_alloc(sizeof *of->failure);
  if (of->failure) *of->failure = *why;
}

static ghee_status apply(ghee_ledger_database *database, ghee_ledger_request *request, ghee_error *err) {
  GHEE_TRY(ghee_ledger_database_run(database, GHEE_SQL_SAVE, "write", err));
  ghee_status status = request->apply(database, request, err);
  if (sqlite3_get_autocommit(database->sqlite)) return status; /* SQLite has given the transaction up by itself */
  if (status != GHEE_OK) (void)ghee_ledger_database_run(database, GHEE_SQL_REVERT, "write", NULL);
  ghee_status released = ghee_ledger_database_run(database, GHEE_SQL_RELEASE, "write", status == GHEE_OK ? err : NULL);
  return status != GHEE_OK ? status : released;
}

/* A refusal belongs to its request; anything else to the whole group. */
static bool is_refusal(ghee_status status) { return status == GHEE_EXISTS || status == GHEE_LIMIT; }

static ghee_status apply_all(ghee_ledger_database *database, ghee_ledger_request *group, ghee_error *err) {
  GHEE_TRY(ghee_ledger_database_run(database, GHEE_SQL_BEGIN, "begin to write", err));
  for (ghee_ledger_request *at = group; at; at = at->next) {
    ghee_status status = apply(database, at, err);
    if (status != GHEE_OK && (!is_refusal(status) || sqlite3_get_autocommit(database->sqlite))) return status;
    set_result(at, status, err);
  }
  return ghee_ledger_database_run(database, GHEE_SQL_COMMIT, "commit", err);
}

static void run_group(ghee_ledger_writer *writer, ghee_ledger_request *group) {
  ghee_error err;
  pthread_mutex_lock(&writer->database_mutex);
  ghee_status status = apply_all(writer->database, group, &err);
  if (status != GHEE_OK && !sqlite3_get_autocommit(writer->database->sqlite))
    (void)ghee_ledger_database_run(writer->database, GHEE_SQL_ROLLBACK, "roll back", NULL);
  pthread_mutex_unlock(&writer->database_mutex);
  if (status == GHEE_OK) return;
  for (ghee_ledger_request *at = group; at; at = at->next)
    if (at->status == GHEE_OK) set_result(at, status, &err);
}

static void tell(ghee_ledger_writer *writer, ghee_ledger_request *group) {
  pthread_mutex_lock(&writer->locked.mutex);
  bool was_empty = !writer->locked.results.first;
  for (ghee_ledger_request *at = group, *next; at; at = next) {
    next = at->next;
    if (!at->waited) list_push(&writer->locked.results, at);
    at->done = true; /* a waiting thread may take it from here on */
  }
  if (was_empty && writer->locked.results.first) {
    uint64_t one = 1;
    while (write(writer->fd, &one, sizeof one) < 0 && errno == EINTR) {}
  }
  pthread_cond_broadcast(&writer->locked.done);
  pthread_mutex_unlock(&writer->locked.mutex);
}

static ghee_ledger_request *take_queue(ghee_ledger_writer *writer) {
  pthread_mutex_lock(&writer->locked.mutex);
  while (!writer->locked.queue.first && !writer->locked.stopping) pthread_cond_wait(&writer->locked.queued, &writer->locked.mutex);
  ghee_ledger_request *group = writer->locked.queue.first;
  list_init(&writer->locked.queue);
  pthread_mutex_unlock(&writer->locked.mutex);
  return group;
}

static void *write_groups(void *arg) {
  ghee_ledger_writer *writer = arg;
  for (ghee_ledger_request *group; (group = take_queue(writer));) {
    run_group(writer, group);
    tell(writer, group);
  }
  return NULL;
}

/* ---- start and stop ---- */

ghee_status ghee_ledger_writer_start(ghee_ledger_writer *writer, ghee_ledger_database *database, ghee_error *err) {
  writer->database = database;
  writer->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (writer->fd < 0) return ghee_error_set_errno(err, errno, "cannot make the event of a ledger");
  pthread_mutex_init(&writer->database_mutex, NULL);
  pthread_mutex_init(&writer->locked.mutex, NULL);
  pthread_cond_init(&writer->locked.queued, NULL);
  pthread_cond_init(&writer->locked.done, NULL);
  list_init(&writer->locked.queue);
  list_init(&writer->locked.results);
  sigset_t all, was;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &was); /* signals are for the program's own threads */
  int failed = pthread_create(&writer->thread, NULL, write_groups, writer);
  pthread_sigmask(SIG_SETMASK, &was, NULL);
  if (!failed) return GHEE_OK;
  close(writer->fd);
  return ghee_error_set_errno(err, failed, "cannot start the thread of a ledger");
}

void ghee_ledger_writer_stop(ghee_ledger_writer *writer) {
  pthread_mutex_lock(&writer->locked.mutex);
  writer->locked.stopping = true;
  pthread_cond_signal(&writer->locked.queued);
  pthread_mutex_unlock(&writer->locked.mutex);
  pthread_join(writer->thread, NULL);
  list_free(&writer->locked.results);
  pthread_cond_destroy(&writer->locked.done);
  pthread_cond_destroy(&writer->locked.queued);
  pthread_mutex_destroy(&writer->locked.mutex);
  pthread_mutex_destroy(&writer->database_mutex);
  close(writer->fd);
}

/* ---- the other threads ---- */

void ghee_ledger_writer_push(ghee_ledger_writer *writer, ghee_ledger_request *request) {
  pthread_mutex_lock(&writer->locked.mutex);
  if (!writer->locked.queue.first) pthread_cond_signal(&writer->locked.queued);
  list_push(&writer->locked.queue, request);
  pthread_mutex_unlock(&writer->locked.mutex);
}

ghee_status ghee_ledger_writer_run(ghee_ledger_writer *writer, ghee_ledger_request *request, ghee_error *err) {
  request->waited = true;
  request->failure = err;
  ghee_ledger_writer_push(writer, request);
  pthread_mutex_lock(&writer->locked.mutex);
  while (!request->done) pthread_cond_wait(&writer->locked.done, &writer->locked.mutex);
  pthread_mutex_unlock(&writer->locked.mutex);
  return request->status;
}

ghee_ledger_request *ghee_ledger_writer_pop(ghee_ledger_writer *writer) {
  pthread_mutex_lock(&writer->locked.mutex);
  ghee_ledger_list *results = &writer->locked.results;
  ghee_ledger_request *first = results->first;
  if (first && !(results->first = first->next)) {
    uint64_t drained;
    list_init(results);
    while (read(writer->fd, &drained, sizeof drained) < 0 && errno == EINTR) {}
  }
  pthread_mutex_unlock(&writer->locked.mutex);
  return first;
}
