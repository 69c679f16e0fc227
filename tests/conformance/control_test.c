/* SPDX-License-Identifier: Apache-2.0
 * What the control socket promises: order, sizes up to the limit, who comes in, an end that is seen at once, and a server that no client can
 * hold up. The server lives in this thread, clients too, but for those that die, which are children. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "transport/control/control.h"

enum { MANY = 200, MOMENT_MS = 50 };

static char folder[64], path[80];
static uint8_t secret[GHEE_CONTROL_SECRET];
static ghee_control_server *server;

static int begin(void **state) {
  (void)state;
  strcpy(folder, "/tmp/ghee-control-XXXXXX");
  if (!mkdtemp(folder)) return -1;
  snprintf(path, sizeof path, "%s/control.sock", folder);
  for (size_t i = 0; i < sizeof secret; i++) secret[i] = (uint8_t)(i * 37 + 1);
  return 0;
}

static int end(void **state) {
  (void)state;
  ghee_control_server_close(server);
  server = NULL;
  return rmdir(folder); /* the socket is gone */
}

static void serve(void) {
  ghee_error err;
  if (ghee_control_server_open(path, secret, &server, &err) != GHEE_OK) fail_msg("%s", err.message);
}

/* Waits for the next event, at most `timeout_ms`. */
static bool next(ghee_control_event *out, int timeout_ms) {
  for (;;) {
    ghee_status status = ghee_control_server_next(server, out, NULL);
    if (status == GHEE_OK) return true;
    assert_int_equal(status, GHEE_AGAIN);
    struct pollfd fd = {.fd = ghee_control_server_fd(server), .events = POLLIN};
    if (poll(&fd, 1, timeout_ms) == 0) return false;
  }
}

static uint64_t expect(int what) {
  ghee_control_event event;
  assert_true(next(&event, -1));
  assert_int_equal(event.what, what);
  return event.peer;
}

static void nothing_happens(void) {
  ghee_control_event event;
  assert_false(next(&event, MOMENT_MS));
}

static ghee_control_client *join(void) {
  ghee_control_client *client;
  ghee_error err;
  if (ghee_control_client_open(path, secret, &client, &err) != GHEE_OK) fail_msg("%s", err.message);
  return client;
}

static ghee_status receive(ghee_control_client *client, const void **data, size_t *size) {
  ghee_status status;
  while ((status = ghee_control_client_receive(client, data, size, NULL)) == GHEE_AGAIN) {
    struct pollfd fd = {.fd = ghee_control_client_fd(client), .events = POLLIN};
    assert_true(poll(&fd, 1, -1) > 0);
  }
  return status;
}

static uint8_t byte_of(size_t number, size_t at) { return (uint8_t)(number * 31 + at * 7 + (at >> 8)); }

static void fill(uint8_t *data, size_t size, size_t number) {
  for (size_t i = 0; i < size; i++) data[i] = byte_of(number, i);
}

static void check(const void *data, size_t size, size_t number) {
  const uint8_t *bytes = data;
  for (size_t i = 0; i < size; i++)
    if (bytes[i] != byte_of(number, i)) fail_msg("message %zu is wrong at byte %zu", number, i);
}

/* ---- both ways, whole and in order ---- */

static const size_t sizes[] = {1, 2, 31, 32, 33, 4096, 4097, 60000, GHEE_CONTROL_MAX - 1, GHEE_CONTROL_MAX};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

static void *send_all(void *user) {
  static uint8_t data[GHEE_CONTROL_MAX];
  for (size_t i = 0; i < MANY; i++) {
    fill(data, sizes[i % N_SIZES], i);
    if (ghee_control_client_send(user, data, sizes[i % N_SIZES], NULL) != GHEE_OK) return user;
  }
  return NULL;
}

