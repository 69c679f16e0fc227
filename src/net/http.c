/* SPDX-License-Identifier: Apache-2.0
 * The client: its thread, and how calls are handed to it.
 *
 * Design notes
 * - Other threads touch a call only under the lock: they set bits of `asked`, put the call into the inbox, and wake the thread. The
 *   thread answers by `done`, after which the call is the caller's again.
 * - A call is running (in the multi handle) or waits for its next try (next_try_ms). The thread sleeps in curl_multi_poll until a
 *   connection moves, the next try is due or somebody asks. */
#include "net/http.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "net/http_call.h"
#include "net/retry.h"

enum { MOST_CONNECTIONS = 16, TRIES = 8, CONNECT_TIMEOUT_MS = 10000, STALL_S = 30, DEADLINE_MS = 600000, IDLE_POLL_MS = 3600000 };

struct ghee_http {
  ghee_http_options options;
  char *ca_file;
  CURLM *multi;
  pthread_t thread;
  ghee_http_call *calls; /* the thread's */
  ghee_random random;    /* the thread's */
  _Atomic uint64_t requests, received_bytes, sent_bytes, connections;
  struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* some call is done */
    ghee_http_call *inbox, **inbox_end;
    bool started, stop;
  } locked;
};

/* ---- the thread ---- */

void ghee_http_counted(ghee_http *http, uint64_t received_bytes, uint64_t sent_bytes) {
  atomic_fetch_add_explicit(&http->received_bytes, received_bytes, memory_order_relaxed);
  atomic_fetch_add_explicit(&http->sent_bytes, sent_bytes, memory_order_relaxed);
}

static void unlink_call(ghee_http *http, ghee_http_call *call) {
  if (call->next) call->next->before = call->before;
  *(call->before ? &call->before->next : &http->calls) = call->next;
}

static void link_call(ghee_http *http, ghee_http_call *call) {
  call->next = http->calls;
  call->before = NULL;
  if (http->calls) http->calls->before = call;
  http->calls = call;
}

static void end_call(ghee_http *http, ghee_http_call *call) {
  if (call->running) curl_multi_remove_handle(http->multi, call->easy);
  call->running = false;
  unlink_call(http, call);
  pthread_mutex_lock(&http->locked.mutex);
  call->done = true;
  pthread_cond_broadcast(&http->locked.changed);
  pthread_mutex_unlock(&http->locked.mutex);
}

static void begin_try(ghee_http *http, ghee_http_call *call) {
  if (!ghee_http_call_begin(call, ghee_clock_ms())) {
    end_call(http, call);
    return;
  }
  atomic_fetch_add_explicit(&http->requests, 1, memory_order_relaxed);
  if (curl_multi_add_handle(http->multi, call->easy) != CURLM_OK) {
    call->status = ghee_error_no_memory(&call->err, "starting an HTTP request");
    end_call(http, call);
    return;
  }
  call->running = true;
}

static void end_try(ghee_http *http, ghee_http_call *call, CURLcode result) {
  uint64_t now = ghee_clock_ms(), wait = 0;
  long connects = 0;
  curl_easy_getinfo(call->easy, CURLINFO_NUM_CONNECTS, &connects);
  atomic_fetch_add_explicit(&http->connections, (uint64_t)connects, memory_order_relaxed);
  uint64_t jitter = ghee_retry_wait_ms(&http->random, call->response.tries + 1);
  if (!ghee_http_call_judge(call, result, &http->options, now, jitter, &wait)) {
    end_call(http, call);
    return;
  }
  curl_multi_remove_handle(http->multi, call->easy);
  call->running = false;
  call->next_try_ms = now + wait;
}

static void answer(ghee_http *http, ghee_http_call *call, unsigned asked) {
  if (asked & GHEE_HTTP_START) {
    link_call(http, call);
    call->next_try_ms = 0;
  }
  if (asked & GHEE_HTTP_CANCEL) {
    bool done = call->done; /* only this thread sets it */
    if (!done) end_call(http, call);
  } else if ((asked & GHEE_HTTP_RESUME) && call->running) {
    curl_easy_pause(call->easy, CURLPAUSE_CONT);
  }
}

