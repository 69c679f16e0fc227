/* SPDX-License-Identifier: Apache-2.0
 * Unix socket addresses for paths of any length. */
#ifndef GHEE_BASE_UNIX_ADDRESS_H
#define GHEE_BASE_UNIX_ADDRESS_H

#include <sys/socket.h>
#include <sys/un.h>

#include "base/status.h"

/** An address for `path`. A path that does not fit goes through /proc/self/fd/N of its folder, which is opened: close *folder_fd
 *  (−1 if none) once the address has been used. */
ghee_status ghee_unix_address(const char *path, struct sockaddr_un *out, socklen_t *size, int *folder_fd, ghee_error *err);

#endif
