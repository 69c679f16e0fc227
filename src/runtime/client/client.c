/* SPDX-License-Identifier: Apache-2.0
 * Running and resuming a job: its folder is prepared here, and its outcome taken from it. */
#include "runtime/client/client.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "ledger/ledger.h"
#include "plan/places.h"

enum { LOCK_WAIT_MS = 1500 };

void ghee_text_free(char *text) { ghee_free(text); }

void ghee_job_result_fini(ghee_job_result *result) {
  ghee_free(result->name);
  ghee_free(result->folder);
  ghee_free(result->output_uri);
  ghee_free(result->value_path);
  *result = (ghee_job_result){0};
}

ghee_status ghee_client_spec(const ghee_job_source *source, ghee_job_spec **out, ghee_error *err) {
  ghee_document *document;
  GHEE_TRY(ghee_document_parse(source->text, source->size_bytes, source->name ? source->name : "-", &document, err));
  ghee_job_spec *spec = NULL;
  ghee_status status = ghee_job_spec_new(document, source->folder, &spec, err);
  if (status == GHEE_OK) status = ghee_places_check(spec, ghee_document_root(document), err);
  ghee_document_free(document);
  if (status == GHEE_OK) *out = spec;
  else ghee_job_spec_free(spec);
  return status;
}

/* ---- preparing ---- */

static char *made_up_name(void) {
  uint32_t random;
  if (sodium_init() < 0) return NULL;
  randombytes_buf(&random, sizeof random);
  time_t now = time(NULL);
  struct tm at;
  char day[32];
  localtime_r(&now, &at);
  strftime(day, sizeof day, "%Y%m%d-%H%M%S", &at);
  return ghee_asprintf("job-%s-%08x", day, random);
}

static ghee_status write_facts(const char *folder, ghee_launch_facts facts, ghee_error *err) {
  GHEE_TRY(ghee_process_self(&facts.client, err));
  return ghee_launch_facts_write(folder, &facts, err);
}

static ghee_status write_spec(const char *folder, const ghee_job_spec *spec, ghee_error *err) {
  ghee_buffer json = {0};
  ghee_status status = ghee_job_spec_encode(spec, &json, err);
  char *path = ghee_job_folder_file(folder, "job.json");
  if (status == GHEE_OK && !path) status = ghee_error_no_memory(err, "writing the job's folder");
  if (status == GHEE_OK) status = ghee_file_write_atomic(path, json.data, json.size, err);
  ghee_free(path);
  ghee_buffer_fini(&json);
  return status;
}

static char *default_python[2];

static char **python_of(const ghee_job_options *options) {
  if (options->python) return (char **)options->python;
  const char *set = getenv("GHEE_PYTHON");
  default_python[0] = (char *)(set && *set ? set : "python3");
  return default_python;
}

/* The folder the description's modules are in, absolute. New string. */
static char *module_folder_of(const ghee_job_source *source) {
  char *real = realpath(source->folder ? source->folder : ".", NULL), *copy = ghee_strdup(real ? real : "");
  free(real);
  return copy;
}

/* A debugger's user stops in the middle of a call, and wants to see one after another. */
static void fit_to_host(ghee_job_spec *spec) {
  for (uint32_t i = 0; i < spec->n_stages; i++) {
    spec->stages[i].workers = 1;
    spec->stages[i].timeout_ms = 0;
    spec->stages[i].memory_bytes = 0;
  }
}

static void start_hosted(const ghee_job_host *host, const ghee_job_spec *spec, const char *folder) {
  const char *stages[GHEE_MAX_STAGES + 1] = {NULL};
  for (uint32_t i = 0, n = 0; i < spec->n_stages; i++)
    if (!spec->stages[i].native) stages[n++] = spec->stages[i].name;
  host->start(host->user, folder, stages);
}

