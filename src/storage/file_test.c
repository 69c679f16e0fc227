/* SPDX-License-Identifier: Apache-2.0
 * What only the file: backend can show: links, rights, pipes, full disks, big folders. The rest is in the conformance suite. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "storage/file.h"

static char root[64];
static const struct ghee_object_store_ops *const ops = &ghee_object_store_file;

static const char *at(const char *relative) {
  static char paths[8][6000];
  static int next;
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", root, relative);
  return path;
}

static void put(const char *relative, const char *text) {
  char folder[6000];
  snprintf(folder, sizeof folder, "%s", at(relative));
  *strrchr(folder, '/') = 0;
  assert_int_equal(ghee_dir_make_all(folder, 0777, NULL), GHEE_OK);
  int fd = open(at(relative), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), strlen(text));
  close(fd);
}

static int setup(void **state) {
  (void)state;
  strcpy(root, "/tmp/ghee-file-XXXXXX");
  return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  return ghee_dir_remove_all(root, NULL) == GHEE_OK ? 0 : -1;
}

typedef struct seen {
  char names[4096];
  size_t count;
  char last[6000];
} seen;

static ghee_status see(void *user, const ghee_object_info *info, ghee_error *err) {
  seen *of = user;
  (void)err;
  assert_true(strcmp(info->uri, of->last) > 0);
  snprintf(of->last, sizeof of->last, "%s", info->uri);
  of->count++;
  const char *name = info->uri + strlen("file:") + strlen(root) + 1;
  if (strlen(of->names) + strlen(name) + 2 < sizeof of->names) strcat(strcat(of->names, name), " ");
  return GHEE_OK;
}

static ghee_status list(const char *relative, seen *of, ghee_error *err) {
  memset(of, 0, sizeof *of);
  return ops->list(NULL, at(relative), see, of, err);
}

static void test_links_are_followed(void **state) {
  (void)state;
  seen of;
  ghee_error err;
  put("data/a", "1");
  put("elsewhere/b/c", "2");
  assert_int_equal(symlink("../elsewhere", at("data/link")), 0);
  assert_int_equal(symlink("a", at("data/same")), 0);
  assert_int_equal(list("data", &of, NULL), GHEE_OK);
  assert_string_equal(of.names, "data/a data/link/b/c data/same ");
  assert_int_equal(symlink("../../elsewhere", at("elsewhere/b/up")), 0);
  assert_int_equal(list("data", &of, &err), GHEE_INVALID);
  assert_non_null(strstr(err.message, at("data/link/b/up")));
  assert_int_equal(unlink(at("elsewhere/b/up")), 0);
  assert_int_equal(symlink("self", at("data/self")), 0);
  assert_int_equal(list("data", &of, &err), GHEE_INVALID);
  assert_non_null(strstr(err.message, at("data/self")));
  assert_int_equal(unlink(at("data/self")), 0);
  assert_int_equal(symlink("nothing", at("data/zero")), 0);
  assert_int_equal(list("data", &of, &err), GHEE_NOT_FOUND);
  assert_non_null(strstr(err.message, at("data/zero")));
}

static void test_special_files(void **state) {
  (void)state;
  seen of;
  ghee_error err;
  put("data/a", "1");
  assert_int_equal(mkfifo(at("data/pipe"), 0666), 0);
  assert_int_equal(list("data", &of, NULL), GHEE_OK);
  assert_string_equal(of.names, "data/a ");
  assert_int_equal(list("data/pipe", &of, &err), GHEE_INVALID);
  ghee_source *source;
  assert_int_equal(ops->read(NULL, at("data/pipe"), NULL, &source, &err), GHEE_INVALID);
  assert_int_equal(ops->read(NULL, at("data"), NULL, &source, &err), GHEE_INVALID);
  assert_non_null(strstr(err.message, "a folder"));
}

static void test_folder_without_rights(void **state) {
  (void)state;
  seen of;
  ghee_error err;
  put("data/a", "1");
  put("data/secret/b", "2");
  assert_int_equal(chmod(at("data/secret"), 0), 0);
  assert_int_equal(chmod(root, 0755), 0);
  bool was_root = geteuid() == 0;
  if (was_root) assert_int_equal(seteuid(65534), 0);
  ghee_status status = list("data", &of, &err);
  ghee_sink *sink;
  ghee_status written = ops->write(NULL, at("data/secret/c"), &sink, NULL);
  if (was_root) assert_int_equal(seteuid(0), 0);
  assert_int_equal(chmod(at("data/secret"), 0700), 0);
  assert_int_equal(status, GHEE_DENIED);
  assert_non_null(strstr(err.message, at("data/secret")));
  assert_int_equal(written, GHEE_DENIED);
}

/* More names than one window holds, in the order that the file system does not have them. */
static void test_big_folder(void **state) {
  (void)state;
  enum { FILES = 40000 };
  assert_int_equal(mkdir(at("big"), 0777), 0);
  int folder = open(at("big"), O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < FILES; i++) {
    char name[32];
    snprintf(name, sizeof name, "%05d", (int)((unsigned)i * 7919u % FILES));
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL, 0666);
    assert_true(fd >= 0);
    close(fd);
  }
  close(folder);
  seen of;
  assert_int_equal(list("big", &of, NULL), GHEE_OK);
  assert_int_equal(of.count, FILES);
  for (long n = 1; n < 40000; n = n * 3 + 1) {
    ghee_memory_fail_at(n);
    assert_int_equal(list("big", &of, NULL), GHEE_NO_MEMORY);
    ghee_memory_fail_at(0);
  }
}

