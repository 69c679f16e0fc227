/* SPDX-License-Identifier: Apache-2.0
 * The workers of a job: started, welcomed, introduced to each other, leased to, buried. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "runtime/coordinator/coordinator.h"

enum { MOST_EARLY_DEATHS = 3, MOST_LOG_LINES = 1000 };

/* ---- talking ---- */

void ghee_crew_say(ghee_coordinator *of, const ghee_crew_member *to, const ghee_say_message *message) {
  ghee_buffer bytes = {0};
  if (to->peer && ghee_say_encode(message, &bytes, NULL) == GHEE_OK)
    (void)ghee_control_server_send(of->control, to->peer, bytes.data, bytes.size, NULL); /* a dead one is buried by its event */
  ghee_buffer_fini(&bytes);
}

void ghee_crew_tell(ghee_coordinator *of, uint32_t stage, const ghee_say_message *message) {
  for (uint32_t s = 0; s < of->spec->n_stages; s++)
    for (uint32_t i = 0; (stage == UINT32_MAX || stage == s) && of->crews[s].members && i < of->crews[s].of->workers; i++)
      ghee_crew_say(of, &of->crews[s].members[i], message);
}

void ghee_crew_revoke(ghee_coordinator *of, const ghee_attempt *attempt) {
  ghee_say_message message = {.what = GHEE_SAY_REVOKE, .attempt = *attempt};
  ghee_crew_tell(of, UINT32_MAX, &message);
}


/* ---- starting ---- */

typedef GHEE_ARRAY(const char *) texts;

static bool worker_command(ghee_coordinator *of, const ghee_stage_spec *stage, texts *argv, char **own) {
  bool ok = true;
  if (stage->native) {
    const char *programs = getenv("GHEE_PROGRAMS");
    *own = programs ? ghee_asprintf("%s/ghee-worker", programs) : ghee_strdup("ghee-worker");
    ok = *own && ghee_array_push(argv, *own);
  } else {
    for (char **at = of->facts.python; *at && ok; at++) ok = ghee_array_push(argv, *at);
    ok = ok && ghee_array_push(argv, "-m") && ghee_array_push(argv, "ghee._worker");
  }
  return ok && ghee_array_push(argv, "--job") && ghee_array_push(argv, of->folder) && ghee_array_push(argv, "--stage") &&
         ghee_array_push(argv, stage->name) && ghee_array_push(argv, NULL);
}

static bool worker_env(const ghee_stage_spec *stage, texts *env) {
  bool ok = true, threads = getenv("OMP_NUM_THREADS") != NULL;
  for (const char *const *at = stage->env; *at && ok; at++) {
    ok = ghee_array_push(env, *at);
    threads |= strncmp(*at, "OMP_NUM_THREADS=", 16) == 0;
  }
  bool cpu_stage = stage->role != GHEE_ROLE_TRAIN && stage->role != GHEE_ROLE_PREDICT;
  if (ok && cpu_stage && !threads) ok = ghee_array_push(env, "OMP_NUM_THREADS=1");
  return ok && ghee_array_push(env, NULL);
}

