# SPDX-License-Identifier: Apache-2.0
"""Inputs in folders "name=value": their columns come back, and a filter leaves the other folders unread."""
import datetime
import json
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

import ghee
from conftest import program
from ghee.task import LocalTask

DAYS = [datetime.date(2024, 2, 28) + datetime.timedelta(days=i) for i in range(4)]


@ghee.arrow
def same(batch):
    return batch


def table(rows=4_000):
    ids = np.arange(rows)
    return pa.table({"id": ids, "x": ids / 2 + 0.25, "day": pa.array(DAYS).take(ids % 4), "country": pa.array(["de", "fr", None, "a/b=c", "ü"]).take(ids % 5)})


def by_id(read):
    return read.take(pa.array(np.argsort(read["id"].to_numpy(), kind="stable")))


def read(folder):
    return by_id(pa.concat_tables([pq.ParquetFile(f).read() for f in sorted(folder.glob("*.parquet"))]))


def hive(folder, rows, keys, format="parquet"):
    """As Arrow writes it, which has no ORC."""
    by_keys = ds.partitioning(pa.schema([rows.schema.field(k) for k in keys]), flavor="hive")
    ds.write_dataset(rows, folder, format="parquet" if format == "orc" else format, partitioning=by_keys)
    for file in folder.rglob("*.parquet") if format == "orc" else ():
        orc.write_table(pq.ParquetFile(file).read(), file.with_suffix(".orc"))
        file.unlink()
    return folder


