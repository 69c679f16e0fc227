# SPDX-License-Identifier: Apache-2.0
"""A topic read and written on loopback: ghee's record_log beside kcat, on the same broker, rounds interleaved. Both write idempotently, with
the same linger, buffer and acknowledgements, uncompressed, each line of one file a record. Transactions are ghee's alone: what they cost beside
its own writing without them."""
import os
import pathlib
import shutil
import statistics
import sys

import beside
import programs
from figures import Figure
from storage import memory, timed

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
from kafka import Broker, CannotInstall  # noqa: E402


def log(o):
    """MB/s and CPU seconds a GB, records of 100 and 1,000 bytes, one partition."""
    ours = programs.program("bench_log")
    if not shutil.which("kcat"):
        raise beside.Missing("kcat is missing: apt-get install kcat")
    try:
        for size in (100, 1000):
            with Broker(on=memory()) as broker:
                yield from rates(broker, ours, size, o)
    except CannotInstall as e:
        raise beside.Missing(str(e)) from e


def rates(broker, ours, size, o):
    n = (20_000_000 if o.quick else 300_000_000) // size
    lines = pathlib.Path(broker.run, f"lines-{size}")
    lines.write_bytes(b"".join(b"%0*d\n" % (size, i) for i in range(n)))
    topic, kcat = broker.topic(1), ["kcat", "-b", broker.address, "-q"]
    idempotent = ["-X", "enable.idempotence=true", "-X", "linger.ms=5", "-X", "queue.buffering.max.kbytes=65536"]
    timed([[ours, "write", broker.uri(topic), lines]], os.environ)
    written = broker.topic(1)
    cases = {"read": {"ghee": [ours, "read", broker.uri(topic)], "kcat": [*kcat, "-C", "-t", topic, "-o", "beginning", "-e"]},
             "write": {"ghee": [ours, "write", broker.uri(written), lines], "kcat": [*kcat, "-P", "-t", written, *idempotent, "-l", lines]},
             "write in transactions": {"ghee": [ours, "write", broker.uri(written), lines, "bench"], "without": [ours, "write", broker.uri(written), lines]}}
    for what, peers in cases.items():
        found = {peer: [] for peer in peers}
        for _ in range(o.repeat):
            for peer, command in peers.items():
                found[peer].append(timed([command], os.environ))
        other = next(p for p in peers if p != "ghee")
        rate = {peer: n * size / 1e6 / statistics.median(s for s, _ in f) for peer, f in found.items()}
        cpu = {peer: statistics.median(c for _, c in f) / (n * size / 1e9) for peer, f in found.items()}
        yield Figure("log", f"kafka {what}, records of {size} bytes", rate["ghee"], "MB/s", other, rate[other])
        if other == "kcat":
            yield Figure("log", f"kafka {what}, records of {size} bytes, over kcat", rate["ghee"] / rate["kcat"], "x", aim=">= 0.9")
        yield Figure("log", f"kafka {what}, records of {size} bytes, CPU", cpu["ghee"], "s/GB", other, cpu[other])