ghee_status ghee_crew_open(ghee_coordinator *of, ghee_error *err) {
  ghee_launch_stage stages[GHEE_MAX_STAGES];
  texts argv[GHEE_MAX_STAGES] = {{0}}, env[GHEE_MAX_STAGES] = {{0}};
  char *own[GHEE_MAX_STAGES] = {NULL}, *logs = ghee_job_folder_file(of->folder, "logs");
  uint32_t n = of->spec->n_stages;
  bool ok = logs != NULL;
  for (uint32_t s = 0; s < n && ok; s++) {
    const ghee_stage_spec *stage = &of->spec->stages[s];
    of->crews[s].of = stage;
    of->crews[s].members = ghee_alloc_zero(stage->workers, sizeof *of->crews[s].members);
    ok = of->crews[s].members && worker_command(of, stage, &argv[s], &own[s]) && worker_env(stage, &env[s]);
    for (uint32_t i = 0; ok && i < stage->workers; i++) of->crews[s].members[i].wanted = true;
    /* Ranks hold CUDA contexts and threads of their own: each is a process of its own. */
    stages[s] = (ghee_launch_stage){.name = stage->name, .workers = stage->workers, .argv = argv[s].items, .env = env[s].items, .log_folder = logs,
                                    .fork = stage->workers > 1 && stage->role != GHEE_ROLE_TRAIN, .hosted = of->facts.hosted && !stage->native};
  }
  ghee_status status = ok ? ghee_launcher_local.open(of->folder, of->key.secret_key, stages, n, &of->launcher, err) : ghee_error_no_memory(err, "opening the job");
  for (uint32_t s = 0; s < n; s++) {
    ghee_array_fini(&argv[s]);
    ghee_array_fini(&env[s]);
    ghee_free(own[s]);
  }
  ghee_free(logs);
  of->recovering = of->generation > 1;
  bool planned = of->spec->train && of->spec->order == GHEE_ORDER_PLANNED;
  return status == GHEE_OK ? ghee_lanes_init(&of->lanes, of->spec->stages[0].workers, planned ? ghee_plan_totals_of(of->plan)->interleave : 0, err) : status;
}

static void forget_life(ghee_crew_member *member) {
  ghee_say_metrics *before = &member->before, *now = &member->now;
  before->busy_ns += now->busy_ns;
  before->starved_ns += now->starved_ns;
  before->blocked_ns += now->blocked_ns;
  before->batches += now->batches;
  before->rows_in += now->rows_in;
  before->rows_out += now->rows_out;
  if (!before->first_batch_ns) before->first_batch_ns = now->first_batch_ns;
  *now = (ghee_say_metrics){0};
  ghee_free(member->address);
  ghee_free(member->checkpoint_file);
  ghee_free(member->result_file);
  ghee_buffer_fini(&member->checkpoint_position);
  ghee_commits_forget_files(member);
  member->address = member->checkpoint_file = member->result_file = NULL;
  member->running = member->ready = member->said_step = member->said_checkpoint = member->said_result = false;
  member->peer = 0;
}

void ghee_crew_close(ghee_coordinator *of) {
  ghee_lanes_fini(&of->lanes);
  for (uint32_t s = 0; s < GHEE_MAX_STAGES; s++) {
    for (uint32_t i = 0; of->crews[s].members && i < of->crews[s].of->workers; i++) {
      forget_life(&of->crews[s].members[i]);
      ghee_takeover_stop(of->crews[s].members[i].takeover);
    }
    ghee_free(of->crews[s].members);
    ghee_buffer_fini(&of->crews[s].schema);
  }
}

/* ---- deaths ---- */

static char *tail_of(ghee_coordinator *of, char *name) {
  char *path = name ? ghee_job_folder_file(of->folder, name) : NULL, *tail = path ? ghee_process_tail(path, 12, 1500) : NULL;
  ghee_free(name);
  ghee_free(path);
  return tail;
}

/* What a worker printed last; where that is nothing, what its fork server did. */
static char *log_tail(ghee_coordinator *of, uint32_t stage, uint32_t worker) {
  const char *name = of->crews[stage].of->name;
  char *tail = tail_of(of, ghee_asprintf("logs/%s-%u.log", name, worker));
  if (tail && *tail) return tail;
  ghee_free(tail);
  return tail_of(of, ghee_asprintf("logs/%s-server.log", name));
}

/* A worker that the kernel has killed for want of memory is begun again, but its user should know. */
static void tell_oom(ghee_coordinator *of, uint32_t stage, uint32_t worker, int status) {
  uint64_t kills = status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? ghee_process_oom_kills() : 0;
  if (kills <= of->oom_told) return;
  of->oom_told = kills;
  ghee_coordinator_line(of, "%s-%u was killed by the kernel for want of memory (%llu processes of this control group since the job began): take fewer workers, smaller "
                        "batches or a smaller buffer, or give it more memory", of->crews[stage].of->name, worker, (unsigned long long)(kills - of->oom_before));
}

