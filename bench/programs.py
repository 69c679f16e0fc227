# SPDX-License-Identifier: Apache-2.0
"""The benchmarks that are C programs of ours, bench_*: built on demand, run in turn with what they are measured against."""
import json
import os
import pathlib
import statistics
import subprocess
import sys

import beside
from figures import Figure, Lines, at_least

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "release"
KEPT = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "ghee-bench"  # on a disk, as jobs' folders are


def program(name):
    """The path of a benchmark program, built now if it is not up to date."""
    if not (BUILD / "build.ninja").exists():
        raise beside.Missing("nothing is built: make build")
    done = subprocess.run(["cmake", "--build", BUILD, "--target", name], capture_output=True, text=True)
    if done.returncode:
        raise beside.Missing(f"{name} cannot be built: {(done.stdout + done.stderr).strip().splitlines()[-1]}")
    return BUILD / name


def lines(*command):
    """What a program prints, a line of JSON each."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise beside.Missing(f"{pathlib.Path(str(command[0])).name} ended with {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def control(o):
    """Chunks a second through a real coordinator, beside its ledger alone; in turn, as the disk's pace varies."""
    most = 2000 if o.quick else 1_000_000
    alone, whole = {}, {}
    paths = program("bench_control"), program("bench_control_job")
    for _ in range(o.repeat):
        for x in lines(paths[0], KEPT, most):
            alone.setdefault((x["chunks"], x["on_their_way"]), []).append(x["rate"])
        for x in lines(paths[1], KEPT, most):
            whole.setdefault((x["chunks"], x["on_their_way"], x["chunks_a_file"]), []).append(x)
    one = min(k for k in alone if k[1] == 1)
    yield Figure("control", "ledger alone, one commit at a time: what the disk allows", statistics.median(alone[one]), "commits/s")
    median = lambda found, key: statistics.median(x[key] for x in found)
    for (chunks, on_their_way, a_file), found in whole.items():
        case = f"{chunks:,} chunks, {a_file} a file, {on_their_way:,} on their way"
        yield Figure("control", case, median(found, "rate"), "chunks/s", "ledger alone, 1 a file", statistics.median(alone[chunks, on_their_way]),
                     aim=">= 20000" if chunks == 1_000_000 else None)
        yield Figure("control", f"{case}: the coordinator's CPU", median(found, "cpu_us"), "us/chunk")
        yield Figure("control", f"{case}: its peak memory", median(found, "peak_MiB"), "MiB", aim="<= 64" if chunks == 1_000_000 else None)


PYARROW = """
import glob, json, sys, time
import pyarrow.parquet as pq
rows, start = 0, time.monotonic()
for path in glob.glob(sys.argv[1] + "/*.parquet"):
    for batch in pq.ParquetFile(path).iter_batches(batch_size=8192, use_threads=False):
        rows += len(batch)
print(json.dumps({"rows": rows, "seconds": time.monotonic() - start}))
"""
SETS = {"ratings": (20_000_263, 1_000_003, 20), "rows4k": (262_144, 16_384, 4104)}  # rows, rows when quick, decoded bytes of a row


def read(o):
    """GB of decoded Parquet a second on one thread: as our workers read, beside the crate alone and pyarrow."""
    path, python = program("bench_read"), beside.VENV / "bin" / "python"
    for name, (full, quick, width) in SETS.items():
        rows = quick if o.quick else full
        folder, seconds = beside.data(name, rows), {}
        for _ in range(o.repeat):
            for how, command in {"whole": [path, "whole"], "parquet crate alone": [path, "bare"], "pyarrow": [python, "-c", PYARROW]}.items():
                (x,) = lines(*command, folder)
                if x["rows"] != rows:
                    raise beside.Missing(f"{how} read {x['rows']} rows of {folder}, which has {rows}")
                seconds.setdefault(how, []).append(x["seconds"])
        rate = {how: rows * width / 1e9 / statistics.median(s) for how, s in seconds.items()}
        for peer in list(rate)[1:]:
            yield Figure("read", f"{name}, one thread", rate["whole"], "GB/s", peer, rate[peer])


def transfer(o):
    """GB/s from one process to another: our transports beside bare libzmq and memcpy, then shared memory beside what Python programs use."""
    ours = {x["case"]: x for x in lines(program("bench_transfer"), "--json", *["--quick"] * o.quick)}
    for x in (x for x in ours.values() if x["peer"]):  # the others are peers themselves
        yield Figure("transfer", x["case"], x["value"], x["unit"], x["peer"], x["peer_value"], x["aim"])
    peers = [p for p in o.peers if p != "ghee"]
    if not peers and (o.peers or not beside.installed()):
        return
    theirs = Lines("transfer", beside.run("b7", peers, quick=o.quick, repeat=o.repeat, settings=o.set))
    for peer in dict.fromkeys(x["peer"] for x in theirs.lines):
        for size in ("1 MiB", "16 MiB"):
            rate = theirs.of(peer, f"GBps_{size.replace(' ', '')}")
            aim = at_least(10 * rate) if rate and peer in ("dask", "queue") else None
            yield Figure("transfer", f"shm {size} beside {peer}", ours[f"shm {size}"]["value"], "GB/s", peer, rate, aim)
