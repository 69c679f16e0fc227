# SPDX-License-Identifier: Apache-2.0
"""Jobs as Python objects: what goes in, what comes out, the functions between, and where they run."""
import dataclasses
import datetime
import inspect
import json
import os
import pickle
import sys
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple, Union

from ghee.errors import InvalidError, UnsupportedError


Uri = Union[str, "os.PathLike[str]"]
Size = Union[str, int]  # "256MiB", "2Gi", or bytes
Progress = Union[bool, None, Callable[[Dict[str, Any]], Any]]


@dataclasses.dataclass
class Shuffle:
    """Seeded shuffle: row groups permuted, `window` of them at a time, rows permuted inside; another order each epoch. The same seed, plan
    and number of ranks give the same batches.

    seed    any whole number
    window  row groups that are mixed at a time, 8 by itself; less where the stage's `buffer` does not hold them (`explain()` shows it)
    """

    seed: int = 0
    window: Optional[int] = None


@dataclasses.dataclass
class Input:
    """What is read.

    uri        a file, a folder, or a list of them: text or pathlib paths; or topics ("kafka://host:9092/topic")
    columns    names of the columns to read, in this order; all by itself
    filter     only rows that fulfil it: "rating >= 4 and country in ('de', 'fr') and not (age is null)"
    format     parquet, csv, jsonl, ipc, orc; told by the files' names by itself. Of topics: bytes (by itself), json, ipc
    shuffle    a `Shuffle`, or True for `Shuffle()`
    epochs     how often all of it is read (train)
    delimiter, header, null: of CSV; "," , True, ""
    hive_partitions  folders "name=value" are columns; True by itself
    options    settings of the storage; secrets as "${NAME}", which is taken from the environment
    from_, to  of a topic: "earliest", "latest", "now", a datetime, or offsets by partition ({0: 17}); `to` "never" follows it
    every      with to="never": {"seconds": 10, "rows": 1000000, "bytes": "256MiB"}, when what has come is read
    metadata   formats json and ipc: what of each record becomes a column besides those of its value (key, headers, partition, offset,
               timestamp), its name behind metadata_prefix

    All files have the same columns and types. Errors: NotFoundError (no such file or column, no files), DeniedError, CorruptError, SchemaError."""

    uri: Union[Uri, Sequence[Uri]]
    columns: Optional[Sequence[str]] = None
    format: Optional[str] = None
    shuffle: Union[Shuffle, bool, None] = None
    epochs: int = 1
    delimiter: Optional[str] = None
    header: Optional[bool] = None
    null: Optional[str] = None
    options: Optional[Mapping[str, Any]] = None
    from_: Union[str, int, datetime.datetime, Mapping[int, int], None] = None
    to: Union[str, int, datetime.datetime, Mapping[int, int], None] = None
    every: Optional[Mapping[str, Any]] = None
    metadata: Optional[Sequence[str]] = None
    metadata_prefix: Optional[str] = None
    filter: Optional[str] = None
    hive_partitions: Optional[bool] = None


@dataclasses.dataclass
class Output:
    """Where results go: a folder that appears whole, with a manifest and `_SUCCESS`, or not at all.

    uri               the folder: text or a pathlib path
    format            parquet (by itself), csv, jsonl, ipc
    codec             of Parquet and IPC: zstd, snappy, lz4, none, …
    target_file_size  "256MiB", or bytes: files are about so large
    row_group_rows    rows of a row group of Parquet
    mode              "error": the folder must not be there (ExistsError); "overwrite"; "append"; "overwrite_partitions": of an output that is
                      there only the partitions are replaced that get rows
    partition_by      columns that become folders, `country=de/day=2024-02-29/…`, and are not in the files; as Hive and Spark have it
    sort_by           columns by which the rows of each file are in order, "-column" for a falling one; nulls last
    options           settings of the storage, as those of an Input

    Or a topic ("kafka://host:9092/topic"), which gets each row exactly once. For it are:

    format            json (by itself): each row is a record, an object of JSON; ipc: each batch is one, a stream of Arrow IPC
    key               the column that is also the record's key: text, bytes or whole numbers
    partition         the column of the partition's number; null, and without it the key chooses as Java's client does
    headers           columns that become headers of their names
    """

    uri: Uri
    format: Optional[str] = None
    codec: Optional[str] = None
    target_file_size: Optional[Size] = None
    row_group_rows: Optional[int] = None
    mode: Optional[str] = None
    options: Optional[Mapping[str, Any]] = None
    key: Optional[str] = None
    partition: Optional[str] = None
    headers: Optional[Sequence[str]] = None
    partition_by: Optional[Sequence[str]] = None
    sort_by: Optional[Sequence[str]] = None


