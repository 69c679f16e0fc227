/* SPDX-License-Identifier: Apache-2.0
 * Publication on disk, killed and failing at every one of its system calls, then done again. The calls are caught by functions
 * of the same name in this program. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/nth_alloc.h"
#include "storage/file.h"

/* ---- catching system calls ---- */

static long calls, kill_at, fail_at; /* 0: never */
static int fail_with;
static bool no_exchange;

static bool refuse(void) {
  calls++;
  if (calls == kill_at) kill(getpid(), SIGKILL);
  if (calls != fail_at) return false;
  errno = fail_with;
  return true;
}

static void arm(long kill_call, long fail_call, int reason) {
  calls = 0;
  kill_at = kill_call;
  fail_at = fail_call;
  fail_with = reason;
}

int rename(const char *from, const char *to) { return refuse() ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags) {
  if (no_exchange) {
    errno = EINVAL;
    return -1;
  }
  return refuse() ? -1 : (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}
int link(const char *from, const char *to) {
  if (no_exchange) { /* nor has such a file system links */
    errno = EPERM;
    return -1;
  }
  return refuse() ? -1 : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int fsync(int fd) { /* a killed process does not lose what the kernel has: nothing to wait for */
  (void)fd;
  return refuse() ? -1 : 0;
}
int unlink(const char *path) { return refuse() ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0); }
int unlinkat(int fd, const char *path, int flags) { return refuse() ? -1 : (int)syscall(SYS_unlinkat, fd, path, flags); }
int mkdir(const char *path, mode_t mode) { return refuse() ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode); }

/* ---- a tree of small files ---- */

static char root[64]; /* holds "out" and what is beside it */

static const char *at(const char *relative) {
  static char paths[8][512];
  static int next;
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", root, relative);
  return path;
}

