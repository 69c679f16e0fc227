/* SPDX-License-Identifier: Apache-2.0
 * The ledger's calls: what each writes and reads. Writes go through the queue of writer.c; reads run on the caller's thread
 * between two groups. */
#include "ledger/ledger.h"

#include <string.h>

#include "base/memory.h"
#include "ledger/writer.h"

struct ghee_ledger {
  ghee_ledger_database database;
  ghee_ledger_writer writer;
};

ghee_status ghee_ledger_open(const char *path, ghee_ledger **out, ghee_error *err) {
  ghee_ledger *ledger = ghee_alloc_zero(1, sizeof *ledger);
  if (!ledger) return ghee_error_no_memory(err, "opening the ledger");
  ghee_status status = ghee_ledger_database_init(&ledger->database, path, err);
  if (status == GHEE_OK) status = ghee_ledger_writer_start(&ledger->writer, &ledger->database, err);
  if (status != GHEE_OK) {
    ghee_ledger_database_fini(&ledger->database);
    ghee_free(ledger);
    return status;
  }
  *out = ledger;
  return GHEE_OK;
}

void ghee_ledger_close(ghee_ledger *ledger) {
  if (!ledger) return;
  ghee_ledger_writer_stop(&ledger->writer);
  ghee_ledger_database_fini(&ledger->database);
  ghee_free(ledger);
}

int ghee_ledger_fd(const ghee_ledger *ledger) { return ledger->writer.fd; }

static void lock(ghee_ledger *ledger) { pthread_mutex_lock(&ledger->writer.database_mutex); }

/* Ends a read: `status` GHEE_NOT_FOUND from the last row is the regular end of a walk. */
static ghee_status unlock(ghee_ledger *ledger, ghee_ledger_sql which, ghee_status status) {
  sqlite3_reset(ledger->database.statements[which]);
  pthread_mutex_unlock(&ledger->writer.database_mutex);
  return status;
}

/* ---- generation and state ---- */

typedef struct begin_request {
  ghee_ledger_request base;
  uint32_t generation;
} begin_request;

static ghee_status apply_begin(ghee_ledger_database *of, ghee_ledger_request *request, ghee_error *err) {
  ghee_ledger_database_use(of, GHEE_SQL_NEXT_GENERATION);
  GHEE_TRY(ghee_ledger_database_run(of, GHEE_SQL_NEXT_GENERATION, "count a start", err));
  sqlite3_stmt *row = ghee_ledger_database_use(of, GHEE_SQL_GENERATION);
  GHEE_TRY(ghee_ledger_database_row(of, GHEE_SQL_GENERATION, "read the generation", err));
  int64_t generation = sqlite3_column_int64(row, 0);
  sqlite3_reset(row);
  if (generation < 1 || generation > UINT32_MAX) return ghee_error_set(err, GHEE_LIMIT, "the ledger %s has no generation left; start a new job", of->path);
  ((begin_request *)request)->generation = (uint32_t)generation;
  return GHEE_OK;
}

ghee_status ghee_ledger_begin(ghee_ledger *ledger, uint32_t *generation, ghee_error *err) {
  begin_request request = {.base.apply = apply_begin};
  GHEE_TRY(ghee_ledger_writer_run(&ledger->writer, &request.base, err));
  *generation = request.generation;
  return GHEE_OK;
}

typedef struct state_request {
  ghee_ledger_request base;
  ghee_job_state state;
  int status;
  const char *text;
} state_request;

static ghee_status apply_state(ghee_ledger_database *of, ghee_ledger_request *request, ghee_error *err) {
  const state_request *what = (const state_request *)request;
  sqlite3_stmt *statement = ghee_ledger_database_use(of, GHEE_SQL_SET_STATE);
  sqlite3_bind_int(statement, 1, (int)what->state);
  sqlite3_bind_int(statement, 2, what->status);
  if (sqlite3_bind_text(statement, 3, what->text, -1, SQLITE_STATIC) != SQLITE_OK) return ghee_ledger_database_fail(of, "record the state", err);
  return ghee_ledger_database_run(of, GHEE_SQL_SET_STATE, "record the state", err);
}

