/* SPDX-License-Identifier: Apache-2.0
 * Inside ledger/: the SQLite file, its tables and statements, and SQLite's failures as ours. The caller sees to it that one
 * thread at a time uses a database. */
#ifndef GHEE_LEDGER_DATABASE_H
#define GHEE_LEDGER_DATABASE_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum ghee_ledger_sql {
  GHEE_SQL_BEGIN, GHEE_SQL_COMMIT, GHEE_SQL_ROLLBACK, GHEE_SQL_SAVE, GHEE_SQL_RELEASE, GHEE_SQL_REVERT,
  GHEE_SQL_NEXT_GENERATION, GHEE_SQL_GENERATION, GHEE_SQL_SET_STATE, GHEE_SQL_STATE, GHEE_SQL_PUT, GHEE_SQL_GET,
  GHEE_SQL_ADD_FILE, GHEE_SQL_ADD_CHUNK, GHEE_SQL_CHUNKS, GHEE_SQL_FILES,
  GHEE_SQL_CLEAR_CHUNKS, GHEE_SQL_CLEAR_FILES, GHEE_SQL_CLEAR_CHECKPOINT, GHEE_SQL_CLEAR_PARTS, GHEE_SQL_ADD_CHECKPOINT, GHEE_SQL_ADD_PART, GHEE_SQL_CHECKPOINT, GHEE_SQL_PARTS,
  GHEE_SQL_COUNT
} ghee_ledger_sql;

typedef struct ghee_ledger_database {
  char *path;
  sqlite3 *sqlite;
  sqlite3_stmt *statements[GHEE_SQL_COUNT];
} ghee_ledger_database;

/** Opens or makes the file, checks it and prepares all statements. After a failure too: ghee_ledger_database_fini.  Blocks: yes. */
ghee_status ghee_ledger_database_init(ghee_ledger_database *database, const char *path, ghee_error *err);
void ghee_ledger_database_fini(ghee_ledger_database *database);

/** The last failure of SQLite: "cannot <doing> in the ledger PATH: reason; what to do". */
ghee_status ghee_ledger_database_fail(ghee_ledger_database *database, const char *doing, ghee_error *err);
/** A statement, reset and without values. */
sqlite3_stmt *ghee_ledger_database_use(ghee_ledger_database *database, ghee_ledger_sql which);
/** Runs a statement that gives no rows, and resets it. */
ghee_status ghee_ledger_database_run(ghee_ledger_database *database, ghee_ledger_sql which, const char *doing, ghee_error *err);
/** The next row: GHEE_OK, or GHEE_NOT_FOUND (err untouched) behind the last one. Anything but GHEE_OK resets the statement. */
ghee_status ghee_ledger_database_row(ghee_ledger_database *database, ghee_ledger_sql which, const char *doing, ghee_error *err);

#endif
