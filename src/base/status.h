/* SPDX-License-Identifier: Apache-2.0
 * Passing failures on: GHEE_TRY, and errno as a status. The public half is ghee/status.h. */
#ifndef GHEE_BASE_STATUS_H
#define GHEE_BASE_STATUS_H

#include "ghee/status.h"

/** Returns from the calling function when `expr` is not GHEE_OK. */
#define GHEE_TRY(expr)                     \
  do {                                     \
    ghee_status try_status_ = (expr);      \
    if (try_status_ != GHEE_OK) return try_status_; \
  } while (0)

/** As GHEE_TRY, for functions that clean up: stores the status in `status` and jumps to `label`. */
#define GHEE_GOTO(status, label, expr)           \
  do {                                           \
    if (((status) = (expr)) != GHEE_OK) goto label; \
  } while (0)

/** ENOENT → GHEE_NOT_FOUND, EACCES → GHEE_DENIED, ENOSPC/EDQUOT → GHEE_NO_SPACE, EEXIST → GHEE_EXISTS,
 *  ENOMEM → GHEE_NO_MEMORY, EPIPE/ECONNRESET → GHEE_CLOSED, EAGAIN → GHEE_AGAIN, the rest GHEE_IO. Thread: any. */
ghee_status ghee_status_of_errno(int error_number);

/** ghee_error_set with ": <system's reason>" of `error_number` behind the text, and its status. */
ghee_status ghee_error_set_errno(ghee_error *err, int error_number, const char *format, ...) GHEE_PRINTF(3, 4);

/** "out of memory while <doing>". */
ghee_status ghee_error_no_memory(ghee_error *err, const char *doing);

/** Puts "<text>: " before a message that is there already (what the caller knows and the callee did not). */
void ghee_error_prefix(ghee_error *err, const char *format, ...) GHEE_PRINTF(2, 3);

/** Puts text behind the first line of a message that is there already (where it happened, what to do). */
void ghee_error_suffix(ghee_error *err, const char *format, ...) GHEE_PRINTF(2, 3);

#endif
