/* SPDX-License-Identifier: Apache-2.0
 * Publishing with a manifest, killed at each of its renames and removals, then again; and verifying what came of it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/nth_alloc.h"
#include "manifest/job_sample.h"

/* The calls that change folders, caught to die in them. */
static long calls, kill_at;
static void count(void) {
  if (++calls == kill_at) kill(getpid(), SIGKILL);
}
int rename(const char *from, const char *to) { return count(), (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) { return count(), (int)syscall(SYS_renameat2, a, from, b, to, flags); }
int unlink(const char *path) { return count(), (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0); }
int unlinkat(int fd, const char *path, int flags) { return count(), (int)syscall(SYS_unlinkat, fd, path, flags); }
int fsync(int fd) { return count(), (void)fd, 0; }

static char root[64];
static ghee_object_store *store;

static const char *at(const char *relative) {
  static char paths[8][256];
  static int next;
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", root, relative);
  return path;
}

static int setup(void **state) {
  (void)state;
  ghee_object_store_register(&ghee_object_store_file);
  strcpy(root, "/tmp/ghee-manifest-XXXXXX");
  return mkdtemp(root) && ghee_object_store_open(root, &store, NULL) == GHEE_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  kill_at = 0;
  ghee_object_store_close(store);
  return ghee_dir_remove_all(root, NULL) == GHEE_OK ? 0 : -1;
}

static void fresh(void) {
  assert_int_equal(ghee_dir_remove_all(root, NULL), GHEE_OK);
  assert_int_equal(mkdir(root, 0777), 0);
}

static job job_new(const char *name, size_t n) { return job_of(store, at("out"), name, n); }

static ghee_status publish(const job *of, ghee_publish_mode mode, ghee_error *err) {
  return ghee_manifest_publish(store, of->staging, at("out"), mode, &of->manifest, err);
}

static void publish_new(const char *name, size_t n, ghee_publish_mode mode) {
  job of = job_new(name, n);
  ghee_error err;
  if (publish(&of, mode, &err) != GHEE_OK) fail_msg("%s", err.message);
  job_fini(&of);
}

/* Good, and the files in the manifest. */
static size_t verified(void) {
  ghee_manifest found = {0};
  ghee_error err;
  if (ghee_manifest_verify(store, at("out"), NULL, NULL, &found, &err) != GHEE_OK) fail_msg("%s", err.message);
  size_t n = found.count;
  ghee_manifest_fini(&found);
  return n;
}

typedef struct scenario {
  ghee_publish_mode mode;
  size_t before, mine, after; /* files: of an older job, of this one, in the end */
} scenario;

static const scenario scenarios[] = {
    {GHEE_PUBLISH_ERROR, 0, 3, 3},     {GHEE_PUBLISH_ERROR, 0, 0, 0},  {GHEE_PUBLISH_OVERWRITE, 2, 3, 3}, {GHEE_PUBLISH_OVERWRITE, 2, 0, 0},
    {GHEE_PUBLISH_OVERWRITE, 0, 1, 1}, {GHEE_PUBLISH_APPEND, 2, 3, 5}, {GHEE_PUBLISH_APPEND, 0, 3, 3},    {GHEE_PUBLISH_APPEND, 2, 0, 2}, {GHEE_PUBLISH_PARTITIONS, 4, 3, 5}, {GHEE_PUBLISH_PARTITIONS, 0, 3, 3},
};

static bool killed_at(const scenario *of, long call) {
  fresh();
  if (of->before) publish_new("older", of->before, GHEE_PUBLISH_ERROR);
  job mine = job_new("mine", of->mine);
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    calls = 0;
    kill_at = call;
    _exit(publish(&mine, of->mode, NULL) == GHEE_OK ? 0 : 1);
  }
  int how;
  assert_int_equal(waitpid(child, &how, 0), child);
  if (WIFEXITED(how)) assert_int_equal(WEXITSTATUS(how), 0);
  for (int times = 0; times < 2; times++) {
    ghee_error err;
    if (publish(&mine, of->mode, &err) != GHEE_OK) fail_msg("mode %d, %zu files, call %ld: %s", (int)of->mode, of->mine, call, err.message);
    assert_int_equal(verified(), of->after);
    bool there = true;
    assert_int_equal(store->ops->exists(store, mine.staging, &there, NULL), GHEE_OK);
    assert_false(there);
  }
  job_fini(&mine);
  return WIFSIGNALED(how);
}

static void test_killed_at_every_call(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
    long call = 1;
    while (killed_at(&scenarios[i], call)) call++;
    assert_true(call > 5);
  }
}

