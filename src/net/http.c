/* SPDX-License-Identifier: Apache-2.0
 * The client: its settings, and which of its threads makes a call: the one with least to do, of several such the first, so that calls one
 * after the other keep to one thread and its connections. */
#include "net/http.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "net/http_loop.h"

enum { MOST_CONNECTIONS = 16, TRIES = 8, CONNECT_TIMEOUT_MS = 10000, STALL_S = 30, DEADLINE_MS = 600000, MOST_THREADS = 4 };

struct ghee_http {
  ghee_http_options options;
  char *ca_file;
  ghee_http_loop *loops[MOST_THREADS]; /* options.threads of them */
};

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

static unsigned threads_of(unsigned wanted) {
  long processors = wanted ? (long)wanted : sysconf(_SC_NPROCESSORS_ONLN);
  return processors < 1 ? 1 : processors < MOST_THREADS ? (unsigned)processors : MOST_THREADS;
}

static ghee_status set_up(ghee_http *http, ghee_error *err) {
  ghee_http_options *of = &http->options;
  if (!of->most_connections) of->most_connections = MOST_CONNECTIONS;
  if (!of->tries) of->tries = TRIES;
  if (!of->deadline_ms) of->deadline_ms = DEADLINE_MS;
  if (!of->connect_timeout_ms) of->connect_timeout_ms = CONNECT_TIMEOUT_MS;
  if (!of->stall_s) of->stall_s = STALL_S;
  of->threads = threads_of(of->threads);
  const char *ca_file = of->ca_file ? of->ca_file : authorities();
  of->ca_file = http->ca_file = ca_file ? ghee_strdup(ca_file) : NULL;
  if (ca_file && !http->ca_file) return ghee_error_no_memory(err, "opening an HTTP client");
  for (unsigned i = 0; i < of->threads; i++) GHEE_TRY(ghee_http_loop_new(of, &http->loops[i], err));
  return GHEE_OK;
}

ghee_status ghee_http_open(const ghee_http_options *options, ghee_http **out, ghee_error *err) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, init_curl);
  ghee_http *http = ghee_alloc_zero(1, sizeof *http);
  if (!http) return ghee_error_no_memory(err, "opening an HTTP client");
  if (options) http->options = *options;
  ghee_status status = set_up(http, err);
  if (status != GHEE_OK) {
    ghee_http_close(http);
    return status;
  }
  *out = http;
  return GHEE_OK;
}

void ghee_http_close(ghee_http *http) {
  if (!http) return;
  for (unsigned i = 0; i < MOST_THREADS; i++) ghee_http_loop_free(http->loops[i]);
  ghee_free(http->ca_file);
  ghee_free(http);
}

static void call_free(ghee_http_call *call) {
  ghee_http_call_fini(call);
  ghee_free(call);
}

static ghee_http_loop *least_loaded(const ghee_http *http) {
  ghee_http_loop *least = http->loops[0];
  unsigned load = ghee_http_loop_load(least);
  for (unsigned i = 1; i < http->options.threads && load > 0; i++) {
    unsigned other = ghee_http_loop_load(http->loops[i]);
    if (other < load) least = http->loops[i], load = other;
  }
  return least;
}

ghee_status ghee_http_start(ghee_http *http, const ghee_http_request *request, ghee_http_call **out, ghee_error *err) {
  ghee_http_call *call = ghee_alloc_zero(1, sizeof *call);
  if (!call) return ghee_error_no_memory(err, "starting an HTTP request");
  call->request = *request;
  call->deadline_ms = ghee_clock_ms() + (request->deadline_ms ? request->deadline_ms : http->options.deadline_ms);
  ghee_status status = ghee_http_call_init(call, &http->options, err);
  if (status == GHEE_OK) status = ghee_http_loop_start(least_loaded(http), call, err);
  if (status != GHEE_OK) {
    call_free(call);
    return status;
  }
  *out = call;
  return GHEE_OK;
}

ghee_status ghee_http_wait(ghee_http_call *call, ghee_http_response *out, ghee_error *err) {
  ghee_http_loop_wait(call, 0);
  ghee_status status = call->status;
  if (status != GHEE_OK && err) *err = call->err;
  *out = call->response;
  call->response = (ghee_http_response){0};
  call_free(call);
  return status;
}

void ghee_http_cancel(ghee_http_call *call) {
  if (!call) return;
  ghee_http_loop_wait(call, GHEE_HTTP_CANCEL);
  call_free(call);
}

void ghee_http_resume(ghee_http_call *call) { ghee_http_loop_ask(call, GHEE_HTTP_RESUME); }

bool ghee_http_done(ghee_http_call *call) { return ghee_http_loop_done(call); }

ghee_status ghee_http_do(ghee_http *http, const ghee_http_request *request, ghee_http_response *out, ghee_error *err) {
  ghee_http_call *call;
  GHEE_TRY(ghee_http_start(http, request, &call, err));
  return ghee_http_wait(call, out, err);
}

void ghee_http_count(ghee_http *http, ghee_http_counts *out) {
  *out = (ghee_http_counts){0};
  for (unsigned i = 0; i < http->options.threads; i++) ghee_http_loop_count(http->loops[i], out);
}
