/* SPDX-License-Identifier: Apache-2.0
 * The coordinator process: takes up the job's folder, runs the loop until there is an outcome, ends the workers. */
#include "runtime/coordinator/coordinator.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "ghee/worker.h"

enum { PREDECESSOR_MS = 2000, TICK_MS = 200, FAREWELL_MS = 100 };

void ghee_coordinator_line(ghee_coordinator *of, const char *format, ...) {
  char text[GHEE_ERROR_SIZE];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  fprintf(stderr, "%s\n", text);
  (void)ghee_wire_send(of->client, GHEE_WIRE_LINE, text, strlen(text));
}

/* The job cannot go on; the first failure counts. */
static void give_up(ghee_coordinator *of, const ghee_error *failure) {
  if (of->over) return;
  of->over = true;
  of->outcome = failure->status == GHEE_CANCELED ? GHEE_JOB_CANCELED : GHEE_JOB_FAILED;
  of->failure = *failure;
  fprintf(stderr, "failed: %s\n", failure->message);
}

void ghee_coordinator_succeed(ghee_coordinator *of) {
  if (of->over) return;
  of->over = true;
  of->outcome = GHEE_JOB_DONE;
}

/* ---- opening ---- */

ghee_status ghee_coordinator_watch(ghee_coordinator *of, int fd, ghee_error *err) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  return epoll_ctl(of->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? GHEE_OK : ghee_error_set_errno(err, errno, "cannot open the coordinator's loop");
}

static ghee_status read_folder(ghee_coordinator *of, ghee_error *err) {
  GHEE_TRY(ghee_job_folder_lock(of->folder, "coordinator.lock", PREDECESSOR_MS, &of->lock_fd, err));
  GHEE_TRY(ghee_job_folder_read_spec(of->folder, &of->spec, err));
  GHEE_TRY(ghee_job_folder_read_key(of->folder, &of->key, err));
  GHEE_TRY(ghee_job_folder_read_id(of->folder, &of->id, err));
  GHEE_TRY(ghee_launch_facts_read(of->folder, &of->facts, err));
  char *path = ghee_job_folder_file(of->folder, "plan");
  if (!path) return ghee_error_no_memory(err, "opening the job");
  ghee_status status = ghee_plan_load(path, &of->plan, err);
  ghee_free(path);
  return status;
}

static ghee_status open_ledger(ghee_coordinator *of, ghee_error *err) {
  char *path = ghee_job_folder_file(of->folder, "ledger.db"), *text = NULL;
  if (!path) return ghee_error_no_memory(err, "opening the job");
  ghee_job_state state;
  int status_before;
  ghee_status status = ghee_ledger_open(path, &of->ledger, err);
  ghee_free(path);
  GHEE_TRY(status);
  GHEE_TRY(ghee_ledger_state(of->ledger, &state, &status_before, &text, err));
  if (state == GHEE_JOB_DONE) {
    ghee_coordinator_succeed(of);
  } else if (state == GHEE_JOB_FAILED || state == GHEE_JOB_CANCELED) { /* said by one that died before the client heard it */
    ghee_error before;
    ghee_error_set(&before, (ghee_status)status_before, "%s", text ? text : "");
    give_up(of, &before);
  } else if (state != GHEE_JOB_PUBLISHING) {
    status = ghee_ledger_set_state(of->ledger, GHEE_JOB_RUNNING, 0, "", err);
  }
  ghee_free(text);
  GHEE_TRY(status);
  GHEE_TRY(ghee_ledger_begin(of->ledger, &of->generation, err));
  const ghee_plan_totals *totals = ghee_plan_totals_of(of->plan);
  return ghee_chunks_init(&of->chunks, (uint32_t)totals->chunks, of->spec->epochs, of->generation, err);
}

static ghee_status open_loop(ghee_coordinator *of, ghee_error *err) {
  of->epoll = epoll_create1(EPOLL_CLOEXEC);
  of->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  struct itimerspec every = {.it_interval.tv_nsec = TICK_MS * 1000000, .it_value.tv_nsec = TICK_MS * 1000000};
  if (of->epoll < 0 || of->timer < 0 || timerfd_settime(of->timer, 0, &every, NULL) != 0) return ghee_error_set_errno(err, errno, "cannot open the coordinator's loop");
  GHEE_TRY(ghee_process_open(&of->facts.client, &of->client_pidfd, err));
  char *path = ghee_job_folder_file(of->folder, "control.sock");
  ghee_status status = path ? ghee_control_server_open(path, of->key.secret_key, &of->control, err) : ghee_error_no_memory(err, "opening the job");
  ghee_free(path);
  GHEE_TRY(status);
  int fds[] = {of->timer, of->client, of->client_pidfd, ghee_control_server_fd(of->control), ghee_ledger_fd(of->ledger)};
  for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) GHEE_TRY(ghee_coordinator_watch(of, fds[i], err));
  return GHEE_OK;
}

