# SPDX-License-Identifier: Apache-2.0
"""What the Python tests share: a state folder of their own, small inputs, the count of what a job left behind."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storages import shared_memory


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory, monkeypatch):
    """Jobs of a test live in its own folder; nothing may be running or lie in /dev/shm when it ends."""
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    shm = shared_memory()
    yield state
    alive = []
    for entry in os.scandir("/proc"):
        try:
            command = pathlib.Path(entry.path, "cmdline").read_bytes().decode() if entry.name.isdigit() else ""
        except OSError:
            continue
        if str(state) in command and pathlib.Path(entry.path, "stat").read_text().rpartition(")")[2].split()[0] != "Z":
            alive.append(command.replace("\0", " "))
    assert not alive, alive
    assert shared_memory() <= shm


@pytest.fixture
def ids(tmp_path):
    """ids(rows, files=4, group=1000): a folder of Parquet with columns id and x = id / 2."""

    def make(rows, files=4, group=1000, name="ids"):
        folder = tmp_path / name
        folder.mkdir()
        for k in range(files):
            part = np.arange(k * rows // files, (k + 1) * rows // files)
            pq.write_table(pa.table({"id": part, "x": part / 2}), folder / f"part-{k}.parquet", row_group_size=group)
        return folder

    return make


def read_ids(folder, column="id"):
    """All values of a column of an output, sorted."""
    parts = [pq.read_table(f)[column].to_numpy() for f in sorted(pathlib.Path(folder).glob("*.parquet"))]
    return np.sort(np.concatenate(parts)) if parts else np.zeros(0, np.int64)


@pytest.fixture(scope="session")
def s3_server():
    """A real S3 server, for all tests that want one; see `s3`."""
    from storages import S3, or_skip

    with or_skip(S3()) as at:
        yield at


@pytest.fixture
def s3(s3_server, monkeypatch):
    """The server, with the environment of its clients."""
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_server.env.items():
        monkeypatch.setenv(name, value)
    return s3_server


ROOT = pathlib.Path(__file__).resolve().parent.parent


def program(name="ghee"):
    """Path of a program of this checkout."""
    return shutil.which(name) or str(ROOT / "build" / "release" / name)


@pytest.fixture
def ghee_cli(tmp_path):
    """ghee_cli(*arguments): runs the program in tmp_path with this Python for its workers; out and err are text."""

    def run(*arguments, **options):
        options = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 120, **options}
        options["env"] = {**os.environ, "GHEE_PYTHON": sys.executable, **options.get("env", {})}
        return subprocess.run([program(), *map(str, arguments)], **options)

    return run


@pytest.fixture
def describe(tmp_path):
    """describe(**parts): a job.yaml in tmp_path with functions of f.py; see FUNCTIONS."""

    def make(**parts):
        (tmp_path / "f.py").write_text(FUNCTIONS)
        job = {"input": {"uri": "ids"}, "preprocess": {"run": "f:same", "workers": 2}, "output": {"uri": "out"}, **parts}
        path = tmp_path / "job.yaml"
        path.write_text(json.dumps({k: v for k, v in job.items() if v is not None}))
        return path

    return make


FUNCTIONS = '''
import os, threading
def same(b): return b
def raises(b): raise ValueError("negative rating -3")
def waits(b): threading.Event().wait()
def gated(b):
    """Holds the batch with row 500 until the test opens the gate."""
    if 500 in b["id"]: open(os.path.join(os.path.dirname(__file__), "gate")).read()
    return b
def loud(b):
    print("hello from", len(b["id"]))
    return b
'''


def open_gate(folder):
    """Lets `gated` go on."""
    with open(pathlib.Path(folder) / "gate", "w"):
        pass


def left_over(folder):
    """What lies in a folder besides what tests put there: output, staging folders, temporary files."""
    return sorted(p.name for p in pathlib.Path(folder).iterdir() if p.name not in ("ids", "f.py", "job.yaml", "gate", "__pycache__"))


def jobs(state):
    """Names of the jobs in a state folder."""
    folder = pathlib.Path(state) / "ghee" / "jobs"
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def refused(ghee_cli, describe, tmp_path, own_state):
    """refused(code, *words, **parts of the description): runs it; the words are in the first line; nothing is left."""

    def run(code, *words, left=(), options=None, **parts):
        describe(**parts)
        done = ghee_cli("run", "--quiet", "job.yaml", **(options or {}))
        first = done.stderr.partition("\n")[0]
        assert done.returncode == code, done.stderr
        assert first.startswith("ghee: ") and all(re.search(word, first) for word in words), done.stderr
        assert not done.stdout and left_over(tmp_path) == sorted(left) and jobs(own_state) == []
        return done.stderr

    return run


@pytest.fixture(scope="session")
def kafka():
    """A real broker, for all tests of a run that need one."""
    from kafka import Broker
    from storages import or_skip

    with or_skip(Broker()) as broker:
        yield broker
