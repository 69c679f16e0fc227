# SPDX-License-Identifier: Apache-2.0
"""Small files are worked on together and large ones in pieces, whatever the storage: the chunks of the plan, and each row once in the output."""
import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import ghee
from conftest import read_ids
from ghee.task import LocalTask
from storages import STORAGES, or_skip

SMALL, ROWS = 60, 10  # files, rows of each
WORKERS = 3


@ghee.arrow
def same(batch):
    return batch


@pytest.fixture(params=["file", "s3"], scope="module")
def store(request):
    with or_skip(STORAGES[request.param]()) as at:
        yield at


def write_small(folder, write):
    folder.mkdir()
    for k in range(SMALL):
        write(pa.table({"id": np.arange(k * ROWS, (k + 1) * ROWS)}), folder / f"small-{k:03}")


def checked(store, tmp_path, monkeypatch, name, rows):
    """The plan, once the job has run and its output has ids 0 … rows - 1."""
    for key, value in store.env.items():
        monkeypatch.setenv(key, value)
    store.put(tmp_path / "in", name)
    job = LocalTask(ghee.Input(store.uri(name)), preprocess=ghee.Stage(same, workers=WORKERS), output=tmp_path / "out")
    plan = json.loads(job.explain(json=True))
    job.run()
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(rows))
    return plan


def test_row_groups(store, tmp_path, monkeypatch):
    """Chunks of a twelfth of all bytes: about one and a half of them are small files, all others pieces of the large one."""
    group, groups = 100, 40
    first = SMALL * ROWS
    write_small(tmp_path / "in", lambda table, path: pq.write_table(table, f"{path}.parquet"))
    pq.write_table(pa.table({"id": np.arange(first, first + group * groups)}), tmp_path / "in" / "large.parquet", row_group_size=group)
    plan = checked(store, tmp_path, monkeypatch, "groups", first + group * groups)
    assert (plan["files"], plan["splits"], plan["chunks"]) == (SMALL + 1, SMALL + groups, 4 * WORKERS)
    assert plan["largest_chunk_bytes"] < plan["memory_bytes"] / (4 * WORKERS) * 1.5


def test_text(store, tmp_path, monkeypatch):
    """The large file is cut at line ends, into pieces of about 8 MiB; all small files are in the chunk of its last."""
    first, rows = SMALL * ROWS, 2_500_000
    write_small(tmp_path / "in", lambda table, path: pyarrow.csv.write_csv(table, f"{path}.csv"))
    pyarrow.csv.write_csv(pa.table({"id": np.arange(first, first + rows)}), tmp_path / "in" / "large.csv")
    size = (tmp_path / "in" / "large.csv").stat().st_size
    pieces = -(-size // (8 << 20))
    plan = checked(store, tmp_path, monkeypatch, "text", first + rows)
    assert pieces >= 3
    assert (plan["files"], plan["splits"], plan["chunks"]) == (SMALL + 1, SMALL + pieces, pieces)


def test_small_files_alone(store, tmp_path, monkeypatch):
    """Many fewer chunks than files, all of about the same size."""
    write_small(tmp_path / "in", lambda table, path: pq.write_table(table, f"{path}.parquet"))
    plan = checked(store, tmp_path, monkeypatch, "small", SMALL * ROWS)
    assert (plan["files"], plan["splits"], plan["chunks"]) == (SMALL, SMALL, 4 * WORKERS)
    assert plan["largest_chunk_bytes"] == plan["memory_bytes"] / (4 * WORKERS)
