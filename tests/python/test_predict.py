# SPDX-License-Identifier: Apache-2.0
"""Jobs with an output: every row comes out once, and what goes wrong says so."""
import gzip
import json
import os
import pathlib
import signal
import time

import numpy as np
import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

import ghee
from conftest import read_ids
from ghee.task import LocalTask
from storages import chunks_of


def double(batch):
    return {"id": batch["id"], "x": batch["x"] * 2}


class AddOne:
    def __init__(self, ctx):
        self.add = ctx.params.get("add", 1)

    def __call__(self, batch):
        return {"id": batch["id"], "x": batch["x"] + self.add}


def test_preprocess_alone(ids, tmp_path):
    result = LocalTask(ids(10_003), preprocess=ghee.Stage(double, workers=2), output=tmp_path / "out").run()
    assert result.progress["rows_in"] == result.progress["rows_out"] == 10_003
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(10_003))
    assert np.array_equal(read_ids(tmp_path / "out", "x"), np.arange(10_003).astype(float))
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_who_starts_late_is_not_slow(ids, tmp_path):
    """One batch goes through: nobody waits between batches, whatever came before the first and behind the last."""

    class Late:
        def __init__(self, ctx):
            time.sleep(1.2)

        def __call__(self, batch):
            return batch

    task = LocalTask(ids(10, files=1), preprocess=double, predict=Late, postprocess=double, output=tmp_path / "out")
    progress = task.run().progress
    assert [(s["starved"], s["blocked"]) for s in progress["stages"]] == [(0, 0)] * 3 and progress["verdict"] == ""


def test_manifest_says_when(ids, tmp_path):
    before = time.time()
    LocalTask(ids(10), preprocess=double, output=tmp_path / "out").run()
    assert before <= json.loads((tmp_path / "out" / "_manifest.json").read_text())["created_ms"] / 1000 + 0.001 <= time.time() + 0.001


def test_manifest_says_which_chunks_are_in_which_files(ids, tmp_path):
    def manifest_of(last, **output):
        task = dict(preprocess=ghee.Stage(lambda batch: {"id": batch["id"][batch["id"] < last]}, workers=3, batch_size=100))
        LocalTask(folder, **task, output=ghee.Output(tmp_path / "out", **output)).run()
        return json.loads((tmp_path / "out" / "_manifest.json").read_text())

    folder = ids(10_000, files=8)
    first = manifest_of(7_500, target_file_size="1KiB")
    chunks = chunks_of(first, first["job"])
    assert len(chunks) >= 8 and chunks == list(range(len(chunks)))
    assert sum(f["rows"] for f in first["files"]) == 7_500
    assert {f["commit"] for f in first["files"]} <= set(range(len(first["commits"])))

    second = manifest_of(0, mode="append")  # no row comes through
    assert second["files"] == [{**f, "commit": g["commit"]} for f, g in zip(first["files"], second["files"])]
    assert [c["chunks"] for c in second["commits"] if c["job"] == second["job"]] == [f"0-{len(chunks) - 1}"]
    jobs = {second["commits"][f["commit"]]["job"] for f in second["files"]}
    assert jobs == {first["job"]}


def test_three_stages(ids, tmp_path):
    LocalTask(ids(20_000), preprocess=ghee.Stage(double, workers=3, batch_size=256), predict=ghee.Stage(AddOne, workers=2, args={"add": 5}),
              postprocess=ghee.Stage(double, workers=2), output=ghee.Output(tmp_path / "out", target_file_size="32KiB")).run()
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(20_000))
    assert np.array_equal(read_ids(tmp_path / "out", "x"), (np.arange(20_000) + 5) * 2.0)
    assert len(list((tmp_path / "out").glob("*.parquet"))) > 1


def test_rows_may_be_dropped_and_added(ids, tmp_path):
    def odd_twice(batch):
        keep = batch["id"] % 2 == 1
        return {"id": np.repeat(batch["id"][keep], 2)}

    LocalTask(ids(5_000), preprocess=odd_twice, output=tmp_path / "out").run()
    assert np.array_equal(read_ids(tmp_path / "out"), np.repeat(np.arange(1, 5_000, 2), 2))


