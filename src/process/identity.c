/* SPDX-License-Identifier: Apache-2.0
 * Who a process is, beyond its number. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/hash.h"
#include "process/process.h"

/* A small file of /proc as text; its length, -1 on failure. */
static ssize_t read_text(const char *path, char *into, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t n = read(fd, into, size - 1);
  int failure = errno;
  close(fd);
  errno = failure;
  if (n >= 0) into[n] = 0;
  return n;
}

static uint64_t boot(void) {
  char id[64];
  ssize_t n = read_text("/proc/sys/kernel/random/boot_id", id, sizeof id);
  return n > 0 ? ghee_hash(id, (size_t)n, 0) : 0;
}

ghee_status ghee_process_identify(pid_t pid, ghee_process_id *out, ghee_error *err) {
  char path[64], stat[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  if (read_text(path, stat, sizeof stat) < 0) return ghee_error_set(err, GHEE_NOT_FOUND, "there is no process %d", (int)pid);
  char *at = strrchr(stat, ')'); /* the name may hold anything */
  unsigned long long started = 0;
  /* Behind the name come fields 3, 4, …; the start time is field 22. */
  for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
  if (!at || sscanf(at, "%llu", &started) != 1) return ghee_error_set(err, GHEE_INTERNAL, "%s cannot be read", path);
  *out = (ghee_process_id){.pid = pid, .born = ghee_hash_mix(started ^ boot())};
  return GHEE_OK;
}

ghee_status ghee_process_self(ghee_process_id *out, ghee_error *err) { return ghee_process_identify(getpid(), out, err); }

ghee_status ghee_process_open(const ghee_process_id *id, int *out_fd, ghee_error *err) {
  int fd = (int)syscall(SYS_pidfd_open, (pid_t)id->pid, 0);
  if (fd < 0) return errno == ESRCH ? ghee_error_set(err, GHEE_NOT_FOUND, "process %lld is gone", (long long)id->pid)
                                    : ghee_error_set_errno(err, errno, "cannot watch process %lld", (long long)id->pid);
  ghee_process_id now; /* asked after the pidfd is held: then it cannot be another one's */
  if (ghee_process_identify((pid_t)id->pid, &now, NULL) != GHEE_OK || now.born != id->born) {
    close(fd);
    return ghee_error_set(err, GHEE_NOT_FOUND, "process %lld is gone", (long long)id->pid);
  }
  *out_fd = fd;
  return GHEE_OK;
}

bool ghee_process_alive(const ghee_process_id *id) {
  int fd;
  if (ghee_process_open(id, &fd, NULL) != GHEE_OK) return false;
  struct pollfd ended = {.fd = fd, .events = POLLIN};
  bool alive = poll(&ended, 1, 0) == 0;
  close(fd);
  return alive;
}

ghee_status ghee_process_signal(int pidfd, int number, ghee_error *err) {
  if (syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) == 0) return GHEE_OK;
  return errno == ESRCH ? ghee_error_set(err, GHEE_NOT_FOUND, "the process is gone") : ghee_error_set_errno(err, errno, "cannot signal a process");
}

uint64_t ghee_process_memory(pid_t pid) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
  FILE *file = fopen(path, "re");
  uint64_t kib = 0;
  while (file && fgets(line, sizeof line, file))
    if (strncmp(line, "Pss:", 4) == 0) kib = strtoull(line + 4, NULL, 10);
  if (file) fclose(file);
  return kib * 1024;
}

const char *ghee_process_status_text(int status, char *into, size_t size) {
  if (status == -1) snprintf(into, size, "ended (status unknown)");
  else if (WIFSIGNALED(status))
    snprintf(into, size, "was killed by signal %d (SIG%s)%s", WTERMSIG(status), sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?",
             WTERMSIG(status) == SIGKILL ? ": by hand, or for want of memory" : "");
  else snprintf(into, size, "exited with code %d", WEXITSTATUS(status));
  return into;
}

char *ghee_process_tail(const char *path, size_t lines, size_t size_bytes) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  char *text = ghee_alloc_zero(1, size_bytes + 1);
  ssize_t n = 0;
  if (fd >= 0 && text) {
    off_t end = lseek(fd, 0, SEEK_END), start = end > (off_t)size_bytes ? end - (off_t)size_bytes : 0;
    n = pread(fd, text, size_bytes, start);
  }
  if (fd >= 0) close(fd);
  if (!text) return NULL;
  size_t length = n > 0 ? (size_t)n : 0;
  for (size_t i = 0; i < length; i++)
    if (!text[i]) text[i] = '?';
  while (length > 0 && text[length - 1] == '\n') length--;
  text[length] = 0;
  size_t from = length;
  while (from > 0 && lines > 0 && (text[from - 1] != '\n' || --lines > 0)) from--;
  memmove(text, text + from, length - from + 1);
  return text;
}
