# SPDX-License-Identifier: Apache-2.0
"""For programs of the tests that are called by their name: the checkout's own Python, wherever the shell's is."""
import os
import pathlib
import sys

HOME = pathlib.Path(__file__).resolve().parents[1] / ".venv"


def enter():
    """Starts the program again under .venv, if it is not there yet."""
    python = str(HOME / "bin" / "python")
    if os.path.exists(python) and pathlib.Path(sys.prefix) != HOME:
        os.execv(python, [python, *sys.argv])
