# SPDX-License-Identifier: Apache-2.0
"""The package as its users meet it: names, types, help, notebooks."""
import inspect
import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

import ghee
from conftest import jobs

PROGRAM = '''
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import ghee

Columns = dict[str, npt.NDArray[Any]]


def preprocess(batch: Columns, ctx: ghee.Context) -> Columns:
    bad = np.flatnonzero(batch["x"] < 0)
    ctx.reject(bad.tolist(), f"negative; worker {ctx.worker} of {ctx.workers}")
    return {"x": batch["x"] * float(ctx.params["factor"])}


@ghee.arrow
def same(batch: Any) -> Any:
    return batch


def train(batches: ghee.Batches, ctx: ghee.TrainContext) -> float:
    total = 0.0
    for epoch in batches.epochs():
        for batch in epoch:
            total += float(batch["x"].sum()) * batch.weight
        ctx.log(total=total)
        ctx.checkpoint(total)
    return total + ctx.rank + ctx.world


def main() -> float:
    task = ghee.task.LocalTask(input=ghee.Input([Path("a"), "b"], columns=["x"], shuffle=ghee.Shuffle(seed=1), epochs=2),
                               preprocess=ghee.Stage(preprocess, workers=2, args={"factor": 2}, memory="2Gi"), train=ghee.Stage(train), name="typed")
    print(task.explain(), task.check()["name"])
    try:
        result = task.run(limit=10)
    except ghee.UserError as e:
        raise SystemExit(e.status)
    again: ghee.Result = ghee.task.LocalTask("a", predict=same, output=ghee.Output(Path("out"), mode="overwrite")).run(progress=False)
    assert again.output
    return float(result.value) + float(result.progress["seconds"])
'''


def test_a_typed_program_passes_mypy(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "wrong.py").write_text("import ghee\n\nghee.Stage(len, workers='many')\nghee.task.LocalTask(3)\n")
    root = pathlib.Path(ghee.__file__).parent.parent
    mypy = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path / "cache")]
    for name, code in (("program.py", 0), ("wrong.py", 1)):
        done = subprocess.run([*mypy, name], cwd=tmp_path, capture_output=True, text=True, env={"MYPYPATH": str(root), "PATH": ""})
        assert done.returncode == code, done.stdout + done.stderr
    assert 'Argument "workers"' in done.stdout and "LocalTask" in done.stdout


def test_every_public_name_has_help():
    for name in ghee.__all__:
        thing = getattr(ghee, name)
        assert inspect.getdoc(thing) and inspect.getdoc(thing) != inspect.getdoc(type(thing)), name
    for kind in (ghee.task.LocalTask, ghee.Context, ghee.TrainContext, ghee.Batches):
        for name, member in inspect.getmembers(kind):
            if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)) and name != "description":
                assert inspect.getdoc(member), (kind, name)


def test_every_field_is_in_the_help():
    for kind in (ghee.Stage, ghee.Input, ghee.Output, ghee.Shuffle, ghee.Result):
        for field in inspect.signature(kind).parameters:
            assert field in inspect.getdoc(kind), (kind, field)
    for parameter in inspect.signature(ghee.task.LocalTask).parameters:
        assert parameter in inspect.getdoc(ghee.task.LocalTask), parameter


def test_every_exit_code_has_an_exception():
    from ghee import errors

    assert sorted(errors.BY_STATUS) == list(range(1, 19))
    for status, kind in errors.BY_STATUS.items():
        assert getattr(ghee, kind.__name__) is kind and kind.__name__ in ghee.__all__
        with pytest.raises(kind, match="why") as e:
            errors.raise_status(status, "why")
        assert e.value.status == status
    with pytest.raises(KeyboardInterrupt):
        errors.raise_status(130, "stopped")


def test_both_tasks_take_the_same_arguments():
    assert inspect.signature(ghee.task.KubeMPITask) == inspect.signature(ghee.task.LocalTask)
    task = ghee.task.KubeMPITask("in", preprocess=len, output="out", name="far")
    assert task.check()["name"] == "far"
    with pytest.raises(ghee.UnsupportedError, match="not in this build"):
        task.run()


def test_input_takes_lists_and_paths(ids, tmp_path):
    folder = ids(40)
    files = [folder / "part-0.parquet", str(folder / "part-3.parquet")]
    result = ghee.task.LocalTask(ghee.Input(files), preprocess=lambda b: b, output=tmp_path / "out").run()
    assert result.progress["rows_out"] == 20


# ---- notebooks ----

CELLS = ["import numpy as np, ghee\nFACTOR = 3",
         "def times(batch):\n    return {'id': batch['id'] * FACTOR}\n\nclass Sum:\n    def __call__(self, batches, ctx):\n        return 0\n\n"
         "def train(batches, ctx):\n    return sum(int(b['id'].sum()) for b in batches)",
         "result = ghee.task.LocalTask('ids', preprocess=ghee.Stage(times, workers=2), train=ghee.Stage(train, form='numpy', batch_size=64)).run()",
         "print('value', result.value)"]


def notebook(cells):
    nbformat = pytest.importorskip("nbformat")
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])


def test_a_notebook(ids, tmp_path):
    nbclient = pytest.importorskip("nbclient")
    ids(1_000)
    book = notebook(CELLS)
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert "value 1498500" in "".join(o["text"] for o in book.cells[3].outputs if o.output_type == "stream")
    shown = [o["data"]["text/plain"] for o in book.cells[2].outputs if o.output_type == "display_data"]
    assert len(shown) == 1 and shown[0].startswith("done") and "1,000 rows" in shown[0]


def test_interrupting_a_notebook_stops_the_job(ids, tmp_path, own_state):
    nbclient = pytest.importorskip("nbclient")
    ids(1_000)
    os.mkfifo(tmp_path / "gate")
    book = notebook(["import ghee, os\nPATH = os.path.abspath('gate')\ndef gated(batch):\n    open(PATH).read()\n    return batch",
                     "try:\n    ghee.task.LocalTask('ids', preprocess=gated, output='out').run()\nexcept KeyboardInterrupt:\n    print('stopped')",
                     "print(os.path.exists('out'))"])
    client = nbclient.NotebookClient(book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}})

    def interrupt():
        with open(tmp_path / "gate", "w"):  # opens once the function waits
            os.kill(client.km.provisioner.pid, signal.SIGINT)
            done.wait(60)

    done = threading.Event()
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        client.execute()
    finally:
        done.set()
        thread.join()
    text = ["".join(o.get("text", "") for o in cell.outputs if o.output_type == "stream") for cell in book.cells]
    assert "stopped" in text[1] and text[2] == "False\n"
    assert jobs(own_state) == []
