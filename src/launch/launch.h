/* SPDX-License-Identifier: Apache-2.0
 * Contract: making and removing workers. `local`: one fork server for each stage whose workers can share its imports, or a
 * process of its own for each worker. `kube` will be the other backend.
 *
 * Design notes (local)
 * - A fork server is a program (Python or ghee-worker) that loads the stage's function once and then calls ghee_fork_server_run:
 *   it forks on request and returns in the child. It reports each pid and each end of a child. Its workers die with it
 *   (PR_SET_PDEATHSIG); it dies with the client (pidfd).
 * - What is started does nothing before it stands in the list of processes (gate.h), so that no coordinator's death leaves a process
 *   that the next one does not know, and starts again beside it.
 * - After a death of the coordinator the fork servers live on and connect to the new one, naming their living workers. */
#ifndef GHEE_LAUNCH_LAUNCH_H
#define GHEE_LAUNCH_LAUNCH_H

#include "base/buffer.h"
#include "process/process.h"

typedef struct ghee_launcher ghee_launcher;

typedef struct ghee_launch_stage {
  const char *name;
  uint32_t workers;
  const char *const *argv;   /* the worker program; the launcher appends "--worker=INDEX" or "--fork-server" */
  const char *const *env;
  bool fork;                 /* through a fork server */
  bool hosted;               /* its workers are threads of the client: they are taken as started, and never killed */
  const char *log_folder;    /* STAGE-INDEX.log in it */
} ghee_launch_stage;

typedef struct ghee_launch_event {
  enum {
    GHEE_LAUNCH_STARTED,     /* id is valid */
    GHEE_LAUNCH_ENDED,       /* status as of waitpid, -1 unknown */
    GHEE_LAUNCH_FAILED       /* could not be started, or the fork server died before: message */
  } what;
  uint32_t stage, worker;
  ghee_process_id id;
  int status;
  const char *message;       /* borrows until the next call */
} ghee_launch_event;

struct ghee_launcher_ops {
  const char *name;
  /** `folder`: the job's, where the fork servers' socket and the list of processes lie. A list left by an earlier coordinator
   *  is taken up: its living workers come as STARTED events. stages are copied. */
  ghee_status (*open)(const char *folder, const uint8_t *secret, const ghee_launch_stage *stages, uint32_t n_stages,
                      ghee_launcher **out, ghee_error *err);
  int (*fd)(const ghee_launcher *launcher); /* readable when `next` has an event */
  ghee_status (*next)(ghee_launcher *launcher, ghee_launch_event *out, ghee_error *err); /* GHEE_AGAIN. Blocks: no. */
  ghee_status (*start)(ghee_launcher *launcher, uint32_t stage, uint32_t worker, ghee_error *err); /* an event follows */
  ghee_status (*kill)(ghee_launcher *launcher, uint32_t stage, uint32_t worker, int signal, ghee_error *err);
  /** True until what an earlier coordinator left has all been taken up or found dead. */
  bool (*recovering)(const ghee_launcher *launcher);
  /** Kills and reaps everything that is left. Blocks: briefly. */
  void (*close)(ghee_launcher *launcher);
};
struct ghee_launcher { const struct ghee_launcher_ops *ops; };

extern const struct ghee_launcher_ops ghee_launcher_local;

#endif