static ghee_status open_all(ghee_coordinator *of, ghee_error *err) {
  GHEE_TRY(read_folder(of, err));
  GHEE_TRY(open_ledger(of, err));
  GHEE_TRY(open_loop(of, err));
  if (ghee_rounds_endless(of) && !of->over) {
    GHEE_TRY(ghee_rounds_open(of, err));
    GHEE_TRY(ghee_coordinator_watch(of, ghee_rounds_fd(of), err));
  }
  if (of->spec->train) GHEE_TRY(ghee_ranks_open(of, err));
  else GHEE_TRY(ghee_commits_open(of, err));
  GHEE_TRY(ghee_crew_open(of, err));
  return ghee_coordinator_watch(of, of->launcher->ops->fd(of->launcher), err);
}

/* ---- the loop ---- */

static void say_progress(ghee_coordinator *of) {
  ghee_job_progress progress;
  ghee_progress_fill(of, &progress);
  (void)ghee_wire_send(of->client, GHEE_WIRE_PROGRESS, &progress, sizeof progress);
}

/* What the client says: to stop; or its end, of which its pidfd tells as well. */
static void hear_client(ghee_coordinator *of) {
  static uint8_t room[GHEE_WIRE_MAX];
  ghee_wire_kind kind;
  const void *data;
  size_t size;
  ghee_status status = ghee_wire_receive(of->client, room, &kind, &data, &size);
  if (status == GHEE_AGAIN) return;
  if (status != GHEE_OK) _exit(GHEE_CANCELED); /* it has died: the job goes on when it is resumed */
  if (kind == GHEE_WIRE_STOP) {
    ghee_error stopped;
    ghee_error_set(&stopped, GHEE_CANCELED, "interrupted; `ghee resume` goes on with a job that has a name");
    give_up(of, &stopped);
  }
}

static ghee_status drain_control(ghee_coordinator *of, ghee_error *err) {
  ghee_control_event event;
  ghee_status status;
  while ((status = ghee_control_server_next(of->control, &event, err)) == GHEE_OK) GHEE_TRY(ghee_crew_on_control(of, &event, err));
  return status == GHEE_AGAIN ? GHEE_OK : status;
}

static ghee_status drain_launcher(ghee_coordinator *of, ghee_error *err) {
  ghee_launch_event event;
  ghee_status status;
  while ((status = of->launcher->ops->next(of->launcher, &event, err)) == GHEE_OK) GHEE_TRY(ghee_crew_on_launch(of, &event, err));
  return status == GHEE_AGAIN ? GHEE_OK : status;
}

static ghee_status on_event(ghee_coordinator *of, int fd, ghee_error *err) {
  if (fd == of->timer) {
    uint64_t ticks;
    if (read(of->timer, &ticks, sizeof ticks) > 0) say_progress(of);
  }
  if (fd == of->client_pidfd) _exit(GHEE_CANCELED); /* nobody waits for the job any more; the workers see it too */
  if (fd == of->client) hear_client(of);
  if (fd == ghee_ledger_fd(of->ledger)) return ghee_commits_on_ledger(of, err);
  return GHEE_OK;
}

static ghee_status round_of_events(ghee_coordinator *of, ghee_error *err) {
  struct epoll_event ready[16];
  int n = epoll_wait(of->epoll, ready, 16, -1);
  if (n < 0 && errno != EINTR) return ghee_error_set_errno(err, errno, "cannot wait for events");
  for (int i = 0; i < n; i++) GHEE_TRY(on_event(of, ready[i].data.fd, err));
  /* What a worker said last is heard before its death. */
  GHEE_TRY(drain_control(of, err));
  GHEE_TRY(drain_launcher(of, err));
  GHEE_TRY(ghee_crew_settle(of, err));
  return of->over || of->spec->train ? GHEE_OK : ghee_commits_settle(of, err);
}

static void run(ghee_coordinator *of) {
  ghee_error err;
  ghee_status status = of->over ? GHEE_OK : drain_launcher(of, &err); /* what an earlier coordinator left comes first */
  if (status == GHEE_OK && !of->over) status = ghee_crew_settle(of, &err);
  if (status == GHEE_OK && !of->over && !of->spec->train) status = ghee_commits_settle(of, &err);
  while (status == GHEE_OK && !of->over) status = round_of_events(of, &err);
  if (status != GHEE_OK) give_up(of, &err);
}

