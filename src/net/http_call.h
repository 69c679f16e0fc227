/* SPDX-License-Identifier: Apache-2.0
 * Inside net/: one request and its tries. Everything but what stands under the lock belongs to one thread of the client from start to end. */
#ifndef GHEE_NET_HTTP_CALL_H
#define GHEE_NET_HTTP_CALL_H

#include <curl/curl.h>

#include "net/http.h"

enum { GHEE_HTTP_START = 1, GHEE_HTTP_CANCEL = 2, GHEE_HTTP_RESUME = 4 };

typedef struct ghee_http_loop ghee_http_loop; /* http_loop.h: the thread */

struct ghee_http_call {
  ghee_http_loop *loop;
  ghee_http_request request;
  CURL *easy;
  struct curl_slist *headers;
  ghee_http_response response;
  ghee_status failed;            /* of a callback, or of what came in; the try is then over */
  ghee_status status;            /* of the call */
  ghee_error err;
  uint64_t deadline_ms, next_try_ms;
  size_t received_bytes;         /* into `into` in this try */
  uint64_t sent_bytes;           /* of the body in this try */
  bool running, pulled;
  char reason[CURL_ERROR_SIZE];
  ghee_http_call *next, *before; /* all calls of the thread */

  /* under the lock of the loop */
  unsigned asked;
  bool done, in_hand; /* in_hand: the thread is answering what was asked */
  ghee_http_call *next_asked;
};

/** Prepares what is the same for all tries. */
ghee_status ghee_http_call_init(ghee_http_call *call, const ghee_http_options *options, ghee_error *err);
void ghee_http_call_fini(ghee_http_call *call);
/** Before each try: counts it and forgets what came of the one before. False: it cannot be made, and the call is over. */
bool ghee_http_call_begin(ghee_http_call *call, uint64_t now_ms);
/** After each try: whether it is worth another after `*wait_ms`; else status and err say how the call ends.
 *  `jitter_ms` is how long to wait where the server does not say. */
bool ghee_http_call_judge(ghee_http_call *call, CURLcode result, const ghee_http_options *options, uint64_t now_ms, uint64_t jitter_ms, uint64_t *wait_ms);

#endif