static void put(const char *relative, const char *text) {
  char folder[512];
  snprintf(folder, sizeof folder, "%s", at(relative));
  *strrchr(folder, '/') = 0;
  assert_int_equal(ghee_dir_make_all(folder, 0777, NULL), GHEE_OK);
  FILE *file = fopen(at(relative), "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void describe_into(const char *path, const char *relative, char *lines[], size_t *n) {
  DIR *dir = opendir(path);
  if (!dir) return;
  for (struct dirent *entry; (entry = readdir(dir));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    char below[1024], name[1024], text[64] = "";
    snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
    snprintf(name, sizeof name, "%s%s", relative, entry->d_name);
    struct stat st;
    assert_int_equal(lstat(below, &st), 0);
    if (S_ISDIR(st.st_mode)) {
      strcat(name, "/");
      describe_into(below, name, lines, n);
      continue;
    }
    FILE *file = fopen(below, "r");
    assert_non_null(file);
    if (!fgets(text, sizeof text, file)) text[0] = 0;
    fclose(file);
    assert_true(*n < 64);
    assert_true(asprintf(&lines[(*n)++], "%s=%s ", name, text) > 0);
  }
  closedir(dir);
}

/* "a=1 sub/b=2 ": all files at or below a path, sorted. "none" if there is no folder. */
static const char *describe(const char *relative) {
  static char all[4096];
  char *lines[64];
  size_t n = 0;
  struct stat st;
  if (stat(at(relative), &st) != 0) return "none";
  describe_into(at(relative), "", lines, &n);
  qsort(lines, n, sizeof *lines, by_name);
  all[0] = 0;
  for (size_t i = 0; i < n; i++) {
    strcat(all, lines[i]);
    free(lines[i]);
  }
  return all;
}

static int setup(void **state) {
  (void)state;
  strcpy(root, "/tmp/ghee-publish-XXXXXX");
  return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  arm(0, 0, 0);
  no_exchange = false;
  return ghee_dir_remove_all(root, NULL) == GHEE_OK ? 0 : -1;
}

static void fresh(void) {
  arm(0, 0, 0);
  assert_int_equal(ghee_dir_remove_all(root, NULL), GHEE_OK);
  assert_int_equal(mkdir(root, 0777), 0);
}

/* ---- scenarios ---- */

static const char *const names[] = {"_manifest.json", "_SUCCESS", "p1", "sub/p2"};
#define NEW "_SUCCESS=ok _manifest.json=new p1=1 sub/p2=2 "
#define STAGING ".out.ghee-j"

typedef struct scenario {
  const char *name, *staging;
  ghee_publish_mode mode;
  bool no_exchange;
  void (*target)(void);
  const char *before, *after;  /* what readers may see; `before` NULL: anything */
  bool gap;                    /* or nothing for a moment */
} scenario;

static void stage(const char *staging) {
  char name[128];
  for (size_t i = 0; i < 4; i++) {
    snprintf(name, sizeof name, "%s/%s", staging, names[i]);
    put(name, (const char *[]){"new", "ok", "1", "2"}[i]);
  }
  snprintf(name, sizeof name, "%s/stray/left", staging);
  put(name, "dead");
  snprintf(name, sizeof name, "%s/.ghee-1.tmp", staging);
  put(name, "half");
}

static void no_target(void) {}
static void empty_target(void) { assert_int_equal(mkdir(at("out"), 0777), 0); }
static void old_target(void) {
  put("out/_SUCCESS", "");
  put("out/_manifest.json", "old");
  put("out/p1", "old");
  put("out/deep/er/old", "old");
}
/* The same names as the new ones: nothing but the marker tells them apart. */
static void equal_target(void) {
  put("out/_SUCCESS", "old");
  put("out/_manifest.json", "old");
  put("out/p1", "old");
  put("out/sub/p2", "old");
}
static void other_target(void) {
  put("out/_SUCCESS", "");
  put("out/_manifest.json", "old");
  put("out/p0", "0");
}
/* Of sub/ and what is below it nothing stays. */
static void partitioned_target(void) {
  other_target();
  put("out/sub/p0", "old");
  put("out/sub/deep/p3", "old");
  put("out/subway/p4", "4");
}
#define OLD_PARTITIONS "_SUCCESS= _manifest.json=old p0=0 sub/deep/p3=old sub/p0=old subway/p4=4 "
#define NEW_PARTITIONS "_SUCCESS=ok _manifest.json=new p0=0 p1=1 sub/p2=2 subway/p4=4 "

static const scenario scenarios[] = {
    {"error, nothing there", STAGING, GHEE_PUBLISH_ERROR, false, no_target, "none", NEW, false},
    {"error, empty folder", STAGING, GHEE_PUBLISH_ERROR, false, empty_target, "", NEW, false},
    {"overwrite, nothing there", STAGING, GHEE_PUBLISH_OVERWRITE, false, no_target, "none", NEW, false},
    {"overwrite", STAGING, GHEE_PUBLISH_OVERWRITE, false, old_target, "_SUCCESS= _manifest.json=old deep/er/old=old p1=old ", NEW, false},
    {"overwrite equal names", STAGING, GHEE_PUBLISH_OVERWRITE, false, equal_target, "_SUCCESS=old _manifest.json=old p1=old sub/p2=old ", NEW, false},
    {"overwrite in two steps", STAGING, GHEE_PUBLISH_OVERWRITE, true, equal_target, "_SUCCESS=old _manifest.json=old p1=old sub/p2=old ", NEW, true},
    {"append to nothing", STAGING, GHEE_PUBLISH_APPEND, false, no_target, "none", NEW, false},
    {"append to an empty folder", STAGING, GHEE_PUBLISH_APPEND, false, empty_target, "", NEW, false},
    {"append", STAGING, GHEE_PUBLISH_APPEND, false, other_target, NULL, "_SUCCESS=ok _manifest.json=new p0=0 p1=1 sub/p2=2 ", false},
    {"partitions of nothing", STAGING, GHEE_PUBLISH_PARTITIONS, false, no_target, "none", NEW, false},
    {"partitions", STAGING, GHEE_PUBLISH_PARTITIONS, false, partitioned_target, OLD_PARTITIONS, NEW_PARTITIONS, false},
    {"partitions in two steps and without links", STAGING, GHEE_PUBLISH_PARTITIONS, true, partitioned_target, OLD_PARTITIONS, NEW_PARTITIONS, true},
    {"inside, partitions", "out/" STAGING, GHEE_PUBLISH_PARTITIONS, false, partitioned_target, NULL, NEW_PARTITIONS, false},
    {"inside, error", "out/" STAGING, GHEE_PUBLISH_ERROR, false, no_target, NULL, NEW, false},
    {"inside, overwrite", "out/" STAGING, GHEE_PUBLISH_OVERWRITE, false, equal_target, NULL, NEW, false},
    {"inside, append", "out/" STAGING, GHEE_PUBLISH_APPEND, false, other_target, NULL, "_SUCCESS=ok _manifest.json=new p0=0 p1=1 sub/p2=2 ", false},
};

static ghee_status publish_it(const scenario *of, ghee_error *err) {
  return ghee_file_store_publish(NULL, at(of->staging), at("out"), of->mode, names, 4, err);
}

static void build(const scenario *of) {
  fresh();
  no_exchange = of->no_exchange;
  of->target();
  stage(of->staging);
}

/* What a reader sees, who does not look at hidden files. */
static const char *visible(void) {
  static char out[4096];
  char all[4096];
  strcpy(all, describe("out"));
  out[0] = 0;
  for (char *word = strtok(all, " "); word; word = strtok(NULL, " "))
    if (word[0] != '.') strcat(strcat(out, word), strcmp(word, "none") == 0 ? "" : " ");
  return out;
}

static void check_done(const scenario *of) {
  assert_string_equal(describe("out"), of->after);
  assert_string_equal(describe(STAGING), "none");
  assert_string_equal(describe(STAGING ".old"), "none");
}

/* File by file: the manifest comes behind all data, _SUCCESS behind the manifest, and what is replaced is gone before. */
static void check_order(const scenario *of, const char *seen) {
  bool data = strstr(seen, "p1=1") && strstr(seen, "p2=2"), manifest = strstr(seen, "_manifest.json=new"), success = strstr(seen, "_SUCCESS=ok");
  bool mixed = of->mode == GHEE_PUBLISH_OVERWRITE && strstr(seen, "=old") && (strstr(seen, "p1=1") || strstr(seen, "p2=2") || manifest);
  if ((manifest && !data) || (success && !manifest) || mixed) fail_msg("%s: a reader sees %s", of->name, seen);
}

static void check_never_mixed(const scenario *of) {
  const char *seen = visible();
  check_order(of, seen);
  if (!of->before) return;
  bool good = strcmp(seen, of->before) == 0 || strcmp(seen, of->after) == 0 || (of->gap && strcmp(seen, "none") == 0);
  if (!good) fail_msg("%s: a reader sees %s", of->name, seen);
}

static void check_again(const scenario *of) {
  ghee_error err;
  for (int times = 0; times < 2; times++) {
    if (publish_it(of, &err) != GHEE_OK) fail_msg("%s: %s", of->name, err.message);
    check_done(of);
  }
}

/* False when the child was done before its `call`-th system call. */
static bool killed_at(const scenario *of, long call) {
  build(of);
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    arm(call, 0, 0);
    _exit(publish_it(of, NULL) == GHEE_OK ? 0 : 1);
  }
  int how;
  assert_int_equal(waitpid(child, &how, 0), child);
  if (WIFEXITED(how)) assert_int_equal(WEXITSTATUS(how), 0);
  check_never_mixed(of);
  check_again(of);
  return WIFSIGNALED(how);
}

