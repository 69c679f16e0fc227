/* SPDX-License-Identifier: Apache-2.0
 * A worker process from its opening to its exit. */
#include "runtime/worker/worker.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "launch/fork_server.h"
#include "launch/gate.h"
#include "runtime/worker/rebatch.h"
#include "transport/control/control.h"

/* ---- shared state ---- */

bool ghee_worker_ending(ghee_worker *worker) {
  pthread_mutex_lock(&worker->locked.mutex);
  bool ending = worker->locked.ending;
  pthread_mutex_unlock(&worker->locked.mutex);
  return ending;
}

void ghee_worker_stop(ghee_worker *worker) {
  pthread_mutex_lock(&worker->locked.mutex);
  worker->locked.ending = true;
  pthread_cond_broadcast(&worker->locked.changed);
  pthread_mutex_unlock(&worker->locked.mutex);
  if (worker->source) ghee_source_cancel(worker->source);
  if (worker->inlet) ghee_inlet_wake(worker->inlet);
  if (worker->outlet) ghee_outlet_cancel(worker->outlet);
  if (worker->output) ghee_output_cancel(worker->output);
  if (worker->train) ghee_train_wake(worker->train);
}

ghee_status ghee_worker_fail(ghee_worker *worker, const ghee_error *failure) {
  pthread_mutex_lock(&worker->locked.mutex);
  bool first = worker->locked.failure == GHEE_OK && !worker->locked.ending;
  if (first) worker->locked.failure = failure->status;
  pthread_mutex_unlock(&worker->locked.mutex);
  if (!first) return failure->status;
  ghee_say_message message = {.what = GHEE_SAY_FAILED, .failed = {.status = failure->status, .message = (char *)failure->message}};
  (void)ghee_link_say(worker->link, &message); /* without a coordinator the exit code tells */
  if (!worker->facts.hosted) fprintf(stderr, "%s\n", failure->message); /* else the host raises it */
  ghee_worker_stop(worker);
  return failure->status;
}
/* ---- life ---- */

static ghee_status start_parts(ghee_worker *worker, ghee_error *err) {
  const char *address = "";
  GHEE_TRY(ghee_mark_open(worker->folder, worker->of->name, worker->index, &worker->mark, err));
  if (!worker->last) GHEE_TRY(ghee_outlet_open(worker, &worker->outlet, err));
  if (worker->of->role == GHEE_ROLE_TRAIN) GHEE_TRY(ghee_train_open(worker, &worker->train, &address, err));
  else if (!worker->first) GHEE_TRY(ghee_inlet_open(worker, &worker->inlet, &address, err));
  if (worker->inlet && worker->of->batch_rows > 0) GHEE_TRY(ghee_rebatch_new(worker->of->batch_rows, &worker->rebatch, err));
  if (worker->last && !worker->train) GHEE_TRY(ghee_output_open(worker, &worker->output, err));
  if (worker->first) GHEE_TRY(ghee_source_start(worker, &worker->source, err));
  return ghee_link_start(worker, address, err);
}

static void stop_parts(ghee_worker *worker) {
  ghee_worker_stop(worker);
  ghee_link_stop(worker->link); /* nothing is heard from now on: what it would be handed to may go */
  ghee_source_stop(worker->source);
  ghee_output_close(worker->output);
  ghee_outlet_close(worker->outlet);
  ghee_rebatch_free(worker->rebatch);
  ghee_inlet_close(worker->inlet);
  ghee_train_close(worker->train);
  ghee_link_free(worker->link);
  if (worker->mark) ghee_mark_close(worker->mark);
  worker->source = NULL;
  worker->output = NULL;
  worker->link = NULL;
  worker->outlet = NULL;
  worker->inlet = NULL;
  worker->rebatch = NULL;
  worker->train = NULL;
  worker->mark = NULL;
}

/* From now on the worker can be ended from outside. False: it already was. */
static bool begin(ghee_worker *worker) {
  pthread_mutex_lock(&worker->locked.mutex);
  worker->locked.ready = true;
  worker->locked.told = worker->link;
  bool go = !worker->locked.ended;
  pthread_mutex_unlock(&worker->locked.mutex);
  return go;
}

void ghee_worker_end(ghee_worker *worker) {
  pthread_mutex_lock(&worker->locked.mutex);
  worker->locked.ended = true;
  if (worker->locked.told) ghee_link_end(worker->locked.told);
  pthread_mutex_unlock(&worker->locked.mutex);
}

static void no_end_any_more(ghee_worker *worker) {
  pthread_mutex_lock(&worker->locked.mutex);
  worker->locked.told = NULL;
  pthread_mutex_unlock(&worker->locked.mutex);
}