def explain(tmp_path, description):
    (tmp_path / "job.json").write_text(json.dumps(description))
    done = subprocess.run([program(), "explain", "--json", str(tmp_path / "job.json")], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_what_partition_by_writes_comes_back(tmp_path):
    put = tmp_path / "in"
    put.mkdir()
    pq.write_table(table(), put / "a.parquet", row_group_size=500)
    LocalTask(put, preprocess=same, output=ghee.Output(tmp_path / "parted", partition_by=["day", "country"])).run()
    LocalTask(tmp_path / "parted", preprocess=ghee.Stage(same, workers=2, batch_size=100), output=tmp_path / "out").run()
    assert read(tmp_path / "out").equals(table())


@pytest.mark.parametrize("format", ["parquet", "csv", "ipc", "orc"])
def test_tables_of_others(format, tmp_path):
    hive(tmp_path / "in", table(), ["country", "day"], format)
    LocalTask(ghee.Input(tmp_path / "in", format=format), preprocess=same, output=tmp_path / "out").run()
    got = read(tmp_path / "out")
    assert got.column_names == ["id", "x", "country", "day"]
    assert got.select(table().column_names).equals(table())


def test_columns_in_any_order_and_keys_alone(tmp_path):
    hive(tmp_path / "in", table(), ["day"])
    hive(tmp_path / "both", table(), ["day", "country"])
    for columns in (["country", "day", "id"], ["id", "day", "x", "country"]):
        LocalTask(ghee.Input(tmp_path / "both", columns=columns), preprocess=same, output=ghee.Output(tmp_path / "turned", mode="overwrite")).run()
        assert read(tmp_path / "turned").equals(table().select(columns))
    for k, columns in enumerate((["day", "id"], ["id", "country"], ["day"])):
        LocalTask(ghee.Input(tmp_path / "in", columns=columns), preprocess=same, output=tmp_path / f"out{k}").run()
        got = pa.concat_tables([pq.ParquetFile(f).read() for f in sorted((tmp_path / f"out{k}").glob("*.parquet"))])
        assert got.column_names == columns
        if "id" in columns:
            assert by_id(got).equals(table().select(columns))
        else:
            assert got.group_by("day").aggregate([("day", "count")]).sort_by("day")["day_count"].to_pylist() == [1_000] * 4
    with pytest.raises(ghee.NotFoundError, match="there are: id, x, country, day"):
        LocalTask(ghee.Input(tmp_path / "in", columns=["hour"]), preprocess=same, output=tmp_path / "none").run()


@pytest.mark.parametrize("format", ["parquet", "csv", "orc"])
def test_a_filter_reads_only_the_folders_that_can_pass(format, tmp_path):
    hive(tmp_path / "in", table(), ["day", "country"], format)
    files = sorted((tmp_path / "in").rglob("part-*"))
    assert len(files) == 20
    for k, (text, out, passes) in enumerate((
            ("day >= '2024-03-01'", 10, lambda r: r["day"] >= datetime.date(2024, 3, 1)),
            ("country is null", 16, lambda r: r["country"] is None),
            ("country = 'a/b=c' and x < 100", 16, lambda r: r["country"] == "a/b=c" and r["x"] < 100),
            ("not (day in ('2024-02-28', '2024-02-29', '2024-03-01'))", 15, lambda r: r["day"] == DAYS[3]),
            ("day = '2024-02-28' or id = 1", 0, lambda r: r["day"] == DAYS[0] or r["id"] == 1))):
        input = {"uri": str(tmp_path / "in"), "filter": text}
        told = explain(tmp_path, {"input": input, "preprocess": {"run": "m:f"}, "output": {"uri": "out"}})
        assert told["ruled_out_files"] >= out, text
        LocalTask(ghee.Input(**input), preprocess=same, output=tmp_path / f"out{k}").run()
        assert read(tmp_path / f"out{k}").to_pylist() == [{"id": r["id"], "x": r["x"], "day": r["day"], "country": r["country"]}
                                                         for r in table().to_pylist() if passes(r)], text


def test_folders_that_are_ruled_out_are_not_opened(tmp_path):
    hive(tmp_path / "in", table(), ["day"])
    for file in (tmp_path / "in").glob("day=2024-03-*/*"):
        file.write_bytes(b"no Parquet")
    LocalTask(ghee.Input(tmp_path / "in", filter="day < '2024-03-01'"), preprocess=same, output=tmp_path / "out").run()
    assert len(read(tmp_path / "out")) == 2_000


def test_trained_with_keys(tmp_path):
    def train(batches, ctx):
        return sorted((int(i), int(k)) for batch in batches for i, k in zip(batch["id"], batch["key"]))

    ids = np.arange(300)
    hive(tmp_path / "in", pa.table({"id": ids, "key": ids % 3}), ["key"])
    task = LocalTask(ghee.Input(tmp_path / "in", shuffle=True), train=ghee.Stage(train, batch_size=10, form="numpy"))
    assert task.run().value == [(i, i % 3) for i in range(300)]


def test_a_column_of_the_files_is_theirs(tmp_path):
    (tmp_path / "in" / "x=7").mkdir(parents=True)
    pq.write_table(pa.table({"id": [1, 2], "x": [0.5, 1.5]}), tmp_path / "in" / "x=7" / "a.parquet")
    LocalTask(tmp_path / "in", preprocess=same, output=tmp_path / "out").run()
    assert read(tmp_path / "out").to_pylist() == [{"id": 1, "x": 0.5}, {"id": 2, "x": 1.5}]


def test_folders_that_differ(tmp_path):
    hive(tmp_path / "in", table(), ["day"])
    pq.write_table(table().select(["id", "x", "country"]), tmp_path / "in" / "more.parquet")
    with pytest.raises(ghee.SchemaError, match="(?s)same keys.*hive_partitions: false"):
        LocalTask(tmp_path / "in", preprocess=same, output=tmp_path / "out").run()
    LocalTask(ghee.Input(tmp_path / "in", hive_partitions=False), preprocess=same, output=tmp_path / "out").run()
    got = read(tmp_path / "out")
    assert got.column_names == ["id", "x", "country"] and len(got) == 8_000


def test_what_a_uri_says_itself_is_no_column(tmp_path):
    """Only what lies below the input, or is matched by its wildcards."""
    hive(tmp_path / "in", table(), ["day", "country"])
    for k, (uri, keys) in enumerate({"in/day=2024-02-28": ["country"], "in/day=2024-03-*": ["day", "country"], "in/day=*/country=de": ["day", "country"],
                                     "in/day=2024-02-28/country=*": ["country"]}.items()):
        LocalTask(f"{tmp_path}/{uri}", preprocess=same, output=tmp_path / f"out{k}").run()
        assert read(tmp_path / f"out{k}").column_names == ["id", "x", *keys]