ghee_status ghee_ledger_set_state(ghee_ledger *ledger, ghee_job_state state, int status, const char *text, ghee_error *err) {
  state_request request = {.base.apply = apply_state, .state = state, .status = status, .text = text};
  return ghee_ledger_writer_run(&ledger->writer, &request.base, err);
}

/* A text column as a new string; NULL stays NULL. */
static ghee_status copy_text(ghee_ledger_database *of, sqlite3_stmt *row, int column, char **out, ghee_error *err) {
  const char *text = (const char *)sqlite3_column_text(row, column);
  if (!text && sqlite3_column_type(row, column) != SQLITE_NULL) return ghee_ledger_database_fail(of, "read a text", err);
  char *copy = text ? ghee_strdup(text) : NULL;
  if (text && !copy) return ghee_error_no_memory(err, "reading the ledger");
  *out = copy;
  return GHEE_OK;
}

ghee_status ghee_ledger_state(ghee_ledger *ledger, ghee_job_state *state, int *status, char **text, ghee_error *err) {
  lock(ledger);
  sqlite3_stmt *row = ghee_ledger_database_use(&ledger->database, GHEE_SQL_STATE);
  ghee_status read = ghee_ledger_database_row(&ledger->database, GHEE_SQL_STATE, "read the state", err);
  if (read == GHEE_NOT_FOUND) read = ghee_error_set(err, GHEE_CORRUPT, "the ledger %s has no state; start a new job", ledger->database.path);
  int64_t found = read == GHEE_OK ? sqlite3_column_int64(row, 0) : 0;
  if (found < GHEE_JOB_RUNNING || found > GHEE_JOB_CANCELED)
    read = ghee_error_set(err, GHEE_CORRUPT, "the ledger %s has an unknown state %lld; start a new job", ledger->database.path, (long long)found);
  if (read == GHEE_OK && text) read = copy_text(&ledger->database, row, 2, text, err);
  if (read == GHEE_OK) {
    *state = (ghee_job_state)found;
    if (status) *status = sqlite3_column_int(row, 1);
  }
  return unlock(ledger, GHEE_SQL_STATE, read);
}

/* ---- facts ---- */

typedef struct put_request {
  ghee_ledger_request base;
  const char *key;
  const void *value;
  size_t size_bytes;
} put_request;

/* An empty value may come without an address, which SQLite takes for NULL. */
static int bind_bytes(sqlite3_stmt *statement, int at, const void *value, size_t size_bytes) {
  return sqlite3_bind_blob64(statement, at, size_bytes ? value : "", size_bytes, SQLITE_STATIC);
}

static ghee_status apply_put(ghee_ledger_database *of, ghee_ledger_request *request, ghee_error *err) {
  const put_request *what = (const put_request *)request;
  sqlite3_stmt *statement = ghee_ledger_database_use(of, GHEE_SQL_PUT);
  if (sqlite3_bind_text(statement, 1, what->key, -1, SQLITE_STATIC) != SQLITE_OK || bind_bytes(statement, 2, what->value, what->size_bytes) != SQLITE_OK)
    return ghee_ledger_database_fail(of, what->key, err);
  return ghee_ledger_database_run(of, GHEE_SQL_PUT, "record a fact", err);
}

ghee_status ghee_ledger_put(ghee_ledger *ledger, const char *key, const void *value, size_t size_bytes, ghee_error *err) {
  put_request request = {.base.apply = apply_put, .key = key, .value = value, .size_bytes = size_bytes};
  return ghee_ledger_writer_run(&ledger->writer, &request.base, err);
}

