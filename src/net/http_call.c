/* SPDX-License-Identifier: Apache-2.0
 * One request: its settings, what libcurl calls back, and the judgement of each try.
 *
 * Design notes
 * - A try is judged by what the server can have done: without a connection nothing; with 429 and 503 nothing (it says so itself);
 *   with anything else it may have acted, which is harmless only for idempotent requests. libcurl repeats by itself what it sent over
 *   a kept connection that turns out dead, so the others get a fresh one.
 * - The body of an answer that is not 2xx never goes where the caller wants data: it is the server's message. */
#include "net/http_loop.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/copy.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/retry.h"
#include "net/url.h"

enum { MOST_ERROR_BODY_BYTES = 64 << 10, MOST_HEADER_BYTES = 256 << 10, RECEIVE_BUFFER_BYTES = 512 << 10, SEND_BUFFER_BYTES = 512 << 10, TRIES_TO_RESOLVE = 4, TRIES_TO_SAY = 3, LARGE_BYTES = 4 << 20 };
static const uint64_t MOST_BODY_BYTES = 64 << 20;

void ghee_http_response_fini(ghee_http_response *response) {
  ghee_buffer_fini(&response->headers);
  ghee_buffer_fini(&response->body);
  *response = (ghee_http_response){0};
}

bool ghee_http_header(const ghee_http_response *response, const char *name, char *out, size_t out_bytes) {
  size_t length = strlen(name), left;
  if (response->headers.failed) return false; /* cut short */
  const char *at = (const char *)response->headers.data, *end = at ? at + response->headers.size : at;
  for (; at < end; at += left + 1) {
    left = (size_t)((const char *)memchr(at, '\n', (size_t)(end - at)) - at);
    if (left < length + 2 || strncasecmp(at, name, length) != 0 || at[length] != ':') continue;
    size_t size = left - length - 2;
    if (size >= out_bytes) size = out_bytes - 1;
    memcpy(out, at + length + 2, size);
    out[size] = 0;
    return true;
  }
  return false;
}

/* ---- what libcurl calls ---- */

static size_t on_header(char *data, size_t one, size_t size, void *user) {
  ghee_http_call *call = user;
  ghee_buffer *to = &call->response.headers;
  size_t length = size * one;
  (void)one;
  if (length >= 5 && memcmp(data, "HTTP/", 5) == 0) { /* a new answer: those before it were 1xx */
    ghee_buffer_clear(to);
    return length;
  }
  const char *colon = memchr(data, ':', length), *end = data + length;
  if (!colon || to->size + length > MOST_HEADER_BYTES) return length;
  for (const char *c = data; c < colon; c++) ghee_buffer_put_u8(to, (uint8_t)tolower((unsigned char)*c));
  for (colon++; colon < end && (*colon == ' ' || *colon == '\t'); colon++) {}
  while (end > colon && isspace((unsigned char)end[-1])) end--;
  ghee_buffer_put(to, ": ", 2);
  ghee_buffer_put(to, colon, (size_t)(end - colon));
  ghee_buffer_put(to, "\n", 1);
  return length;
}

static size_t refuse_body(ghee_http_call *call, ghee_status status) {
  call->failed = status;
  return CURL_WRITEFUNC_ERROR;
}

static size_t keep_body(ghee_http_call *call, const char *data, size_t size, bool good) {
  uint64_t most = !good ? MOST_ERROR_BODY_BYTES : call->request.most_body_bytes ? call->request.most_body_bytes : MOST_BODY_BYTES;
  if (call->response.body.size + size > most) {
    if (!good) return size; /* the head of a message is enough */
    ghee_error_set(&call->err, GHEE_LIMIT, "%s: the answer is longer than %llu bytes", call->request.url, (unsigned long long)most);
    return refuse_body(call, GHEE_LIMIT);
  }
  ghee_buffer_put(&call->response.body, data, size);
  if (!call->response.body.failed) return size;
  ghee_error_no_memory(&call->err, "receiving an HTTP answer");
  return refuse_body(call, GHEE_NO_MEMORY);
}

/* What does not stay in the caches near this core until it is read goes past them: a seventh of the time that receiving costs. */
static void copy_into(const ghee_http_call *call, const char *data, size_t size) {
  char *into = (char *)call->request.into + call->received_bytes;
  if (call->request.into_bytes < LARGE_BYTES) memcpy(into, data, size);
  else ghee_copy_out(into, data, size);
}

