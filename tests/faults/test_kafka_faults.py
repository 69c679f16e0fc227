# SPDX-License-Identifier: Apache-2.0
"""Jobs over a broker that dies, and over records that are gone."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]), str(pathlib.Path(__file__).resolve().parents[1] / "python")]

from conftest import program, read_ids
from kafka import Broker
from storm import job_processes
from storages import or_skip
from test_follow import Job, values, verified

AWAY_S = 20


def await_that(it_is_so):
    end = time.monotonic() + 60
    while not it_is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def broker():
    with or_skip(Broker()) as made:
        yield made


def test_a_bounded_job_waits_for_a_dead_broker(broker, tmp_path):
    rows = 2_000_000
    topic = broker.topic(2)
    broker.write(topic, values(0, rows), partitions=2)
    (tmp_path / "job.yaml").write_text(json.dumps({"input": {"uri": broker.uri(topic), "format": "json"}, "preprocess": {"workers": 2}, "output": {"uri": "out"}}))
    job = subprocess.Popen([program(), "run", "job.yaml"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in job.stdout:
        if line.startswith("running"):
            break
    broker.kill()
    broker.up()
    text = job.stdout.read()
    assert job.wait(120) == 0, text
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(rows))


@pytest.mark.parametrize("output", ["files", "topic"])
def test_a_broker_is_away_for_long(broker, tmp_path, own_state, output):
    """Longer than the clients' own time limits, in the middle of reading and of commits: the job goes on, or stops with words and is resumed."""
    rows = 200_000
    source, target = broker.topic(2), broker.topic(2)
    broker.write(source, values(0, rows), partitions=2)
    (tmp_path / "job.yaml").write_text(json.dumps({"name": "away", "input": {"uri": broker.uri(source), "format": "json"}, "preprocess": {"workers": 2},
                                                   "output": {"uri": broker.uri(target) if output == "topic" else "out"}}))
    job = subprocess.Popen([program(), "run", "job.yaml"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in job.stdout:
        if line.startswith("running"):
            break
    broker.kill()
    time.sleep(AWAY_S)  # what is tested is that it lasts
    broker.up()
    text, code = job.stdout.read(), job.wait(300)
    while code != 0:
        assert code == 9 and "check that the brokers are up" in text, text
        done = subprocess.run([program(), "resume", "away"], cwd=tmp_path, capture_output=True, text=True)
        text, code = done.stderr, done.returncode
    got = np.sort([json.loads(value)["id"] for _, _, value in broker.read(target)]) if output == "topic" else read_ids(tmp_path / "out")
    assert np.array_equal(got, np.arange(rows))


def test_a_job_that_follows_waits_for_a_dead_broker(broker, tmp_path, own_state):
    topic = broker.topic(2)
    broker.write(topic, values(0, 1000), partitions=2)
    job = Job(broker, tmp_path, topic, own_state).start()
    job.until(1000)
    broker.kill()
    broker.up()
    broker.write(topic, values(1000, 1000), partitions=2)
    job.until(2000)
    job.stop()
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(2000)) and verified(tmp_path / "out") == 2000


def test_a_sink_dies_while_the_broker_does_not_answer(broker, tmp_path, own_state):
    """What it had committed cannot be asked for: the coordinator goes on reporting and hears Ctrl-C, and later nothing is lost or doubled."""
    source, target = broker.topic(2), broker.topic(2)
    broker.write(source, values(0, 1000), partitions=2)
    job = Job(broker, tmp_path, source, own_state, output={"uri": broker.uri(target)}, rows_of=lambda: len(broker.read(target))).start()
    job.until(1000)
    folder = own_state / "ghee" / "jobs" / job.name
    with broker.held():
        sinks = [pid for pid, role in job_processes(folder).items() if role == "predict"]
        os.kill(sinks[-1], signal.SIGKILL)
        await_that(lambda: "was killed" in (folder / "logs" / "coordinator.log").read_text())
        reports = set()
        await_that(lambda: reports.add((folder / "progress").read_bytes()) or len(reports) > 2)
        job.stop()
    broker.write(source, values(1000, 1000), partitions=2)
    job.start()
    job.until(2000)
    job.stop()
    assert sorted(json.loads(value)["id"] for _, _, value in broker.read(target)) == list(range(2000))


def test_records_are_gone_before_they_are_read(broker, tmp_path, own_state):
    topic = broker.topic(1)
    broker.write(topic, values(0, 100), partitions=1)
    job = Job(broker, tmp_path, topic, own_state).start()
    job.until(100)
    job.stop()
    broker.write(topic, values(100, 100), partitions=1)
    broker.trim(topic, 0, 150)
    job.start()
    assert job.process.wait(60) == 17
    said = (tmp_path / "log").read_text()
    assert "offsets 100 to 199 of partition 0" in said and "are gone" in said
    assert verified(tmp_path / "out") == 100