static ghee_status apply_turn(ghee_ledger_database *of, ghee_ledger_request *request, ghee_error *err) {
  GHEE_TRY(ghee_ledger_database_run(of, GHEE_SQL_CLEAR_CHUNKS, "begin a new round", err));
  GHEE_TRY(ghee_ledger_database_run(of, GHEE_SQL_CLEAR_FILES, "begin a new round", err));
  return apply_put(of, request, err);
}

ghee_status ghee_ledger_turn(ghee_ledger *ledger, const char *key, const void *value, size_t size_bytes, ghee_error *err) {
  put_request request = {.base.apply = apply_turn, .key = key, .value = value, .size_bytes = size_bytes};
  return ghee_ledger_writer_run(&ledger->writer, &request.base, err);
}

static ghee_status copy_bytes(ghee_ledger_database *of, sqlite3_stmt *row, int column, void **out, size_t *size_bytes, ghee_error *err) {
  const void *value = sqlite3_column_blob(row, column);
  size_t size = (size_t)sqlite3_column_bytes(row, column);
  if (!value && sqlite3_errcode(of->sqlite) == SQLITE_NOMEM) return ghee_error_no_memory(err, "reading the ledger");
  void *copy = ghee_alloc(size);
  if (!copy) return ghee_error_no_memory(err, "reading the ledger");
  if (size > 0) memcpy(copy, value, size);
  *out = copy;
  *size_bytes = size;
  return GHEE_OK;
}

ghee_status ghee_ledger_get(ghee_ledger *ledger, const char *key, void **value, size_t *size_bytes, ghee_error *err) {
  lock(ledger);
  sqlite3_stmt *row = ghee_ledger_database_use(&ledger->database, GHEE_SQL_GET);
  ghee_status status = GHEE_OK;
  if (sqlite3_bind_text(row, 1, key, -1, SQLITE_STATIC) != SQLITE_OK) status = ghee_ledger_database_fail(&ledger->database, "look for a fact", err);
  if (status == GHEE_OK) {
    status = ghee_ledger_database_row(&ledger->database, GHEE_SQL_GET, "look for a fact", err);
    if (status == GHEE_NOT_FOUND) ghee_error_set(err, status, "the ledger %s has nothing under \"%s\"", ledger->database.path, key);
  }
  if (status == GHEE_OK) status = copy_bytes(&ledger->database, row, 0, value, size_bytes, err);
  return unlock(ledger, GHEE_SQL_GET, status);
}

/* ---- files and chunks ---- */

/* In one piece of memory with its files, chunks and texts. */
typedef struct commit_request {
  ghee_ledger_request base;
  const uint32_t *chunks;
  size_t n_chunks, n_files;
  ghee_ledger_file files[];
} commit_request;

static void bind_first(sqlite3_stmt *statement, int index, int64_t first) {
  if (first) sqlite3_bind_int64(statement, index, first);
  else sqlite3_bind_null(statement, index);
}

static ghee_status add_chunk(ghee_ledger_database *of, uint32_t chunk, int64_t first, ghee_error *err) {
  sqlite3_stmt *statement = ghee_ledger_database_use(of, GHEE_SQL_ADD_CHUNK);
  sqlite3_bind_int64(statement, 1, chunk);
  bind_first(statement, 2, first);
  ghee_status status = ghee_ledger_database_run(of, GHEE_SQL_ADD_CHUNK, "record a chunk", err);
  return status == GHEE_EXISTS ? ghee_error_set(err, status, "chunk %u is done already", (unsigned)chunk) : status;
}

static ghee_status add_file(ghee_ledger_database *of, const ghee_ledger_file *file, int64_t first, ghee_error *err) {
  sqlite3_stmt *statement = ghee_ledger_database_use(of, GHEE_SQL_ADD_FILE);
  sqlite3_bind_int64(statement, 2, (int64_t)file->rows);
  sqlite3_bind_int64(statement, 3, (int64_t)file->size_bytes);
  sqlite3_bind_int(statement, 5, file->dead_letter);
  bind_first(statement, 6, first);
  if (sqlite3_bind_text(statement, 1, file->name, -1, SQLITE_STATIC) != SQLITE_OK ||
      sqlite3_bind_text(statement, 4, file->checksum, -1, SQLITE_STATIC) != SQLITE_OK)
    return ghee_ledger_database_fail(of, "record a file", err);
  ghee_status status = ghee_ledger_database_run(of, GHEE_SQL_ADD_FILE, "record a file", err);
  return status == GHEE_EXISTS ? ghee_error_set(err, status, "file %s is recorded already", file->name) : status;
}

