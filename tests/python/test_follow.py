# SPDX-License-Identifier: Apache-2.0
"""Jobs that follow a topic of a real broker: rounds of output, stops, deaths, and nothing lost or doubled."""
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # tests/kafka.py

from conftest import program, read_ids

DEADLINE = 120


def values(start, rows):
    return [json.dumps({"id": i}).encode() for i in range(start, start + rows)]


class Job:
    """A job of the program ghee that follows a topic, and goes on after each stop."""

    def __init__(self, kafka, folder, topic, state, output=None, rows_of=None, more=None, **every):
        self.folder, self.state, self.name = folder, state, f"follow-{topic}"
        self.description = folder / "job.yaml"
        self.description.write_text(json.dumps({
            "name": self.name, "input": {"uri": kafka.uri(topic), "format": "json", "to": "never", "every": {"seconds": 0.1, **every}},
            "preprocess": {"workers": 2}, "predict": {"workers": 2}, "output": output or {"uri": "out", "target_file_size": "64KiB"}, "max_crashes": 0,
            **(more or {})}))
        self.process = None
        if rows_of:
            self.rows = rows_of

    def start(self):
        command = ["run", str(self.description)] if self.process is None else ["resume", self.name]
        self.log = open(self.folder / "log", "a+")
        self.process = subprocess.Popen([program(), *command], cwd=self.folder, stdout=self.log, stderr=self.log, env={**os.environ, "XDG_STATE_HOME": str(self.state), "GHEE_PYTHON": sys.executable})
        return self

    def rows(self):
        try:
            return sum(f["rows"] for f in json.loads((self.folder / "out" / "_manifest.json").read_text())["files"])
        except FileNotFoundError:
            return 0

    def until(self, rows, each=lambda: None):
        """Waits until so many rows are published."""
        end = time.monotonic() + DEADLINE
        while self.rows() < rows:
            assert time.monotonic() < end, f"{self.rows()} of {rows} rows: " + (self.folder / "log").read_text()[-2000:]
            each()
            try:
                code = self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            assert code == -9, (self.folder / "log").read_text()[-2000:]
            self.start()

    def kill_some(self, chance, worker, client):
        """Perhaps one of its processes, and perhaps its client, by these probabilities."""
        victims = self.processes()
        if victims and chance.random() < worker:
            try:
                os.kill(chance.choice(victims), signal.SIGKILL)
            except ProcessLookupError:
                pass
        if chance.random() < client:
            self.process.kill()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(30) == 130, (self.folder / "log").read_text()[-2000:]

    def processes(self):
        folder = str(pathlib.Path(self.state) / "ghee" / "jobs" / self.name)
        found = []
        for entry in os.scandir("/proc"):
            try:
                words = pathlib.Path(entry.path, "cmdline").read_bytes().decode().split("\0") if entry.name.isdigit() else []
            except OSError:
                continue
            if folder in words:
                found.append(int(entry.name))
        return sorted(found)


def verified(folder):
    done = subprocess.run([program(), "verify", "--json", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["rows"]


def test_it_goes_on_after_a_stop(kafka, tmp_path, own_state):
    topic = kafka.topic(3)
    kafka.write(topic, values(0, 1000), partitions=3)
    job = Job(kafka, tmp_path, topic, own_state).start()
    job.until(1000)
    kafka.write(topic, values(1000, 10), partitions=3)
    job.until(1010)
    job.stop()
    assert verified(tmp_path / "out") == 1010
    kafka.write(topic, values(1010, 990), partitions=3)
    job.start()
    job.until(2000)
    status = json.loads(subprocess.run([program(), "status", "--json", job.name], capture_output=True, text=True, check=True).stdout)
    assert status["state"] == "running" and status["progress"]["round"] >= 2
    job.stop()
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(2000)) and verified(tmp_path / "out") == 2000
    assert 1010 <= kafka.committed(f"ghee-{job.name}", topic) <= 2000  # the last may not be told when the job is stopped at once


def behind(job):
    """What `ghee status` says of the lag; -1 while it says nothing."""
    done = subprocess.run([program(), "status", "--json", job.name], capture_output=True, text=True)
    said = json.loads(done.stdout) if done.returncode == 0 else {}  # there may be no such job yet
    return said.get("progress", said).get("lag", -1)


def test_the_lag_is_told(kafka, tmp_path, own_state):
    """Records that are not in the output yet: all, while the function waits; none, once they are."""
    (tmp_path / "f.py").write_text("import os, time\ndef wait(b):\n    while not os.path.exists(os.path.join(os.path.dirname(__file__), 'gate')): time.sleep(0.01)\n    return b\n")
    topic = kafka.topic(2)
    kafka.write(topic, values(0, 300), partitions=2)
    job = Job(kafka, tmp_path, topic, own_state, more={"predict": {"run": "f:wait"}}).start()
    end = time.monotonic() + DEADLINE
    while behind(job) != 300:
        assert time.monotonic() < end
    (tmp_path / "gate").touch()
    job.until(300)
    while behind(job) != 0:
        assert time.monotonic() < end
    job.stop()


def test_rounds_are_cut_by_rows(kafka, tmp_path, own_state):
    topic = kafka.topic(2)
    kafka.write(topic, values(0, 5000), partitions=2)
    job = Job(kafka, tmp_path, topic, own_state, rows=1000).start()
    job.until(5000)
    job.stop()
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(5000))
    assert len(list((tmp_path / "out").glob("*.parquet"))) >= 5


