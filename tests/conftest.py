# SPDX-License-Identifier: Apache-2.0
"""What the Python tests share: a state folder of their own, small inputs, the count of what a job left behind."""
import os
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory, monkeypatch):
    """Jobs of a test live in its own folder; nothing may be running or lie in /dev/shm when it ends."""
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    shm = set(os.listdir("/dev/shm"))
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
    assert set(os.listdir("/dev/shm")) <= shm


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
