/* SPDX-License-Identifier: Apache-2.0
 * Taking over, on a detached thread: whoever comes last, thread or owner, frees. */
#include "runtime/coordinator/takeover.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/job/folder.h"

struct ghee_takeover {
  ghee_job_spec *spec; /* its own: the coordinator may end before the brokers answer */
  char *run;
  uint32_t sink;
  int fd;
  struct {
    pthread_mutex_t mutex;
    bool over, abandoned;
    ghee_status status;
    ghee_output_mark mark;
    ghee_error failure;
  } locked;
};

static void takeover_free(ghee_takeover *of) {
  pthread_mutex_destroy(&of->locked.mutex);
  if (of->fd >= 0) close(of->fd);
  ghee_job_spec_free(of->spec);
  ghee_free(of->run);
  ghee_free(of);
}

static ghee_status take_over(ghee_takeover *of, ghee_output_mark *mark, ghee_error *err) {
  ghee_output_log *output;
  GHEE_TRY(ghee_output_log_open(of->spec, of->run, of->sink, &output, err));
  ghee_status status = ghee_output_log_last(output, mark, err);
  ghee_output_log_close(output);
  return status;
}

static void *run(void *user) {
  ghee_takeover *of = user;
  ghee_output_mark mark = {0};
  ghee_error failure = {0};
  uint64_t one = 1;
  ghee_status status = take_over(of, &mark, &failure);
  pthread_mutex_lock(&of->locked.mutex);
  of->locked.over = true;
  of->locked.status = status;
  of->locked.mark = mark;
  of->locked.failure = failure;
  bool abandoned = of->locked.abandoned;
  if (!abandoned) (void)!write(of->fd, &one, sizeof one);
  pthread_mutex_unlock(&of->locked.mutex);
  if (abandoned) takeover_free(of);
  return NULL;
}

int ghee_takeover_fd(const ghee_takeover *of) { return of->fd; }

ghee_status ghee_takeover_result(ghee_takeover *of, ghee_output_mark *out, ghee_error *err) {
  pthread_mutex_lock(&of->locked.mutex);
  bool over = of->locked.over;
  ghee_status status = of->locked.status;
  if (over && status == GHEE_OK) *out = of->locked.mark;
  else if (over && err) *err = of->locked.failure;
  pthread_mutex_unlock(&of->locked.mutex);
  if (!over) return GHEE_AGAIN;
  takeover_free(of);
  return status;
}

void ghee_takeover_stop(ghee_takeover *of) {
  if (!of) return;
  pthread_mutex_lock(&of->locked.mutex);
  bool over = of->locked.over;
  of->locked.abandoned = true;
  pthread_mutex_unlock(&of->locked.mutex);
  if (over) takeover_free(of);
}

ghee_status ghee_takeover_start(const char *folder, const char *run_id, uint32_t sink, ghee_takeover **out, ghee_error *err) {
  ghee_takeover *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return ghee_error_no_memory(err, "taking over from a sink");
  pthread_t thread;
  of->sink = sink;
  of->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  pthread_mutex_init(&of->locked.mutex, NULL);
  of->run = ghee_strdup(run_id);
  ghee_status status = of->run ? ghee_job_folder_read_spec(folder, &of->spec, err) : ghee_error_no_memory(err, "taking over from a sink");
  if (status == GHEE_OK && (of->fd < 0 || pthread_create(&thread, NULL, run, of) != 0)) status = ghee_error_set(err, GHEE_IO, "cannot start a thread that takes over from a sink");
  if (status != GHEE_OK) {
    takeover_free(of);
    return status;
  }
  pthread_detach(thread);
  *out = of;
  return GHEE_OK;
}
