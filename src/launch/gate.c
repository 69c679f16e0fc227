/* SPDX-License-Identifier: Apache-2.0
 * The gate of started processes. */
#include "launch/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

ghee_status ghee_launch_gate_init(ghee_launch_gate *gate, ghee_error *err) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ghee_error_set_errno(err, errno, "cannot make the gate of a worker");
  gate->child_fd = ends[0];
  gate->own_fd = ends[1];
  snprintf(gate->env, sizeof gate->env, GHEE_LAUNCH_GATE "=%d", gate->child_fd);
  return GHEE_OK;
}

void ghee_launch_gate_open(ghee_launch_gate *gate) {
  while (write(gate->own_fd, "", 1) < 0 && errno == EINTR) continue; /* there is room, and a reader: child_fd is open here too */
}

void ghee_launch_gate_fini(ghee_launch_gate *gate) {
  close(gate->child_fd);
  close(gate->own_fd);
}

void ghee_launch_pass_gate(void) {
  const char *number = getenv(GHEE_LAUNCH_GATE);
  if (!number) return;
  int fd = atoi(number);
  char open;
  ssize_t n;
  do n = read(fd, &open, 1);
  while (n < 0 && errno == EINTR);
  if (n != 1) _exit(GHEE_CANCELED);
  close(fd);
  unsetenv(GHEE_LAUNCH_GATE);
}