/* Everything of a new job but its run. job.json is written last: with it the folder is a job. */
static ghee_status fill_folder(const char *folder, const ghee_job_spec *spec, const ghee_job_options *options, const char *name, ghee_error *err) {
  ghee_stream_key key;
  GHEE_TRY(ghee_stream_key_new(&key, err));
  GHEE_TRY(ghee_job_folder_write_key(folder, &key, err));
  GHEE_TRY(ghee_job_folder_write_id(folder, name, err));
  for (size_t i = 0; i < options->n_code; i++)
    GHEE_TRY(ghee_job_folder_write_code(folder, options->code[i].name, options->code[i].data, options->code[i].size_bytes, &key, err));
  char *modules = module_folder_of(&options->source), *path = ghee_job_folder_file(folder, "plan");
  ghee_plan *plan = NULL;
  ghee_launch_facts facts = {.python = python_of(options), .module_folder = modules, .limit_rows = options->limit_rows, .hosted = options->host};
  ghee_status status = modules && path ? write_facts(folder, facts, err) : ghee_error_no_memory(err, "writing the job's folder");
  if (status == GHEE_OK) status = ghee_plan_make(spec, options->limit_rows, &plan, err);
  if (status == GHEE_OK) status = ghee_plan_save(plan, path, err);
  if (status == GHEE_OK) status = write_spec(folder, spec, err);
  ghee_plan_free(plan);
  ghee_free(modules);
  ghee_free(path);
  return status;
}

static ghee_status refuse_unfinished(const char *folder, const char *name, ghee_error *err) {
  char *spec = ghee_job_folder_file(folder, "job.json"), *ledger_path = ghee_job_folder_file(folder, "ledger.db");
  if (!spec || !ledger_path) {
    ghee_free(spec);
    ghee_free(ledger_path);
    return ghee_error_no_memory(err, "looking at the job's folder");
  }
  ghee_status status = GHEE_OK;
  if (access(spec, F_OK) == 0) {
    ghee_job_state state = GHEE_JOB_RUNNING;
    int code;
    ghee_ledger *ledger = NULL;
    if (access(ledger_path, F_OK) == 0) {
      status = ghee_ledger_open(ledger_path, &ledger, err);
      if (status == GHEE_OK) status = ghee_ledger_state(ledger, &state, &code, NULL, err);
      if (ledger) ghee_ledger_close(ledger);
    }
    if (status == GHEE_OK && state != GHEE_JOB_DONE)
      status = ghee_error_set(err, GHEE_EXISTS, "job %s is unfinished: `ghee resume %s` goes on with it, `ghee cancel %s` removes it", name, name, name);
  }
  ghee_free(spec);
  ghee_free(ledger_path);
  return status;
}

/* Before the output is looked at: what is there may be what the unfinished job of this name has published. */
static ghee_status check_name(const char *name, ghee_error *err) {
  ghee_job_folder folder;
  ghee_status status = ghee_job_folder_open(name, false, &folder, err);
  if (status != GHEE_OK) return status == GHEE_NOT_FOUND ? GHEE_OK : status;
  status = ghee_job_folder_lock(folder.path, "lock", 0, &folder.lock_fd, err);
  if (status == GHEE_OK) status = refuse_unfinished(folder.path, name, err);
  ghee_job_folder_fini(&folder);
  return status;
}

/* What is left of an earlier job of the name: a finished one gives way, an unfinished one does not. */
static ghee_status clear_old(const char *folder, const char *name, ghee_error *err) {
  ghee_status status = refuse_unfinished(folder, name, err);
  static const char *const parts[] = {"job.json", "ledger.db", "ledger.db-wal", "ledger.db-shm", "plan", "launch.json", "key", "id", "value", "value.tmp", "canceled",
                                      "processes", "progress", "code", "state", "train", "logs"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts && status == GHEE_OK; i++) {
    char *path = ghee_job_folder_file(folder, parts[i]);
    status = path ? ghee_dir_remove_all(path, err) : ghee_error_no_memory(err, "clearing the job's folder");
    ghee_free(path);
  }
  return status;
}