static void test_to_the_server(void **state) {
  (void)state;
  pthread_t thread;
  void *failed;
  serve();
  ghee_control_client *client = join();
  assert_int_equal(pthread_create(&thread, NULL, send_all, client), 0); /* it waits while the socket is full */
  uint64_t peer = expect(GHEE_CONTROL_OPENED);
  for (size_t i = 0; i < MANY; i++) {
    ghee_control_event event;
    assert_true(next(&event, -1));
    assert_int_equal(event.what, GHEE_CONTROL_MESSAGE);
    assert_int_equal(event.peer, peer);
    assert_int_equal(event.size_bytes, sizes[i % N_SIZES]);
    check(event.data, event.size_bytes, i);
  }
  pthread_join(thread, &failed);
  assert_null(failed);
  ghee_control_client_close(client);
  assert_int_equal(expect(GHEE_CONTROL_CLOSED), peer);
}

static void test_to_a_client_that_does_not_read(void **state) {
  (void)state;
  enum { ALL = 2000 };
  static uint8_t data[GHEE_CONTROL_MAX];
  const void *got;
  size_t size;
  serve();
  ghee_control_client *client = join(), *other = join();
  uint64_t peer = expect(GHEE_CONTROL_OPENED), second = expect(GHEE_CONTROL_OPENED);
  for (size_t i = 0; i < ALL; i++) {
    fill(data, sizes[i % N_SIZES], i);
    assert_int_equal(ghee_control_server_send(server, peer, data, sizes[i % N_SIZES], NULL), GHEE_OK); /* never waits */
  }
  assert_int_equal(ghee_control_server_send(server, second, "x", 1, NULL), GHEE_OK);
  assert_int_equal(receive(other, &got, &size), GHEE_OK);
  assert_int_equal(ghee_control_client_send(other, "y", 1, NULL), GHEE_OK);
  ghee_control_event event;
  assert_true(next(&event, -1));
  assert_int_equal(event.what, GHEE_CONTROL_MESSAGE);
  assert_int_equal(event.peer, second);
  for (size_t i = 0; i < ALL; i++) {
    ghee_status status;
    while ((status = ghee_control_client_receive(client, &got, &size, NULL)) == GHEE_AGAIN) assert_false(next(&event, 0)); /* it writes on */
    assert_int_equal(status, GHEE_OK);
    assert_int_equal(size, sizes[i % N_SIZES]);
    check(got, size, i);
  }
  assert_int_equal(ghee_control_client_receive(client, &got, &size, NULL), GHEE_AGAIN);
  ghee_control_client_close(client);
  ghee_control_client_close(other);
}

static void test_too_large(void **state) {
  (void)state;
  static uint8_t data[GHEE_CONTROL_MAX + 1];
  ghee_error err;
  serve();
  ghee_control_client *client = join();
  uint64_t peer = expect(GHEE_CONTROL_OPENED);
  assert_int_equal(ghee_control_client_send(client, data, sizeof data, &err), GHEE_INTERNAL);
  assert_int_equal(ghee_control_server_send(server, peer, data, sizeof data, &err), GHEE_INTERNAL);
  nothing_happens();
  ghee_control_client_close(client);
}

