/* SPDX-License-Identifier: Apache-2.0
 * Looking at jobs and ending them: check, explain, status, logs, cancel, verify. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/file.h"
#include "ledger/ledger.h"
#include "manifest/manifest.h"
#include "runtime/client/client.h"
#include "runtime/client/report.h"

enum { CANCEL_WAIT_MS = 3000 };

ghee_status ghee_job_check(const ghee_job_source *source, char **out_json, ghee_error *err) {
  ghee_job_spec *spec;
  GHEE_TRY(ghee_client_spec(source, &spec, err));
  ghee_buffer text = {0};
  ghee_status status = ghee_job_spec_encode(spec, &text, err);
  ghee_job_spec_free(spec);
  if (out_json) return ghee_report_give(&text, status, out_json, err);
  ghee_buffer_fini(&text);
  return status;
}

ghee_status ghee_job_explain(const ghee_job_source *source, bool json, char **out, ghee_error *err) {
  ghee_job_spec *spec;
  ghee_plan *plan = NULL;
  ghee_buffer text = {0};
  GHEE_TRY(ghee_client_spec(source, &spec, err));
  ghee_status status = ghee_plan_make(spec, 0, &plan, err);
  if (status == GHEE_OK) status = ghee_plan_explain(plan, spec, json, &text, err);
  ghee_plan_free(plan);
  ghee_job_spec_free(spec);
  return ghee_report_give(&text, status, out, err);
}

/* ---- status ---- */

static bool is_held(const char *path, const char *which) {
  int fd;
  if (ghee_job_folder_lock(path, which, 0, &fd, NULL) != GHEE_OK) return true;
  close(fd);
  return false;
}

/* What `status` knows of a job. */
typedef struct job_facts {
  const char *state;
  char *folder, *output, *message; /* message: of a failure; NULL otherwise */
  int status;
  ghee_job_progress progress;
  bool has_progress;
} job_facts;

static void job_facts_fini(job_facts *facts) {
  ghee_free(facts->folder);
  ghee_free(facts->output);
  ghee_free(facts->message);
}

static ghee_status read_outcome(const char *folder, job_facts *out, ghee_error *err) {
  static const char *const states[] = {"unfinished", "publishing", "done", "failed", "canceled"};
  char *path = ghee_job_folder_file(folder, "ledger.db"), *text = NULL;
  if (!path) return ghee_error_no_memory(err, "looking at a job");
  ghee_job_state state = GHEE_JOB_RUNNING;
  ghee_ledger *ledger = NULL;
  ghee_status status = GHEE_OK;
  if (access(path, F_OK) == 0) {
    status = ghee_ledger_open(path, &ledger, err);
    if (status == GHEE_OK) status = ghee_ledger_state(ledger, &state, &out->status, &text, err);
    if (ledger) ghee_ledger_close(ledger);
  }
  out->state = states[state];
  if (state == GHEE_JOB_FAILED) out->message = text;
  else ghee_free(text);
  ghee_free(path);
  return status;
}

/* The ledger of a running job is its coordinator's: it is not opened then. */
static ghee_status job_facts_read(const char *name, job_facts *out, ghee_error *err) {
  ghee_job_folder folder;
  ghee_job_spec *spec = NULL;
  GHEE_TRY(ghee_job_folder_open(name, false, &folder, err));
  ghee_status status = GHEE_OK;
  out->state = "running";
  if (!is_held(folder.path, "lock") && !is_held(folder.path, "coordinator.lock")) status = read_outcome(folder.path, out, err);
  out->has_progress = ghee_client_read_progress(folder.path, &out->progress);
  if (ghee_job_folder_read_spec(folder.path, &spec, NULL) == GHEE_OK && spec->output_uri) out->output = ghee_strdup(spec->output_uri);
  ghee_job_spec_free(spec);
  out->folder = folder.path;
  folder.path = NULL;
  ghee_job_folder_fini(&folder);
  return status;
}