/* "" or what helps against a Python that has no ghee, or that is none: it ends at once, and says so or nothing at all. */
static const char *python_hint(const ghee_crew *crew, uint32_t worker, int status, const char *tail) {
  bool silent = !tail || !*tail, early = crew->members[worker].early_deaths > 0;
  if (crew->of->native || !early || status == -1 || !WIFEXITED(status) || !(silent || strstr(tail, "No module named 'ghee'"))) return "";
  return "; if its Python has no ghee, set GHEE_PYTHON to one that has";
}

static ghee_status crashed(ghee_coordinator *of, uint32_t stage, uint32_t worker, int status, const char *where, uint32_t deaths, ghee_error *err) {
  char how[128], *tail = log_tail(of, stage, worker);
  ghee_error_set(err, GHEE_CRASHED, "%s died %u times %s: its worker %u %s%s%s; `max_crashes` says after how many deaths to stop%s%s", of->crews[stage].of->name,
                 deaths, where, worker, ghee_process_status_text(status, how, sizeof how),
                 of->oom_told > of->oom_before ? " (the latter, says the kernel)" : "", python_hint(&of->crews[stage], worker, status, tail),
                 tail && *tail ? "; it printed last:\n" : "", tail ? tail : "");
  ghee_free(tail);
  return GHEE_CRASHED;
}

/* "in batch 3 of chunk 7 (file:/… and 2 more files)" */
static void describe_batch(ghee_coordinator *of, const ghee_crash *at, char *out, size_t size) {
  uint32_t parts = at->chunk < of->chunks.chunks ? ghee_plan_chunk_parts(of->plan, at->epoch, at->chunk) : 0;
  if (parts == 0) {
    snprintf(out, size, "in batch %u of chunk %u", at->seq, at->chunk);
    return;
  }
  ghee_plan_part part = ghee_plan_chunk_part(of->plan, at->epoch, at->chunk, 0);
  int64_t rows = of->crews[0].of->batch_rows;
  if (of->spec->shuffle || of->spec->filter || part.first_row == UINT64_MAX || parts > 1)
    snprintf(out, size, "in batch %u of chunk %u (%s%s)", at->seq, at->chunk, part.uri, parts > 1 ? " and following parts" : "");
  else
    snprintf(out, size, "in batch %u of chunk %u (rows %llu to %llu of %s)", at->seq, at->chunk,
             (unsigned long long)part.first_row + (unsigned long long)at->seq * (unsigned long long)rows,
             (unsigned long long)part.first_row + ((unsigned long long)at->seq + 1) * (unsigned long long)rows - 1, part.uri);
}

static ghee_status count_crash(ghee_coordinator *of, uint32_t stage, uint32_t worker, int status, ghee_error *err) {
  ghee_mark *mark;
  if (!of->spec->max_crashes || ghee_mark_open(of->folder, of->crews[stage].of->name, worker, &mark, NULL) != GHEE_OK) return GHEE_OK;
  bool busy = mark->busy != 0;
  ghee_crash at = {.stage = stage, .epoch = (uint32_t)mark->epoch, .chunk = (uint32_t)mark->chunk, .seq = (uint32_t)mark->seq, .deaths = 1};
  mark->busy = 0;
  ghee_mark_close(mark);
  if (!busy) return GHEE_OK;
  ghee_crash *known = NULL;
  for (size_t i = 0; i < of->crashes.count && !known; i++) {
    ghee_crash *one = &of->crashes.items[i];
    if (one->stage == at.stage && one->epoch == at.epoch && one->chunk == at.chunk && one->seq == at.seq) known = one;
  }
  if (known) known->deaths++;
  else if (ghee_array_push(&of->crashes, at)) known = &of->crashes.items[of->crashes.count - 1];
  if (!known || known->deaths < of->spec->max_crashes) return GHEE_OK;
  char where[1024];
  describe_batch(of, &at, where, sizeof where);
  return crashed(of, stage, worker, status, where, known->deaths, err);
}

typedef struct burial { ghee_coordinator *of; bool had_chunks; } burial;

static void bury_one(void *user, const ghee_attempt *attempt) {
  burial *now = user;
  now->had_chunks = true;
  ghee_crew_revoke(now->of, attempt);
}

