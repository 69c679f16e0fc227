# SPDX-License-Identifier: Apache-2.0
"""Jobs over a real HDFS, whose daemons die while they run."""
import json
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


def test_a_file_that_is_replaced_is_noticed(at, tmp_path):
    def replace(progress):
        if progress["rows_in"] >= ROWS // 10:
            at.ask("PUT", "/test/changing/part-7.parquet", "CREATE", data=b"something else", overwrite="true")

    for name in at.names("in"):
        at.ask("PUT", f"/test/changing/{name}", "CREATE", data=at.ask("GET", f"/test/in/{name}", "OPEN"))
    with pytest.raises(ghee.ChangedError, match="part-7.parquet has changed"):
        LocalTask(at.uri("changing"), preprocess=ghee.Stage(same, batch_size=500), output=at.uri("never")).run(progress=replace)


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


def test_who_may_not_is_told(at):
    at.ask("PUT", "/test/closed", "MKDIRS", permission="700")
    with pytest.raises(ghee.DeniedError, match="HADOOP_USER_NAME"):
        LocalTask(at.uri("in").replace("/test/", ";user=stranger/test/"), preprocess=same, output=at.uri("closed/out").replace("/test/", ";user=stranger/test/")).run()


def test_a_quota_that_is_exceeded(at):
    at.ask("PUT", "/test/small", "MKDIRS")
    at.ask("PUT", "/test/small", "SETQUOTA", namespacequota="9223372036854775807", storagespacequota="100000")
    with pytest.raises(ghee.NoSpaceError, match="[Qq]uota"):
        LocalTask(at.uri("in"), preprocess=same, output=at.uri("small/out")).run()
    assert at.left("small/none") == []