static void test_killed_at_every_call(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
    long call = 1;
    while (killed_at(&scenarios[i], call)) call++;
    assert_true(call > 5); /* the calls are really caught */
  }
}

static void test_every_call_fails_once(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
    long failed = 0;
    bool reached = true;
    for (long call = 1; reached; call++) {
      build(&scenarios[i]);
      arm(0, call, call % 2 ? ENOSPC : EIO);
      ghee_error err = {0};
      ghee_status status = publish_it(&scenarios[i], &err);
      reached = calls >= call;
      arm(0, 0, 0);
      if (status != GHEE_OK) {
        failed++;
        assert_int_equal(err.status, status);
        assert_true(status == GHEE_NO_SPACE || status == GHEE_IO);
        assert_non_null(strstr(err.message, root));
      }
      check_never_mixed(&scenarios[i]);
      check_again(&scenarios[i]);
    }
    assert_true(failed > 3);
  }
}

static void test_every_allocation_fails_once(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
    for (long n = 1;; n = nth_alloc_next(n)) {
      build(&scenarios[i]);
      ghee_error err = {0};
      ghee_memory_fail_at(n);
      ghee_status status = publish_it(&scenarios[i], &err);
      bool reached = ghee_memory_count() >= n;
      ghee_memory_fail_at(0);
      assert_int_equal(status, reached ? GHEE_NO_MEMORY : GHEE_OK);
      check_again(&scenarios[i]);
      if (!reached) break;
    }
  }
}

static void test_what_is_there_is_not_touched(void **state) {
  (void)state;
  ghee_error err;
  for (int inside = 0; inside < 2; inside++) {
    scenario of = {"refused", inside ? "out/" STAGING : STAGING, GHEE_PUBLISH_ERROR, false, old_target, NULL, NULL, false};
    build(&of);
    assert_int_equal(publish_it(&of, &err), GHEE_EXISTS);
    assert_non_null(strstr(err.message, at("out")));
    assert_non_null(strstr(err.message, "overwrite"));
    assert_string_equal(visible(), "_SUCCESS= _manifest.json=old deep/er/old=old p1=old ");
  }
}

