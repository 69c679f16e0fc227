/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/job/job_sample.h"

static char root[64];
static ghee_job_folder folder;

static int setup(void **state) {
  (void)state;
  strcpy(root, "/tmp/ghee-folder-XXXXXX");
  if (!mkdtemp(root) || setenv("XDG_STATE_HOME", root, 1) != 0) return -1;
  return ghee_job_folder_open("one", true, &folder, NULL) == GHEE_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  ghee_job_folder_fini(&folder);
  return ghee_dir_remove_all(root, NULL) == GHEE_OK ? 0 : -1;
}

static const char *in_folder(const char *name) {
  static char paths[4][256];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", folder.path, name);
  return path;
}

static unsigned mode_of(const char *path) {
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  return st.st_mode & 0777;
}

static void write_file(const char *name, const char *text) { SAMPLE_OK(ghee_file_write_atomic(in_folder(name), text, strlen(text), err)); }

/* ---- tests ---- */

static void test_where_jobs_lie(void **state) {
  (void)state;
  char *found = NULL, want[128];
  snprintf(want, sizeof want, "%s/ghee/jobs", root);
  SAMPLE_OK(ghee_jobs_root(&found, err));
  assert_string_equal(found, want);
  ghee_free(found);
  const char *was = getenv("HOME");
  char *home = ghee_strdup(was ? was : "");
  setenv("HOME", "/home/someone", 1);
  setenv("XDG_STATE_HOME", "", 1);
  SAMPLE_OK(ghee_jobs_root(&found, err));
  assert_string_equal(found, "/home/someone/.local/state/ghee/jobs");
  ghee_free(found);
  unsetenv("HOME");
  ghee_error why;
  assert_int_equal(ghee_jobs_root(&found, &why), GHEE_INVALID);
  assert_non_null(strstr(why.message, "XDG_STATE_HOME"));
  setenv("HOME", home, 1);
  ghee_free(home);
}

static void test_a_folder_is_its_users_alone(void **state) {
  (void)state;
  static const char *const below[] = {"code", "state", "train", "logs"};
  assert_int_equal(mode_of(folder.path), 0700);
  for (int i = 0; i < 4; i++) assert_int_equal(mode_of(in_folder(below[i])), 0700);
  ghee_stream_key key, again;
  SAMPLE_OK(ghee_stream_key_new(&key, err));
  SAMPLE_OK(ghee_job_folder_write_key(folder.path, &key, err));
  assert_int_equal(mode_of(in_folder("key")), 0600);
  SAMPLE_OK(ghee_job_folder_read_key(folder.path, &again, err));
  assert_memory_equal(&key, &again, sizeof key);
  write_file("key", "short");
  assert_int_equal(ghee_job_folder_read_key(folder.path, &again, NULL), GHEE_CORRUPT);
}

static void test_names_lead_nowhere_else(void **state) {
  (void)state;
  static const char *const bad[] = {"", ".", "..", "../one", "a/b", ".hidden", "/tmp"};
  ghee_job_folder other;
  ghee_error why;
  assert_int_equal(ghee_job_folder_open("two", false, &other, &why), GHEE_NOT_FOUND);
  assert_non_null(strstr(why.message, "two"));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(ghee_job_folder_open(bad[i], false, &other, NULL), GHEE_NOT_FOUND);
    assert_int_equal(ghee_job_folder_open(bad[i], true, &other, &why), GHEE_INVALID);
  }
  SAMPLE_OK(ghee_job_folder_open("one", false, &other, err));
  assert_string_equal(other.path, folder.path);
  ghee_job_folder_fini(&other);
}

static void test_a_lock_is_held_by_one(void **state) {
  (void)state;
  int first = -1, second = -1;
  ghee_error why;
  SAMPLE_OK(ghee_job_folder_lock(folder.path, "lock", 0, &first, err));
  assert_int_equal(ghee_job_folder_lock(folder.path, "lock", 0, &second, &why), GHEE_BUSY);
  assert_non_null(strstr(why.message, "job one is running"));
  SAMPLE_OK(ghee_job_folder_lock(folder.path, "coordinator.lock", 0, &second, err));
  close(second);
  close(first);
  SAMPLE_OK(ghee_job_folder_lock(folder.path, "lock", 0, &second, err));
  close(second);
}

static void test_each_run_has_its_id(void **state) {
  (void)state;
  char *first = NULL, *second = NULL;
  SAMPLE_OK(ghee_job_folder_write_id(folder.path, "one", err));
  SAMPLE_OK(ghee_job_folder_read_id(folder.path, &first, err));
  SAMPLE_OK(ghee_job_folder_write_id(folder.path, "one", err));
  SAMPLE_OK(ghee_job_folder_read_id(folder.path, &second, err));
  assert_int_equal(strncmp(first, "one-", 4), 0);
  assert_string_not_equal(first, second);
  ghee_free(first);
  ghee_free(second);
}

