# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, as exceptions: one class for each status of the C library, which is also the exit code of `ghee`.

Each is a `GheeError` and, where Python has an exception of the same meaning, that too. Ctrl-C and `ghee cancel` (exit code 130) are
KeyboardInterrupt."""
from typing import NoReturn


class GheeError(RuntimeError):
    """Base of all. `status` is the exit code of the command line for the same failure. The first line of the message says what went
    wrong, where, and what to do."""

    status: int = 1


class InternalError(GheeError):
    """A defect of ghee itself: please report it (status 1)."""


class UsageError(GheeError, ValueError):
    """A call, or a command line, that makes no sense (status 2)."""

    status = 2


class InvalidError(GheeError, ValueError):
    """The description is wrong (status 3)."""

    status = 3


class NotFoundError(GheeError, FileNotFoundError):
    """No such file, column, job or function (status 4)."""

    status = 4


class DeniedError(GheeError, PermissionError):
    """No permission, bad credentials, or shipped code without the job's signature (status 5)."""

    status = 5


class CorruptError(GheeError):
    """Truncated, corrupt or foreign data (status 6)."""

    status = 6


class SchemaError(GheeError, TypeError):
    """Columns or types differ from what was there before (status 7)."""

    status = 7


class ExistsError(GheeError, FileExistsError):
    """The output, or an unfinished job of this name, is there already (status 8)."""

    status = 8


class SystemIOError(GheeError, OSError):
    """The operating system, or a storage server, refused; it may work later (status 9)."""

    status = 9


class NoSpaceError(GheeError, OSError):
    """The disk, or a quota, is full (status 10)."""

    status = 10


class LimitError(GheeError):
    """Does not fit the memory budget, or another stated limit (status 11)."""

    status = 11


class NoMemoryError(GheeError, MemoryError):
    """The system gave no memory (status 12)."""

    status = 12


class UserError(GheeError):
    """A user function raised, or returned what it must not; the message holds its traceback (status 13)."""

    status = 13


class CrashedError(GheeError):
    """Workers died too often at one place (status 14)."""

    status = 14


class TimeLimitError(GheeError, TimeoutError):
    """A user function, or a server, took longer than its limit (status 15)."""

    status = 15


class BusyError(GheeError):
    """Another process holds the job (status 16)."""

    status = 16


class ChangedError(GheeError):
    """The input is not what it was when the job was planned (status 17)."""

    status = 17


class UnsupportedError(GheeError, NotImplementedError):
    """Valid, but not in this build (status 18)."""

    status = 18


CLASSES = (InternalError, UsageError, InvalidError, NotFoundError, DeniedError, CorruptError, SchemaError, ExistsError, SystemIOError, NoSpaceError,
           LimitError, NoMemoryError, UserError, CrashedError, TimeLimitError, BusyError, ChangedError, UnsupportedError)
BY_STATUS = {error.status: error for error in CLASSES}
CANCELED = 130


def raise_status(status: int, message: str) -> NoReturn:
    """Raises what a status of the C library stands for."""
    if status == CANCELED:
        raise KeyboardInterrupt(message)
    error = BY_STATUS.get(status, InternalError)(message)
    raise error