/* One that dies where no batch is to blame, in reading or writing, would otherwise be started for ever. */
static ghee_status count_idle_death(ghee_coordinator *of, uint32_t stage, uint32_t worker, int status, ghee_error *err) {
  ghee_crew_member *member = &of->crews[stage].members[worker];
  if (member->done_before != of->chunks.done) member->idle_deaths = 0;
  member->done_before = of->chunks.done;
  member->idle_deaths++;
  if (!of->spec->max_crashes || member->idle_deaths < of->spec->max_crashes) return GHEE_OK;
  return crashed(of, stage, worker, status, "with chunks in hand while no chunk of the job was finished", member->idle_deaths, err);
}

static ghee_status died(ghee_coordinator *of, uint32_t stage, uint32_t worker, int status, ghee_error *err) {
  ghee_crew_member *member = &of->crews[stage].members[worker];
  bool was_ready = member->ready;
  char how[128];
  member->deaths++;
  member->early_deaths = was_ready ? 0 : member->early_deaths + 1;
  fprintf(stderr, "%s-%u %s\n", of->crews[stage].of->name, worker, ghee_process_status_text(status, how, sizeof how));
  tell_oom(of, stage, worker, status);
  forget_life(member);
  if (stage == 0) of->lanes.readers[worker].want = 0;
  member->asked = false;
  if (stage > 0) {
    ghee_say_message gone = {.what = GHEE_SAY_NO_PEER, .peer = {.worker = worker, .address = (char *)""}};
    ghee_crew_tell(of, stage - 1, &gone);
  }
  burial now = {.of = of};
  ghee_chunks_bury(&of->chunks, stage, worker, bury_one, &now);
  of->flushed = false;
  if (of->over || !member->wanted) return GHEE_OK;
  if (of->spec->max_crashes && member->early_deaths >= MOST_EARLY_DEATHS) return crashed(of, stage, worker, status, "before it was ready", member->early_deaths, err);
  GHEE_TRY(count_crash(of, stage, worker, status, err));
  if (now.had_chunks) GHEE_TRY(count_idle_death(of, stage, worker, status, err));
  return of->crews[stage].of->role == GHEE_ROLE_TRAIN ? ghee_ranks_died(of, err) : GHEE_OK;
}

ghee_status ghee_crew_on_launch(ghee_coordinator *of, const ghee_launch_event *event, ghee_error *err) {
  ghee_crew_member *member = &of->crews[event->stage].members[event->worker];
  switch (event->what) {
    case GHEE_LAUNCH_STARTED:
      member->running = true;
      member->id = event->id;
      return GHEE_OK;
    case GHEE_LAUNCH_ENDED: return died(of, event->stage, event->worker, event->status, err);
    case GHEE_LAUNCH_FAILED: return died(of, event->stage, event->worker, event->status, err);
  }
  return GHEE_OK;
}

/* ---- conversation ---- */

static bool find_peer(ghee_coordinator *of, uint64_t peer, uint32_t *stage, uint32_t *worker) {
  for (uint32_t s = 0; s < of->spec->n_stages; s++)
    for (uint32_t i = 0; i < of->crews[s].of->workers; i++)
      if (of->crews[s].members[i].peer == peer) {
        *stage = s;
        *worker = i;
        return true;
      }
  return false;
}

/* The same from every coordinator for the same life of a worker: a receiver's address is random. */
static uint64_t peer_number(const ghee_crew_member *member) { return ghee_hash(member->address, strlen(member->address), 0) | 1; }

static void introduce(ghee_coordinator *of, const ghee_crew_member *to, uint32_t worker, const ghee_crew_member *who) {
  ghee_say_message message = {.what = GHEE_SAY_PEER, .peer = {.worker = worker, .number = peer_number(who), .address = who->address}};
  ghee_crew_say(of, to, &message);
}

static void introduce_all(ghee_coordinator *of, uint32_t stage, uint32_t worker) {
  const ghee_crew_member *member = &of->crews[stage].members[worker];
  for (uint32_t i = 0; stage > 0 && i < of->crews[stage - 1].of->workers; i++) introduce(of, &of->crews[stage - 1].members[i], worker, member);
  for (uint32_t i = 0; stage < ghee_last_stage(of) && i < of->crews[stage + 1].of->workers; i++)
    if (of->crews[stage + 1].members[i].peer) introduce(of, member, i, &of->crews[stage + 1].members[i]);
}