static void test_many(void **state) {
  (void)state;
  static ghee_control_client *clients[MANY];
  static uint64_t peers[MANY];
  const void *got;
  size_t size;
  serve();
  for (size_t i = 0; i < MANY; i++) {
    clients[i] = join();
    assert_int_equal(ghee_control_client_send(clients[i], &i, sizeof i, NULL), GHEE_OK);
  }
  for (size_t opened = 0, said = 0; said < MANY;) {
    ghee_control_event event;
    size_t number;
    assert_true(next(&event, -1));
    if (event.what == GHEE_CONTROL_OPENED) {
      assert_int_equal(event.pid, getpid());
      opened++;
      continue;
    }
    assert_int_equal(event.what, GHEE_CONTROL_MESSAGE);
    assert_true(said++ < opened);
    memcpy(&number, event.data, sizeof number);
    peers[number] = event.peer;
  }
  for (size_t i = 0; i < MANY; i++) assert_int_equal(ghee_control_server_send(server, peers[i], &i, sizeof i, NULL), GHEE_OK);
  for (size_t i = 0; i < MANY; i++) {
    assert_int_equal(receive(clients[i], &got, &size), GHEE_OK);
    assert_int_equal(size, sizeof i);
    assert_memory_equal(got, &i, sizeof i);
  }
  for (size_t i = 0; i < MANY; i += 2) ghee_control_client_close(clients[i]);
  for (size_t i = 0; i < MANY; i += 2) (void)expect(GHEE_CONTROL_CLOSED);
  for (size_t i = 0; i < MANY; i++) assert_int_equal(ghee_control_server_send(server, peers[i], "x", 1, NULL), i % 2 ? GHEE_OK : GHEE_CLOSED);
  for (size_t i = 1; i < MANY; i += 2) ghee_control_client_close(clients[i]);
}

/* ---- who comes in ---- */

static int raw(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
  return fd;
}

/* The server has closed, and nobody was told. */
static void is_cut_off(int fd) {
  char byte;
  nothing_happens();
  assert_true(recv(fd, &byte, 1, 0) <= 0);
  close(fd);
}

static void test_wrong_secret(void **state) {
  (void)state;
  uint8_t wrong[GHEE_CONTROL_SECRET];
  ghee_control_client *client;
  const void *got;
  size_t size;
  serve();
  memcpy(wrong, secret, sizeof wrong);
  wrong[sizeof wrong - 1] ^= 1;
  assert_int_equal(ghee_control_client_open(path, wrong, &client, NULL), GHEE_OK); /* it learns of it from the server */
  (void)ghee_control_client_send(client, "x", 1, NULL);
  nothing_happens();
  assert_int_equal(receive(client, &got, &size), GHEE_CLOSED);
  ghee_control_client_close(client);
  int fd = raw();
  assert_int_equal(send(fd, secret, sizeof secret - 1, 0), sizeof secret - 1);
  is_cut_off(fd);
  fd = raw();
  uint8_t longer[GHEE_CONTROL_SECRET + 1];
  memcpy(longer, secret, sizeof secret);
  longer[sizeof secret] = 0;
  assert_int_equal(send(fd, longer, sizeof longer, 0), sizeof longer);
  is_cut_off(fd);
}

static void test_silent_stranger(void **state) {
  (void)state;
  serve();
  int fd = raw();
  ghee_control_client *client = join();
  uint64_t peer = expect(GHEE_CONTROL_OPENED);
  close(fd);
  nothing_happens();
  assert_int_equal(ghee_control_server_send(server, peer, "x", 1, NULL), GHEE_OK);
  ghee_control_client_close(client);
}

static void test_another_user(void **state) {
  (void)state;
  enum { NOBODY = 65534 };
  if (geteuid() != 0) skip(); /* only root can be somebody else */
  serve();
  assert_int_equal(chmod(folder, 0755), 0);
  assert_int_equal(chmod(path, 0777), 0);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    ghee_control_client *client;
    const void *got;
    size_t size;
    if (setuid(NOBODY) != 0 || ghee_control_client_open(path, secret, &client, NULL) != GHEE_OK) _exit(0); /* cut off already */
    _exit(receive(client, &got, &size) == GHEE_CLOSED ? 0 : 1);
  }
  ghee_control_event event;
  int status;
  while (waitpid(pid, &status, WNOHANG) == 0) assert_false(next(&event, MOMENT_MS));
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  nothing_happens();
}

/* ---- ends ---- */

