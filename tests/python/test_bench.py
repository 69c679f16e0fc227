# SPDX-License-Identifier: Apache-2.0
"""bench/run works: our programs alone, small sizes, no word about their speed; and figures are what the harness's lines say."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
PEERS = pathlib.Path(os.environ.get("GHEE_PEERS", ROOT.parent / "shared" / "peers"))


def figures(tmp_path, *words):
    done = subprocess.run([sys.executable, ROOT / "bench" / "run", *words, "--quick", "--json", "ghee"], capture_output=True, text=True,
                          env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    return {f["case"]: f for f in map(json.loads, done.stdout.splitlines())}


@pytest.mark.skipif(not (PEERS / "run").exists(), reason="the peers' harness is not here (GHEE_PEERS)")
@pytest.mark.skipif(not shutil.which("unshare") or subprocess.run(["unshare", "-mnipfr", "true"], capture_output=True).returncode != 0,
                    reason="unshare is not allowed here")
def test_start_and_truth(tmp_path):
    start = figures(tmp_path, "start")
    assert start["2 workers: first batch after the imports"]["value"] > 0 and start["2 workers: last batch to exit"]["value"] > 0
    truth = figures(tmp_path, "truth")
    assert truth["3 consumers: rows lost or doubled"]["value"] == 0
    assert set(start["2 workers: last batch to exit"]) >= {"bench", "case", "value", "unit", "peer", "peer_value", "ratio", "aim", "holds"}


def test_control(tmp_path):
    found = figures(tmp_path, "control")
    assert found["2,000 chunks, 1 a file, 256 on their way"]["value"] > 0 and found["2,000 chunks, 1 a file, 256 on their way"]["peer_value"] > 0


def test_filter(tmp_path):
    found = figures(tmp_path, "filter")
    assert len(found) == 12 and all(f["value"] > 0 and f["peer"] == "pyarrow" and f["peer_value"] > 0 for f in found.values())


def job_line(peer, seconds, **more):
    return {"bench": "b1", "peer": peer, "params": {"ms": 0}, "seconds": seconds, "cpu_seconds": 20.0, "peak_rss_MB": 500, "time_to_first_batch_s": 2.0,
            "idle_share": 0.1, "ok": True, **more}


def test_figures_of_the_train_job():
    import figures

    lines = [job_line("ghee", 17.0, imported_s=1.5), job_line("ghee", 18.0, imported_s=1.5), job_line("ghee", 25.0, imported_s=1.5, cpu_seconds=30.0),
             job_line("single", 22.0), job_line("ray", 40.0), job_line("dask", 36.0), {"bench": "b1", "peer": "torch", "params": {"ms": 0}, "error": "no end"}]
    found = {f.case: f for f in figures.train_job(figures.Lines("job", lines))}
    wall = found["train, 0 ms: wall"]
    assert (wall.value, wall.peer, wall.peer_value, wall.ratio) == (18.0, "dask", 36.0, 0.5)
    assert wall.aim == "<= 21" and wall.holds  # 1.05 x (2 s, and nine tenths of the 20 s after the first batch)
    assert found["train, 0 ms: first batch after the imports"].value == 0.5
    assert found["train, 0 ms: the trainer waits"].holds is False
    assert found["train, 0 ms: each row once"].holds is True


def test_a_run_that_failed_does_not_hold_its_aim():
    import figures

    lines = [{"bench": "b2", "peer": "ghee", "params": {"cap": 0.6}, "error": "killed", "oom_kills": 1}]
    found = {f.case: f for f in figures.memory(figures.Lines("memory", lines))}
    assert all(f.holds is False for f in found.values()) and found["cap 0.6 GB: time over ideal"].value is None