static void say_schemas(ghee_coordinator *of, const ghee_crew_member *to) {
  for (uint32_t s = 0; s < of->spec->n_stages; s++) {
    const ghee_buffer *schema = &of->crews[s].schema;
    ghee_say_message message = {.what = GHEE_SAY_FIXED_SCHEMA, .schema = {.stage = s, .data = schema->data, .size_bytes = schema->size}};
    if (schema->size > 0) ghee_crew_say(of, to, &message);
  }
}

static ghee_status load_schemas(ghee_coordinator *of, ghee_error *err) {
  for (uint32_t s = 0; s < of->spec->n_stages; s++) {
    char key[32];
    void *value;
    size_t size;
    snprintf(key, sizeof key, "schema-%u", s);
    if (of->crews[s].schema.size > 0) continue;
    ghee_status status = ghee_ledger_get(of->ledger, key, &value, &size, err);
    if (status == GHEE_NOT_FOUND) continue;
    GHEE_TRY(status);
    ghee_buffer_put(&of->crews[s].schema, value, size);
    ghee_free(value);
  }
  return GHEE_OK;
}

static ghee_status on_hello(ghee_coordinator *of, uint64_t peer, ghee_say_hello *hello, ghee_error *err) {
  if (hello->stage >= of->spec->n_stages || hello->worker >= of->crews[hello->stage].of->workers) {
    ghee_control_server_drop(of->control, peer);
    return GHEE_OK;
  }
  ghee_crew_member *member = &of->crews[hello->stage].members[hello->worker];
  bool train = of->crews[hello->stage].of->role == GHEE_ROLE_TRAIN;
  if (train && of->restarting_ranks) { /* one that is being killed */
    ghee_control_server_drop(of->control, peer);
    return GHEE_OK;
  }
  member->peer = peer;
  if (hello->stage == 0) of->lanes.readers[hello->worker].want = 0;
  member->asked = false;
  ghee_commits_forget_files(member);
  ghee_free(member->address);
  if (!(member->address = ghee_strdup(hello->address))) return ghee_error_no_memory(err, "welcoming a worker");
  if (train) member->now.place = hello->place;
  for (size_t i = 0; i < hello->accepted.count; i++) (void)ghee_chunks_adopt(&of->chunks, &hello->accepted.items[i], hello->stage, hello->worker);
  ghee_ledger_checkpoint held = {0};
  ghee_say_message welcome = {.what = GHEE_SAY_WELCOME, .welcome = {.generation = of->generation, .state_file = (char *)""}};
  if (train) ghee_ranks_fill_welcome(of, hello->worker, &welcome.welcome, &held);
  ghee_crew_say(of, member, &welcome);
  ghee_ledger_checkpoint_fini(&held);
  GHEE_TRY(load_schemas(of, err));
  say_schemas(of, member);
  introduce_all(of, hello->stage, hello->worker);
  if (hello->generation) member->ready = true; /* it was before we came */
  return GHEE_OK;
}

static ghee_status on_schema(ghee_coordinator *of, uint32_t stage, const ghee_crew_member *from, const ghee_say_schema *said, ghee_error *err) {
  ghee_crew *crew = &of->crews[stage];
  if (crew->schema.size > 0) {
    say_schemas(of, from);
    return GHEE_OK;
  }
  char key[32];
  snprintf(key, sizeof key, "schema-%u", stage);
  GHEE_TRY(ghee_ledger_put(of->ledger, key, said->data, said->size_bytes, err));
  ghee_buffer_put(&crew->schema, said->data, said->size_bytes);
  GHEE_TRY(ghee_buffer_check(&crew->schema, "fixing a schema", err));
  ghee_say_message message = {.what = GHEE_SAY_FIXED_SCHEMA, .schema = {.stage = stage, .data = crew->schema.data, .size_bytes = crew->schema.size}};
  ghee_crew_tell(of, UINT32_MAX, &message);
  return GHEE_OK;
}

