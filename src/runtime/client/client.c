/* SPDX-License-Identifier: Apache-2.0
 * Running a job from outside: the folder is prepared here, the coordinator started, watched, and started again when it dies. */
#include "runtime/client/client.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "ledger/ledger.h"
#include "runtime/job/output_log.h"
#include "runtime/job/wire.h"

enum { ASK_MS = 50, FRUITLESS_STARTS = 10, LOCK_WAIT_MS = 1500 };

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
  ghee_status status = ghee_job_spec_new(document, source->folder, out, err);
  ghee_document_free(document);
  return status;
}

/* Folder of ghee-coordinator and ghee-worker: $GHEE_PROGRAMS, else beside this library, else ../bin of it. New string. */
static ghee_status find_programs(char **out, ghee_error *err) {
  const char *set = getenv("GHEE_PROGRAMS");
  Dl_info info;
  if (set) {
    *out = ghee_strdup(set);
    return *out ? GHEE_OK : ghee_error_no_memory(err, "finding ghee's programs");
  }
  if (!dladdr((void *)find_programs, &info) || !info.dli_fname) return ghee_error_set(err, GHEE_NOT_FOUND, "cannot find the folder of ghee's library");
  const char *slash = strrchr(info.dli_fname, '/');
  int length = slash ? (int)(slash - info.dli_fname) : 1;
  static const char *const places[] = {"", "/../bin", "/.."};
  for (size_t i = 0; i < 3; i++) {
    char *folder = ghee_asprintf("%.*s%s", length, slash ? info.dli_fname : ".", places[i]);
    char *program = folder ? ghee_path_join(folder, "ghee-coordinator") : NULL;
    if (!program) {
      ghee_free(folder);
      return ghee_error_no_memory(err, "finding ghee's programs");
    }
    bool there = access(program, X_OK) == 0;
    ghee_free(program);
    if (there) {
      *out = folder;
      return GHEE_OK;
    }
    ghee_free(folder);
  }
  return ghee_error_set(err, GHEE_NOT_FOUND, "ghee-coordinator is not beside %s; set GHEE_PROGRAMS to its folder", info.dli_fname);
}

/* ---- driving the coordinator ---- */

typedef struct drive {
  const char *folder;
  uint64_t started_ns;
  const ghee_job_hooks *hooks;
  ghee_job_progress last;
  int socket;
  int progress_fd;                 /* file `progress` of the folder, for `ghee status` */
  ghee_process_id id;
  int pidfd;
  bool finished, told;             /* the result has come; STOP was said */
  ghee_status status;
  ghee_error *err;
  double best;                     /* fraction that was reached before */
  uint32_t fruitless;              /* deaths of coordinators in a row without progress */
  bool hosted;                     /* a new coordinator could not have the workers restarted: the first death ends the job */
} drive;

static ghee_status start(drive *of, ghee_error *err) {
  char *programs, fd[16], ns[32];
  int pair[2];
  GHEE_TRY(find_programs(&programs, err));
  char *program = ghee_path_join(programs, "ghee-coordinator"), *env = ghee_asprintf("GHEE_PROGRAMS=%s", programs);
  char *log = ghee_job_folder_file(of->folder, "logs/coordinator.log");
  ghee_free(programs);
  ghee_status status = program && env && log ? GHEE_OK : ghee_error_no_memory(err, "starting the coordinator");
  if (status == GHEE_OK && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) status = ghee_error_set_errno(err, errno, "cannot make a socket pair");
  if (status == GHEE_OK) {
    snprintf(fd, sizeof fd, "%d", pair[1]);
    snprintf(ns, sizeof ns, "%llu", (unsigned long long)of->started_ns);
    const char *argv[] = {program, "--job", of->folder, "--client", fd, "--started", ns, NULL};
    const char *more[] = {env, NULL};
    ghee_process_options options = {.argv = argv, .env = more, .log_path = log, .keep_fds = &pair[1], .n_keep_fds = 1, .new_session = true};
    status = ghee_process_start(&options, &of->id, &of->pidfd, err);
    close(pair[1]);
    of->socket = pair[0];
    if (status != GHEE_OK) close(pair[0]);
  }
  ghee_free(program);
  ghee_free(env);
  ghee_free(log);
  return status;
}

