# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3
"""Jobs: check, explain, run, resume, cancel, status, logs, verify."""
from cpython.exc cimport PyErr_CheckSignals
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from ghee._core.c cimport *
from ghee.errors import raise_status

PHASES = ("planning", "starting", "running", "publishing", "done", "failed", "canceled")


cdef check(ghee_status status, ghee_error *err):
    if status:
        raise_status(status, err.message.decode("utf-8", "replace"))


cdef take(char *text):
    try:
        return text.decode("utf-8", "replace")
    finally:
        ghee_text_free(text)


cdef optional(const char *text):
    return text.decode("utf-8", "replace") if text != NULL else None


cdef snapshot(const ghee_job_progress *p):
    """A progress report as a dict."""
    stages = [{"name": (<const char *>p.stages[k].name).decode(), "workers": p.stages[k].workers, "alive": p.stages[k].alive, "batches": p.stages[k].batches,
               "rows_in": p.stages[k].rows_in, "rows_out": p.stages[k].rows_out, "busy": p.stages[k].busy, "starved": p.stages[k].starved,
               "blocked": p.stages[k].blocked, "deaths": p.stages[k].deaths} for k in range(p.n_stages)]
    return {"phase": PHASES[p.phase], "seconds": p.seconds, "first_batch_seconds": p.first_batch_seconds, "left_seconds": p.left_seconds,
            "fraction": p.fraction, "rows_in": p.rows_in, "rows_out": p.rows_out, "rows_total": p.rows_total,
            "rows_per_second": p.rows_per_second, "epoch": p.epoch, "epochs": p.epochs, "step": p.step, "rejected": p.rejected,
            "lag": p.lag if p.lag >= 0 else None, "round": p.round,
            "stages": stages, "verdict": (<const char *>p.verdict).decode("utf-8", "replace")}


cdef class Hooks:
    """What run calls back: on_progress(report as a dict, columns -> the report in words), on_line(text). An exception in one of them, KeyboardInterrupt too, stops the job and is raised at its end."""
    cdef object on_progress, on_line, raised, host
    cdef int stops
    cdef ghee_job_progress last

    def __init__(self, on_progress, on_line, host=None):
        self.on_progress, self.on_line, self.host = on_progress, on_line, host

    def stop(self, exception):
        """Stops the job, which then ends with `exception`. Thread: any."""
        self.raised = exception
        self.stops += 1

    def text(self, unsigned columns):
        """The last report in words: lines of at most `columns` characters, or one line for 0."""
        cdef char *out = NULL
        cdef ghee_error err
        check(ghee_job_progress_text(&self.last, columns, &out, &err), &err)
        return take(out)

    cdef ghee_job_hooks table(self):
        cdef ghee_job_hooks hooks
        hooks.progress = hook_progress
        hooks.line = hook_line
        hooks.interrupted = hook_interrupted
        hooks.user = <void *>self
        return hooks


cdef void hook_progress(void *user, const ghee_job_progress *progress) noexcept with gil:
    cdef Hooks hooks = <Hooks>user
    try:
        hooks.last = progress[0]
        hooks.on_progress(snapshot(progress), hooks.text)
    except BaseException as e:
        hooks.stop(e)


cdef void hook_line(void *user, const char *line) noexcept with gil:
    cdef Hooks hooks = <Hooks>user
    try:
        hooks.on_line(line.decode("utf-8", "replace"))
    except BaseException as e:
        hooks.stop(e)


cdef int hook_interrupted(void *user) noexcept with gil:
    cdef Hooks hooks = <Hooks>user
    try:
        PyErr_CheckSignals()
    except BaseException as e:
        hooks.stop(e)
    return min(hooks.stops, 2)


cdef void host_start(void *user, const char *folder, const char *const *stages) noexcept with gil:
    cdef Hooks hooks = <Hooks>user
    cdef list names = []
    try:
        while stages[len(names)] != NULL:
            names.append(stages[len(names)].decode())
        hooks.host.start(folder.decode(), names)
    except BaseException as e:
        hooks.stop(e)


cdef void host_stop(void *user) noexcept with gil:
    cdef Hooks hooks = <Hooks>user
    try:
        hooks.host.stop()
    except BaseException as e:
        hooks.raised = e


cdef class Texts:
    """Bytes that stay while C borrows them."""
    cdef ghee_job_source source
    cdef object keep

    def __init__(self, str text, name, folder):
        cdef bytes raw = text.encode(), called = (name or "-").encode(), at = folder.encode() if folder else b""
        self.keep = (raw, called, at)
        self.source.text = raw
        self.source.size_bytes = len(raw)
        self.source.name = called
        self.source.folder = NULL
        if folder:
            self.source.folder = at


