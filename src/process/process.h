/* SPDX-License-Identifier: Apache-2.0
 * Child processes: start with given descriptors and environment, watch by pidfd, kill, reap; identity of a process as pid plus
 * start time, so that a reused pid is not taken for the old one. */
#ifndef GHEE_PROCESS_PROCESS_H
#define GHEE_PROCESS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"

/** pid and the start time in clock ticks since boot (field 22 of /proc/PID/stat), and the boot's id hashed in. */
typedef struct ghee_process_id {
  int64_t pid;
  uint64_t born;
} ghee_process_id;

ghee_status ghee_process_self(ghee_process_id *out, ghee_error *err);
ghee_status ghee_process_identify(pid_t pid, ghee_process_id *out, ghee_error *err);
/** A pidfd of exactly this process; GHEE_NOT_FOUND when it is gone. Readable once it has ended. Caller closes. */
ghee_status ghee_process_open(const ghee_process_id *id, int *out_fd, ghee_error *err);
bool ghee_process_alive(const ghee_process_id *id);

typedef struct ghee_process_options {
  const char *const *argv;         /* argv[0] is looked up in PATH */
  const char *const *env;          /* added to the environment, "K=V"; NULL-terminated; NULL: none */
  const char *folder;              /* working directory; NULL: ours */
  const char *log_path;            /* stdout and stderr append here; NULL: inherited */
  const int *keep_fds;             /* stay open under their numbers */
  size_t n_keep_fds;
  bool new_session;                /* setsid: Ctrl-C of the terminal does not reach it */
  bool die_with_parent;            /* PR_SET_PDEATHSIG SIGKILL */
} ghee_process_options;

/** Starts; everything but stdio and keep_fds is closed in the child. GHEE_NOT_FOUND: no such program.
 *  `out_pidfd` gives: close().  Thread: any. */
ghee_status ghee_process_start(const ghee_process_options *options, ghee_process_id *out, int *out_pidfd, ghee_error *err);
/** Collects a child that has ended. GHEE_AGAIN: it has not. `status` as of waitpid. */
ghee_status ghee_process_reap(pid_t pid, int *status, ghee_error *err);
/** Through the pidfd, so never at another process. */
ghee_status ghee_process_signal(int pidfd, int signal, ghee_error *err);
/** "exited with code 3", "was killed by signal 11 (SIGSEGV)", "ended (status unknown)" for status -1. `into` holds the text. */
const char *ghee_process_status_text(int status, char *into, size_t size);
/** The last lines of a file, at most `lines` and `size_bytes`, for messages. New string, "" if there is nothing. */
char *ghee_process_tail(const char *path, size_t lines, size_t size_bytes);
/** Resident memory (bytes) of a process, private and shared counted by proportion; 0 if unknown. */
uint64_t ghee_process_memory(pid_t pid);
/** How many processes of our control group the kernel has killed for want of memory, in all its life; 0 if unknown. */
uint64_t ghee_process_oom_kills(void);

#endif
