/* SPDX-License-Identifier: Apache-2.0
 * One thread of a client, and how calls are handed to it.
 *
 * Design notes
 * - Other threads touch a call only under the lock: they set bits of `asked`, put the call into the inbox, and wake the thread. The
 *   thread answers by `done`, after which the call is the caller's again.
 * - A call is running (in the multi handle) or waits for its next try (next_try_ms). The thread sleeps in curl_multi_poll until a
 *   connection moves, the next try is due or somebody asks. */
#include "net/http_loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "net/retry.h"

enum { IDLE_POLL_MS = 3600000 };

struct ghee_http_loop {
  const ghee_http_options *options;
  CURLM *multi;
  pthread_t thread;
  ghee_http_call *calls; /* the thread's */
  ghee_random random;    /* the thread's */
  atomic_uint load;
  _Atomic uint64_t requests, received_bytes, sent_bytes, connections;
  struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* some call is done */
    ghee_http_call *inbox, **inbox_end;
    bool started, stop;
  } locked;
};

/* ---- the thread ---- */

void ghee_http_loop_counted(ghee_http_loop *loop, uint64_t received_bytes, uint64_t sent_bytes) {
  atomic_fetch_add_explicit(&loop->received_bytes, received_bytes, memory_order_relaxed);
  atomic_fetch_add_explicit(&loop->sent_bytes, sent_bytes, memory_order_relaxed);
}

static void unlink_call(ghee_http_loop *loop, ghee_http_call *call) {
  if (call->next) call->next->before = call->before;
  *(call->before ? &call->before->next : &loop->calls) = call->next;
}

static void link_call(ghee_http_loop *loop, ghee_http_call *call) {
  call->next = loop->calls;
  call->before = NULL;
  if (loop->calls) loop->calls->before = call;
  loop->calls = call;
}

static void end_call(ghee_http_loop *loop, ghee_http_call *call) {
  if (call->running) curl_multi_remove_handle(loop->multi, call->easy);
  call->running = false;
  unlink_call(loop, call);
  atomic_fetch_sub_explicit(&loop->load, 1, memory_order_relaxed);
  if (call->request.ended) call->request.ended(call->request.user);
  pthread_mutex_lock(&loop->locked.mutex);
  call->done = true;
  pthread_cond_broadcast(&loop->locked.changed);
  pthread_mutex_unlock(&loop->locked.mutex);
}

static void begin_try(ghee_http_loop *loop, ghee_http_call *call) {
  if (!ghee_http_call_begin(call, ghee_clock_ms())) {
    end_call(loop, call);
    return;
  }
  atomic_fetch_add_explicit(&loop->requests, 1, memory_order_relaxed);
  if (curl_multi_add_handle(loop->multi, call->easy) != CURLM_OK) {
    call->status = ghee_error_no_memory(&call->err, "starting an HTTP request");
    end_call(loop, call);
    return;
  }
  call->running = true;
}

static void end_try(ghee_http_loop *loop, ghee_http_call *call, CURLcode result) {
  uint64_t now = ghee_clock_ms(), wait = 0;
  long connects = 0;
  curl_easy_getinfo(call->easy, CURLINFO_NUM_CONNECTS, &connects);
  atomic_fetch_add_explicit(&loop->connections, (uint64_t)connects, memory_order_relaxed);
  uint64_t jitter = ghee_retry_wait_ms(&loop->random, call->response.tries + 1);
  if (!ghee_http_call_judge(call, result, loop->options, now, jitter, &wait)) {
    end_call(loop, call);
    return;
  }
  curl_multi_remove_handle(loop->multi, call->easy);
  call->running = false;
  call->next_try_ms = now + wait;
}

static void answer(ghee_http_loop *loop, ghee_http_call *call, unsigned asked) {
  if (asked & GHEE_HTTP_START) {
    link_call(loop, call);
    call->next_try_ms = 0;
  }
  if (asked & GHEE_HTTP_CANCEL) {
    bool done = call->done; /* only this thread sets it */
    if (!done) end_call(loop, call);
  } else if ((asked & GHEE_HTTP_RESUME) && call->running) {
    curl_easy_pause(call->easy, CURLPAUSE_CONT);
  }
}

/* False: the client is being closed. */
static bool read_inbox(ghee_http_loop *loop) {
  pthread_mutex_lock(&loop->locked.mutex);
  for (ghee_http_call *call; (call = loop->locked.inbox);) {
    unsigned asked = call->asked;
    call->asked = 0;
    call->in_hand = true;
    if (!(loop->locked.inbox = call->next_asked)) loop->locked.inbox_end = &loop->locked.inbox;
    pthread_mutex_unlock(&loop->locked.mutex);
    answer(loop, call, asked);
    pthread_mutex_lock(&loop->locked.mutex);
    call->in_hand = false;
    if (call->done) pthread_cond_broadcast(&loop->locked.changed);
  }
  bool go_on = !loop->locked.stop;
  pthread_mutex_unlock(&loop->locked.mutex);
  return go_on;
}