static ghee_status apply_commit(ghee_ledger_database *of, ghee_ledger_request *request, ghee_error *err) {
  const commit_request *what = (const commit_request *)request;
  int64_t first = 0;
  for (size_t i = 0; i < what->n_files; i++) {
    GHEE_TRY(add_file(of, &what->files[i], first, err));
    if (i == 0) first = sqlite3_last_insert_rowid(of->sqlite);
  }
  for (size_t i = 0; i < what->n_chunks; i++) GHEE_TRY(add_chunk(of, what->chunks[i], first, err));
  return GHEE_OK;
}

static void *take(char **at, const void *from, size_t size) {
  void *to = *at;
  if (size > 0) memcpy(to, from, size);
  *at += size;
  return to;
}

static commit_request *copy_commit(const ghee_ledger_file *files, size_t n_files, const uint32_t *chunks, size_t n_chunks) {
  size_t head = sizeof(commit_request) + n_files * sizeof *files, size = head + n_chunks * sizeof *chunks;
  for (size_t i = 0; i < n_files; i++) size += strlen(files[i].name) + strlen(files[i].checksum) + 2;
  commit_request *made = ghee_alloc(size);
  if (!made) return NULL;
  *made = (commit_request){.base.apply = apply_commit, .n_chunks = n_chunks, .n_files = n_files};
  char *at = (char *)made + head;
  made->chunks = take(&at, chunks, n_chunks * sizeof *chunks); /* before the texts: they must be aligned */
  for (size_t i = 0; i < n_files; i++) {
    made->files[i] = files[i];
    made->files[i].name = take(&at, files[i].name, strlen(files[i].name) + 1);
    made->files[i].checksum = take(&at, files[i].checksum, strlen(files[i].checksum) + 1);
  }
  return made;
}

ghee_status ghee_ledger_commit(ghee_ledger *ledger, const ghee_ledger_file *files, size_t n_files, const uint32_t *chunks, size_t n_chunks, uint64_t ticket,
                               ghee_error *err) {
  commit_request *request = copy_commit(files, n_files, chunks, n_chunks);
  if (!request) return ghee_error_no_memory(err, "queueing a commit");
  request->base.ticket = ticket;
  ghee_ledger_writer_push(&ledger->writer, &request->base);
  return GHEE_OK;
}

ghee_status ghee_ledger_next(ghee_ledger *ledger, uint64_t *ticket, ghee_error *err) {
  ghee_ledger_request *request = ghee_ledger_writer_pop(&ledger->writer);
  if (!request) return GHEE_AGAIN;
  *ticket = request->ticket;
  err->status = request->status;
  err->message[0] = 0;
  if (request->status != GHEE_OK) {
    if (request->failure) *err = *request->failure;
    else ghee_error_set(err, request->status, "cannot commit to the ledger %s, and no memory is left for the reason", ledger->database.path);
  }
  ghee_ledger_request_free(request);
  return GHEE_OK;
}

ghee_status ghee_ledger_each_chunk(ghee_ledger *ledger, void (*each)(void *user, uint32_t chunk, uint64_t commit), void *user, ghee_error *err) {
  lock(ledger);
  sqlite3_stmt *row = ghee_ledger_database_use(&ledger->database, GHEE_SQL_CHUNKS);
  ghee_status status;
  while ((status = ghee_ledger_database_row(&ledger->database, GHEE_SQL_CHUNKS, "read the chunks", err)) == GHEE_OK)
    each(user, (uint32_t)sqlite3_column_int64(row, 0), (uint64_t)sqlite3_column_int64(row, 1));
  return unlock(ledger, GHEE_SQL_CHUNKS, status == GHEE_NOT_FOUND ? GHEE_OK : status);
}