static size_t on_body(char *data, size_t one, size_t size, void *user) {
  ghee_http_call *call = user;
  const ghee_http_request *request = &call->request;
  long status = 0;
  size *= one;
  ghee_http_loop_counted(call->loop, size, 0);
  curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
  bool good = status >= 200 && status < 300;
  if (good && request->into) {
    if (size > request->into_bytes - call->received_bytes) {
      ghee_error_set(&call->err, GHEE_CORRUPT, "the answer to %s %s is longer than the %zu bytes that were asked for", request->method, request->url, request->into_bytes);
      return refuse_body(call, GHEE_CORRUPT);
    }
    copy_into(call, data, size);
    call->received_bytes += size;
    return size;
  }
  if (!good || !request->push) return keep_body(call, data, size, good);
  ghee_status pushed = request->push(request->user, data, size, &call->err);
  return pushed == GHEE_OK ? size : refuse_body(call, pushed);
}

static size_t on_send(char *into, size_t one, size_t room, void *user) {
  ghee_http_call *call = user;
  const ghee_http_request *request = &call->request;
  size_t n = 0;
  room *= one;
  if (request->pull) {
    ghee_status status = request->pull(request->user, into, room, &n, &call->err);
    if (status == GHEE_AGAIN) return CURL_READFUNC_PAUSE;
    if (status != GHEE_OK) {
      call->failed = status;
      return CURL_READFUNC_ABORT;
    }
    call->pulled |= n > 0;
  } else {
    n = request->body_bytes - call->sent_bytes < room ? (size_t)(request->body_bytes - call->sent_bytes) : room;
    if (n > 0) memcpy(into, (const char *)request->body + call->sent_bytes, n);
  }
  call->sent_bytes += n;
  ghee_http_loop_counted(call->loop, 0, n);
  return n;
}

/* libcurl found a kept connection dead when the body was under way, and starts it again. */
static int on_seek(void *user, curl_off_t offset, int origin) {
  ghee_http_call *call = user;
  if (origin != SEEK_SET || call->request.pull) return call->request.pull && !call->pulled && offset == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_CANTSEEK;
  call->sent_bytes = (uint64_t)offset;
  return CURL_SEEKFUNC_OK;
}

/* ---- settings ---- */

static bool add_header(ghee_http_call *call, const char *line) {
  struct curl_slist *longer = curl_slist_append(call->headers, line);
  if (longer) call->headers = longer;
  return longer;
}

static CURLcode set_method(ghee_http_call *call) {
  const ghee_http_request *request = &call->request;
  const char *method = request->method;
  bool sends = request->body_bytes > 0 || request->pull || strcmp(method, "PUT") == 0 || strcmp(method, "POST") == 0;
  CURLcode code = CURLE_OK;
  if (strcmp(method, "HEAD") == 0) code = curl_easy_setopt(call->easy, CURLOPT_NOBODY, 1L);
  if (sends) {
    code = code ? code : curl_easy_setopt(call->easy, CURLOPT_UPLOAD, 1L);
    code = code ? code : curl_easy_setopt(call->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)(request->body_bytes == UINT64_MAX ? -1 : (curl_off_t)request->body_bytes));
    code = code ? code : curl_easy_setopt(call->easy, CURLOPT_READFUNCTION, on_send);
    code = code ? code : curl_easy_setopt(call->easy, CURLOPT_READDATA, call);
    code = code ? code : curl_easy_setopt(call->easy, CURLOPT_SEEKFUNCTION, on_seek);
    code = code ? code : curl_easy_setopt(call->easy, CURLOPT_SEEKDATA, call);
    code = code ? code : curl_easy_setopt(call->easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BUFFER_BYTES);
  }
  return code ? code : curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, method);
}

static CURLcode set_all(ghee_http_call *call, const ghee_http_options *options) {
  CURL *easy = call->easy;
  const struct { CURLoption option; long value; } numbers[] = {
      {CURLOPT_NOSIGNAL, 1}, {CURLOPT_FOLLOWLOCATION, 0}, {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1}, {CURLOPT_TCP_KEEPALIVE, 1},
      {CURLOPT_BUFFERSIZE, RECEIVE_BUFFER_BYTES}, {CURLOPT_CONNECTTIMEOUT_MS, options->connect_timeout_ms},
      {CURLOPT_FRESH_CONNECT, call->request.once}, {CURLOPT_LOW_SPEED_LIMIT, 1}, {CURLOPT_LOW_SPEED_TIME, options->stall_s}, {CURLOPT_PATH_AS_IS, 1}};
  CURLcode code = set_method(call);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !code; i++) code = curl_easy_setopt(easy, numbers[i].option, numbers[i].value);
  if (call->request.negotiate) {
    code = code ? code : curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_NEGOTIATE);
    code = code ? code : curl_easy_setopt(easy, CURLOPT_USERPWD, ":");
  }
  code = code ? code : curl_easy_setopt(easy, CURLOPT_URL, call->request.url);
  code = code ? code : curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  code = code ? code : curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
  code = code ? code : curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
  code = code ? code : curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->reason);
  code = code ? code : curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  code = code ? code : curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
  code = code ? code : curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  code = code ? code : curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
  return code || !options->ca_file ? code : curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file);
}

