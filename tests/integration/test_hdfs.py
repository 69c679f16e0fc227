# SPDX-License-Identifier: Apache-2.0
"""Jobs over a real HDFS, whose daemons die while they run."""
import json
import os
import pathlib
import subprocess
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ghee
from conftest import read_ids
from ghee.task import LocalTask
from storages import Hdfs, or_skip

ROWS = 120_000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with or_skip(Hdfs()) as at:
        folder = tmp_path_factory.mktemp("input")
        for k in range(8):
            ids = np.arange(k * ROWS // 8, (k + 1) * ROWS // 8)
            pq.write_table(pa.table({"id": ids, "x": np.random.default_rng(k).random(len(ids))}), folder / f"part-{k}.parquet", row_group_size=2_000)
        at.put(folder, "in")
        yield at


@pytest.fixture
def at(cluster):
    cluster.up()  # whatever an earlier test has killed
    return cluster


class Killer:
    """Kills daemons once the job has some of its rows; and brings them back."""

    def __init__(self, at, *daemons, back=False):
        self.at, self.daemons, self.back, self.struck = at, daemons, back, False

    def __call__(self, progress):
        if self.struck or progress["rows_in"] < ROWS // 10:
            return
        self.struck = True
        self.at.kill(*self.daemons)
        if self.back:
            self.at.up()


def at_once(batch):
    return batch


def same(batch):
    time.sleep(0.01)  # stands for work, so that there is time to strike
    return batch


def run(at, name, killer, tmp_path, **more):
    LocalTask(at.uri("in"), preprocess=ghee.Stage(same, workers=2, batch_size=500), output=ghee.Output(at.uri(name), **more)).run(progress=killer)
    assert killer.struck
    at.up()  # for the look at what came out, which is not as patient
    at.get(name, tmp_path)
    assert np.array_equal(read_ids(tmp_path), np.arange(ROWS))
    assert not [n for n in at.left(name) if n.startswith(f".{name}.")]


@pytest.mark.parametrize("datanode", ["dn1", "dn2"])
def test_a_datanode_dies(at, tmp_path, datanode):
    run(at, f"out-{datanode}", Killer(at, datanode), tmp_path)


@pytest.mark.parametrize("datanode", ["dn1", "dn2"])
def test_a_datanode_dies_under_a_large_file(at, tmp_path, datanode):
    """Whichever of the two takes the file and hands it on: more than is kept of it, as one file."""
    ids, noise = np.arange(ROWS), np.random.default_rng(1)
    for k in range(8):
        part = ids[k * ROWS // 8:(k + 1) * ROWS // 8]
        local = tmp_path / "in" / f"part-{k}.parquet"
        local.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"id": part, "x": [noise.bytes(1000) for _ in part]}), local, row_group_size=2_000)
    name, strike = f"large-{datanode}", Killer(at, datanode)
    LocalTask(tmp_path / "in", preprocess=ghee.Stage(at_once, batch_size=500), output=ghee.Output(at.uri(name), target_file_size="1GiB")).run(progress=strike)
    assert strike.struck
    at.up()
    assert len([n for n in at.names(name) if n.endswith(".parquet")]) == 1
    at.get(name, tmp_path / "out")
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(ROWS))


def test_the_namenode_is_started_again(at, tmp_path):
    run(at, "out-nn", Killer(at, "nn", back=True), tmp_path, target_file_size="256KiB")


@pytest.mark.parametrize("what", ["replaced", "deleted"])
def test_changed_while_read(at, tmp_path, what):
    def change(progress):
        if progress["rows_in"] < ROWS // 10:
            return
        if what == "deleted":
            at.ask("DELETE", f"/test/{what}/part-7.parquet", "DELETE")
        else:
            at.ask("PUT", f"/test/{what}/part-7.parquet", "CREATE", data=b"something else", overwrite="true")

    for name in at.names("in"):
        at.ask("PUT", f"/test/{what}/{name}", "CREATE", data=at.ask("GET", f"/test/in/{name}", "OPEN"))
    with pytest.raises((ghee.ChangedError, ghee.NotFoundError), match="part-7.parquet"):
        LocalTask(at.uri(what), preprocess=ghee.Stage(same, batch_size=500), output=at.uri("never")).run(progress=change)


def test_a_nameservice(at, tmp_path, monkeypatch):
    """Its first NameNode is not there; the names are those of Hadoop's configuration."""
    http = int(at.address.rpartition(":")[2])
    values = {"dfs.nameservices": "lab", "dfs.ha.namenodes.lab": "nn1,nn2", "dfs.namenode.rpc-address.lab.nn1": "127.0.0.1:1",
              "dfs.namenode.http-address.lab.nn1": "127.0.0.1:2", "dfs.namenode.rpc-address.lab.nn2": f"127.0.0.1:{http - 1}",
              "dfs.namenode.http-address.lab.nn2": f"127.0.0.1:{http}", "fs.defaultFS": "hdfs://lab"}
    for file in ("core-site.xml", "hdfs-site.xml"):
        text = "".join(f"<property><name>{name}</name><value>{value}</value></property>" for name, value in values.items() if name.startswith("fs.") == file.startswith("core"))
        (tmp_path / file).write_text(f"<configuration>{text}</configuration>")
    with pytest.raises(ghee.InvalidError, match="fs.defaultFS"):
        LocalTask("hdfs:///test/in", preprocess=same, output=tmp_path / "never").run()
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    for k, cluster in enumerate(("hdfs://lab", "hdfs://", f"hdfs://127.0.0.1:{http - 1}")):
        LocalTask(f"{cluster}/test/in", preprocess=ghee.Stage(at_once, workers=2), output=f"{cluster}/test/out-named-{k}").run()
        at.get(f"out-named-{k}", tmp_path / str(k))
        assert np.array_equal(read_ids(tmp_path / str(k)), np.arange(ROWS))


