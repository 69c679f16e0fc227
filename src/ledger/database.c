/* SPDX-License-Identifier: Apache-2.0
 * The ledger's SQLite file. A chunk is one row of a table with nothing but integers, about 5 bytes each, so a million of
 * them cost a few MB on disk and none in memory. */
#include "ledger/database.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

enum { APPLICATION = 0x67686565 /* "ghee" */, VERSION = 2, BUSY_MS = 1000 };

static const char tables[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE job(id INTEGER PRIMARY KEY CHECK (id = 1), generation INTEGER NOT NULL, state INTEGER NOT NULL, status INTEGER NOT NULL, text TEXT);"
    "INSERT INTO job VALUES (1, 0, 0, 0, NULL);"
    "CREATE TABLE facts(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE files(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, rows INTEGER NOT NULL, size_bytes INTEGER NOT NULL,"
    " checksum TEXT NOT NULL, dead_letter INTEGER NOT NULL, first INTEGER);" /* of its commit, unless it is that itself */
    "CREATE TABLE chunks(chunk INTEGER PRIMARY KEY, first INTEGER);"         /* file of its commit, if that has any */
    "CREATE TABLE checkpoint(id INTEGER PRIMARY KEY CHECK (id = 1), step INTEGER NOT NULL, world INTEGER NOT NULL);"
    "CREATE TABLE parts(rank INTEGER PRIMARY KEY, file TEXT NOT NULL, position BLOB NOT NULL);"
    "PRAGMA application_id = 1734894949;"
    "PRAGMA user_version = 2;"
    "COMMIT";

static const char *const texts[GHEE_SQL_COUNT] = {
    [GHEE_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [GHEE_SQL_COMMIT] = "COMMIT",
    [GHEE_SQL_ROLLBACK] = "ROLLBACK",
    [GHEE_SQL_SAVE] = "SAVEPOINT request",
    [GHEE_SQL_RELEASE] = "RELEASE request",
    [GHEE_SQL_REVERT] = "ROLLBACK TO request",
    [GHEE_SQL_NEXT_GENERATION] = "UPDATE job SET generation = generation + 1",
    [GHEE_SQL_GENERATION] = "SELECT generation FROM job",
    [GHEE_SQL_SET_STATE] = "UPDATE job SET state = ?1, status = ?2, text = ?3",
    [GHEE_SQL_STATE] = "SELECT state, status, text FROM job",
    [GHEE_SQL_PUT] = "INSERT OR REPLACE INTO facts VALUES (?1, ?2)",
    [GHEE_SQL_GET] = "SELECT value FROM facts WHERE key = ?1",
    [GHEE_SQL_ADD_FILE] = "INSERT INTO files(name, rows, size_bytes, checksum, dead_letter, first) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [GHEE_SQL_ADD_CHUNK] = "INSERT INTO chunks VALUES (?1, ?2)",
    [GHEE_SQL_CHUNKS] = "SELECT chunk, coalesce(first, 0) FROM chunks ORDER BY chunk",
    [GHEE_SQL_FILES] = "SELECT name, rows, size_bytes, checksum, dead_letter, coalesce(first, id) FROM files ORDER BY name",
    [GHEE_SQL_CLEAR_CHUNKS] = "DELETE FROM chunks",
    [GHEE_SQL_CLEAR_FILES] = "DELETE FROM files",
    [GHEE_SQL_CLEAR_CHECKPOINT] = "DELETE FROM checkpoint",
    [GHEE_SQL_CLEAR_PARTS] = "DELETE FROM parts",
    [GHEE_SQL_ADD_CHECKPOINT] = "INSERT INTO checkpoint VALUES (1, ?1, ?2)",
    [GHEE_SQL_ADD_PART] = "INSERT INTO parts VALUES (?1, ?2, ?3)",
    [GHEE_SQL_CHECKPOINT] = "SELECT step, world FROM checkpoint",
    [GHEE_SQL_PARTS] = "SELECT file, position FROM parts ORDER BY rank",
};

/* ---- failures ---- */

static ghee_status status_of(int code, int system_error) {
  switch (code & 0xff) {
    case SQLITE_FULL: return GHEE_NO_SPACE;
    case SQLITE_NOMEM: return GHEE_NO_MEMORY;
    case SQLITE_CORRUPT: case SQLITE_NOTADB: return GHEE_CORRUPT;
    case SQLITE_BUSY: case SQLITE_LOCKED: return GHEE_BUSY;
    case SQLITE_READONLY: case SQLITE_PERM: case SQLITE_AUTH: return GHEE_DENIED;
    case SQLITE_CONSTRAINT: return GHEE_EXISTS;
    case SQLITE_TOOBIG: return GHEE_LIMIT;
    case SQLITE_IOERR:
      if (code == SQLITE_IOERR_NOMEM) return GHEE_NO_MEMORY;
      return system_error == ENOSPC || system_error == EDQUOT || system_error == EFBIG ? GHEE_NO_SPACE : GHEE_IO;
    case SQLITE_CANTOPEN: return system_error ? ghee_status_of_errno(system_error) : GHEE_IO;
    default: return GHEE_INTERNAL;
  }
}

static const char *advice(ghee_status status) {
  switch (status) {
    case GHEE_NO_SPACE: return "; make room on its disk, then resume the job";
    case GHEE_CORRUPT: return "; the job cannot be resumed, start a new one";
    case GHEE_BUSY: return "; another process holds it: is the job running already?";
    case GHEE_DENIED: return "; its folder and files must be writable";
    default: return "";
  }
}

ghee_status ghee_ledger_database_fail(ghee_ledger_database *of, const char *doing, ghee_error *err) {
  if (!of->sqlite) return ghee_error_no_memory(err, "opening the ledger");
  int reason = errno; /* SQLite does not keep the reason of every failed write */
  int code = sqlite3_extended_errcode(of->sqlite);
  if (sqlite3_system_errno(of->sqlite)) reason = sqlite3_system_errno(of->sqlite);
  if ((code & 0xff) != SQLITE_CANTOPEN && (code & 0xff) != SQLITE_IOERR) reason = 0;
  ghee_status status = status_of(code, reason);
  return ghee_error_set(err, status, "cannot %s in the ledger %s: %s%s%s%s", doing, of->path, sqlite3_errmsg(of->sqlite), reason ? ": " : "",
                        reason ? strerror(reason) : "", advice(status));
}

/* ---- statements ---- */

sqlite3_stmt *ghee_ledger_database_use(ghee_ledger_database *of, ghee_ledger_sql which) {
  sqlite3_stmt *statement = of->statements[which];
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return statement;
}

ghee_status ghee_ledger_database_row(ghee_ledger_database *of, ghee_ledger_sql which, const char *doing, ghee_error *err) {
  errno = 0;
  int code = sqlite3_step(of->statements[which]);
  if (code == SQLITE_ROW) return GHEE_OK;
  ghee_status status = code == SQLITE_DONE ? GHEE_NOT_FOUND : ghee_ledger_database_fail(of, doing, err);
  sqlite3_reset(of->statements[which]);
  return status;
}

ghee_status ghee_ledger_database_run(ghee_ledger_database *of, ghee_ledger_sql which, const char *doing, ghee_error *err) {
  ghee_status status = ghee_ledger_database_row(of, which, doing, err);
  if (status == GHEE_OK) sqlite3_reset(of->statements[which]);
  return status == GHEE_NOT_FOUND ? GHEE_OK : status;
}

/* ---- opening ---- */

static ghee_status run_text(ghee_ledger_database *of, const char *sql, const char *doing, ghee_error *err) {
  errno = 0;
  return sqlite3_exec(of->sqlite, sql, NULL, NULL, NULL) == SQLITE_OK ? GHEE_OK : ghee_ledger_database_fail(of, doing, err);
}

/* The first column of the first row of a statement of ours; "" if there is none. */
static ghee_status ask(ghee_ledger_database *of, const char *sql, char *out, size_t size, ghee_error *err) {
  sqlite3_stmt *statement = NULL;
  ghee_status status = GHEE_OK;
  out[0] = 0;
  errno = 0;
  int code = sqlite3_prepare_v2(of->sqlite, sql, -1, &statement, NULL);
  if (code == SQLITE_OK) code = sqlite3_step(statement);
  if (code != SQLITE_ROW && code != SQLITE_DONE) status = ghee_ledger_database_fail(of, "read", err);
  const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
  if (text) sqlite3_snprintf((int)size, out, "%s", text);
  sqlite3_finalize(statement);
  return status;
}

static ghee_status ask_number(ghee_ledger_database *of, const char *sql, int64_t *out, ghee_error *err) {
  char text[64];
  GHEE_TRY(ask(of, sql, text, sizeof text, err));
  *out = 0;
  for (const char *at = text; *at >= '0' && *at <= '9'; at++) *out = *out * 10 + (*at - '0');
  return GHEE_OK;
}

static ghee_status configure(ghee_ledger_database *of, ghee_error *err) {
  char mode[32];
  if (sqlite3_db_readonly(of->sqlite, "main") == 1)
    return ghee_error_set(err, GHEE_DENIED, "cannot write the ledger %s: it is read-only%s", of->path, advice(GHEE_DENIED));
  GHEE_TRY(ask(of, "PRAGMA journal_mode = WAL", mode, sizeof mode, err));
  if (strcmp(mode, "wal") != 0)
    return ghee_error_set(err, GHEE_UNSUPPORTED, "the ledger %s lies on a file system without shared memory maps; set XDG_STATE_HOME to a local disk", of->path);
  return run_text(of, "PRAGMA synchronous = FULL; PRAGMA cache_size = -4096; PRAGMA trusted_schema = OFF", "set up the writing", err);
}

/* Before anything is written, so that a file that is not ours stays as it is. */
static ghee_status check_owner(ghee_ledger_database *of, ghee_error *err) {
  int64_t application, version;
  GHEE_TRY(ask_number(of, "PRAGMA application_id", &application, err));
  GHEE_TRY(ask_number(of, "PRAGMA user_version", &version, err));
  if (application != APPLICATION) return ghee_error_set(err, GHEE_CORRUPT, "%s is not a ledger of ghee", of->path);
  if (version != VERSION)
    return ghee_error_set(err, GHEE_UNSUPPORTED, "the ledger %s was written by %s ghee; resume the job with that one", of->path, version > VERSION ? "a newer" : "an older");
  return GHEE_OK;
}

static ghee_status check_content(ghee_ledger_database *of, ghee_error *err) {
  char found[512];
  GHEE_TRY(ask(of, "PRAGMA quick_check(1)", found, sizeof found, err));
  if (strcmp(found, "ok") == 0) return GHEE_OK;
  return ghee_error_set(err, GHEE_CORRUPT, "the ledger %s is damaged: %s%s", of->path, found, advice(GHEE_CORRUPT));
}

/* SQLite tries again for reading only, and keeps the reason why that failed. */
static ghee_status explain_open(ghee_ledger_database *of, ghee_error *err) {
  int fd = open(of->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return ghee_error_set_errno(err, errno, "cannot open the ledger %s", of->path);
  close(fd);
  return ghee_ledger_database_fail(of, "open", err);
}

ghee_status ghee_ledger_database_init(ghee_ledger_database *of, const char *path, ghee_error *err) {
  *of = (ghee_ledger_database){.path = ghee_strdup(path)};
  if (!of->path) return ghee_error_no_memory(err, "opening the ledger");
  if (!*path) return ghee_error_set(err, GHEE_INVALID, "the path of the ledger is empty");
  errno = 0;
  int code = sqlite3_open_v2(path, &of->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
  if (code == SQLITE_CANTOPEN) return explain_open(of, err);
  if (code != SQLITE_OK) return ghee_ledger_database_fail(of, "open", err);
  sqlite3_extended_result_codes(of->sqlite, 1);
  sqlite3_busy_timeout(of->sqlite, BUSY_MS);
  int64_t objects;
  GHEE_TRY(ask_number(of, "SELECT count(*) FROM sqlite_master", &objects, err));
  if (objects > 0) GHEE_TRY(check_owner(of, err));
  GHEE_TRY(configure(of, err));
  GHEE_TRY(objects > 0 ? check_content(of, err) : run_text(of, tables, "make tables", err));
  for (int i = 0; i < GHEE_SQL_COUNT; i++)
    if (sqlite3_prepare_v3(of->sqlite, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &of->statements[i], NULL) != SQLITE_OK)
      return ghee_ledger_database_fail(of, "prepare a statement", err);
  return GHEE_OK;
}

void ghee_ledger_database_fini(ghee_ledger_database *of) {
  for (int i = 0; i < GHEE_SQL_COUNT; i++) sqlite3_finalize(of->statements[i]);
  sqlite3_close(of->sqlite);
  ghee_free(of->path);
  *of = (ghee_ledger_database){0};
}
