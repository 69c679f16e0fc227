# SPDX-License-Identifier: Apache-2.0
"""Every file of the public data sets: see the program `real_files` beside this."""
import pathlib
import re
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).with_name("real_files")


def test_every_file():
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, timeout=300)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"real files: [1-9]\d* files, \d+ equal, .*, 0 different, 0 crashed", last) and done.returncode == 0, done.stdout + done.stderr
