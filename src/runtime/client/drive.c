/* SPDX-License-Identifier: Apache-2.0
 * A coordinator from outside: started, listened to, and started again when it dies. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/client/client.h"
#include "runtime/job/wire.h"

enum { ASK_MS = 50, FRUITLESS_STARTS = 10 };

/* Folder of ghee-coordinator and ghee-worker: $GHEE_PROGRAMS, else beside this library, else ../bin of it. New string. */
static ghee_status find_programs(char **out, ghee_error *err) {
  const char *set = getenv("GHEE_PROGRAMS");
  Dl_info info;
  if (set) {
    *out = ghee_strdup(set);
    return *out ? GHEE_OK : ghee_error_no_memory(err, "finding ghee's programs");
  }
  if (!dladdr((void *)find_programs, &info) || !info.dli_fname) return ghee_error_set(err, GHEE_NOT_FOUND, "cannot find the folder of ghee's library");
  const char *slash = strrchr(info.dli_fname, '/');
  int length = slash ? (int)(slash - info.dli_fname) : 1;
  static const char *const places[] = {"", "/../bin", "/.."};
  for (size_t i = 0; i < 3; i++) {
    char *folder = ghee_asprintf("%.*s%s", length, slash ? info.dli_fname : ".", places[i]);
    char *program = folder ? ghee_path_join(folder, "ghee-coordinator") : NULL;
    if (!program) {
      ghee_free(folder);
      return ghee_error_no_memory(err, "finding ghee's programs");
    }
    bool there = access(program, X_OK) == 0;
    ghee_free(program);
    if (there) {
      *out = folder;
      return GHEE_OK;
    }
    ghee_free(folder);
  }
  return ghee_error_set(err, GHEE_NOT_FOUND, "ghee-coordinator is not beside %s; set GHEE_PROGRAMS to its folder", info.dli_fname);
}

/* ---- driving the coordinator ---- */

typedef struct drive {
  const char *folder;
  uint64_t started_ns;
  const ghee_job_hooks *hooks;
  ghee_job_progress last;
  int socket;
  int progress_fd;                 /* file `progress` of the folder, for `ghee status` */
  ghee_process_id id;
  int pidfd;
  bool finished, told;             /* the result has come; STOP was said */
  ghee_status status;
  ghee_error *err;
  double best;                     /* fraction that was reached before */
  uint32_t fruitless;              /* deaths of coordinators in a row without progress */
  bool hosted;                     /* a new coordinator could not have the workers restarted: the first death ends the job */
} drive;

static ghee_status start(drive *of, ghee_error *err) {
  char *programs, fd[16], ns[32];
  int pair[2];
  GHEE_TRY(find_programs(&programs, err));
  char *program = ghee_path_join(programs, "ghee-coordinator"), *env = ghee_asprintf("GHEE_PROGRAMS=%s", programs);
  char *log = ghee_job_folder_file(of->folder, "logs/coordinator.log");
  ghee_free(programs);
  ghee_status status = program && env && log ? GHEE_OK : ghee_error_no_memory(err, "starting the coordinator");
  if (status == GHEE_OK && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) status = ghee_error_set_errno(err, errno, "cannot make a socket pair");
  if (status == GHEE_OK) {
    snprintf(fd, sizeof fd, "%d", pair[1]);
    snprintf(ns, sizeof ns, "%llu", (unsigned long long)of->started_ns);
    const char *argv[] = {program, "--job", of->folder, "--client", fd, "--started", ns, NULL};
    const char *more[] = {env, NULL};
    ghee_process_options options = {.argv = argv, .env = more, .log_path = log, .keep_fds = &pair[1], .n_keep_fds = 1, .new_session = true};
    status = ghee_process_start(&options, &of->id, &of->pidfd, err);
    close(pair[1]);
    of->socket = pair[0];
    if (status != GHEE_OK) close(pair[0]);
  }
  ghee_free(program);
  ghee_free(env);
  ghee_free(log);
  return status;
}

static void hear(drive *of, ghee_wire_kind kind, const void *data, size_t size) {
  const ghee_job_hooks *hooks = of->hooks;
  if (kind == GHEE_WIRE_PROGRESS && size == sizeof of->last) {
    memcpy(&of->last, data, size);
    if (of->progress_fd >= 0) (void)!pwrite(of->progress_fd, data, size, 0);
    if (hooks->progress) hooks->progress(hooks->user, &of->last);
  } else if (kind == GHEE_WIRE_LINE && hooks->line) {
    char *line = ghee_strndup(data, size);
    if (line) hooks->line(hooks->user, line);
    ghee_free(line);
  } else if (kind == GHEE_WIRE_RESULT) {
    ghee_reader result = ghee_reader_of(data, size);
    of->status = (ghee_status)ghee_reader_u32(&result);
    char *message = ghee_reader_text(&result);
    if (of->status != GHEE_OK) ghee_error_set(of->err, of->status, "%s", message ? message : "the job failed");
    ghee_free(message);
    of->finished = true;
  }
}

