# SPDX-License-Identifier: Apache-2.0
"""The training and prediction jobs with everything on a storage: see the program `storage` beside this."""
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("torch")


@pytest.mark.parametrize("backend", ["s3", "hdfs", "kafka", "kafka-ipc"])
def test_both_jobs(backend):
    command = [sys.executable, str(pathlib.Path(__file__).with_name("storage")), "--backend", backend, "--rows", "20000"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.stdout.endswith(f"storage {backend}: rows 20000, differences 0, leftovers 0\n") and done.returncode == 0, done.stdout + done.stderr