static ghee_status train(ghee_worker *worker, const ghee_worker_ops *ops, void *user, ghee_error *err) {
  char *path = ghee_job_folder_file(worker->folder, "value.tmp");
  if (!path) return ghee_error_no_memory(err, "training");
  worker->mark->busy = 0;
  ghee_status status = ops->train(user, worker, path, err);
  bool has_value = status == GHEE_OK && worker->index == 0 && access(path, R_OK) == 0;
  if (has_value) status = ghee_file_sync(path, err);
  ghee_free(path);
  return status == GHEE_OK ? ghee_train_finish(worker->train, has_value ? "value.tmp" : "", err) : status;
}

ghee_status ghee_worker_run(ghee_worker *worker, const ghee_worker_ops *ops, void *user, ghee_error *err) {
  ghee_error failure = {0};
  ghee_status status = start_parts(worker, &failure);
  if (status == GHEE_OK && !begin(worker)) {
    status = GHEE_CANCELED;
  } else if (status == GHEE_OK) {
    ghee_worker_say_ready(worker);
    status = worker->train ? train(worker, ops, user, &failure) : ghee_worker_loop(worker, ops, user, &failure);
    if (status != GHEE_OK && status != GHEE_CANCELED) ghee_worker_fail(worker, &failure);
  } else if (worker->link) {
    ghee_worker_fail(worker, &failure);
  } else {
    (void)ghee_worker_report(worker, &failure, NULL);
  }
  no_end_any_more(worker);
  if (ghee_worker_ending(worker) && worker->locked.failure == GHEE_OK && (status == GHEE_CANCELED || status == GHEE_OK)) status = GHEE_OK;
  if (status != GHEE_OK && err) *err = failure;
  stop_parts(worker);
  return status;
}

static ghee_status find_stage(ghee_worker *worker, const char *name, ghee_error *err) {
  for (uint32_t i = 0; i < worker->spec->n_stages; i++) {
    if (strcmp(worker->spec->stages[i].name, name) != 0) continue;
    worker->stage = i;
    worker->of = &worker->spec->stages[i];
    worker->first = i == 0;
    worker->last = i + 1 == worker->spec->n_stages;
    return GHEE_OK;
  }
  return ghee_error_set(err, GHEE_NOT_FOUND, "the job has no stage %s", name);
}

static ghee_status check_code(ghee_worker *worker, ghee_error *err) {
  const char *run = worker->of->run;
  if (!run || strncmp(run, "code:", 5) != 0) return GHEE_OK;
  GHEE_TRY(ghee_job_folder_check_code(worker->folder, run + 5, &worker->key, err));
  char *name = ghee_asprintf("code/%s", run + 5);
  worker->code_path = name ? ghee_job_folder_file(worker->folder, name) : NULL;
  ghee_free(name);
  return worker->code_path ? GHEE_OK : ghee_error_no_memory(err, "opening a worker");
}

/* Batches come and go, each as large as the one before: their pages are kept, since giving them back and faulting them in again would cost
 * more than what is done to them. Few arenas, or each thread would keep its own. */
static void keep_pages(void) {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
  mallopt(M_ARENA_MAX, 2);
}

ghee_status ghee_worker_open(const char *folder, const char *stage, ghee_worker **out, ghee_error *err) {
  ghee_launch_pass_gate();
  ghee_log_to_stderr(GHEE_LOG_INFO);
  keep_pages();
  ghee_worker *worker = ghee_alloc_zero(1, sizeof *worker);
  if (!worker) return ghee_error_no_memory(err, "opening a worker");
  pthread_mutex_init(&worker->locked.mutex, NULL);
  pthread_cond_init(&worker->locked.changed, NULL);
  ghee_attempts_init(&worker->attempts);
  ghee_status status = (worker->folder = ghee_strdup(folder)) ? GHEE_OK : ghee_error_no_memory(err, "opening a worker");
  char *plan_path = ghee_job_folder_file(folder, "plan");
  if (status == GHEE_OK && !plan_path) status = ghee_error_no_memory(err, "opening a worker");
  if (status == GHEE_OK) status = ghee_job_folder_read_key(folder, &worker->key, err);
  if (status == GHEE_OK) status = ghee_job_folder_read_spec(folder, &worker->spec, err);
  if (status == GHEE_OK) worker->transport = worker->spec->transport == GHEE_TRANSPORT_ZMQ ? &ghee_stream_zmq : &ghee_stream_shm;
  if (status == GHEE_OK) status = ghee_launch_facts_read(folder, &worker->facts, err);
  if (status == GHEE_OK) status = ghee_plan_load(plan_path, &worker->plan, err);
  if (status == GHEE_OK) status = find_stage(worker, stage, err);
  if (status == GHEE_OK) status = check_code(worker, err);
  ghee_free(plan_path);
  if (status != GHEE_OK) {
    ghee_worker_close(worker);
    return status;
  }
  *out = worker;
  return GHEE_OK;
}