/* Everything that has come. false: the coordinator has closed. */
static bool listen_once(drive *of) {
  uint8_t room[GHEE_WIRE_MAX];
  ghee_wire_kind kind;
  const void *data;
  size_t size;
  ghee_status status;
  while ((status = ghee_wire_receive(of->socket, room, &kind, &data, &size)) == GHEE_OK) hear(of, kind, data, size);
  return status == GHEE_AGAIN;
}

/* 0 go on, 1 the coordinator was told to stop, 2 leave. */
static int ask_user(drive *of) {
  int wish = of->hooks->interrupted ? of->hooks->interrupted(of->hooks->user) : 0;
  if (wish == 1 && !of->told) of->told = ghee_wire_send(of->socket, GHEE_WIRE_STOP, NULL, 0);
  return wish;
}

/* Until the coordinator has ended, or the user will not wait. */
static int watch(drive *of) {
  for (bool open = true;;) {
    struct pollfd fds[] = {{.fd = open ? of->socket : -1, .events = POLLIN}, {.fd = of->pidfd, .events = POLLIN}};
    if (poll(fds, 2, ASK_MS) < 0 && errno != EINTR) return 2;
    if (open && fds[0].revents) open = listen_once(of);
    if (fds[1].revents) {
      if (open) (void)listen_once(of);
      return 0;
    }
    if (ask_user(of) == 2) return 2;
  }
}

/* The coordinator's process is over. True: it came to its end, and so did its workers if the job did. */
static bool collect(drive *of) {
  int status = -1;
  (void)ghee_process_reap((pid_t)of->id.pid, &status, NULL);
  close(of->pidfd);
  close(of->socket);
  return status == 0;
}

/* The list is the launcher's. */
static void kill_listed(drive *of) {
  char *path = ghee_job_folder_file(of->folder, "processes");
  FILE *list = path ? fopen(path, "re") : NULL;
  long long pid, who;
  unsigned long long born;
  unsigned stage;
  while (list && fscanf(list, "%lld %llu %u %lld", &pid, &born, &stage, &who) == 4) {
    int fd;
    if (ghee_process_open(&(ghee_process_id){.pid = pid, .born = born}, &fd, NULL) != GHEE_OK) continue;
    (void)ghee_process_signal(fd, SIGKILL, NULL); /* a fork server takes its workers along */
    close(fd);
  }
  if (list) fclose(list);
  ghee_free(path);
}

/* Nothing of the job may live on or lie about after a coordinator that was killed on its way out, by us or by others. */
static void sweep_up(drive *of) {
  kill_listed(of);
  ghee_job_folder_remove_sockets(of->folder);
}

/* Starts coordinators until one brings an outcome. */
static ghee_status drive_on(drive *of, ghee_error *err) {
  while (!of->finished) {
    GHEE_TRY(start(of, err));
    int wish = watch(of);
    if (wish == 2) (void)ghee_process_signal(of->pidfd, SIGKILL, NULL);
    bool clean = collect(of);
    if (!clean && (of->finished || wish == 2)) sweep_up(of);
    if (of->finished) break;
    if (wish == 2 || of->told) return ghee_error_set(err, GHEE_CANCELED, "interrupted");
    if (of->hosted) return ghee_error_set(err, GHEE_CRASHED, "the coordinator died; see %s/logs/coordinator.log", of->folder);
    of->fruitless = of->last.fraction > of->best ? 0 : of->fruitless + 1;
    if (of->last.fraction > of->best) of->best = of->last.fraction;
    if (of->fruitless >= FRUITLESS_STARTS)
      return ghee_error_set(err, GHEE_CRASHED, "the coordinator died %u times without getting further; see %s/logs/coordinator.log", of->fruitless, of->folder);
  }
  return of->status;
}

ghee_status ghee_client_drive(const char *folder, bool hosted, uint64_t started_ns, const ghee_job_hooks *hooks, ghee_job_progress *last, ghee_error *err) {
  drive of = {.hosted = hosted, .folder = folder, .started_ns = started_ns, .hooks = hooks, .err = err, .progress_fd = -1};
  char *path = ghee_job_folder_file(folder, "progress");
  if (!path) return ghee_error_no_memory(err, "running a job");
  of.progress_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ghee_free(path);
  ghee_status status = drive_on(&of, err);
  if (of.progress_fd >= 0) close(of.progress_fd);
  *last = of.last;
  if (status == GHEE_CANCELED && ghee_job_folder_is_canceled(folder)) return ghee_error_set(err, GHEE_CANCELED, "canceled by `ghee cancel`, which removes the job");
  return status;
}

bool ghee_client_read_progress(const char *folder, ghee_job_progress *out) {
  char *path = ghee_job_folder_file(folder, "progress");
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  ghee_job_progress read_in;
  bool whole = fd >= 0 && pread(fd, &read_in, sizeof read_in, 0) == sizeof read_in && read_in.phase <= GHEE_PHASE_CANCELED && read_in.n_stages <= GHEE_JOB_STAGES;
  if (whole) *out = read_in;
  if (fd >= 0) close(fd);
  ghee_free(path);
  return whole;
}
