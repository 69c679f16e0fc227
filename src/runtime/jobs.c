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
#include "runtime/client.h"
#include "text/json.h"

enum { CANCEL_WAIT_MS = 3000 };

/* The text of a buffer as a string of its own; the buffer is given up. */
static ghee_status give(ghee_buffer *text, ghee_status status, char **out, ghee_error *err) {
  char *copy = status == GHEE_OK ? ghee_strdup(ghee_buffer_text(text)) : NULL;
  if (status == GHEE_OK && (text->failed || !copy)) status = ghee_error_no_memory(err, "writing an answer");
  ghee_buffer_fini(text);
  if (status == GHEE_OK) *out = copy;
  else ghee_free(copy);
  return status;
}

ghee_status ghee_job_check(const ghee_job_source *source, char **out_json, ghee_error *err) {
  ghee_job_spec *spec;
  GHEE_TRY(ghee_client_spec(source, &spec, err));
  ghee_buffer text = {0};
  ghee_status status = ghee_job_spec_encode(spec, &text, err);
  ghee_job_spec_free(spec);
  if (out_json) return give(&text, status, out_json, err);
  ghee_buffer_fini(&text);
  return status;
}

ghee_status ghee_job_explain(const ghee_job_source *source, bool json, char **out, ghee_error *err) {
  ghee_job_spec *spec;
  ghee_plan *plan = NULL;
  ghee_buffer text = {0};
  GHEE_TRY(ghee_client_spec(source, &spec, err));
  ghee_status status = ghee_plan_make(spec, NULL, NULL, &plan, err);
  if (status == GHEE_OK) status = ghee_plan_explain(plan, spec, json, &text, err);
  ghee_plan_free(plan);
  ghee_job_spec_free(spec);
  return give(&text, status, out, err);
}

/* ---- status ---- */

static bool is_held(const char *path, const char *which) {
  int fd;
  if (ghee_job_folder_lock(path, which, 0, &fd, NULL) != GHEE_OK) return true;
  close(fd);
  return false;
}

static ghee_status describe(const char *name, ghee_json *json, ghee_error *err) {
  static const char *const states[] = {"unfinished", "publishing", "done", "failed", "canceled"};
  ghee_job_folder folder;
  GHEE_TRY(ghee_job_folder_open(name, false, &folder, err));
  char *path = ghee_job_folder_file(folder.path, "ledger.db"), *text = NULL;
  ghee_job_state state = GHEE_JOB_RUNNING;
  int code = 0;
  ghee_ledger *ledger = NULL;
  ghee_status status = path ? GHEE_OK : ghee_error_no_memory(err, "looking at a job");
  bool running = status == GHEE_OK && is_held(folder.path, "lock");
  if (status == GHEE_OK && access(path, F_OK) == 0) {
    status = ghee_ledger_open(path, &ledger, err);
    if (status == GHEE_OK) status = ghee_ledger_state(ledger, &state, &code, &text, err);
  }
  if (status == GHEE_OK) {
    ghee_json_begin_map(json, NULL);
    ghee_json_text(json, "name", name);
    ghee_json_text(json, "state", running ? "running" : states[state]);
    ghee_json_text(json, "folder", folder.path);
    if (state == GHEE_JOB_FAILED) {
      ghee_json_text(json, "status", ghee_status_name((ghee_status)code));
      ghee_json_text(json, "message", text);
    }
    ghee_json_end_map(json);
  }
  if (ledger) ghee_ledger_close(ledger);
  ghee_free(text);
  ghee_free(path);
  ghee_job_folder_fini(&folder);
  return status;
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

static ghee_status describe_all(ghee_json *json, ghee_error *err) {
  char *root;
  names list = {0};
  GHEE_TRY(ghee_jobs_root(&root, err));
  ghee_status status = list_names(root, &list, err);
  ghee_json_begin_list(json, NULL);
  for (size_t i = 0; i < list.count && status == GHEE_OK; i++) status = describe(list.items[i], json, err);
  ghee_json_end_list(json);
  names_fini(&list);
  ghee_free(root);
  return status;
}

ghee_status ghee_job_status(const char *name, char **out, ghee_error *err) {
  ghee_buffer text = {0};
  ghee_json json = {.out = &text};
  return give(&text, name ? describe(name, &json, err) : describe_all(&json, err), out, err);
}

/* ---- logs ---- */

static void put_lines(ghee_buffer *out, const char *who, const char *lines) {
  for (const char *at = lines; *at;) {
    size_t n = strcspn(at, "\n");
    ghee_buffer_printf(out, "%s: %.*s\n", who, (int)n, at);
    at += n + (at[n] == '\n');
  }
}

ghee_status ghee_job_logs(const char *name, const char *stage, size_t lines, char **out, ghee_error *err) {
  ghee_job_folder folder;
  names list = {0};
  ghee_buffer text = {0};
  GHEE_TRY(ghee_job_folder_open(name, false, &folder, err));
  char *path = ghee_job_folder_file(folder.path, "logs");
  ghee_status status = path ? list_names(path, &list, err) : ghee_error_no_memory(err, "reading logs");
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
  return give(&text, status, out, err);
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
  ghee_status status = spec->output_uri ? ghee_job_folder_read_id(folder, &id, err) : GHEE_OK;
  if (status == GHEE_OK && spec->output_uri) status = ghee_object_store_open(spec->output_uri, &store, err);
  if (store) {
    status = remove_staging_of(store, spec->output_uri, id, err);
    if (status == GHEE_OK) status = remove_staging_of(store, spec->dead_letter_uri, id, err);
    ghee_object_store_close(store);
  }
  ghee_free(id);
  ghee_job_spec_free(spec);
  return status;
}

/* The client of a running job is told as Ctrl-C would tell it; what waits for its lock then finds it free. */
static void stop_client(const char *folder) {
  ghee_launch_facts facts;
  int fd;
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
      ghee_buffer_printf(&text, "%s is whole: %zu files, %llu rows, ", canonical, manifest.count, (unsigned long long)rows);
      ghee_text_size(&text, bytes);
    }
  }
  ghee_manifest_fini(&manifest);
  if (store) ghee_object_store_close(store);
  ghee_free(canonical);
  return give(&text, status, out, err);
}
