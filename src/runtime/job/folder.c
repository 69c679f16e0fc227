/* SPDX-License-Identifier: Apache-2.0
 * A job's folder. */
#include "runtime/job/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "text/json.h"

enum { MOST_BYTES = 64 << 20, LOCK_RETRY_MS = 5 };

ghee_status ghee_jobs_root(char **out, ghee_error *err) {
  const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  if (state && *state) *out = ghee_asprintf("%s/ghee/jobs", state);
  else if (home && *home) *out = ghee_asprintf("%s/.local/state/ghee/jobs", home);
  else return ghee_error_set(err, GHEE_INVALID, "neither XDG_STATE_HOME nor HOME is set: there is no place for a job's state");
  return *out ? GHEE_OK : ghee_error_no_memory(err, "finding the jobs' folder");
}

char *ghee_job_folder_file(const char *path, const char *name) { return ghee_path_join(path, name); }
char *ghee_job_folder_round(const char *path, uint32_t number) { return ghee_asprintf("%s/state/round-%u", path, number); }

/* Makes the path of `name` and calls `use` with it; the pattern of all small files here. */
#define WITH_PATH(path, folder, name, err)                                                   \
  char *path = ghee_job_folder_file(folder, name);                                           \
  if (!path) return ghee_error_no_memory(err, "using the job's folder")

static ghee_status make_below(const char *path, const char *name, ghee_error *err) {
  WITH_PATH(below, path, name, err);
  ghee_status status = ghee_dir_make_all(below, 0700, err);
  ghee_free(below);
  return status;
}

/* One that leads out of the jobs' folder, or that nobody would see there. */
static bool is_name(const char *name) { return *name && *name != '.' && !strchr(name, '/'); }

ghee_status ghee_job_folder_open(const char *name, bool create, ghee_job_folder *out, ghee_error *err) {
  char *root, *path;
  if (create && !is_name(name)) return ghee_error_set(err, GHEE_INVALID, "'%s' is no name for a job: it must not be empty, begin with '.' or hold '/'", name);
  GHEE_TRY(ghee_jobs_root(&root, err));
  path = ghee_path_join(root, name);
  ghee_free(root);
  if (!path) return ghee_error_no_memory(err, "opening a job's folder");
  ghee_status status = GHEE_OK;
  struct stat st;
  if (create) {
    status = ghee_dir_make_all(path, 0700, err);
    static const char *const below[] = {"code", "state", "train", "logs"};
    for (size_t i = 0; i < 4 && status == GHEE_OK; i++) status = make_below(path, below[i], err);
  } else if (!is_name(name) || stat(path, &st) != 0) {
    status = ghee_error_set(err, GHEE_NOT_FOUND, "there is no job %s; `ghee status` lists those that there are", name);
  }
  if (status != GHEE_OK) {
    ghee_free(path);
    return status;
  }
  *out = (ghee_job_folder){.path = path, .lock_fd = -1};
  return GHEE_OK;
}

void ghee_job_folder_fini(ghee_job_folder *folder) {
  if (folder->lock_fd >= 0) close(folder->lock_fd);
  ghee_free(folder->path);
  *folder = (ghee_job_folder){.lock_fd = -1};
}

ghee_status ghee_job_folder_lock(const char *path, const char *which, uint32_t wait_ms, int *out_fd, ghee_error *err) {
  WITH_PATH(file, path, which, err);
  int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ghee_status status = fd < 0 ? ghee_error_set_errno(err, errno, "cannot open lock %s", file) : GHEE_OK;
  /* flock cannot wait with a limit; the few milliseconds between two tries only matter while a predecessor is dying. */
  for (uint64_t end = ghee_clock_ms() + wait_ms; status == GHEE_OK && flock(fd, LOCK_EX | LOCK_NB) != 0;) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) status = ghee_error_set_errno(err, errno, "cannot lock %s", file);
    else if (ghee_clock_ms() >= end) status = ghee_error_set(err, GHEE_BUSY, "job %s is running (%s is locked)", strrchr(path, '/') ? strrchr(path, '/') + 1 : path, file);
    else poll(NULL, 0, LOCK_RETRY_MS);
  }
  ghee_free(file);
  if (status != GHEE_OK) {
    if (fd >= 0) close(fd);
    return status;
  }
  *out_fd = fd;
  return GHEE_OK;
}

static ghee_status read_small(const char *path, const char *name, ghee_buffer *out, ghee_error *err) {
  WITH_PATH(file, path, name, err);
  ghee_status status = ghee_file_read_all(file, MOST_BYTES, out, err);
  ghee_free(file);
  return status;
}

static ghee_status write_small(const char *path, const char *name, const void *data, size_t size, ghee_error *err) {
  WITH_PATH(file, path, name, err);
  ghee_status status = ghee_file_write_atomic(file, data, size, err);
  ghee_free(file);
  return status;
}

