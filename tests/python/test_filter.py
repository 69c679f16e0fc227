# SPDX-License-Identifier: Apache-2.0
"""Inputs with a filter: the rows are those that pyarrow's filter leaves, whatever the format, and what can be ruled out is not read."""
import contextlib
import datetime
import decimal
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.ipc
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

import ghee
from conftest import read_ids
from ghee.errors import CorruptError, InvalidError, NotFoundError, SchemaError
from ghee.task import LocalTask

GHEE = shutil.which("ghee") or str(pathlib.Path(__file__).resolve().parents[2] / "build/release/ghee")
ROWS = 4_000


def same(batch):
    return batch


def people(rows=ROWS, seed=1):
    """Columns that every format holds; the second half of the ages is missing more often."""
    rng = np.random.default_rng(seed)
    return pa.table({
        "id": np.arange(rows),
        "rating": pa.array(rng.integers(0, 11, rows) / 2, mask=rng.random(rows) < 0.1),
        "country": pa.array(rng.choice(["de", "fr", "it", "pl"], rows), mask=rng.random(rows) < 0.1),
        "age": pa.array(rng.integers(0, 100, rows), mask=rng.random(rows) < 0.2),
        "active": rng.random(rows) < 0.5,
    })


def write(table, folder, format, files=3, group=250):
    folder.mkdir()
    for k in range(files):
        start, end = (len(table) * i // files for i in (k, k + 1))
        part = table.slice(start, end - start)
        path = folder / f"part-{k}.{format}"
        if format == "parquet":
            pq.write_table(part, path, row_group_size=group)
        elif format == "orc":
            pyarrow.orc.write_table(part, path, batch_size=group, stripe_size=1)
        elif format == "csv":
            pyarrow.csv.write_csv(part, path)
        elif format == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in part.to_pylist()))
        else:
            with pyarrow.ipc.new_file(path, part.schema) as to:
                to.write_table(part, max_chunksize=group)
    return folder


def passed(source, out, filter, columns=("id",), stage=None, **more):
    """The ids that pass, and the result."""
    stage = stage or ghee.Stage(None, workers=2, batch_size=300)
    result = LocalTask(ghee.Input(source, filter=filter, columns=columns, **more), preprocess=stage, output=out).run()
    return read_ids(out), result


def wanted(table, expression):
    return np.sort(table.filter(expression)["id"].to_numpy())


FILTERS = [
    ("rating >= 4 and country in ('de', 'fr') and not (age is null)",
     (pc.field("rating") >= 4) & pc.field("country").isin(["de", "fr"]) & ~pc.field("age").is_null()),
    ("not (rating >= 4 or country = 'de')", ~((pc.field("rating") >= 4) | (pc.field("country") == "de"))),
    ("age < 20 or age is null and active = true", (pc.field("age") < 20) | (pc.field("age").is_null() & pc.field("active"))),
    ("country not in ('de') and rating != 2.5", (pc.field("country") != "de") & (pc.field("rating") != 2.5)),
    ("id >= 1000 and id < 1003", (pc.field("id") >= 1000) & (pc.field("id") < 1003)),
    ("country > 'de' and country <= 'it'", (pc.field("country") > "de") & (pc.field("country") <= "it")),
]


@pytest.mark.parametrize("format", ["parquet", "orc", "ipc", "csv", "jsonl"])
def test_rows_are_those_of_pyarrow(tmp_path, format):
    table = people()
    source = write(table, tmp_path / "in", format)
    for i, (text, expression) in enumerate(FILTERS):
        ids, result = passed(source, tmp_path / f"out{i}", text)
        assert np.array_equal(ids, wanted(table, expression)), text
        assert result.progress["rows_out"] == len(ids)


def test_columns_of_the_filter_are_not_passed_on(tmp_path):
    source = write(people(), tmp_path / "in", "parquet")
    passed(source, tmp_path / "out", "rating >= 4 and age < 30", columns=("country", "id"))
    assert pq.ParquetDataset(tmp_path / "out").schema.names == ["country", "id"]
    passed(source, tmp_path / "all", "rating >= 4", columns=None)
    assert pq.ParquetDataset(tmp_path / "all").schema.names == people().column_names


