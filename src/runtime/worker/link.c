/* SPDX-License-Identifier: Apache-2.0
 * A worker's line to the coordinator: one thread that connects (again after the coordinator's death), hands on what comes,
 * reports metrics, and watches what must end the worker: the client's death, a call over its time, memory over its limit. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "runtime/worker/worker.h"
#include "transport/control/control.h"

enum {
  TICK_MS = 200,        /* metrics, limits */
  RETRY_MS = 10,        /* between attempts to find the new coordinator */
  LOG_BYTES = 16 << 20  /* a worker's log is cut when it passes this */
};

struct ghee_link {
  ghee_worker *worker;
  char *address, *socket_path;
  int client_fd, wake_fd;
  pthread_t thread;
  struct {
    pthread_mutex_t mutex;
    ghee_control_client *control; /* NULL: not connected */
    bool stopping, end;
  } locked;
  ghee_say_metrics said;          /* last metrics */
};

ghee_status ghee_link_say(ghee_link *link, const ghee_say_message *message) {
  ghee_buffer bytes = {0};
  ghee_status status = ghee_say_encode(message, &bytes, NULL);
  if (status == GHEE_OK) {
    pthread_mutex_lock(&link->locked.mutex);
    status = link->locked.control ? ghee_control_client_send(link->locked.control, bytes.data, bytes.size, NULL) : GHEE_CLOSED;
    pthread_mutex_unlock(&link->locked.mutex);
  }
  ghee_buffer_fini(&bytes);
  return status;
}

static ghee_status say_hello(ghee_link *link) {
  ghee_worker *worker = link->worker;
  ghee_say_message message = {.what = GHEE_SAY_HELLO,
                              .hello = {.stage = worker->stage, .worker = worker->index, .pid = getpid(), .address = link->address}};
  pthread_mutex_lock(&worker->locked.mutex);
  message.hello.generation = worker->locked.generation;
  pthread_mutex_unlock(&worker->locked.mutex);
  ghee_status status = GHEE_OK;
  if (worker->output && !ghee_output_accepted(worker->output, &message.hello)) status = GHEE_NO_MEMORY;
  if (worker->train) ghee_train_hello(worker->train, &message.hello);
  if (status == GHEE_OK) status = ghee_link_say(link, &message);
  ghee_array_fini(&message.hello.accepted);
  return status;
}

static void disconnect(ghee_link *link) {
  pthread_mutex_lock(&link->locked.mutex);
  ghee_control_client *old = link->locked.control;
  link->locked.control = NULL;
  pthread_mutex_unlock(&link->locked.mutex);
  if (old) ghee_control_client_close(old);
}

static bool connect_once(ghee_link *link, ghee_error *err) {
  ghee_control_client *control;
  if (ghee_control_client_open(link->socket_path, link->worker->key.secret_key, &control, err) != GHEE_OK) return false;
  pthread_mutex_lock(&link->locked.mutex);
  link->locked.control = control;
  pthread_mutex_unlock(&link->locked.mutex);
  if (say_hello(link) == GHEE_OK) return true;
  disconnect(link);
  return false;
}

/* The job has no user any more: nothing that we could still do would be of use. */
static void leave_if_client_died(ghee_link *link) {
  struct pollfd fd = {.fd = link->client_fd, .events = POLLIN};
  if (poll(&fd, 1, 0) > 0 && (fd.revents & POLLIN)) _exit(GHEE_CANCELED);
}

/* Resident pages of this process; 0 if unknown. Cheap, unlike a proportional count. */
static uint64_t resident_bytes(void) {
  unsigned long long all = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "re");
  if (!file) return 0;
  if (fscanf(file, "%llu %llu", &all, &resident) != 2) resident = 0;
  fclose(file);
  return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void say_metrics(ghee_link *link) {
  ghee_worker *worker = link->worker;
  ghee_meter *meter = &worker->meter;
  ghee_say_metrics now = {
      .busy_ns = meter->busy_ns, .starved_ns = meter->starved_ns, .blocked_ns = meter->blocked_ns, .batches = meter->batches,
      .rows_in = meter->rows_in, .rows_out = meter->rows_out, .memory_bytes = resident_bytes(),
      .first_batch_ns = meter->first_batch_ns};
  if (worker->train) now.place = ghee_train_place(worker->train);
  if (memcmp(&now, &link->said, sizeof now) == 0) return;
  link->said = now;
  ghee_say_message message = {.what = GHEE_SAY_METRICS, .metrics = now};
  (void)ghee_link_say(link, &message); /* totals: the next report makes up for a lost one */
}

static void fail_and_leave(ghee_link *link, const ghee_error *failure) {
  ghee_say_message message = {.what = GHEE_SAY_FAILED, .failed = {.status = failure->status, .message = (char *)failure->message}};
  (void)ghee_link_say(link, &message);
  fprintf(stderr, "%s\n", failure->message);
  _exit(failure->status);
}