static ghee_status give_file(ghee_ledger_database *of, sqlite3_stmt *row,
                             ghee_status (*each)(void *user, const ghee_ledger_file *file, ghee_error *err), void *user, ghee_error *err) {
  ghee_ledger_file file = {.name = (const char *)sqlite3_column_text(row, 0),
                           .rows = (uint64_t)sqlite3_column_int64(row, 1),
                           .size_bytes = (uint64_t)sqlite3_column_int64(row, 2),
                           .checksum = (const char *)sqlite3_column_text(row, 3),
                           .dead_letter = sqlite3_column_int(row, 4),
                           .commit = (uint64_t)sqlite3_column_int64(row, 5)};
  if (!file.name || !file.checksum) return ghee_ledger_database_fail(of, "read the files", err);
  return each(user, &file, err);
}

ghee_status ghee_ledger_each_file(ghee_ledger *ledger, ghee_status (*each)(void *user, const ghee_ledger_file *file, ghee_error *err),
                                  void *user, ghee_error *err) {
  lock(ledger);
  sqlite3_stmt *row = ghee_ledger_database_use(&ledger->database, GHEE_SQL_FILES);
  ghee_status status, given = GHEE_OK;
  while (given == GHEE_OK && (status = ghee_ledger_database_row(&ledger->database, GHEE_SQL_FILES, "read the files", err)) == GHEE_OK)
    given = give_file(&ledger->database, row, each, user, err);
  if (given == GHEE_OK && status != GHEE_NOT_FOUND) given = status;
  return unlock(ledger, GHEE_SQL_FILES, given);
}

/* ---- checkpoints ---- */

enum { MOST_POSITION_BYTES = 4096 };

typedef struct checkpoint_request {
  ghee_ledger_request base;
  const ghee_ledger_checkpoint *checkpoint;
} checkpoint_request;

static ghee_status add_part(ghee_ledger_database *of, const ghee_ledger_checkpoint *what, uint32_t rank, ghee_error *err) {
  sqlite3_stmt *statement = ghee_ledger_database_use(of, GHEE_SQL_ADD_PART);
  sqlite3_bind_int64(statement, 1, rank);
  if (sqlite3_bind_text(statement, 2, what->files[rank], -1, SQLITE_STATIC) != SQLITE_OK ||
      bind_bytes(statement, 3, what->positions[rank], what->position_bytes[rank]) != SQLITE_OK)
    return ghee_ledger_database_fail(of, "record a checkpoint", err);
  return ghee_ledger_database_run(of, GHEE_SQL_ADD_PART, "record a checkpoint", err);
}

static ghee_status apply_checkpoint(ghee_ledger_database *of, ghee_ledger_request *request, ghee_error *err) {
  const ghee_ledger_checkpoint *what = ((const checkpoint_request *)request)->checkpoint;
  GHEE_TRY(ghee_ledger_database_run(of, GHEE_SQL_CLEAR_CHECKPOINT, "replace a checkpoint", err));
  GHEE_TRY(ghee_ledger_database_run(of, GHEE_SQL_CLEAR_PARTS, "replace a checkpoint", err));
  sqlite3_stmt *statement = ghee_ledger_database_use(of, GHEE_SQL_ADD_CHECKPOINT);
  sqlite3_bind_int64(statement, 1, (int64_t)what->step);
  sqlite3_bind_int64(statement, 2, what->world);
  GHEE_TRY(ghee_ledger_database_run(of, GHEE_SQL_ADD_CHECKPOINT, "record a checkpoint", err));
  for (uint32_t rank = 0; rank < what->world; rank++) GHEE_TRY(add_part(of, what, rank, err));
  return GHEE_OK;
}

