/* SPDX-License-Identifier: Apache-2.0
 * Failures in words. */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *ghee_status_name(ghee_status status) {
  switch (status) {
    case GHEE_OK: return "ok";
    case GHEE_INTERNAL: return "internal";
    case GHEE_USAGE: return "usage";
    case GHEE_INVALID: return "invalid";
    case GHEE_NOT_FOUND: return "not_found";
    case GHEE_DENIED: return "denied";
    case GHEE_CORRUPT: return "corrupt";
    case GHEE_SCHEMA: return "schema";
    case GHEE_EXISTS: return "exists";
    case GHEE_IO: return "io";
    case GHEE_NO_SPACE: return "no_space";
    case GHEE_LIMIT: return "limit";
    case GHEE_NO_MEMORY: return "no_memory";
    case GHEE_USER: return "user";
    case GHEE_CRASHED: return "crashed";
    case GHEE_TIMEOUT: return "timeout";
    case GHEE_BUSY: return "busy";
    case GHEE_CHANGED: return "changed";
    case GHEE_UNSUPPORTED: return "unsupported";
    case GHEE_CLOSED: return "closed";
    case GHEE_AGAIN: return "again";
    case GHEE_CANCELED: return "canceled";
  }
  return "unknown";
}

static void write_message(ghee_error *err, ghee_status status, const char *format, va_list args) {
  /* The arguments may point into the message that is being replaced. */
  char text[GHEE_ERROR_SIZE];
  vsnprintf(text, sizeof text, format, args);
  memcpy(err->message, text, strlen(text) + 1);
  err->status = status;
}

ghee_status ghee_error_set(ghee_error *err, ghee_status status, const char *format, ...) {
  if (err) {
    va_list args;
    va_start(args, format);
    write_message(err, status, format, args);
    va_end(args);
  }
  return status;
}

ghee_status ghee_status_of_errno(int error_number) {
  switch (error_number) {
    case ENOENT: case ENOTDIR: case ESRCH: return GHEE_NOT_FOUND;
    case EACCES: case EPERM: case EROFS: return GHEE_DENIED;
    case ENOSPC: case EDQUOT: case EFBIG: return GHEE_NO_SPACE;
    case EEXIST: case ENOTEMPTY: return GHEE_EXISTS;
    case ENOMEM: return GHEE_NO_MEMORY;
    case EMFILE: case ENFILE: return GHEE_LIMIT;
    case EPIPE: case ECONNRESET: case ECONNREFUSED: case ENOTCONN: return GHEE_CLOSED;
    case EAGAIN: return GHEE_AGAIN;
    default: return GHEE_IO;
  }
}

static const char *remedy_of_errno(int error_number) {
  switch (error_number) {
    case EACCES: case EPERM: return " (look at its permissions and who runs the job)";
    case EROFS: return " (choose a place that can be written)";
    case ENOSPC: case EDQUOT: return " (make room there, or choose another place)";
    case EFBIG: return " (raise `ulimit -f`)";
    case EMFILE: case ENFILE: return " (raise `ulimit -n`)";
    default: return "";
  }
}

ghee_status ghee_error_set_errno(ghee_error *err, int error_number, const char *format, ...) {
  ghee_status status = ghee_status_of_errno(error_number);
  if (err) {
    va_list args;
    va_start(args, format);
    write_message(err, status, format, args);
    va_end(args);
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used, ": %s%s", strerror(error_number), remedy_of_errno(error_number));
  }
  return status;
}

ghee_status ghee_error_no_memory(ghee_error *err, const char *doing) {
  return ghee_error_set(err, GHEE_NO_MEMORY, "out of memory while %s", doing);
}

void ghee_error_prefix(ghee_error *err, const char *format, ...) {
  if (!err) return;
  char text[GHEE_ERROR_SIZE];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  size_t used = strlen(text);
  if (used + 2 < sizeof text) snprintf(text + used, sizeof text - used, ": %.*s", (int)(sizeof text - used - 3), err->message);
  memcpy(err->message, text, strlen(text) + 1);
}

void ghee_error_suffix(ghee_error *err, const char *format, ...) {
  if (!err) return;
  char rest[GHEE_ERROR_SIZE];
  size_t first = strcspn(err->message, "\n");
  memcpy(rest, err->message + first, strlen(err->message + first) + 1);
  va_list args;
  va_start(args, format);
  vsnprintf(err->message + first, sizeof err->message - first, format, args);
  va_end(args);
  size_t used = strlen(err->message);
  snprintf(err->message + used, sizeof err->message - used, "%.*s", (int)(sizeof err->message - used - 1), rest);
}
