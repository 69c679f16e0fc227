# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3
"""The Python host of user functions: hands batches over, catches what a function raises. Only the thread that called run enters Python."""
import sys
import weakref

from libc.stdint cimport int64_t, uint32_t
from libc.string cimport strlen

from ghee._core.batch cimport Arrays, arrays_take, from_columns, schema_capsule, to_capsules, to_numpy
from ghee._core.c cimport *
from ghee.errors import raise_status


cdef extern from "Python.h":
    void PyOS_AfterFork_Child()


cdef check(ghee_status status, ghee_error *err):
    if status:
        raise_status(status, err.message.decode("utf-8", "replace"))


cdef text(const char *value):
    return value.decode() if value != NULL else None


cdef class Worker:
    """One worker process, or the fork server of a stage.

    function(Arrays) -> (mapping of columns or None, columns as they went in), train_function(path), describe(exception) -> (status, text)
    are set by ghee._worker."""
    cdef ghee_worker *c
    cdef public object function, train_function, describe
    cdef object last  # weak reference to the last batch

    def __init__(self, folder, stage):
        cdef ghee_error err
        check(ghee_worker_open(folder.encode(), stage.encode(), &self.c, &err), &err)

    def __dealloc__(self):
        ghee_worker_close(self.c)

    run_text = property(lambda self: text(ghee_worker_run_text((<Worker>self).c)))
    code_path = property(lambda self: text(ghee_worker_code_path((<Worker>self).c)))
    args_json = property(lambda self: text(ghee_worker_args_json((<Worker>self).c)))
    form = property(lambda self: text(ghee_worker_form((<Worker>self).c)))
    role = property(lambda self: text(ghee_worker_role((<Worker>self).c)))
    folder = property(lambda self: text(ghee_worker_folder((<Worker>self).c)))
    count = property(lambda self: ghee_worker_count((<Worker>self).c))
    index = property(lambda self: ghee_worker_index((<Worker>self).c))
    batch_rows = property(lambda self: ghee_worker_batch_rows((<Worker>self).c))

    def fork_server(self):
        """True in a new worker, False where the server is to end."""
        cdef ghee_error err
        cdef c_bool child = False
        check(ghee_worker_fork_server(self.c, &child, &err), &err)
        if child:
            PyOS_AfterFork_Child()  # random's and the user's hooks; C has forked
        return child

    def set_index(self, uint32_t index):
        cdef ghee_error err
        check(ghee_worker_set_index(self.c, index, &err), &err)

    def report(self, int status, message):
        """Tells the coordinator that the function cannot be loaded."""
        cdef ghee_error failure, err
        cdef bytes raw = message.encode("utf-8", "replace")
        ghee_error_set(&failure, status, "%s", <const char *>raw)
        ghee_worker_report(self.c, &failure, &err)

    def run(self):
        """Works until the job is over; returns the status."""
        cdef ghee_worker_ops ops
        cdef ghee_error err
        cdef ghee_status status
        cdef void *user = <void *>self
        cdef ghee_worker *c = self.c
        ops.call = call
        ops.train = train
        with nogil:
            status = ghee_worker_run(c, &ops, user, &err)
        return status

    def end(self):
        """Ends run, called from another thread."""
        ghee_worker_end(self.c)

    def exit(self, int status):
        ghee_worker_exit(self.c, status)

    def reject(self, rows, reason):
        cdef ghee_error err
        cdef int64_t row
        cdef bytes why = str(reason).encode("utf-8", "replace")
        for row in rows:
            check(ghee_worker_reject(self.c, &row, 1, why, &err), &err)

    # ---- training ----

    def train_begin(self):
        """rank, world, epoch, epochs, step, path of the stored state or None, path for the meeting of the ranks."""
        cdef ghee_train_info info
        cdef ghee_error err
        cdef ghee_status status
        cdef ghee_worker *c = self.c
        with nogil:
            status = ghee_train_begin(c, &info, &err)
        check(status, &err)
        return info.rank, info.world, info.epoch, info.epochs, info.step, text(info.state_path), text(info.rendezvous)

    def train_epoch(self):
        """Number of the next epoch, None after the last."""
        cdef uint32_t epoch = 0
        cdef ghee_error err
        cdef ghee_status status
        cdef ghee_worker *c = self.c
        with nogil:
            status = ghee_train_epoch(c, &epoch, &err)
        if status == 19:
            return None
        check(status, &err)
        return epoch

    def train_next(self):
        """(columns of the next step as writable arrays, padding), None at the end of the epoch."""
        cdef ArrowSchema schema
        cdef ArrowArray array
        cdef c_bool padding = False
        cdef ghee_error err
        cdef ghee_status status
        cdef ghee_worker *c = self.c
        cdef Arrays arrays
        with nogil:
            status = ghee_train_next(c, &schema, &array, &padding, &err)
        if status == 19:
            return None
        check(status, &err)
        arrays = arrays_take(&schema, &array, True)
        arrays.schema = schema
        return to_numpy(arrays), padding

    def checkpoint_path(self):
        cdef char path[4096]
        cdef ghee_error err
        check(ghee_train_checkpoint_path(self.c, path, sizeof(path), &err), &err)
        return path.decode()

    def checkpoint_commit(self):
        cdef ghee_error err
        cdef ghee_status status
        cdef ghee_worker *c = self.c
        with nogil:
            status = ghee_train_checkpoint_commit(c, &err)
        check(status, &err)

    def log(self, key, double value):
        cdef ghee_error err
        check(ghee_train_log(self.c, str(key).encode(), value, &err), &err)


cdef ghee_status failed(Worker host, ghee_error *err) noexcept:
    """Turns the exception in flight into a failure with the user's traceback."""
    cdef bytes message
    status, words = host.describe(*sys.exc_info())
    message = words.encode("utf-8", "replace")
    return ghee_error_set(err, status, "%s", <const char *>message)


cdef ghee_status call(void *user, ghee_worker *worker, ghee_worker_batch *batch, ArrowSchema *out_schema, ArrowArray *out,
                      ghee_error *err) noexcept with gil:
    cdef Worker host = <Worker>user
    cdef Arrays arrays
    try:
        if host.last is not None and host.last() is not None:
            ghee_worker_copy_inputs(worker)
        arrays = arrays_take(batch.schema, batch.array, False)
        host.last = weakref.ref(arrays)
        columns, given = host.function(arrays)
        if columns is not None:
            from_columns(columns, arrays, given, out_schema, out)
        return 0
    except BaseException:
        return failed(host, err)


cdef ghee_status train(void *user, ghee_worker *worker, const char *value_path, ghee_error *err) noexcept with gil:
    cdef Worker host = <Worker>user
    try:
        host.train_function(value_path.decode())
        return 0
    except BaseException:
        return failed(host, err)


def columns_of(Arrays arrays):
    """A batch as a dict of NumPy arrays."""
    return to_numpy(arrays)


def capsules_of(Arrays arrays):
    """A batch as Arrow capsules; it is moved out."""
    return to_capsules(arrays)


def schema_of(Arrays arrays):
    """The schema of a batch as an Arrow capsule."""
    return schema_capsule(arrays)
