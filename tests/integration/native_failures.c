/* SPDX-License-Identifier: Apache-2.0
 * What goes wrong in a native job: a distinct exit code, words that name the cause and the place, and nothing left behind. */
#include "native_jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct failure {
  const char *stage;      /* of preprocess: its function and the rest of it */
  const char *rest;       /* of the description */
  int code;
  const char *words[3];   /* all in the message */
} failure;

static const failure failures[] = {
    {"'run': 'UDF:fails', 'args': {'at': 2345}", "", 13, {"no good comes of id 2345", "in/a-1.parquet", "worker"}},
    {"'run': 'UDF:fails_silently', 'args': {'at': 2345}", "", 13, {"without a message", "in/a-1.parquet"}},
    {"'run': 'UDF:crashes', 'args': {'at': 2345}", ", 'max_crashes': 2", 14, {"died 2 times", "SIGSEGV", "in/a-1.parquet"}},
    {"'run': 'UDF:crashes_afterwards'", ", 'max_crashes': 3", 14, {"died 3 times", "no chunk of the job was finished", "SIGSEGV"}},
    {"'run': 'UDF:leaves', 'args': {'at': 2345}", ", 'max_crashes': 2", 14, {"died 2 times", "exited with code 3"}},
    {"'run': 'UDF:sleeps', 'args': {'ms': 600000}, 'timeout': '300ms'", "", 15, {"0.3 s", "timeout"}},
    {"'run': 'UDF:rejects', 'args': {'every': 1000}", "", 13, {"no good comes of id"}},
    {"'run': 'UDF:each_twice', 'rows': 'same'", "", 13, {"rows: same"}},
    {"'run': 'UDF:not_there'", "", 4, {"has no function not_there", "GHEE_UDF"}},
    {"'run': 'nowhere.so:doubled'", "", 4, {"nowhere.so"}},
    {"'run': 'in/a-0.parquet.so:doubled'", "", 4, {"a-0.parquet.so"}},
    {"'run': 'UDF:not_opened'", "", 4, {"the model is not there"}},
    {"'run': 'UDF:doubled', 'wokers': 2", "", 3, {"job.json:1:", "wokers", "workers"}},
    {"'run': 'UDF:doubled', 'workers': 'two'", "", 3, {"job.json:1:", "workers"}},
};

static int run_with(const char *stage, const char *rest) {
  char text[8192] = "";
  for (const char *at_text = stage, *mark; *at_text; at_text = mark + (*mark ? 3 : 0)) {
    mark = strstr(at_text, "UDF");
    if (!mark) mark = at_text + strlen(at_text);
    snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s%s", (int)(mark - at_text), at_text, *mark ? udf() : "");
  }
  return run_job("{'input': {'uri': 'in'}, 'preprocess': {%s}, 'predict': {}, 'output': {'uri': 'out'}%s}", text, rest);
}

static void each_failure_has_its_code_and_words(void **state) {
  (void)state;
  make_input("a", "parquet", 4000, 2);
  for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
    const failure *of = &failures[i];
    print_message("%s\n", of->stage);
    int code = run_with(of->stage, of->rest);
    if (code != of->code) fail_msg("exit code %d instead of %d: %s", code, of->code, complained());
    for (int w = 0; w < 3 && of->words[w]; w++)
      if (!strstr(complained(), of->words[w])) fail_msg("'%s' is not in: %s", of->words[w], complained());
    assert_int_equal(access(at("out"), F_OK), -1);
    assert_int_equal(processes(NULL, NULL), 0);
  }
  assert_int_equal(ghee("status", "--json", NULL), 0);
  assert_string_equal(printed(), "[]\n"); /* jobs without a name leave nothing */
}