def check_text(text, name=None, folder=None):
    """Canonical JSON of a description."""
    cdef Texts texts = Texts(text, name, folder)
    cdef char *out = NULL
    cdef ghee_error err
    check(ghee_job_check(&texts.source, &out, &err), &err)
    return take(out)


def explain_text(text, name=None, folder=None, json=False):
    cdef Texts texts = Texts(text, name, folder)
    cdef char *out = NULL
    cdef ghee_error err
    cdef ghee_status status
    cdef bint as_json = json
    with nogil:
        status = ghee_job_explain(&texts.source, as_json, &out, &err)
    check(status, &err)
    return take(out)


cdef words(const ghee_job_result *result, bint json):
    cdef char *out = NULL
    cdef ghee_error err
    check(ghee_job_result_text(result, json, &out, &err), &err)
    return take(out)


cdef finish(ghee_status status, ghee_job_result *result, Hooks hooks, ghee_error *err):
    try:
        if hooks.raised is not None:
            raise hooks.raised
        check(status, err)
        return {"name": optional(result.name), "folder": optional(result.folder), "output_uri": optional(result.output_uri),
                "value_path": optional(result.value_path), "progress": snapshot(&result.progress), "words": words(result, False),
                "json": words(result, True)}
    finally:
        ghee_job_result_fini(result)


def run_text(text, name, folder, code, python, limit, on_progress, on_line, source_name=None, host=None):
    """Runs a job to its end. code: {name: bytes}; python: command line of a Python that has ghee; host: see ghee.inline."""
    cdef Texts texts = Texts(text, source_name, folder)
    cdef Hooks hooks = Hooks(on_progress, on_line, host)
    cdef ghee_job_host threads
    cdef ghee_job_options options
    cdef ghee_job_result result
    cdef ghee_error err
    cdef ghee_status status
    cdef ghee_job_code *files = <ghee_job_code *>calloc(len(code) + 1, sizeof(ghee_job_code))
    cdef const char **command = <const char **>calloc(len(python) + 1, sizeof(char *))
    cdef bytes raw, called = name.encode() if name else b""
    memset(&options, 0, sizeof(options))
    memset(&result, 0, sizeof(result))
    keep = [(k.encode(), v) for k, v in code.items()], [p.encode() for p in python]
    try:
        if files == NULL or command == NULL:
            raise MemoryError()
        for k, (n, data) in enumerate(keep[0]):
            raw = n
            files[k].name = raw
            raw = data
            files[k].data = <const char *>raw
            files[k].size_bytes = len(raw)
        for k, part in enumerate(keep[1]):
            raw = part
            command[k] = raw
        options.source = texts.source
        if name:
            options.name = called
        options.code = files
        options.n_code = len(code)
        options.python = command
        options.limit_rows = limit
        options.hooks = hooks.table()
        if host is not None:
            host.hooks = hooks
            threads.start, threads.stop, threads.user = host_start, host_stop, <void *>hooks
            options.host = &threads
        with nogil:
            status = ghee_job_run(&options, &result, &err)
        return finish(status, &result, hooks, &err)
    finally:
        free(files)
        free(command)


def resume(name, on_progress, on_line):
    cdef Hooks hooks = Hooks(on_progress, on_line)
    cdef ghee_job_hooks table = hooks.table()
    cdef ghee_job_result result
    cdef ghee_error err
    cdef ghee_status status
    cdef bytes called = name.encode()
    cdef const char *c_name = called
    memset(&result, 0, sizeof(result))
    with nogil:
        status = ghee_job_resume(c_name, &table, &result, &err)
    return finish(status, &result, hooks, &err)


def cancel(name):
    cdef ghee_error err
    check(ghee_job_cancel(name.encode(), &err), &err)


def status(name=None, json=False):
    """State of one job, or of all: lines for people, or JSON."""
    cdef char *out = NULL
    cdef ghee_error err
    cdef bytes called = name.encode() if name else b""
    cdef const char *which = NULL
    if name:
        which = called
    check(ghee_job_status(which, json, &out, &err), &err)
    return take(out)


def logs(name, stage=None, lines=100):
    cdef char *out = NULL
    cdef ghee_error err
    cdef bytes called = stage.encode() if stage else b""
    cdef const char *which = NULL
    if stage:
        which = called
    check(ghee_job_logs(name.encode(), which, lines, &out, &err), &err)
    return take(out)


def verify(uri, json=False):
    cdef char *out = NULL
    cdef ghee_error err
    check(ghee_output_verify(uri.encode(), json, &out, &err), &err)
    return take(out)
