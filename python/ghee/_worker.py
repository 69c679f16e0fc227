# SPDX-License-Identifier: Apache-2.0
"""A worker process for Python functions: `python -m ghee._worker --job FOLDER --stage NAME (--worker=N | --fork-server)`.

Loads the stage's function once (a fork server does it for all workers), then hands it batches until the job is over."""
import gc
import importlib
import inspect
import json
import os
import sys
import traceback

from ghee._core.worker import Worker
from ghee.errors import GheeError, NotFoundError, UserError


def describe(kind, error, tb):
    """Status and message of an exception: what was raised first, then the user's part of the traceback."""
    if isinstance(error, GheeError):
        return error.status, str(error)
    frames = traceback.extract_tb(tb)
    own = os.path.dirname(os.path.abspath(__file__))
    theirs = [f for f in frames if os.path.dirname(os.path.abspath(f.filename)) != own and "_core" not in f.filename] or frames
    head = "".join(traceback.format_exception_only(kind, error)).strip()
    return UserError.status, head + "\n" + "Traceback of the function:\n" + "".join(traceback.format_list(theirs)).rstrip()


def load(worker):
    """The user's function or class of this stage."""
    sys.path[:0] = [p for p in [worker.folder] if p and p not in sys.path]
    if worker.code_path:
        import pickle

        import cloudpickle  # noqa: F401  functions of __main__ and notebooks need it

        with open(worker.code_path, "rb") as f:
            shipped = pickle.load(f)
        sys.path[:0] = [p for p in shipped["path"] if p not in sys.path]
        return pickle.loads(shipped["function"]), shipped["params"]
    module, _, name = worker.run_text.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as e:
        if e.name != module.partition(".")[0]:
            raise
        raise NotFoundError(f"run: {worker.run_text}: there is no module {module} (looked in {worker.folder} and the Python path)") from None
    for part in name.split("."):
        if not hasattr(found, part):
            raise NotFoundError(f"run: {worker.run_text}: {module} has no {name}")
        found = getattr(found, part)
    return found, json.loads(worker.args_json)


def wants_context(function):
    """True where the function takes a context behind the batch."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) >= 2 and positional[1].default is inspect.Parameter.empty or any(p.name == "ctx" for p in positional[1:])


def construct(function, context):
    """A class is made once a worker, with the context if its __init__ takes one."""
    if not inspect.isclass(function):
        return function
    takes = [p for p in inspect.signature(function).parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return function(context) if takes else function()


def bind(worker, function, context):
    """What the C side calls with the arrays of one batch: the columns that come out, and those that went in (for what is handed through)."""
    from ghee import forms

    function = construct(function, context)
    open_batch, close_batch = forms.of(worker.form)
    extra = (context,) if wants_context(function) else ()

    def call(arrays):
        batch = open_batch(arrays)
        given = dict(batch) if worker.form == "numpy" else {}
        return close_batch(function(batch, *extra), arrays), given

    return call


def main(argv):
    options = dict(zip(argv[0::2], argv[1::2])) if "--fork-server" not in argv else dict(zip(argv[:-1][0::2], argv[:-1][1::2]))
    index = next((a.partition("=")[2] for a in argv if a.startswith("--worker=")), None)
    worker = Worker(options["--job"], options["--stage"])
    worker.describe = describe
    try:
        function, params = load(worker)
        if worker.role == "train":
            from ghee import training
        else:
            import ghee.forms  # noqa: F401  so that forked workers share it
    except BaseException:
        status, message = describe(*sys.exc_info())
        worker.report(status, f"{options['--stage']} cannot be loaded: {message}")
        worker.exit(status)
    if index is None:
        gc.collect()
        gc.freeze()  # what is imported now is not touched by the collector, and so stays shared
        if not worker.fork_server():
            worker.exit(0)
    else:
        worker.set_index(int(index))
    try:
        from ghee.context import Context

        if worker.role == "train":
            worker.train_function = training.bind(worker, function, params)
        else:
            worker.function = bind(worker, function, Context(worker, params))
    except BaseException:
        status, message = describe(*sys.exc_info())
        worker.report(status, f"{options['--stage']} cannot be made: {message}")
        worker.exit(status)
    status = worker.run()
    sys.stdout.flush()
    sys.stderr.flush()
    worker.exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