static ghee_status finish(const char *name, const char *folder, const ghee_job_spec *spec, bool keep, const ghee_job_progress *last, ghee_job_result *out, ghee_error *err) {
  char *value = ghee_job_folder_file(folder, "value");
  if (!value) return ghee_error_no_memory(err, "reporting a result");
  bool has_value = access(value, R_OK) == 0;
  out->progress = *last;
  if (has_value && !keep) { /* the folder goes; the value stays beside it for the caller */
    char *beside = ghee_asprintf("%s.value", folder);
    if (beside && rename(value, beside) == 0) out->value_path = beside;
    else ghee_free(beside);
    ghee_free(value);
  } else {
    out->value_path = has_value ? value : NULL;
    if (!has_value) ghee_free(value);
  }
  out->name = ghee_strdup(name);
  out->folder = ghee_strdup(folder);
  out->output_uri = spec->output_uri ? ghee_strdup(spec->output_uri) : NULL;
  return GHEE_OK;
}

static ghee_status open_folder(const char *name, ghee_job_folder *folder, ghee_error *err) {
  GHEE_TRY(ghee_job_folder_open(name, true, folder, err));
  GHEE_TRY(ghee_job_folder_lock(folder->path, "lock", 0, &folder->lock_fd, err));
  GHEE_TRY(clear_old(folder->path, name, err));
  ghee_job_folder again;
  GHEE_TRY(ghee_job_folder_open(name, true, &again, err)); /* the folders below it */
  ghee_job_folder_fini(&again);
  return GHEE_OK;
}

static ghee_status run_named(const ghee_job_options *options, const ghee_job_spec *spec, const char *name, bool keep, uint64_t started_ns,
                             ghee_job_result *out, ghee_error *err) {
  ghee_job_folder folder = {.lock_fd = -1};
  ghee_job_progress last = {0};
  ghee_status status = open_folder(name, &folder, err);
  bool ours = folder.lock_fd >= 0 && status == GHEE_OK, planned = false;
  if (status == GHEE_OK) status = fill_folder(folder.path, spec, options, name, err);
  planned = status == GHEE_OK;
  if (status == GHEE_OK && options->host) start_hosted(options->host, spec, folder.path);
  if (status == GHEE_OK) status = ghee_client_drive(folder.path, options->host, started_ns, &options->hooks, &last, err);
  if (planned && options->host) options->host->stop(options->host->user);
  if (status == GHEE_OK) status = finish(name, folder.path, spec, keep, &last, out, err);
  /* A job that never began leaves nothing; one without a name leaves nothing either. */
  if (ours && (!keep || !planned)) {
    if (status != GHEE_OK && planned) (void)ghee_client_remove_staging(folder.path, NULL);
    (void)ghee_dir_remove_all(folder.path, NULL);
  }
  ghee_job_folder_fini(&folder);
  return status;
}

ghee_status ghee_job_run(const ghee_job_options *options, ghee_job_result *out, ghee_error *err) {
  uint64_t started_ns = ghee_clock_ns();
  ghee_job_spec *spec;
  if (options->hooks.progress) ghee_log_to_stderr(GHEE_LOG_WARN); /* planning has no loop that could call hooks */
  GHEE_TRY(ghee_client_spec(&options->source, &spec, err));
  if (options->host) fit_to_host(spec);
  const char *given = options->name && *options->name ? options->name : *spec->name ? spec->name : NULL;
  char *name = given ? ghee_strdup(given) : made_up_name();
  ghee_job_result result = {0};
  ghee_status status = name ? GHEE_OK : ghee_error_no_memory(err, "naming the job");
  if (status == GHEE_OK && given) status = check_name(name, err);
  if (status == GHEE_OK) status = ghee_client_check_output(spec, err);
  if (status == GHEE_OK) status = run_named(options, spec, name, given != NULL, started_ns, &result, err);
  if (status == GHEE_OK) *out = result;
  else ghee_job_result_fini(&result);
  ghee_free(name);
  ghee_job_spec_free(spec);
  return status;
}