ghee_status ghee_job_folder_read_spec(const char *path, ghee_job_spec **out, ghee_error *err) {
  WITH_PATH(file, path, "job.json", err);
  ghee_document *document = NULL;
  ghee_status status = ghee_document_load(file, &document, err);
  if (status == GHEE_OK) status = ghee_job_spec_new(document, NULL, out, err);
  ghee_document_free(document);
  ghee_free(file);
  return status;
}

/* ---- the mark of cancel ---- */

void ghee_job_folder_mark_canceled(const char *path, bool on) {
  char *mark = ghee_job_folder_file(path, "canceled");
  if (mark && on) (void)ghee_file_write_atomic(mark, "", 0, NULL);
  else if (mark) (void)unlink(mark);
  ghee_free(mark);
}

bool ghee_job_folder_is_canceled(const char *path) {
  char *mark = ghee_job_folder_file(path, "canceled");
  bool is = mark && access(mark, F_OK) == 0;
  ghee_free(mark);
  return is;
}

/* ---- keys, ids, code ---- */

ghee_status ghee_job_folder_write_key(const char *path, const ghee_stream_key *key, ghee_error *err) {
  return write_small(path, "key", key, sizeof *key, err); /* 0600 as made by mkostemp */
}

ghee_status ghee_job_folder_read_key(const char *path, ghee_stream_key *out, ghee_error *err) {
  ghee_buffer bytes = {0};
  ghee_status status = read_small(path, "key", &bytes, err);
  if (status == GHEE_OK && bytes.size != sizeof *out) status = ghee_error_set(err, GHEE_CORRUPT, "the key in %s is damaged", path);
  if (status == GHEE_OK) memcpy(out, bytes.data, sizeof *out);
  ghee_buffer_fini(&bytes);
  return status;
}

ghee_status ghee_job_folder_write_id(const char *path, const char *name, ghee_error *err) {
  uint32_t random;
  if (sodium_init() < 0) return ghee_error_set(err, GHEE_INTERNAL, "libsodium does not start: no source of randomness");
  randombytes_buf(&random, sizeof random);
  char *id = ghee_asprintf("%s-%08x", name, random);
  if (!id) return ghee_error_no_memory(err, "naming a run");
  ghee_status status = write_small(path, "id", id, strlen(id), err);
  ghee_free(id);
  return status;
}

ghee_status ghee_job_folder_read_id(const char *path, char **out, ghee_error *err) {
  ghee_buffer bytes = {0};
  ghee_status status = read_small(path, "id", &bytes, err);
  if (status == GHEE_OK && !(*out = ghee_strdup(ghee_buffer_text(&bytes)))) status = ghee_error_no_memory(err, "reading a run's id");
  ghee_buffer_fini(&bytes);
  return status;
}

enum { SIGNATURE = 32 };

static void sign(const ghee_stream_key *key, const void *data, size_t size, uint8_t out[SIGNATURE]) {
  crypto_generichash(out, SIGNATURE, data, size, key->secret_key, sizeof key->secret_key);
}

static char *code_name(const char *name, const char *suffix) { return ghee_asprintf("code/%s%s", name, suffix); }

ghee_status ghee_job_folder_write_code(const char *path, const char *name, const void *data, size_t size, const ghee_stream_key *key, ghee_error *err) {
  if (!*name || strchr(name, '/') || *name == '.') return ghee_error_set(err, GHEE_INVALID, "code '%s' is no file name", name);
  uint8_t signature[SIGNATURE];
  sign(key, data, size, signature);
  char *file = code_name(name, ""), *beside = code_name(name, ".sig");
  ghee_status status = file && beside ? write_small(path, file, data, size, err) : ghee_error_no_memory(err, "storing code");
  if (status == GHEE_OK) status = write_small(path, beside, signature, sizeof signature, err);
  ghee_free(file);
  ghee_free(beside);
  return status;
}

ghee_status ghee_job_folder_check_code(const char *path, const char *name, const ghee_stream_key *key, ghee_error *err) {
  if (!*name || strchr(name, '/') || *name == '.') return ghee_error_set(err, GHEE_INVALID, "code '%s' is no file name", name);
  ghee_buffer code = {0}, signature = {0};
  char *file = code_name(name, ""), *beside = code_name(name, ".sig");
  ghee_status status = file && beside ? read_small(path, file, &code, err) : ghee_error_no_memory(err, "checking code");
  if (status == GHEE_OK) status = read_small(path, beside, &signature, err);
  uint8_t want[SIGNATURE];
  if (status == GHEE_OK) sign(key, code.data, code.size, want);
  if (status == GHEE_OK && (signature.size != SIGNATURE || sodium_memcmp(signature.data, want, SIGNATURE) != 0))
    status = ghee_error_set(err, GHEE_DENIED, "the shipped code %s does not carry the job's signature", name);
  ghee_buffer_fini(&code);
  ghee_buffer_fini(&signature);
  ghee_free(file);
  ghee_free(beside);
  return status;
}