@pytest.mark.parametrize("rows", [0, 1])
def test_tiny_inputs(ids, tmp_path, rows):
    LocalTask(ids(rows, files=1), preprocess=ghee.Stage(double, workers=3), predict=ghee.Stage(AddOne, workers=2), output=tmp_path / "out").run()
    assert len(read_ids(tmp_path / "out")) == rows
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_columns_types_and_nulls_survive(tmp_path):
    table = pa.table({
        "id": pa.array([1, 2, None, 4]), "text": ["a", None, "", "żółć"], "raw": [b"\x00", b"", None, b"xyz"], "flag": [True, None, False, True],
        "when": pa.array([0, None, 10**12, 5], pa.timestamp("us", "Europe/Berlin")), "day": pa.array([1, 2, None, 4], pa.date32()),
        "f16": pa.array(np.array([1, 2, 3, 4], np.float16)), "list": [[1], [], None, [2, 3]]})
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in" / "a.parquet")

    @ghee.arrow
    def same(batch):
        return batch

    LocalTask(tmp_path / "in", preprocess=same, output=tmp_path / "out").run()
    (out,) = (tmp_path / "out").glob("*.parquet")
    assert pq.read_table(out).to_pydict() == table.to_pydict()


def test_binary_columns_of_fixed_width_are_views(tmp_path):
    keys = [b"\x00ab\x00", None, b"\xff\x00\x00\x00"]
    table = pa.table({"key": pa.array(keys, pa.binary(4)), "whole": pa.array([k or b"none" for k in keys], pa.binary(4))})
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in" / "keys.parquet")

    def look(batch):
        assert batch["whole"].dtype == np.dtype("V4") and not batch["whole"].flags.owndata
        assert batch["whole"].view(np.uint8).reshape(-1, 4)[0].tolist() == [0, 97, 98, 0]
        assert batch["key"].mask.tolist() == [False, True, False]
        return batch

    LocalTask(tmp_path / "in", preprocess=look, output=tmp_path / "out").run()
    (out,) = (tmp_path / "out").glob("*.parquet")
    assert pq.read_table(out).to_pydict() == table.to_pydict() and pq.read_schema(out).field("key").type == pa.binary(4)


def test_tensor_columns_survive_every_hop(ids, tmp_path):
    def stack(batch):
        return {"id": batch["id"], "m": np.stack([np.stack([batch["x"]] * 3, 1)] * 2, 1).astype(np.float32)}

    def check(batch):
        assert batch["m"].shape[1:] == (2, 3) and batch["m"].dtype == np.float32
        return {"id": batch["id"], "s": batch["m"].sum((1, 2))}

    LocalTask(ids(3_000), preprocess=ghee.Stage(stack, workers=2), predict=check, output=tmp_path / "out").run()
    assert np.allclose(read_ids(tmp_path / "out", "s"), np.arange(3_000) * 3)


def test_pandas_and_rows(ids, tmp_path):
    @ghee.pandas
    def frame(df):
        df["y"] = df["x"] + 1
        return df

    @ghee.rows
    def by_row(rows):
        return [{"id": r["id"], "label": f"row {r['id']}", "y": r["y"]} for r in rows]

    LocalTask(ids(500), preprocess=frame, predict=by_row, output=tmp_path / "out").run()
    assert np.array_equal(read_ids(tmp_path / "out", "y"), np.arange(500) / 2 + 1)
    assert sorted(read_ids(tmp_path / "out", "label")) == sorted(f"row {k}" for k in range(500))


