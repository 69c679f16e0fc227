# SPDX-License-Identifier: Apache-2.0
"""Outputs in partitions: their folders, that nothing is lost or doubled, and that only what a job writes is replaced."""
import datetime
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute  # noqa: F401
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import ghee
from ghee.task import LocalTask

NULL = "__HIVE_DEFAULT_PARTITION__"


@ghee.arrow
def same(batch):
    return batch


def put(folder, table, group=1000):
    folder.mkdir()
    pq.write_table(table, folder / "a.parquet", row_group_size=group)
    return folder


def numbers(tmp_path, rows, keys, name="in", **more):
    ids = np.arange(rows)
    return put(tmp_path / name, pa.table({"id": ids, "key": ids % keys, "x": ids / 2, **more}))


def read(folder, partitioning="hive"):
    return ds.dataset(folder, format="parquet", partitioning=partitioning).to_table()


def folders(out):
    return sorted({str(f.parent.relative_to(out)) for f in out.rglob("part-*")})


def test_every_row_is_in_its_folder_once(tmp_path):
    out = tmp_path / "out"
    LocalTask(numbers(tmp_path, 50_000, 7), preprocess=ghee.Stage(same, workers=2), output=ghee.Output(out, partition_by=["key"])).run()
    assert folders(out) == [f"key={k}" for k in range(7)]
    for k in range(7):
        ids = np.sort(np.concatenate([pq.ParquetFile(f).read()["id"].to_numpy() for f in (out / f"key={k}").iterdir()]))
        assert np.array_equal(ids, np.arange(k, 50_000, 7))
    assert pq.ParquetFile(next((out / "key=0").iterdir())).schema_arrow.names == ["id", "x"]


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl", "ipc"])
def test_all_formats(tmp_path, format):
    out = tmp_path / "out"
    LocalTask(numbers(tmp_path, 1_000, 3), preprocess=same, output=ghee.Output(out, format=format, partition_by=["key"])).run()
    assert folders(out) == ["key=0", "key=1", "key=2"]
    if format in ("parquet", "csv", "ipc"):
        assert ds.dataset(out, format=format, partitioning="hive").count_rows() == 1_000


def test_names_are_those_of_hive(tmp_path):
    """Nulls, empty and odd texts, dates, times, booleans; read back they are what they were."""
    texts = ["plain", "a/b", "50%", "x=y", "żółć", "tab\there", "", None, "a b", "[1]", "..", "#?*:'\"\\^{}"]
    n = len(texts)
    table = pa.table({"id": range(n), "text": texts})
    out = tmp_path / "out"
    LocalTask(put(tmp_path / "in", table), preprocess=same, output=ghee.Output(out, partition_by=["text"])).run()
    back = read(out, ds.partitioning(pa.schema([("text", pa.string())]), flavor="hive")).sort_by("id")
    assert back["text"].to_pylist() == [t or None for t in texts]
    assert f"text={NULL}" in folders(out) and "text=a%2Fb" in folders(out) and "text=50%25" in folders(out) and "text=x%3Dy" in folders(out)

    day, when = datetime.date(1969, 2, 28), datetime.datetime(2024, 2, 29, 23, 59, 58, 120_000)
    table = pa.table({"id": [0, 1], "day": pa.array([day, None], pa.date32()), "when": pa.array([when, None], pa.timestamp("us")), "yes": [True, False],
                      "u8": pa.array([255, 0], pa.uint8()), "i64": pa.array([-(2**63), 2**63 - 1], pa.int64()),
                      "word": pa.array(["a", "b"]).dictionary_encode()})
    LocalTask(put(tmp_path / "in2", table), preprocess=same, output=ghee.Output(tmp_path / "out2", partition_by=["day", "when", "yes", "u8", "i64", "word"])).run()
    assert folders(tmp_path / "out2") == [
        f"day=1969-02-28/when=2024-02-29 23%3A59%3A58.12/yes=true/u8=255/i64={-(2**63)}/word=a", f"day={NULL}/when={NULL}/yes=false/u8=0/i64={2**63 - 1}/word=b"]


def test_dates_before_and_after_1970(tmp_path):
    days = [datetime.date(1, 1, 1), datetime.date(1600, 2, 29), datetime.date(1900, 3, 1), datetime.date(1969, 12, 31), datetime.date(1970, 1, 1),
            datetime.date(2000, 2, 29), datetime.date(2100, 12, 31), datetime.date(9999, 12, 31)]
    LocalTask(put(tmp_path / "in", pa.table({"id": range(8), "day": days})), preprocess=same, output=ghee.Output(tmp_path / "out", partition_by=["day"])).run()
    assert folders(tmp_path / "out") == [f"day={d.isoformat()}" for d in days]


