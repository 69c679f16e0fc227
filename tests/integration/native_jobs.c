/* SPDX-License-Identifier: Apache-2.0
 * Whole jobs in C alone, by the programs of a build (`native_jobs BUILD`): every format, three stages, deaths, resume, cancel, and what
 * the other commands say of them. What goes wrong is in native_failures.c. */
#include "native_jobs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 10007 };

static int same(int64_t id, double x, struct row out[2]) { return *out = (struct row){id, x}, 1; }
static int doubled(int64_t id, double x, struct row out[2]) { return *out = (struct row){id, 2 * x}, 1; }

static void every_format_in_and_out(void **state) {
  (void)state;
  static const char *const formats[] = {"parquet", "csv", "jsonl", "ipc"};
  for (int i = 0; i < 4; i++) {
    char out[32];
    snprintf(out, sizeof out, "out-%s", formats[i]);
    make_input(formats[i], formats[i], ROWS, 3);
    assert_int_equal(run_job("{'input': {'uri': ['in/%s-0%s', 'in/%s-1%s', 'in/%s-2%s']}, 'preprocess': {'run': '%s:doubled', 'workers': 2},"
                             " 'output': {'uri': '%s', 'format': '%s'}}", formats[i], i == 0 ? ".parquet" : i == 1 ? ".csv" : i == 2 ? ".jsonl" : ".arrow",
                             formats[i], i == 0 ? ".parquet" : i == 1 ? ".csv" : i == 2 ? ".jsonl" : ".arrow",
                             formats[i], i == 0 ? ".parquet" : i == 1 ? ".csv" : i == 2 ? ".jsonl" : ".arrow", udf(), out, formats[(i + 1) % 4]), 0);
    assert_rows(out, ROWS, doubled);
  }
}

static int three_stages_give(int64_t id, double x, struct row out[2]) {
  if (id % 2) return 0;
  out[0] = (struct row){id, 2 * x + 5};
  out[1] = (struct row){id, -2 * x + 5};
  return 2;
}

static void three_stages(void **state) {
  (void)state;
  make_input("a", "parquet", ROWS, 4);
  assert_int_equal(run_job("{'input': {'uri': 'in'}, 'preprocess': {'run': '%s:odd_dropped', 'workers': 3, 'batch_size': 100},"
                           " 'predict': {'run': '%s:doubled', 'workers': 2}, 'output': {'uri': 'half', 'target_file_size': '16KiB'}}", udf(), udf()), 0);
  assert_int_equal(run_job("{'input': {'uri': 'half'}, 'preprocess': {'run': '%s:each_twice', 'workers': 3}, 'predict': {'workers': 2},"
                           " 'postprocess': {'run': '%s:adds', 'workers': 2, 'args': {'number': 5}}, 'output': {'uri': 'out'}}", udf(), udf()), 0);
  assert_rows("out", ROWS, three_stages_give);
}

static void rows_pass_through_a_stage_without_function(void **state) {
  (void)state;
  make_input("a", "parquet", ROWS, 2);
  for (int workers = 1; workers <= 7; workers += 3) {
    assert_int_equal(run_job("{'input': {'uri': 'in'}, 'preprocess': {'workers': %d}, 'output': {'uri': 'out', 'mode': 'overwrite'}}", workers), 0);
    assert_rows("out", ROWS, same);
  }
}

static void no_rows_and_one_row(void **state) {
  (void)state;
  for (int n = 0; n <= 1; n++) {
    make_input("a", "parquet", n, 1);
    assert_int_equal(run_job("{'input': {'uri': 'in'}, 'preprocess': {'run': '%s:doubled', 'workers': 3}, 'output': {'uri': 'out', 'mode': 'overwrite'}}", udf()), 0);
    assert_rows("out", n, doubled);
  }
}

static void append_adds_to_what_is_there(void **state) {
  (void)state;
  make_input("a", "parquet", 1000, 1);
  for (int i = 0; i < 2; i++)
    assert_int_equal(run_job("{'input': {'uri': 'in'}, 'preprocess': {}, 'output': {'uri': 'out', 'mode': 'append'}}"), 0);
  rows got = read_output("out");
  assert_int_equal(got.n, 2000);
  free(got.items);
}

/* ---- deaths ---- */

static void a_batch_that_kills_once_comes_out_once(void **state) {
  (void)state;
  make_input("a", "parquet", ROWS, 4);
  static const char *const stages[] = {"preprocess", "predict", "postprocess"};
  for (int i = 0; i < 3; i++) {
    const char *run[3] = {"doubled", "adds", "adds"};
    unlink(at("crashed"));
    run[i] = "crashes_once";
    assert_int_equal(run_job("{'input': {'uri': 'in'}, 'preprocess': {'run': '%s:%s', 'workers': 3, 'batch_size': 128, 'args': {'at': 5001}},"
                             "'predict': {'run': '%s:%s', 'workers': 2, 'args': {'at': 5001}}, 'postprocess': {'run': '%s:%s', 'workers': 2, 'args': {'at': 5001}},"
                             "'output': {'uri': 'out', 'mode': 'overwrite'}}", udf(), run[0], udf(), run[1], udf(), run[2]), 0);
    assert_int_equal(access(at("crashed"), F_OK), 0);
    print_message("%s died\n", stages[i]);
    assert_rows("out", ROWS, i == 0 ? same : doubled);
  }
}