static void on_log(ghee_coordinator *of, uint32_t stage, uint32_t worker, const ghee_say_log *said) {
  if (of->log_lines++ == MOST_LOG_LINES) ghee_coordinator_line(of, "further log lines are left out");
  if (of->log_lines > MOST_LOG_LINES) return;
  if (isnan(said->value)) ghee_coordinator_line(of, "%s-%u: %s", of->crews[stage].of->name, worker, said->text);
  else ghee_coordinator_line(of, "%s-%u: %s=%.6g", of->crews[stage].of->name, worker, said->text, said->value);
}

/* A worker may die between its acknowledgement and the word of it: then the chunk is lost, though its sender does not know. */
static void on_passed(ghee_coordinator *of, uint32_t stage, uint32_t worker, const ghee_say_passed *said) {
  if (of->spec->train) { /* all ranks have it */
    if (ghee_chunks_pass(&of->chunks, &said->attempt, stage, worker)) ghee_chunks_finish(&of->chunks, said->attempt.epoch, said->attempt.chunk);
    return;
  }
  const ghee_crew *next = &of->crews[stage + 1];
  const ghee_crew_member *to = said->to < next->of->workers ? &next->members[said->to] : NULL;
  if (to && to->address && peer_number(to) == said->number) (void)ghee_chunks_pass(&of->chunks, &said->attempt, stage + 1, said->to);
  else if (ghee_chunks_lose(&of->chunks, &said->attempt)) ghee_crew_revoke(of, &said->attempt);
}

static ghee_status on_message(ghee_coordinator *of, uint32_t stage, uint32_t worker, ghee_say_message *message, ghee_error *err) {
  ghee_crew_member *member = &of->crews[stage].members[worker];
  switch (message->what) {
    case GHEE_SAY_READY: member->ready = true; return GHEE_OK;
    case GHEE_SAY_WANT:
      if (stage == 0) of->lanes.readers[worker].want += message->want;
      member->asked = true;
      return GHEE_OK;
    case GHEE_SAY_PASSED:
      if (stage < ghee_last_stage(of)) on_passed(of, stage, worker, &message->passed);
      return GHEE_OK;
    case GHEE_SAY_LOST:
      if (ghee_chunks_lose(&of->chunks, &message->attempt)) ghee_crew_revoke(of, &message->attempt);
      return GHEE_OK;
    case GHEE_SAY_COMPLETE: return ghee_commits_on_complete(of, worker, &message->complete, err);
    case GHEE_SAY_FILE: return ghee_commits_on_file(of, worker, &message->file, err);
    case GHEE_SAY_STAGED: return ghee_commits_on_staged(of, worker, &message->staged, err);
    case GHEE_SAY_SCHEMA: return on_schema(of, stage, member, &message->schema, err);
    case GHEE_SAY_FAILED: {
      ghee_status failure = message->failed.status ? (ghee_status)message->failed.status : GHEE_INTERNAL;
      ghee_error_set(err, failure, "%s", message->failed.message);
      ghee_error_suffix(err, " (worker %u of %s)", worker, of->crews[stage].of->name);
      return failure;
    }
    case GHEE_SAY_LOG: on_log(of, stage, worker, &message->log); return GHEE_OK;
    case GHEE_SAY_METRICS: member->now = message->metrics; return GHEE_OK;
    case GHEE_SAY_STEP: case GHEE_SAY_CHECKPOINT: case GHEE_SAY_RESULT:
      return of->spec->train && stage == ghee_last_stage(of) ? ghee_ranks_on_message(of, worker, message, err) : GHEE_OK;
    default: return GHEE_OK;
  }
}