def test_types(tmp_path):
    n = 900
    rng = np.random.default_rng(3)
    start = datetime.datetime(2024, 2, 28, tzinfo=datetime.timezone.utc)
    table = pa.table({
        "id": np.arange(n),
        "real": pa.array(np.where(rng.random(n) < 0.2, np.nan, rng.integers(0, 5, n) / 10)),
        "single": pa.array((rng.integers(0, 5, n) / 10).astype(np.float32)),
        "small": pa.array(rng.integers(-128, 128, n).astype(np.int8)),
        "large": pa.array(rng.integers(0, 2**63, n).astype(np.uint64) * np.uint64(2)),
        "price": pa.array([decimal.Decimal(int(c)).scaleb(-2) for c in rng.integers(-500, 500, n)], pa.decimal128(12, 2)),
        "day": pa.array([start.date() + datetime.timedelta(int(d)) for d in rng.integers(0, 5, n)]),
        "at": pa.array([start + datetime.timedelta(hours=int(h)) for h in rng.integers(0, 100, n)], pa.timestamp("us", "UTC")),
        "kind": pa.array(rng.choice(["a", "b", "c"], n)).dictionary_encode(),
        "code": pa.array([bytes([b]) for b in rng.integers(97, 100, n)]),
        "word": pa.array(rng.integers(0, 2**32, n).astype(np.uint32)),
        "old": pa.array([start.date() + datetime.timedelta(int(d)) for d in rng.integers(-800, 5, n)], pa.date64()),
        "wall": pa.array([start.replace(tzinfo=None) - datetime.timedelta(hours=int(h)) for h in rng.integers(0, 100, n)], pa.timestamp("ms")),
        "flag": rng.random(n) < 0.5,
    })
    cases = [
        ("real > 0.2", pc.field("real") > 0.2),
        ("real != 0.2", pc.field("real") != 0.2),                 # true of NaN
        ("not (real <= 0.2)", ~(pc.field("real") <= 0.2)),
        ("single = 0.1", pc.field("single") == pa.scalar(0.1, pa.float32())),
        ("small <= -0.5", pc.field("small") <= -1),
        ("large > 9223372036854775807", pc.field("large") > pa.scalar(2**63 - 1, pa.uint64())),
        ("price >= 1.5 and price < 3.005", (pc.field("price") >= decimal.Decimal("1.50")) & (pc.field("price") <= decimal.Decimal("3.00"))),
        ("day = '2024-02-29'", pc.field("day") == datetime.date(2024, 2, 29)),
        ("at < '2024-02-29 12:00+02:00'", pc.field("at") < pa.scalar(start + datetime.timedelta(hours=34), pa.timestamp("us", "UTC"))),
        ("kind in ('a', 'c')", pc.field("kind").cast(pa.string()).isin(["a", "c"])),
        ("code > 'a'", pc.field("code") > b"a"),
        ("word >= 2147483648", pc.field("word") >= pa.scalar(2**31, pa.uint32())),
        ("old < '2023-01-01'", pc.field("old") < pa.scalar(datetime.date(2023, 1, 1), pa.date64())),
        ("wall = '2024-02-27 22:00' or wall < '2024-02-25'", (pc.field("wall") == datetime.datetime(2024, 2, 27, 22)) | (pc.field("wall") < datetime.datetime(2024, 2, 25))),
        ("flag = false", ~pc.field("flag")),
    ]
    mixed = write(table, tmp_path / "mixed", "ipc")
    for i, (text, expression) in enumerate(cases):
        column = re.search("[a-z]+", text.replace("not (", ""))[0]
        assert np.array_equal(passed(mixed, tmp_path / f"mixed{i}", text)[0], wanted(table, expression)), text
        values = table[column].cast(pa.string()) if column == "kind" else table[column]
        ordered = write(table.take(pc.sort_indices(values)), tmp_path / f"ordered{i}", "parquet", files=1, group=50)
        assert np.array_equal(passed(ordered, tmp_path / f"out{i}", text)[0], wanted(table, expression)), text
        assert (explained(ordered, text)["ruled_out_splits"] > 0) == (column != "real" or text == "real > 0.2"), text


# ---- what is not read ----

def explained(source, filter):
    return json.loads(LocalTask(ghee.Input(source, filter=filter), preprocess=ghee.Stage(None), output=source.parent / "not made").explain(json=True))


