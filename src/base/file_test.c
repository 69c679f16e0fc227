/* SPDX-License-Identifier: Apache-2.0
 * Small files and folders: what is read, replaced, made and removed; sockets at paths of any length; lines of the log. */
#include "base/nth_alloc.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/unix_address.h"

static char root[64];

static int setup(void **state) {
  (void)state;
  strcpy(root, "/tmp/ghee-base-XXXXXX");
  return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  return ghee_dir_remove_all(root, NULL) == GHEE_OK && access(root, F_OK) != 0 ? 0 : -1;
}

static const char *at(const char *relative) {
  static char paths[4][256];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", root, relative);
  return path;
}

static int names_in_root(void) {
  char command[160];
  snprintf(command, sizeof command, "ls -A %s | wc -l", root);
  FILE *out = popen(command, "r");
  int n = -1;
  assert_int_equal(fscanf(out, "%d", &n), 1);
  pclose(out);
  return n;
}

static void check_content(const char *path, const char *want) {
  ghee_buffer text = {0};
  assert_int_equal(ghee_file_read_all(path, 1000, &text, NULL), GHEE_OK);
  assert_string_equal(ghee_buffer_text(&text), want);
  ghee_buffer_fini(&text);
}

static void test_write_and_read(void **state) {
  (void)state;
  assert_int_equal(ghee_file_write_atomic(at("a"), "first", 5, NULL), GHEE_OK);
  assert_int_equal(ghee_file_write_atomic(at("a"), "2nd", 3, NULL), GHEE_OK);
  check_content(at("a"), "2nd");
  assert_int_equal(ghee_file_write_atomic(at("empty"), "", 0, NULL), GHEE_OK);
  check_content(at("empty"), "");
  assert_int_equal(names_in_root(), 2); /* no temporary file is left */
  assert_int_equal(ghee_file_sync(at("a"), NULL), GHEE_OK);
  ghee_buffer text = {0};
  ghee_error err;
  ghee_buffer_put(&text, "kept ", 5);
  assert_int_equal(ghee_file_read_all(at("a"), 3, &text, NULL), GHEE_OK); /* appended, and exactly as large as it may be */
  assert_string_equal(ghee_buffer_text(&text), "kept 2nd");
  assert_int_equal(ghee_file_read_all(at("a"), 2, &text, &err), GHEE_LIMIT);
  assert_non_null(strstr(err.message, "larger than the 2 bytes"));
  assert_int_equal(ghee_file_read_all(at("none"), 2, &text, &err), GHEE_NOT_FOUND);
  assert_int_equal(ghee_file_read_all(root, 2, &text, &err), GHEE_IO); /* a folder */
  assert_int_equal(ghee_file_sync(at("none"), &err), GHEE_NOT_FOUND);
  assert_int_equal(ghee_dir_sync(at("a"), &err), GHEE_NOT_FOUND); /* not a folder */
  ghee_buffer_fini(&text);
}

static void test_a_failed_write_leaves_the_old(void **state) {
  (void)state;
  ghee_error err;
  assert_int_equal(mkdir(at("folder"), 0700), 0);
  assert_int_equal(ghee_file_write_atomic(at("folder"), "x", 1, &err), GHEE_IO); /* a folder stands there */
  assert_non_null(strstr(err.message, "in place"));
  assert_int_equal(ghee_file_write_atomic(at("no/such/a"), "x", 1, &err), GHEE_NOT_FOUND);
  assert_int_equal(names_in_root(), 1);
}

static void test_a_large_file(void **state) {
  (void)state;
  size_t size = 300000;
  char *data = malloc(size);
  for (size_t i = 0; i < size; i++) data[i] = (char)(i * 31);
  ghee_buffer back = {0};
  assert_int_equal(ghee_file_write_atomic(at("large"), data, size, NULL), GHEE_OK);
  assert_int_equal(ghee_file_read_all(at("large"), size, &back, NULL), GHEE_OK);
  assert_int_equal(back.size, size);
  assert_memory_equal(back.data, data, size);
  ghee_buffer_fini(&back);
  free(data);
}

static void test_folders(void **state) {
  (void)state;
  ghee_error err;
  assert_int_equal(ghee_dir_make_all(at("a/b//c/"), 0700, NULL), GHEE_OK);
  assert_int_equal(ghee_dir_make_all(at("a/b/c"), 0700, NULL), GHEE_OK); /* there already */
  assert_int_equal(ghee_file_write_atomic(at("a/b/file"), "x", 1, NULL), GHEE_OK);
  assert_int_equal(ghee_dir_make_all(at("a/b/file"), 0700, &err), GHEE_EXISTS);
  assert_non_null(strstr(err.message, "a file of that name"));
  assert_int_not_equal(ghee_dir_make_all(at("a/b/file/d"), 0700, &err), GHEE_OK);
  assert_int_equal(ghee_dir_make_all("/", 0700, NULL), GHEE_OK);
  assert_int_equal(ghee_dir_make_all("/proc/none/a", 0700, &err), GHEE_NOT_FOUND);
  assert_int_equal(ghee_file_write_atomic(at("outside"), "safe", 4, NULL), GHEE_OK);
  assert_int_equal(symlink(root, at("a/loop")), 0); /* a link is removed, not followed */
  assert_int_equal(symlink(at("none"), at("a/dangling")), 0);
  assert_int_equal(ghee_dir_remove_all(at("a"), NULL), GHEE_OK);
  check_content(at("outside"), "safe");
  assert_int_equal(ghee_dir_remove_all(at("outside"), NULL), GHEE_OK); /* a file too */
  assert_int_equal(names_in_root(), 0);
  assert_int_equal(ghee_dir_remove_all(at("a"), NULL), GHEE_OK); /* there is nothing */
}

