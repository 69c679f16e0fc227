/* SPDX-License-Identifier: Apache-2.0
 * The socket pair of client and coordinator. */
#include "runtime/job/wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

bool ghee_wire_send(int fd, ghee_wire_kind kind, const void *data, size_t size) {
  uint8_t what = (uint8_t)kind;
  if (size > GHEE_WIRE_MAX - 1) size = GHEE_WIRE_MAX - 1;
  struct iovec parts[] = {{.iov_base = &what, .iov_len = 1}, {.iov_base = (void *)data, .iov_len = size}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = size ? 2 : 1};
  ssize_t n;
  do n = sendmsg(fd, &message, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  return n > 0;
}

ghee_status ghee_wire_receive(int fd, uint8_t room[GHEE_WIRE_MAX], ghee_wire_kind *kind, const void **data, size_t *size) {
  ssize_t n;
  do n = recv(fd, room, GHEE_WIRE_MAX, MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN) return GHEE_AGAIN;
  if (n <= 0) return GHEE_CLOSED;
  *kind = (ghee_wire_kind)room[0];
  *data = room + 1;
  *size = (size_t)n - 1;
  return GHEE_OK;
}
