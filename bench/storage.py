# SPDX-License-Identifier: Apache-2.0
"""Reading, writing and listing an S3 server on loopback: ours, curl and pyarrow's own S3 client in turn, each in a process of its own."""
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

import beside
import programs
from figures import Figure

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
from storages import S3, CannotInstall  # noqa: E402

PYARROW = """
import os, sys, threading
from pyarrow import fs
what, path, streams, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
s3 = fs.S3FileSystem(access_key=os.environ["AWS_ACCESS_KEY_ID"], secret_key=os.environ["AWS_SECRET_ACCESS_KEY"], region="us-east-1",
                     endpoint_override=os.environ["AWS_ENDPOINT_URL"], scheme="http")
def read(k):
    with s3.open_input_file(path) as f:
        while f.read(32 << 20): pass
def write(k):
    piece = bytes(1 << 20)
    with s3.open_output_stream(f"{path}-{k}") as f:
        for _ in range(size >> 20): f.write(piece)
threads = [threading.Thread(target=read if what == "read" else write, args=(k,)) for k in range(streams)]
for t in threads: t.start()
for t in threads: t.join()
"""


def timed(commands, env):
    """(seconds, CPU seconds) of commands that run side by side."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    running = [subprocess.Popen([str(c) for c in command], env=env, stdout=subprocess.DEVNULL) for command in commands]
    if any([p.wait() for p in running]):
        raise beside.Missing(f"{running[0].args[0]} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def curl(at, *more):
    user = f"{at.env['AWS_ACCESS_KEY_ID']}:{at.env['AWS_SECRET_ACCESS_KEY']}"
    return ["curl", "-sSf", "-o", "/dev/null", "--user", user, "--aws-sigv4", "aws:amz:us-east-1:s3", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-H", "Expect:", *more]


def rates(at, ours, env, o):
    size = (32 if o.quick else 512) << 20
    local = pathlib.Path(at.folder, "random")
    local.write_bytes(os.urandom(size))
    at.curl("/test/big", "-T", str(local))
    python, url = sys.executable, at.env["AWS_ENDPOINT_URL"]
    for n in (1, 4):
        part = size // n
        pathlib.Path(at.folder, "part").write_bytes(local.read_bytes()[:part])
        cases = {
            "read": (size * n, {"ghee": [[ours, "read", "s3://test/big", n]], "curl": [curl(at, f"{url}/test/big")] * n,
                                "pyarrow": [[python, "-c", PYARROW, "read", "test/big", n, 0]]}),
            "write": (size, {"ghee": [[ours, "write", "s3://test/w", n, part]],
                             "curl": [curl(at, "-T", f"{at.folder}/part", f"{url}/test/c-{k}") for k in range(n)],
                             "pyarrow": [[python, "-c", PYARROW, "write", "test/p", n, part]]})}
        for what, (moved, peers) in cases.items():
            found = {peer: [] for peer in peers}
            for _ in range(o.repeat):
                for peer, commands in peers.items():
                    found[peer].append(timed(commands, env))
            rate = {peer: moved / 1e9 / statistics.median(s for s, _ in f) for peer, f in found.items()}
            cpu = {peer: statistics.median(c for _, c in f) / (moved / 1e9) for peer, f in found.items()}
            for peer in ("curl", "pyarrow"):
                yield Figure("storage", f"s3 {what}, streams: {n}", rate["ghee"], "GB/s", peer, rate[peer])
                yield Figure("storage", f"s3 {what}, streams: {n}, CPU", cpu["ghee"], "s/GB", peer, cpu[peer])


def columns(at, ours, env, o):
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, path = 100_000 if o.quick else 1_000_000, pathlib.Path(at.folder, "wide.parquet")
    rng = np.random.default_rng(1)
    pq.write_table(pa.table({f"c{k}": rng.random(rows) for k in range(40)}), path, row_group_size=rows // 8)
    at.curl("/test/wide.parquet", "-T", str(path))
    wanted = ["c3", "c17", "c31"]
    meta = pq.ParquetFile(path).metadata
    theirs = sum(meta.row_group(g).column(k).total_compressed_size for g in range(meta.num_row_groups) for k in range(40) if meta.schema.column(k).name in wanted)
    (x,) = lines(ours, env, "columns", "s3://test/wide.parquet", *wanted)
    yield Figure("storage", "s3 bytes moved for 3 of 40 columns, over those columns' bytes", x["received"] / theirs, "x", aim="<= 1.1")


def listing(at, ours, env, o):
    n = 2_000 if o.quick else 100_000
    for k in range(n):  # as the server keeps its objects
        path = pathlib.Path(at.folder, "data", "test", "many", f"{k // 1000:03}", f"part-{k:06}")
        if k % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.touch()
    found = [lines(ours, env, "list", "s3://test/many")[0] for _ in range(o.repeat)]
    if found[0]["n"] != n:
        raise beside.Missing(f"{found[0]['n']} of {n} objects were listed")
    yield Figure("storage", f"s3 listing of {n:,} objects", statistics.median(x["seconds"] for x in found), "s")
    yield Figure("storage", f"s3 listing of {n:,} objects, peak memory", statistics.median(x["peak_MiB"] for x in found), "MiB")


def lines(ours, env, *arguments):
    os.environ.update(env)
    return programs.lines(ours, *arguments)


def storage(o):
    """GB/s and CPU seconds a GB with 1 and 4 streams; bytes moved for few columns; a long listing."""
    ours = programs.program("bench_storage")
    try:
        with S3(parallel=True) as at:
            env = {**os.environ, **at.env}
            for part in (rates, columns, listing):
                yield from part(at, ours, env, o)
    except CannotInstall as e:
        raise beside.Missing(str(e)) from e