/* ---- the end ---- */

static bool anyone_connected(const ghee_coordinator *of) {
  for (uint32_t s = 0; s < of->spec->n_stages; s++)
    for (uint32_t i = 0; i < of->crews[s].of->workers; i++)
      if (of->crews[s].members[i].peer) return true;
  return false;
}

/* Workers get a moment to leave by themselves. */
static void say_farewell(ghee_coordinator *of) {
  ghee_say_message end = {.what = GHEE_SAY_END};
  ghee_crew_tell(of, UINT32_MAX, &end);
  uint64_t deadline = ghee_clock_ms() + FAREWELL_MS;
  for (uint64_t now; anyone_connected(of) && (now = ghee_clock_ms()) < deadline;) {
    struct pollfd fd = {.fd = ghee_control_server_fd(of->control), .events = POLLIN};
    poll(&fd, 1, (int)(deadline - now));
    ghee_control_event event;
    while (ghee_control_server_next(of->control, &event, NULL) == GHEE_OK) (void)ghee_crew_on_control(of, &event, NULL); /* last metrics */
  }
}

static void record_outcome(ghee_coordinator *of) {
  ghee_error err;
  bool failed = of->outcome != GHEE_JOB_DONE;
  if (of->ledger && ghee_ledger_set_state(of->ledger, of->outcome, failed ? (int)of->failure.status : 0, failed ? of->failure.message : "", &err) != GHEE_OK)
    fprintf(stderr, "the outcome could not be recorded: %s\n", err.message);
}

static void say_result(ghee_coordinator *of) {
  ghee_buffer result = {0};
  bool failed = of->outcome != GHEE_JOB_DONE;
  ghee_buffer_put_u32(&result, failed ? (uint32_t)of->failure.status : GHEE_OK);
  ghee_buffer_put_text(&result, failed ? of->failure.message : "");
  say_progress(of);
  (void)ghee_wire_send(of->client, GHEE_WIRE_RESULT, result.data, result.size);
  ghee_buffer_fini(&result);
}

static void close_all(ghee_coordinator *of) {
  if (of->launcher) of->launcher->ops->close(of->launcher);
  if (of->lock_fd >= 0) ghee_job_folder_remove_sockets(of->folder);
  ghee_crew_close(of);
  ghee_control_server_close(of->control);
  if (of->ledger) ghee_ledger_close(of->ledger);
  if (of->store) ghee_object_store_close(of->store);
  ghee_chunks_fini(&of->chunks);
  ghee_commits_close(of);
  ghee_array_fini(&of->crashes);
  ghee_rounds_close(of);
  ghee_plan_free(of->plan);
  ghee_job_spec_free(of->spec);
  ghee_launch_facts_fini(&of->facts);
  ghee_free(of->folder);
  ghee_free(of->id);
  ghee_free(of->staging);
  ghee_free(of->value_path);
}

static int usage(void) {
  fprintf(stderr, "usage: ghee-coordinator --job FOLDER --client FD --started NS\nStarted by ghee's clients; runs one job.\n");
  return GHEE_USAGE;
}

int ghee_coordinator_main(int argc, char **argv) {
  ghee_coordinator of = {.lock_fd = -1, .client = -1, .client_pidfd = -1, .epoll = -1, .timer = -1};
  const char *folder = NULL;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--job") == 0 && i + 1 < argc) folder = argv[++i];
    else if (strcmp(argv[i], "--client") == 0 && i + 1 < argc) of.client = atoi(argv[++i]);
    else if (strcmp(argv[i], "--started") == 0 && i + 1 < argc) of.started_ns = strtoull(argv[++i], NULL, 10);
    else return usage();
  }
  if (!folder || of.client < 0) return usage();
  ghee_log_to_stderr(GHEE_LOG_INFO);
  of.oom_before = of.oom_told = ghee_process_oom_kills();
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  ghee_error err;
  of.folder = ghee_strdup(folder);
  ghee_status status = of.folder ? open_all(&of, &err) : ghee_error_no_memory(&err, "opening the job");
  if (status != GHEE_OK) give_up(&of, &err);
  run(&of);
  record_outcome(&of);
  if (of.launcher && of.outcome == GHEE_JOB_DONE) say_farewell(&of);
  say_result(&of);
  close_all(&of);
  return 0;
}