static void test_target_is_a_file(void **state) {
  (void)state;
  for (ghee_publish_mode mode = GHEE_PUBLISH_ERROR; mode <= GHEE_PUBLISH_APPEND; mode++) {
    fresh();
    put("out", "precious");
    stage(STAGING);
    ghee_error err;
    scenario of = {.staging = STAGING, .mode = mode};
    assert_int_equal(publish_it(&of, &err), GHEE_EXISTS);
    assert_non_null(strstr(err.message, at("out")));
    struct stat st;
    assert_int_equal(stat(at("out"), &st), 0);
    assert_int_equal(st.st_size, 8);
  }
}

static void test_missing_file(void **state) {
  (void)state;
  ghee_error err;
  for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
    build(&scenarios[i]);
    char path[512];
    snprintf(path, sizeof path, "%s/sub/p2", at(scenarios[i].staging));
    assert_int_equal(unlink(path), 0);
    if (strstr(describe("out"), " sub/p2")) continue; /* moved there already, as far as anyone can tell */
    assert_int_equal(publish_it(&scenarios[i], &err), GHEE_NOT_FOUND);
    assert_non_null(strstr(err.message, "sub/p2"));
  }
}

static void test_append_never_replaces_data(void **state) {
  (void)state;
  fresh();
  other_target();
  put("out/p1", "precious");
  stage(STAGING);
  ghee_error err;
  scenario of = {.staging = STAGING, .mode = GHEE_PUBLISH_APPEND};
  assert_int_equal(publish_it(&of, &err), GHEE_EXISTS);
  assert_non_null(strstr(err.message, "p1"));
  assert_string_equal(describe("out"), "_SUCCESS= _manifest.json=old p0=0 p1=precious ");
}

