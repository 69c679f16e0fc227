# SPDX-License-Identifier: Apache-2.0
"""Partitions on storages that cannot exchange folders: what is replaced, what stays, and that nothing lies beside the output."""
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ghee
from ghee.task import LocalTask
from storages import STORAGES, or_skip


@ghee.arrow
def same(batch):
    return batch


@ghee.arrow
def never(batch):
    raise RuntimeError("work has begun")


def run(folder, store, name, ids, keys, mode):
    folder.mkdir()
    pq.write_table(pa.table({"id": ids, "key": keys}), folder / "a.parquet")
    LocalTask(folder, preprocess=same, output=ghee.Output(store.uri(name), partition_by=["key"], mode=mode)).run()


@pytest.mark.parametrize("storage", ["s3", "hdfs"])
def test_partitions_are_replaced(storage, tmp_path, monkeypatch):
    with or_skip(STORAGES[storage]()) as store:
        for name, value in store.env.items():
            monkeypatch.setenv(name, value)
        check(store, tmp_path)


def check(store, tmp_path):
    run(tmp_path / "one", store, "parted/out", list(range(30)), [f"k/{i % 3}" for i in range(30)], "error")
    before = set(store.names("parted/out"))
    run(tmp_path / "two", store, "parted/out", [100, 101], ["k/1", "k/7"], "overwrite_partitions")
    store.get("parted/out", tmp_path / "got")
    after = set(store.names("parted/out"))
    assert {n for n in before if n.startswith(("key=k%2F0/", "key=k%2F2/"))} < after
    assert not {n for n in before if n.startswith("key=k%2F1/")} & after
    found = {}
    for file in (tmp_path / "got").rglob("*.parquet"):
        found.setdefault(file.parent.name, []).extend(pq.ParquetFile(file).read()["id"].to_pylist())
    assert {k: sorted(v) for k, v in found.items()} == {
        "key=k%2F0": list(range(0, 30, 3)), "key=k%2F1": [100], "key=k%2F2": list(range(2, 30, 3)), "key=k%2F7": [101]}
    manifest = json.loads((tmp_path / "got" / "_manifest.json").read_text())
    assert {f["name"] for f in manifest["files"]} == after - {"_manifest.json", "_SUCCESS"}
    assert store.left("parted/out") == []
    check_reading(store, tmp_path)
    check_refusals(store, tmp_path)


def check_refusals(store, tmp_path):
    """Before any work, and nothing changes."""
    before = store.names("parted/out")
    with pytest.raises(ghee.InvalidError, match=r"parted/out: it is partitioned by \[key\] .*, the job by \[id\]"):
        LocalTask(tmp_path / "two", preprocess=never, output=ghee.Output(store.uri("parted/out"), partition_by=["id"], mode="append")).run()
    with pytest.raises(ghee.InvalidError, match="parted/out: its files are parquet, the job's would be csv"):
        LocalTask(tmp_path / "two", preprocess=never, output=ghee.Output(store.uri("parted/out"), format="csv", mode="append")).run()
    store.put(tmp_path / "one", "parted/spark")
    for output in [{"mode": "append"}, {"mode": "overwrite_partitions", "partition_by": ["key"]}]:
        with pytest.raises(ghee.ExistsError, match="parted/spark holds files but no _manifest.json .*a.parquet"):
            LocalTask(tmp_path / "two", preprocess=never, output=ghee.Output(store.uri("parted/spark"), **output)).run()
    assert store.names("parted/out") == before and store.names("parted/spark") == ["a.parquet"]


def check_reading(store, tmp_path):
    """By wildcards, and as a whole by its manifest."""
    for k, (uri, want) in enumerate({"parted/out/key=k*[17]/*.parquet": [100, 101], "parted/out/{key=k%2F0,key=k%2F7}": [*range(0, 30, 3), 101],
                                     "parted/*/**/*.parquet": [*range(0, 30, 3), 100, *range(2, 30, 3), 101],
                                     "parted/out": [*range(0, 30, 3), 100, *range(2, 30, 3), 101]}.items()):
        LocalTask(store.uri(uri), preprocess=same, output=tmp_path / f"read{k}").run()
        rows = [row for f in (tmp_path / f"read{k}").glob("*.parquet") for row in pq.ParquetFile(f).read().to_pylist()]
        assert sorted(row["id"] for row in rows) == sorted(want), uri
        assert {row["id"]: row["key"] for row in rows} == {i: f"k/{i % 3}" if i < 100 else {100: "k/1", 101: "k/7"}[i] for i in want}, uri
    with pytest.raises(ghee.NotFoundError, match="no file matches"):
        LocalTask(store.uri("parted/out/*.csv"), preprocess=same, output=tmp_path / "none").run()