void ghee_job_folder_remove_sockets(const char *path) {
  DIR *dir = opendir(path);
  for (struct dirent *entry; dir && (entry = readdir(dir));) {
    size_t n = strlen(entry->d_name);
    bool of_a_worker = strncmp(entry->d_name, GHEE_STREAM_SOCKET_PREFIX, strlen(GHEE_STREAM_SOCKET_PREFIX)) == 0;
    if (of_a_worker || (n > 5 && strcmp(entry->d_name + n - 5, ".sock") == 0)) unlinkat(dirfd(dir), entry->d_name, 0);
  }
  if (dir) closedir(dir);
}

/* ---- launch.json ---- */

ghee_status ghee_launch_facts_write(const char *path, const ghee_launch_facts *facts, ghee_error *err) {
  ghee_buffer text = {0};
  ghee_json json = {.out = &text};
  ghee_json_begin_map(&json, NULL);
  ghee_json_int(&json, "client_pid", facts->client.pid);
  ghee_json_int(&json, "client_born", (int64_t)facts->client.born);
  ghee_json_begin_list(&json, "python");
  for (char **at = facts->python; at && *at; at++) ghee_json_text(&json, NULL, *at);
  ghee_json_end_list(&json);
  ghee_json_text(&json, "module_folder", facts->module_folder);
  ghee_json_int(&json, "limit_rows", facts->limit_rows);
  ghee_json_int(&json, "hosted", facts->hosted);
  ghee_json_end_map(&json);
  ghee_status status = ghee_buffer_check(&text, "writing the job's folder", err);
  if (status == GHEE_OK) status = write_small(path, "launch.json", text.data, text.size, err);
  ghee_buffer_fini(&text);
  return status;
}

static ghee_status copy_facts(const ghee_node *root, ghee_launch_facts *out, ghee_error *err) {
  int64_t pid = 0, born = 0, limit = 0, hosted = 0;
  const char *folder = "", **python = NULL;
  size_t n = 0;
  GHEE_TRY(ghee_node_read_int(root, "client_pid", 0, INT64_MAX, &pid, err));
  GHEE_TRY(ghee_node_read_int(root, "client_born", INT64_MIN, INT64_MAX, &born, err));
  GHEE_TRY(ghee_node_read_int(root, "limit_rows", 0, INT64_MAX, &limit, err));
  GHEE_TRY(ghee_node_read_int(root, "hosted", 0, 1, &hosted, err));
  GHEE_TRY(ghee_node_read_text(root, "module_folder", &folder, err));
  GHEE_TRY(ghee_node_read_texts(root, "python", &python, &n, err));
  out->client = (ghee_process_id){.pid = pid, .born = (uint64_t)born};
  out->limit_rows = limit;
  out->hosted = hosted != 0;
  out->module_folder = ghee_strdup(folder);
  out->python = ghee_alloc_zero(n + 1, sizeof *out->python);
  bool ok = out->module_folder && out->python;
  for (size_t i = 0; i < n && ok; i++) ok = (out->python[i] = ghee_strdup(python[i])) != NULL;
  ghee_free(python);
  return ok ? GHEE_OK : ghee_error_no_memory(err, "reading the job's folder");
}

ghee_status ghee_launch_facts_read(const char *path, ghee_launch_facts *out, ghee_error *err) {
  WITH_PATH(file, path, "launch.json", err);
  ghee_document *document = NULL;
  *out = (ghee_launch_facts){0};
  ghee_status status = ghee_document_load(file, &document, err);
  if (status == GHEE_OK) status = copy_facts(ghee_document_root(document), out, err);
  if (status != GHEE_OK) ghee_launch_facts_fini(out);
  ghee_document_free(document);
  ghee_free(file);
  return status;
}

void ghee_launch_facts_fini(ghee_launch_facts *facts) {
  for (char **at = facts->python; at && *at; at++) ghee_free(*at);
  ghee_free(facts->python);
  ghee_free(facts->module_folder);
  *facts = (ghee_launch_facts){0};
}

/* ---- marks ---- */

ghee_status ghee_mark_open(const char *path, const char *stage, uint32_t worker, ghee_mark **out, ghee_error *err) {
  char *name = ghee_asprintf("state/%s-%u", stage, worker), *file = name ? ghee_job_folder_file(path, name) : NULL;
  ghee_free(name);
  if (!file) return ghee_error_no_memory(err, "opening a worker's mark");
  int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ghee_status status = fd < 0 || ftruncate(fd, sizeof(ghee_mark)) != 0 ? ghee_error_set_errno(err, errno, "cannot open %s", file) : GHEE_OK;
  void *data = status == GHEE_OK ? mmap(NULL, sizeof(ghee_mark), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
  if (status == GHEE_OK && data == MAP_FAILED) status = ghee_error_set_errno(err, errno, "cannot map %s", file);
  if (fd >= 0) close(fd);
  ghee_free(file);
  if (status == GHEE_OK) *out = data;
  return status;
}

void ghee_mark_close(ghee_mark *mark) { munmap(mark, sizeof *mark); }
