# SPDX-License-Identifier: Apache-2.0
"""Outputs whose files are sorted: each file in order, every row once."""
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ghee
from ghee.task import LocalTask


@ghee.arrow
def same(batch):
    return batch


def put(folder, table):
    folder.mkdir()
    pq.write_table(table, folder / "a.parquet", row_group_size=5_000)
    return folder


def files(out):
    return [pq.ParquetFile(f).read() for f in sorted(out.rglob("part-*"))]


def wanted(table, keys):
    """The order of pandas, stable, nulls last whatever the direction."""
    frame = table.to_pandas()
    for name, rises in reversed(keys):
        frame = frame.sort_values(name, ascending=rises, kind="stable", na_position="last")
    return pa.Table.from_pandas(frame, schema=table.schema, preserve_index=False)


def test_one_file(tmp_path):
    rng = np.random.default_rng(1)
    n = 20_000
    words = rng.integers(0, 9, n)
    table = pa.table({"id": np.arange(n), "a": pa.array(rng.integers(0, 5, n), mask=rng.random(n) < 0.1),
                      "b": pa.array([None if w == 8 else "xyzäbcd."[w] * (w + 1) for w in words])})
    LocalTask(put(tmp_path / "in", table), preprocess=same, output=ghee.Output(tmp_path / "out", sort_by=["a", "-b"])).run()
    (got,) = files(tmp_path / "out")
    got, order = got.to_pylist(), wanted(table, [("a", True), ("b", False)]).to_pylist()
    assert [(r["a"], r["b"]) for r in got] == [(None if r["a"] is None else int(r["a"]), r["b"]) for r in order]
    assert sorted(r["id"] for r in got) == list(range(n))
    assert len({r["id"] for r in got}) == n


def test_partitions_beyond_the_buffer(tmp_path):
    rng = np.random.default_rng(2)
    n = 60_000
    table = pa.table({"id": np.arange(n), "part": np.arange(n) % 2, "x": rng.random(n)})
    LocalTask(put(tmp_path / "in", table), preprocess=ghee.Stage(same, buffer="1MiB", batch_size=1000),
              output=ghee.Output(tmp_path / "out", partition_by=["part"], sort_by=["-x"])).run()
    got = files(tmp_path / "out")
    assert len(got) > 2
    for file in got:
        assert np.all(np.diff(file["x"].to_numpy()) <= 0)
    ids = np.concatenate([f["id"].to_numpy() for f in got])
    assert np.array_equal(np.sort(ids), np.arange(n))


def test_columns_that_cannot_be(tmp_path):
    source = put(tmp_path / "in", pa.table({"id": [1], "list": [[1]]}))
    for columns, words in [(["ix"], 'sort_by: there is no column "ix"; there are: id, list'), (["list"], "cannot be sorted")]:
        with pytest.raises(ghee.GheeError, match=words):
            LocalTask(source, preprocess=same, output=ghee.Output(tmp_path / "no", sort_by=columns)).run()
        assert not (tmp_path / "no").exists()
