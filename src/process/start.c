/* SPDX-License-Identifier: Apache-2.0
 * Starting and collecting children. The child is made by vfork, so that a large process pays nothing for its size; until exec
 * it only makes system calls. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "process/process.h"

extern char **environ;

typedef GHEE_ARRAY(char *) texts;

static bool same_name(const char *a, const char *b) {
  size_t n = strcspn(a, "=");
  return strncmp(a, b, n) == 0 && b[n] == '=';
}

/* environ with `more` in place of what has the same name. The texts are borrowed. */
static bool merge_env(const char *const *more, texts *out) {
  for (char **at = environ; *at; at++) {
    bool replaced = false;
    for (const char *const *m = more; m && *m && !replaced; m++) replaced = same_name(*m, *at);
    if (!replaced && !ghee_array_push(out, *at)) return false;
  }
  for (const char *const *m = more; m && *m; m++)
    if (!ghee_array_push(out, (char *)*m)) return false;
  return ghee_array_push(out, NULL);
}

/* As execvp does; a path with a slash is taken as it is. */
static ghee_status find_program(const char *name, char **out, ghee_error *err) {
  const char *path = strchr(name, '/') ? "" : getenv("PATH");
  if (!path) path = "/usr/bin:/bin";
  do {
    size_t n = strcspn(path, ":");
    char *full = n ? ghee_asprintf("%.*s/%s", (int)n, path, name) : ghee_strdup(name);
    if (!full) return ghee_error_no_memory(err, "starting a process");
    if (access(full, X_OK) == 0) {
      *out = full;
      return GHEE_OK;
    }
    ghee_free(full);
    path += n + (path[n] == ':');
  } while (*path);
  return ghee_error_set(err, GHEE_NOT_FOUND, "there is no program %s", name);
}

typedef struct child_plan {
  const char *program;
  char *const *argv, *const *env;
  const ghee_process_options *options;
  int log_fd;
  pid_t parent;
  int failed_errno;          /* written by the child, whose memory is ours until exec */
} child_plan;

static int compare_ints(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/* Closes everything but stdio and `keep` (sorted). */
static void close_others(const int *keep, size_t n) {
  unsigned from = 3;
  for (size_t i = 0; i < n; i++) {
    if (keep[i] < 3) continue;
    if ((unsigned)keep[i] > from) syscall(SYS_close_range, from, (unsigned)keep[i] - 1, 0);
    fcntl(keep[i], F_SETFD, 0);
    from = (unsigned)keep[i] + 1;
  }
  syscall(SYS_close_range, from, ~0u, 0);
}

static void reset_signals(void) {
  struct sigaction standard = {.sa_handler = SIG_DFL};
  for (int number = 1; number < NSIG; number++)
    if (number != SIGKILL && number != SIGSTOP) sigaction(number, &standard, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void become(child_plan *plan) {
  const ghee_process_options *options = plan->options;
  reset_signals();
  if (options->die_with_parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != plan->parent) _exit(1);
  }
  if (options->new_session) setsid();
  if (plan->log_fd >= 0) {
    dup2(plan->log_fd, STDOUT_FILENO);
    dup2(plan->log_fd, STDERR_FILENO);
  }
  if (options->folder && chdir(options->folder) != 0) {
    plan->failed_errno = errno;
    _exit(127);
  }
  close_others(options->keep_fds, options->n_keep_fds);
  execve(plan->program, plan->argv, plan->env);
  plan->failed_errno = errno;
  _exit(127);
}

/* vfork shares our memory with the child until it execs: signals are held off so that no handler runs there. */
static pid_t spawn(child_plan *volatile plan) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t pid = vfork();
  if (pid == 0) become(plan);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return pid;
}

static ghee_status started(child_plan *plan, pid_t pid, ghee_process_id *out, int *out_pidfd, ghee_error *err) {
  if (pid < 0) return ghee_error_set_errno(err, errno, "cannot start %s", plan->program);
  if (plan->failed_errno) {
    waitpid(pid, NULL, 0);
    return ghee_error_set_errno(err, plan->failed_errno, "cannot start %s", plan->program);
  }
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) {
    ghee_status status = ghee_error_set_errno(err, errno, "cannot watch %s", plan->program);
    kill(pid, SIGKILL); /* our child, not reaped: the number is still its own */
    waitpid(pid, NULL, 0);
    return status;
  }
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  if (ghee_process_identify(pid, out, err) != GHEE_OK) *out = (ghee_process_id){.pid = pid};
  *out_pidfd = fd;
  return GHEE_OK;
}

ghee_status ghee_process_start(const ghee_process_options *options, ghee_process_id *out, int *out_pidfd, ghee_error *err) {
  child_plan plan = {.argv = (char *const *)options->argv, .options = options, .log_fd = -1, .parent = getpid()};
  texts env = {0};
  int *keep = ghee_alloc((options->n_keep_fds + 1) * sizeof *keep);
  ghee_process_options sorted = *options;
  char *program = NULL;
  ghee_status status = keep && merge_env(options->env, &env) ? find_program(options->argv[0], &program, err) : ghee_error_no_memory(err, "starting a process");
  if (status == GHEE_OK && options->log_path) {
    plan.log_fd = open(options->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (plan.log_fd < 0) status = ghee_error_set_errno(err, errno, "cannot open log %s", options->log_path);
  }
  if (status == GHEE_OK) {
    if (options->n_keep_fds) memcpy(keep, options->keep_fds, options->n_keep_fds * sizeof *keep);
    qsort(keep, options->n_keep_fds, sizeof *keep, compare_ints);
    sorted.keep_fds = keep;
    plan.options = &sorted;
    plan.program = program;
    plan.env = env.items;
    status = started(&plan, spawn(&plan), out, out_pidfd, err);
  }
  if (plan.log_fd >= 0) close(plan.log_fd);
  ghee_array_fini(&env);
  ghee_free(keep);
  ghee_free(program);
  return status;
}

ghee_status ghee_process_reap(pid_t pid, int *status, ghee_error *err) {
  pid_t got = waitpid(pid, status, WNOHANG);
  if (got == pid) return GHEE_OK;
  return got == 0 ? GHEE_AGAIN : ghee_error_set_errno(err, errno, "cannot collect process %d", (int)pid);
}
