# SPDX-License-Identifier: Apache-2.0
"""What lies at an output that a job adds to is looked at before any work: files without a manifest, another format, other partitions."""
import json
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ghee
from conftest import program
from ghee.task import LocalTask


@ghee.arrow
def same(batch):
    return batch


@ghee.arrow
def never(batch):
    raise RuntimeError("work has begun")


def none(batch):
    return {name: column[:0] for name, column in batch.items()}


def refuse_odd(batch, ctx):
    even = batch["id"] % 2 == 0
    ctx.reject(np.flatnonzero(~even), "odd")
    return {name: column[even] for name, column in batch.items()}


@pytest.fixture
def source(tmp_path):
    (tmp_path / "in").mkdir()
    ids = np.arange(100)
    pq.write_table(pa.table({"id": ids, "key": ids % 3, "k=2": ids % 2}), tmp_path / "in" / "a.parquet")
    return tmp_path / "in"


def write(source, out, function=same, **output):
    LocalTask(source, preprocess=function, output=ghee.Output(out, **output)).run()


def seen(folder):
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*")}


def refused(error, words, source, out, **output):
    before = seen(out) if out.exists() else None
    with pytest.raises(error) as e:
        write(source, out, never, **output)
    assert all(word in str(e.value) for word in [out.name, *words]), str(e.value)
    assert (seen(out) if out.exists() else None) == before
    assert sorted(p.name for p in out.parent.iterdir() if p.name.startswith(".")) == []


ADDING = [{"mode": "append"}, {"mode": "append", "partition_by": ["key"]}, {"mode": "overwrite_partitions", "partition_by": ["key"]}]


@pytest.mark.parametrize("adding", ADDING)
def test_files_without_a_manifest(source, tmp_path, adding):
    """As Spark and pyarrow leave them; what does not count as input does not count here."""
    out = tmp_path / "out"
    (out / "key=1").mkdir(parents=True)
    (out / "_SUCCESS").touch()
    (out / ".part.crc").touch()
    (out / "key=1" / "part-0.parquet").write_bytes((source / "a.parquet").read_bytes())
    refused(ghee.ExistsError, ["key=1/part-0.parquet", "no _manifest.json", "remove them yourself"], source, out, **adding)
    (out / "key=1" / "part-0.parquet").unlink()
    write(source, out, **adding)
    assert sum(f["rows"] for f in json.loads((out / "_manifest.json").read_text())["files"]) == 100


def test_a_file_is_no_output(source, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ghee.ExistsError, match="out is a file, not a folder"):
        write(source, tmp_path / "out", never, mode="append")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("adding", ADDING)
def test_another_format(source, tmp_path, adding):
    out, keys = tmp_path / "out", {k: v for k, v in adding.items() if k != "mode"}
    write(source, out, **keys)
    refused(ghee.InvalidError, ["parquet", "csv", "another place"], source, out, format="csv", **adding)
    write(source, out, codec="snappy", **adding)


@pytest.mark.parametrize("was, job", [([], ["key"]), (["key"], []), (["key"], ["k=2"]), (["key", "k=2"], ["k=2", "key"]), (["key", "k=2"], ["key"]), (["key"], ["key", "k=2"])])
def test_other_partitions(source, tmp_path, was, job):
    out = tmp_path / "out"
    write(source, out, partition_by=was or None)
    for mode in ["append", "overwrite_partitions"] if job else ["append"]:
        refused(ghee.InvalidError, [f"[{', '.join(was)}]", f"[{', '.join(job)}]", "another place"], source, out, partition_by=job or None, mode=mode)
        write(source, out, partition_by=was or None, mode="append")
    write(source, out, partition_by=job or None, mode="overwrite")


def test_an_output_without_files_takes_everything(source, tmp_path):
    out = tmp_path / "out"
    write(source, out, none)
    write(source, out, format="csv", partition_by=["key"], mode="append")
    assert json.loads((out / "_manifest.json").read_text())["format"] == "csv"


def test_a_manifest_that_cannot_be_read(source, tmp_path):
    out = tmp_path / "out"
    write(source, out)
    (out / "_manifest.json").write_text("{")
    refused(ghee.CorruptError, ["_manifest.json"], source, out, mode="append")


def divert(source, tmp_path, name, function, dead):
    LocalTask(source, preprocess=function, output=tmp_path / name, on_reject="divert", dead_letter=dead).run()


def test_dead_letters(source, tmp_path):
    dead = tmp_path / "dead"
    for name in ["one", "two"]:
        divert(source, tmp_path, name, refuse_odd, dead)
    assert sum(f["rows"] for f in json.loads((dead / "_manifest.json").read_text())["files"]) == 100
    (dead / "_manifest.json").unlink()
    with pytest.raises(ghee.ExistsError, match="dead holds files but no _manifest.json.* name another place"):
        divert(source, tmp_path, "three", never, dead)
    write(source, tmp_path / "table")
    with pytest.raises(ghee.InvalidError, match="table: its files are parquet, the job's would be jsonl.* name another dead_letter"):
        divert(source, tmp_path, "three", never, tmp_path / "table")
    assert not (tmp_path / "three").exists()


def test_an_output_without_rows_as_input(source, tmp_path):
    write(source, tmp_path / "empty", none)
    job = json.loads((tmp_path / "empty" / "_manifest.json").read_text())["job"]
    with pytest.raises(ghee.NotFoundError, match=f"empty is an output without rows: job {job}, "):
        write(tmp_path / "empty", tmp_path / "out")


def test_verify_says_what_is_no_output(source, tmp_path):
    for place, words in [(source, "in holds no _manifest.json: it is no output of ghee"), (tmp_path / "nowhere", "there is nothing at ")]:
        said = subprocess.run([program(), "verify", place], capture_output=True, text=True)
        assert said.returncode == 4 and words in said.stderr
