# SPDX-License-Identifier: Apache-2.0
"""Reading, writing and listing an S3 server and an HDFS cluster on loopback: ours, curl and, for S3, pyarrow's own client in turn, each in
processes of its own. The servers keep their data in memory where there is room, since no disk is to be measured."""
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

import beside
import programs
from figures import Figure, at_least

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
from storages import S3, CannotInstall, Hdfs  # noqa: E402

PIECE = 8 << 20  # of a range, of a part
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

# As ours writes: an upload in parts, four of them on their way. The parts lie in files of their own; where bodies are signed, libcrypto hashes them, as for ours.
PARTS = """
import subprocess, sys
url, files, n, signed, user = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "signed", sys.argv[5]
def out(*command): return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
auth, unsigned = ["-sSf", "--user", user, "--aws-sigv4", "aws:amz:us-east-1:s3", "-H", "Expect:"], ["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
upload = out("curl", *auth, *unsigned, "-X", "POST", url + "?uploads=").partition("<UploadId>")[2].partition("<")[0]
parts = [f"{files}.{k}" for k in range(n)]
hashes = [line.split()[0] for line in out("openssl", "dgst", "-r", "-sha256", *parts).splitlines()] if signed else ["UNSIGNED-PAYLOAD"] * n
command = ["curl", "-Z", "--parallel-max", "4", "--no-progress-meter"]
for k in range(n):
    command += ["--next"] * (k > 0) + [*auth, "-H", "x-amz-content-sha256: " + hashes[k], "-T", parts[k], "-o", "/dev/null", "-w", f"{k + 1} %header{{etag}}\\n",
                                       f"{url}?partNumber={k + 1}&uploadId={upload}"]
tags = dict(line.split() for line in out(*command).splitlines())
xml = "".join(f"<Part><PartNumber>{k + 1}</PartNumber><ETag>{tags[str(k + 1)]}</ETag></Part>" for k in range(n))
assert "<ETag>" in out("curl", *auth, *unsigned, "-X", "POST", "--data-binary", f"<CompleteMultipartUpload>{xml}</CompleteMultipartUpload>", f"{url}?uploadId={upload}")
"""


def timed(commands, env):
    """(seconds, CPU seconds) of commands that run side by side."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    running = [subprocess.Popen([str(c) for c in command], env=env, stdout=subprocess.DEVNULL) for command in commands]
    if any([p.wait() for p in running]):
        raise beside.Missing(f"{running[0].args[0]} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def memory():
    """Where the servers' data lies: None for the usual place."""
    room = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
    return "/dev/shm" if room and room.f_bavail * room.f_frsize > 6 << 30 else None


