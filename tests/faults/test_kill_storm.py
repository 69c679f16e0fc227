# SPDX-License-Identifier: Apache-2.0
"""Ten fixed seeds of the kill storm."""
import pathlib
import subprocess
import sys


def test_ten_seeds():
    done = subprocess.run([sys.executable, str(pathlib.Path(__file__).with_name("kill_storm")), "--runs", "10", "--seed", "1"], capture_output=True, text=True)
    assert done.stdout.endswith("rows lost 0, doubled 0, leftovers 0\n") and done.returncode == 0, done.stdout + done.stderr