@dataclasses.dataclass
class Stage:
    """A user function with its workers and environment.

    function    `f(batch)`, `f(batch, ctx)`, or a class, made once a worker with `__init__()` or `__init__(ctx)` and then called; for train
                `f(batches, ctx)`. Or text: "package.module:name", "library.so:name" (native, ghee/udf.h).
    workers     how many processes; 1 by itself
    args        a mapping that the function finds in `ctx.params`
    batch_size  rows of a batch, fewer only at the end of a chunk; for train of a step, fewer only at the end of an epoch
    timeout     seconds, or text like "30s", that one call may take: then TimeLimitError
    rows        "same": the function must return as many rows as it got
    form        what a batch is: "numpy" (by itself), "arrow", "pandas", "rows", "torch" (by itself for train); as the decorators ghee.arrow … say
    cpu, memory, gpu, image, env: the environment of a worker; `memory` ("2Gi") is also its limit: beyond it LimitError
    buffer      bytes of ghee's own batches in one worker, "64MiB" by itself

    A batch in NumPy form is a dict from column name to array of shape (rows,), or (rows, …) for tensors of fixed shape; arrays are read-only.
    Columns with nulls are masked arrays; text, bytes, decimals, lists and structs are object arrays with None; timestamps are datetime64 in UTC,
    dates datetime64[D], times of day and durations timedelta64.

    The function returns a dict of columns of one length, a `pyarrow.RecordBatch` or Table, a DataFrame, or a list of dicts; None is no rows. The
    first batch fixes names and types: lossless casts pass, anything else is a SchemaError. What it raises stops the job with UserError."""

    function: Union[Callable[..., Any], str, type, None] = None
    workers: Optional[int] = None
    args: Optional[Mapping[str, Any]] = None
    batch_size: Optional[int] = None
    timeout: Union[str, float, None] = None
    rows: Optional[str] = None
    form: Optional[str] = None
    cpu: Optional[float] = None
    memory: Optional[Size] = None
    gpu: Optional[int] = None
    image: Optional[str] = None
    env: Optional[Mapping[str, str]] = None
    buffer: Optional[Size] = None


Function = Union[Stage, Callable[..., Any], str, type]


@dataclasses.dataclass
class Result:
    """What a job has done.

    name      of the job
    value     what train returned on rank 0; None for jobs with an output
    output    URI of the output; None for train
    progress  the last report: rows_in, rows_out, rejected, step, seconds, first_batch_seconds, verdict, stages (busy, starved and blocked shares)
    """

    name: Optional[str]
    value: Any
    output: Optional[str]
    progress: Mapping[str, Any]


def _plain(fields):
    return {k: v for k, v in fields.items() if v is not None}


def _path(uri):
    return os.fspath(uri)


def _bound(value):
    """Where a topic is read from or to, as the description has it."""
    if isinstance(value, datetime.datetime):
        return int(value.timestamp() * 1000)
    return {str(k): v for k, v in value.items()} if isinstance(value, Mapping) else value


def _module_path():
    """Where the functions' modules are found here, for the workers."""
    return [os.path.abspath(p or os.getcwd()) for p in sys.path if not p or os.path.isdir(p)]


class _Task:
    def __init__(self, input: Union[Input, Uri, Sequence[Uri]], preprocess: Optional[Function] = None, train: Optional[Function] = None,
                 predict: Optional[Function] = None, postprocess: Optional[Function] = None, output: Union[Output, Uri, None] = None, *,
                 name: Optional[str] = None, order: Optional[str] = None, on_reject: Optional[str] = None, dead_letter: Optional[Uri] = None,
                 max_crashes: Optional[int] = None, buffer: Optional[Size] = None, transport: Optional[str] = None) -> None:
        self.input = input if isinstance(input, Input) else Input(input)
        self.output = output if output is None or isinstance(output, Output) else Output(output)
        self.stages = {k: v if isinstance(v, Stage) else Stage(v) for k, v in
                       {"preprocess": preprocess, "train": train, "predict": predict, "postprocess": postprocess}.items() if v is not None}
        self.name = name
        self._rest = _plain({"order": order, "on_reject": on_reject, "dead_letter": dead_letter and _path(dead_letter),
                             "max_crashes": max_crashes, "buffer": buffer, "transport": transport})

    def description(self) -> Tuple[Dict[str, Any], Dict[str, bytes]]:
        """(description as a dict, code to ship as {file: bytes})."""
        uris = self.input.uri
        uris = [_path(uris)] if isinstance(uris, (str, os.PathLike)) else [_path(u) for u in uris]
        shuffle = Shuffle() if self.input.shuffle is True else self.input.shuffle or None
        described = {"input": _plain({"uri": uris, "columns": list(self.input.columns) if self.input.columns else None,
                                      "filter": self.input.filter, "format": self.input.format,
                                      "shuffle": shuffle and _plain(dataclasses.asdict(shuffle)), "epochs": self.input.epochs,
                                      "delimiter": self.input.delimiter, "header": self.input.header, "null": self.input.null,
                                      "hive_partitions": self.input.hive_partitions,
                                      "options": self.input.options and dict(self.input.options), "from": _bound(self.input.from_),
                                      "to": _bound(self.input.to), "every": self.input.every and dict(self.input.every),
                                      "metadata": list(self.input.metadata) if self.input.metadata else None,
                                      "metadata_prefix": self.input.metadata_prefix})}
        code = {}
        for kind, stage in self.stages.items():
            described[kind] = self._stage(kind, stage, code)
        if self.output:
            fields = dataclasses.asdict(self.output)
            described["output"] = _plain({**fields, "uri": _path(self.output.uri)})
        return {**_plain({"name": self.name}), **described, **self._rest}, code

    def _stage(self, kind, stage, code):
        function = stage.function
        fields = _plain({"workers": stage.workers, "batch_size": stage.batch_size, "timeout": stage.timeout, "rows": stage.rows, "cpu": stage.cpu,
                         "memory": stage.memory, "gpu": stage.gpu, "image": stage.image, "env": stage.env and dict(stage.env), "buffer": stage.buffer,
                         "as": stage.form or getattr(function, "__ghee_form__", None)})
        if function is None or isinstance(function, str):
            return {**_plain({"run": function, "args": stage.args and dict(stage.args)}), **fields}
        if not callable(function):
            raise InvalidError(f"{kind}: {type(function).__name__} is not a function, a class, or text like 'module:function'")
        import cloudpickle

        try:
            pickled = cloudpickle.dumps(function)
        except Exception as e:
            raise InvalidError(f"{kind}: {getattr(function, '__name__', function)!r} cannot be shipped to the workers: {e}. "
                               "Open files, locks and connections inside the function, or in the __init__ of a class") from e
        code[f"{kind}.pkl"] = pickle.dumps({"function": pickled, "params": dict(stage.args or {}), "path": _module_path()})
        return {"run": f"code:{kind}.pkl", **fields}

    def _text(self):
        described, code = self.description()
        try:
            return json.dumps(described), code
        except TypeError as e:
            raise InvalidError(f"the description holds something that is not text, number, list or map: {e}") from e

    def check(self) -> Dict[str, Any]:
        """Checks the description (not the input); returns it with every default filled in. Errors: InvalidError."""
        from ghee._core import job

        return json.loads(job.check_text(self._text()[0]))

    def explain(self, json: bool = False) -> str:
        """What would be done: stages, splits, chunks, memory of each process; as text for people, or JSON. Starts nothing."""
        from ghee._core import job

        return job.explain_text(self._text()[0], json=json)


