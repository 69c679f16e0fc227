# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, as exceptions. Each has `status`, the exit code of the command line for the same failure."""


class GheeError(RuntimeError):
    """Base of all. The first line of the message says what to do."""

    status = 1


class InvalidError(GheeError, ValueError):
    """The description is wrong."""


class NotFoundError(GheeError, FileNotFoundError):
    """No such file, column, job or function."""


class CorruptError(GheeError):
    """Truncated, corrupt or foreign data."""


class SchemaError(GheeError):
    """Columns or types differ from what was there before."""


class ExistsError(GheeError, FileExistsError):
    """The output, or a job of this name, is there already."""


class LimitError(GheeError):
    """Does not fit the memory budget, or another stated limit."""


class UserError(GheeError):
    """A user function raised, or returned what it must not."""


class CrashedError(GheeError):
    """A worker died too often at one place."""


class BusyError(GheeError):
    """Another process holds the job."""


class ChangedError(GheeError):
    """The input is not what it was when the job was planned."""


class UnsupportedError(GheeError, NotImplementedError):
    """Valid, but not in this build."""


BY_STATUS = {3: InvalidError, 4: NotFoundError, 6: CorruptError, 7: SchemaError, 8: ExistsError, 11: LimitError, 13: UserError,
             14: CrashedError, 16: BusyError, 17: ChangedError, 18: UnsupportedError}


def raise_status(status, message):
    """Raises what a status of the C library stands for."""
    if status == 130:
        raise KeyboardInterrupt(message)
    if status == 12:
        raise MemoryError(message)
    error = BY_STATUS.get(status, GheeError)(message)
    error.status = status
    raise error