static void test_paths(void **state) {
  (void)state;
  static const char *const cases[][3] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"", "b", "/b"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *path = ghee_path_join(cases[i][0], cases[i][1]);
    assert_string_equal(path, cases[i][2]);
    ghee_free(path);
  }
}

/* Binds at `path` and connects to it. */
static void check_socket(const char *path) {
  struct sockaddr_un address;
  socklen_t size;
  int folder, listening = socket(AF_UNIX, SOCK_STREAM, 0), other = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(ghee_unix_address(path, &address, &size, &folder, NULL), GHEE_OK);
  assert_int_equal(folder >= 0, strlen(path) >= sizeof address.sun_path);
  assert_int_equal(bind(listening, (struct sockaddr *)&address, size), 0);
  assert_int_equal(listen(listening, 1), 0);
  assert_int_equal(connect(other, (struct sockaddr *)&address, size), 0);
  assert_int_equal(access(path, F_OK), 0);
  close(listening);
  close(other);
  if (folder >= 0) close(folder);
}

static void test_sockets_at_paths_of_any_length(void **state) {
  (void)state;
  ghee_error err;
  struct sockaddr_un address;
  socklen_t size;
  int folder;
  char name[200] = {0};
  check_socket(at("short"));
  memset(name, 'd', 150);
  assert_int_equal(mkdir(at(name), 0700), 0);
  strcat(name, "/socket");
  check_socket(at(name));
  snprintf(name, sizeof name, "none/%0120d", 0);
  assert_int_equal(ghee_unix_address(at(name), &address, &size, &folder, &err), GHEE_NOT_FOUND);
  assert_true(folder < 0);
  snprintf(name, sizeof name, "%0120d", 0); /* the name alone does not fit */
  assert_int_equal(ghee_unix_address(at(name), &address, &size, &folder, &err), GHEE_LIMIT);
  if (folder >= 0) close(folder);
}

static void keep_line(void *user, ghee_log_level level, const char *line) { snprintf(user, 100, "%d %.40s", (int)level, line); }

static void test_log_and_clock(void **state) {
  (void)state;
  char last[100] = "none", wide[6000];
  ghee_log(GHEE_LOG_ERROR, "nobody listens");
  ghee_log_set(keep_line, last, GHEE_LOG_INFO);
  ghee_log(GHEE_LOG_DEBUG, "too quiet");
  assert_string_equal(last, "none");
  ghee_log(GHEE_LOG_WARN, "worker %d", 7);
  assert_string_equal(last, "2 worker 7");
  memset(wide, 'w', sizeof wide - 1);
  wide[sizeof wide - 1] = 0;
  ghee_log(GHEE_LOG_INFO, "%s", wide); /* cut */
  assert_int_equal(strncmp(last, "1 wwww", 6), 0);
  ghee_log_set(NULL, NULL, GHEE_LOG_INFO);
  uint64_t before = ghee_clock_ns(), ms = ghee_clock_ms(), after = ghee_clock_ns();
  assert_true(before <= after && before / 1000000 <= ms && ms <= after / 1000000);
  assert_true(ghee_clock_wall_ms() > 1500000000000); /* after 2017 */
}

static ghee_status all_of_it(void *user, ghee_error *err) {
  (void)user;
  ghee_buffer text = {0};
  struct sockaddr_un address;
  socklen_t size;
  int folder = -1;
  char name[160] = {0};
  memset(name, 'd', 120);
  ghee_status status;
  GHEE_GOTO(status, end, ghee_dir_make_all(at(name), 0700, err));
  strcat(name, "/a");
  GHEE_GOTO(status, end, ghee_file_write_atomic(at("a"), "content", 7, err));
  GHEE_GOTO(status, end, ghee_file_read_all(at("a"), 100, &text, err));
  GHEE_GOTO(status, end, ghee_file_sync(at("a"), err));
  GHEE_GOTO(status, end, ghee_unix_address(at(name), &address, &size, &folder, err));
end:
  if (folder >= 0) close(folder);
  ghee_buffer_fini(&text);
  return status;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  assert_true(nth_alloc_each(all_of_it, NULL, GHEE_OK) >= 6);
  assert_int_equal(names_in_root(), 2); /* nothing half-written */
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
  const struct CMUnitTest tests[] = {
      IN_FOLDER(test_write_and_read), IN_FOLDER(test_a_failed_write_leaves_the_old), IN_FOLDER(test_a_large_file), IN_FOLDER(test_folders),
      IN_FOLDER(test_sockets_at_paths_of_any_length), IN_FOLDER(test_memory_runs_out), cmocka_unit_test(test_paths), cmocka_unit_test(test_log_and_clock),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