ghee_status ghee_crew_on_control(ghee_coordinator *of, const ghee_control_event *event, ghee_error *err) {
  uint32_t stage = 0, worker = 0;
  bool known = find_peer(of, event->peer, &stage, &worker);
  if (event->what == GHEE_CONTROL_CLOSED && known) of->crews[stage].members[worker].peer = 0;
  if (event->what != GHEE_CONTROL_MESSAGE) return GHEE_OK;
  ghee_say_message message;
  ghee_error bad;
  if (ghee_say_decode(event->data, event->size_bytes, &message, &bad) != GHEE_OK) {
    fprintf(stderr, "a connection is dropped: %s\n", bad.message);
    ghee_control_server_drop(of->control, event->peer);
    return GHEE_OK;
  }
  ghee_status status = GHEE_OK;
  if (message.what == GHEE_SAY_HELLO) status = on_hello(of, event->peer, &message.hello, err);
  else if (known) status = on_message(of, stage, worker, &message, err);
  ghee_say_fini(&message);
  return status;
}

/* ---- settling ---- */

static bool survivors_are_here(const ghee_coordinator *of) {
  if (of->launcher->ops->recovering(of->launcher)) return false;
  for (uint32_t s = 0; s < of->spec->n_stages; s++)
    for (uint32_t i = 0; i < of->crews[s].of->workers; i++)
      if (of->crews[s].members[i].running && !of->crews[s].members[i].peer) return false;
  return true;
}

/* `waits`: for the brokers' word of what a dead sink has done. Until it is there no chunk may be given away, which might be one of those. */
static ghee_status start_missing(ghee_coordinator *of, bool *waits, ghee_error *err) {
  for (uint32_t s = 0; s < of->spec->n_stages; s++) {
    if (of->crews[s].of->role == GHEE_ROLE_TRAIN && of->restarting_ranks) continue;
    for (uint32_t i = 0; i < of->crews[s].of->workers; i++) {
      ghee_crew_member *member = &of->crews[s].members[i];
      if (member->running || !member->wanted) continue;
      ghee_status status = s == ghee_last_stage(of) ? ghee_commits_before_sink(of, i, err) : GHEE_OK;
      *waits |= status == GHEE_AGAIN;
      if (status == GHEE_AGAIN) continue;
      GHEE_TRY(status);
      member->running = true; /* from now on its end is an event */
      status = of->launcher->ops->start(of->launcher, s, i, err);
      if (status != GHEE_OK && !of->crews[s].of->native)
        ghee_error_prefix(err, "the Python of %s does not start; set GHEE_PYTHON to one that has ghee", of->crews[s].of->name);
      GHEE_TRY(status);
    }
  }
  return GHEE_OK;
}

/* Of a job without end; the plan of any other goes no further than its limit. */
static bool limit_reached(ghee_coordinator *of, const ghee_attempt *attempt) {
  if (of->facts.limit_rows <= 0 || !of->rounds) return false;
  int64_t rows = ghee_plan_chunk_rows(of->plan, attempt->epoch, attempt->chunk);
  of->limit_rows_leased += rows < 0 ? (uint64_t)of->facts.limit_rows : (uint64_t)rows;
  return of->limit_rows_leased >= (uint64_t)of->facts.limit_rows;
}

static void lease(ghee_coordinator *of) {
  ghee_crew_member *readers = of->crews[0].members;
  for (uint32_t i = 0; i < of->lanes.workers; i++) {
    of->lanes.readers[i].wanted = readers[i].wanted;
    of->lanes.readers[i].here = readers[i].peer != 0 && readers[i].asked;
  }
  for (;;) {
    uint32_t worker;
    ghee_attempt attempt;
    uint64_t before = of->chunks.leased;
    if (!ghee_lanes_lease(&of->lanes, &of->chunks, &worker, &attempt)) return;
    if (of->chunks.leased > before && limit_reached(of, &attempt)) of->chunks.closed = true;
    ghee_say_message message = {.what = GHEE_SAY_LEASE, .lease = {.attempt = attempt, .from_seq = of->spec->train ? ghee_ranks_from_seq(of, &attempt) : 0}};
    ghee_crew_say(of, &readers[worker], &message);
  }
}

ghee_status ghee_crew_settle(ghee_coordinator *of, ghee_error *err) {
  if (of->over) return GHEE_OK;
  if (of->recovering && !survivors_are_here(of)) return GHEE_OK;
  of->recovering = false;
  bool waits = false;
  GHEE_TRY(start_missing(of, &waits, err));
  if (!of->restarting_ranks && !waits) lease(of);
  return GHEE_OK;
}