static void test_every_allocation_fails_once(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
    for (long n = 1;; n = nth_alloc_next(n)) {
      fresh();
      if (scenarios[i].before) publish_new("older", scenarios[i].before, GHEE_PUBLISH_ERROR);
      job mine = job_new("mine", scenarios[i].mine);
      ghee_memory_fail_at(n);
      ghee_status status = publish(&mine, scenarios[i].mode, NULL);
      bool reached = ghee_memory_count() >= n;
      ghee_memory_fail_at(0);
      assert_int_equal(status, reached ? GHEE_NO_MEMORY : GHEE_OK);
      assert_int_equal(publish(&mine, scenarios[i].mode, NULL), GHEE_OK);
      assert_int_equal(verified(), scenarios[i].after);
      job_fini(&mine);
      if (!reached) break;
    }
}

static void test_second_job_is_refused(void **state) {
  (void)state;
  publish_new("one", 2, GHEE_PUBLISH_ERROR);
  job two = job_new("two", 2);
  ghee_error err;
  assert_int_equal(publish(&two, GHEE_PUBLISH_ERROR, &err), GHEE_EXISTS);
  assert_int_equal(verified(), 2);
  assert_int_equal(publish(&two, GHEE_PUBLISH_APPEND, &err), GHEE_OK);
  assert_int_equal(verified(), 4);
  ghee_manifest found = {0};
  assert_int_equal(ghee_manifest_read(store, at("out"), &found, NULL), GHEE_OK);
  assert_string_equal(found.job, "two");
  assert_string_equal(found.files[0].name, "sub/part-one-0");
  ghee_manifest_fini(&found);
  job_fini(&two);
  job nobody = job_new("nobody", 0);
  nobody.manifest.job[0] = 0;
  assert_int_equal(publish(&nobody, GHEE_PUBLISH_OVERWRITE, &err), GHEE_INVALID);
  job_fini(&nobody);
}

/* The job and the number of chunks of each file, in the order of the manifest. */
static const char *commits_of_files(void) {
  static char text[1024];
  ghee_manifest found = {0};
  assert_int_equal(ghee_manifest_read(store, at("out"), &found, NULL), GHEE_OK);
  text[0] = 0;
  for (size_t i = 0; i < found.count; i++) {
    assert_true(found.files[i].commit < found.n_commits);
    const ghee_manifest_commit *commit = &found.commits[found.files[i].commit];
    sprintf(text + strlen(text), "%s %s %u; ", found.files[i].name, commit->job, commit->count ? (unsigned)(commit->ranges[0].last + 1) : 0);
  }
  sprintf(text + strlen(text), "%zu commits", found.n_commits);
  ghee_manifest_fini(&found);
  return text;
}

static void test_chunks_stay_with_their_job(void **state) {
  (void)state;
  publish_new("one", 3, GHEE_PUBLISH_ERROR);
  publish_new("two", 1, GHEE_PUBLISH_APPEND);
  assert_string_equal(commits_of_files(), "sub/part-one-0 one 3; part-one-1 one 3; sub/part-one-2 one 3; sub/part-two-0 two 1; 2 commits");
  job three = job_new("three", 1); /* replaces sub/ */
  uint32_t bare;
  assert_int_equal(ghee_manifest_begin(&three.manifest, "three", &bare, NULL), GHEE_OK);
  assert_int_equal(ghee_manifest_hold(&three.manifest, bare, 1, NULL), GHEE_OK);
  assert_int_equal(publish(&three, GHEE_PUBLISH_PARTITIONS, NULL), GHEE_OK);
  job_fini(&three);
  assert_string_equal(commits_of_files(), "part-one-1 one 3; sub/part-three-0 three 1; 3 commits");
  publish_new("four", 1, GHEE_PUBLISH_APPEND); /* of earlier jobs, commits without a file go */
  assert_string_equal(commits_of_files(), "part-one-1 one 3; sub/part-three-0 three 1; sub/part-four-0 four 1; 3 commits");
}

static void test_verify_finds_a_lost_chunk(void **state) {
  (void)state;
  job of = job_new("j", 1);
  assert_int_equal(ghee_manifest_hold(&of.manifest, 0, 2, NULL), GHEE_OK);
  assert_int_equal(publish(&of, GHEE_PUBLISH_ERROR, NULL), GHEE_OK);
  job_fini(&of);
  ghee_error err;
  assert_int_equal(ghee_manifest_verify(store, at("out"), NULL, NULL, NULL, &err), GHEE_CORRUPT);
  assert_non_null(strstr(err.message, "chunk 1 of job j is in no commit"));
}