/* False: the client is being closed. */
static bool read_inbox(ghee_http *http) {
  pthread_mutex_lock(&http->locked.mutex);
  for (ghee_http_call *call; (call = http->locked.inbox);) {
    unsigned asked = call->asked;
    call->asked = 0;
    call->in_hand = true;
    if (!(http->locked.inbox = call->next_asked)) http->locked.inbox_end = &http->locked.inbox;
    pthread_mutex_unlock(&http->locked.mutex);
    answer(http, call, asked);
    pthread_mutex_lock(&http->locked.mutex);
    call->in_hand = false;
    if (call->done) pthread_cond_broadcast(&http->locked.changed);
  }
  bool go_on = !http->locked.stop;
  pthread_mutex_unlock(&http->locked.mutex);
  return go_on;
}

/* Starts the tries that are due; milliseconds until the next one. */
static int start_due(ghee_http *http) {
  uint64_t now = ghee_clock_ms(), next = IDLE_POLL_MS;
  for (ghee_http_call *call = http->calls, *after; call; call = after) {
    after = call->next;
    if (call->running) continue;
    if (call->next_try_ms <= now) begin_try(http, call);
    else if (call->next_try_ms - now < next) next = call->next_try_ms - now;
  }
  return (int)next;
}

static void *run(void *user) {
  ghee_http *http = user;
  while (read_inbox(http)) {
    int wait = start_due(http), running, left;
    curl_multi_perform(http->multi, &running);
    bool ended = false;
    for (CURLMsg *message; (message = curl_multi_info_read(http->multi, &left));) {
      ghee_http_call *call;
      CURLcode result = message->data.result;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
      end_try(http, call, result);
      ended = true;
    }
    if (!ended) curl_multi_poll(http->multi, NULL, 0, wait, NULL);
  }
  return NULL;
}

/* ---- the caller's side ---- */

static void ask(ghee_http_call *call, unsigned what) { /* with the lock held */
  ghee_http *http = call->http;
  if (!call->asked) {
    call->next_asked = NULL;
    *http->locked.inbox_end = call;
    http->locked.inbox_end = &call->next_asked;
  }
  call->asked |= what;
  curl_multi_wakeup(http->multi);
}

/* Signals are the business of other threads. With the lock held. */
static ghee_status start_thread(ghee_http *http, ghee_error *err) {
  sigset_t all, before;
  if (http->locked.started) return GHEE_OK;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int reason = pthread_create(&http->thread, NULL, run, http);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  http->locked.started = reason == 0;
  return reason ? ghee_error_set_errno(err, reason, "cannot start the thread of the HTTP client") : GHEE_OK;
}

/* A library that was built on one distribution looks in vain for its authorities on another. */
static const char *authorities(void) {
  static const char *const places[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};
  const char *chosen = getenv("SSL_CERT_FILE"), *built_in = curl_version_info(CURLVERSION_NOW)->cainfo;
  if (chosen && *chosen) return chosen;
  if (built_in && access(built_in, R_OK) == 0) return NULL;
  for (size_t i = 0; i < sizeof places / sizeof *places; i++)
    if (access(places[i], R_OK) == 0) return places[i];
  return NULL;
}

static void init_curl(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

ghee_status ghee_http_open(const ghee_http_options *options, ghee_http **out, ghee_error *err) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, init_curl);
  ghee_http *http = ghee_alloc_zero(1, sizeof *http);
  if (!http) return ghee_error_no_memory(err, "opening an HTTP client");
  if (options) http->options = *options;
  ghee_http_options *of = &http->options;
  if (!of->most_connections) of->most_connections = MOST_CONNECTIONS;
  if (!of->tries) of->tries = TRIES;
  if (!of->deadline_ms) of->deadline_ms = DEADLINE_MS;
  if (!of->connect_timeout_ms) of->connect_timeout_ms = CONNECT_TIMEOUT_MS;
  if (!of->stall_s) of->stall_s = STALL_S;
  pthread_mutex_init(&http->locked.mutex, NULL);
  pthread_cond_init(&http->locked.changed, NULL);
  http->locked.inbox_end = &http->locked.inbox;
  ghee_random_init(&http->random, ghee_clock_ns(), (uint64_t)getpid(), (uintptr_t)http);
  http->multi = curl_multi_init();
  const char *ca_file = of->ca_file ? of->ca_file : authorities();
  of->ca_file = http->ca_file = ca_file ? ghee_strdup(ca_file) : NULL;
  if (!http->multi || (ca_file && !http->ca_file)) {
    ghee_http_close(http);
    return ghee_error_no_memory(err, "opening an HTTP client");
  }
  curl_multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)of->most_connections);
  curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)of->most_connections * 4);
  *out = http;
  return GHEE_OK;
}