/* ---- going on ---- */

static ghee_status take_over(const char *folder, ghee_error *err) {
  ghee_launch_facts facts;
  ghee_plan *plan = NULL;
  ghee_job_spec *spec = NULL;
  GHEE_TRY(ghee_launch_facts_read(folder, &facts, err));
  char *path = ghee_job_folder_file(folder, "plan");
  ghee_status status = path ? ghee_plan_load(path, &plan, err) : ghee_error_no_memory(err, "resuming a job");
  if (status == GHEE_OK) status = ghee_job_folder_read_spec(folder, &spec, err);
  if (status == GHEE_OK) status = ghee_plan_check_input(plan, spec, err);
  if (status == GHEE_OK) status = write_facts(folder, (ghee_launch_facts){.python = facts.python, .module_folder = facts.module_folder, .limit_rows = facts.limit_rows}, err);
  ghee_job_spec_free(spec);
  ghee_plan_free(plan);
  ghee_free(path);
  ghee_launch_facts_fini(&facts);
  return status;
}

/* A failure or a stop is not the job's last word any more; its last coordinator, which might still say one, is surely gone then. */
static ghee_status reopen(const char *folder, ghee_error *err) {
  int lock, code;
  ghee_ledger *ledger;
  ghee_job_state state;
  char *path = ghee_job_folder_file(folder, "ledger.db");
  if (!path) return ghee_error_no_memory(err, "resuming a job");
  ghee_status status = ghee_job_folder_lock(folder, "coordinator.lock", LOCK_WAIT_MS, &lock, err);
  if (status == GHEE_OK) {
    status = ghee_ledger_open(path, &ledger, err);
    if (status == GHEE_OK) {
      status = ghee_ledger_state(ledger, &state, &code, NULL, err);
      if (status == GHEE_OK && (state == GHEE_JOB_FAILED || state == GHEE_JOB_CANCELED)) status = ghee_ledger_set_state(ledger, GHEE_JOB_RUNNING, 0, "", err);
      ghee_ledger_close(ledger);
    }
    close(lock);
  }
  ghee_free(path);
  return status;
}

ghee_status ghee_job_resume(const char *name, const ghee_job_hooks *hooks, ghee_job_result *out, ghee_error *err) {
  uint64_t started_ns = ghee_clock_ns();
  static const ghee_job_hooks no_hooks;
  ghee_job_folder folder = {.lock_fd = -1};
  ghee_job_spec *spec = NULL;
  ghee_job_progress last = {0};
  ghee_job_result result = {0};
  GHEE_TRY(ghee_job_folder_open(name, false, &folder, err));
  ghee_status status = ghee_job_folder_lock(folder.path, "lock", LOCK_WAIT_MS, &folder.lock_fd, err);
  if (status == GHEE_OK) {
    status = ghee_job_folder_read_spec(folder.path, &spec, err);
    if (status == GHEE_NOT_FOUND) status = ghee_error_set(err, GHEE_NOT_FOUND, "job %s was stopped before it began: run it anew", name);
  }
  if (status == GHEE_OK) status = take_over(folder.path, err);
  if (status == GHEE_OK) status = reopen(folder.path, err);
  if (status == GHEE_OK) status = ghee_client_drive(folder.path, false, started_ns, hooks ? hooks : &no_hooks, &last, err);
  if (status == GHEE_OK) status = finish(name, folder.path, spec, true, &last, &result, err);
  if (status == GHEE_OK) *out = result;
  else ghee_job_result_fini(&result);
  ghee_job_spec_free(spec);
  ghee_job_folder_fini(&folder);
  return status;
}
