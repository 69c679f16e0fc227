# SPDX-License-Identifier: Apache-2.0
"""What users get wrong, through the `ghee` program: each has its exit code, a first line that says what, where and what to do, and nothing
of the job stays behind (conftest looks for processes and /dev/shm)."""
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from conftest import jobs, left_over, program, read_ids

ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="needs root for a file system of its own")
NOBODY = 65534


def write(path, table):
    """A table in the format of the path's suffix."""
    suffix = path.suffix[1:]
    if suffix == "parquet":
        pq.write_table(table, path, row_group_size=100)
    elif suffix == "csv":
        pa.csv.write_csv(table, path)
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    else:
        pa.feather.write_feather(table, path, compression="uncompressed")


@pytest.fixture
def folder(tmp_path):
    """folder(format): three files of ids and x in the folder `ids`."""

    def make(suffix):
        (tmp_path / "ids").mkdir()
        for k in range(3):
            write(tmp_path / "ids" / f"part-{k}.{suffix}", pa.table({"id": np.arange(300 * k, 300 * k + 300), "x": np.arange(300) / 2}))
        return tmp_path / "ids"

    return make


# ---- input ----

def test_missing_input(refused):
    refused(4, "nowhere", "input", input={"uri": "nowhere"})


def test_empty_folder(refused, tmp_path):
    (tmp_path / "ids").mkdir()
    refused(4, "ids holds no files")


def test_unreadable_input(ghee_cli, describe, folder, tmp_path, own_state):
    (folder("csv") / "part-1.csv").chmod(0)
    describe()
    if os.getuid() != 0:
        done = ghee_cli("run", "--quiet", "job.yaml")
    else:  # root reads everything: somebody else runs it
        for path in [*tmp_path.parents, own_state]:
            if path.stat().st_uid == 0 and str(path).startswith("/tmp/"):
                path.chmod(0o777 if path == own_state else 0o755)
        tmp_path.chmod(0o777)
        done = ghee_cli("run", "--quiet", "job.yaml", user=NOBODY)
    assert done.returncode == 5 and re.search("part-1.csv: Permission denied.*permissions", done.stderr)


