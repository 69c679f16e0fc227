/* SPDX-License-Identifier: Apache-2.0
 * The launcher of one machine: fork servers, workers of their own, and what an earlier coordinator left of both. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "launch/fork_server.h"
#include "launch/gate.h"
#include "launch/launch.h"
#include "transport/control/control.h"

enum { KILL_WAIT_MS = 1000 };

typedef struct worker {
  ghee_process_id id;          /* pid 0: not running */
  int pidfd;                   /* spawned ones: watched; −1 for forked ones */
  bool child;                  /* ours to reap */
  bool asked;                  /* start was asked of the fork server, no answer yet */
} worker;

typedef struct stage {
  char *name, **argv, **env, *log_folder;
  uint32_t n;
  bool fork, hosted;
  worker *workers;
  ghee_process_id server;      /* pid 0: none */
  int server_fd;
  bool server_child;
  uint64_t peer;               /* its connection, 0 none */
} stage;

typedef struct local {
  ghee_launcher base;
  char *folder, *list_path;
  uint8_t secret[GHEE_CONTROL_SECRET];
  ghee_control_server *control;
  int epoll;
  stage *stages;
  uint32_t n_stages;
  GHEE_ARRAY(ghee_launch_event) events; /* to be handed out, from `given` on */
  size_t given;
  uint32_t awaited;            /* fork servers of an earlier coordinator that have not connected */
} local;

/* What epoll tells: 0 the control server; else 1 + stage << 32 | (0 the fork server, 1 + index a worker). */
static uint64_t tag(uint32_t stage_index, uint32_t who) { return (uint64_t)(stage_index + 1) << 32 | who; }

static local *local_of(ghee_launcher *launcher) { return (local *)launcher; }

static ghee_status emit(local *of, const ghee_launch_event *event, ghee_error *err) {
  return ghee_array_push(&of->events, *event) ? GHEE_OK : ghee_error_no_memory(err, "noting an end of a worker");
}

static void watch(local *of, int fd, uint64_t data) {
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};
  epoll_ctl(of->epoll, EPOLL_CTL_ADD, fd, &event); /* fails only without kernel memory: then the connection's end tells */
}

/* ---- the list of processes, for a coordinator after us ---- */