/* Does not end before the gate is opened. */
#define SLOW "{'name': 'slow', 'input': {'uri': 'in'}, 'preprocess': {'run': '%s:waits', 'workers': 2, 'batch_size': 100, 'args': {'at': 9000}}," \
             "'predict': {'run': '%s:doubled', 'workers': 2}, 'output': {'uri': 'out', 'target_file_size': '8KiB'}}"

static pid_t begin_slow(void) {
  make_input("a", "parquet", ROWS, 4);
  write_job(SLOW, udf(), udf());
  pid_t pid = ghee_begin("run", "--quiet", "job.json", NULL);
  await_file("state/ghee/jobs/slow/state/predict-0"); /* a worker of the last stage is there */
  return pid;
}

static void open_gate(void) { write_file("gate", ""); }

static void assert_state(const char *words) {
  assert_int_equal(ghee("status", "--json", "slow", NULL), 0);
  if (!strstr(printed(), words)) fail_msg("%s is not in %s", words, printed());
}

static void goes_on_after_the_deaths_of_coordinators(void **state) {
  (void)state;
  pid_t client = begin_slow(), pid;
  for (int i = 0; i < 3; i++) {
    while (processes("ghee-coordinator", &pid) == 0 && kill(client, 0) == 0) usleep(1000);
    kill(pid, SIGKILL);
    while (processes("ghee-coordinator", NULL) == 1 && kill(pid, 0) == 0) usleep(1000);
  }
  open_gate();
  assert_int_equal(ghee_end(client), 0);
  assert_rows("out", ROWS, doubled);
}

static void resumes_after_the_death_of_the_client(void **state) {
  (void)state;
  pid_t client = begin_slow();
  assert_state("\"state\": \"running\"");
  assert_int_equal(ghee("resume", "slow", NULL), 16); /* busy */
  assert_int_equal(ghee("run", "job.json", NULL), 16);
  kill(client, SIGKILL);
  assert_int_equal(ghee_end(client), -SIGKILL);
  while (processes("ghee-coordinator", NULL) > 0) usleep(1000);
  assert_int_equal(ghee("status", "--json", "slow", NULL), 0);
  assert_null(strstr(printed(), "\"state\": \"running\""));
  assert_int_equal(ghee("run", "job.json", NULL), 8);
  assert_non_null(strstr(complained(), "ghee resume slow"));
  open_gate();
  assert_int_equal(ghee("resume", "--quiet", "--json", "slow", NULL), 0);
  assert_non_null(strstr(printed(), "\"rows_out\": 10007"));
  assert_rows("out", ROWS, doubled);
  assert_state("\"state\": \"done\"");
}

static void resumes_after_an_interruption(void **state) {
  (void)state;
  pid_t client = begin_slow();
  kill(client, SIGINT);
  assert_int_equal(ghee_end(client), 130);
  assert_non_null(strstr(complained(), "ghee resume"));
  assert_int_equal(processes(NULL, NULL), 0);
  assert_state("\"state\": \"canceled\"");
  open_gate();
  assert_int_equal(ghee("resume", "--quiet", "slow", NULL), 0);
  assert_rows("out", ROWS, doubled);
  assert_int_equal(ghee("resume", "--quiet", "slow", NULL), 0); /* done is done */
  assert_rows("out", ROWS, doubled);
}

static void changed_input_is_not_resumed(void **state) {
  (void)state;
  pid_t client = begin_slow();
  kill(client, SIGINT);
  assert_int_equal(ghee_end(client), 130);
  make_input("a", "parquet", ROWS + 1, 4);
  assert_int_equal(ghee("resume", "--quiet", "slow", NULL), 17);
  assert_non_null(strstr(complained(), "in/a-0.parquet"));
  assert_int_equal(ghee("cancel", "slow", NULL), 0);
}

static void cancel_stops_and_removes(void **state) {
  (void)state;
  pid_t client = begin_slow();
  assert_int_equal(ghee("cancel", "slow", NULL), 0);
  assert_int_equal(ghee_end(client), 130);
  assert_non_null(strstr(complained(), "canceled by `ghee cancel`"));
  assert_null(strstr(complained(), "ghee resume"));
  assert_int_equal(access(at("state/ghee/jobs/slow"), F_OK), -1);
  assert_int_equal(access(at("out"), F_OK), -1);
  assert_int_equal(ghee("cancel", "slow", NULL), 4);
  assert_int_equal(ghee("status", "slow", NULL), 4);
}

/* ---- what is said ---- */

