# SPDX-License-Identifier: Apache-2.0
"""Each row once an epoch, on a small scale; the full one is `tests/faults/epoch_truth`."""
import pathlib
import subprocess
import sys


def test_each_row_once_an_epoch():
    done = subprocess.run([sys.executable, str(pathlib.Path(__file__).with_name("epoch_truth")), "--rows", "20011", "--ranks", "2-3", "--kills", "3"],
                          capture_output=True, text=True)
    assert done.stdout.endswith("epoch truth: ranks 2..3, epochs 3, rows 20011: missing 0, doubled 0\n") and done.returncode == 0, done.stdout + done.stderr