ghee_status ghee_ledger_commit_checkpoint(ghee_ledger *ledger, const ghee_ledger_checkpoint *checkpoint, ghee_error *err) {
  if (checkpoint->world == 0) return ghee_error_set(err, GHEE_INVALID, "a checkpoint of no ranks cannot be recorded");
  for (uint32_t rank = 0; rank < checkpoint->world; rank++)
    if (checkpoint->position_bytes[rank] > MOST_POSITION_BYTES)
      return ghee_error_set(err, GHEE_LIMIT, "the position of rank %u takes %zu bytes, %d are allowed", (unsigned)rank, checkpoint->position_bytes[rank],
                            MOST_POSITION_BYTES);
  checkpoint_request request = {.base.apply = apply_checkpoint, .checkpoint = checkpoint};
  return ghee_ledger_writer_run(&ledger->writer, &request.base, err);
}

void ghee_ledger_checkpoint_fini(ghee_ledger_checkpoint *of) {
  for (uint32_t rank = 0; rank < of->world; rank++) {
    if (of->files) ghee_free((char *)of->files[rank]);
    if (of->positions) ghee_free((void *)of->positions[rank]);
  }
  ghee_free((void *)of->files);
  ghee_free((void *)of->positions);
  ghee_free((void *)of->position_bytes);
  *of = (ghee_ledger_checkpoint){0};
}

static ghee_status read_parts(ghee_ledger_database *of, uint32_t world, char **files, void **positions, size_t *sizes, ghee_error *err) {
  sqlite3_stmt *row = ghee_ledger_database_use(of, GHEE_SQL_PARTS);
  for (uint32_t rank = 0; rank < world; rank++) {
    ghee_status status = ghee_ledger_database_row(of, GHEE_SQL_PARTS, "read a checkpoint", err);
    if (status == GHEE_NOT_FOUND)
      return ghee_error_set(err, GHEE_CORRUPT, "the checkpoint in the ledger %s has %u parts of %u; start a new job", of->path, (unsigned)rank, (unsigned)world);
    if (status == GHEE_OK) status = copy_text(of, row, 0, &files[rank], err);
    if (status == GHEE_OK) status = copy_bytes(of, row, 1, &positions[rank], &sizes[rank], err);
    GHEE_TRY(status);
  }
  return GHEE_OK;
}

static ghee_status read_checkpoint(ghee_ledger_database *of, ghee_ledger_checkpoint *out, ghee_error *err) {
  sqlite3_stmt *row = ghee_ledger_database_use(of, GHEE_SQL_CHECKPOINT);
  ghee_status status = ghee_ledger_database_row(of, GHEE_SQL_CHECKPOINT, "read a checkpoint", err);
  if (status == GHEE_NOT_FOUND) return ghee_error_set(err, status, "the ledger %s has no checkpoint", of->path);
  GHEE_TRY(status);
  out->step = (uint64_t)sqlite3_column_int64(row, 0);
  out->world = (uint32_t)sqlite3_column_int64(row, 1);
  sqlite3_reset(row);
  char **files = ghee_alloc_zero(out->world, sizeof *files);
  void **positions = ghee_alloc_zero(out->world, sizeof *positions);
  size_t *sizes = ghee_alloc_zero(out->world, sizeof *sizes);
  out->files = (const char *const *)files;
  out->positions = (const void *const *)positions;
  out->position_bytes = sizes;
  if (!files || !positions || !sizes) return ghee_error_no_memory(err, "reading a checkpoint");
  return read_parts(of, out->world, files, positions, sizes, err);
}

ghee_status ghee_ledger_checkpoint_get(ghee_ledger *ledger, ghee_ledger_checkpoint *out, ghee_error *err) {
  ghee_ledger_checkpoint found = {0};
  lock(ledger);
  ghee_status status = unlock(ledger, GHEE_SQL_PARTS, read_checkpoint(&ledger->database, &found, err));
  if (status == GHEE_OK) *out = found;
  else ghee_ledger_checkpoint_fini(&found);
  return status;
}