static void inputs_that_cannot_be_read(void **state) {
  (void)state;
  assert_int_equal(run_with("", ""), 4);
  assert_non_null(strstr(complained(), "holds no files"));
  make_input("a", "parquet", 1000, 2);
  write_file("in/b.parquet", "PAR1 but not really");
  assert_int_equal(run_with("", ""), 6);
  assert_non_null(strstr(complained(), "in/b.parquet"));
  unlink(at("in/b.parquet"));
  write_file("in/b.csv", "id,x\n1,2\n");
  assert_int_equal(run_with("", ", 'name': 'mixed'"), 3);
  assert_non_null(strstr(complained(), "in/b.csv"));
  unlink(at("in/b.csv"));
  assert_int_equal(run_job("{'input': {'uri': 'in', 'columns': ['idd']}, 'preprocess': {}, 'output': {'uri': 'out'}}"), 4);
  assert_non_null(strstr(complained(), "idd"));
  assert_int_equal(run_job("{'input': {'uri': 'nowhere'}, 'preprocess': {}, 'output': {'uri': 'out'}}"), 4);
  assert_int_equal(access(at("out"), F_OK), -1);
}

static void a_damaged_line_in_the_middle_is_named(void **state) {
  (void)state;
  write_file("in/a.csv", "id,x\n1,0.5\n2,1\n3,oops\n4,2\n");
  write_file("in/b.csv", "id,x\n5,2.5\n");
  int code = run_job("{'input': {'uri': ['in/b.csv', 'in/a.csv']}, 'preprocess': {'run': '%s:doubled'}, 'output': {'uri': 'out'}}", udf());
  if (code != 6 && code != 7) fail_msg("exit code %d: %s", code, complained());
  assert_non_null(strstr(complained(), "in/a.csv"));
  assert_int_equal(access(at("out"), F_OK), -1);
}

static void outputs_that_are_there_stay(void **state) {
  (void)state;
  make_input("a", "parquet", 1000, 1);
  assert_int_equal(run_with("", ""), 0);
  assert_int_equal(run_with("'run': 'UDF:doubled'", ""), 8);
  assert_non_null(strstr(complained(), "overwrite"));
  rows got = read_output("out");
  assert_int_equal(got.n, 1000);
  assert_true(got.items[999].x == 499.5);
  free(got.items);
  assert_int_equal(run_job("{'input': {'uri': 'in'}, 'preprocess': {'run': '%s:fails', 'args': {'at': 500}}, 'output': {'uri': 'out', 'mode': 'overwrite'}}", udf()), 13);
  got = read_output("out");
  assert_int_equal(got.n, 1000); /* what failed has changed nothing */
  free(got.items);
  write_file("plain", "a file");
  assert_int_equal(run_job("{'input': {'uri': 'in'}, 'preprocess': {}, 'output': {'uri': 'plain/out'}}") != 0, true);
}

static void a_failed_job_with_a_name_can_be_looked_at(void **state) {
  (void)state;
  make_input("a", "parquet", 4000, 2);
  assert_int_equal(run_with("'run': 'UDF:fails', 'args': {'at': 2345}", ", 'name': 'bad'"), 13);
  assert_int_equal(ghee("status", "--json", "bad", NULL), 0);
  assert_non_null(strstr(printed(), "\"failed\""));
  assert_non_null(strstr(printed(), "id 2345"));
  assert_int_equal(ghee("resume", "--quiet", "bad", NULL), 13); /* it fails again */
  assert_int_equal(ghee("cancel", "bad", NULL), 0);
  assert_int_equal(ghee("status", "--json", NULL), 0);
  assert_string_equal(printed(), "[]\n");
}

static void commands_that_make_no_sense(void **state) {
  (void)state;
  assert_int_equal(ghee("frobnicate", NULL), 2);
  assert_int_equal(ghee("run", NULL), 2);
  assert_int_equal(ghee("run", "--limit", "-3", "job.json", NULL), 2);
  assert_int_equal(ghee("run", "nowhere.json", NULL), 4);
  assert_int_equal(ghee("resume", "nobody", NULL), 4);
  assert_int_equal(ghee("logs", "nobody", NULL), 4);
  assert_int_equal(ghee("--help", NULL), 0);
}

int run_failures(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)
  const struct CMUnitTest failures_of_jobs[] = {TEST(each_failure_has_its_code_and_words), TEST(inputs_that_cannot_be_read),
                                                TEST(a_damaged_line_in_the_middle_is_named), TEST(outputs_that_are_there_stay),
                                                TEST(a_failed_job_with_a_name_can_be_looked_at), TEST(commands_that_make_no_sense)};
  return cmocka_run_group_tests(failures_of_jobs, NULL, NULL);
}