def damage_half(data):
    return data[:len(data) // 2 + 3]


def damage_foreign(data):
    return b"\x7fELF" + bytes(range(256)) * 8


def damage_empty(data):
    return b""


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl", "arrow"])
@pytest.mark.parametrize("damage", [damage_half, damage_foreign, damage_empty])
def test_bad_file_in_the_middle(refused, folder, ghee_cli, describe, suffix, damage):
    path = folder(suffix) / f"part-1.{suffix}"
    path.write_bytes(damage(path.read_bytes()))
    if damage is damage_empty and suffix in ("csv", "jsonl"):  # an empty text file is one without rows
        describe()
        done = ghee_cli("run", "--json", "--quiet", "job.yaml")
        assert done.returncode == 0 and json.loads(done.stdout)["rows_out"] == 600
        return
    code = 7 if suffix == "csv" and damage is damage_foreign else 6  # any bytes are CSV; they are not these columns
    shown = refused(code, f"part-1.{suffix}", "take it out|repair")
    assert not re.search("[\x00-\x08\x0e-\x1f]", shown)


def test_damage_inside_a_parquet_file(refused, folder):
    path = folder("parquet") / "part-1.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:400] + bytes(len(data) // 2) + data[400 + len(data) // 2:])
    refused(6, "part-1.parquet")


@pytest.mark.parametrize("suffix, table, word", [
    ("parquet", {"id": ["a"], "x": [1.0]}, "column id is string, was int64"), ("parquet", {"id": [1]}, "column x is missing"),
    ("arrow", {"id": [1], "x": [1.0], "z": [2]}, "column z is new"), ("csv", {"id": [1], "y": [1.0]}, "column x is missing")])
def test_schemas_that_differ(refused, folder, suffix, table, word):
    write(folder(suffix) / f"part-9.{suffix}", pa.table(table))
    refused(7, f"part-9.{suffix}", word, "take it out")


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_values_that_are_not_of_the_type_of_the_first_file(refused, folder, suffix):
    write(folder(suffix) / f"part-9.{suffix}", pa.table({"id": ["abc"], "x": [1.0]}))
    refused(6, f"part-9.{suffix}", "line [12]", "abc")


def test_formats_that_are_mixed(refused, folder, tmp_path):
    folder("parquet")
    write(tmp_path / "ids" / "part-0.csv", pa.table({"id": [1], "x": [1.0]}))
    refused(3, "mixes formats", "part-0.csv is csv", "part-0.parquet is parquet")


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl", "arrow"])
def test_a_column_that_does_not_exist(refused, folder, suffix):
    folder(suffix)
    refused(4, "no column rating", "id, x", input={"uri": "ids", "columns": ["id", "rating"]})


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl", "arrow"])
@pytest.mark.parametrize("rows", [0, 1])
def test_no_row_and_one_row(ghee_cli, describe, tmp_path, suffix, rows):
    (tmp_path / "ids").mkdir()
    write(tmp_path / "ids" / f"part.{suffix}", pa.table({"id": pa.array(range(rows), pa.int64()), "x": pa.array([0.5] * rows, pa.float64())}))
    describe(preprocess={"run": "f:same", "workers": 3}, predict={"run": "f:same", "workers": 2})
    done = ghee_cli("run", "--json", "--quiet", "job.yaml")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows_out"] == rows == len(read_ids(tmp_path / "out")) and (tmp_path / "out" / "_SUCCESS").exists()


# ---- description ----

@pytest.mark.parametrize("text, position, words", [
    ("input: {uri: ids}\npreproces: {run: 'f:same'}\noutput: {uri: out}\n", "2:12", "unknown key 'preproces'.*did you mean 'preprocess'"),
    ("input: {uri: ids}\npreprocess: {run: 'f:same', worker: 2}\noutput: {uri: out}\n", "2:37", "unknown key 'worker'.*'workers'"),
    ("input: {uri: ids}\npreprocess: {run: 'f:same', workers: many}\noutput: {uri: out}\n", "2:38", "whole number.*many"),
    ("input: {uri: ids}\npreprocess: {run: 'f:same', memory: 2Gx}\noutput: {uri: out}\n", "2:37", "size like 256MiB.*2Gx"),
    ("input: {uri: ids, format: parket}\npreprocess: {run: 'f:same'}\noutput: {uri: out}\n", "1:27", "parket.*parquet, csv"),
    ("input: {uri: ids\npreprocess: {run: 'f:same'}\n", "2:11", "expected"),
    ("input: {uri: ids}\npreprocess: {run: 'f:same'}\n", "1:1", "no output.*output: "),
    ("input: {uri: ids}\noutput: {uri: out}\n", "1:1", "does nothing"),
    ('{"input": {"uri": "ids"},\n "preprocess": {"run": 3}, "output": {"uri": "out"}}', "2:24", 'run must be "module:function"'),
    ("input: {uri: ids}\npreprocess: {run: 'f:same', buffer: 1KiB}\noutput: {uri: out}\n", "2:13", "buffer of preprocess must be at least")])
def test_descriptions_that_are_wrong(ghee_cli, tmp_path, text, position, words):
    (tmp_path / "job.yaml").write_text(text)
    for command in (["check"], ["explain"], ["run", "--quiet"]):
        done = ghee_cli(*command, "job.yaml")
        assert done.returncode == 3 and re.search(f"job.yaml:{position}: .*{words}", done.stderr.splitlines()[0]), done.stderr


@pytest.mark.parametrize("run, code, words", [("g:same", 4, "no module g"), ("f:sane", 4, "f has no sane"), ("libg.so:same", 4, r"cannot load \S+/libg.so"),
                                              ("same", 3, "run")])
def test_functions_that_are_not_there(refused, folder, run, code, words):
    folder("csv")
    refused(code, words, preprocess={"run": run})


def test_a_budget_smaller_than_a_batch(refused, tmp_path):
    (tmp_path / "ids").mkdir()
    pq.write_table(pa.table({"id": np.arange(100_000), "x": np.zeros(100_000)}), tmp_path / "ids" / "a.parquet")
    refused(11, "one batch of 100000 rows", "`buffer` of preprocess", "lower batch_size or raise buffer",
            preprocess={"run": "f:same", "buffer": "64KiB", "batch_size": 100_000})


def test_a_budget_smaller_than_the_shuffle(refused, tmp_path):
    (tmp_path / "ids").mkdir()
    pq.write_table(pa.table({"id": np.arange(100_000), "x": np.random.default_rng(1).random(100_000)}), tmp_path / "ids" / "a.parquet")
    refused(11, "shuffling needs", "smaller row groups", input={"uri": "ids", "shuffle": True}, preprocess={"run": "f:same", "buffer": "64KiB"})


def test_a_budget_smaller_than_a_row_group_reads_it_in_batches(ghee_cli, describe, tmp_path):
    (tmp_path / "ids").mkdir()
    pq.write_table(pa.table({"id": np.arange(100_000), "x": np.random.default_rng(1).random(100_000)}), tmp_path / "ids" / "a.parquet")
    describe(preprocess={"run": "f:same", "buffer": "256KiB", "batch_size": 1000})
    assert ghee_cli("run", "--quiet", "job.yaml").returncode == 0
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(100_000))


