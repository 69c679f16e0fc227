# SPDX-License-Identifier: Apache-2.0
"""Jobs in the calling process, for a debugger."""
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import ghee
from conftest import read_ids
from ghee.task import LocalTask

here = []  # (process, thread) of each call


def note(batch):
    here.append((os.getpid(), threading.current_thread()))
    return batch


def is_here():
    return {(os.getpid(), threading.main_thread())}


def test_all_stages_run_on_this_thread(ids, tmp_path):
    here.clear()
    result = LocalTask(ids(10_003), preprocess=ghee.Stage(note, workers=3, batch_size=1000), predict=note, postprocess=note,
                       output=tmp_path / "out").run(inline=True)
    assert set(here) == is_here() and len(here) > 30
    assert result.progress["rows_out"] == 10_003 and [s["workers"] for s in result.progress["stages"]] == [1, 1, 1]
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(10_003))


def test_no_batch_outlives_its_call(ids, tmp_path, capfd):
    LocalTask(ids(5_000), preprocess=ghee.Stage(lambda batch: {"id": batch["id"], "x": batch["x"] + 1}, batch_size=500), predict=lambda batch: batch,
              output=tmp_path / "out").run(inline=True)
    assert "keeps arrays" not in capfd.readouterr().err


def test_training_is_interleaved_with_preprocessing(ids):
    here.clear()

    def train(batches, ctx):
        here.append((os.getpid(), threading.current_thread()))
        return sorted(int(i) for batch in batches for i in batch["id"]), ctx.world

    seen, world = LocalTask(ghee.Input(ids(5_000), epochs=2), preprocess=ghee.Stage(note, workers=4), train=ghee.Stage(train, batch_size=512)).run(inline=True).value
    assert seen == sorted(list(range(5_000)) * 2) and world == 1
    assert set(here) == is_here()


def test_limit(ids, tmp_path):
    LocalTask(ids(50_000), preprocess=note, output=tmp_path / "out").run(inline=True, limit=100)
    assert 100 <= len(read_ids(tmp_path / "out")) < 50_000


def test_what_a_function_raises_is_the_cause(ids, tmp_path):
    def fail(batch):
        raise ZeroDivisionError("by the test")

    with pytest.raises(ghee.errors.UserError, match="by the test") as e:
        LocalTask(ids(100), preprocess=note, predict=fail, output=tmp_path / "out").run(inline=True)
    assert isinstance(e.value.__cause__, ZeroDivisionError) and e.value.__cause__.__traceback__.tb_next
    assert not list(tmp_path.glob("out*"))


def test_ctrl_c_in_a_function_stops_the_job(ids, tmp_path):
    def interrupt(batch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalTask(ids(100), preprocess=note, predict=interrupt, output=tmp_path / "out").run(inline=True)
    assert not list(tmp_path.glob("out*"))


def test_a_class_that_cannot_be_made(ids, tmp_path):
    class Broken:
        def __init__(self, ctx):
            raise ValueError("no model")

    with pytest.raises(ghee.errors.UserError, match="predict cannot be made.*no model") as e:
        LocalTask(ids(100), predict=Broken, output=tmp_path / "out").run(inline=True)
    assert isinstance(e.value.__cause__, ValueError)


@pytest.fixture
def job(ids, tmp_path):
    (tmp_path / "shop.py").write_text("def double(batch):\n    twice = batch['id'] * 2\n    return {'id': twice}\n")
    (tmp_path / "job.yaml").write_text(f"input: {{uri: {ids(1000)}}}\npreprocess: {{run: 'shop:double', workers: 2, batch_size: 100}}\noutput: {{uri: out}}\n")
    return tmp_path / "job.yaml"


def test_command_line(job):
    done = subprocess.run(["ghee", "run", "--inline", "--quiet", str(job)], env={**os.environ, "GHEE_PYTHON": sys.executable}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1000 rows in, 1000 rows out" in done.stdout
    assert np.array_equal(read_ids(job.parent / "out"), np.arange(1000) * 2)


def test_breakpoints_of_pdb(job):
    commands = f"b {job.parent}/shop.py:3\nc\np 'sum', int(twice.sum())\nclear 1\nc\nq\n"
    done = subprocess.run([sys.executable, "-m", "pdb", "-m", "ghee.inline", "--quiet", str(job)], input=commands, capture_output=True, text=True, timeout=60)
    assert f"('sum', {sum(range(100)) * 2})" in done.stdout
    assert np.array_equal(read_ids(job.parent / "out"), np.arange(1000) * 2)


def test_exit_codes_of_the_command_line(tmp_path, job):
    def code(path):
        return subprocess.run([sys.executable, "-m", "ghee.inline", str(path)], capture_output=True, text=True)

    missing = code(tmp_path / "none.yaml")
    assert missing.returncode == 4 and "cannot open the description" in missing.stderr
    (tmp_path / "shop.py").write_text("def double(batch):\n    return batch['nothing']\n")
    failed = code(job)
    assert failed.returncode == 13 and "KeyError" in failed.stderr