static void check_limits(ghee_link *link) {
  ghee_worker *worker = link->worker;
  ghee_error failure;
  uint64_t since = worker->mark->since_ms, limit = worker->of->timeout_ms;
  if (limit && worker->mark->busy && since && ghee_clock_ms() > since + limit) {
    ghee_error_set(&failure, GHEE_TIMEOUT,
                   "the function has not returned within its limit of %.1f s, at chunk %llu, batch %llu of epoch %llu: raise `timeout` or "
                   "look why it waits", limit / 1e3, (unsigned long long)worker->mark->chunk, (unsigned long long)worker->mark->seq,
                   (unsigned long long)worker->mark->epoch);
    fail_and_leave(link, &failure);
  }
  limit = worker->of->memory_bytes;
  if (limit && link->said.memory_bytes > limit) {
    ghee_error_set(&failure, GHEE_LIMIT,
                   "the worker uses %llu MiB, more than the stage's `memory` of %llu MiB: raise it, or look for what the function keeps",
                   (unsigned long long)(link->said.memory_bytes >> 20), (unsigned long long)(limit >> 20));
    fail_and_leave(link, &failure);
  }
  struct stat st;
  if (worker->facts.hosted) return; /* its output is not a log of ours */
  if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > LOG_BYTES && ftruncate(STDOUT_FILENO, 0) == 0)
    dprintf(STDOUT_FILENO, "(what was printed before is cut: over %d MiB)\n", LOG_BYTES >> 20);
}

/* Everything that has come; false when the coordinator is gone. */
static bool receive_all(ghee_link *link) {
  for (;;) {
    const void *data;
    size_t size;
    ghee_error err;
    ghee_status status = ghee_control_client_receive(link->locked.control, &data, &size, &err);
    if (status == GHEE_AGAIN) return true;
    if (status != GHEE_OK) return false;
    ghee_say_message message;
    if (ghee_say_decode(data, size, &message, &err) != GHEE_OK) {
      ghee_log(GHEE_LOG_ERROR, "message of the coordinator dropped: %s", err.message);
      continue;
    }
    ghee_worker_heard(link->worker, &message);
    ghee_say_fini(&message);
  }
}

static bool stopping(ghee_link *link) {
  pthread_mutex_lock(&link->locked.mutex);
  bool stop = link->locked.stopping, end = link->locked.end;
  link->locked.end = false;
  pthread_mutex_unlock(&link->locked.mutex);
  if (end) ghee_worker_stop(link->worker);
  return stop;
}

static void wake(ghee_link *link) {
  uint64_t one = 1;
  if (write(link->wake_fd, &one, sizeof one) < 0) abort(); /* an eventfd that we own takes a 1 */
}

static void be_awake(ghee_link *link) {
  uint64_t wakes;
  (void)!read(link->wake_fd, &wakes, sizeof wakes); /* does not block */
}

static void *run(void *user) {
  ghee_link *link = user;
  uint64_t tick = ghee_clock_ms() + TICK_MS;
  while (!stopping(link)) {
    bool connected = link->locked.control != NULL; /* only this thread changes it */
    struct pollfd fds[] = {{.fd = link->client_fd, .events = POLLIN},
                           {.fd = link->wake_fd, .events = POLLIN},
                           {.fd = connected ? ghee_control_client_fd(link->locked.control) : -1, .events = POLLIN}};
    uint64_t now = ghee_clock_ms();
    int wait_ms = !connected ? RETRY_MS : now >= tick ? 0 : (int)(tick - now);
    if (poll(fds, 3, wait_ms) < 0 && errno != EINTR) break;
    leave_if_client_died(link);
    be_awake(link);
    if (connected && fds[2].revents && !receive_all(link)) {
      disconnect(link);
      connected = false;
    }
    if (!connected) (void)connect_once(link, NULL);
    if (ghee_clock_ms() >= tick) {
      tick = ghee_clock_ms() + TICK_MS;
      say_metrics(link);
      check_limits(link);
    }
  }
  return NULL;
}

ghee_status ghee_link_start(ghee_worker *worker, const char *address, ghee_error *err) {
  ghee_link *link = ghee_alloc_zero(1, sizeof *link);
  if (!link) return ghee_error_no_memory(err, "starting the link to the coordinator");
  link->worker = worker;
  link->client_fd = -1;
  link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  link->address = ghee_strdup(address ? address : "");
  link->socket_path = ghee_job_folder_file(worker->folder, "control.sock");
  pthread_mutex_init(&link->locked.mutex, NULL);
  ghee_status status = link->wake_fd < 0 ? ghee_error_set_errno(err, errno, "cannot make an eventfd")
                       : link->address && link->socket_path
                           ? ghee_process_open(&worker->facts.client, &link->client_fd, err)
                           : ghee_error_no_memory(err, "starting the link to the coordinator");
  if (status == GHEE_NOT_FOUND) _exit(GHEE_CANCELED); /* the client died before we began */
  worker->link = link; /* the first message may come before we return */
  if (status == GHEE_OK && pthread_create(&link->thread, NULL, run, link) != 0)
    status = ghee_error_set(err, GHEE_IO, "cannot start the thread that talks to the coordinator");
  if (status != GHEE_OK) {
    worker->link = NULL;
    ghee_link_free(link);
  }
  return status;
}

void ghee_link_end(ghee_link *link) {
  pthread_mutex_lock(&link->locked.mutex);
  link->locked.end = true;
  pthread_mutex_unlock(&link->locked.mutex);
  wake(link);
}

void ghee_link_stop(ghee_link *link) {
  if (!link) return;
  pthread_mutex_lock(&link->locked.mutex);
  link->locked.stopping = true;
  pthread_mutex_unlock(&link->locked.mutex);
  wake(link);
  pthread_join(link->thread, NULL);
  say_metrics(link);
  ghee_say_message bye = {.what = GHEE_SAY_BYE};
  (void)ghee_link_say(link, &bye);
  disconnect(link);
}

void ghee_link_free(ghee_link *link) {
  if (!link) return;
  close(link->client_fd);
  close(link->wake_fd);
  ghee_free(link->address);
  ghee_free(link->socket_path);
  pthread_mutex_destroy(&link->locked.mutex);
  ghee_free(link);
}
