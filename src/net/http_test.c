/* SPDX-License-Identifier: Apache-2.0
 * The HTTP client against a real server (python3 -m http.server) and, for what that cannot be made to answer, a scripted one. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "net/http.h"
#include "net/retry.h"
#include "net/scripted_server.h"
#include "net/url.h"

static ghee_http *http;
static ghee_http_response response;
static ghee_error err;
static scripted_server server;

static int setup(void **state) {
  (void)state;
  static const ghee_http_options options = {.tries = 4, .stall_s = 1, .deadline_ms = 60000};
  return ghee_http_open(&options, &http, NULL);
}

static int teardown(void **state) {
  (void)state;
  ghee_http_response_fini(&response);
  ghee_http_close(http);
  return 0;
}

#define play(...) scripted_start(&server, (static_steps = (const scripted_step[]){__VA_ARGS__}), sizeof((const scripted_step[]){__VA_ARGS__}) / sizeof(scripted_step))
static const scripted_step *static_steps;

static void end_play(void) {
  scripted_stop(&server);
  scripted_free(&server);
}

static ghee_status get(const char *url, void *into, size_t into_bytes) {
  ghee_http_request request = {.method = "GET", .url = url, .into = into, .into_bytes = into_bytes};
  ghee_http_response_fini(&response);
  err.message[0] = 0;
  return ghee_http_do(http, &request, &response, &err);
}

#define BUSY "HTTP/1.1 503 Slow Down\r\nContent-Length: 4\r\n\r\nbusy"
#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Thing:  a b \r\n\r\nhello"

static void test_answer(void **state) {
  (void)state;
  char value[16], small[3];
  play({"HTTP/1.1 100 Continue\r\nX-Old: 1\r\n\r\n" HELLO, KEEP}, {"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nnah", KEEP});
  assert_int_equal(get(server.url, NULL, 0), GHEE_OK);
  assert_int_equal(response.status, 200);
  assert_string_equal(ghee_buffer_text(&response.body), "hello");
  assert_true(ghee_http_header(&response, "X-Thing", value, sizeof value));
  assert_string_equal(value, "a b");
  assert_true(ghee_http_header(&response, "x-thing", small, sizeof small));
  assert_string_equal(small, "a ");
  assert_false(ghee_http_header(&response, "x-old", value, sizeof value));
  assert_false(ghee_http_header(&response, "x-thin", value, sizeof value));
  char into[5] = "12345"; /* what is no 2xx does not get in */
  assert_int_equal(get(server.url, into, 5), GHEE_OK);
  assert_int_equal(response.status, 404);
  assert_memory_equal(into, "12345", 5);
  assert_string_equal(ghee_buffer_text(&response.body), "nah");
  end_play();
  assert_int_equal(server.n_connections, 1);
}

static void test_busy_server(void **state) {
  (void)state;
  char into[5];
  play({BUSY, KEEP}, {"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", CLOSE}, {"HTTP/1.1 429 Many\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", KEEP}, {HELLO, KEEP});
  uint64_t before = ghee_clock_ms();
  assert_int_equal(get(server.url, into, 5), GHEE_OK);
  assert_true(ghee_clock_ms() - before >= 1000);
  assert_memory_equal(into, "hello", 5);
  assert_int_equal(response.tries, 4);
  end_play();
  play({BUSY, KEEP}, {BUSY, KEEP}, {BUSY, KEEP}, {BUSY, KEEP});
  assert_int_equal(get(server.url, into, 5), GHEE_OK);
  assert_int_equal(response.status, 503);
  assert_int_equal(response.tries, 4);
  assert_string_equal(ghee_buffer_text(&response.body), "busy");
  ghee_http_request request = {.method = "GET", .url = "http://h:81/a?secret=1"};
  assert_int_equal(ghee_http_refused(&request, &response, GHEE_IO, "cannot read x", "busy", "; wait", &err), GHEE_IO);
  assert_string_equal(err.message, "cannot read x: GET h:81/a answered 503 (busy) after 4 tries; wait");
  response.tries = 1;
  ghee_http_refused(&request, &response, GHEE_IO, "cannot read x", NULL, NULL, &err);
  assert_string_equal(err.message, "cannot read x: GET h:81/a answered 503");
  end_play();
}

