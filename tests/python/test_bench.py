# SPDX-License-Identifier: Apache-2.0
"""bench/run works: our programs alone, small sizes, no word about their speed."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
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
