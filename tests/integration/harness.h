/* SPDX-License-Identifier: Apache-2.0
 * For tests of whole jobs with native functions: inputs of ids, descriptions, the programs of a build run as their user runs them, what
 * came out row for row, what was left behind. */
#ifndef GHEE_INTEGRATION_HARNESS_H
#define GHEE_INTEGRATION_HARNESS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdbool.h>
#include <sys/types.h>

/** `build` is the folder with ghee, ghee-worker, ghee-coordinator. */
void harness_init(const char *build);
/** A folder of its own for a test, with state and temporary files below it; the second checks that nothing is left, and removes it. */
int harness_setup(void **state);
int harness_teardown(void **state);

/** A path below the test's folder; a few may be in use at once. */
const char *at(const char *relative);
/** The library of the tests' user functions. */
const char *udf(void);

/** Files `name`-K.FORMAT below `in`, ids 0 … rows-1 in order, x = id / 2, row groups of 500 rows. */
void make_input(const char *name, const char *format, int64_t rows, int files);
void write_file(const char *relative, const char *text);

typedef struct rows { int64_t n; struct row { int64_t id; double x; } *items; } rows;
/** All rows of all files of a folder, sorted by id, then x. */
rows read_output(const char *name);
/** The rows that must have come out, `next` called for each id. Sorted and compared. */
void assert_rows(const char *name, int64_t n, int (*next)(int64_t id, double x, struct row out[2]));

/** Runs `ghee` with arguments (NULL at the end) until it ends; its exit code. What it printed: printed(), complained(). */
int ghee(const char *first, ...);
const char *printed(void);
const char *complained(void);
/** The same without waiting; and waiting: exit code, or -signal. */
pid_t ghee_begin(const char *first, ...);
int ghee_end(pid_t pid);
/** Writes job.json from a format, runs it, and gives the exit code. The description has 'single' quotes for "double" ones. */
int run_job(const char *format, ...) __attribute__((format(printf, 1, 2)));
void write_job(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Waits until a file is there. */
void await_file(const char *relative);
/** Processes of the test's jobs that are alive: by what their command lines hold beside the test's folder; NULL: all. */
int processes(const char *words, pid_t *first);

#endif
