/* SPDX-License-Identifier: Apache-2.0
 * For tests: a job's folder as its client leaves it to a coordinator, and the state in its ledger. */
#ifndef GHEE_JOB_JOB_SAMPLE_H
#define GHEE_JOB_JOB_SAMPLE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "batch/types_sample.h"
#include "ledger/ledger.h"
#include "plan/plan_file.h"
#include "runtime/job/folder.h"

/** A description in JSON with 'single' quotes, made absolute against `folder`. gives: ghee_job_spec_free. */
static inline ghee_job_spec *sample_spec(const char *folder, const char *text) {
  char *json = ghee_strdup(text);
  for (char *at = json; *at; at++)
    if (*at == '\'') *at = '"';
  ghee_document *document = NULL;
  ghee_job_spec *spec = NULL;
  SAMPLE_OK(ghee_document_parse(json, strlen(json), "-", &document, err));
  SAMPLE_OK(ghee_job_spec_new(document, folder, &spec, err));
  ghee_document_free(document);
  ghee_free(json);
  return spec;
}

/* A plan of so many chunks of one file that is not there. */
static inline void sample_write_plan(const ghee_job_spec *spec, uint32_t chunks, const char *path) {
  ghee_object_info info = {.uri = (char *)"file:/nowhere/a.parquet", .version = (char *)"1"};
  ghee_object_list files = {.items = &info, .count = chunks ? 1 : 0};
  ghee_plan_records parts = {0};
  for (uint32_t i = 0; i < chunks; i++)
    assert_true(ghee_array_push(&parts, ((ghee_plan_record){.size_bytes = 32 << 20, .memory_bytes = 32 << 20, .rows = 1000, .index = i})));
  ghee_plan_draft draft = {.files = &files, .parts = &parts, .schema = sample_schema(sample_pair, 2), .format = "parquet", .batch_bytes = 1 << 20};
  ghee_plan *plan = NULL;
  SAMPLE_OK(ghee_plan_assemble(spec, &draft, &plan, err));
  assert_int_equal(ghee_plan_totals_of(plan)->chunks, chunks);
  SAMPLE_OK(ghee_plan_save(plan, path, err));
  ghee_plan_free(plan);
  ghee_schema_unref(draft.schema);
  ghee_array_fini(&parts);
}

/** The job NAME below `root`, which becomes $XDG_STATE_HOME; this process is its client, `python` the command of its workers. */
static inline void sample_job(const char *root, const char *name, const char *text, uint32_t chunks, char **python, ghee_job_folder *out) {
  setenv("XDG_STATE_HOME", root, 1);
  ghee_job_spec *spec = sample_spec(root, text);
  ghee_stream_key key;
  ghee_buffer json = {0};
  ghee_launch_facts facts = {.python = python, .module_folder = (char *)root};
  SAMPLE_OK(ghee_job_folder_open(name, true, out, err));
  SAMPLE_OK(ghee_stream_key_new(&key, err));
  SAMPLE_OK(ghee_job_folder_write_key(out->path, &key, err));
  SAMPLE_OK(ghee_job_folder_write_id(out->path, name, err));
  SAMPLE_OK(ghee_process_self(&facts.client, err));
  SAMPLE_OK(ghee_launch_facts_write(out->path, &facts, err));
  SAMPLE_OK(ghee_job_spec_encode(spec, &json, err));
  char *plan = ghee_job_folder_file(out->path, "plan"), *description = ghee_job_folder_file(out->path, "job.json");
  sample_write_plan(spec, chunks, plan);
  SAMPLE_OK(ghee_file_write_atomic(description, json.data, json.size, err));
  ghee_buffer_fini(&json);
  ghee_free(plan);
  ghee_free(description);
  ghee_job_spec_free(spec);
}

static inline ghee_ledger *sample_ledger(const char *folder) {
  char *path = ghee_job_folder_file(folder, "ledger.db");
  ghee_ledger *ledger = NULL;
  SAMPLE_OK(ghee_ledger_open(path, &ledger, err));
  ghee_free(path);
  return ledger;
}

static inline ghee_job_state sample_state(const char *folder) {
  ghee_ledger *ledger = sample_ledger(folder);
  ghee_job_state state = GHEE_JOB_RUNNING;
  SAMPLE_OK(ghee_ledger_state(ledger, &state, NULL, NULL, err));
  ghee_ledger_close(ledger);
  return state;
}

#endif
