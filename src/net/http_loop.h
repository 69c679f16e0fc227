/* SPDX-License-Identifier: Apache-2.0
 * Inside net/: one thread of a client, with connections of its own and the calls that it makes. A client has a few, since one thread moves
 * hardly more bytes than one connection brings. */
#ifndef GHEE_NET_HTTP_LOOP_H
#define GHEE_NET_HTTP_LOOP_H

#include "net/http_call.h"

/** options borrows, with all defaults filled in: until the end. The thread starts with the first call. out gives: ghee_http_loop_free. */
ghee_status ghee_http_loop_new(const ghee_http_options *options, ghee_http_loop **out, ghee_error *err);
/** NULL is fine.  Blocks: until the thread has ended. */
void ghee_http_loop_free(ghee_http_loop *loop);
/** Calls that have not ended. Thread: any. */
unsigned ghee_http_loop_load(const ghee_http_loop *loop);
/** Makes the call; on failure it is the caller's as before. Thread: any.  Blocks: no. */
ghee_status ghee_http_loop_start(ghee_http_loop *loop, ghee_http_call *call, ghee_error *err);
/** Asks the thread for GHEE_HTTP_RESUME. Thread: any.  Blocks: no. */
void ghee_http_loop_ask(ghee_http_call *call, unsigned what);
/** Until the call has ended and is nobody's but the caller's; having asked first, if `what` is not 0.  Blocks: yes. */
void ghee_http_loop_wait(ghee_http_call *call, unsigned what);
/** Whether that would return at once. Thread: any. */
bool ghee_http_loop_done(ghee_http_call *call);
/** Adds to `out` what the thread has moved. Thread: any. */
void ghee_http_loop_count(const ghee_http_loop *loop, ghee_http_counts *out);
/** Adds to its counts. Thread: the loop's. */
void ghee_http_loop_counted(ghee_http_loop *loop, uint64_t received_bytes, uint64_t sent_bytes);

#endif
