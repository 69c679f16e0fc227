/* SPDX-License-Identifier: Apache-2.0
 * A fork server's loop: requests of the launcher, ends of children, the client's death, a new launcher after the old one's. */
#include "launch/fork_server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/buffer.h"
#include "transport/control/control.h"

enum { RETRY_MS = 10 };

typedef struct worker { uint32_t index; ghee_process_id id; } worker;
typedef struct server {
  const char *socket_path, *stage, *log_folder;
  const uint8_t *secret;
  ghee_control_client *control;      /* NULL: no launcher now */
  int client_fd, signal_fd;
  GHEE_ARRAY(worker) workers;
  sigset_t before;                   /* signals blocked when the host called */
  bool ended;
} server;

static void put_worker(ghee_buffer *out, const worker *of) {
  ghee_buffer_put_u32(out, of->index);
  ghee_buffer_put_u64(out, (uint64_t)of->id.pid);
  ghee_buffer_put_u64(out, of->id.born);
}

static void drop_control(server *of) {
  if (of->control) ghee_control_client_close(of->control);
  of->control = NULL;
}

static void say(server *of, ghee_buffer *message) {
  if (of->control && (message->failed || ghee_control_client_send(of->control, message->data, message->size, NULL) != GHEE_OK)) drop_control(of);
  ghee_buffer_fini(message);
}

static void connect_launcher(server *of) {
  if (ghee_control_client_open(of->socket_path, of->secret, &of->control, NULL) != GHEE_OK) {
    of->control = NULL;
    return;
  }
  ghee_buffer hello = {0};
  ghee_buffer_put_u8(&hello, GHEE_LAUNCH_SAY_HELLO);
  ghee_buffer_put_text(&hello, of->stage);
  ghee_buffer_put_u32(&hello, (uint32_t)of->workers.count);
  for (size_t i = 0; i < of->workers.count; i++) put_worker(&hello, &of->workers.items[i]);
  say(of, &hello);
}

static void reap(server *of) {
  struct signalfd_siginfo info;
  while (read(of->signal_fd, &info, sizeof info) > 0) continue; /* one signal may stand for many */
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
    for (size_t i = 0; i < of->workers.count; i++) {
      if (of->workers.items[i].id.pid != pid) continue;
      ghee_buffer ended = {0};
      ghee_buffer_put_u8(&ended, GHEE_LAUNCH_SAY_ENDED);
      put_worker(&ended, &of->workers.items[i]);
      ghee_buffer_put_u32(&ended, (uint32_t)status);
      of->workers.items[i] = of->workers.items[--of->workers.count];
      say(of, &ended);
      break;
    }
}

static void redirect(const server *of, uint32_t index) {
  char *path = ghee_asprintf("%s/%s-%u.log", of->log_folder, of->stage, index);
  int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
  if (fd >= 0) {
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
  }
  ghee_free(path);
}

static void become_worker(server *of, uint32_t index, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  drop_control(of);
  redirect(of, index);
}

/* True in the child. */
static bool fork_worker(server *of, uint32_t index, ghee_error *err) {
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) {
    become_worker(of, index, parent);
    return true;
  }
  ghee_buffer started = {0};
  worker made = {.index = index};
  if (pid < 0 || ghee_process_identify(pid, &made.id, err) != GHEE_OK || !ghee_array_push(&of->workers, made)) {
    if (pid > 0) kill(pid, SIGKILL);
    ghee_buffer_put_u8(&started, GHEE_LAUNCH_SAY_ENDED);
    put_worker(&started, &made);
    ghee_buffer_put_u32(&started, 1 << 8);
  } else {
    ghee_buffer_put_u8(&started, GHEE_LAUNCH_SAY_STARTED);
    put_worker(&started, &made);
  }
  say(of, &started);
  return false;
}

/* True in a child. */
static bool receive(server *of, uint32_t *index, ghee_error *err) {
  for (;;) {
    const void *data;
    size_t size;
    ghee_status status = ghee_control_client_receive(of->control, &data, &size, NULL);
    if (status == GHEE_AGAIN) return false;
    if (status != GHEE_OK) {
      drop_control(of);
      return false;
    }
    ghee_reader message = ghee_reader_of(data, size);
    uint8_t what = ghee_reader_u8(&message);
    if (what == GHEE_LAUNCH_SAY_END) of->ended = true;
    if (what != GHEE_LAUNCH_SAY_START) continue;
    *index = ghee_reader_u32(&message);
    if (fork_worker(of, *index, err)) return true;
    if (!of->control) return false;
  }
}

static bool client_is_gone(const server *of) {
  struct pollfd fd = {.fd = of->client_fd, .events = POLLIN};
  return poll(&fd, 1, 0) > 0;
}

/* True in a child. */
static bool serve(server *of, uint32_t *index, ghee_error *err) {
  while (!of->ended && !client_is_gone(of)) {
    if (!of->control) connect_launcher(of);
    struct pollfd fds[] = {{.fd = of->client_fd, .events = POLLIN}, {.fd = of->signal_fd, .events = POLLIN},
                           {.fd = of->control ? ghee_control_client_fd(of->control) : -1, .events = POLLIN}};
    if (poll(fds, 3, of->control ? -1 : RETRY_MS) < 0 && errno != EINTR) break;
    if (fds[1].revents) reap(of);
    if (of->control && fds[2].revents && receive(of, index, err)) return true;
  }
  for (size_t i = 0; i < of->workers.count; i++) kill((pid_t)of->workers.items[i].id.pid, SIGKILL); /* our children, not reaped yet */
  while (waitpid(-1, NULL, 0) > 0) continue;
  return false;
}

ghee_status ghee_fork_server_run(const char *folder, const uint8_t *secret, const char *stage, const ghee_process_id *client,
                                 const char *log_folder, uint32_t *out_worker, bool *child, ghee_error *err) {
  char *path = ghee_asprintf("%s/launch.sock", folder);
  if (!path) return ghee_error_no_memory(err, "starting a fork server");
  server of = {.socket_path = path, .stage = stage, .log_folder = log_folder, .secret = secret, .client_fd = -1};
  sigset_t child_ended;
  sigemptyset(&child_ended);
  sigaddset(&child_ended, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child_ended, &of.before);
  of.signal_fd = signalfd(-1, &child_ended, SFD_CLOEXEC | SFD_NONBLOCK);
  *child = false;
  ghee_status status = of.signal_fd < 0 ? ghee_error_set_errno(err, errno, "cannot watch for ended workers") : ghee_process_open(client, &of.client_fd, err);
  if (status == GHEE_OK) *child = serve(&of, out_worker, err);
  else if (status == GHEE_NOT_FOUND) status = GHEE_OK; /* the client is gone already */
  drop_control(&of);
  if (of.client_fd >= 0) close(of.client_fd);
  if (of.signal_fd >= 0) close(of.signal_fd);
  sigprocmask(SIG_SETMASK, &of.before, NULL);
  ghee_array_fini(&of.workers);
  ghee_free(path);
  return status;
}