static void test_nobody_listens(void **state) {
  (void)state;
  ghee_control_client *client;
  ghee_error err;
  assert_int_equal(ghee_control_client_open(path, secret, &client, &err), GHEE_NOT_FOUND);
  assert_non_null(strstr(err.message, path));
  serve();
  client = join();
  expect(GHEE_CONTROL_OPENED);
  ghee_control_server_close(server);
  server = NULL;
  const void *got;
  size_t size;
  assert_int_equal(receive(client, &got, &size), GHEE_CLOSED);
  assert_int_equal(ghee_control_client_send(client, "x", 1, NULL), GHEE_CLOSED);
  ghee_control_client_close(client);
}

static void test_an_old_socket_is_replaced(void **state) {
  (void)state;
  serve();
  ghee_control_server *old = server;
  serve();
  ghee_control_client *client = join();
  expect(GHEE_CONTROL_OPENED);
  ghee_control_client_close(client);
  expect(GHEE_CONTROL_CLOSED);
  ghee_control_server *kept = server;
  server = old;
  nothing_happens();
  server = kept;
  /* The old one's close takes the path away: a coordinator that is replaced is dead. */
  ghee_control_server_close(old);
}

static void test_death(void **state) {
  (void)state;
  serve();
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    ghee_control_client *client;
    if (ghee_control_client_open(path, secret, &client, NULL) != GHEE_OK) _exit(1);
    (void)ghee_control_client_send(client, "last", 4, NULL);
    for (;;) pause();
  }
  ghee_control_event event;
  assert_true(next(&event, -1));
  assert_int_equal(event.what, GHEE_CONTROL_OPENED);
  assert_int_equal(event.pid, pid);
  uint64_t peer = event.peer;
  kill(pid, SIGKILL);
  assert_true(next(&event, -1));
  if (event.what == GHEE_CONTROL_MESSAGE) {
    assert_int_equal(event.size_bytes, 4);
    assert_true(next(&event, -1));
  }
  assert_int_equal(event.what, GHEE_CONTROL_CLOSED);
  assert_int_equal(event.peer, peer);
  assert_int_equal(event.pid, pid);
  assert_int_equal(waitpid(pid, NULL, 0), pid);
  assert_int_equal(ghee_control_server_send(server, peer, "x", 1, NULL), GHEE_CLOSED);
}

static void test_what_was_said_before_the_end_arrives(void **state) {
  (void)state;
  serve();
  ghee_control_client *client = join();
  for (size_t i = 0; i < 10; i++) assert_int_equal(ghee_control_client_send(client, &i, sizeof i, NULL), GHEE_OK);
  ghee_control_client_close(client);
  uint64_t peer = expect(GHEE_CONTROL_OPENED);
  for (size_t i = 0; i < 10; i++) {
    ghee_control_event event;
    assert_true(next(&event, -1));
    assert_int_equal(event.what, GHEE_CONTROL_MESSAGE);
    assert_memory_equal(event.data, &i, sizeof i);
  }
  assert_int_equal(expect(GHEE_CONTROL_CLOSED), peer);
}

static void test_drop(void **state) {
  (void)state;
  const void *got;
  size_t size;
  serve();
  ghee_control_client *client = join();
  uint64_t peer = expect(GHEE_CONTROL_OPENED);
  ghee_control_server_drop(server, peer);
  ghee_control_server_drop(server, peer);
  assert_int_equal(receive(client, &got, &size), GHEE_CLOSED);
  nothing_happens();
  assert_int_equal(ghee_control_server_send(server, peer, "x", 1, NULL), GHEE_CLOSED);
  ghee_control_client_close(client);
  client = join();
  assert_true(expect(GHEE_CONTROL_OPENED) != peer); /* numbers are never used again */
  ghee_control_client_close(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(to_the_server), TEST(to_a_client_that_does_not_read), TEST(too_large), TEST(many), TEST(wrong_secret), TEST(silent_stranger),
      TEST(another_user), TEST(nobody_listens), TEST(an_old_socket_is_replaced), TEST(death), TEST(what_was_said_before_the_end_arrives), TEST(drop)};
  return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
