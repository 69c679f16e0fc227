# SPDX-License-Identifier: Apache-2.0
"""Jobs over an HDFS with two NameNodes, of which the active one dies while they read or write, and the other is made active."""
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ghee
from conftest import read_ids
from ghee.task import LocalTask
from storages import Hdfs, or_skip

ROWS, FILES, NOISE_BYTES = 64_000, 16, 512


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The input: 2 MB a file that no codec makes smaller."""
    folder = tmp_path_factory.mktemp("input")
    for k in range(FILES):
        ids = np.arange(k * ROWS // FILES, (k + 1) * ROWS // FILES)
        noise = np.random.default_rng(k).bytes(NOISE_BYTES * len(ids))
        table = pa.table({"id": ids, "noise": [noise[at:at + NOISE_BYTES] for at in range(0, len(noise), NOISE_BYTES)]})
        pq.write_table(table, folder / f"part-{k:02}.parquet", row_group_size=1_000)
    return folder


@pytest.fixture(scope="module")
def cluster(local):
    with or_skip(Hdfs(pair=True)) as at:
        at.put(local, "in")
        yield at


@pytest.fixture
def at(cluster):
    cluster.up()  # with the NameNode that an earlier test has killed, as the standby
    return cluster


class FailOver:
    """Kills the active NameNode once the job has so many of its rows, and makes the standby active."""

    def __init__(self, at, rows):
        self.at, self.least, self.rows = at, rows, None

    def __call__(self, progress):
        if self.rows is not None or progress["rows_in"] < self.least:
            return
        self.rows = progress["rows_in"]
        first = self.at.active()
        second = {"nn": "nn2", "nn2": "nn"}[first]
        self.at.kill(first)
        self.at.admin("-failover", first, second)
        assert self.at.serves(second)


def same(batch):
    time.sleep(0.02)  # stands for work, so that there is time to strike
    return batch


# A file of 2 MiB is made by one request, one of 16 MiB is begun with 8 MiB, half of the rows, and appended to.
@pytest.mark.parametrize("source, sink, size, eighths", [("hdfs", "file", "2MiB", 1), ("file", "hdfs", "2MiB", 1), ("hdfs", "hdfs", "64MiB", 5)],
                         ids=["reads", "writes", "appends"])
def test_the_active_namenode_dies(at, local, tmp_path, source, sink, size, eighths):
    out, strike = f"out-{source}-{sink}", FailOver(at, eighths * ROWS // 8)
    LocalTask(at.uri("in") if source == "hdfs" else local, preprocess=ghee.Stage(same, workers=2, batch_size=500),
              output=ghee.Output(at.uri(out) if sink == "hdfs" else tmp_path / out, target_file_size=size)).run(progress=strike)
    assert strike.rows is not None and strike.rows < ROWS
    if sink == "hdfs":
        at.get(out, tmp_path / out)
        assert not [name for name in at.left(out) if name.startswith(f".{out}.")]
    assert np.array_equal(read_ids(tmp_path / out), np.arange(ROWS))
