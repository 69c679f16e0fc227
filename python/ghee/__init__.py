# SPDX-License-Identifier: Apache-2.0
"""ghee streams data from storage through preprocess, train or predict, and postprocess workers, from one description.

>>> import ghee
>>> task = ghee.task.LocalTask(input="data/ratings", preprocess=ghee.Stage(clean, workers=4),
...                            predict=ghee.Stage(Model), output="scores")
>>> task.run()
"""
from ghee import task
from ghee.context import Context
from ghee.errors import (BusyError, ChangedError, CorruptError, CrashedError, DeniedError, ExistsError, GheeError, InternalError, InvalidError,
                         LimitError, NoMemoryError, NoSpaceError, NotFoundError, SchemaError, SystemIOError, TimeLimitError, UnsupportedError,
                         UsageError, UserError)
from ghee.forms import arrow, pandas, rows, torch
from ghee.task import Input, Output, Result, Shuffle, Stage
from ghee.training import Batch, Batches, TrainContext

__version__ = "0.1.0"
__all__ = ["task", "Input", "Output", "Stage", "Shuffle", "Result", "Context", "TrainContext", "Batch", "Batches", "arrow", "pandas", "rows",
           "torch", "GheeError", "InternalError", "UsageError", "InvalidError", "NotFoundError", "DeniedError", "CorruptError", "SchemaError",
           "ExistsError", "SystemIOError", "NoSpaceError", "LimitError", "NoMemoryError", "UserError", "CrashedError", "TimeLimitError", "BusyError",
           "ChangedError", "UnsupportedError"]
