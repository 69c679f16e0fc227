/* SPDX-License-Identifier: Apache-2.0
 * What every call of the C API returns, and the text that goes with a failure.
 * A status is also the exit code of the programs, so each is distinct and stable. */
#ifndef GHEE_STATUS_H
#define GHEE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GHEE_API __attribute__((visibility("default")))
#define GHEE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define GHEE_API
#define GHEE_PRINTF(fmt, args)
#endif

typedef enum ghee_status {
  GHEE_OK = 0,
  GHEE_INTERNAL = 1,     /* a defect of ghee itself */
  GHEE_USAGE = 2,        /* the command line */
  GHEE_INVALID = 3,      /* the description, or an argument */
  GHEE_NOT_FOUND = 4,    /* file, column, job, function */
  GHEE_DENIED = 5,       /* no permission, bad credentials, bad signature */
  GHEE_CORRUPT = 6,      /* truncated, corrupt or foreign data */
  GHEE_SCHEMA = 7,       /* columns or types differ from what was there before */
  GHEE_EXISTS = 8,       /* output or job is there already */
  GHEE_IO = 9,           /* the system refused; may go away */
  GHEE_NO_SPACE = 10,    /* disk or quota is full */
  GHEE_LIMIT = 11,       /* does not fit the memory budget, or another stated limit */
  GHEE_NO_MEMORY = 12,   /* malloc failed */
  GHEE_USER = 13,        /* a user function raised, or returned what it must not */
  GHEE_CRASHED = 14,     /* a worker died too often at one place */
  GHEE_TIMEOUT = 15,     /* a user function took longer than its limit */
  GHEE_BUSY = 16,        /* another process holds it */
  GHEE_CHANGED = 17,     /* the input is not what it was when the job was planned */
  GHEE_UNSUPPORTED = 18, /* valid, but not in this build */
  GHEE_CLOSED = 19,      /* the other side is gone; the end of a stream */
  GHEE_AGAIN = 20,       /* nothing now; ask again when told */
  GHEE_CANCELED = 130    /* Ctrl-C, or ghee cancel */
} ghee_status;

enum { GHEE_ERROR_SIZE = 4096 };

/** A failure in words. Owned by the caller, who may pass NULL wherever one is asked for.
 *  The first function that knows what went wrong fills it; the others pass it on.
 *  Its first line says what was done to what, the reason, and what to do. */
typedef struct ghee_error {
  ghee_status status;
  char message[GHEE_ERROR_SIZE];
} ghee_error;

/** Short lower-case name, "not_found"; "unknown" for a number that is none. Never NULL. Thread: any. */
GHEE_API const char *ghee_status_name(ghee_status status);

/** Fills `err` (unless NULL) and returns `status`, so that a failing function ends in `return ghee_error_set(…)`.
 *  A message that does not fit is cut. Thread: any. */
GHEE_API ghee_status ghee_error_set(ghee_error *err, ghee_status status, const char *format, ...) GHEE_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif
#endif
