/* SPDX-License-Identifier: Apache-2.0
 * HTTP client, the only user of libcurl. A few threads a client own all connections; calls from any thread are handed to them, so many
 * transfers run side by side, connections are kept, and what fails in passing is tried again.
 *
 * What it does not do: follow redirects (the caller sees 3xx and its Location, since what may be sent where is the caller's to know),
 * sign, interpret bodies. HTTP/1.1 only. Proxies as libcurl takes them from the environment (http_proxy, https_proxy, no_proxy). */
#ifndef GHEE_NET_HTTP_H
#define GHEE_NET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

typedef struct ghee_http ghee_http;           /* Thread: any */
typedef struct ghee_http_call ghee_http_call; /* one running request. Owner: whoever started it */

/** Zero-initialised means the defaults. */
typedef struct ghee_http_options {
  const char *ca_file;          /* PEM file of the authorities that are trusted; NULL: SSL_CERT_FILE, else the system's */
  unsigned most_connections;    /* to one host; 0: 16. What is beyond waits for a free one */
  unsigned tries;               /* of one request; 0: 8 */
  uint64_t deadline_ms;         /* of one request with all its tries; 0: 10 minutes */
  unsigned connect_timeout_ms;  /* 0: 10 s */
  unsigned stall_s;             /* a connection without a byte for so long is given up; 0: 30 */
  unsigned threads;             /* that move bytes, at most 4; 0: one a processor */
} ghee_http_options;

/** options may be NULL. Threads start with the first requests that need them. out gives: ghee_http_close. */
ghee_status ghee_http_open(const ghee_http_options *options, ghee_http **out, ghee_error *err);
/** Every call must have been waited for or canceled. NULL is fine.  Blocks: until the threads have ended. */
void ghee_http_close(ghee_http *http);

/** All texts, bytes and callbacks are borrowed until the call has ended. The callbacks of one call run on one thread of
 * the client, those of several calls at once, and must not block. */
typedef struct ghee_http_request {
  const char *method, *url;
  const char *const *headers;   /* "Name: value"; "Name:" takes out one that libcurl would send */
  size_t n_headers;
  bool negotiate;               /* SPNEGO, with the Kerberos ticket of the user */
  bool once;                    /* not idempotent: tried again only where nothing can have reached the server */
  uint64_t deadline_ms;         /* 0: that of the client */

  /* The body that is sent: memory, or whatever `pull` gives. */
  const void *body;
  uint64_t body_bytes;          /* of a pulled body UINT64_MAX: not known, sent in chunks */
  /** Fills `into` with up to `room` bytes; *n = 0 ends a body of unknown size. GHEE_AGAIN: nothing now, ghee_http_resume tells of
   *  more; any other failure ends the call with it. A body of which something was pulled is not sent again: the call fails. */
  ghee_status (*pull)(void *user, void *into, size_t room, size_t *n, ghee_error *err);

  /* The body of a 2xx answer: into `into`, which it must fill exactly (short: tried again, long: GHEE_CORRUPT); or to `push`; or into
   * the response. A try that starts anew first calls `push` with data NULL. Bodies of other answers go into the response. */
  void *into;
  size_t into_bytes;
  ghee_status (*push)(void *user, const void *data, size_t size_bytes, ghee_error *err);
  uint64_t most_body_bytes;     /* of a body in the response; 0: 64 MiB. Beyond: GHEE_LIMIT */
  void (*ended)(void *user);    /* the call is over, and ghee_http_wait about to return; no other callback follows. May be NULL */
  void *user;                   /* of pull, push and ended */
} ghee_http_request;

/** Zero-initialised is empty. */
typedef struct ghee_http_response {
  int status;                   /* of the last try */
  ghee_buffer headers;          /* "name: value\n" of the final answer, names in lower case; ask ghee_http_header */
  ghee_buffer body;
  unsigned tries;
} ghee_http_response;

void ghee_http_response_fini(ghee_http_response *response);
/** The value of a header, copied to `out` (cut at its size); false where there is none. */
bool ghee_http_header(const ghee_http_response *response, const char *name, char *out, size_t out_bytes);

/** Starts a request. out gives: ghee_http_wait or ghee_http_cancel.  Blocks: no. */
ghee_status ghee_http_start(ghee_http *http, const ghee_http_request *request, ghee_http_call **out, ghee_error *err);
/** The answer, whatever its status (after the tries that 429, 500, 502, 503, 504 and lost connections are worth), and frees the call.
 *  GHEE_IO: no connection, no whole answer, none in time · GHEE_DENIED: the certificate is not trusted · GHEE_INVALID: URL, file of authorities ·
 *  GHEE_CORRUPT · GHEE_LIMIT · GHEE_NO_MEMORY · what a callback failed with. `out` (zero or finished) is filled as far as there was
 *  an answer, also on failure: ghee_http_response_fini.  Blocks: yes. */
ghee_status ghee_http_wait(ghee_http_call *call, ghee_http_response *out, ghee_error *err);
/** Ends a call whose outcome nobody wants, and frees it; afterwards no callback runs. NULL is fine.  Blocks: briefly. */
void ghee_http_cancel(ghee_http_call *call);
/** `pull` has more, or its end. Thread: any. */
void ghee_http_resume(ghee_http_call *call);
/** Whether wait would return at once. Thread: any. */
bool ghee_http_done(ghee_http_call *call);
/** start and wait. */
ghee_status ghee_http_do(ghee_http *http, const ghee_http_request *request, ghee_http_response *out, ghee_error *err);

/** A failure in words for an answer that is not what was wanted: "<what>: <method> <host><path> answered 503 (<said>) after 3 tries<more>".
 *  `said` (the server's own message) and `more` (what to do) may be NULL or "". Returns `status`. */
ghee_status ghee_http_refused(const ghee_http_request *request, const ghee_http_response *response, ghee_status status, const char *what, const char *said,
                              const char *more, ghee_error *err);

/** Bytes and requests that the client has moved since it was opened, all tries counted. */
typedef struct ghee_http_counts {
  uint64_t requests, received_bytes, sent_bytes, connections;
} ghee_http_counts;
void ghee_http_count(ghee_http *http, ghee_http_counts *out);

#endif