static void logs_are_those_of_the_workers(void **state) {
  (void)state;
  make_input("a", "parquet", 2000, 2);
  assert_int_equal(run_job("{'name': 'talk', 'input': {'uri': 'in'}, 'preprocess': {'run': '%s:prints', 'workers': 2}, 'predict': {'run': '%s:prints'},"
                           "'output': {'uri': 'out'}}", udf(), udf()), 0);
  assert_int_equal(ghee("logs", "talk", NULL), 0);
  assert_non_null(strstr(printed(), "predict-0: predict-0 of 1 begins at id "));
  assert_non_null(strstr(printed(), " of 2 begins at id 0\n"));
  assert_int_equal(ghee("logs", "--stage", "predict", "--lines", "1", "talk", NULL), 0);
  assert_null(strstr(printed(), "preprocess"));
  assert_ptr_equal(strchr(printed(), '\n'), strrchr(printed(), '\n'));
  assert_int_equal(ghee("logs", "--stage", "predikt", "talk", NULL), 3);
  assert_non_null(strstr(complained(), "no stage predikt; its stages are: preprocess, predict"));
}

static void outputs_are_verified(void **state) {
  (void)state;
  make_input("a", "parquet", ROWS, 2);
  assert_int_equal(run_job("{'input': {'uri': 'in'}, 'preprocess': {}, 'output': {'uri': 'out', 'format': 'csv'}}"), 0);
  assert_int_equal(ghee("verify", "out", NULL), 0);
  assert_non_null(strstr(printed(), "10007 rows"));
  assert_int_equal(ghee("verify", "--json", "out", NULL), 0);
  assert_non_null(strstr(printed(), "\"rows\": 10007"));
  assert_int_equal(system("cd $TMPDIR/../out && for f in part-*; do printf x >> $f; done"), 0);
  assert_int_equal(ghee("verify", "out", NULL), 6);
  assert_non_null(strstr(complained(), "part-"));
  assert_int_equal(ghee("verify", "nowhere", NULL), 4);
}

static void descriptions_are_checked_and_explained(void **state) {
  (void)state;
  make_input("a", "parquet", ROWS, 2);
  write_job("{'input': {'uri': 'in'}, 'preprocess': {'run': '%s:doubled', 'workers': 3}, 'output': {'uri': 'out'}}", udf());
  assert_int_equal(ghee("check", "job.json", NULL), 0);
  assert_int_equal(ghee("explain", "job.json", NULL), 0);
  assert_non_null(strstr(printed(), "10,007 rows"));
  assert_int_equal(ghee("explain", "--json", "job.json", NULL), 0);
  assert_non_null(strstr(printed(), "\"rows\": 10007"));
  assert_int_equal(access(at("out"), F_OK), -1);
  assert_int_equal(access(at("state/ghee/jobs"), F_OK), -1); /* nothing was begun */
}

static void limit_reads_about_so_many_rows(void **state) {
  (void)state;
  make_input("a", "parquet", ROWS, 8);
  write_job("{'input': {'uri': 'in'}, 'preprocess': {'workers': 2}, 'output': {'uri': 'out'}}");
  assert_int_equal(ghee("run", "--quiet", "--json", "--limit", "2000", "job.json", NULL), 0);
  rows got = read_output("out");
  assert_true(got.n >= 2000 && got.n < ROWS / 2);
  free(got.items);
}

static void refused_rows_are_diverted(void **state) {
  (void)state;
  make_input("a", "parquet", ROWS, 4);
  assert_int_equal(run_job("{'input': {'uri': 'in'}, 'preprocess': {'run': '%s:rejects', 'workers': 3, 'batch_size': 300}, 'predict': {'workers': 2},"
                           "'output': {'uri': 'out'}, 'on_reject': 'divert', 'dead_letter': 'dead'}", udf()), 0);
  rows got = read_output("out");
  assert_int_equal(got.n, ROWS - 10); /* 7, 1007, …, 9007 */
  for (int64_t i = 0; i < got.n; i++) assert_int_not_equal(got.items[i].id % 1000, 7);
  free(got.items);
  assert_int_equal(system("test $(cat $TMPDIR/../dead/*.jsonl | grep -c '\"reason\": *\"seven\"') = 10"), 0);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: native_jobs BUILD\nRuns jobs with native functions by the programs in the folder BUILD.\n");
    return 2;
  }
  harness_init(argv[1]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)
  const struct CMUnitTest tests[] = {TEST(every_format_in_and_out), TEST(three_stages), TEST(rows_pass_through_a_stage_without_function),
                                     TEST(no_rows_and_one_row), TEST(append_adds_to_what_is_there), TEST(a_batch_that_kills_once_comes_out_once),
                                     TEST(goes_on_after_the_deaths_of_coordinators), TEST(resumes_after_the_death_of_the_client),
                                     TEST(resumes_after_an_interruption), TEST(changed_input_is_not_resumed), TEST(cancel_stops_and_removes),
                                     TEST(logs_are_those_of_the_workers), TEST(outputs_are_verified), TEST(descriptions_are_checked_and_explained),
                                     TEST(limit_reads_about_so_many_rows), TEST(refused_rows_are_diverted)};
  return cmocka_run_group_tests(tests, NULL, NULL) + run_failures();
}
