/* SPDX-License-Identifier: Apache-2.0
 * What the coordinator says, and the columns that all workers of a stage agree on through it. */
#include "base/log.h"
#include "runtime/worker/worker.h"

/* ---- schemas ---- */

ghee_schema *ghee_worker_fixed(ghee_worker *worker, uint32_t stage) {
  pthread_mutex_lock(&worker->locked.mutex);
  ghee_schema *schema = worker->locked.fixed[stage] ? ghee_schema_ref(worker->locked.fixed[stage]) : NULL;
  pthread_mutex_unlock(&worker->locked.mutex);
  return schema;
}

static void learn_fixed(ghee_worker *worker, const ghee_say_schema *said) {
  ghee_schema *schema;
  ghee_error err;
  if (said->stage >= GHEE_MAX_STAGES || ghee_schema_decode(said->data, said->size_bytes, &schema, &err) != GHEE_OK) {
    ghee_log(GHEE_LOG_ERROR, "a schema of the coordinator cannot be read");
    return;
  }
  pthread_mutex_lock(&worker->locked.mutex);
  ghee_schema_unref(worker->locked.fixed[said->stage]);
  worker->locked.fixed[said->stage] = schema;
  pthread_cond_broadcast(&worker->locked.changed);
  pthread_mutex_unlock(&worker->locked.mutex);
}

static ghee_status propose(ghee_worker *worker, const ghee_schema *schema, ghee_error *err) {
  ghee_buffer bytes = {0};
  ghee_status status = ghee_schema_encode(schema, &bytes, err);
  ghee_say_message message = {.what = GHEE_SAY_SCHEMA, .schema = {.stage = worker->stage, .data = bytes.data, .size_bytes = bytes.size}};
  if (status == GHEE_OK) (void)ghee_link_say(worker->link, &message);
  ghee_buffer_fini(&bytes);
  return status;
}

ghee_status ghee_worker_agree(ghee_worker *worker, const ghee_schema *schema, ghee_schema **out, ghee_error *err) {
  uint32_t asked = 0; /* generation that was asked */
  pthread_mutex_lock(&worker->locked.mutex);
  while (!worker->locked.fixed[worker->stage] && !worker->locked.ending) {
    if (asked == worker->locked.generation) {
      pthread_cond_wait(&worker->locked.changed, &worker->locked.mutex);
      continue;
    }
    asked = worker->locked.generation;
    pthread_mutex_unlock(&worker->locked.mutex);
    GHEE_TRY(propose(worker, schema, err));
    pthread_mutex_lock(&worker->locked.mutex);
  }
  ghee_schema *fixed = worker->locked.fixed[worker->stage];
  if (fixed) *out = ghee_schema_ref(fixed);
  pthread_mutex_unlock(&worker->locked.mutex);
  return fixed ? GHEE_OK : GHEE_CANCELED;
}

ghee_status ghee_worker_fix_schema(ghee_worker *worker, ghee_batch *batch, ghee_error *err) {
  ghee_schema *fixed;
  GHEE_TRY(ghee_worker_agree(worker, batch->schema, &fixed, err));
  ghee_status status = GHEE_OK;
  if (!ghee_schema_equal(fixed, batch->schema)) {
    ghee_batch cast = {0};
    status = ghee_batch_cast(batch, fixed, &cast, err);
    if (status == GHEE_OK) *batch = cast;
    else {
      ghee_error_prefix(err, "%s gives other columns than in its first batch", worker->of->name);
      ghee_error_suffix(err, "; give the same columns and types each time (astype helps)");
    }
  }
  ghee_schema_unref(fixed);
  return status;
}
/* ---- what the coordinator says ---- */

static void sweep(ghee_worker *worker) {
  if (worker->source) ghee_source_sweep(worker->source);
  if (worker->outlet) ghee_outlet_sweep(worker->outlet);
  if (worker->output) ghee_output_sweep(worker->output);
}

void ghee_worker_say_ready(ghee_worker *worker) {
  ghee_say_message ready = {.what = GHEE_SAY_READY};
  (void)ghee_link_say(worker->link, &ready);
}

static void welcome(ghee_worker *worker, const ghee_say_welcome *said) {
  pthread_mutex_lock(&worker->locked.mutex);
  bool again = worker->locked.generation != 0 && said->generation != worker->locked.generation;
  worker->locked.generation = said->generation;
  bool ready = worker->locked.ready;
  pthread_cond_broadcast(&worker->locked.changed);
  pthread_mutex_unlock(&worker->locked.mutex);
  if (ready) ghee_worker_say_ready(worker);
  if (again) {
    ghee_attempt all = {.chunk = UINT32_MAX, .token = ((uint64_t)said->generation << 32) - 1};
    ghee_attempts_revoke(&worker->attempts, &all);
    sweep(worker);
    if (worker->output) ghee_output_restart(worker->output);
  }
  if (worker->source) ghee_source_restart(worker->source);
  if (worker->train) ghee_train_welcome(worker->train, said);
}

void ghee_worker_heard(ghee_worker *worker, const ghee_say_message *message) {
  switch (message->what) {
    case GHEE_SAY_WELCOME: welcome(worker, &message->welcome); break;
    case GHEE_SAY_PEER: if (worker->outlet) ghee_outlet_peer(worker->outlet, &message->peer); break;
    case GHEE_SAY_NO_PEER: if (worker->outlet) ghee_outlet_no_peer(worker->outlet, message->peer.worker); break;
    case GHEE_SAY_LEASE: if (worker->source) ghee_source_lease(worker->source, &message->lease); break;
    case GHEE_SAY_REVOKE:
    case GHEE_SAY_REFUSE:
      ghee_attempts_revoke(&worker->attempts, &message->attempt);
      sweep(worker);
      break;
    case GHEE_SAY_ACCEPT: if (worker->output) ghee_output_accept(worker->output, &message->attempt); break;
    case GHEE_SAY_COMMITTED: if (worker->output) ghee_output_committed(worker->output, message->ticket); break;
    case GHEE_SAY_FLUSH: if (worker->output) ghee_output_flush(worker->output); break;
    case GHEE_SAY_FIXED_SCHEMA: learn_fixed(worker, &message->schema); break;
    case GHEE_SAY_GO: if (worker->train) ghee_train_go(worker->train, &message->step); break;
    case GHEE_SAY_STORED: if (worker->train) ghee_train_stored(worker->train, message->ticket); break;
    case GHEE_SAY_END: ghee_worker_stop(worker); break;
    default: ghee_log(GHEE_LOG_ERROR, "the coordinator said %d, which is not for workers", message->what);
  }
}