static void hear(drive *of, ghee_wire_kind kind, const void *data, size_t size) {
  const ghee_job_hooks *hooks = of->hooks;
  if (kind == GHEE_WIRE_PROGRESS && size == sizeof of->last) {
    memcpy(&of->last, data, size);
    if (of->progress_fd >= 0) (void)!pwrite(of->progress_fd, data, size, 0);
    if (hooks->progress) hooks->progress(hooks->user, &of->last);
  } else if (kind == GHEE_WIRE_LINE && hooks->line) {
    char *line = ghee_strndup(data, size);
    if (line) hooks->line(hooks->user, line);
    ghee_free(line);
  } else if (kind == GHEE_WIRE_RESULT) {
    ghee_reader result = ghee_reader_of(data, size);
    of->status = (ghee_status)ghee_reader_u32(&result);
    char *message = ghee_reader_text(&result);
    if (of->status != GHEE_OK) ghee_error_set(of->err, of->status, "%s", message ? message : "the job failed");
    ghee_free(message);
    of->finished = true;
  }
}

/* Everything that has come. false: the coordinator has closed. */
static bool listen_once(drive *of) {
  uint8_t room[GHEE_WIRE_MAX];
  ghee_wire_kind kind;
  const void *data;
  size_t size;
  ghee_status status;
  while ((status = ghee_wire_receive(of->socket, room, &kind, &data, &size)) == GHEE_OK) hear(of, kind, data, size);
  return status == GHEE_AGAIN;
}

/* 0 go on, 1 the coordinator was told to stop, 2 leave. */
static int ask_user(drive *of) {
  int wish = of->hooks->interrupted ? of->hooks->interrupted(of->hooks->user) : 0;
  if (wish == 1 && !of->told) of->told = ghee_wire_send(of->socket, GHEE_WIRE_STOP, NULL, 0);
  return wish;
}

/* Until the coordinator has ended, or the user will not wait. */
static int watch(drive *of) {
  for (bool open = true;;) {
    struct pollfd fds[] = {{.fd = open ? of->socket : -1, .events = POLLIN}, {.fd = of->pidfd, .events = POLLIN}};
    if (poll(fds, 2, ASK_MS) < 0 && errno != EINTR) return 2;
    if (open && fds[0].revents) open = listen_once(of);
    if (fds[1].revents) {
      if (open) (void)listen_once(of);
      return 0;
    }
    if (ask_user(of) == 2) return 2;
  }
}

/* The coordinator's process is over. True: it came to its end, and so did its workers if the job did. */
static bool collect(drive *of) {
  int status = -1;
  (void)ghee_process_reap((pid_t)of->id.pid, &status, NULL);
  close(of->pidfd);
  close(of->socket);
  return status == 0;
}

/* The list is the launcher's. */
static void kill_listed(drive *of) {
  char *path = ghee_job_folder_file(of->folder, "processes");
  FILE *list = path ? fopen(path, "re") : NULL;
  long long pid, who;
  unsigned long long born;
  unsigned stage;
  while (list && fscanf(list, "%lld %llu %u %lld", &pid, &born, &stage, &who) == 4) {
    int fd;
    if (ghee_process_open(&(ghee_process_id){.pid = pid, .born = born}, &fd, NULL) != GHEE_OK) continue;
    (void)ghee_process_signal(fd, SIGKILL, NULL); /* a fork server takes its workers along */
    close(fd);
  }
  if (list) fclose(list);
  ghee_free(path);
}

/* Nothing of the job may live on or lie about after a coordinator that was killed on its way out, by us or by others. */
static void sweep_up(drive *of) {
  kill_listed(of);
  ghee_job_folder_remove_sockets(of->folder);
}