void ghee_http_close(ghee_http *http) {
  if (!http) return;
  pthread_mutex_lock(&http->locked.mutex);
  http->locked.stop = true;
  bool started = http->locked.started;
  if (started) curl_multi_wakeup(http->multi);
  pthread_mutex_unlock(&http->locked.mutex);
  if (started) pthread_join(http->thread, NULL);
  if (http->multi) curl_multi_cleanup(http->multi);
  pthread_cond_destroy(&http->locked.changed);
  pthread_mutex_destroy(&http->locked.mutex);
  ghee_free(http->ca_file);
  ghee_free(http);
}

static void call_free(ghee_http_call *call) {
  ghee_http_call_fini(call);
  ghee_free(call);
}

ghee_status ghee_http_start(ghee_http *http, const ghee_http_request *request, ghee_http_call **out, ghee_error *err) {
  ghee_http_call *call = ghee_alloc_zero(1, sizeof *call);
  if (!call) return ghee_error_no_memory(err, "starting an HTTP request");
  call->http = http;
  call->request = *request;
  call->deadline_ms = ghee_clock_ms() + (request->deadline_ms ? request->deadline_ms : http->options.deadline_ms);
  ghee_status status = ghee_http_call_init(call, &http->options, err);
  if (status == GHEE_OK) {
    pthread_mutex_lock(&http->locked.mutex);
    status = start_thread(http, err);
    if (status == GHEE_OK) ask(call, GHEE_HTTP_START);
    pthread_mutex_unlock(&http->locked.mutex);
  }
  if (status != GHEE_OK) {
    call_free(call);
    return status;
  }
  *out = call;
  return GHEE_OK;
}

static void wait_done(ghee_http_call *call, unsigned asked) {
  ghee_http *http = call->http;
  pthread_mutex_lock(&http->locked.mutex);
  if (asked && !call->done) ask(call, asked);
  while (!call->done || call->asked || call->in_hand) pthread_cond_wait(&http->locked.changed, &http->locked.mutex);
  pthread_mutex_unlock(&http->locked.mutex);
}

ghee_status ghee_http_wait(ghee_http_call *call, ghee_http_response *out, ghee_error *err) {
  wait_done(call, 0);
  ghee_status status = call->status;
  if (status != GHEE_OK && err) *err = call->err;
  *out = call->response;
  call->response = (ghee_http_response){0};
  call_free(call);
  return status;
}

void ghee_http_cancel(ghee_http_call *call) {
  if (!call) return;
  wait_done(call, GHEE_HTTP_CANCEL);
  call_free(call);
}

void ghee_http_resume(ghee_http_call *call) {
  pthread_mutex_lock(&call->http->locked.mutex);
  if (!call->done) ask(call, GHEE_HTTP_RESUME);
  pthread_mutex_unlock(&call->http->locked.mutex);
}

bool ghee_http_done(ghee_http_call *call) {
  pthread_mutex_lock(&call->http->locked.mutex);
  bool done = call->done && !call->asked && !call->in_hand;
  pthread_mutex_unlock(&call->http->locked.mutex);
  return done;
}

ghee_status ghee_http_do(ghee_http *http, const ghee_http_request *request, ghee_http_response *out, ghee_error *err) {
  ghee_http_call *call;
  GHEE_TRY(ghee_http_start(http, request, &call, err));
  return ghee_http_wait(call, out, err);
}

void ghee_http_count(ghee_http *http, ghee_http_counts *out) {
  *out = (ghee_http_counts){.requests = http->requests, .received_bytes = http->received_bytes, .sent_bytes = http->sent_bytes, .connections = http->connections};
}
