# SPDX-License-Identifier: Apache-2.0
"""Fixed seeds of the kill storm: ten on files, five from S3 to S3."""
import pathlib
import subprocess
import sys

import pytest


@pytest.mark.parametrize("storage, runs", [("file", 10), ("s3", 5)])
def test_seeds(storage, runs):
    command = [sys.executable, str(pathlib.Path(__file__).with_name("kill_storm")), "--runs", str(runs), "--seed", "1", "--input", storage, "--output", storage]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.stdout.endswith("rows lost 0, doubled 0, leftovers 0\n") and done.returncode == 0, done.stdout + done.stderr