/* Starts the tries that are due; milliseconds until the next one. */
static int start_due(ghee_http_loop *loop) {
  uint64_t now = ghee_clock_ms(), next = IDLE_POLL_MS;
  for (ghee_http_call *call = loop->calls, *after; call; call = after) {
    after = call->next;
    if (call->running) continue;
    if (call->next_try_ms <= now) begin_try(loop, call);
    else if (call->next_try_ms - now < next) next = call->next_try_ms - now;
  }
  return (int)next;
}

static void *run(void *user) {
  ghee_http_loop *loop = user;
  while (read_inbox(loop)) {
    int wait = start_due(loop), running, left;
    curl_multi_perform(loop->multi, &running);
    bool ended = false;
    for (CURLMsg *message; (message = curl_multi_info_read(loop->multi, &left));) {
      ghee_http_call *call;
      CURLcode result = message->data.result;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
      end_try(loop, call, result);
      ended = true;
    }
    if (!ended) curl_multi_poll(loop->multi, NULL, 0, wait, NULL);
  }
  return NULL;
}

/* ---- the caller's side ---- */

static void ask(ghee_http_call *call, unsigned what) { /* with the lock held */
  ghee_http_loop *loop = call->loop;
  if (!call->asked) {
    call->next_asked = NULL;
    *loop->locked.inbox_end = call;
    loop->locked.inbox_end = &call->next_asked;
  }
  call->asked |= what;
  curl_multi_wakeup(loop->multi);
}

/* Signals are the business of other threads. With the lock held. */
static ghee_status start_thread(ghee_http_loop *loop, ghee_error *err) {
  sigset_t all, before;
  if (loop->locked.started) return GHEE_OK;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int reason = pthread_create(&loop->thread, NULL, run, loop);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  loop->locked.started = reason == 0;
  return reason ? ghee_error_set_errno(err, reason, "cannot start the thread of the HTTP client") : GHEE_OK;
}

ghee_status ghee_http_loop_new(const ghee_http_options *options, ghee_http_loop **out, ghee_error *err) {
  ghee_http_loop *loop = ghee_alloc_zero(1, sizeof *loop);
  if (!loop) return ghee_error_no_memory(err, "opening an HTTP client");
  loop->options = options;
  pthread_mutex_init(&loop->locked.mutex, NULL);
  pthread_cond_init(&loop->locked.changed, NULL);
  loop->locked.inbox_end = &loop->locked.inbox;
  ghee_random_init(&loop->random, ghee_clock_ns(), (uint64_t)getpid(), (uintptr_t)loop);
  if (!(loop->multi = curl_multi_init())) {
    ghee_http_loop_free(loop);
    return ghee_error_no_memory(err, "opening an HTTP client");
  }
  long connections = (options->most_connections + options->threads - 1) / options->threads;
  curl_multi_setopt(loop->multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
  curl_multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS, connections * 4);
  *out = loop;
  return GHEE_OK;
}

void ghee_http_loop_free(ghee_http_loop *loop) {
  if (!loop) return;
  pthread_mutex_lock(&loop->locked.mutex);
  loop->locked.stop = true;
  bool started = loop->locked.started;
  if (started) curl_multi_wakeup(loop->multi);
  pthread_mutex_unlock(&loop->locked.mutex);
  if (started) pthread_join(loop->thread, NULL);
  if (loop->multi) curl_multi_cleanup(loop->multi);
  pthread_cond_destroy(&loop->locked.changed);
  pthread_mutex_destroy(&loop->locked.mutex);
  ghee_free(loop);
}

unsigned ghee_http_loop_load(const ghee_http_loop *loop) { return atomic_load_explicit(&loop->load, memory_order_relaxed); }

ghee_status ghee_http_loop_start(ghee_http_loop *loop, ghee_http_call *call, ghee_error *err) {
  pthread_mutex_lock(&loop->locked.mutex);
  ghee_status status = start_thread(loop, err);
  if (status == GHEE_OK) {
    call->loop = loop;
    atomic_fetch_add_explicit(&loop->load, 1, memory_order_relaxed);
    ask(call, GHEE_HTTP_START);
  }
  pthread_mutex_unlock(&loop->locked.mutex);
  return status;
}

void ghee_http_loop_ask(ghee_http_call *call, unsigned what) {
  pthread_mutex_lock(&call->loop->locked.mutex);
  if (!call->done) ask(call, what);
  pthread_mutex_unlock(&call->loop->locked.mutex);
}

void ghee_http_loop_wait(ghee_http_call *call, unsigned what) {
  ghee_http_loop *loop = call->loop;
  pthread_mutex_lock(&loop->locked.mutex);
  if (what && !call->done) ask(call, what);
  while (!call->done || call->asked || call->in_hand) pthread_cond_wait(&loop->locked.changed, &loop->locked.mutex);
  pthread_mutex_unlock(&loop->locked.mutex);
}

bool ghee_http_loop_done(ghee_http_call *call) {
  pthread_mutex_lock(&call->loop->locked.mutex);
  bool done = call->done && !call->asked && !call->in_hand;
  pthread_mutex_unlock(&call->loop->locked.mutex);
  return done;
}

void ghee_http_loop_count(const ghee_http_loop *loop, ghee_http_counts *out) {
  out->requests += loop->requests;
  out->received_bytes += loop->received_bytes;
  out->sent_bytes += loop->sent_bytes;
  out->connections += loop->connections;
}