class LocalTask(_Task):
    """A job on this machine: input → preprocess → train, or input → preprocess → predict → postprocess → output; each stage but one may be missing.

    input        an `Input`, or its URI              output    an `Output`, or its URI; not for train
    preprocess, train, predict, postprocess          a `Stage`, or just its function
    name         the job can be resumed, and watched by `ghee status NAME`; without one nothing of it stays
    order        "planned" (by itself for train: the same batches in the same order each time) or "any"
    on_reject    what `ctx.reject` does: "stop", or "divert" to the output `dead_letter`
    max_crashes  deaths of a worker inside one batch that stop the job; 5 by itself, 0: no limit
    buffer       bytes of ghee's batches in each worker, "64MiB" by itself
    transport    "shm" (by itself) or "zmq"

    >>> task = ghee.task.LocalTask(input="data/ratings", preprocess=ghee.Stage(clean, workers=4), output="out")
    >>> task.run()
    """

    def run(self, progress: Progress = None, limit: Optional[int] = None, inline: bool = False) -> Result:
        """Runs to the end. progress: True, False, None for "if somebody watches", or a function that gets each report (a dict, about five
        times a second). limit: only the first splits are read, up to the one with this row.

        inline: for a debugger, the functions are called in this process, on this thread, one call at a time; each stage has one worker, and
        neither `timeout`, `memory` nor `env`. What a function raises is the cause of the error. Native functions run as ever.

        Raises what went wrong as a `ghee.GheeError`; on Ctrl-C stops all workers and raises KeyboardInterrupt. A named job that
        failed or was stopped goes on with `resume()`."""
        from ghee import display
        from ghee._core import job

        text, code = self._text()
        with display.of(False if inline and progress is None else progress) as watch:
            args = text, self.name, os.getcwd(), code, [sys.executable], limit or 0, watch.progress, watch.line
            if not inline:
                return _result(job.run_text(*args))
            from ghee.inline import Host

            functions = {kind: (stage.function, dict(stage.args or {})) for kind, stage in self.stages.items() if callable(stage.function)}
            return _result(Host(functions).run(*args))

    def resume(self, progress: Progress = None) -> Result:
        """Goes on with the unfinished job of this name. Errors: NotFoundError, BusyError (it runs), ChangedError (its input is not what it was)."""
        from ghee import display
        from ghee._core import job

        if not self.name:
            raise InvalidError("only a job with a name can be resumed: LocalTask(..., name='...')")
        with display.of(progress) as watch:
            return _result(job.resume(self.name, watch.progress, watch.line))


def _result(done):
    value = None
    if done["value_path"]:
        from ghee.training import load_value

        value = load_value(done["value_path"])
        os.unlink(done["value_path"])
    return Result(done["name"], value, done["output_uri"], done["progress"])


class KubeMPITask(_Task):
    """The same job on Kubernetes, with the arguments of LocalTask."""

    def run(self, progress: Progress = None, limit: Optional[int] = None) -> Result:
        """Raises UnsupportedError: Kubernetes is not in this build."""
        raise UnsupportedError("KubeMPITask: Kubernetes is not in this build; LocalTask takes the same arguments")