void ghee_worker_close(ghee_worker *worker) {
  if (!worker) return;
  for (int i = 0; i < GHEE_MAX_STAGES; i++) ghee_schema_unref(worker->locked.fixed[i]);
  ghee_plan_free(worker->plan);
  ghee_job_spec_free(worker->spec);
  ghee_launch_facts_fini(&worker->facts);
  ghee_attempts_fini(&worker->attempts);
  ghee_buffer_fini(&worker->rejects);
  ghee_free(worker->folder);
  ghee_free(worker->code_path);
  pthread_cond_destroy(&worker->locked.changed);
  pthread_mutex_destroy(&worker->locked.mutex);
  ghee_free(worker);
}

ghee_status ghee_worker_fork_server(ghee_worker *worker, bool *child, ghee_error *err) {
  char *logs = ghee_job_folder_file(worker->folder, "logs");
  if (!logs) return ghee_error_no_memory(err, "starting a fork server");
  ghee_status status = ghee_fork_server_run(worker->folder, worker->key.secret_key, worker->of->name, &worker->facts.client, logs,
                                            &worker->index, child, err);
  ghee_free(logs);
  return status;
}

ghee_status ghee_worker_set_index(ghee_worker *worker, uint32_t index, ghee_error *err) {
  if (index >= worker->of->workers)
    return ghee_error_set(err, GHEE_USAGE, "worker %u is asked for, stage %s has %u", index, worker->of->name, worker->of->workers);
  worker->index = index;
  return GHEE_OK;
}

/* Before the link runs: a connection of its own, as any worker's: HELLO, then the failure. */
ghee_status ghee_worker_report(ghee_worker *worker, const ghee_error *failure, ghee_error *err) {
  char *path = ghee_job_folder_file(worker->folder, "control.sock");
  if (!path) return ghee_error_no_memory(err, "reporting a failure");
  ghee_control_client *control;
  ghee_status status = ghee_control_client_open(path, worker->key.secret_key, &control, err);
  ghee_free(path);
  GHEE_TRY(status);
  ghee_say_message said[] = {
      {.what = GHEE_SAY_HELLO, .hello = {.stage = worker->stage, .worker = worker->index, .pid = getpid(), .address = (char *)""}},
      {.what = GHEE_SAY_FAILED, .failed = {.status = failure->status, .message = (char *)failure->message}}};
  for (int i = 0; i < 2 && status == GHEE_OK; i++) {
    ghee_buffer bytes = {0};
    status = ghee_say_encode(&said[i], &bytes, err);
    if (status == GHEE_OK) status = ghee_control_client_send(control, bytes.data, bytes.size, err);
    ghee_buffer_fini(&bytes);
  }
  ghee_control_client_close(control);
  return status;
}

void ghee_worker_exit(ghee_worker *worker, ghee_status status) {
  (void)worker;
  fflush(NULL);
  _exit(status);
}
/* ---- facts ---- */

const char *ghee_worker_run_text(const ghee_worker *worker) { return worker->of->run ? worker->of->run : ""; }
const char *ghee_worker_code_path(const ghee_worker *worker) { return worker->code_path; }
const char *ghee_worker_args_json(const ghee_worker *worker) { return worker->of->args_json; }
const char *ghee_worker_folder(const ghee_worker *worker) { return worker->facts.module_folder; }
bool ghee_worker_same_rows(const ghee_worker *worker) { return worker->of->same_rows; }
int64_t ghee_worker_batch_rows(const ghee_worker *worker) { return worker->of->batch_rows; }
uint32_t ghee_worker_count(const ghee_worker *worker) { return worker->of->workers; }
uint32_t ghee_worker_index(const ghee_worker *worker) { return worker->index; }

const char *ghee_worker_form(const ghee_worker *worker) {
  static const char *const names[] = {"numpy", "arrow", "pandas", "rows", "torch"};
  return names[worker->of->form];
}

const char *ghee_worker_role(const ghee_worker *worker) {
  static const char *const names[] = {"read", "preprocess", "train", "predict", "postprocess"};
  return names[worker->of->role];
}