ghee_status ghee_http_call_init(ghee_http_call *call, const ghee_http_options *options, ghee_error *err) {
  bool room = (call->easy = curl_easy_init()) && add_header(call, "Expect:");
  for (size_t i = 0; i < call->request.n_headers && room; i++) room = add_header(call, call->request.headers[i]);
  if (!room) return ghee_error_no_memory(err, "starting an HTTP request");
  CURLcode code = set_all(call, options);
  if (code == CURLE_OUT_OF_MEMORY) return ghee_error_no_memory(err, "starting an HTTP request");
  return code ? ghee_error_set(err, GHEE_INTERNAL, "cannot set up %s %s: %s", call->request.method, call->request.url, curl_easy_strerror(code)) : GHEE_OK;
}

void ghee_http_call_fini(ghee_http_call *call) {
  if (call->easy) curl_easy_cleanup(call->easy);
  curl_slist_free_all(call->headers);
  ghee_http_response_fini(&call->response);
}

bool ghee_http_call_begin(ghee_http_call *call, uint64_t now_ms) {
  ghee_buffer_clear(&call->response.headers);
  ghee_buffer_clear(&call->response.body);
  call->response.status = 0;
  call->response.tries++;
  call->received_bytes = 0;
  call->sent_bytes = 0;
  call->failed = GHEE_OK;
  call->reason[0] = 0;
  curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, (long)(call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 1));
  if (!call->request.push || call->response.tries == 1) return true;
  call->status = call->request.push(call->request.user, NULL, 0, &call->err);
  return call->status == GHEE_OK;
}

/* ---- judgement ---- */

static void name_request(const ghee_http_request *request, ghee_buffer *out) {
  ghee_url url = {0};
  if (ghee_url_parse(request->url, &url, NULL) == GHEE_OK) ghee_buffer_printf(out, "%s %s%s", request->method, url.authority, url.path);
  else ghee_buffer_printf(out, "%s %.*s", request->method, (int)strcspn(request->url, "?"), request->url);
  ghee_url_fini(&url);
}

ghee_status ghee_http_refused(const ghee_http_request *request, const ghee_http_response *response, ghee_status status, const char *what, const char *said,
                              const char *more, ghee_error *err) {
  ghee_buffer text = {0};
  name_request(request, &text);
  bool some = said && *said;
  ghee_error_set(err, status, response->tries > 1 ? "%s: %s answered %d%s%s%s after %u tries%s" : "%s: %s answered %d%s%s%s%.0u%s", what, ghee_buffer_text(&text),
                 response->status, some ? " (" : "", some ? said : "", some ? ")" : "", response->tries > 1 ? response->tries : 0, more ? more : "");
  ghee_buffer_fini(&text);
  return status;
}

static ghee_status kind_of(const ghee_http_call *call, CURLcode result) {
  switch (result) {
    case CURLE_OUT_OF_MEMORY: return GHEE_NO_MEMORY;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_SSL_CACERT_BADFILE: return GHEE_INVALID;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR: return GHEE_DENIED;
    default: return call->failed ? call->failed : GHEE_IO;
  }
}

static bool no_connection(CURLcode result) {
  return result == CURLE_COULDNT_CONNECT || result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_COULDNT_RESOLVE_PROXY || result == CURLE_SSL_CONNECT_ERROR;
}

/* What no other try mends. libcurl has one code for all that goes wrong in a handshake, a server that is on its way down among it: the words
 * of the TLS library tell them apart. */
static bool hopeless_handshake(const ghee_http_call *call, CURLcode result) {
  static const char *const words[] = {"wrong version number", "packet length too long", "unexpected TLS packet", "http request", "unsupported protocol", "protocol version",
                                      "no protocols available", "handshake failure", "no shared cipher", "certificate required", "bad certificate", "unknown ca"};
  bool found = false;
  for (size_t i = 0; i < sizeof words / sizeof *words && result == CURLE_SSL_CONNECT_ERROR && !found; i++) found = strcasestr(call->reason, words[i]) != NULL;
  return found;
}