def test_partitions_are_added_meanwhile(kafka, tmp_path, own_state):
    topic = kafka.topic(1)
    kafka.write(topic, values(0, 100), partitions=1)
    job = Job(kafka, tmp_path, topic, own_state).start()
    job.until(100)
    kafka.grow(topic, 3)
    kafka.write(topic, values(100, 300), partitions=3)
    job.until(400)
    job.stop()
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(400))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whoever_is_killed(kafka, tmp_path, own_state, seed):
    chance = random.Random(seed)
    topic = kafka.topic(4)
    kafka.write(topic, values(0, 2000), partitions=4)
    job = Job(kafka, tmp_path, topic, own_state).start()
    written = 2000

    def torment():
        nonlocal written
        if written < 12_000 and chance.random() < 0.5:
            kafka.write(topic, values(written, 500), partitions=4)
            written += 500
        if written < 12_000:
            job.kill_some(chance, 0.3, 0.03)

    job.until(12_000, torment)
    job.stop()
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(12_000)) and verified(tmp_path / "out") == 12_000


def ids_of(kafka, topic):
    return sorted(json.loads(value)["id"] for _, _, value in kafka.read(topic))


def test_from_topic_to_topic(kafka, tmp_path, own_state):
    source, target = kafka.topic(3), kafka.topic(2)
    kafka.write(source, values(0, 5000), partitions=3)
    (tmp_path / "job.yaml").write_text(json.dumps({"input": {"uri": kafka.uri(source), "format": "json"}, "predict": {"workers": 3}, "output": {"uri": kafka.uri(target)}}))
    done = subprocess.run([program(), "run", "job.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ids_of(kafka, target) == list(range(5000))
    (tmp_path / "job.yaml").write_text(json.dumps({"input": {"uri": kafka.uri(source), "format": "json"}, "predict": {}, "output": {"uri": kafka.uri("nowhere")}}))
    done = subprocess.run([program(), "run", "job.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 4 and "nowhere" in done.stderr


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_from_topic_to_topic_whoever_is_killed(kafka, tmp_path, own_state, seed):
    chance = random.Random(seed)
    source, target, dead = kafka.topic(4), kafka.topic(2), kafka.topic(1)
    some = [b"no JSON" if i % 50 == 7 else value for i, value in enumerate(values(0, 8000))]
    kafka.write(source, some[:2000], partitions=4)
    job = Job(kafka, tmp_path, source, own_state, output={"uri": kafka.uri(target)}, rows_of=lambda: len(kafka.read(target)) + len(kafka.read(dead)),
              more={"on_reject": "divert", "dead_letter": kafka.uri(dead)}).start()
    written = 2000

    def torment():
        nonlocal written
        if written < 8000:
            kafka.write(source, some[written : written + 500], partitions=4)
            written += 500
        if written < 8000:
            job.kill_some(chance, 0.6, 0.1)

    job.until(8000, torment)
    job.stop()
    assert ids_of(kafka, target) == [i for i in range(8000) if i % 50 != 7]
    letters = [json.loads(value) for _, _, value in kafka.read(dead)]
    assert sorted(d["offset"] * 4 + d["partition"] for d in letters) == list(range(7, 8000, 50))


def test_a_second_job_of_the_name_fences_the_first(kafka, tmp_path, own_state, tmp_path_factory):
    source, target = kafka.topic(1), kafka.topic(1)
    kafka.write(source, values(0, 100), partitions=1)
    first = Job(kafka, tmp_path, source, own_state, output={"uri": kafka.uri(target)}, rows_of=lambda: len(kafka.read(target))).start()
    first.until(100)
    other = tmp_path_factory.mktemp("other")
    second = Job(kafka, other, source, other / "state", output={"uri": kafka.uri(target)}, rows_of=lambda: len(kafka.read(target))).start()
    second.until(200)
    kafka.write(source, values(100, 100), partitions=1)
    second.until(300)
    assert first.process.wait(60) == 16, (tmp_path / "log").read_text()
    assert "another writer has taken over" in (tmp_path / "log").read_text()
    second.stop()


@pytest.mark.parametrize("wrong, says", [
    ({"name": None}, "needs a name"), ({"predict": None, "output": None, "train": {"run": "m:f"}}, "needs an input that ends"),
    ({"input": {"shuffle": True}}, "cannot be shuffled"), ({"input": {"every": {"rows": 0}}}, "rows")])
def test_what_cannot_follow(tmp_path, wrong, says):
    job = {"name": "n", "predict": {}, "output": {"uri": "out"}, **{k: v for k, v in wrong.items() if k != "input"},
           "input": {"uri": "kafka://localhost:9/t", "to": "never", **wrong.get("input", {})}}
    done = subprocess.run([program(), "check", "-"], input=json.dumps({k: v for k, v in job.items() if v is not None}), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 3 and says in done.stderr, done.stderr