def server_cpu(at):
    """CPU seconds that the servers have used."""
    fields = [pathlib.Path("/proc", path.read_text().strip(), "stat").read_text().rpartition(")")[2].split() for path in pathlib.Path(at.folder).glob("*.pid")]
    return sum(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")


def beside_peers(at, case, moved, peers, env, o):
    """Figures of a case: rounds of all peers in turn, ours, "ghee", against each of the others."""
    found = {peer: [] for peer in peers}
    for _ in range(o.repeat):
        for peer, commands in peers.items():
            before = server_cpu(at)
            found[peer].append((*timed(commands, env), server_cpu(at) - before))
    rate = {peer: moved / 1e9 / statistics.median(s for s, _, _ in f) for peer, f in found.items()}
    cpu, server = ({peer: statistics.median(x[k] for x in f) / (moved / 1e9) for peer, f in found.items()} for k in (1, 2))
    for peer in peers:
        if peer == "ghee":
            continue
        yield Figure("storage", case, rate["ghee"], "GB/s", peer, rate[peer], aim=at_least(rate[peer] * 0.9) if peer.startswith("curl") else None)
        yield Figure("storage", f"{case}, CPU", cpu["ghee"], "s/GB", peer, cpu[peer])
        yield Figure("storage", f"{case}, CPU of the server", server["ghee"], "s/GB", peer, server[peer])


def curl(at, *more):
    user = f"{at.env['AWS_ACCESS_KEY_ID']}:{at.env['AWS_SECRET_ACCESS_KEY']}"
    return ["-sSf", "-o", "/dev/null", "--user", user, "--aws-sigv4", "aws:amz:us-east-1:s3", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-H", "Expect:", *more]


def ranges(at, url, size):
    """As ours reads: a request for each piece, over one connection."""
    command = ["curl"]
    for begin in range(0, size, PIECE):
        command += ["--next"] * (begin > 0) + curl(at, "-r", f"{begin}-{min(begin + PIECE, size) - 1}", url)
    return command


def parts(at, url, files, n, signed):
    return [sys.executable, "-S", "-E", "-c", PARTS, url, files, n, "signed" if signed else "unsigned", f"{at.env['AWS_ACCESS_KEY_ID']}:{at.env['AWS_SECRET_ACCESS_KEY']}"]


def rates(at, ours, env, o):
    size = (32 if o.quick else 512) << 20
    local = pathlib.Path(at.folder, "random")
    local.write_bytes(os.urandom(size))
    at.curl("/test/big", "-T", str(local))
    python, url = beside.VENV / "bin" / "python", at.env["AWS_ENDPOINT_URL"]
    for n in (1, 4):
        part = size // n
        piece = pathlib.Path(at.folder, "part")
        body = local.read_bytes()[:part]
        piece.write_bytes(body)
        n_parts = len([pathlib.Path(f"{piece}.{k}").write_bytes(body[k * PIECE:(k + 1) * PIECE]) for k in range(-(-part // PIECE))])
        yield from beside_peers(at, f"s3 read, streams: {n}", size * n, {
            "ghee": [[ours, "read", "s3://test/big", n]], "curl": [["curl", *curl(at, f"{url}/test/big")]] * n,
            "curl, ranges": [ranges(at, f"{url}/test/big", size)] * n, "pyarrow": [[python, "-c", PYARROW, "read", "test/big", n, 0]]}, env, o)
        put = {"curl": [["curl", *curl(at, "-T", piece, f"{url}/test/c-{k}")] for k in range(n)], "pyarrow": [[python, "-c", PYARROW, "write", "test/p", n, part]]}
        for bodies, uri in (("", "s3://test/w"), (", bodies unsigned", "s3://test;unsigned/w")):
            in_parts = {"curl, parts": [parts(at, f"{url}/test/d-{k}", piece, n_parts, not bodies) for k in range(n)]}
            yield from beside_peers(at, f"s3 write, streams: {n}{bodies}", size, {"ghee": [[ours, "write", uri, n, part]], **put, **in_parts}, env, o)


# WebHDFS in two steps: the NameNode names the DataNode that takes the body.
HDFS_PUT = """u=$(curl -sSf -X PUT "$1&noredirect=true" | sed 's/.*"Location":"//; s/".*//; s/\\\\u0026/\\&/g') && exec curl -sSf -H Expect: -T "$2" "$u" """


def hdfs_rates(at, ours, env, o):
    size = (32 if o.quick else 256) << 20
    web = at.address.replace("hdfs:", "http:", 1) + "/webhdfs/v1/test"
    at.ask("PUT", "/test/big", "CREATE", data=os.urandom(size), replication=1)
    read = ["curl", "-sSfL", "-o", "/dev/null", f"{web}/big?op=OPEN&user.name=root"]
    place = at.address + ";user=root;replication=1"
    for n in (1, 4):
        part = size // n
        piece = pathlib.Path(at.folder, "part")
        piece.write_bytes(os.urandom(part))
        yield from beside_peers(at, f"hdfs read, streams: {n}", size * n, {"ghee": [[ours, "read", f"{place}/test/big", n]], "curl": [read] * n}, env, o)
        yield from beside_peers(at, f"hdfs write, streams: {n}", size, {
            "ghee": [[ours, "write", f"{place}/test/w", n, part]],
            "curl": [["sh", "-c", HDFS_PUT, "sh", f"{web}/c-{k}?op=CREATE&overwrite=true&replication=1&user.name=root", piece] for k in range(n)]}, env, o)


# Forty columns; prints the bytes of those that are named.
WIDE = """
import sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
path, rows, wanted = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
rng = np.random.default_rng(1)
pq.write_table(pa.table({f"c{k}": rng.random(rows) for k in range(40)}), path, row_group_size=rows // 8)
meta = pq.ParquetFile(path).metadata
print(sum(meta.row_group(g).column(k).total_compressed_size for g in range(meta.num_row_groups) for k in range(40) if meta.schema.column(k).name in wanted))
"""


def columns(at, ours, env, o):
    rows, path, wanted = 100_000 if o.quick else 1_000_000, pathlib.Path(at.folder, "wide.parquet"), ["c3", "c17", "c31"]
    (theirs,) = programs.lines(beside.VENV / "bin" / "python", "-c", WIDE, path, rows, *wanted)
    at.curl("/test/wide.parquet", "-T", str(path))
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


def s3(o, ours):
    with S3(parallel=True, on=memory()) as at:
        env = {**os.environ, **at.env}
        for part in (rates, columns, listing):
            yield from part(at, ours, env, o)


def hdfs(o, ours):
    with Hdfs(on=memory()) as at:
        yield from hdfs_rates(at, ours, dict(os.environ), o)


def storage(o):
    """GB/s and CPU seconds a GB with 1 and 4 streams; of S3 also bytes moved for few columns, and a long listing."""
    ours, kinds = programs.program("bench_storage"), {"s3": s3, "hdfs": hdfs}
    wanted = [s.partition("=")[2] for s in o.set if s.startswith("backend=")] or list(kinds)
    for name in wanted:
        if name not in kinds:
            raise beside.Missing(f"there is no backend {name}: {', '.join(kinds)}")
        try:
            yield from kinds[name](o, ours)
        except CannotInstall as e:
            raise beside.Missing(str(e)) from e