static const char *advice_on(CURLcode result) {
  switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST: return "; is the name of the host right?";
    case CURLE_COULDNT_RESOLVE_PROXY: return "; is http_proxy or https_proxy right?";
    case CURLE_COULDNT_CONNECT: return "; is the server up, and the port right?";
    case CURLE_OPERATION_TIMEDOUT: return "; the server takes the connection and says nothing: look at it";
    case CURLE_SSL_CONNECT_ERROR: return "; does the server speak TLS at that port?";
    case CURLE_SSL_CACERT_BADFILE: return "; it has to be a PEM file with the authorities that are trusted";
    case CURLE_PEER_FAILED_VERIFICATION: case CURLE_SSL_ISSUER_ERROR: return "; name the file of the authority that signed it as the option `ca`; for s3: AWS_CA_BUNDLE does as well";
    default: return "";
  }
}

static void describe(ghee_http_call *call, CURLcode result, uint64_t now_ms) {
  ghee_buffer text = {0};
  name_request(&call->request, &text);
  const char *name = ghee_buffer_text(&text);
  unsigned tries = call->response.tries;
  const char *plural = tries == 1 ? "y" : "ies";
  if (result == CURLE_OK)
    ghee_error_set(&call->err, call->status, "%s: the answer ended after %zu of %zu bytes, in %u tr%s", name, call->received_bytes, call->request.into_bytes, tries, plural);
  else
    ghee_error_set(&call->err, call->status, "%s failed: %s%s, after %u tr%s%s", name, call->reason[0] ? call->reason : curl_easy_strerror(result),
                   result == CURLE_OPERATION_TIMEDOUT && now_ms >= call->deadline_ms ? " (the deadline of the request)" : "", tries, plural, advice_on(result));
  ghee_buffer_fini(&text);
}

/* A request that goes on failing is no secret. */
static void say_still_trying(ghee_http_call *call, CURLcode result, uint64_t now_ms) {
  if (call->response.tries != TRIES_TO_SAY) return;
  if (result == CURLE_OK && call->response.status >= 300) {
    ghee_buffer text = {0};
    name_request(&call->request, &text);
    ghee_log(GHEE_LOG_WARN, "%s: the server answers %d; still trying", ghee_buffer_text(&text), call->response.status);
    ghee_buffer_fini(&text);
  } else {
    describe(call, result, now_ms);
    ghee_log(GHEE_LOG_WARN, "%s; still trying", call->err.message);
  }
}

static bool worth_another(const ghee_http_call *call, CURLcode result, bool short_body, const ghee_http_options *options) {
  unsigned most = result == CURLE_COULDNT_RESOLVE_HOST && options->tries > TRIES_TO_RESOLVE ? TRIES_TO_RESOLVE : options->tries;
  if (call->response.tries >= most || call->failed || call->pulled || hopeless_handshake(call, result)) return false;
  int status = call->response.status;
  if (result == CURLE_OK && !short_body) return ghee_retry_status(status) && (!call->request.once || status == 429 || status == 503);
  if (call->request.once) return no_connection(result);
  ghee_status kind = kind_of(call, result);
  return kind == GHEE_IO;
}

bool ghee_http_call_judge(ghee_http_call *call, CURLcode result, const ghee_http_options *options, uint64_t now_ms, uint64_t jitter_ms, uint64_t *wait_ms) {
  long status = 0;
  char after[128];
  curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
  call->response.status = (int)status;
  bool good = status >= 200 && status < 300;
  bool short_body = result == CURLE_OK && good && call->request.into && call->received_bytes < call->request.into_bytes;
  *wait_ms = jitter_ms;
  if (result == CURLE_OK && ghee_http_header(&call->response, "retry-after", after, sizeof after)) {
    uint64_t asked = ghee_retry_after_ms(after, ghee_clock_wall_ms() / 1000);
    if (asked > *wait_ms) *wait_ms = asked;
  }
  bool in_time = call->deadline_ms > now_ms && *wait_ms < call->deadline_ms - now_ms;
  if (in_time && worth_another(call, result, short_body, options)) {
    say_still_trying(call, result, now_ms);
    return true;
  }
  call->status = call->failed ? call->failed : short_body ? GHEE_IO : result != CURLE_OK ? kind_of(call, result) : GHEE_OK;
  if (call->response.headers.failed) call->status = call->failed = ghee_error_no_memory(&call->err, "receiving an HTTP answer");
  if (call->status != GHEE_OK && !call->failed) describe(call, result, now_ms);
  return false;
}
