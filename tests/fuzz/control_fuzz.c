/* SPDX-License-Identifier: Apache-2.0
 * The control socket against a worker that says anything: u8 kind and u8 size of each packet, then its bytes. What the server tells is
 * what was said by those who knew the secret. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buffer.h"
#include "transport/control/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t secret[GHEE_CONTROL_SECRET] = "thirty-two bytes that none knows";

static int connect_to(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) abort();
  return fd;
}

/* Every event there is; the packets of peers that were let in are told whole. */
static void drain(ghee_control_server *server, const void *last, size_t last_size, bool trusted) {
  ghee_control_event event;
  ghee_error err;
  while (ghee_control_server_next(server, &event, &err) == GHEE_OK) {
    if (event.what != GHEE_CONTROL_MESSAGE) continue;
    if (!trusted || event.size_bytes != last_size || memcmp(event.data, last, last_size) != 0) abort();
    (void)ghee_control_server_send(server, event.peer, event.data, event.size_bytes, &err);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static char path[64];
  if (!path[0]) snprintf(path, sizeof path, "/tmp/ghee-control-fuzz-%d", (int)getpid());
  ghee_control_server *server;
  ghee_error err;
  if (ghee_control_server_open(path, secret, &server, &err) != GHEE_OK) abort();
  ghee_reader reader = ghee_reader_of(data, size);
  int fd = connect_to(path);
  bool first = true, trusted = false;
  while (reader.at < reader.end && fd >= 0) {
    uint8_t kind = ghee_reader_u8(&reader) % 4;
    size_t n = ghee_reader_u8(&reader);
    if (n > (size_t)(reader.end - reader.at)) n = (size_t)(reader.end - reader.at);
    const void *packet = kind == 0 ? (const void *)secret : reader.at;
    if (kind == 0) n = sizeof secret;
    if (kind == 3) { /* leaves and comes back */
      close(fd);
      drain(server, NULL, 0, false);
      fd = connect_to(path);
      first = true, trusted = false;
      continue;
    }
    if (n == 0 || send(fd, packet, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) break;
    if (first) trusted = n == sizeof secret && memcmp(packet, secret, n) == 0;
    drain(server, packet, n, trusted && !first);
    first = false;
    if (kind != 0) reader.at += n;
  }
  close(fd);
  drain(server, NULL, 0, false);
  ghee_control_server_close(server);
  return access(path, F_OK) == 0 ? (abort(), 0) : 0;
}