static void test_names_that_lead_elsewhere(void **state) {
  (void)state;
  static const char *const bad[] = {"", "/etc/passwd", "..", "../x", "a/../b", "a//b", "a/", "./a", "a/."};
  fresh();
  put(STAGING "/a", "1");
  ghee_error err;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(ghee_file_store_publish(NULL, at(STAGING), at("out"), GHEE_PUBLISH_ERROR, &bad[i], 1, &err), GHEE_INVALID);
  static const char *const good[] = {"..a", "a..", ".a", "a/..b"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    assert_int_equal(ghee_file_store_publish(NULL, at(STAGING), at("out"), GHEE_PUBLISH_ERROR, &good[i], 1, &err), GHEE_NOT_FOUND);
  assert_int_equal(ghee_file_store_publish(NULL, at("out"), at("out"), GHEE_PUBLISH_OVERWRITE, NULL, 0, &err), GHEE_INVALID);
}

static void test_parent_is_made(void **state) {
  (void)state;
  fresh();
  stage(STAGING);
  assert_int_equal(ghee_file_store_publish(NULL, at(STAGING), at("a/b/out"), GHEE_PUBLISH_ERROR, names, 4, NULL), GHEE_OK);
  assert_string_equal(describe("a/b/out"), NEW);
}

static void test_output_behind_a_link(void **state) {
  (void)state;
  fresh();
  put("real/old", "old");
  assert_int_equal(symlink("real", at("out")), 0);
  char *staging;
  assert_int_equal(ghee_file_store_staging(NULL, at("out"), "j", &staging, NULL), GHEE_OK);
  char want[512];
  snprintf(want, sizeof want, "file:%s", at(".real.ghee-j"));
  assert_string_equal(staging, want);
  stage(".real.ghee-j");
  assert_int_equal(ghee_file_store_publish(NULL, staging, at("out"), GHEE_PUBLISH_OVERWRITE, names, 4, NULL), GHEE_OK);
  ghee_free(staging);
  assert_string_equal(describe("real"), NEW);
  struct stat st;
  assert_true(lstat(at("out"), &st) == 0 && S_ISLNK(st.st_mode));
  assert_int_equal(unlink(at("out")), 0);
  assert_int_equal(symlink("nowhere", at("out")), 0);
  assert_int_equal(ghee_file_store_staging(NULL, at("out"), "j", &staging, NULL), GHEE_NOT_FOUND);
}

static void test_rights_of_the_old_output_stay(void **state) {
  (void)state;
  fresh();
  old_target();
  assert_int_equal(chmod(at("out"), 02751), 0);
  stage(STAGING);
  scenario of = {.staging = STAGING, .mode = GHEE_PUBLISH_OVERWRITE};
  assert_int_equal(publish_it(&of, NULL), GHEE_OK);
  struct stat st;
  assert_int_equal(stat(at("out"), &st), 0);
  assert_int_equal(st.st_mode & 07777, 02751);
}

static ghee_status staging_of(void *target, ghee_error *err) {
  char *staging = NULL;
  ghee_status status = ghee_file_store_staging(NULL, target, "j", &staging, err);
  assert_int_equal(staging != NULL, status == GHEE_OK);
  ghee_free(staging);
  return status;
}

static void test_staging_names(void **state) {
  (void)state;
  fresh();
  char *staging, longest[256], target[512];
  static const char *const bad[] = {"", "a/b"};
  for (size_t i = 0; i < 2; i++) assert_int_equal(ghee_file_store_staging(NULL, at("out"), bad[i], &staging, NULL), GHEE_INVALID);
  assert_int_equal(ghee_file_store_staging(NULL, "/", "j", &staging, NULL), GHEE_INVALID);
  memset(longest, 'n', 255);
  longest[255] = 0;
  snprintf(target, sizeof target, "%s/%s", root, longest);
  assert_int_equal(ghee_file_store_staging(NULL, target, "j", &staging, NULL), GHEE_OK);
  assert_true(strlen(strrchr(staging, '/') + 1) + strlen(".old") <= 255);
  assert_int_equal(strncmp(staging + 5, root, strlen(root)), 0);
  ghee_free(staging);
  assert_true(nth_alloc_each(staging_of, target, GHEE_OK) > 0);
}

/* In a mount namespace of its own: 0 good, 77 not possible here. */
static int in_a_mount(void) {
  uid_t uid = getuid();
  char map[64];
  snprintf(map, sizeof map, "0 %u 1", (unsigned)uid);
  if (unshare(CLONE_NEWNS) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return 77;
    int fd = open("/proc/self/uid_map", O_WRONLY);
    if (fd < 0 || write(fd, map, strlen(map)) < 0) return 77;
    close(fd);
  }
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return 77;
  if (mkdir(at("out"), 0777) != 0 || mount("none", at("out"), "tmpfs", 0, "size=1m") != 0) return 77;
  char *staging;
  if (ghee_file_store_staging(NULL, at("out"), "j", &staging, NULL) != GHEE_OK) return 1;
  if (strcmp(staging + 5, at("out/" STAGING)) != 0) return 2;
  for (ghee_publish_mode mode = GHEE_PUBLISH_ERROR; mode <= GHEE_PUBLISH_APPEND; mode++) {
    stage("out/" STAGING);
    if (mode == GHEE_PUBLISH_APPEND && (unlink(at("out/p1")) != 0 || unlink(at("out/sub/p2")) != 0)) return 3;
    if (ghee_file_store_publish(NULL, staging, at("out"), mode, names, 4, NULL) != GHEE_OK) return 4 + (int)mode;
    if (strcmp(describe("out"), NEW) != 0) return 8 + (int)mode;
  }
  ghee_free(staging);
  return 0;
}

static void test_output_is_a_mount(void **state) {
  (void)state;
  fresh();
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) _exit(in_a_mount());
  int how;
  assert_int_equal(waitpid(child, &how, 0), child);
  assert_true(WIFEXITED(how));
  if (WEXITSTATUS(how) == 77) skip();
  assert_int_equal(WEXITSTATUS(how), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_killed_at_every_call, setup, teardown),
      cmocka_unit_test_setup_teardown(test_every_call_fails_once, setup, teardown),
      cmocka_unit_test_setup_teardown(test_every_allocation_fails_once, setup, teardown),
      cmocka_unit_test_setup_teardown(test_what_is_there_is_not_touched, setup, teardown),
      cmocka_unit_test_setup_teardown(test_target_is_a_file, setup, teardown),
      cmocka_unit_test_setup_teardown(test_missing_file, setup, teardown),
      cmocka_unit_test_setup_teardown(test_append_never_replaces_data, setup, teardown),
      cmocka_unit_test_setup_teardown(test_names_that_lead_elsewhere, setup, teardown),
      cmocka_unit_test_setup_teardown(test_parent_is_made, setup, teardown),
      cmocka_unit_test_setup_teardown(test_output_behind_a_link, setup, teardown),
      cmocka_unit_test_setup_teardown(test_rights_of_the_old_output_stay, setup, teardown),
      cmocka_unit_test_setup_teardown(test_staging_names, setup, teardown),
      cmocka_unit_test_setup_teardown(test_output_is_a_mount, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
