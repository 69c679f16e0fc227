# SPDX-License-Identifier: Apache-2.0
"""Jobs on an HDFS that believes nobody but by Kerberos, with a KDC of its own: SPNEGO to the NameNode, tokens to the DataNodes."""
import json

import numpy as np
import pytest

import ghee
from conftest import read_ids
from ghee.task import LocalTask
from storages import Hdfs, or_skip


@pytest.fixture(scope="module")
def cluster():
    with or_skip(Hdfs(secure=True)) as at:
        at.ask("PUT", "/test", "MKDIRS", permission="777")
        yield at


@pytest.fixture
def at(cluster, monkeypatch):
    """The cluster, with the environment of a user who has a ticket."""
    monkeypatch.delenv("HADOOP_USER_NAME", raising=False)
    for name, value in cluster.env.items():
        monkeypatch.setenv(name, value)
    return cluster


def same(batch):
    return batch


def run(source, out):
    LocalTask(source, preprocess=ghee.Stage(same, workers=2), output=out).run()


def test_with_a_ticket(at, ids, tmp_path):
    run(ids(20_000), at.uri("in"))
    run(at.uri("in"), at.uri("out"))
    assert json.loads(at.ask("GET", "/test/out", "GETFILESTATUS"))["FileStatus"]["owner"] == "user"
    run(at.uri("out"), tmp_path / "out")
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(20_000))


def test_without_a_ticket(at, ids, tmp_path, monkeypatch):
    source = ids(100)
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/none")
    for place in (at.uri("never"), at.uri("never").replace(";negotiate", "")):
        with pytest.raises(ghee.DeniedError, match=r"401.*wants Kerberos: get a ticket \(kinit\) and say negotiate in the URI"):
            run(source, place)


def test_with_a_delegation_token(at, ids, tmp_path, monkeypatch):
    """It is all that a job needs, and lies where nobody looks."""
    monkeypatch.setenv("GHEE_HDFS_TOKEN", json.loads(at.ask("GET", "/", "GETDELEGATIONTOKEN", renewer="user"))["Token"]["urlString"])
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/none")
    place = at.uri("token").replace(";negotiate", "")
    run(ids(20_000), place)
    run(place, tmp_path / "out")
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(20_000))