# ---- output ----

def test_output_that_exists(refused, folder, tmp_path):
    folder("csv")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("keep")
    refused(8, "out is there already", "overwrite or append", left=["out"])
    assert (tmp_path / "out" / "mine").read_text() == "keep"


def test_output_below_a_file(refused, folder, tmp_path):
    folder("csv")
    (tmp_path / "file").write_text("")
    refused(8, "/file: a file of that name is there", left=["file"], output={"uri": "file/out"})


@ROOT_ONLY
def test_output_that_is_not_writable(ghee_cli, describe, folder, tmp_path):
    folder("csv")
    (tmp_path / "fixed").mkdir()
    describe(output={"uri": "fixed/out"})
    done = in_own_file_system(tmp_path, "ro", "fixed")
    assert done.returncode == 5 and re.search("fixed.*Read-only file system.*choose a place", done.stderr.splitlines()[0])
    assert left_over(tmp_path) == ["fixed"]


def in_own_file_system(tmp_path, options, at, env=None):
    """`ghee run` in a mount namespace where `at` is a small file system in memory; what lies there at the end goes to stdout."""
    command = f"mount -t tmpfs -o {options} none {at} && {program()} run --quiet job.yaml; code=$?; find {at} -type f; exit $code"
    return subprocess.run(["unshare", "-m", "sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "GHEE_PYTHON": sys.executable, **(env or {})})


def noise(tmp_path):
    (tmp_path / "ids").mkdir()
    for k in range(4):
        pq.write_table(pa.table({"id": np.random.default_rng(k).integers(0, 1 << 60, 100_000)}), tmp_path / "ids" / f"{k}.parquet", row_group_size=10_000)


@ROOT_ONLY
def test_a_disk_that_fills_up(describe, tmp_path):
    noise(tmp_path)
    (tmp_path / "small").mkdir()
    describe(output={"uri": "small/out"})
    done = in_own_file_system(tmp_path, "size=1m", "small")
    assert done.returncode == 10 and re.search("small/.*No space left on device.*make room", done.stderr.splitlines()[0])
    assert done.stdout == ""


@ROOT_ONLY
def test_a_full_disk_for_the_job_s_state(describe, tmp_path):
    noise(tmp_path)
    (tmp_path / "small").mkdir()
    describe()
    done = in_own_file_system(tmp_path, "size=100k", "small", {"XDG_STATE_HOME": str(tmp_path / "small")})
    assert done.returncode == 10 and re.search("small/.*(full|No space)", done.stderr.splitlines()[0]), done.stderr
    assert done.stdout == "" and left_over(tmp_path) == ["small"]


def test_a_limit_on_the_size_of_files(refused, tmp_path):
    noise(tmp_path)
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))  # noqa: E731
    refused(10, "File too large", "ulimit -f", options={"preexec_fn": limit})


# ---- the machine ----

def descriptors(n):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))


def test_32_workers_live_with_256_descriptors(ghee_cli, describe, ids, tmp_path):
    ids(20_000, files=8, group=100)
    describe(preprocess={"run": "f:same", "workers": 32}, predict={"run": "f:same", "workers": 32, "as": "numpy"})
    done = ghee_cli("run", "--quiet", "job.yaml", preexec_fn=descriptors(256))
    assert done.returncode == 0, done.stderr
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(20_000))


def test_too_few_descriptors(refused, ids):
    ids(1_000)
    refused(11, "Too many open files", "ulimit -n", preprocess={"run": "f:same", "workers": 32}, options={"preexec_fn": descriptors(18)})