static void test_only_signed_code_is_taken(void **state) {
  (void)state;
  ghee_stream_key key, other;
  ghee_error why;
  SAMPLE_OK(ghee_stream_key_new(&key, err));
  SAMPLE_OK(ghee_stream_key_new(&other, err));
  SAMPLE_OK(ghee_job_folder_write_code(folder.path, "f.pkl", "code", 4, &key, err));
  SAMPLE_OK(ghee_job_folder_check_code(folder.path, "f.pkl", &key, err));
  assert_int_equal(ghee_job_folder_check_code(folder.path, "f.pkl", &other, &why), GHEE_DENIED);
  assert_non_null(strstr(why.message, "f.pkl"));
  write_file("code/f.pkl", "c0de");
  assert_int_equal(ghee_job_folder_check_code(folder.path, "f.pkl", &key, NULL), GHEE_DENIED);
  write_file("code/f.pkl", "code");
  SAMPLE_OK(ghee_job_folder_check_code(folder.path, "f.pkl", &key, err));
  write_file("code/f.pkl.sig", "");
  assert_int_equal(ghee_job_folder_check_code(folder.path, "f.pkl", &key, NULL), GHEE_DENIED);
  unlink(in_folder("code/f.pkl.sig"));
  assert_int_equal(ghee_job_folder_check_code(folder.path, "f.pkl", &key, NULL), GHEE_NOT_FOUND);
  static const char *const bad[] = {"", "../key", ".f", "a/b"};
  for (int i = 0; i < 4; i++) {
    assert_int_equal(ghee_job_folder_write_code(folder.path, bad[i], "code", 4, &key, NULL), GHEE_INVALID);
    assert_int_equal(ghee_job_folder_check_code(folder.path, bad[i], &key, NULL), GHEE_INVALID);
  }
}

static void test_facts_come_back(void **state) {
  (void)state;
  char program[] = "/usr/bin/python3", word[] = "-X \"utf8\"", modules[] = "/home/some one/é", *python[] = {program, word, NULL};
  ghee_launch_facts facts = {.client = {.pid = 4711, .born = UINT64_MAX - 5}, .python = python, .module_folder = modules, .limit_rows = INT64_MAX}, again;
  SAMPLE_OK(ghee_launch_facts_write(folder.path, &facts, err));
  SAMPLE_OK(ghee_launch_facts_read(folder.path, &again, err));
  assert_true(again.client.pid == 4711 && again.client.born == facts.client.born && again.limit_rows == INT64_MAX);
  assert_string_equal(again.module_folder, modules);
  assert_string_equal(again.python[0], program);
  assert_string_equal(again.python[1], word);
  assert_null(again.python[2]);
  ghee_launch_facts_fini(&again);
  write_file("launch.json", "{\"client_pid\": \"many\"}");
  assert_int_equal(ghee_launch_facts_read(folder.path, &again, NULL), GHEE_INVALID);
}

/* Of a process that is killed in between, too: the file keeps it. */
static void test_a_mark_outlives_its_worker(void **state) {
  (void)state;
  ghee_mark *mark, *other;
  SAMPLE_OK(ghee_mark_open(folder.path, "predict", 3, &mark, err));
  assert_true(mark->busy == 0 && mark->chunk == 0);
  mark->busy = 1;
  mark->chunk = 17;
  ghee_mark_close(mark);
  SAMPLE_OK(ghee_mark_open(folder.path, "predict", 3, &mark, err));
  SAMPLE_OK(ghee_mark_open(folder.path, "predict", 4, &other, err));
  assert_true(mark->busy == 1 && mark->chunk == 17 && other->busy == 0);
  ghee_mark_close(mark);
  ghee_mark_close(other);
}

static void test_only_sockets_are_removed(void **state) {
  (void)state;
  static const struct { const char *name; bool stays; } files[] = {{"control.sock", false}, {"launch.sock", false}, {GHEE_STREAM_SOCKET_PREFIX "0", false},
                                                                   {"job.json", true}, {"sock", true}, {"processes", true}, {"key", true}};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) write_file(files[i].name, "");
  ghee_job_folder_remove_sockets(folder.path);
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) assert_int_equal(access(in_folder(files[i].name), F_OK), files[i].stays ? 0 : -1);
  ghee_job_folder_remove_sockets("/nowhere");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {TEST(test_where_jobs_lie), TEST(test_a_folder_is_its_users_alone), TEST(test_names_lead_nowhere_else),
                                     TEST(test_a_lock_is_held_by_one), TEST(test_each_run_has_its_id), TEST(test_only_signed_code_is_taken),
                                     TEST(test_facts_come_back), TEST(test_a_mark_outlives_its_worker), TEST(test_only_sockets_are_removed)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
