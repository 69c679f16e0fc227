/* SPDX-License-Identifier: Apache-2.0
 * The worker's side of the control socket. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/unix_address.h"
#include "transport/control/control.h"

struct ghee_control_client {
  int fd;
  uint8_t data[GHEE_CONTROL_MAX];
};

static ghee_status connect_to(int fd, const char *path, ghee_error *err) {
  struct sockaddr_un address;
  socklen_t size;
  int folder_fd;
  ghee_status status = ghee_unix_address(path, &address, &size, &folder_fd, err);
  if (status == GHEE_OK && connect(fd, (struct sockaddr *)&address, size) != 0) status = ghee_error_set_errno(err, errno, "cannot connect to %s", path);
  if (folder_fd >= 0) close(folder_fd);
  return status;
}

ghee_status ghee_control_client_open(const char *path, const uint8_t secret[GHEE_CONTROL_SECRET], ghee_control_client **out, ghee_error *err) {
  ghee_control_client *client = ghee_alloc(sizeof *client);
  if (!client) return ghee_error_no_memory(err, "connecting to the coordinator");
  client->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  ghee_status status = client->fd < 0 ? ghee_error_set_errno(err, errno, "cannot make a socket") : connect_to(client->fd, path, err);
  if (status == GHEE_OK) status = ghee_control_client_send(client, secret, GHEE_CONTROL_SECRET, err);
  if (status != GHEE_OK) {
    ghee_control_client_close(client);
    return status;
  }
  *out = client;
  return GHEE_OK;
}

void ghee_control_client_close(ghee_control_client *client) {
  if (!client) return;
  if (client->fd >= 0) close(client->fd);
  ghee_free(client);
}

int ghee_control_client_fd(const ghee_control_client *client) { return client->fd; }

ghee_status ghee_control_client_send(ghee_control_client *client, const void *data, size_t size, ghee_error *err) {
  if (size > GHEE_CONTROL_MAX) return ghee_error_set(err, GHEE_INTERNAL, "a message of %zu bytes is too large", size);
  while (send(client->fd, data, size, MSG_NOSIGNAL) < 0)
    if (errno != EINTR) return ghee_error_set_errno(err, errno, "cannot send to the coordinator");
  return GHEE_OK;
}

ghee_status ghee_control_client_receive(ghee_control_client *client, const void **data, size_t *size, ghee_error *err) {
  ssize_t n;
  do n = recv(client->fd, client->data, sizeof client->data, MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN) return GHEE_AGAIN;
  if (n <= 0) return ghee_error_set(err, GHEE_CLOSED, "the coordinator is gone");
  *data = client->data;
  *size = (size_t)n;
  return GHEE_OK;
}