def test_more_rows_than_memory_and_files_of_their_size(tmp_path):
    """Rows beyond the budget wait in a file; each partition then has files of the target size, not of the budget's."""
    out = tmp_path / "out"
    rng = np.random.default_rng(1)
    LocalTask(numbers(tmp_path, 100_000, 5, noise=rng.random(100_000)), preprocess=ghee.Stage(same, buffer="1MiB", batch_size=2048),
              output=ghee.Output(out, partition_by=["key"], target_file_size="256KiB")).run()
    back = read(out)
    assert np.array_equal(np.sort(back["id"].to_numpy()), np.arange(100_000))
    assert np.array_equal(back["key"].to_numpy(), back["id"].to_numpy() % 5)
    files = len(list(out.rglob("part-*")))
    assert 5 <= files <= 60, files  # 100,000 rows of 24 bytes are about three sets


def test_columns_that_cannot_be(tmp_path):
    source, two = numbers(tmp_path, 10, 3), put(tmp_path / "two", pa.table({"id": [1], "key": [2]}))
    for columns, of, words in [(["kee"], source, "kee"), (["x"], source, "cannot name a folder"), (["id", "key"], two, "none is left")]:
        with pytest.raises(ghee.GheeError, match=words):
            LocalTask(of, preprocess=same, output=ghee.Output(tmp_path / "no", partition_by=columns)).run()
        assert not (tmp_path / "no").exists()
    with pytest.raises(ghee.InvalidError, match="hides them"):
        LocalTask(source, preprocess=same, output=ghee.Output(tmp_path / "no", partition_by=["_key"])).run()
    with pytest.raises(ghee.InvalidError, match="needs partition_by"):
        LocalTask(source, preprocess=same, output=ghee.Output(tmp_path / "no", mode="overwrite_partitions")).run()


def test_a_value_too_long_for_a_name(tmp_path):
    source = put(tmp_path / "in", pa.table({"id": [1], "text": ["x" * 300]}))
    with pytest.raises(ghee.InvalidError, match="305 bytes as the name of a folder"):
        LocalTask(source, preprocess=same, output=ghee.Output(tmp_path / "out", partition_by=["text"])).run()


def test_too_many_partitions(tmp_path):
    with pytest.raises(ghee.LimitError, match="choose columns with fewer values"):
        ids = np.arange(10_001)
        LocalTask(put(tmp_path / "in", pa.table({"id": ids, "key": ids}), group=20_000), preprocess=same, output=ghee.Output(tmp_path / "out", partition_by=["key"])).run()
    assert not (tmp_path / "out").exists()


def test_only_the_partitions_that_are_written_are_replaced(tmp_path):
    out = tmp_path / "out"
    LocalTask(numbers(tmp_path, 1_000, 5), preprocess=same, output=ghee.Output(out, partition_by=["key"])).run()
    kept = {f: (f.stat().st_ino, f.stat().st_mtime_ns) for k in (0, 3, 4) for f in (out / f"key={k}").iterdir()}
    gone = [f for k in (1, 2) for f in (out / f"key={k}").iterdir()]
    more = put(tmp_path / "more", pa.table({"id": [7_000, 7_001, 7_002], "key": [1, 2, 9], "x": [0.0, 0.0, 0.0]}))
    LocalTask(more, preprocess=same, output=ghee.Output(out, partition_by=["key"], mode="overwrite_partitions")).run()
    assert {f: (f.stat().st_ino, f.stat().st_mtime_ns) for f in kept} == kept
    assert not any(f.exists() for f in gone)
    back = read(out)
    assert sorted(back.filter(pa.compute.is_in(back["key"], pa.array([1, 2, 9])))["id"].to_pylist()) == [7_000, 7_001, 7_002]
    assert len(back) == 603
    names = {f["name"] for f in json.loads((out / "_manifest.json").read_text())["files"]}
    assert names == {str(f.relative_to(out)) for f in out.rglob("part-*")}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "more", "out"]


def test_partitions_of_an_output_that_is_not_there(tmp_path):
    out = tmp_path / "out"
    LocalTask(numbers(tmp_path, 10, 2), preprocess=same, output=ghee.Output(out, partition_by=["key"], mode="overwrite_partitions")).run()
    assert folders(out) == ["key=0", "key=1"]


def test_append_to_partitions(tmp_path):
    out = tmp_path / "out"
    for name, mode in [("one", "error"), ("two", "append")]:
        LocalTask(numbers(tmp_path, 100, 2, name), preprocess=same, output=ghee.Output(out, partition_by=["key"], mode=mode)).run()
    assert sorted(read(out)["id"].to_pylist()) == sorted(2 * list(range(100)))
