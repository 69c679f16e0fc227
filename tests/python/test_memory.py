# SPDX-License-Identifier: Apache-2.0
"""A job in a control group whose memory is not enough says so."""
import os
import pathlib
import subprocess
import sys

import pytest

JOB = """
import sys
import numpy as np
import ghee

def eats(batch):
    if batch["id"][0] == 0:
        np.ones(1 << 28)  # 2 GiB
    return batch

ghee.task.LocalTask(sys.argv[1], preprocess=eats, output=sys.argv[2], max_crashes=2).run()
"""


@pytest.fixture
def group():
    """A control group of 600 MiB; the function in it moves the calling process there."""
    for limit, folder in (("memory.limit_in_bytes", "/sys/fs/cgroup/memory"), ("memory.max", "/sys/fs/cgroup")):
        path = pathlib.Path(folder, f"ghee-test-{os.getpid()}")
        if not pathlib.Path(folder, "memory.oom_control" if "bytes" in limit else "cgroup.controllers").exists():
            continue
        try:
            path.mkdir()
            (path / limit).write_text(str(600 << 20))
        except OSError as e:
            pytest.skip(f"control groups cannot be made here: {e}")
        yield lambda: (path / "cgroup.procs").write_text(str(os.getpid()))
        path.rmdir()
        return
    pytest.skip("there are no control groups of memory here")


def test_the_kernel_kills_for_want_of_memory(ids, tmp_path, group):
    (tmp_path / "job.py").write_text(JOB)
    done = subprocess.run([sys.executable, tmp_path / "job.py", ids(1_000), tmp_path / "out"], capture_output=True, text=True, preexec_fn=group)
    assert "preprocess-0 was killed by the kernel for want of memory" in done.stderr and "(1 processes" in done.stderr, done.stderr
    assert "CrashedError" in done.stderr and "for want of memory (the latter, says the kernel)" in done.stderr, done.stderr