static ghee_status record(local *of, const ghee_process_id *id, uint32_t stage_index, int64_t who, ghee_error *err) {
  int fd = open(of->list_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  int written = fd < 0 ? -1 : dprintf(fd, "%lld %llu %u %lld\n", (long long)id->pid, (unsigned long long)id->born, stage_index, (long long)who);
  ghee_status status = written > 0 ? GHEE_OK : ghee_error_set_errno(err, errno, "cannot note a started process in %s", of->list_path);
  if (fd >= 0) close(fd);
  return status;
}

/* What is taken up twice is what was started last: the list is in that order, and an earlier one may just be ending. */
static void adopt_server(local *of, uint32_t stage_index, const ghee_process_id *id, int fd) {
  stage *at = &of->stages[stage_index];
  if (at->server_fd >= 0) close(at->server_fd);
  else of->awaited++;
  at->server = *id;
  at->server_fd = fd;
  watch(of, fd, tag(stage_index, 0));
}

static ghee_status adopt(local *of, const ghee_process_id *id, uint32_t stage_index, int64_t who, ghee_error *err) {
  int fd;
  stage *at = stage_index < of->n_stages ? &of->stages[stage_index] : NULL;
  if (!at || (who >= 0 && (uint64_t)who >= at->n) || !ghee_process_alive(id) || ghee_process_open(id, &fd, NULL) != GHEE_OK) return GHEE_OK;
  if (who < 0) {
    adopt_server(of, stage_index, id, fd);
    return GHEE_OK;
  }
  worker *one = &at->workers[who];
  if (one->pidfd >= 0) close(one->pidfd);
  *one = (worker){.id = *id, .pidfd = fd};
  watch(of, fd, tag(stage_index, (uint32_t)who + 1));
  return emit(of, &(ghee_launch_event){.what = GHEE_LAUNCH_STARTED, .stage = stage_index, .worker = (uint32_t)who, .id = *id}, err);
}

static ghee_status adopt_all(local *of, ghee_error *err) {
  FILE *list = fopen(of->list_path, "re");
  if (!list) return GHEE_OK;
  ghee_status status = GHEE_OK;
  long long pid, who;
  unsigned long long born;
  unsigned stage_index;
  while (status == GHEE_OK && fscanf(list, "%lld %llu %u %lld", &pid, &born, &stage_index, &who) == 4)
    status = adopt(of, &(ghee_process_id){.pid = pid, .born = born}, stage_index, who, err);
  fclose(list);
  return status;
}

/* ---- starting ---- */

/* A process of its own for a worker (`who` its index) or a fork server (-1), which does nothing before it stands in the list. */
static ghee_status spawn(local *of, uint32_t stage_index, int64_t who, const char *last, ghee_process_id *id, int *pidfd, ghee_error *err) {
  stage *at = &of->stages[stage_index];
  GHEE_ARRAY(const char *) argv = {0}, env = {0};
  ghee_launch_gate gate;
  GHEE_TRY(ghee_launch_gate_init(&gate, err));
  bool ok = ghee_array_push(&env, gate.env);
  for (char **a = at->argv; *a && ok; a++) ok = ghee_array_push(&argv, *a);
  for (char **e = at->env; *e && ok; e++) ok = ghee_array_push(&env, *e);
  ok = ok && ghee_array_push(&argv, last) && ghee_array_push(&argv, NULL) && ghee_array_push(&env, NULL);
  char *log = who < 0 ? ghee_asprintf("%s/%s-server.log", at->log_folder, at->name) : ghee_asprintf("%s/%s-%u.log", at->log_folder, at->name, (uint32_t)who);
  ghee_process_options options = {.argv = argv.items, .env = env.items, .log_path = log, .new_session = true, .keep_fds = &gate.child_fd, .n_keep_fds = 1};
  ghee_status status = ok && log ? ghee_process_start(&options, id, pidfd, err) : ghee_error_no_memory(err, "starting a worker");
  if (status == GHEE_OK && (status = record(of, id, stage_index, who, err)) == GHEE_OK) ghee_launch_gate_open(&gate);
  ghee_launch_gate_fini(&gate);
  ghee_array_fini(&argv);
  ghee_array_fini(&env);
  ghee_free(log);
  return status;
}

static ghee_status spawn_worker(local *of, uint32_t stage_index, uint32_t index, ghee_error *err) {
  worker *one = &of->stages[stage_index].workers[index];
  char last[32];
  snprintf(last, sizeof last, "--worker=%u", index);
  one->child = true;
  GHEE_TRY(spawn(of, stage_index, index, last, &one->id, &one->pidfd, err));
  watch(of, one->pidfd, tag(stage_index, index + 1));
  return emit(of, &(ghee_launch_event){.what = GHEE_LAUNCH_STARTED, .stage = stage_index, .worker = index, .id = one->id}, err);
}

static ghee_status ask(local *of, stage *at, uint32_t index, ghee_error *err) {
  ghee_buffer message = {0};
  ghee_buffer_put_u8(&message, GHEE_LAUNCH_SAY_START);
  ghee_buffer_put_u32(&message, index);
  ghee_status status = ghee_buffer_check(&message, "starting a worker", err);
  if (status == GHEE_OK) status = ghee_control_server_send(of->control, at->peer, message.data, message.size, err);
  ghee_buffer_fini(&message);
  return status == GHEE_CLOSED ? GHEE_OK : status; /* the server's end is an event of its own */
}

static ghee_status local_start(ghee_launcher *launcher, uint32_t stage_index, uint32_t index, ghee_error *err) {
  local *of = local_of(launcher);
  stage *at = &of->stages[stage_index];
  if (at->hosted) return emit(of, &(ghee_launch_event){.what = GHEE_LAUNCH_STARTED, .stage = stage_index, .worker = index}, err);
  if (!at->fork) return spawn_worker(of, stage_index, index, err);
  at->workers[index].asked = true;
  if (at->peer) return ask(of, at, index, err);
  if (at->server.pid) return GHEE_OK; /* asked when it connects */
  at->server_child = true;
  GHEE_TRY(spawn(of, stage_index, -1, "--fork-server", &at->server, &at->server_fd, err));
  watch(of, at->server_fd, tag(stage_index, 0));
  return GHEE_OK;
}

/* ---- what fork servers say ---- */

static stage *stage_named(local *of, const char *name, uint32_t *index) {
  for (uint32_t i = 0; i < of->n_stages; i++)
    if (strcmp(of->stages[i].name, name) == 0) {
      *index = i;
      return &of->stages[i];
    }
  return NULL;
}

static uint32_t read_worker(ghee_reader *message, ghee_process_id *id) {
  uint32_t index = ghee_reader_u32(message);
  id->pid = (int64_t)ghee_reader_u64(message);
  id->born = ghee_reader_u64(message);
  return index;
}

static ghee_status on_started(local *of, uint32_t stage_index, uint32_t index, const ghee_process_id *id, ghee_error *err) {
  stage *at = &of->stages[stage_index];
  if (index >= at->n) return GHEE_OK;
  at->workers[index] = (worker){.id = *id, .pidfd = -1};
  return emit(of, &(ghee_launch_event){.what = GHEE_LAUNCH_STARTED, .stage = stage_index, .worker = index, .id = *id}, err);
}

static ghee_status on_hello(local *of, uint64_t peer, ghee_reader *message, ghee_error *err) {
  char *name = ghee_reader_text(message);
  uint32_t index = 0;
  stage *at = name ? stage_named(of, name, &index) : NULL;
  ghee_free(name);
  if (!at) {
    ghee_control_server_drop(of->control, peer);
    return GHEE_OK;
  }
  if (!at->server_child && of->awaited) of->awaited--;
  at->peer = peer;
  for (uint32_t n = ghee_reader_u32(message); n > 0 && !message->bad; n--) {
    ghee_process_id id;
    uint32_t who = read_worker(message, &id);
    GHEE_TRY(on_started(of, index, who, &id, err));
  }
  for (uint32_t i = 0; i < at->n; i++)
    if (at->workers[i].asked) GHEE_TRY(ask(of, at, i, err));
  return GHEE_OK;
}

static ghee_status on_message(local *of, const ghee_control_event *event, ghee_error *err) {
  ghee_reader message = ghee_reader_of(event->data, event->size_bytes);
  uint8_t what = ghee_reader_u8(&message);
  if (what == GHEE_LAUNCH_SAY_HELLO) return on_hello(of, event->peer, &message, err);
  uint32_t stage_index = 0;
  while (stage_index < of->n_stages && of->stages[stage_index].peer != event->peer) stage_index++;
  if (stage_index == of->n_stages) return GHEE_OK;
  ghee_process_id id;
  uint32_t index = read_worker(&message, &id);
  if (what == GHEE_LAUNCH_SAY_STARTED) return on_started(of, stage_index, index, &id, err);
  if (what != GHEE_LAUNCH_SAY_ENDED || index >= of->stages[stage_index].n) return GHEE_OK;
  of->stages[stage_index].workers[index] = (worker){.pidfd = -1};
  return emit(of, &(ghee_launch_event){.what = GHEE_LAUNCH_ENDED, .stage = stage_index, .worker = index, .id = id, .status = (int)ghee_reader_u32(&message)}, err);
}

/* ---- ends ---- */

static ghee_status server_ended(local *of, uint32_t stage_index, ghee_error *err) {
  stage *at = &of->stages[stage_index];
  int status = -1;
  if (at->server_child) (void)ghee_process_reap((pid_t)at->server.pid, &status, NULL);
  else if (!at->peer && of->awaited) of->awaited--;
  close(at->server_fd);
  at->server = (ghee_process_id){0};
  at->server_fd = -1;
  at->peer = 0;
  for (uint32_t i = 0; i < at->n; i++) {
    worker was = at->workers[i];
    if (!was.asked && !was.id.pid) continue;
    at->workers[i] = (worker){.pidfd = -1};
    /* A worker dies with its server by SIGKILL. */
    GHEE_TRY(emit(of, &(ghee_launch_event){.what = was.id.pid ? GHEE_LAUNCH_ENDED : GHEE_LAUNCH_FAILED, .stage = stage_index, .worker = i, .id = was.id,
                                           .status = was.id.pid ? SIGKILL : status, .message = "the stage's fork server ended"}, err));
  }
  return GHEE_OK;
}

static ghee_status worker_ended(local *of, uint32_t stage_index, uint32_t index, ghee_error *err) {
  worker *one = &of->stages[stage_index].workers[index], was = *one;
  int status = -1;
  if (was.child) (void)ghee_process_reap((pid_t)was.id.pid, &status, NULL);
  close(was.pidfd);
  *one = (worker){.pidfd = -1};
  return emit(of, &(ghee_launch_event){.what = GHEE_LAUNCH_ENDED, .stage = stage_index, .worker = index, .id = was.id, .status = status}, err);
}

static ghee_status drain_control(local *of, ghee_error *err) {
  ghee_control_event event;
  ghee_status status;
  while ((status = ghee_control_server_next(of->control, &event, err)) == GHEE_OK) {
    if (event.what == GHEE_CONTROL_MESSAGE) GHEE_TRY(on_message(of, &event, err));
    for (uint32_t i = 0; event.what == GHEE_CONTROL_CLOSED && i < of->n_stages; i++)
      if (of->stages[i].peer == event.peer) of->stages[i].peer = 0; /* its pidfd tells the end */
  }
  return status == GHEE_AGAIN ? GHEE_OK : status;
}

static ghee_status local_next(ghee_launcher *launcher, ghee_launch_event *out, ghee_error *err) {
  local *of = local_of(launcher);
  for (struct epoll_event ready; of->given == of->events.count;) {
    of->given = of->events.count = 0;
    if (epoll_wait(of->epoll, &ready, 1, 0) <= 0) return GHEE_AGAIN;
    uint32_t stage_index = (uint32_t)(ready.data.u64 >> 32) - 1, who = (uint32_t)ready.data.u64;
    if (ready.data.u64 == 0) GHEE_TRY(drain_control(of, err));
    else if (who == 0) GHEE_TRY(server_ended(of, stage_index, err));
    else GHEE_TRY(worker_ended(of, stage_index, who - 1, err));
  }
  *out = of->events.items[of->given++];
  return GHEE_OK;
}

static ghee_status signal_one(const ghee_process_id *id, int number, ghee_error *err) {
  int fd;
  ghee_status status = ghee_process_open(id, &fd, err);
  if (status == GHEE_OK) {
    status = ghee_process_signal(fd, number, err);
    close(fd);
  }
  return status == GHEE_NOT_FOUND ? GHEE_OK : status;
}

static ghee_status local_kill(ghee_launcher *launcher, uint32_t stage_index, uint32_t index, int number, ghee_error *err) {
  worker *one = &local_of(launcher)->stages[stage_index].workers[index];
  return one->id.pid ? signal_one(&one->id, number, err) : GHEE_OK;
}

static bool local_recovering(const ghee_launcher *launcher) { return ((const local *)launcher)->awaited > 0; }
static int local_fd(const ghee_launcher *launcher) { return ((const local *)launcher)->epoll; }

/* ---- life ---- */

static void await_end(const ghee_process_id *id, bool child, uint64_t deadline_ms) {
  int fd, status;
  if (ghee_process_open(id, &fd, NULL) == GHEE_OK) {
    uint64_t now = ghee_clock_ms();
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    poll(&ended, 1, now < deadline_ms ? (int)(deadline_ms - now) : 0);
    close(fd);
  }
  if (child) (void)ghee_process_reap((pid_t)id->pid, &status, NULL);
}

static void end_all(local *of) {
  for (uint32_t s = 0; s < of->n_stages; s++) {
    for (uint32_t i = 0; i < of->stages[s].n; i++)
      if (of->stages[s].workers[i].id.pid) (void)signal_one(&of->stages[s].workers[i].id, SIGKILL, NULL);
    if (of->stages[s].server.pid) (void)signal_one(&of->stages[s].server, SIGKILL, NULL);
  }
  uint64_t deadline = ghee_clock_ms() + KILL_WAIT_MS;
  for (uint32_t s = 0; s < of->n_stages; s++) {
    for (uint32_t i = 0; i < of->stages[s].n; i++)
      if (of->stages[s].workers[i].id.pid) await_end(&of->stages[s].workers[i].id, of->stages[s].workers[i].child, deadline);
    if (of->stages[s].server.pid) await_end(&of->stages[s].server, of->stages[s].server_child, deadline);
  }
}

static void free_texts(char **texts) {
  for (char **at = texts; at && *at; at++) ghee_free(*at);
  ghee_free(texts);
}

static void local_close(ghee_launcher *launcher) {
  local *of = local_of(launcher);
  if (!of) return;
  ghee_control_server_close(of->control); /* first: where descriptors have run out, killing needs some of them */
  end_all(of);
  for (uint32_t s = 0; s < of->n_stages; s++) {
    stage *at = &of->stages[s];
    for (uint32_t i = 0; i < at->n; i++)
      if (at->workers[i].pidfd >= 0) close(at->workers[i].pidfd);
    if (at->server_fd >= 0) close(at->server_fd);
    free_texts(at->argv);
    free_texts(at->env);
    ghee_free(at->workers);
    ghee_free(at->name);
    ghee_free(at->log_folder);
  }
  if (of->list_path) unlink(of->list_path);
  if (of->epoll >= 0) close(of->epoll);
  ghee_array_fini(&of->events);
  ghee_free(of->stages);
  ghee_free(of->folder);
  ghee_free(of->list_path);
  ghee_free(of);
}

static char **copy_texts(const char *const *texts) {
  size_t n = 0;
  while (texts && texts[n]) n++;
  char **copy = ghee_alloc_zero(n + 1, sizeof *copy);
  for (size_t i = 0; copy && i < n; i++)
    if (!(copy[i] = ghee_strdup(texts[i]))) {
      free_texts(copy);
      return NULL;
    }
  return copy;
}

static bool copy_stage(const ghee_launch_stage *from, stage *to) {
  *to = (stage){.fork = from->fork, .hosted = from->hosted, .server_fd = -1};
  to->name = ghee_strdup(from->name);
  to->log_folder = ghee_strdup(from->log_folder);
  to->argv = copy_texts(from->argv);
  to->env = copy_texts(from->env);
  to->workers = ghee_alloc_zero(from->workers, sizeof *to->workers);
  to->n = to->workers ? from->workers : 0;
  for (uint32_t i = 0; i < to->n; i++) to->workers[i].pidfd = -1;
  return to->name && to->log_folder && to->argv && to->env && to->workers;
}

static ghee_status local_open(const char *folder, const uint8_t *secret, const ghee_launch_stage *stages, uint32_t n_stages,
                              ghee_launcher **out, ghee_error *err) {
  local *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return ghee_error_no_memory(err, "opening the launcher");
  of->base.ops = &ghee_launcher_local;
  of->epoll = epoll_create1(EPOLL_CLOEXEC);
  of->folder = ghee_strdup(folder);
  of->list_path = ghee_asprintf("%s/processes", folder);
  of->stages = ghee_alloc_zero(n_stages ? n_stages : 1, sizeof *of->stages);
  memcpy(of->secret, secret, sizeof of->secret);
  bool ok = of->folder && of->list_path && of->stages;
  for (uint32_t i = 0; i < n_stages && ok; i++) {
    ok = copy_stage(&stages[i], &of->stages[i]);
    of->n_stages++;
  }
  char *path = ghee_asprintf("%s/launch.sock", folder);
  ghee_status status = ok && path ? GHEE_OK : ghee_error_no_memory(err, "opening the launcher");
  if (status == GHEE_OK && of->epoll < 0) status = ghee_error_set_errno(err, errno, "cannot open the launcher");
  if (status == GHEE_OK) status = ghee_control_server_open(path, secret, &of->control, err);
  if (status == GHEE_OK) {
    watch(of, ghee_control_server_fd(of->control), 0);
    status = adopt_all(of, err);
  }
  ghee_free(path);
  if (status != GHEE_OK) {
    local_close(&of->base);
    return status;
  }
  *out = &of->base;
  return GHEE_OK;
}

const struct ghee_launcher_ops ghee_launcher_local = {.name = "local", .open = local_open, .fd = local_fd, .next = local_next, .start = local_start,
                                                      .kill = local_kill, .recovering = local_recovering, .close = local_close};