static void write_text(const char *relative, const char *text) {
  FILE *file = fopen(at(relative), "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static void test_damaged_manifest_of_the_output(void **state) {
  (void)state;
  publish_new("one", 2, GHEE_PUBLISH_ERROR);
  write_text("out/_manifest.json", "{\"version\": 1,\n broken");
  ghee_manifest found = {0};
  ghee_error err;
  assert_int_equal(ghee_manifest_read(store, at("out"), &found, &err), GHEE_CORRUPT);
  assert_non_null(strstr(err.message, at("out")));
  assert_non_null(strstr(err.message, "_manifest.json:"));
  assert_int_equal(ghee_manifest_verify(store, at("out"), NULL, NULL, NULL, &err), GHEE_CORRUPT);
  job two = job_new("two", 2);
  assert_int_equal(publish(&two, GHEE_PUBLISH_APPEND, &err), GHEE_CORRUPT);
  assert_int_equal(publish(&two, GHEE_PUBLISH_OVERWRITE, &err), GHEE_OK);
  assert_int_equal(verified(), 2);
  job_fini(&two);
  assert_int_equal(ghee_manifest_read(store, at("none"), &found, &err), GHEE_NOT_FOUND);
  assert_int_equal(ghee_manifest_verify(store, at("none"), NULL, NULL, NULL, &err), GHEE_NOT_FOUND);
  assert_non_null(strstr(err.message, "there is nothing at"));
  assert_int_equal(store->ops->remove(store, at("out/_manifest.json"), NULL), GHEE_OK);
  assert_int_equal(ghee_manifest_verify(store, at("out"), NULL, NULL, NULL, &err), GHEE_NOT_FOUND);
  assert_non_null(strstr(err.message, "holds no _manifest.json: it is no output of ghee"));
}

static void see_progress(void *user, size_t done, size_t all) {
  assert_int_equal(all, 6);
  assert_int_equal(done, *(size_t *)user);
  ++*(size_t *)user;
}

static void test_verify_finds_all(void **state) {
  (void)state;
  publish_new("j", 6, GHEE_PUBLISH_ERROR);
  write_text("out/.hidden", "");
  write_text("out/_other", "");
  size_t next = 0;
  assert_int_equal(ghee_manifest_verify(store, at("out"), see_progress, &next, NULL, NULL), GHEE_OK);
  assert_int_equal(next, 7);
  assert_int_equal(unlink(at("out/part-j-1")), 0);
  write_text("out/part-j-3", "x");       /* the same size */
  write_text("out/sub/part-j-2", "longer");
  write_text("out/sub/foreign", "");
  assert_int_equal(unlink(at("out/sub/part-j-4")), 0);
  assert_int_equal(mkdir(at("out/sub/part-j-4"), 0777), 0);
  assert_int_equal(unlink(at("out/_SUCCESS")), 0);
  ghee_error err;
  ghee_manifest found = {.created_ms = 77};
  assert_int_equal(ghee_manifest_verify(store, at("out"), NULL, NULL, &found, &err), GHEE_CORRUPT);
  assert_int_equal(found.created_ms, 77);
  static const char *const want[] = {" 6 places", "\npart-j-1: missing", "\npart-j-3: its bytes have changed", "\nsub/part-j-2: it has 6 bytes, the manifest says 1",
                                     "\nsub/foreign: not in the manifest", "\nsub/part-j-4: cannot read", "\n_SUCCESS: missing"};
  for (size_t i = 0; i < sizeof want / sizeof *want; i++)
    if (!strstr(err.message, want[i])) fail_msg("%s is not in: %s", want[i], err.message);
  assert_null(strstr(err.message, "part-j-5"));
}

static ghee_status verify_out(void *user, ghee_error *err) {
  (void)user;
  return ghee_manifest_verify(store, at("out"), NULL, NULL, NULL, err);
}

static void test_more_findings_than_fit(void **state) {
  (void)state;
  publish_new("j", 400, GHEE_PUBLISH_ERROR);
  assert_int_equal(ghee_dir_remove_all(at("out/sub"), NULL), GHEE_OK);
  ghee_error err;
  assert_int_equal(ghee_manifest_verify(store, at("out"), NULL, NULL, NULL, &err), GHEE_CORRUPT);
  assert_non_null(strstr(err.message, " 200 places"));
  char *more = strstr(err.message, "\nand ");
  assert_non_null(more);
  int lines = 0;
  for (const char *c = err.message; *c; c++) lines += *c == '\n';
  assert_int_equal(lines - 1 + atoi(more + 5), 200);
  nth_alloc_each(verify_out, NULL, GHEE_CORRUPT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_killed_at_every_call, setup, teardown),
      cmocka_unit_test_setup_teardown(test_every_allocation_fails_once, setup, teardown),
      cmocka_unit_test_setup_teardown(test_second_job_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(test_chunks_stay_with_their_job, setup, teardown),
      cmocka_unit_test_setup_teardown(test_verify_finds_a_lost_chunk, setup, teardown),
      cmocka_unit_test_setup_teardown(test_damaged_manifest_of_the_output, setup, teardown),
      cmocka_unit_test_setup_teardown(test_verify_finds_all, setup, teardown),
      cmocka_unit_test_setup_teardown(test_more_findings_than_fit, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