static void put_json(const char *name, const job_facts *facts, ghee_json *json) {
  ghee_json_begin_map(json, NULL);
  ghee_json_text(json, "name", name);
  ghee_json_text(json, "state", facts->state);
  ghee_json_text(json, "folder", facts->folder);
  if (facts->output) ghee_json_text(json, "output", facts->output);
  if (facts->message) {
    ghee_json_text(json, "status", ghee_status_name((ghee_status)facts->status));
    ghee_json_text(json, "message", facts->message);
  }
  if (facts->has_progress) {
    ghee_json_begin_map(json, "progress");
    ghee_report_progress(json, &facts->progress);
    ghee_json_end_map(json);
  }
  ghee_json_end_map(json);
}

/* A row of the table. Names are as wide as the widest. */
static void put_row(const char *name, const job_facts *facts, int width, ghee_buffer *out) {
  char done[16] = "";
  if (facts->has_progress) snprintf(done, sizeof done, "%.0f %%", 100 * facts->progress.fraction);
  ghee_buffer_printf(out, "%-*s  %-10s  %6s  %14llu  %s\n", width, name, facts->state, done,
                     (unsigned long long)(facts->has_progress ? facts->progress.rows_in : 0), facts->output ? facts->output : "(trains)");
}

/* All that is known of one job. */
static ghee_status put_details(const char *name, const job_facts *facts, ghee_buffer *out, ghee_error *err) {
  char *progress = NULL;
  if (facts->has_progress) GHEE_TRY(ghee_job_progress_text(&facts->progress, 200, &progress, err));
  ghee_buffer_printf(out, "name      %s\nstate     %s\nfolder    %s\n", name, facts->state, facts->folder);
  if (facts->output) ghee_buffer_printf(out, "output    %s\n", facts->output);
  if (progress) ghee_buffer_printf(out, "progress  %s\n", progress);
  if (facts->message) ghee_buffer_printf(out, "failed    %s\n", facts->message);
  ghee_free(progress);
  return GHEE_OK;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

typedef GHEE_ARRAY(char *) names;

static ghee_status list_names(const char *path, names *out, ghee_error *err) {
  DIR *dir = opendir(path);
  if (!dir) return errno == ENOENT ? GHEE_OK : ghee_error_set_errno(err, errno, "cannot list %s", path);
  bool ok = true;
  for (struct dirent *entry; ok && (entry = readdir(dir));) {
    size_t n = strlen(entry->d_name);
    if (*entry->d_name == '.' || (n > 6 && strcmp(entry->d_name + n - 6, ".value") == 0)) continue;
    char *name = ghee_strdup(entry->d_name);
    ok = name && ghee_array_push(out, name);
  }
  closedir(dir);
  if (out->count) qsort(out->items, out->count, sizeof *out->items, by_text);
  return ok ? GHEE_OK : ghee_error_no_memory(err, "listing jobs");
}

static void names_fini(names *list) {
  for (size_t i = 0; i < list->count; i++) ghee_free(list->items[i]);
  ghee_array_fini(list);
}

static ghee_status describe(const char *name, ghee_json *json, ghee_buffer *text, ghee_error *err) {
  job_facts facts = {0};
  ghee_status status = job_facts_read(name, &facts, err);
  if (status == GHEE_OK && json) put_json(name, &facts, json);
  else if (status == GHEE_OK) status = put_details(name, &facts, text, err);
  job_facts_fini(&facts);
  return status;
}

/* A job that vanishes while the list is made is left out. */
static ghee_status describe_all(ghee_json *json, ghee_buffer *text, ghee_error *err) {
  char *root;
  names list = {0};
  int width = 4;
  GHEE_TRY(ghee_jobs_root(&root, err));
  ghee_status status = list_names(root, &list, err);
  for (size_t i = 0; i < list.count; i++)
    if ((int)strlen(list.items[i]) > width) width = (int)strlen(list.items[i]);
  if (json) ghee_json_begin_list(json, NULL);
  else if (list.count) ghee_buffer_printf(text, "%-*s  %-10s  %6s  %14s  %s\n", width, "NAME", "STATE", "DONE", "ROWS", "OUTPUT");
  else ghee_buffer_printf(text, "there are no jobs in %s\n", root);
  for (size_t i = 0; i < list.count && status == GHEE_OK; i++) {
    job_facts facts = {0};
    status = job_facts_read(list.items[i], &facts, err);
    if (status == GHEE_OK && json) put_json(list.items[i], &facts, json);
    else if (status == GHEE_OK) put_row(list.items[i], &facts, width, text);
    else if (status == GHEE_NOT_FOUND) status = GHEE_OK;
    job_facts_fini(&facts);
  }
  if (json) ghee_json_end_list(json);
  names_fini(&list);
  ghee_free(root);
  return status;
}

ghee_status ghee_job_status(const char *name, bool json, char **out, ghee_error *err) {
  ghee_buffer text = {0};
  ghee_json printer = {.out = &text}, *to = json ? &printer : NULL;
  ghee_status status = name ? describe(name, to, &text, err) : describe_all(to, &text, err);
  return ghee_report_give(&text, status, out, err);
}

/* ---- logs ---- */

static void put_lines(ghee_buffer *out, const char *who, const char *lines) {
  for (const char *at = lines; *at;) {
    size_t n = strcspn(at, "\n");
    ghee_buffer_printf(out, "%s: %.*s\n", who, (int)n, at);
    at += n + (at[n] == '\n');
  }
}

static ghee_status check_stage(const char *folder, const char *name, const char *stage, ghee_error *err) {
  ghee_job_spec *spec;
  ghee_buffer there = {0};
  bool found = false;
  GHEE_TRY(ghee_job_folder_read_spec(folder, &spec, err));
  for (uint32_t i = 0; i < spec->n_stages; i++) {
    found |= strcmp(spec->stages[i].name, stage) == 0;
    ghee_buffer_printf(&there, "%s%s", i ? ", " : "", spec->stages[i].name);
  }
  ghee_status status = found ? GHEE_OK : ghee_error_set(err, GHEE_INVALID, "job %s has no stage %s; its stages are: %s", name, stage, ghee_buffer_text(&there));
  ghee_buffer_fini(&there);
  ghee_job_spec_free(spec);
  return status;
}

ghee_status ghee_job_logs(const char *name, const char *stage, size_t lines, char **out, ghee_error *err) {
  ghee_job_folder folder;
  names list = {0};
  ghee_buffer text = {0};
  GHEE_TRY(ghee_job_folder_open(name, false, &folder, err));
  char *path = ghee_job_folder_file(folder.path, "logs");
  ghee_status status = path ? GHEE_OK : ghee_error_no_memory(err, "reading logs");
  if (status == GHEE_OK && stage) status = check_stage(folder.path, name, stage, err);
  if (status == GHEE_OK) status = list_names(path, &list, err);
  for (size_t i = 0; i < list.count && status == GHEE_OK; i++) {
    char *file = ghee_path_join(path, list.items[i]), *dot = strrchr(list.items[i], '.'), *dash = strrchr(list.items[i], '-');
    if (dot) *dot = 0;
    bool wanted = !stage || (dash && (size_t)(dash - list.items[i]) == strlen(stage) && strncmp(list.items[i], stage, strlen(stage)) == 0);
    char *tail = file && wanted ? ghee_process_tail(file, lines, 1 << 20) : NULL;
    if (tail) put_lines(&text, list.items[i], tail);
    ghee_free(tail);
    ghee_free(file);
  }
  names_fini(&list);
  ghee_free(path);
  ghee_job_folder_fini(&folder);
  return ghee_report_give(&text, status, out, err);
}

/* ---- cancel ---- */

static ghee_status remove_staging_of(ghee_object_store *store, const char *uri, const char *id, ghee_error *err) {
  char *staging;
  if (!uri) return GHEE_OK;
  GHEE_TRY(store->ops->staging(store, uri, id, &staging, err));
  ghee_status status = store->ops->remove_all(store, staging, err);
  ghee_free(staging);
  return status == GHEE_NOT_FOUND ? GHEE_OK : status;
}

ghee_status ghee_client_remove_staging(const char *folder, ghee_error *err) {
  ghee_job_spec *spec;
  ghee_object_store *store = NULL;
  char *id = NULL;
  GHEE_TRY(ghee_job_folder_read_spec(folder, &spec, err));
  bool files = spec->output_uri && !spec->output_log; /* what a topic did not get committed, it undoes by itself */
  ghee_status status = files ? ghee_job_folder_read_id(folder, &id, err) : GHEE_OK;
  if (status == GHEE_OK && files) status = ghee_object_store_open(spec->output_uri, &store, err);
  if (store) {
    status = remove_staging_of(store, spec->output_uri, id, err);
    if (status == GHEE_OK) status = remove_staging_of(store, spec->dead_letter_uri, id, err);
    ghee_object_store_close(store);
  }
  ghee_free(id);
  ghee_job_spec_free(spec);
  return status;
}

/* The client of a running job is told as Ctrl-C would tell it, and finds the mark, so that it says whose doing it was; what waits for its
 * lock then finds it free. */
static void stop_client(const char *folder) {
  ghee_launch_facts facts;
  int fd;
  ghee_job_folder_mark_canceled(folder, true);
  if (ghee_launch_facts_read(folder, &facts, NULL) != GHEE_OK) return;
  if (ghee_process_open(&facts.client, &fd, NULL) == GHEE_OK) {
    (void)ghee_process_signal(fd, SIGINT, NULL);
    close(fd);
  }
  ghee_launch_facts_fini(&facts);
}

ghee_status ghee_job_cancel(const char *name, ghee_error *err) {
  ghee_job_folder folder;
  int coordinator = -1;
  GHEE_TRY(ghee_job_folder_open(name, false, &folder, err));
  if (is_held(folder.path, "lock")) stop_client(folder.path);
  ghee_status status = ghee_job_folder_lock(folder.path, "lock", CANCEL_WAIT_MS, &folder.lock_fd, err);
  if (status == GHEE_OK) status = ghee_job_folder_lock(folder.path, "coordinator.lock", CANCEL_WAIT_MS, &coordinator, err);
  if (coordinator >= 0) close(coordinator);
  if (status == GHEE_OK) {
    status = ghee_client_remove_staging(folder.path, err);
    if (status == GHEE_NOT_FOUND) status = GHEE_OK; /* it had not begun */
  }
  if (status == GHEE_OK) status = ghee_dir_remove_all(folder.path, err);
  if (status != GHEE_OK) ghee_job_folder_mark_canceled(folder.path, false); /* the job is still there */
  ghee_job_folder_fini(&folder);
  return status;
}

/* ---- verify ---- */

ghee_status ghee_output_verify(const char *uri, bool json, char **out, ghee_error *err) {
  char *canonical;
  ghee_object_store *store = NULL;
  ghee_manifest manifest = {0};
  ghee_buffer text = {0};
  GHEE_TRY(ghee_uri_canonical(uri, &canonical, err));
  ghee_status status = ghee_object_store_open(canonical, &store, err);
  if (status == GHEE_OK) status = ghee_manifest_verify(store, canonical, NULL, NULL, &manifest, err);
  if (status == GHEE_OK) {
    uint64_t rows = 0, bytes = 0;
    for (size_t i = 0; i < manifest.count; i++) {
      rows += manifest.files[i].rows;
      bytes += manifest.files[i].size_bytes;
    }
    ghee_json printer = {.out = &text};
    if (json) {
      ghee_json_begin_map(&printer, NULL);
      ghee_json_text(&printer, "uri", canonical);
      ghee_json_text(&printer, "job", manifest.job);
      ghee_json_uint(&printer, "files", manifest.count);
      ghee_json_uint(&printer, "rows", rows);
      ghee_json_uint(&printer, "bytes", bytes);
      ghee_json_end_map(&printer);
    } else {
      ghee_buffer_printf(&text, "%s is whole: %zu file%s, %llu row%s, ", canonical, manifest.count, manifest.count == 1 ? "" : "s", (unsigned long long)rows,
                         rows == 1 ? "" : "s");
      ghee_text_size(&text, bytes);
    }
  }
  ghee_manifest_fini(&manifest);
  if (store) ghee_object_store_close(store);
  ghee_free(canonical);
  return ghee_report_give(&text, status, out, err);
}