static void test_longer_than_the_deadline(void **state) {
  (void)state;
  ghee_http_request request = {.method = "GET", .deadline_ms = 5000};
  play({"HTTP/1.1 503 No\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n", KEEP}, {HELLO, KEEP});
  request.url = server.url;
  assert_int_equal(ghee_http_do(http, &request, &response, &err), GHEE_OK);
  assert_int_equal(response.status, 503);
  assert_int_equal(response.tries, 1);
  end_play();
}

static void test_lost_connections(void **state) {
  (void)state;
  char into[10];
  play({NULL, RESET}, {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel", RESET}, {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", CLOSE},
       {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhelloworld", KEEP});
  assert_int_equal(get(server.url, into, 10), GHEE_OK);
  assert_memory_equal(into, "helloworld", 10);
  assert_int_equal(response.tries, 4);
  end_play();
  /* A whole answer that is too short is tried again, one that is too long is not. */
  play({HELLO, KEEP}, {HELLO, KEEP}, {HELLO, KEEP}, {HELLO, KEEP}, {HELLO, KEEP});
  assert_int_equal(get(server.url, into, 10), GHEE_IO);
  assert_non_null(strstr(err.message, "after 5 of 10 bytes, in 4 tries"));
  assert_int_equal(get(server.url, into, 4), GHEE_CORRUPT);
  assert_non_null(strstr(err.message, "longer than the 4 bytes"));
  end_play();
}

static void test_once(void **state) {
  (void)state;
  ghee_http_request request = {.method = "POST", .once = true, .body = "x", .body_bytes = 1};
  play({BUSY, KEEP}, {"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", KEEP}, {NULL, RESET}, {HELLO, KEEP});
  request.url = server.url;
  assert_int_equal(ghee_http_do(http, &request, &response, &err), GHEE_OK);
  assert_int_equal(response.status, 500);
  assert_int_equal(response.tries, 2);
  ghee_http_response_fini(&response);
  assert_int_equal(ghee_http_do(http, &request, &response, &err), GHEE_IO);
  assert_int_equal(response.tries, 1);
  assert_non_null(strstr(err.message, "POST 127.0.0.1:"));
  end_play();
}

static void test_a_server_without_tls_is_tried_once(void **state) {
  (void)state;
  char url[sizeof server.url + 1];
  play({"HTTP/1.1 400 Bad Request\r\n\r\n", KEEP}, {"HTTP/1.1 400 Bad Request\r\n\r\n", KEEP});
  snprintf(url, sizeof url, "https%.*s", (int)(sizeof server.url - 5), server.url + strlen("http"));
  assert_int_equal(get(url, NULL, 0), GHEE_IO);
  assert_non_null(strstr(err.message, "after 1 try; does the server speak TLS at that port?"));
  end_play();
}

static void test_stall_and_deadline(void **state) {
  (void)state;
  char into[10];
  play({"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", STALL}, {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhelloworld", KEEP}, {NULL, STALL});
  assert_int_equal(get(server.url, into, 10), GHEE_OK);
  assert_memory_equal(into, "helloworld", 10);
  assert_int_equal(response.tries, 2);
  ghee_http_response_fini(&response);
  ghee_http_request request = {.method = "GET", .url = server.url, .deadline_ms = 300};
  assert_int_equal(ghee_http_do(http, &request, &response, &err), GHEE_IO);
  assert_non_null(strstr(err.message, "deadline"));
  assert_non_null(strstr(err.message, "says nothing"));
  end_play();
}

static void test_nobody_there(void **state) {
  (void)state;
  play({HELLO, KEEP});
  end_play();
  assert_int_equal(get(server.url, NULL, 0), GHEE_IO);
  assert_int_equal(response.tries, 4);
  assert_non_null(strstr(err.message, server.url + 7));
  assert_non_null(strstr(err.message, "4 tries; is the server up"));
  assert_int_equal(get("http://no-such-host.invalid/x", NULL, 0), GHEE_IO);
  assert_non_null(strstr(err.message, "no-such-host.invalid, after 4 tries; is the name"));
  assert_int_equal(get("ftp://localhost/x", NULL, 0), GHEE_INVALID);
}

static void test_redirect_is_the_callers(void **state) {
  (void)state;
  char to[64];
  play({"HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n", KEEP});
  assert_int_equal(get(server.url, NULL, 0), GHEE_OK);
  assert_int_equal(response.status, 307);
  assert_true(ghee_http_header(&response, "location", to, sizeof to));
  assert_string_equal(to, "http://127.0.0.1:1/x");
  end_play();
}

typedef struct feed {
  ghee_http_call *call;
  pthread_mutex_t mutex;
  const char *pieces[4];
  size_t at, given;
  ghee_status failure;
} feed;

/* Gives what has been fed so far, and pauses where more is to come. */
static ghee_status pull(void *user, void *into, size_t room, size_t *n, ghee_error *failed) {
  feed *of = user;
  ghee_status status = GHEE_OK;
  pthread_mutex_lock(&of->mutex);
  if (of->failure) status = ghee_error_set(failed, of->failure, "no more");
  else if (of->at == of->given) status = GHEE_AGAIN;
  else if (of->pieces[of->at]) {
    assert_true(strlen(of->pieces[of->at]) <= room);
    *n = strlen(of->pieces[of->at]);
    memcpy(into, of->pieces[of->at++], *n);
  }
  pthread_mutex_unlock(&of->mutex);
  return status;
}

static void test_pulled_body(void **state) {
  (void)state;
  feed of = {.mutex = PTHREAD_MUTEX_INITIALIZER, .pieces = {"one", "two", NULL}};
  ghee_http_request request = {.method = "PUT", .body_bytes = UINT64_MAX, .pull = pull, .user = &of};
  play({HELLO, KEEP}, {HELLO, KEEP});
  request.url = server.url;
  assert_int_equal(ghee_http_start(http, &request, &of.call, &err), GHEE_OK);
  for (int i = 0; i < 3; i++) {
    assert_false(ghee_http_done(of.call));
    pthread_mutex_lock(&of.mutex);
    of.given++;
    pthread_mutex_unlock(&of.mutex);
    ghee_http_resume(of.call);
  }
  assert_int_equal(ghee_http_wait(of.call, &response, &err), GHEE_OK);
  of = (feed){.mutex = PTHREAD_MUTEX_INITIALIZER, .failure = GHEE_USER};
  ghee_http_response_fini(&response);
  assert_int_equal(ghee_http_do(http, &request, &response, &err), GHEE_USER);
  assert_string_equal(err.message, "no more");
  scripted_stop(&server);
  assert_non_null(strcasestr(server.requests[0], "Transfer-Encoding: chunked"));
  assert_non_null(strstr(server.requests[0], "one"));
  assert_non_null(strstr(server.requests[0], "two"));
  assert_null(strcasestr(server.requests[0], "Expect:"));
  scripted_free(&server);
}

static void test_bodies_from_memory(void **state) {
  (void)state;
  ghee_http_request request = {.method = "POST", .body = "abc", .body_bytes = 3, .headers = (const char *const[]){"X-Mine: 1"}, .n_headers = 1};
  play({HELLO, KEEP}, {HELLO, KEEP}, {"HTTP/1.1 204 No\r\n\r\n", KEEP}, {"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n", KEEP});
  request.url = server.url;
  for (int i = 0; i < 4; i++) {
    static const char *const methods[] = {"POST", "PUT", "DELETE", "HEAD"};
    request.method = methods[i];
    request.body_bytes = i == 0 ? 3 : 0;
    assert_int_equal(ghee_http_do(http, &request, &response, &err), GHEE_OK);
    ghee_http_response_fini(&response);
  }
  scripted_stop(&server);
  assert_non_null(strstr(server.requests[0], "POST / HTTP/1.1\r\n"));
  assert_non_null(strstr(server.requests[0], "X-Mine: 1\r\n"));
  assert_non_null(strstr(server.requests[0], "Content-Length: 3\r\n"));
  assert_non_null(strstr(server.requests[0], "\r\n\r\nabc"));
  assert_non_null(strstr(server.requests[1], "Content-Length: 0\r\n"));
  assert_null(strcasestr(server.requests[2], "Content-Length"));
  assert_non_null(strstr(server.requests[3], "HEAD / "));
  scripted_free(&server);
}

typedef struct pushed {
  char text[64];
  size_t size;
  int restarts;
  ghee_status answer;
} pushed;

static ghee_status push(void *user, const void *data, size_t size, ghee_error *failed) {
  pushed *of = user;
  if (!data) {
    of->restarts++;
    of->size = 0;
    return GHEE_OK;
  }
  memcpy(of->text + of->size, data, size);
  of->size += size;
  return of->answer ? ghee_error_set(failed, of->answer, "enough") : GHEE_OK;
}

static void test_pushed_body(void **state) {
  (void)state;
  pushed of = {0};
  ghee_http_request request = {.method = "GET", .push = push, .user = &of};
  play({BUSY, KEEP}, {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel", RESET}, {HELLO, KEEP}, {HELLO, KEEP});
  request.url = server.url;
  assert_int_equal(ghee_http_do(http, &request, &response, &err), GHEE_OK);
  assert_memory_equal(of.text, "hello", 5);
  assert_int_equal(of.size, 5);
  assert_int_equal(of.restarts, 2);
  ghee_http_response_fini(&response);
  of.answer = GHEE_USER;
  assert_int_equal(ghee_http_do(http, &request, &response, &err), GHEE_USER);
  assert_string_equal(err.message, "enough");
  end_play();
}

static void test_cancel(void **state) {
  (void)state;
  ghee_http_call *calls[20];
  ghee_http_request request = {.method = "GET"};
  play({NULL, STALL}, {NULL, STALL}, {NULL, STALL}, {HELLO, KEEP});
  request.url = server.url;
  for (int i = 0; i < 20; i++) assert_int_equal(ghee_http_start(http, &request, &calls[i], &err), GHEE_OK);
  for (int i = 0; i < 20; i++) ghee_http_cancel(calls[i]);
  ghee_http_cancel(NULL);
  end_play();
}

static void test_answer_too_long(void **state) {
  (void)state;
  ghee_http_request request = {.method = "GET", .most_body_bytes = 4};
  play({HELLO, KEEP}, {HELLO, KEEP});
  request.url = server.url;
  assert_int_equal(ghee_http_do(http, &request, &response, &err), GHEE_LIMIT);
  ghee_http_response_fini(&response);
  request.most_body_bytes = 5;
  assert_int_equal(ghee_http_do(http, &request, &response, &err), GHEE_OK);
  end_play();
}

static void test_no_memory(void **state) {
  (void)state;
  enum { ROUNDS = 40 };
  static scripted_step steps[ROUNDS];
  for (int i = 0; i < ROUNDS; i++) steps[i] = (scripted_step){HELLO, KEEP};
  scripted_start(&server, steps, ROUNDS);
  int failed = 0;
  for (long n = 1; n < ROUNDS; n++) {
    ghee_memory_fail_at(n);
    ghee_status status = get(server.url, NULL, 0);
    bool reached = ghee_memory_count() >= n;
    ghee_memory_fail_at(0);
    if (status == GHEE_OK && !reached) break;
    if (status != GHEE_OK) assert_int_equal(status, GHEE_NO_MEMORY);
    failed += status != GHEE_OK;
  }
  assert_true(failed >= 3);
  end_play();
}

/* ---- the real server ---- */

static char root[] = "/tmp/ghee-http-XXXXXX";
static pid_t python;
static char url[128];

static int start_python(void **state) {
  (void)state;
  int out[2];
  if (!mkdtemp(root) || pipe(out) != 0) return -1;
  python = fork();
  if (python == 0) {
    dup2(out[1], 1);
    dup2(open("/dev/null", O_WRONLY), 2); /* a line for each request */
    execlp("python3", "python3", "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", root, (char *)NULL);
    _exit(127);
  }
  close(out[1]);
  FILE *said = fdopen(out[0], "r");
  int port = 0;
  if (fscanf(said, "Serving HTTP on 127.0.0.1 port %d", &port) != 1) return -1;
  snprintf(url, sizeof url, "http://127.0.0.1:%d", port);
  return 0;
}

static int stop_python(void **state) {
  (void)state;
  kill(python, SIGKILL);
  waitpid(python, NULL, 0);
  return ghee_dir_remove_all(root, NULL) == GHEE_OK ? 0 : -1;
}

static void test_real_server(void **state) {
  (void)state;
  enum { SIZE = 3 << 20, CALLS = 24 };
  char path[128], file[256], *data = malloc(SIZE), *back = malloc(SIZE);
  for (size_t i = 0; i < SIZE; i++) data[i] = (char)(i * 2654435761u >> 11);
  snprintf(path, sizeof path, "%s/a b%%", root);
  assert_int_equal(ghee_file_write_atomic(path, data, SIZE, NULL), GHEE_OK);
  snprintf(file, sizeof file, "%s/a%%20b%%25", url);
  assert_int_equal(get(file, back, SIZE), GHEE_OK);
  assert_int_equal(response.status, 200);
  assert_memory_equal(back, data, SIZE);
  ghee_http_call *calls[CALLS];
  char *parts[CALLS];
  ghee_http_request request = {.method = "GET", .url = file, .into_bytes = SIZE};
  for (int i = 0; i < CALLS; i++) {
    request.into = parts[i] = malloc(SIZE);
    assert_int_equal(ghee_http_start(http, &request, &calls[i], &err), GHEE_OK);
  }
  for (int i = 0; i < CALLS; i++) {
    ghee_http_response_fini(&response);
    assert_int_equal(ghee_http_wait(calls[i], &response, &err), GHEE_OK);
    assert_memory_equal(parts[i], data, SIZE);
    free(parts[i]);
  }
  snprintf(file, sizeof file, "%s/none", url);
  assert_int_equal(get(file, NULL, 0), GHEE_OK);
  assert_int_equal(response.status, 404);
  ghee_http_counts counts;
  ghee_http_count(http, &counts);
  assert_int_equal(counts.requests, CALLS + 2);
  assert_true(counts.received_bytes >= (uint64_t)SIZE * (CALLS + 1));
  free(data);
  free(back);
}

/* ---- texts ---- */

static void test_urls(void **state) {
  (void)state;
  static const struct { const char *text, *host, *authority, *path, *query; int port; } good[] = {
      {"http://Host", "host", "host", "/", "", 80},
      {"https://h:443/a/b?x=1&y#z", "h", "h", "/a/b", "x=1&y", 443},
      {"http://h:8080?q", "h", "h:8080", "/", "q", 8080},
      {"http://[::1]:70/", "[::1]", "[::1]:70", "/", "", 70},
  };
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    ghee_url of;
    assert_int_equal(ghee_url_parse(good[i].text, &of, &err), GHEE_OK);
    assert_string_equal(of.host, good[i].host);
    assert_string_equal(of.authority, good[i].authority);
    assert_string_equal(of.path, good[i].path);
    assert_string_equal(of.query, good[i].query);
    assert_int_equal(of.port, good[i].port);
    ghee_url_fini(&of);
  }
  static const char *const bad[] = {"", "h", "ftp://h", "http://", "http://:80", "http://h:", "http://h:0", "http://h:65536", "http://h:8x", "http://u@h", "http://[::1", "http://a b"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ghee_url of;
    if (ghee_url_parse(bad[i], &of, &err) != GHEE_INVALID) fail_msg("%s", bad[i]);
  }
  ghee_buffer text = {0};
  ghee_buffer_printf(&text, "http://h/");
  ghee_url_escape(&text, "a b/\xc3\xa4+~", true);
  ghee_url_add_query(&text, "k/", "1&2");
  ghee_url_add_query(&text, "uploads", NULL);
  assert_string_equal(ghee_buffer_text(&text), "http://h/a%20b/%C3%A4%2B~?k%2F=1%262&uploads=");
  ghee_buffer_fini(&text);
  char escaped[] = "a%20b%2Fc%c3%A4";
  assert_int_equal(ghee_url_unescape(escaped, &err), GHEE_OK);
  assert_string_equal(escaped, "a b/c\xc3\xa4");
  char broken[][8] = {"%", "%2", "%zz", "a%00"};
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) assert_int_equal(ghee_url_unescape(broken[i], &err), GHEE_INVALID);
}

static void test_waits(void **state) {
  (void)state;
  ghee_random random;
  ghee_random_init(&random, 1, 2, 3);
  uint64_t most = 0;
  for (unsigned next = 2; next < 40; next++)
    for (int i = 0; i < 200; i++) {
      uint64_t wait = ghee_retry_wait_ms(&random, next);
      assert_true(wait >= 1 && wait <= 10000 && (next > 7 || wait <= 100u << (next - 1)));
      if (wait > most) most = wait;
    }
  assert_true(most > 9000);
  assert_int_equal(ghee_retry_after_ms("7", 0), 7000);
  assert_int_equal(ghee_retry_after_ms("0", 0), 0);
  assert_int_equal(ghee_retry_after_ms("-7", 0), 0);
  assert_int_equal(ghee_retry_after_ms("soon", 0), 0);
  assert_int_equal(ghee_retry_after_ms("Thu, 01 Jan 1970 00:01:40 GMT", 90), 10000);
  assert_int_equal(ghee_retry_after_ms("Thu, 01 Jan 1970 00:01:40 GMT", 200), 0);
  static const int passing[] = {429, 500, 502, 503, 504}, lasting[] = {200, 206, 307, 400, 403, 404, 412, 501};
  for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) assert_true(ghee_retry_status(passing[i]));
  for (size_t i = 0; i < sizeof lasting / sizeof *lasting; i++) assert_false(ghee_retry_status(lasting[i]));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_answer, setup, teardown),
      cmocka_unit_test_setup_teardown(test_busy_server, setup, teardown),
      cmocka_unit_test_setup_teardown(test_longer_than_the_deadline, setup, teardown),
      cmocka_unit_test_setup_teardown(test_lost_connections, setup, teardown),
      cmocka_unit_test_setup_teardown(test_once, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_server_without_tls_is_tried_once, setup, teardown),
      cmocka_unit_test_setup_teardown(test_stall_and_deadline, setup, teardown),
      cmocka_unit_test_setup_teardown(test_nobody_there, setup, teardown),
      cmocka_unit_test_setup_teardown(test_redirect_is_the_callers, setup, teardown),
      cmocka_unit_test_setup_teardown(test_pulled_body, setup, teardown),
      cmocka_unit_test_setup_teardown(test_bodies_from_memory, setup, teardown),
      cmocka_unit_test_setup_teardown(test_pushed_body, setup, teardown),
      cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
      cmocka_unit_test_setup_teardown(test_answer_too_long, setup, teardown),
      cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
      cmocka_unit_test_setup_teardown(test_real_server, setup, teardown),
      cmocka_unit_test(test_urls),
      cmocka_unit_test(test_waits),
  };
  return cmocka_run_group_tests(tests, start_python, stop_python);
}