def test_output_that_exists_is_refused(ids, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("keep")
    with pytest.raises(ghee.ExistsError, match="out"):
        LocalTask(ids(10), preprocess=double, output=tmp_path / "out").run()
    assert (tmp_path / "out" / "mine").read_text() == "keep"


def test_overwrite_and_append(ids, tmp_path):
    source = ids(100)
    for _ in range(2):
        LocalTask(source, preprocess=double, output=ghee.Output(tmp_path / "out", mode="overwrite")).run()
        assert np.array_equal(read_ids(tmp_path / "out"), np.arange(100))
    LocalTask(source, preprocess=double, output=ghee.Output(tmp_path / "out", mode="append")).run()
    assert np.array_equal(read_ids(tmp_path / "out"), np.repeat(np.arange(100), 2))


def nothing_left(tmp_path, expected):
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(expected)


def test_missing_input(tmp_path):
    with pytest.raises(ghee.NotFoundError, match="nowhere"):
        LocalTask(tmp_path / "nowhere", preprocess=double, output=tmp_path / "out").run()
    nothing_left(tmp_path, [])


@pytest.mark.parametrize("codec", ["uncompressed", "zlib", "snappy", "lz4", "zstd"])
def test_orc_is_read(tmp_path, codec):
    words = [f"row {i % 100}" if i % 7 else None for i in range(20_000)]
    table = pa.table({"id": np.arange(20_000), "x": np.arange(20_000) / 2, "word": words})
    pyarrow.orc.write_table(table, tmp_path / "a.orc", compression=codec, stripe_size=1 << 16)
    LocalTask(tmp_path / "a.orc", predict=lambda batch: {"id": batch["id"], "x": batch["x"], "word": batch["word"]}, output=tmp_path / "out").run()
    assert pq.read_table(tmp_path / "out").sort_by("id").equals(table)


def test_orc_is_not_written(ids, tmp_path):
    with pytest.raises(ghee.InvalidError, match="format orc can only be read"):
        LocalTask(ids(10), preprocess=double, output=ghee.Output(tmp_path / "out", format="orc")).run()


def test_avro_is_named(tmp_path):
    (tmp_path / "a.avro").write_bytes(b"Obj\x01")
    with pytest.raises(ghee.UnsupportedError, match="a.avro is Avro"):
        LocalTask(tmp_path / "a.avro", preprocess=double, output=tmp_path / "out").run()


def test_orc_that_is_none(tmp_path):
    (tmp_path / "a.orc").write_bytes(b"ORC and nothing that an ORC file has")
    with pytest.raises(ghee.CorruptError, match="a.orc: not an ORC file, or truncated"):
        LocalTask(tmp_path / "a.orc", preprocess=double, output=tmp_path / "out").run()


@pytest.mark.parametrize("name, codec", [("a.csv.gz", "gzip"), ("a.csv.zst", "zstd"), ("a.jsonl.gz", "gzip"), ("a.ndjson.gz", "gzip"), ("a.ndjson.zst", "zstd")])
def test_packed_text(tmp_path, name, codec):
    lines = (f"{i},{i / 2}\n" if "csv" in name else json.dumps({"id": i, "x": i / 2}) + "\n" for i in range(50_000))
    with pa.output_stream(tmp_path / name, compression=codec) as out:
        out.write((("id,x\n" if "csv" in name else "") + "".join(lines)).encode())
    result = LocalTask(tmp_path / name, preprocess=ghee.Stage(double, workers=2), output=tmp_path / "out").run()
    assert result.progress["rows_in"] == 50_000
    assert np.array_equal(read_ids(tmp_path / "out", "x"), np.arange(50_000).astype(float))


def test_packed_text_that_unpacks_to_too_much(tmp_path):
    with gzip.open(tmp_path / "a.csv.gz", "wb") as out:
        out.write(b"id,x\n" + b"1,2\n" * 500_000)
        for _ in range(100):
            out.write(b"7" * (1 << 20))
    assert (tmp_path / "a.csv.gz").stat().st_size < 1 << 20
    with pytest.raises(ghee.CorruptError, match=r"a.csv.gz: line 500002 \(byte 2000005\): no line ends in the 64 MiB behind its start"):
        LocalTask(tmp_path / "a.csv.gz", preprocess=double, output=tmp_path / "out").run()


def test_packed_text_cut_short(ids, tmp_path):
    whole = gzip.compress(b"id,x\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(500_000)))
    (tmp_path / "a.csv.gz").write_bytes(whole[:-1000])
    with pytest.raises(ghee.CorruptError, match="a.csv.gz: line .*: truncated: its gzip data has no end at byte"):
        LocalTask(tmp_path / "a.csv.gz", preprocess=double, output=tmp_path / "out").run()


def test_empty_folder(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(ghee.NotFoundError, match="in"):
        LocalTask(tmp_path / "in", preprocess=double, output=tmp_path / "out").run()
    nothing_left(tmp_path, ["in"])


@pytest.mark.parametrize("damage", [lambda d: d[:len(d) // 2], lambda d: b"not parquet at all" * 20, lambda d: b""])
def test_bad_file_in_the_middle(ids, tmp_path, damage):
    folder = ids(1_000)
    path = folder / "part-2.parquet"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ghee.CorruptError, match="part-2.parquet"):
        LocalTask(folder, preprocess=double, output=tmp_path / "out").run()
    nothing_left(tmp_path, ["ids"])


def test_schemas_that_differ(ids, tmp_path):
    folder = ids(1_000)
    pq.write_table(pa.table({"id": ["text"], "x": [1.0]}), folder / "part-9.parquet")
    with pytest.raises(ghee.SchemaError, match="part-9.parquet(.|\n)*id"):
        LocalTask(folder, preprocess=double, output=tmp_path / "out").run()


def test_column_that_is_not_there(ids, tmp_path):
    with pytest.raises(ghee.NotFoundError, match="rating"):
        LocalTask(ghee.Input(ids(10), columns=["id", "rating"]), preprocess=double, output=tmp_path / "out").run()


def test_function_that_raises(ids, tmp_path):
    def bad(batch):
        return {"id": batch["id"][len(batch["nothing"])]}

    with pytest.raises(ghee.UserError) as e:
        LocalTask(ids(1_000), preprocess=ghee.Stage(bad, workers=2), output=tmp_path / "out").run()
    text = str(e.value)
    assert "KeyError" in text and "nothing" in text and "preprocess" in text and "part-" in text and "test_predict.py" in text
    nothing_left(tmp_path, ["ids"])


def test_function_that_returns_other_lengths(ids, tmp_path):
    with pytest.raises(ghee.UserError, match="x"):
        LocalTask(ids(100), preprocess=lambda b: {"id": b["id"], "x": b["x"][1:]}, output=tmp_path / "out").run()


def test_rows_same(ids, tmp_path):
    with pytest.raises(ghee.UserError, match="rows: same"):
        LocalTask(ids(100), preprocess=ghee.Stage(lambda b: {"id": b["id"][1:]}, rows="same"), output=tmp_path / "out").run()


def test_function_that_returns_other_types_than_before(ids, tmp_path):
    def turns(batch):
        return {"id": batch["id"] if batch["id"][0] < 500 else batch["id"].astype(str)}

    with pytest.raises(ghee.SchemaError, match="id"):
        LocalTask(ids(1_000, files=1, group=100), preprocess=ghee.Stage(turns, batch_size=100), output=tmp_path / "out").run()


def test_function_that_prints_a_lot(ids, tmp_path):
    def loud(batch):
        for _ in range(200):
            print("x" * 1000)
        return batch

    LocalTask(ids(10_000), preprocess=ghee.Stage(loud, batch_size=100), output=tmp_path / "out").run()
    assert len(read_ids(tmp_path / "out")) == 10_000


@pytest.mark.parametrize("how, what", [(lambda: os._exit(3), "code 3"), (lambda: os.kill(os.getpid(), signal.SIGSEGV), "SIGSEGV")])
def test_function_that_kills_its_process(ids, tmp_path, how, what):
    def deadly(batch):
        if 700 in batch["id"]:
            how()
        return batch

    with pytest.raises(ghee.CrashedError) as e:
        LocalTask(ids(1_000), preprocess=ghee.Stage(deadly, workers=2), output=tmp_path / "out", max_crashes=3).run()
    assert what in str(e.value) and "part-2.parquet" in str(e.value)
    nothing_left(tmp_path, ["ids"])


def test_time_limit(ids, tmp_path):
    def waits(batch):
        import threading

        threading.Event().wait()

    with pytest.raises(ghee.GheeError, match="limit") as e:
        LocalTask(ids(100), preprocess=ghee.Stage(waits, timeout=0.3), output=tmp_path / "out").run()
    assert e.value.status == 15


def test_memory_limit(ids, tmp_path):
    def leaks(batch, keep=[]):
        keep.append(np.ones(20_000_000))
        return batch

    with pytest.raises(ghee.LimitError, match="memory"):
        LocalTask(ids(100_000), preprocess=ghee.Stage(leaks, memory="600MiB", batch_size=100), output=tmp_path / "out").run()


def test_more_workers_than_chunks(ids, tmp_path):
    LocalTask(ids(10, files=1), preprocess=ghee.Stage(double, workers=8), predict=ghee.Stage(AddOne, workers=4), output=tmp_path / "out").run()
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(10))


def test_a_slow_worker_does_not_hold_what_others_could_do(ids, tmp_path):
    """Worker 0 stays in its first batch until worker 1 has done all chunks but the two that one worker may hold."""
    os.mkfifo(tmp_path / "done")

    def work(batch, ctx, calls=[]):
        if len(calls) == 0 and ctx.worker == 0:
            open(ctx.params["done"]).close()
        calls.append(batch)
        if len(calls) == ctx.params["rest"] and ctx.worker == 1:
            open(ctx.params["done"], "w").close()
        return {"id": batch["id"]}

    args = {"done": str(tmp_path / "done"), "rest": (8 - 2) * 8}
    task = LocalTask(ids(64, files=64, group=1), preprocess=ghee.Stage(work, workers=2, timeout=30, args=args), output=tmp_path / "out")
    assert json.loads(task.explain(json=True))["chunks"] == 8  # of eight batches each
    task.run()
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(64))


def test_rejects_stop_or_divert(ids, tmp_path):
    def picky(batch, ctx):
        bad = np.flatnonzero(batch["id"] % 100 == 7)
        if len(bad):
            ctx.reject(bad, "ends in 07")
        keep = batch["id"] % 100 != 7
        return {"id": batch["id"][keep]}

    source = ids(1_000)
    with pytest.raises(ghee.UserError, match="ends in 07"):
        LocalTask(source, preprocess=picky, output=tmp_path / "out").run()
    result = LocalTask(source, preprocess=picky, output=tmp_path / "out", on_reject="divert", dead_letter=tmp_path / "dead").run()
    assert result.progress["rejected"] == 10
    assert len(read_ids(tmp_path / "out")) == 990
    lines = "".join(p.read_text() for p in (tmp_path / "dead").glob("*.jsonl")).splitlines()
    assert len(lines) == 10 and all("ends in 07" in line for line in lines)



def test_refused_rows_count_once_whatever_dies(ids, tmp_path):
    """Workers that write many small files die again and again: every row is in the output or in the dead letters, once."""
    marks = tmp_path / "marks"
    marks.mkdir()

    def refuse_tenth(batch, ctx):
        first = int(batch["id"][0])
        mark = marks / str(first)
        if first % 700 == 0 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        tenth = batch["id"] % 10 == 0
        ctx.reject(np.flatnonzero(tenth), "a tenth")
        return {"id": batch["id"][~tenth]}

    result = LocalTask(ids(7_000, group=100), ghee.Stage(refuse_tenth, workers=2, batch_size=100), output=ghee.Output(tmp_path / "out", target_file_size=1),
                       on_reject="divert", dead_letter=tmp_path / "dead").run()
    assert len(list(marks.iterdir())) >= 5
    every = np.arange(7_000)
    assert np.array_equal(read_ids(tmp_path / "out"), every[every % 10 != 0])
    refused = [json.loads(line) for file in (tmp_path / "dead").glob("*.jsonl") for line in file.read_text().splitlines()]
    assert sorted((r["file"][-9:-8], r["row"]) for r in refused) == [(str(k), row) for k in range(4) for row in range(0, 1750, 10)]
    assert result.progress["rejected"] == 700

def test_views_that_are_kept_stay_right(ids, tmp_path):
    kept = []

    def keeper(batch):
        kept.append((batch["id"], batch["id"].copy()))
        for view, copy in kept:
            assert np.array_equal(view, copy)
        return batch

    LocalTask(ids(20_000), preprocess=lambda b: b, predict=ghee.Stage(keeper), output=tmp_path / "out", buffer="1MiB").run()
    assert len(read_ids(tmp_path / "out")) == 20_000


def test_limit(ids, tmp_path):
    LocalTask(ids(100_000), preprocess=double, output=tmp_path / "out").run(limit=5_000)
    assert 5_000 <= len(read_ids(tmp_path / "out")) < 100_000


def test_two_jobs_of_one_name(ids, tmp_path):
    def nested(batch):
        with pytest.raises(ghee.BusyError, match="twin"):
            LocalTask(source, preprocess=double, output=tmp_path / "other", name="twin").run()
        return batch

    source = ids(10, files=1)
    LocalTask(source, preprocess=nested, output=tmp_path / "out", name="twin").run()
    assert pathlib.Path(tmp_path / "out").exists() and not (tmp_path / "other").exists()


@pytest.mark.parametrize("size", [64, 100, 250, 1000])
def test_later_stages_get_batches_of_their_size(ids, tmp_path, size):
    """Within a chunk; only its last batch is smaller."""

    def sized(batch):
        return {"id": batch["id"], "n": np.full(len(batch["id"]), len(batch["id"]))}

    LocalTask(ids(10_000, files=2, group=2_500), preprocess=ghee.Stage(lambda b: {"id": b["id"][b["id"] % 5 != 0]}, workers=2, batch_size=100),
              predict=ghee.Stage(sized, workers=2, batch_size=size), output=tmp_path / "out").run()
    ids_out = np.concatenate([pq.read_table(f)["id"].to_numpy() for f in sorted((tmp_path / "out").glob("*.parquet"))])
    assert np.array_equal(np.sort(ids_out), [k for k in range(10_000) if k % 5])
    sizes = np.bincount(read_ids(tmp_path / "out", "n"), minlength=size + 1)
    assert len(sizes) == size + 1 and sizes[size] >= 8_000 - 4 * size
    assert np.count_nonzero(sizes) <= 5
