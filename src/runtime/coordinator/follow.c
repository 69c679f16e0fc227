/* SPDX-License-Identifier: Apache-2.0
 * Following a topic. The pause between two questions is the only wait for time here. */
#include "runtime/coordinator/follow.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_MS = 250, STOP_MS = 800 };

struct ghee_follow {
  const ghee_job_spec *spec;
  char *group;
  int fd;
  pthread_t thread;
  struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool stopping, failed, to_tell;
    ghee_log_ranges ends;            /* newest; count 0 before the first answer */
    ghee_log_ranges done;            /* to be told */
    ghee_error failure;
  } locked;
};

static void after(int ms, struct timespec *out) {
  clock_gettime(CLOCK_REALTIME, out);
  int64_t ns = out->tv_nsec + (int64_t)ms * 1000000;
  out->tv_sec += ns / 1000000000;
  out->tv_nsec = ns % 1000000000;
}

static void wake(ghee_follow *of) {
  uint64_t one = 1;
  (void)!write(of->fd, &one, sizeof one);
}

static void fail(ghee_follow *of, const ghee_error *failure) {
  pthread_mutex_lock(&of->locked.mutex);
  of->locked.failed = true;
  of->locked.failure = *failure;
  pthread_mutex_unlock(&of->locked.mutex);
  wake(of);
}

/* Tells the topic what is done. Only others look at it, so the job goes on if it fails. */
static void tell(ghee_follow *of, ghee_record_log *log) {
  ghee_log_ranges done;
  ghee_error err;
  pthread_mutex_lock(&of->locked.mutex);
  bool wanted = of->locked.to_tell;
  of->locked.to_tell = false;
  done = of->locked.done;
  of->locked.done = (ghee_log_ranges){0};
  pthread_mutex_unlock(&of->locked.mutex);
  ghee_log_mark *marks = wanted && done.count ? ghee_alloc_zero(done.count, sizeof *marks) : NULL;
  for (size_t i = 0; marks && i < done.count; i++) marks[i] = (ghee_log_mark){.partition = done.items[i].partition, .offset = done.items[i].first};
  if (marks && log->ops->set_marks(log, of->group, marks, done.count, &err) != GHEE_OK) fprintf(stderr, "how far the job is could not be told to the topic: %s\n", err.message);
  ghee_free(marks);
  ghee_array_fini(&done);
}

/* false: stop. */
static bool pause_or_stop(ghee_follow *of) {
  struct timespec until;
  after(PAUSE_MS, &until);
  pthread_mutex_lock(&of->locked.mutex);
  int waited = 0;
  while (!of->locked.stopping && !of->locked.to_tell && waited != ETIMEDOUT) waited = pthread_cond_timedwait(&of->locked.changed, &of->locked.mutex, &until);
  bool go_on = !of->locked.stopping;
  pthread_mutex_unlock(&of->locked.mutex);
  return go_on;
}

static void *run(void *user) {
  ghee_follow *of = user;
  ghee_record_log *log = NULL;
  ghee_error err;
  ghee_status status = ghee_record_log_open(of->spec->input_uris[0], &of->spec->input_options, &log, &err);
  for (bool go_on = true; status == GHEE_OK && go_on; go_on = go_on && pause_or_stop(of)) {
    ghee_log_ranges ends = {0};
    status = log->ops->partitions(log, &ends, &err);
    pthread_mutex_lock(&of->locked.mutex);
    ghee_log_ranges old = of->locked.ends;
    if (status == GHEE_OK) of->locked.ends = ends;
    go_on = !of->locked.stopping;
    pthread_mutex_unlock(&of->locked.mutex);
    ghee_array_fini(status == GHEE_OK ? &old : &ends);
    if (status == GHEE_OK) wake(of);
    if (status == GHEE_OK && go_on) tell(of, log);
  }
  if (status != GHEE_OK) fail(of, &err);
  else tell(of, log);
  ghee_record_log_close(log);
  return NULL;
}

int ghee_follow_fd(const ghee_follow *of) { return of->fd; }

static ghee_status copy_ranges(const ghee_log_ranges *from, ghee_log_ranges *to, ghee_error *err) {
  to->count = 0;
  for (size_t i = 0; i < from->count; i++)
    if (!ghee_array_push(to, from->items[i])) return ghee_error_no_memory(err, "following a topic");
  return GHEE_OK;
}

ghee_status ghee_follow_ends(ghee_follow *of, ghee_log_ranges *out, ghee_error *err) {
  uint64_t count;
  (void)!read(of->fd, &count, sizeof count);
  pthread_mutex_lock(&of->locked.mutex);
  ghee_status status = of->locked.failed ? of->locked.failure.status : of->locked.ends.count ? copy_ranges(&of->locked.ends, out, err) : GHEE_AGAIN;
  if (of->locked.failed && err) *err = of->locked.failure;
  pthread_mutex_unlock(&of->locked.mutex);
  return status;
}

ghee_status ghee_follow_done(ghee_follow *of, const ghee_log_ranges *positions, ghee_error *err) {
  pthread_mutex_lock(&of->locked.mutex);
  ghee_status status = copy_ranges(positions, &of->locked.done, err);
  of->locked.to_tell = status == GHEE_OK;
  pthread_cond_broadcast(&of->locked.changed);
  pthread_mutex_unlock(&of->locked.mutex);
  return status;
}

static void follow_free(ghee_follow *of) {
  ghee_array_fini(&of->locked.ends);
  ghee_array_fini(&of->locked.done);
  pthread_cond_destroy(&of->locked.changed);
  pthread_mutex_destroy(&of->locked.mutex);
  if (of->fd >= 0) close(of->fd);
  ghee_free(of->group);
  ghee_free(of);
}

ghee_status ghee_follow_start(const ghee_job_spec *spec, const char *group, ghee_follow **out, ghee_error *err) {
  ghee_follow *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return ghee_error_no_memory(err, "following a topic");
  of->spec = spec;
  of->group = ghee_strdup(group);
  of->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  pthread_mutex_init(&of->locked.mutex, NULL);
  pthread_cond_init(&of->locked.changed, NULL);
  bool ok = of->group && of->fd >= 0 && pthread_create(&of->thread, NULL, run, of) == 0;
  if (!ok) {
    follow_free(of);
    return ghee_error_set(err, GHEE_IO, "cannot start the thread that follows the input");
  }
  *out = of;
  return GHEE_OK;
}

void ghee_follow_stop(ghee_follow *of) {
  if (!of) return;
  pthread_mutex_lock(&of->locked.mutex);
  of->locked.stopping = true;
  pthread_cond_broadcast(&of->locked.changed);
  pthread_mutex_unlock(&of->locked.mutex);
  struct timespec until;
  after(STOP_MS, &until);
  if (pthread_timedjoin_np(of->thread, NULL, &until) == 0) follow_free(of);
}