def test_row_groups_that_cannot_pass_are_not_read(tmp_path):
    table = people()
    source = write(table, tmp_path / "in", "parquet", files=4)
    wanted_groups = set()
    for path in sorted(source.iterdir()):
        raw, footer = bytearray(path.read_bytes()), pq.read_metadata(path)
        for g in range(footer.num_row_groups):
            ids = footer.row_group(g).column(0).statistics
            if ids.max >= 1_100 and ids.min < 1_700:
                wanted_groups.add((path.name, g))
                continue
            for c in range(footer.num_columns):
                chunk = footer.row_group(g).column(c)
                at = chunk.dictionary_page_offset or chunk.data_page_offset
                raw[at:at + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
        path.write_bytes(raw)
    ids, _ = passed(source, tmp_path / "out", "id >= 1100 and id < 1700")
    assert np.array_equal(ids, np.arange(1_100, 1_700))
    plan = explained(source, "id >= 1100 and id < 1700")
    assert plan["splits"] == len(wanted_groups) == 3 and plan["ruled_out_splits"] == 16 - 3 and plan["ruled_out_files"] == 3
    assert plan["rows"] == -1 and plan["most_rows"] == 750
    with pytest.raises(CorruptError):
        passed(source, tmp_path / "all", "id >= 0 and active = true")


def test_stripes_of_orc_that_cannot_have_any_are_not_read(tmp_path):
    n = 2_000
    real = np.arange(n) / 8.0
    real[::100] = np.nan  # also the first of a stripe, after which its writer compares no more
    table = pa.table({
        "id": np.arange(n), "small": pa.array(np.arange(n) // 20 - 50, pa.int8()), "word": [f"w{i:05}" for i in range(n)], "real": real, "holes": pa.array([i if i >= 500 else None for i in range(n)]),
        "day": pa.array(np.arange(n, dtype=np.int32) - 1_000).cast(pa.date32()), "raw": [f"{i:05}".encode() for i in range(n)], "flag": np.arange(n) >= 1_000,
    })
    source = write(table, tmp_path / "in", "orc", files=1)
    cases = [
        ("id >= 1100 and id < 1300", (pc.field("id") >= 1_100) & (pc.field("id") < 1_300), 6), ("small < -45", pc.field("small") < -45, 7), ("word > 'w01750'", pc.field("word") > "w01750", 7),
        ("day < '1967-06-01'", pc.field("day") < datetime.date(1967, 6, 1), 7), ("holes is null", pc.field("holes").is_null(), 6), ("holes = 700", pc.field("holes") == 700, 7),
        ("real < 10", pc.field("real") < 10, None), ("flag = true", pc.field("flag"), 0),
    ]
    for i, (text, expression, ruled_out) in enumerate(cases):
        assert np.array_equal(passed(source, tmp_path / f"out{i}", text)[0], wanted(table, expression)), text
        found = explained(source, text)
        assert found["splits"] + found["ruled_out_splits"] == 8, text
        assert ruled_out is None or found["ruled_out_splits"] == ruled_out, text


def test_statistics_that_are_missing_rule_nothing_out(tmp_path):
    (tmp_path / "in").mkdir()
    pq.write_table(people(), tmp_path / "in/a.parquet", row_group_size=250, write_statistics=False)
    assert explained(tmp_path / "in", "id < 10")["ruled_out_splits"] == 0
    assert np.array_equal(passed(tmp_path / "in", tmp_path / "out", "id < 10")[0], np.arange(10))


def test_statistics_of_long_texts_and_nan(tmp_path):
    n = 400
    table = pa.table({"id": np.arange(n), "text": ["x" * 200 + f"{i:04}" for i in range(n)], "real": np.where(np.arange(n) % 100 == 7, np.nan, np.arange(n) / 1.0)})
    write(table, tmp_path / "in", "parquet", files=1)
    long = "x" * 200
    for i, (text, want) in enumerate([(f"text = '{long}0123'", [123]), (f"text > '{long}0397'", [398, 399]), ("text < 'x'", []), ("real > 397", [398, 399]),
                                      ("real != 0 and real < 2", [1]), ("not (real < 1000)", [7, 107, 207, 307])]):
        assert passed(tmp_path / "in", tmp_path / f"out{i}", text)[0].tolist() == want, text


def test_nothing_passes(tmp_path):
    for format in ("parquet", "csv"):
        source = write(people(), tmp_path / format, format)
        ids, result = passed(source, tmp_path / f"out-{format}", "id < 0")
        assert len(ids) == 0 and result.progress["rows_out"] == 0
        assert (tmp_path / f"out-{format}/_SUCCESS").exists()


# ---- jobs ----

def test_other_ways_to_run(tmp_path):
    table = people()
    source = write(table, tmp_path / "in", "parquet")
    text, expression = FILTERS[0]
    ids, _ = passed(source, tmp_path / "python", text, stage=ghee.Stage(same, workers=2, batch_size=300, form="arrow"))
    assert np.array_equal(ids, wanted(table, expression))
    ids, _ = passed(source, tmp_path / "shuffled", text, shuffle=ghee.Shuffle(seed=5, window=2))
    assert np.array_equal(ids, wanted(table, expression))
    LocalTask(ghee.Input(source, filter=text), preprocess=same, output=tmp_path / "inline").run(inline=True)
    assert np.array_equal(read_ids(tmp_path / "inline"), wanted(table, expression))


def test_each_row_once_when_a_worker_dies(tmp_path):
    table = people()
    source = write(table, tmp_path / "in", "csv")
    marker = tmp_path / "died"

    def once_dead(batch):
        if int(batch["id"][0]) > 1_500 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), 9)
        return batch

    text, expression = FILTERS[1]
    ids, _ = passed(source, tmp_path / "out", text, stage=ghee.Stage(once_dead, workers=2, batch_size=100))
    assert marker.exists() and np.array_equal(ids, wanted(table, expression))