/* Starts coordinators until one brings an outcome. */
static ghee_status drive_on(drive *of, ghee_error *err) {
  while (!of->finished) {
    GHEE_TRY(start(of, err));
    int wish = watch(of);
    if (wish == 2) (void)ghee_process_signal(of->pidfd, SIGKILL, NULL);
    bool clean = collect(of);
    if (!clean && (of->finished || wish == 2)) sweep_up(of);
    if (of->finished) break;
    if (wish == 2 || of->told) return ghee_error_set(err, GHEE_CANCELED, "interrupted");
    if (of->hosted) return ghee_error_set(err, GHEE_CRASHED, "the coordinator died; see %s/logs/coordinator.log", of->folder);
    of->fruitless = of->last.fraction > of->best ? 0 : of->fruitless + 1;
    if (of->last.fraction > of->best) of->best = of->last.fraction;
    if (of->fruitless >= FRUITLESS_STARTS)
      return ghee_error_set(err, GHEE_CRASHED, "the coordinator died %u times without getting further; see %s/logs/coordinator.log", of->fruitless, of->folder);
  }
  return of->status;
}

ghee_status ghee_client_drive(const char *folder, bool hosted, uint64_t started_ns, const ghee_job_hooks *hooks, ghee_job_progress *last, ghee_error *err) {
  drive of = {.hosted = hosted, .folder = folder, .started_ns = started_ns, .hooks = hooks, .err = err, .progress_fd = -1};
  char *path = ghee_job_folder_file(folder, "progress");
  if (!path) return ghee_error_no_memory(err, "running a job");
  of.progress_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ghee_free(path);
  ghee_status status = drive_on(&of, err);
  if (of.progress_fd >= 0) close(of.progress_fd);
  *last = of.last;
  return status;
}

bool ghee_client_read_progress(const char *folder, ghee_job_progress *out) {
  char *path = ghee_job_folder_file(folder, "progress");
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  ghee_job_progress read_in;
  bool whole = fd >= 0 && pread(fd, &read_in, sizeof read_in, 0) == sizeof read_in && read_in.phase <= GHEE_PHASE_CANCELED && read_in.n_stages <= GHEE_JOB_STAGES;
  if (whole) *out = read_in;
  if (fd >= 0) close(fd);
  ghee_free(path);
  return whole;
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

/* Before anything is made: an output that is there, or to which nothing could be published, is refused. */
static ghee_status check_output(const ghee_job_spec *spec, ghee_error *err) {
  if (!spec->output_uri) return GHEE_OK;
  if (spec->output_log) return ghee_output_log_check(spec, err);
  ghee_object_store *store;
  bool there = false;
  GHEE_TRY(ghee_object_store_open(spec->output_uri, &store, err));
  ghee_status status = spec->mode == GHEE_OUTPUT_ERROR ? store->ops->exists(store, spec->output_uri, &there, err) : GHEE_OK;
  if (status == GHEE_OK && !there && store->ops->check_output) status = store->ops->check_output(store, spec->output_uri, err);
  ghee_object_store_close(store);
  GHEE_TRY(status);
  return there ? ghee_error_set(err, GHEE_EXISTS, "the output %s is there already: name another, or say mode: overwrite or append", spec->output_uri) : GHEE_OK;
}

/* What is left of an earlier job of the name: a finished one gives way, an unfinished one does not. */
static ghee_status clear_old(const char *folder, const char *name, ghee_error *err) {
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
  static const char *const parts[] = {"job.json", "ledger.db", "ledger.db-wal", "ledger.db-shm", "plan", "launch.json", "key", "id", "value", "value.tmp",
                                      "processes", "progress", "code", "state", "train", "logs"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts && status == GHEE_OK; i++) {
    char *path = ghee_job_folder_file(folder, parts[i]);
    status = path ? ghee_dir_remove_all(path, err) : ghee_error_no_memory(err, "clearing the job's folder");
    ghee_free(path);
  }
  ghee_free(spec);
  ghee_free(ledger_path);
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
  GHEE_TRY(ghee_client_spec(&options->source, &spec, err));
  if (options->host) fit_to_host(spec);
  const char *given = options->name && *options->name ? options->name : *spec->name ? spec->name : NULL;
  char *name = given ? ghee_strdup(given) : made_up_name();
  ghee_job_result result = {0};
  ghee_status status = name ? check_output(spec, err) : ghee_error_no_memory(err, "naming the job");
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
