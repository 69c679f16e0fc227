# SPDX-License-Identifier: Apache-2.0
"""One job under kills: started, its processes killed -9 at random, resumed where its client died, and counted afterwards."""
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from storages import chunks_of, shared_memory  # noqa: E402


def make_input(folder, rows, files=8, group=500, seed=1, others=0):
    """ids 0 … rows-1 in random order over files, in row groups of uneven sizes of about `group` rows; besides ids that a filter takes out, `others`
    among them and as many in a file of their own."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    rng = np.random.default_rng(seed)
    order = rng.permutation(rows + others)
    parts = [order[k * len(order) // files:(k + 1) * len(order) // files] for k in range(files)] + [np.arange(rows + others, rows + 2 * others)] * (others > 0)
    for k, ids in enumerate(parts):
        table = pa.table({"id": ids, "x": ids.astype(np.float32)})
        with pq.ParquetWriter(folder / f"part-{k}.parquet", table.schema) as writer:
            at = 0
            while at < len(ids):
                size = int(rng.integers(group // 5, group * 2))
                writer.write_table(table.slice(at, size), row_group_size=group * 2)
                at += size


def job_processes(folder):
    """pid → role of every process of a job, by its command line."""
    found = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            words = pathlib.Path(entry.path, "cmdline").read_bytes().decode().split("\0")
            state = pathlib.Path(entry.path, "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if str(folder) in words and state != "Z":
            found[int(entry.name)] = words[words.index("--stage") + 1] if "--stage" in words else "coordinator"
    return found


def held(path):
    if not path.exists():
        return False
    with open(path) as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        except OSError:
            return True


class Run:
    """A job of jobs.py in a folder of its own below `base`; `job` as of jobs.task, without source, out and name. `source` is the input's
    URI, `sink` the storage of the output of predict (tests/storages.py), `env` what both need."""

    def __init__(self, base, name, rng, source, job, sink=None, env=None):
        self.rng, self.name, self.job = rng, name, job
        self.base = base / name
        self.out, self.temp, self.state = self.base / "out", self.base / "tmp", self.base / "state"
        for folder in (self.base, self.temp, self.state, self.out):
            folder.mkdir()
        self.sink, self.env = sink, env or {}
        self.folder = self.state / "ghee" / "jobs" / name
        out = sink.uri(f"{name}/out") if job["kind"] == "predict" else str(self.out)
        if job.get("partitioned"):
            self.put_old()
        self.argument = json.dumps({**job, "source": str(source), "out": out, "name": name})
        self.kills = []

    def put_old(self):
        """An output that is there already: ids that the job replaces (part=0), and one that it leaves alone (part=9)."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        old, files = self.base / "old", []
        for part, ids in [(0, [1, 2, 3]), (9, [self.job["rows"]])]:
            (old / f"part={part}").mkdir(parents=True)
            file = old / f"part={part}" / "part-old.parquet"
            pq.write_table(pa.table({"id": ids, "stars": [0.0] * len(ids)}), file)
            checksum = "blake2b:" + hashlib.blake2b(file.read_bytes(), digest_size=32).hexdigest()
            files.append({"name": f"part={part}/{file.name}", "rows": len(ids), "size_bytes": file.stat().st_size, "checksum": checksum, "commit": 0})
        (old / "_manifest.json").write_text(json.dumps({"version": 2, "job": "old", "format": "parquet", "created_ms": 1,
                                                        "commits": [{"job": "old", "chunks": "0"}], "files": files}))
        self.sink.put(old, f"{self.name}/out")
        shutil.rmtree(old)

    def start(self, resume=False):
        env = {**os.environ, **self.env, "XDG_STATE_HOME": str(self.state), "TMPDIR": str(self.temp)}
        with open(self.base / "client.log", "a") as log:
            return subprocess.Popen([sys.executable, str(HERE / "jobs.py"), self.argument] + (["resume"] if resume else []), env=env, stdout=log, stderr=log,
                                    start_new_session=True)

    def kill_one(self, client):
        """Kills a random process of the job, if there is one yet; True if it was the client."""
        if self.rng.random() < 0.05:
            client.kill()
            self.kills.append("client")
            return True
        victims = job_processes(self.folder)
        if victims:
            pid = self.rng.choice(sorted(victims))
            self.kills.append(victims[pid])
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return False

    def torment(self, kills, first, others, seconds):
        """Runs the job to its end under `kills` kills, the first and the others after random times between two bounds (s). Returns an
        error text, or None. A run that takes longer than `seconds` hangs."""
        deadline = time.monotonic() + seconds
        client = self.start()
        next_kill = time.monotonic() + self.rng.uniform(*first)
        while True:
            wait = max(0.0, next_kill - time.monotonic()) if kills else max(0.0, deadline - time.monotonic())
            try:
                code = client.wait(wait)
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    self.clean(client)
                    return f"no end after {seconds} s"
                before = len(self.kills)
                client_died = self.kill_one(client)
                kills -= len(self.kills) - before
                next_kill = time.monotonic() + self.rng.uniform(*others)
                if not client_died:
                    continue
                client.wait()
                code = -9
            if code == 0:
                return None
            if code != -9:
                self.clean(client)
                return f"the client ended with {code}: {(self.base / 'client.log').read_text()[-2000:]}"
            client = self.start(resume=(self.folder / "job.json").exists())  # without it, it was killed before there was a job

    def clean(self, client):
        client.kill()
        client.wait()
        for pid in job_processes(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def count(self):
        """(lost, doubled): of the rows of the output, or of the rows of every epoch of the trained state."""
        import numpy as np

        rows = self.job["rows"]
        if self.job["kind"] == "predict":
            import pyarrow.parquet as pq

            self.sink.get(f"{self.name}/out", self.out)
            ids = [pq.ParquetFile(f).read()["id"].to_numpy() for f in sorted(self.out.rglob("*.parquet"))]
            if (text := self.out / "_manifest.json").exists():  # a topic has none
                manifest = json.loads(text.read_text())
                chunks = chunks_of(manifest, manifest["job"])
                assert chunks == list(range(len(chunks))), f"the chunks of the manifest are {chunks}"
            if self.job.get("sorted"):
                assert all(np.all(np.diff(of_file) > 0) for of_file in ids), "a file is not in order"
            rows += self.job.get("partitioned", False)  # the old one that stays
            seen = np.bincount(np.concatenate(ids or [np.zeros(0, np.int64)]), minlength=rows)
        else:
            seen = sum(np.load(self.out / f"{k}.npy").astype(np.int64) for k in range(self.job["workers"][1]))
        wanted = np.arange(seen.shape[-1]) < rows
        return int((wanted - seen).clip(0).sum()), int((seen - wanted).clip(0).sum())

    def leftovers(self, shm_before):
        """What lies about once the job has ended: processes, entries of /dev/shm, temporary files, locks that are held."""
        found = []
        end = time.monotonic() + 2
        while (alive := job_processes(self.folder)) and time.monotonic() < end:
            time.sleep(0.01)  # they may be on their way out, for at most a second
        found += [f"process {pid} ({role})" for pid, role in alive.items()]
        found += [f"/dev/shm/{n}" for n in shared_memory() - shm_before]
        found += [f"temporary file {p}" for p in self.temp.iterdir()]
        expected = {"out", "tmp", "state", "client.log"}
        found += [f"beside the output: {p.name}" for p in self.base.iterdir() if p.name not in expected]
        allowed = ("part-", "part=", "_manifest.json", "_SUCCESS") if self.job["kind"] == "predict" else tuple(f"{k}.npy" for k in range(8))
        found += [f"in the output: {p.name}" for p in self.out.iterdir() if not p.name.startswith(allowed)]
        if self.job["kind"] == "predict":
            found += [f"beside the output: {name}" for name in self.sink.left(f"{self.name}/out")]
        if self.folder.exists():
            found += [f"in the job's folder: {p.name}" for p in self.folder.iterdir() if p.name.endswith(".sock") or p.name.startswith(("s-", "spool-"))]
            found += [f"lock {n} is held" for n in ("lock", "coordinator.lock") if held(self.folder / n)]
        return found

    def remove(self):
        shutil.rmtree(self.base)
