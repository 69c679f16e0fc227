# SPDX-License-Identifier: Apache-2.0
"""The factorization machine: on real ratings, and its descriptions as they stand in a fresh checkout."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import read_ids

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/factorization_machine"
DATA = pathlib.Path(os.environ.get("GHEE_DATA", ROOT.parent / "shared/data"))
GHEE = shutil.which("ghee") or str(ROOT / "build/release/ghee")


def write_ratings(folder, mask, user, item, rating, ts):
    """Parquet as the example reads it, of the rows in `mask`; ids are the row numbers."""
    folder.mkdir()
    table = pa.table({"id": np.flatnonzero(mask), "user": user[mask].astype(np.int32), "item": item[mask].astype(np.int32),
                      "rating": rating[mask].astype(np.float32), "ts": ts[mask]})
    for k in range(4):
        pq.write_table(table.slice(k * len(table) // 4, (k + 1) * len(table) // 4 - k * len(table) // 4), folder / f"part-{k}.parquet")


def last_tenth(user, ts):
    """True for the last 10 % by time of each user's ratings."""
    order = np.lexsort((np.arange(len(user)), ts, user))
    starts = np.flatnonzero(np.r_[True, np.diff(user[order]) != 0])
    counts = np.diff(np.r_[starts, len(user)])
    place = np.arange(len(user)) - np.repeat(starts, counts)
    late = np.zeros(len(user), bool)
    late[order] = place >= np.repeat(np.round(counts * 0.9), counts)
    return late


def test_it_is_short():
    assert sum(bool(line.strip()) for line in (EXAMPLE / "fm.py").read_text().splitlines()) <= 80


def test_real_ratings(tmp_path, monkeypatch):
    """MovieLens 100K: trained on the first 90 % of each user, the last 10 % are predicted far better than by the mean."""
    if not (DATA / "ml-100k/u.data").exists():
        pytest.skip(f"no MovieLens 100K in {DATA}: set GHEE_DATA")
    monkeypatch.syspath_prepend(EXAMPLE)
    import fm

    user, item, rating, ts = np.loadtxt(DATA / "ml-100k/u.data", dtype=np.int64).T
    late = last_tenth(user, ts)
    write_ratings(tmp_path / "early", ~late, user, item, rating, ts)
    write_ratings(tmp_path / "late", late, user, item, rating, ts)
    of_mean = np.sqrt(np.mean((rating[late] - rating[~late].mean()) ** 2))
    assert round(of_mean, 3) == 1.231
    fm.main(tmp_path / "early", tmp_path / "scores", epochs=10, workers=2, test=tmp_path / "late")
    out = pa.concat_tables([pq.read_table(f) for f in (tmp_path / "scores").glob("*.parquet")])
    assert np.array_equal(np.sort(out["id"].to_numpy()), np.flatnonzero(late))
    assert np.array_equal(out["rating"].to_numpy(), rating[out["id"].to_numpy()])
    assert np.sqrt(np.mean((out["score"].to_numpy() - out["rating"].to_numpy()) ** 2)) <= 1.00


def test_descriptions_run_in_a_fresh_checkout(tmp_path, monkeypatch):
    """train.yaml, predict.yaml, and native.yaml with the command of its comment, in another folder than this one."""
    monkeypatch.syspath_prepend(EXAMPLE)
    import demo

    here = tmp_path / "checkout/examples/factorization_machine"
    here.mkdir(parents=True)
    shutil.copytree(ROOT / "include", tmp_path / "checkout/include")
    for file in EXAMPLE.iterdir():
        if file.suffix in (".py", ".yaml", ".c"):
            shutil.copy(file, here)
    (here / "ratings").mkdir()
    demo.make_ratings(str(here / "ratings"), 20_000)

    def run(description):
        done = subprocess.run([GHEE, "run", "--quiet", description], cwd=here, env={**os.environ, "GHEE_PYTHON": sys.executable}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "100000 rows in" in run("train.yaml")
    run("predict.yaml")
    assert read_ids(here / "scores").tolist() == list(range(20_000))
    command = re.search(r"^#\s+(cc .*) && ghee run native.yaml$", (EXAMPLE / "native.yaml").read_text(), re.M)[1]
    subprocess.run(command, shell=True, cwd=here, check=True)
    assert "100000 rows in" in run("native.yaml")
