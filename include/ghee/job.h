/* SPDX-License-Identifier: Apache-2.0
 * Jobs as their users see them: check, explain, run, resume, watch, cancel; and verify an output. The command line program
 * and the Python package stand on this header alone.
 *
 * A job lives in $XDG_STATE_HOME/ghee/jobs/NAME (default ~/.local/state): description, plan, code, ledger, logs. */
#ifndef GHEE_JOB_H
#define GHEE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghee/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A description: YAML or JSON. Everything borrows. */
typedef struct ghee_job_source {
  const char *text;
  size_t size_bytes;
  const char *name;    /* of the file, for messages; "-" for none */
  const char *folder;  /* relative paths start here; NULL: the working directory */
} ghee_job_source;

/** What goes with the description into the job's folder: pickled functions. Readable by workers only with the job's signature. */
typedef struct ghee_job_code {
  const char *name;    /* "preprocess.pkl": `run: "code:preprocess.pkl"` */
  const void *data;
  size_t size_bytes;
} ghee_job_code;

typedef enum ghee_job_phase {
  GHEE_PHASE_PLANNING, GHEE_PHASE_STARTING, GHEE_PHASE_RUNNING, GHEE_PHASE_PUBLISHING, GHEE_PHASE_DONE, GHEE_PHASE_FAILED, GHEE_PHASE_CANCELED
} ghee_job_phase;

enum { GHEE_JOB_STAGES = 3, GHEE_JOB_TEXT = 512 };

typedef struct ghee_stage_progress {
  char name[16];
  uint32_t workers, alive;
  uint64_t batches, rows_in, rows_out;
  double busy, starved, blocked;    /* shares of the workers' time since the start: in the function, without input, without room behind */
  uint64_t deaths;
} ghee_stage_progress;

typedef struct ghee_job_progress {
  ghee_job_phase phase;
  double seconds, first_batch_seconds, left_seconds;   /* since the start; until the last stage had its first batch (-1: not yet); -1 unknown */
  double fraction;                                     /* 0 … 1 */
  uint64_t rows_in, rows_out;                          /* read by the first stage; come out of the last, each counted once */
  int64_t rows_total;                                  /* of the input and all epochs, -1 unknown */
  double rows_per_second;                              /* over the last seconds */
  uint32_t epoch, epochs;
  uint64_t step;                                       /* train */
  uint64_t rejected;
  int64_t lag;                                         /* jobs without end: records of the topic that are in no output yet; -1 not known, or another job */
  uint32_t round;                                      /* jobs without end: rounds that are published */
  uint32_t n_stages;
  ghee_stage_progress stages[GHEE_JOB_STAGES];
  char verdict[GHEE_JOB_TEXT];                         /* who is slow, in one line; "" too early */
} ghee_job_progress;

typedef struct ghee_job_hooks {
  /** About five times a second, and at the end. May be NULL. */
  void (*progress)(void *user, const ghee_job_progress *progress);
  /** A line for the user (warnings; what workers print when `show_output`). May be NULL. */
  void (*line)(void *user, const char *line);
  /** Asked at least ten times a second: 0 go on, 1 stop and clean up (Ctrl-C), 2 leave at once. May be NULL. */
  int (*interrupted)(void *user);
  void *user;
} ghee_job_hooks;

/** Makes the calling process the workers of the Python stages, for a debugger: one worker a stage, without limits of time and memory. */
typedef struct ghee_job_host {
  /** The folder is ready: worker 0 of each of `stages` (NULL-terminated) is to run (ghee/worker.h), on threads of the host's. Returns at
   *  once; what the workers say reaches the coordinator as soon as it is there. */
  void (*start)(void *user, const char *folder, const char *const *stages);
  /** The job is over, or never began: returns when none of them runs any more (ghee_worker_end). */
  void (*stop)(void *user);
  void *user;
} ghee_job_host;

typedef struct ghee_job_options {
  ghee_job_source source;
  const char *name;              /* overrides the description's; NULL: as described, or made up and forgotten at the end */
  const ghee_job_code *code;
  size_t n_code;
  const char *const *python;     /* command of a Python that has ghee, NULL-terminated; NULL: $GHEE_PYTHON or python3 */
  int64_t limit_rows;            /* only the first parts of the input are read, up to the one with this row; 0: all */
  const ghee_job_host *host;     /* NULL: each worker is a process */
  ghee_job_hooks hooks;
} ghee_job_options;

typedef struct ghee_job_result {
  ghee_job_progress progress;    /* the last */
  char *name;
  char *folder;
  char *output_uri;              /* NULL for train */
  char *value_path;              /* train: file with what rank 0 returned; NULL if it returned nothing */
} ghee_job_result;
GHEE_API void ghee_job_result_fini(ghee_job_result *result);

/** Checks a description (not the input). `out_json` gives the canonical form: ghee_text_free; may be NULL. */
GHEE_API ghee_status ghee_job_check(const ghee_job_source *source, char **out_json, ghee_error *err);
/** Plans without starting anything; text for people, or JSON. `out` gives: ghee_text_free. */
GHEE_API ghee_status ghee_job_explain(const ghee_job_source *source, bool json, char **out, ghee_error *err);
/** Runs to the end. On failure or interruption the job's folder stays for `resume` (a made-up name's is removed); an interrupted
 *  job returns GHEE_CANCELED and all its processes are gone. GHEE_BUSY: a job of this name runs; GHEE_EXISTS: one of
 *  this name is unfinished (resume or cancel it), or the output is there.  Thread: any.  Blocks: yes. */
GHEE_API ghee_status ghee_job_run(const ghee_job_options *options, ghee_job_result *out, ghee_error *err);
/** Goes on with a job that was killed, failed or was interrupted. GHEE_NOT_FOUND, GHEE_BUSY, GHEE_CHANGED. */
GHEE_API ghee_status ghee_job_resume(const char *name, const ghee_job_hooks *hooks, ghee_job_result *out, ghee_error *err);
/** Stops it if it runs, removes what it staged and its folder. */
GHEE_API ghee_status ghee_job_cancel(const char *name, ghee_error *err);
/** State of one job, or of all (NULL): lines for people, or JSON. `out` gives: ghee_text_free. */
GHEE_API ghee_status ghee_job_status(const char *name, bool json, char **out, ghee_error *err);
/** A report in words. columns 0: one line, for logs. Otherwise lines of at most so many characters: how far it is (what matters least is
 *  left out where there is no room), then each stage, and who is slow. `out` gives: ghee_text_free. */
GHEE_API ghee_status ghee_job_progress_text(const ghee_job_progress *progress, unsigned columns, char **out, ghee_error *err);
/** A result in one or two lines of words, or as one of JSON. `out` gives: ghee_text_free. */
GHEE_API ghee_status ghee_job_result_text(const ghee_job_result *result, bool json, char **out, ghee_error *err);
/** The last `lines` lines of each worker's output, with "stage-index: " in front; `stage` NULL: all. out gives. */
GHEE_API ghee_status ghee_job_logs(const char *name, const char *stage, size_t lines, char **out, ghee_error *err);
/** Re-reads an output against its manifest. `out` gives a summary: ghee_text_free. GHEE_CORRUPT names what differs. */
GHEE_API ghee_status ghee_output_verify(const char *uri, bool json, char **out, ghee_error *err);

GHEE_API void ghee_text_free(char *text);

#ifdef __cplusplus
}
#endif
#endif
