/* SPDX-License-Identifier: Apache-2.0
 * Which places of a job may stand beside each other: a table of those that may, and of those that are refused. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/nth_alloc.h"
#include "plan/places.h"

static char folder[] = "/tmp/ghee-places-XXXXXX";

static ghee_status check_text(const char *text, ghee_error *err) {
  ghee_document *document;
  ghee_job_spec *spec = NULL;
  GHEE_TRY(ghee_document_parse(text, strlen(text), "job", &document, err));
  ghee_status status = ghee_job_spec_new(document, folder, &spec, err);
  if (status == GHEE_OK) status = ghee_places_check(spec, ghee_document_root(document), err);
  ghee_job_spec_free(spec);
  ghee_document_free(document);
  return status;
}

typedef struct job { const char *input, *output, *dead_letter, *words; /* NULL: allowed */ } job;

static ghee_status check(const job *of, ghee_error *err) {
  char text[1024];
  snprintf(text, sizeof text, "input: {uri: %s}\npreprocess: {}\noutput: {uri: '%s', mode: overwrite}\n%s%s%s", of->input, of->output,
           of->dead_letter ? "dead_letter: '" : "", of->dead_letter ? of->dead_letter : "", of->dead_letter ? "'\n" : "");
  return check_text(text, err);
}

static void check_all(const job *jobs, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const job *of = &jobs[i];
    ghee_error err = {0};
    ghee_status status = check(of, &err);
    if (status != (of->words ? GHEE_INVALID : GHEE_OK)) fail_msg("%s -> %s (%s): %d %s", of->input, of->output, of->dead_letter ? of->dead_letter : "", status, err.message);
    if (of->words && !strstr(err.message, of->words)) fail_msg("%s -> %s says %s", of->input, of->output, err.message);
    if (of->words && strncmp(err.message, of->dead_letter ? "job:4:" : "job:3:", 6) != 0) fail_msg("no place: %s", err.message);
  }
}
#define ALL(jobs) check_all(jobs, sizeof jobs / sizeof *jobs)

static void test_output(void **state) {
  (void)state;
  static const job jobs[] = {
      {"data/in", "data/out", NULL, NULL}, {"data/in", "data/in2", NULL, NULL}, {"data/in2", "data/in", NULL, NULL}, {"[a, b]", "c", NULL, NULL},
      {"data/in", "file:data/in", NULL, "same place"}, {"data/in/", "data/in", NULL, "same place"}, {"data/x/../in", "./data//in", NULL, "same place"},
      {"data/pq/f0.parquet", "data/pq", NULL, "holds the input"}, {"data/pq", "data", NULL, "replaced, or hidden"}, {"[a, data/pq]", "data", NULL, "data/pq: what is read"},
      {"data", "/", NULL, "holds the input"}, {"data", "data/out", NULL, "lies in the input"}, {"/", "out", NULL, "the next run reads"},
      {"s3://b/in", "s3://b/out", NULL, NULL}, {"s3://b/in", "s3://b/in2", NULL, NULL}, {"s3://b/in", "s3://c/in", NULL, NULL}, {"s3://b/in", "hdfs://b/in", NULL, NULL},
      {"s3://b/data/f", "s3://b/data", NULL, "holds"}, {"s3://b/data/", "s3://b/data", NULL, "same place"}, {"s3://b/data", "s3://b", NULL, "holds"},
      {"s3://b/", "s3://b/out", NULL, "lies in"}, {"hdfs://nn/data/pq", "hdfs://nn/data/", NULL, "holds"}, {"hdfs:///data/pq", "hdfs:///data", NULL, "holds"},
      {"hdfs:///", "hdfs://nn/out", NULL, NULL}, {"s3://b;region=eu-1/a/f", "s3://b/a", NULL, "holds"},
      {"'s3://b;endpoint=http://h:1;anonymous/a/f'", "s3://b;unguarded;endpoint=http://h:1/a", NULL, "holds"},
      {"'s3://b;endpoint=http://h:1/a'", "s3://b;endpoint=http://h:2/a", NULL, NULL}, {"s3://b/a", "s3://b/x;endpoint=http://h:1/a", NULL, NULL},
  };
  ALL(jobs);
}

