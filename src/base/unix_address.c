/* SPDX-License-Identifier: Apache-2.0
 * Long paths of sockets. */
#include "base/unix_address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

ghee_status ghee_unix_address(const char *path, struct sockaddr_un *out, socklen_t *size, int *folder_fd, ghee_error *err) {
  *out = (struct sockaddr_un){.sun_family = AF_UNIX};
  *size = sizeof *out;
  *folder_fd = -1;
  if (strlen(path) < sizeof out->sun_path) {
    memcpy(out->sun_path, path, strlen(path) + 1);
    return GHEE_OK;
  }
  const char *slash = strrchr(path, '/');
  char *folder = slash ? ghee_strndup(path, (size_t)(slash - path) + (slash == path)) : ghee_strdup(".");
  if (!folder) return ghee_error_no_memory(err, "naming a socket");
  *folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  ghee_status status = *folder_fd < 0 ? ghee_error_set_errno(err, errno, "cannot open folder %s", folder) : GHEE_OK;
  ghee_free(folder);
  if (status == GHEE_OK && (size_t)snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d/%s", *folder_fd, slash ? slash + 1 : path) >= sizeof out->sun_path)
    status = ghee_error_set(err, GHEE_LIMIT, "the name of socket %s is too long", path);
  return status;
}