def test_resume_goes_on_with_the_rows_that_pass(tmp_path, own_state):
    """By the program: what the first run has recorded stays, the rest follows, and each row that passes is there once."""
    table = people()
    source = write(table, tmp_path / "in", "parquet")
    ledger, stopped = own_state / "ghee/jobs/filtered/ledger.db", tmp_path / "stopped"

    def recorded():
        with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
            return {name for name, in db.execute("SELECT name FROM files")}

    def stops_once(batch):
        if batch["id"][-1] > 3_000 and not stopped.exists():
            while not recorded():
                time.sleep(0.01)
            stopped.touch()
            raise RuntimeError("stop here once")
        return batch

    text, expression = FILTERS[1]
    job = LocalTask(ghee.Input(source, filter=text, columns=["id"]), preprocess=ghee.Stage(stops_once, batch_size=100),
                    output=ghee.Output(tmp_path / "out", sort_by=["id"], target_file_size="1KiB"), name="filtered")
    with pytest.raises(ghee.UserError, match="stop here once"):
        job.run()
    before = recorded()
    done = subprocess.run([GHEE, "resume", "--quiet", "filtered"], capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "GHEE_PYTHON": sys.executable})
    assert done.returncode == 0, done.stderr
    assert before and before < {p.name for p in (tmp_path / "out").glob("part-*")}
    assert np.array_equal(read_ids(tmp_path / "out"), wanted(table, expression))


@pytest.mark.parametrize("shuffle", [None, ghee.Shuffle(seed=2, window=2)], ids=["in order", "shuffled"])
def test_resume_of_training_in_the_middle_of_an_epoch(tmp_path, shuffle):
    table = people()
    source = write(table, tmp_path / "in", "parquet")
    seen = tmp_path / "seen"

    def train(batches, ctx):
        got = list(ctx.state or [])
        resumed = len(got)
        for batch in batches:
            got += batch["id"].tolist()
            if len(got) == 100:
                ctx.checkpoint(got)
            if len(got) == 200 and not seen.exists():
                seen.touch()
                raise RuntimeError("stop here once")
        return resumed, got

    text, expression = FILTERS[0]
    job = LocalTask(ghee.Input(source, filter=text, shuffle=shuffle), preprocess=ghee.Stage(same, workers=2, batch_size=70),
                    train=ghee.Stage(train, batch_size=50, form="numpy"), name="filtered")
    with pytest.raises(ghee.UserError, match="stop here once"):
        job.run()
    resumed, got = job.resume().value
    assert resumed == 100 and np.array_equal(np.sort(got), wanted(table, expression))


def test_what_is_left_is_held_within_the_buffer(tmp_path):
    """Long rows that are gathered take more than the reader may hold, for several chunks at a time."""
    n = 1_600
    table = pa.table({"id": np.arange(n), "text": [f"{i:04}" * 2_500 for i in range(n)]})
    source = write(table, tmp_path / "in", "parquet", files=8, group=50)
    stage = ghee.Stage(same, workers=1, batch_size=40, buffer="2MiB")
    LocalTask(ghee.Input(source, filter="text >= '0100' and id != 777"), preprocess=stage, output=tmp_path / "out").run()
    want = np.array([i for i in range(100, n) if i != 777])
    assert np.array_equal(read_ids(tmp_path / "out"), want)

    def count(batches, ctx):
        return sorted(i for batch in batches for i in batch["id"].tolist())

    task = LocalTask(ghee.Input(source, filter="text >= '0100' and id != 777"), preprocess=stage, train=ghee.Stage(count, batch_size=40, form="numpy"))
    assert task.run().value == want.tolist()


