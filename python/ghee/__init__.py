# SPDX-License-Identifier: Apache-2.0
"""ghee streams data from storage through preprocess, train or predict, and postprocess workers, from one description.

>>> import ghee
>>> task = ghee.task.LocalTask(input="data/ratings", preprocess=ghee.Stage(clean, workers=4),
...                            predict=ghee.Stage(Model), output="scores")
>>> task.run()
"""
from ghee import task
from ghee.context import Context
from ghee.errors import (BusyError, ChangedError, CorruptError, CrashedError, ExistsError, GheeError, InvalidError, LimitError, NotFoundError,
                         SchemaError, UnsupportedError, UserError)
from ghee.forms import arrow, pandas, rows, torch
from ghee.task import Input, Output, Result, Shuffle, Stage

__version__ = "0.1.0"
__all__ = ["task", "Input", "Output", "Stage", "Shuffle", "Result", "Context", "arrow", "pandas", "rows", "torch", "GheeError", "InvalidError",
           "NotFoundError", "CorruptError", "SchemaError", "ExistsError", "LimitError", "UserError", "CrashedError", "BusyError", "ChangedError",
           "UnsupportedError"]