def test_explain_tells_of_blocks(at, tmp_path):
    """Of two files one has three blocks, each on both hosts, the other two, each on one."""
    line = b'{"id": 1}\n'
    at.ask("PUT", "/test/blocks/a.jsonl", "CREATE", data=line * 25_000, blocksize="102400")
    at.ask("PUT", "/test/blocks/b.jsonl", "CREATE", data=line * 20_000, blocksize="102400", replication="1")
    told = json.loads(LocalTask(at.uri("blocks"), preprocess=same, output=tmp_path / "never").explain(json=True))
    assert told["blocks"] == 5 and [h["name"] for h in told["hosts"]] == ["127.0.0.1", "127.0.0.2"]
    assert sum(h["blocks"] for h in told["hosts"]) == 8 and sum(h["bytes"] for h in told["hosts"]) == 2 * 250_000 + 200_000
    assert all(h["blocks"] >= 3 for h in told["hosts"]) and 350_000 <= told["near_bytes"] <= 450_000
    assert "blocks   5 on 2 hosts: 127.0.0.1 " in LocalTask(at.uri("blocks"), preprocess=same, output=tmp_path / "never").explain()


def test_safe_mode_is_waited_for(at, tmp_path):
    """A job that begins while nothing can be written."""
    left = []

    def leave(progress):
        if not left and progress["rows_in"] > 0:
            left.append(progress["rows_in"])
            assert "out-safe" not in at.left("none")
            at.admin("-safemode", "leave")

    at.admin("-safemode", "enter")
    try:
        LocalTask(at.uri("in"), preprocess=ghee.Stage(same, workers=2, batch_size=500), output=at.uri("out-safe")).run(progress=leave)
    finally:
        at.admin("-safemode", "leave")
    assert left
    at.get("out-safe", tmp_path)
    assert np.array_equal(read_ids(tmp_path), np.arange(ROWS))


@pytest.mark.parametrize("code, words, where", [
    (4, "/test/none.*does not exist", {"input": "none"}), (5, "/test/closed.*user=stranger.*HADOOP_USER_NAME", {"input": "closed"}),
    (5, "half/secret.parquet.*user=stranger.*HADOOP_USER_NAME", {"input": "half"}), (5, "/test/closed/out.*user=stranger.*HADOOP_USER_NAME", {"output": "closed/out"}),
    (10, "small/.*[Qq]uota of /test/small is exceeded.*make room", {"output": "small/out"}), (9, "is that the HTTP port of a NameNode .9870, not 8020", {"port": -1})],
    ids=["path", "listing", "file", "output", "quota", "port"])
def test_what_the_program_says(at, ids, refused, code, words, where):
    at.ask("PUT", "/test/closed", "MKDIRS", permission="700")
    at.ask("PUT", "/test/half/secret.parquet", "CREATE", data=b"", permission="600", overwrite="true")
    at.ask("PUT", "/test/small", "MKDIRS")
    at.ask("PUT", "/test/small", "SETQUOTA", namespacequota="9223372036854775807", storagespacequota="100000")
    host, http = at.address.rsplit(":", 1)
    ids(1_000)
    user = "root" if "small/out" in where.values() else "stranger"
    places = {key: {"uri": f"{host}:{int(http) + where.get('port', 0)};user={user}/test/{name}"} for key, name in (where if "port" not in where else {"input": "in"}).items()}
    refused(code, words, **places)
    assert not [n for n in at.left("none") if n.startswith(".")] and at.left("small/none") == []


def test_two_jobs_one_place(at, tmp_path):
    """Both have begun when the place was empty; one publishes, the other is told."""
    go, done = tmp_path / "go", []

    def wait(batch):
        while not go.exists():
            time.sleep(0.01)
        return batch

    def other(progress):
        if not done:
            done.append(progress)
            try:
                LocalTask(at.uri("in"), preprocess=at_once, output=at.uri("contested")).run()
            finally:
                go.touch()

    with pytest.raises((ghee.ExistsError, ghee.BusyError), match="contested"):
        LocalTask(at.uri("in"), preprocess=wait, output=at.uri("contested")).run(progress=other)
    at.get("contested", tmp_path / "got")
    assert done and np.array_equal(read_ids(tmp_path / "got"), np.arange(ROWS))
    assert not [n for n in at.left("contested") if n.startswith(".contested.")]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root for file systems of its own")
def test_disks_of_the_datanodes_are_full(ids, refused):
    full = Hdfs()
    disks = [pathlib.Path(full.folder, name) for name in ("dn1", "dn2")]
    try:
        for disk in disks:
            disk.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", disk], check=True)
        with or_skip(full) as at:
            ids(2_000_000)
            refused(10, "the DataNodes are full or gone", output={"uri": f"{at.address};block_size=1048576;replication=1/test/out"})
            assert at.left("none") == []
    finally:
        for disk in disks:
            subprocess.run(["umount", "-l", disk], capture_output=True)