static void test_wildcards(void **state) {
  (void)state;
  static const job jobs[] = {
      {"data/*.csv", "data/out", NULL, NULL}, {"data/*.csv", "out", NULL, NULL}, {"data/*.csv", "data2", NULL, NULL}, {"'data/{a,b}/*.csv'", "data/c", NULL, NULL},
      {"'data/day=*/*.csv'", "data/out", NULL, NULL}, {"'data/[0-9]/x'", "data/a", NULL, NULL},
      {"data/pq2/*.parquet", "data/pq2", NULL, "holds"}, {"data/pq2/*.parquet", "data", NULL, "holds"}, {"data/*", "data/out", NULL, "reached by the wildcards"},
      {"data/*.csv", "data/out.csv", NULL, "reached by"}, {"data/*/*.csv", "data/out", NULL, "reached by"}, {"'data/{a,b}/*.csv'", "data/b", NULL, "reached by"},
      {"data/**/*.csv", "data/x/out", NULL, "reached by"}, {"data/*", "data/x/y/out", NULL, "reached by"}, {"/*.csv", "/", NULL, "holds"}, {"/*.csv", "out", NULL, NULL},
      {"'data/[x].csv'", "data/[x].csv", NULL, "same place"}, {"'data/{x'", "data/out", NULL, NULL}, {"'data/{x'", "data", NULL, "holds"},
      {"s3://b/d/*.csv", "s3://b/d", NULL, "holds"}, {"s3://b/d/*.csv", "s3://b/d/out", NULL, NULL}, {"s3://b/*.csv", "s3://b", NULL, "holds"},
      {"'s3://b;endpoint=http://h:1/d/*'", "s3://b;endpoint=http://h:1/d/out", NULL, "reached by"}, {"hdfs:///d/*/x", "hdfs:///d", NULL, "holds"},
  };
  ALL(jobs);
}

static void test_dead_letter(void **state) {
  (void)state;
  static const job jobs[] = {
      {"in", "out", "dead", NULL}, {"in", "out", "out2", NULL}, {"in", "out", "out", "same place as the output"}, {"in", "out", "out/dead", "lies in the output"},
      {"in", "all/out", "all", "each is published as a whole"}, {"in", "out", "in", "same place as the input"}, {"in", "out", "in/dead", "lies in the input"},
      {"all/in", "out", "all", "holds the input"}, {"in/*", "out", "in/dead", "reached by"}, {"in/*.csv", "out", "in/dead", NULL},
  };
  ALL(jobs);
}

static void test_links(void **state) {
  (void)state;
  static const job jobs[] = {
      {"pq", "lnk", NULL, "same place as the input"}, {"pq/f", "lnk", NULL, "by a symbolic link"}, {"lnk", "pq", NULL, "by a symbolic link"}, {"pq", "lnk/out", NULL, "lies in"},
      {"lnk/new/f", "pq/new", NULL, "holds"}, {"lnk/*.csv", "pq", NULL, "holds"}, {"lnk/*.csv", "pq/out", NULL, NULL}, {"lnk/*", "pq/out", NULL, "reached by"},
      {"other/file", "pq", NULL, "holds"}, {"other", "pq", NULL, NULL}, {"other", "other/up", NULL, "lies in the input"}, {"other", "pq", "lnk/dead", "lies in the output"},
      {"other", "new/a/b", "new/a/c", NULL},
  };
  ALL(jobs);
}

static ghee_status check_one(void *user, ghee_error *err) { return check(user, err); }

static void test_no_memory(void **state) {
  (void)state;
  job of = {"'lnk/{a,b}*'", "out", "dead", NULL};
  assert_true(nth_alloc_each(check_one, &of, GHEE_OK) > 0);
}

/* pq/f; lnk -> pq; other/file -> ../pq/f; other/up -> ../pq */
static int setup(void **state) {
  (void)state;
  assert_non_null(mkdtemp(folder));
  assert_int_equal(chdir(folder), 0);
  assert_int_equal(mkdir("pq", 0700) | mkdir("other", 0700) | symlink("pq", "lnk") | symlink("../pq/f", "other/file") | symlink("../pq", "other/up"), 0);
  FILE *file = fopen("pq/f", "w");
  assert_non_null(file);
  return fclose(file);
}

static int teardown(void **state) {
  (void)state;
  return chdir("/") || ghee_dir_remove_all(folder, NULL) != GHEE_OK;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_output), cmocka_unit_test(test_wildcards), cmocka_unit_test(test_dead_letter), cmocka_unit_test(test_links),
                                     cmocka_unit_test(test_no_memory)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
