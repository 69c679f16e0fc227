# SPDX-License-Identifier: Apache-2.0
"""Parquet files through a filter, on one thread: ours beside pyarrow's dataset filter, on files whose rows are sorted by the column of the filter,
and files whose rows are not."""
import statistics
import subprocess

import beside
import programs
from figures import Figure, at_least

MAKE = """
import pathlib, sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
folder, rows = pathlib.Path(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(1)
words = np.array([f"word-{i:011}" for i in range(1000)])
for name, ids in ("sorted", np.arange(rows)), ("unsorted", rng.permutation(rows)):
    (folder / name).mkdir(parents=True, exist_ok=True)
    table = pa.table({"id": ids, "user": rng.integers(0, 1 << 20, rows).astype(np.int32), "rating": rng.random(rows),
                      "score": rng.random(rows).astype(np.float32), "word": words[rng.integers(0, 1000, rows)]})
    pq.write_table(table, folder / name / "a.parquet", row_group_size=rows // 40)
"""
PYARROW = """
import json, sys, time
import pyarrow as pa, pyarrow.dataset as ds
pa.set_cpu_count(1)
pa.set_io_thread_count(1)
start, cpu, rows = time.monotonic(), time.process_time(), 0
for batch in ds.dataset(sys.argv[1]).scanner(filter=ds.field("id") < int(sys.argv[2]), batch_size=8192, use_threads=False).to_batches():
    rows += len(batch)
print(json.dumps({"rows": rows, "seconds": time.monotonic() - start, "cpu_seconds": time.process_time() - cpu}))
"""
PERCENT = (1, 50, 100)


def data(rows, python):
    """A folder with the files, made if it is not there."""
    folder = programs.KEPT / f"filtered-{rows}"
    done = folder / "done"
    if not done.exists():
        subprocess.run([python, "-c", MAKE, folder, str(rows)], check=True)
        done.touch()
    return folder


def filtered(o):
    """Rows that are looked at a second, and CPU time, with filters that let 1, 50 and 100 % of them pass."""
    ours, python, rows = programs.program("bench_filter"), beside.VENV / "bin" / "python", 100_000 if o.quick else 8_000_000
    folder = data(rows, python)
    for name in ("sorted", "unsorted"):
        for percent in PERCENT:
            most, found = rows * percent // 100, {}
            for _ in range(o.repeat):
                for peer, command in {"ghee": [ours, folder / name, f"id < {most}"], "pyarrow": [python, "-c", PYARROW, folder / name, most]}.items():
                    (x,) = programs.lines(*command)
                    if x["rows"] != most:
                        raise beside.Missing(f"{peer} found {x['rows']} rows, {most} pass")
                    found.setdefault(peer, []).append(x)
            median = lambda peer, key: statistics.median(x[key] for x in found[peer])
            rate = {peer: rows / 1e6 / median(peer, "seconds") for peer in found}
            case = f"{name} rows, {percent} % pass"
            yield Figure("filter", case, rate["ghee"], "M rows/s", "pyarrow", rate["pyarrow"], aim=at_least(rate["pyarrow"]))
            yield Figure("filter", f"{case}, CPU", median("ghee", "cpu_seconds"), "s", "pyarrow", median("pyarrow", "cpu_seconds"))
