# SPDX-License-Identifier: Apache-2.0
"""A job in the calling process, for a debugger: `LocalTask.run(inline=True)`, or `python -m ghee.inline job.yaml`.

The job is an ordinary one, with a coordinator and a worker a stage; but the workers of the Python stages are threads here, and what they
call of the user's runs on the thread that called `run`, one call at a time. So breakpoints, prints and plots work as in any program.

Design notes
- A worker's thread that has a batch puts a `Future` among the `calls` and waits; the caller's thread serves the calls until the job is over.
- train() is such a call itself, and a long one: while it waits for a batch, it serves the calls of the stages before it (`Served`)."""
import argparse
import concurrent.futures
import pathlib
import queue
import sys
import threading

from ghee import _worker, display
from ghee._core import job
from ghee._core.worker import Worker
from ghee.context import Context
from ghee.errors import CANCELED, GheeError, InternalError, NotFoundError, SystemIOError, UserError


class Host:
    """The workers of one job. functions: {stage: (function, params)}; of stages that are not there the worker loads the function."""

    def __init__(self, functions):
        self.functions = functions
        self.calls = queue.SimpleQueue()
        self.hooks = None  # of the job; set before start
        self.raised = None  # what a user's function raised
        self.workers, self.threads = [], []

    # ---- the caller's thread ----

    def run(self, *args):
        """`job.run_text` with these arguments; what a user's function raises is the cause of what this raises."""
        try:
            return self._apart(job.run_text, *args, None, self).result()
        except GheeError as e:
            raise e from self.raised

    def serve(self, future):
        """Runs calls until the future is done, and returns it."""
        future.add_done_callback(lambda _: self.calls.put(None))
        while not future.done():
            try:
                call = self.calls.get()
            except KeyboardInterrupt as e:
                self.hooks.stop(e)
                continue
            if call:
                self._answer(*call)
            call = None  # else it would hold its batch until the next comes
        return future

    def _answer(self, future, function, args):
        try:
            future.set_result(function(*args))
        except BaseException as e:
            self.raised = self.raised or e
            if not isinstance(e, Exception):
                self.hooks.stop(e)  # Ctrl-C, sys.exit
            future.set_exception(e)

    def _apart(self, function, *args):
        """Runs what blocks on a thread of its own, serving calls meanwhile."""
        future = concurrent.futures.Future()

        def work():
            try:
                future.set_result(function(*args))
            except BaseException as e:
                future.set_exception(e)

        threading.Thread(target=work, daemon=True).start()
        return self.serve(future)

    # ---- the client's thread ----

    def start(self, folder, stages):
        for stage in stages:
            try:
                self.workers.append(self.call(self._make, folder, stage))
            except GheeError:
                raise
            except Exception as e:
                raise UserError(f"{stage} cannot be made: {_worker.describe(type(e), e, e.__traceback__)[1]}") from e
        self.threads = [threading.Thread(target=self._work, args=(worker,), name=f"ghee-{stage}") for worker, stage in zip(self.workers, stages)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        for worker in self.workers:
            worker.end()
        for thread in self.threads:
            thread.join()

    # ---- the workers' threads ----

    def call(self, function, *args):
        """Has the caller's thread run a function."""
        future = concurrent.futures.Future()
        self.calls.put((future, function, args))
        return future.result()

    def _work(self, worker):
        if worker.run() not in (0, CANCELED) and self.raised is None:
            self.hooks.stop(InternalError(f"the worker of stage {worker.role} could not go on; what it said is above"))

    def _make(self, folder, stage):
        from ghee import training

        worker = Worker(folder, stage)
        worker.set_index(0)
        worker.describe = _worker.describe
        function, params = self.functions.get(stage) or _worker.load(worker)
        if worker.role == "train":
            train = training.bind(Served(worker, self), function, params)
            worker.train_function = lambda path: self.call(train, path)
        else:
            bound = _worker.bind(worker, function, Context(worker, params))
            worker.function = lambda arrays: self.call(bound, arrays)
        return worker


class Served:
    """A train worker whose waiting serves the calls of other stages."""

    WAITING = ("train_begin", "train_epoch", "train_next", "checkpoint_commit")

    def __init__(self, worker, host):
        self._worker, self._host = worker, host

    def __getattr__(self, name):
        attribute = getattr(self._worker, name)
        if name not in self.WAITING:
            return attribute
        return lambda *args: self._host._apart(attribute, *args).result()


def main(argv=None):
    p = argparse.ArgumentParser(prog="ghee run --inline", description="Runs a job in this process, one worker a stage, for a debugger.",
                                epilog="example: python -m pdb -m ghee.inline --limit 10000 job.yaml")
    p.add_argument("file", help="the description, YAML or JSON")
    p.add_argument("--name", help="instead of the description's")
    p.add_argument("--limit", type=int, default=0, metavar="ROWS", help="read only the first splits, up to the one with row ROWS (0: all)")
    p.add_argument("--json", action="store_true", help="the result as one JSON line")
    p.add_argument("--quiet", action="store_true", help="no progress")
    o = p.parse_args(argv)
    path = pathlib.Path(o.file)
    try:
        text = path.read_text()
        with display.of(not o.quiet) as watch:
            done = Host({}).run(text, o.name, str(path.parent), {}, [sys.executable], o.limit, watch.progress, watch.line)
    except GheeError as e:
        if sys.gettrace():
            raise  # into the debugger
        print(f"ghee: {e}", file=sys.stderr)
        return e.status
    except KeyboardInterrupt:
        return CANCELED
    except OSError as e:
        print(f"ghee: cannot open the description {path}: {e.strerror}", file=sys.stderr)
        return NotFoundError.status if isinstance(e, FileNotFoundError) else SystemIOError.status
    print(done["json" if o.json else "words"], end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
