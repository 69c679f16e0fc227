/* SPDX-License-Identifier: Apache-2.0
 * ghee-worker: hosts user functions from shared objects (ghee/udf.h), and the function that passes rows on as they are. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ghee/udf.h"
#include "runtime/worker/worker.h"

typedef struct native {
  ghee_udf_context context;        /* first: `reject` and `alloc` get a pointer to it */
  ghee_worker *worker;
  void *library;
  ghee_udf_call call;
  ghee_udf_close close;
  GHEE_ARRAY(void *) memory;       /* of the output batch, freed after the call's batch was passed on */
} native;

static ghee_status reject(ghee_udf_context *context, const int64_t *rows, size_t n, const char *reason) {
  ghee_error err;
  ghee_status status = ghee_worker_reject(((native *)context)->worker, rows, n, reason, &err);
  if (status != GHEE_OK) fprintf(stderr, "%s\n", err.message);
  return status;
}

static void *alloc(ghee_udf_context *context, size_t size_bytes) {
  native *host = (native *)context;
  void *memory = ghee_alloc_aligned(size_bytes);
  if (memory && !ghee_array_push(&host->memory, memory)) {
    ghee_free_aligned(memory);
    return NULL;
  }
  return memory;
}

/* A function may fill the message alone, or nothing. */
static ghee_status complete_failure(ghee_status given, ghee_status as, ghee_error *err) {
  if (err && !err->message[0]) ghee_error_set(err, as, "the function returned status %d (%s) without a message", given, ghee_status_name(given));
  if (err) err->status = as;
  return as;
}

static ghee_status call(void *user, ghee_worker *worker, ghee_worker_batch *in, struct ArrowSchema *out_schema, struct ArrowArray *out,
                        ghee_error *err) {
  (void)worker;
  native *host = user;
  for (size_t i = 0; i < host->memory.count; i++) ghee_free_aligned(host->memory.items[i]);
  host->memory.count = 0;
  if (err) err->message[0] = 0;
  ghee_status status = host->call(&host->context, in->schema, in->array, out_schema, out, err);
  return status == GHEE_OK ? GHEE_OK : complete_failure(status, GHEE_USER, err);
}

static ghee_status load(native *host, ghee_error *err) {
  ghee_worker *worker = host->worker;
  const char *run = ghee_worker_run_text(worker), *colon = strrchr(run, ':');
  if (!*run) return GHEE_OK;
  char *path = colon ? ghee_strndup(run, (size_t)(colon - run)) : NULL, *name = NULL;
  if (!path) return ghee_error_set(err, GHEE_INVALID, "run: %s is not LIBRARY.so:FUNCTION", run);
  ghee_status status = GHEE_OK;
  host->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!host->library) status = ghee_error_set(err, GHEE_NOT_FOUND, "cannot load %s: %s", path, dlerror());
  if (status == GHEE_OK) {
    host->call = (ghee_udf_call)dlsym(host->library, colon + 1);
    if (!host->call) status = ghee_error_set(err, GHEE_NOT_FOUND, "%s has no function %s: export it with GHEE_UDF", path, colon + 1);
  }
  if (status == GHEE_OK && (name = ghee_asprintf("%s_close", colon + 1))) host->close = (ghee_udf_close)dlsym(host->library, name);
  ghee_free(name);
  ghee_free(path);
  return status;
}

static ghee_status open_function(native *host, ghee_error *err) {
  ghee_worker *worker = host->worker;
  host->context = (ghee_udf_context){.abi = GHEE_UDF_ABI, .worker = ghee_worker_index(worker), .workers = ghee_worker_count(worker),
                                     .stage = worker->of->name, .params_json = ghee_worker_args_json(worker), .reject = reject, .alloc = alloc};
  if (!host->library) return GHEE_OK;
  const char *colon = strrchr(ghee_worker_run_text(worker), ':');
  char *name = ghee_asprintf("%s_open", colon + 1);
  if (!name) return ghee_error_no_memory(err, "loading a function");
  ghee_udf_open open = (ghee_udf_open)dlsym(host->library, name);
  ghee_free(name);
  if (!open) return GHEE_OK;
  if (err) err->message[0] = 0;
  ghee_status status = open(&host->context, err);
  return status == GHEE_OK ? GHEE_OK : complete_failure(status, status, err);
}

static ghee_status host_worker(native *host, ghee_error *err) {
  ghee_status status = open_function(host, err);
  if (status != GHEE_OK) {
    (void)ghee_worker_report(host->worker, err, NULL);
    return status;
  }
  ghee_worker_ops ops = {.call = host->library ? call : NULL};
  status = ghee_worker_run(host->worker, &ops, host, err);
  if (host->close) host->close(&host->context);
  return status;
}

static int usage(void) {
  fprintf(stderr, "usage: ghee-worker --job FOLDER --stage NAME (--worker=INDEX | --fork-server)\n"
                  "Started by ghee for stages whose function is native. Runs until the job is over.\n");
  return GHEE_USAGE;
}

int ghee_worker_main(int argc, char **argv) {
  const char *folder = NULL, *stage = NULL, *index = NULL;
  bool server = false;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--job") == 0 && i + 1 < argc) folder = argv[++i];
    else if (strcmp(argv[i], "--stage") == 0 && i + 1 < argc) stage = argv[++i];
    else if (strncmp(argv[i], "--worker=", 9) == 0) index = argv[i] + 9;
    else if (strcmp(argv[i], "--fork-server") == 0) server = true;
    else return usage();
  }
  if (!folder || !stage || (!index && !server)) return usage();
  ghee_error err;
  native host = {0};
  bool child = true;
  ghee_status status = ghee_worker_open(folder, stage, &host.worker, &err);
  if (status == GHEE_OK) {
    status = load(&host, &err);
    if (status != GHEE_OK) (void)ghee_worker_report(host.worker, &err, NULL);
  }
  if (status == GHEE_OK) status = server ? ghee_worker_fork_server(host.worker, &child, &err) : ghee_worker_set_index(host.worker, (uint32_t)strtoul(index, NULL, 10), &err);
  if (status == GHEE_OK && child) status = host_worker(&host, &err);
  if (status != GHEE_OK) fprintf(stderr, "%s\n", err.message);
  ghee_worker_exit(host.worker, status);
  return status;
}
