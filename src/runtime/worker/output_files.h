/* SPDX-License-Identifier: Apache-2.0
 * The files that a sink writes into the staging folder: opened, filled, made durable, and then handed over by name.
 *
 * Design notes
 * - A *set* is what has been written since the last finish; its files are handed over together, with the chunks whose rows they hold.
 * - Without partitions a set is one file, full when it has its target size. With partitions the rows of a set are collected (partitions.h) up to about
 *   four times the target size, then each partition is written: a file, or more of the target size each. One file is open at a time.
 * - Rows that are to be in order are collected likewise, without partition_by as one partition, and sorted in memory: a set, and a file, has no more than
 *   what the sink has for it, a quarter of its buffer. */
#ifndef GHEE_WORKER_OUTPUT_FILES_H
#define GHEE_WORKER_OUTPUT_FILES_H

#include "runtime/worker/worker.h"

/** Owner: one thread. */
typedef struct ghee_output_files ghee_output_files;
typedef struct ghee_say_files { ghee_say_file *items; size_t count, capacity; } ghee_say_files;
void ghee_say_files_fini(ghee_say_files *files);

/** Borrows the worker: its description says where and how. Blocks: may. out gives: ghee_output_files_close. */
ghee_status ghee_output_files_open(ghee_worker *worker, ghee_output_files **out, ghee_error *err);
/** What is not finished is thrown away. */
void ghee_output_files_close(ghee_output_files *files);

/** Takes the rows into the set. Blocks: yes. */
ghee_status ghee_output_files_write(ghee_output_files *files, ghee_batch *batch, ghee_error *err);
/** The set has its size: it is to be finished once its last chunk is whole. */
bool ghee_output_files_full(const ghee_output_files *files);
/** Ends the set: its files are durable, and appended to `out`. Blocks: yes. */
ghee_status ghee_output_files_finish(ghee_output_files *files, ghee_say_files *out, ghee_error *err);
/** A file of `rows` refused rows (lines of JSON) beside it, for the dead letters. Blocks: yes. */
ghee_status ghee_output_files_reject(ghee_output_files *files, const ghee_buffer *lines, uint64_t rows, ghee_say_files *out, ghee_error *err);

#endif
