/* SPDX-License-Identifier: Apache-2.0
 * Publishing with a manifest on a real S3 server (tests/services/s3): killed before each of its requests, then again; several jobs at once. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "manifest/job_sample.h"
#include "../services/s3/variables.h"

/* What libcurl sends by, caught to die before it: a request is sent in one piece or more. */
static _Atomic long calls;
static long kill_at;
__attribute__((visibility("default"))) ssize_t send(int fd, const void *data, size_t size, int flags) {
  if (++calls == kill_at) kill(getpid(), SIGKILL);
  return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}

static ghee_object_store *store;
static char *out;
static int serial;

static void fresh(void) {
  ghee_free(out);
  out = ghee_asprintf("s3://test/publish-%d/%d/out", (int)getpid(), serial++);
}

static int setup(void **state) {
  (void)state;
  if (!s3_variables()) return 0;
  ghee_object_store_register(&ghee_object_store_s3);
  fresh();
  return ghee_object_store_open(out, &store, NULL) == GHEE_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  kill_at = 0;
  if (!store) return 0;
  char *all = ghee_asprintf("s3://test/publish-%d", (int)getpid());
  ghee_status status = store->ops->remove_all(store, all, NULL);
  ghee_object_store_close(store);
  store = NULL;
  ghee_free(all);
  ghee_free(out);
  out = NULL;
  return status == GHEE_OK ? 0 : -1;
}

static void need_server(void) {
#ifdef __SANITIZE_THREAD__
  print_message("ThreadSanitizer lets no child of a process with threads begin one of its own\n");
  skip();
#endif
  if (store) return;
  print_message("no S3 server: S3_RUN does not name the folder of a running one\n");
  skip();
}

/* ---- a job ---- */

static job job_new(const char *name, size_t n) { return job_of(store, out, name, n); }

static ghee_status publish_on(ghee_object_store *on, const job *of, ghee_publish_mode mode, ghee_error *err) {
  return ghee_manifest_publish(on, of->staging, out, mode, &of->manifest, err);
}

/* In a process of its own, with a client of its own. */
static pid_t publish_in_child(const job *of, ghee_publish_mode mode, long kill_at_call) {
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child > 0) return child;
  ghee_object_store *own;
  ghee_status status = ghee_object_store_open(out, &own, NULL);
  calls = 0;
  kill_at = kill_at_call;
  if (status == GHEE_OK) status = publish_on(own, of, mode, NULL);
  _exit(status);
}

static size_t verified(void) {
  ghee_manifest found = {0};
  ghee_error err;
  if (ghee_manifest_verify(store, out, NULL, NULL, &found, &err) != GHEE_OK) fail_msg("%s", err.message);
  size_t n = found.count;
  ghee_manifest_fini(&found);
  return n;
}

/* Neither staging folders nor claims lie beside the output. */
static void nothing_left(void) {
  char *parent = ghee_strndup(out, (size_t)(strrchr(out, '/') - out)), *claim = ghee_uri_join(parent, ".out.ghee.claim"), *job_of = NULL;
  bool there = true;
  assert_int_equal(store->ops->exists(store, claim, &there, NULL), GHEE_OK);
  assert_false(there);
  assert_int_equal(store->ops->staging(store, out, "mine", &job_of, NULL), GHEE_OK);
  assert_int_equal(store->ops->exists(store, job_of, &there, NULL), GHEE_OK);
  assert_false(there);
  ghee_free(parent);
  ghee_free(claim);
  ghee_free(job_of);
}

/* ---- killed ---- */

typedef struct scenario {
  ghee_publish_mode mode;
  size_t before, mine, after; /* files: of an older job, of this one, in the end */
} scenario;

static const scenario scenarios[] = {{GHEE_PUBLISH_ERROR, 0, 3, 3}, {GHEE_PUBLISH_OVERWRITE, 2, 3, 3}, {GHEE_PUBLISH_APPEND, 2, 3, 5}, {GHEE_PUBLISH_OVERWRITE, 2, 0, 0},
                                     {GHEE_PUBLISH_PARTITIONS, 4, 3, 5}};