def test_rows_keep_their_numbers_where_they_are_neighbours(tmp_path):
    source = write(people(), tmp_path / "in", "parquet", files=1)

    def picky(batch, ctx):
        ctx.reject(np.flatnonzero(batch["id"] % 7 == 0), "a multiple")
        return {"id": batch["id"][batch["id"] % 7 != 0]}

    for i, (text, known) in enumerate([("id >= 330 and id < 2000", True), ("country = 'de'", False)]):
        LocalTask(ghee.Input(source, filter=text), preprocess=ghee.Stage(picky, batch_size=100), output=tmp_path / f"out{i}", on_reject="divert",
                  dead_letter=tmp_path / f"dead{i}").run()
        letters = [json.loads(line) for f in (tmp_path / f"dead{i}").glob("*.jsonl") for line in f.read_text().splitlines()]
        rows = [letter["row"] for letter in letters if "row" in letter]
        assert letters and all(row % 7 == 0 for row in rows)
        if known:
            assert sorted(rows) == list(range(336, 2000, 7))


def collect(batches, ctx):
    epochs, steps = [], []
    for epoch in batches.epochs():
        got = [(np.asarray(b["id"]), b.padding) for b in epoch]
        epochs.append(np.concatenate([i for i, padding in got if not padding] or [np.zeros(0, np.int64)]))
        steps.append(len(got))
    np.savez(f"{ctx.params['out']}/{ctx.rank}.npz", steps=steps, **{str(k): e for k, e in enumerate(epochs)})
    return sum(steps)


def trained(source, out, filter, workers=2, world=2, shuffle=None):
    out.mkdir()
    LocalTask(ghee.Input(source, filter=filter, columns=["id"], epochs=2, shuffle=shuffle), preprocess=ghee.Stage(same, workers=workers, batch_size=64),
              train=ghee.Stage(collect, workers=world, batch_size=50, form="numpy", args={"out": str(out)})).run()
    return [np.load(out / f"{k}.npz") for k in range(world)]


@pytest.mark.parametrize("format", ["parquet", "csv"])
@pytest.mark.parametrize("shuffle", [None, ghee.Shuffle(seed=2, window=2)], ids=["in order", "shuffled"])
def test_train(tmp_path, format, shuffle):
    table = people()
    source = write(table, tmp_path / "in", format)
    for name, text, expression in [("some", *FILTERS[0]), ("few", "id >= 3990", pc.field("id") >= 3990)]:
        ranks = trained(source, tmp_path / name, text, shuffle=shuffle)
        for epoch in "01":
            assert np.array_equal(np.sort(np.concatenate([r[epoch] for r in ranks])), wanted(table, expression))
        assert len({tuple(r["steps"]) for r in ranks}) == 1
        if shuffle:  # else the workers say how the input is cut into chunks, and with it the order
            other = trained(source, tmp_path / f"{name}-5", text, workers=5, shuffle=shuffle)
            assert all(np.array_equal(a[epoch], b[epoch]) for a, b in zip(ranks, other) for epoch in "01")


def test_train_without_rows(tmp_path):
    ranks = trained(write(people(), tmp_path / "in", "parquet"), tmp_path / "none", "id < 0")
    assert all(r["steps"].tolist() == [0, 0] for r in ranks)


# ---- what is refused ----

def test_mistakes_are_told(tmp_path):
    source = write(people(), tmp_path / "in", "parquet", files=1)
    for filter, error, words in [("rating >= ", InvalidError, "character 11"), ("ratng >= 4", NotFoundError, '"rating" meant'),
                                 ("country = 4", SchemaError, "single quotes")]:
        with pytest.raises(error) as told:
            passed(source, tmp_path / "out", filter)
        assert words in str(told.value)
    job = json.dumps({"input": {"uri": str(source), "filter": "a ="}, "preprocess": {}, "output": {"uri": "out"}})
    done = subprocess.run([GHEE, "check", "-"], input=job, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 3 and "character 4" in done.stderr
