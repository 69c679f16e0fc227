/* SPDX-License-Identifier: Apache-2.0
 * Inside ledger/: the queue of writes and the thread that commits them in groups. */
#ifndef GHEE_LEDGER_WRITER_H
#define GHEE_LEDGER_WRITER_H

#include <pthread.h>
#include <stdbool.h>

#include "ledger/database.h"

/** One write. `apply` runs on the writing thread inside a transaction and its savepoint. The body follows in memory. */
typedef struct ghee_ledger_request ghee_ledger_request;
struct ghee_ledger_request {
  ghee_ledger_request *next;
  ghee_status (*apply)(ghee_ledger_database *database, ghee_ledger_request *request, ghee_error *err);
  uint64_t ticket;
  bool waited;              /* on the stack of a thread that waits for `done`; else the queue owns it */
  bool done;
  ghee_status status;
  ghee_error *failure;      /* waited: the caller's; else on the heap, NULL without memory */
};

typedef struct ghee_ledger_list {
  ghee_ledger_request *first, **end;
} ghee_ledger_list;

typedef struct ghee_ledger_writer {
  pthread_t thread;
  pthread_mutex_t database_mutex; /* held through a group, and by readers */
  ghee_ledger_database *database;
  int fd;                         /* eventfd: 1 while there are results */
  struct {
    pthread_mutex_t mutex;
    pthread_cond_t queued, done;
    ghee_ledger_list queue, results;
    bool stopping;
  } locked;
} ghee_ledger_writer;

/** Starts the thread. `database` is borrowed. */
ghee_status ghee_ledger_writer_start(ghee_ledger_writer *writer, ghee_ledger_database *database, ghee_error *err);
/** Commits what is queued, ends the thread, frees the results that nobody took. */
void ghee_ledger_writer_stop(ghee_ledger_writer *writer);
/** Takes a request from the heap; its result comes by pop.  Thread: any.  Blocks: no. */
void ghee_ledger_writer_push(ghee_ledger_writer *writer, ghee_ledger_request *request);
/** Queues and waits until the request is durable or has failed.  Thread: any. */
ghee_status ghee_ledger_writer_run(ghee_ledger_writer *writer, ghee_ledger_request *request, ghee_error *err);
/** A finished request, NULL if there is none. gives: ghee_ledger_request_free. */
ghee_ledger_request *ghee_ledger_writer_pop(ghee_ledger_writer *writer);
void ghee_ledger_request_free(ghee_ledger_request *request);

#endif