static bool killed_at(const scenario *of, long call) {
  fresh();
  if (of->before) {
    job older = job_new("older", of->before);
    assert_int_equal(publish_on(store, &older, GHEE_PUBLISH_ERROR, NULL), GHEE_OK);
    job_fini(&older);
  }
  job mine = job_new("mine", of->mine);
  int how;
  pid_t child = publish_in_child(&mine, of->mode, call);
  assert_int_equal(waitpid(child, &how, 0), child);
  if (WIFEXITED(how)) assert_int_equal(WEXITSTATUS(how), 0);
  for (int times = 0; times < 2; times++) {
    ghee_error err;
    if (publish_on(store, &mine, of->mode, &err) != GHEE_OK) fail_msg("mode %d, %zu files, call %ld: %s", (int)of->mode, of->mine, call, err.message);
    assert_int_equal(verified(), of->after);
    nothing_left();
  }
  job_fini(&mine);
  return WIFSIGNALED(how);
}

static void test_killed_at_every_request(void **state) {
  (void)state;
  need_server();
  for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
    long call = 1;
    while (killed_at(&scenarios[i], call)) call++;
    assert_true(call > 15);
  }
}

static bool has_manifest(void) {
  ghee_manifest found = {0};
  ghee_error err;
  ghee_status status = ghee_manifest_read(store, out, &found, &err);
  bool whole = status == GHEE_OK && found.count == 2;
  ghee_manifest_fini(&found);
  return whole;
}

/* A killed job that is given up: cancel leaves nothing that another job would meet. */
static void test_canceled_after_a_kill(void **state) {
  (void)state;
  need_server();
  for (long call = 1;; call++) {
    fresh();
    job mine = job_new("mine", 2), next = job_new("next", 1);
    int how;
    pid_t child = publish_in_child(&mine, GHEE_PUBLISH_ERROR, call);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(store->ops->remove_all(store, mine.staging, NULL), GHEE_OK);
    nothing_left();
    bool there = true;
    assert_int_equal(store->ops->exists(store, out, &there, NULL), GHEE_OK);
    if (there) assert_true(has_manifest()); /* all or nothing here too */
    ghee_error err;
    if (publish_on(store, &next, there ? GHEE_PUBLISH_OVERWRITE : GHEE_PUBLISH_ERROR, &err) != GHEE_OK) fail_msg("call %ld: %s", call, err.message);
    assert_int_equal(verified(), 1);
    job_fini(&mine);
    job_fini(&next);
    if (WIFEXITED(how)) break;
  }
}

/* ---- at once ---- */

enum { JOBS = 6 };

static void race(ghee_publish_mode mode, size_t *won, size_t *told) {
  job jobs[JOBS];
  pid_t children[JOBS];
  char name[16];
  fresh();
  for (int i = 0; i < JOBS; i++) {
    snprintf(name, sizeof name, "job%d", i);
    jobs[i] = job_new(name, 2);
  }
  for (int i = 0; i < JOBS; i++) children[i] = publish_in_child(&jobs[i], mode, 0);
  *won = *told = 0;
  for (int i = 0; i < JOBS; i++) {
    int how;
    assert_int_equal(waitpid(children[i], &how, 0), children[i]);
    assert_true(WIFEXITED(how));
    *won += WEXITSTATUS(how) == GHEE_OK;
    *told += WEXITSTATUS(how) == GHEE_BUSY || WEXITSTATUS(how) == GHEE_EXISTS;
    assert_int_equal(store->ops->remove_all(store, jobs[i].staging, NULL), GHEE_OK);
    job_fini(&jobs[i]);
  }
}

static void test_many_jobs_at_once(void **state) {
  (void)state;
  size_t won, told;
  need_server();
  for (int round = 0; round < 5; round++) {
    race(GHEE_PUBLISH_ERROR, &won, &told);
    assert_int_equal(won, 1);
    assert_int_equal(told, JOBS - 1);
    assert_int_equal(verified(), 2);
    race(GHEE_PUBLISH_APPEND, &won, &told);
    assert_true(won >= 1);
    assert_int_equal(won + told, JOBS);
    assert_int_equal(verified(), 2 * won); /* no appended file is lost */
    nothing_left();
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_killed_at_every_request, setup, teardown),
      cmocka_unit_test_setup_teardown(test_canceled_after_a_kill, setup, teardown),
      cmocka_unit_test_setup_teardown(test_many_jobs_at_once, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