static void test_deep_folder(void **state) {
  (void)state;
  char deep[6000] = "d";
  while (strlen(deep) < 2000) strcat(deep, "/d");
  strcat(deep, "/file");
  put(deep, "1");
  seen of;
  assert_int_equal(list("d", &of, NULL), GHEE_OK);
  assert_int_equal(of.count, 1);
}

static ghee_status stop(void *user, const ghee_object_info *info, ghee_error *err) {
  (*(int *)user)++;
  return ghee_error_set(err, GHEE_LIMIT, "enough with %s", info->uri);
}

static void test_callback_stops(void **state) {
  (void)state;
  put("data/a/b/c", "");
  put("data/d", "");
  int count = 0;
  ghee_error err;
  assert_int_equal(ops->list(NULL, at("data"), stop, &count, &err), GHEE_LIMIT);
  assert_int_equal(count, 1);
}

static void test_shorter_while_read(void **state) {
  (void)state;
  put("a", "0123456789");
  ghee_source *source;
  ghee_error err;
  char into[16];
  assert_int_equal(ops->read(NULL, at("a"), NULL, &source, NULL), GHEE_OK);
  source->ops->will_read(source, 0, 10);
  assert_int_equal(truncate(at("a"), 4), 0);
  assert_int_equal(source->ops->read(source, 0, 4, into, &err), GHEE_OK);
  assert_int_equal(source->ops->read(source, 2, 8, into, &err), GHEE_CORRUPT);
  assert_non_null(strstr(err.message, at("a")));
  assert_non_null(strstr(err.message, "byte 4"));
  source->ops->close(source);
}

static size_t entries(const char *relative) {
  size_t n = 0;
  DIR *dir = opendir(at(relative));
  assert_non_null(dir);
  while (readdir(dir)) n++;
  closedir(dir);
  return n - 2;
}

static void test_disk_full(void **state) {
  (void)state;
  struct rlimit was, small = {.rlim_cur = 100000};
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
  small.rlim_max = was.rlim_max;
  ghee_sink *sink;
  ghee_error err = {0};
  char block[4096] = {0};
  assert_int_equal(ops->write(NULL, at("out/a"), &sink, NULL), GHEE_OK);
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  ghee_status status = GHEE_OK;
  for (int i = 0; status == GHEE_OK && i < 100; i++) status = sink->ops->write(sink, block, sizeof block, &err);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
  signal(SIGXFSZ, handler);
  assert_int_equal(status, GHEE_NO_SPACE);
  assert_non_null(strstr(err.message, at("out/a")));
  /* Room again does not make the file whole. */
  assert_int_equal(sink->ops->write(sink, block, sizeof block, &err), GHEE_NO_SPACE);
  assert_int_equal(sink->ops->finish(sink, &err), GHEE_NO_SPACE);
  sink->ops->close(sink);
  assert_int_equal(entries("out"), 0);
}

static void test_write_in_the_way(void **state) {
  (void)state;
  ghee_sink *sink;
  ghee_error err;
  put("a", "");
  put("f/b", "");
  assert_int_equal(ops->write(NULL, at("a/b/c"), &sink, &err), GHEE_EXISTS);
  assert_non_null(strstr(err.message, at("a")));
  assert_int_equal(ops->write(NULL, at("f"), &sink, &err), GHEE_EXISTS);
  assert_int_equal(ops->write(NULL, "/", &sink, &err), GHEE_EXISTS);
  assert_int_equal(ops->remove(NULL, at("f"), &err), GHEE_INVALID);
  assert_int_equal(ops->remove_all(NULL, "file:/", &err), GHEE_INVALID);
  assert_int_equal(ops->remove_all(NULL, "file:/x/..", &err), GHEE_INVALID);
}

static void test_remove_all_keeps_what_links_lead_to(void **state) {
  (void)state;
  put("keep/a", "1");
  assert_int_equal(mkdir(at("gone"), 0777), 0);
  assert_int_equal(symlink("../keep", at("gone/link")), 0);
  assert_int_equal(ops->remove_all(NULL, at("gone"), NULL), GHEE_OK);
  assert_int_equal(access(at("keep/a"), F_OK), 0);
  assert_int_equal(access(at("gone"), F_OK), -1);
}

static void test_exists(void **state) {
  (void)state;
  bool there = true;
  put("a", "");
  assert_int_equal(mkdir(at("empty"), 0777), 0);
  put("hidden/.x", "");
  assert_int_equal(symlink("nothing", at("dangling")), 0);
  static const struct { const char *name; bool there; } cases[] = {
      {"none", false}, {"a", true}, {"a/b", false}, {"empty", false}, {"hidden", true}, {"dangling", true}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(ops->exists(NULL, at(cases[i].name), &there, NULL), GHEE_OK);
    assert_int_equal(there, cases[i].there);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_links_are_followed, setup, teardown),
      cmocka_unit_test_setup_teardown(test_special_files, setup, teardown),
      cmocka_unit_test_setup_teardown(test_folder_without_rights, setup, teardown),
      cmocka_unit_test_setup_teardown(test_big_folder, setup, teardown),
      cmocka_unit_test_setup_teardown(test_deep_folder, setup, teardown),
      cmocka_unit_test_setup_teardown(test_callback_stops, setup, teardown),
      cmocka_unit_test_setup_teardown(test_shorter_while_read, setup, teardown),
      cmocka_unit_test_setup_teardown(test_disk_full, setup, teardown),
      cmocka_unit_test_setup_teardown(test_write_in_the_way, setup, teardown),
      cmocka_unit_test_setup_teardown(test_remove_all_keeps_what_links_lead_to, setup, teardown),
      cmocka_unit_test_setup_teardown(test_exists, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