def test_two_jobs_of_one_name_at_once(ghee_cli, describe, ids, tmp_path):
    ids(1_000)
    describe(name="twin", preprocess={"run": "f:gated"})
    os.mkfifo(tmp_path / "gate")
    first = subprocess.Popen([program(), "run", "--quiet", "job.yaml"], cwd=tmp_path, env={**os.environ, "GHEE_PYTHON": sys.executable})
    gate = open(tmp_path / "gate", "w")  # opens once the function waits at it
    second = ghee_cli("run", "--quiet", "job.yaml")
    assert second.returncode == 16 and "job twin is running" in second.stderr
    gate.close()
    assert first.wait() == 0 and len(read_ids(tmp_path / "out")) == 1_000


# ---- Ctrl-C ----

def interrupt_after(process, seconds):
    timer = threading.Timer(seconds, process.send_signal, [signal.SIGINT])
    timer.start()
    try:
        return process.wait(timeout=60)
    finally:
        timer.cancel()
        timer.join()


@pytest.mark.parametrize("seed", range(int(os.environ.get("GHEE_INTERRUPTS", "12"))))
def test_ctrl_c_at_any_moment(describe, ids, tmp_path, own_state, seed):
    ids(200_000, group=2_000)
    describe(preprocess={"run": "f:same", "workers": 2, "batch_size": 100}, predict={"run": "f:same", "as": "numpy", "batch_size": 100})
    process = subprocess.Popen([program(), "run", "--quiet", "job.yaml"], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "GHEE_PYTHON": sys.executable})
    code = interrupt_after(process, random.Random(seed).uniform(0, 2.5))
    words = process.stderr.read()
    assert code in (0, 130, -signal.SIGINT), words  # it was done before; it was stopped; it had hardly begun
    assert jobs(own_state) == []
    assert left_over(tmp_path) == (["out"] if code == 0 else [])
    if code == 130:
        assert words.splitlines()[-1].startswith("ghee: ") and "interrupted" in words


def test_a_named_job_that_was_interrupted_is_resumed(ghee_cli, describe, ids, tmp_path):
    ids(1_000)
    describe(name="late", preprocess={"run": "f:gated"})
    os.mkfifo(tmp_path / "gate")
    process = subprocess.Popen([program(), "run", "--quiet", "job.yaml"], cwd=tmp_path, env={**os.environ, "GHEE_PYTHON": sys.executable})
    with open(tmp_path / "gate", "w"):
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    assert json.loads(ghee_cli("status", "--json", "late").stdout)["state"] == "canceled"
    (tmp_path / "gate").unlink()
    (tmp_path / "gate").write_text("")
    assert ghee_cli("resume", "--quiet", "late").returncode == 0
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(1_000))


def test_a_second_ctrl_c_leaves_at_once(describe, ids, tmp_path, own_state):
    ids(1_000)
    describe(preprocess={"run": "f:gated"})
    os.mkfifo(tmp_path / "gate")
    process = subprocess.Popen([program(), "run", "--quiet", "job.yaml"], cwd=tmp_path, env={**os.environ, "GHEE_PYTHON": sys.executable})
    with open(tmp_path / "gate", "w"):
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    assert left_over(tmp_path) == [] and jobs(own_state) == []


# ---- large ----

@pytest.mark.skipif(not os.environ.get("GHEE_DEEP"), reason="takes 10 GB of memory: GHEE_DEEP=1")
def test_more_than_2_gib_of_text_in_a_column(ghee_cli, describe, tmp_path):
    (tmp_path / "ids").mkdir()
    pq.write_table(pa.table({"id": np.arange(2_200)}), tmp_path / "ids" / "a.parquet")
    describe(preprocess={"run": "g:long", "buffer": "8GiB", "batch_size": 2_200})
    (tmp_path / "g.py").write_text("TEXT = 'x' * (1 << 20)\ndef long(b): return {'id': b['id'], 'text': [TEXT] * len(b['id'])}\n")
    done = ghee_cli("run", "--quiet", "job.yaml", timeout=600)
    assert done.returncode == 0, done.stderr
    sizes = [pa.compute.sum(pa.compute.binary_length(pq.read_table(f)["text"])).as_py() for f in (tmp_path / "out").glob("*.parquet")]
    assert sum(sizes) == 2_200 << 20
