# SPDX-License-Identifier: Apache-2.0
"""What topics of a real broker may be like at the edges: TLS, gaps, transactions of others, damage, growth."""
import ctypes
import json
import pathlib
import sys
import time

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # tests/kafka.py

import ghee
from conftest import read_ids
from ghee.errors import CorruptError, DeniedError, InvalidError, NotFoundError
from ghee.task import LocalTask

DEADLINE = 120


def as_is(batch):
    return batch


def values(ids):
    return [json.dumps({"id": i}).encode() for i in ids]


def read(uri, out, **more):
    """The ids that a job reads from a topic."""
    LocalTask(ghee.Input(uri, format="json", **more), preprocess=ghee.Stage(as_is, form="arrow"), output=out).run()
    return read_ids(out).tolist()


def secure(kafka, mechanism, **more):
    return {"security.protocol": "SASL_SSL", "sasl.mechanism": mechanism, "sasl.username": "ghee", "sasl.password": "${KAFKA_PASSWORD}", "ssl.ca.location": kafka.ca, **more}


def scram_works():
    """librdkafka before 2.6.1 cannot log in to Kafka 4 by SCRAM."""
    return ctypes.CDLL("librdkafka.so.1").rd_kafka_version() >= 0x020601FF


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_passwords_over_tls(kafka, tmp_path, monkeypatch, mechanism):
    """In and out, with an authority of the user's choice; or it is said that this librdkafka cannot."""
    if mechanism != "PLAIN" and not scram_works():
        monkeypatch.setenv("KAFKA_PASSWORD", "right")
        with pytest.raises(DeniedError, match="needs librdkafka 2.6.1"):
            read(f"kafka://{kafka.tls_address}/t", tmp_path / "out", options=secure(kafka, mechanism))
        return
    source, target = kafka.topic(1), kafka.topic(1)
    kafka.write(source, values(range(50)))
    monkeypatch.setenv("KAFKA_PASSWORD", "right")
    options = secure(kafka, mechanism)
    LocalTask(ghee.Input(f"kafka://{kafka.tls_address}/{source}", format="json", options=options), preprocess=ghee.Stage(as_is, form="arrow"),
              output=ghee.Output(f"kafka://{kafka.tls_address}/{target}", options=options)).run()
    assert sorted(json.loads(value)["id"] for _, _, value in kafka.read(target)) == list(range(50))


@pytest.mark.parametrize("wrong, password, says", [
    ({"ssl.ca.location": None}, "right", "certificate"), ({}, "wrong", "[Aa]uthentication"), ({"sasl.mechanism": "SCRAM-SHA-512"}, "wrong", "[Aa]uthentication")])
def test_no_way_in(kafka, tmp_path, monkeypatch, wrong, password, says):
    topic = kafka.topic(1)
    kafka.write(topic, values(range(5)))
    monkeypatch.setenv("KAFKA_PASSWORD", password)
    options = {k: v for k, v in secure(kafka, "PLAIN", **wrong).items() if v is not None}
    with pytest.raises(DeniedError, match=f"(?s){says}.*check security.protocol"):
        read(f"kafka://{kafka.tls_address}/{topic}", tmp_path / "out", options=options)


def test_an_authority_that_is_not_there(kafka, tmp_path, monkeypatch):
    monkeypatch.setenv("KAFKA_PASSWORD", "right")
    with pytest.raises(InvalidError, match="ssl.ca.location is /nowhere/ca.pem, which cannot be read"):
        read(f"kafka://{kafka.tls_address}/t", tmp_path / "out", options=secure(kafka, "PLAIN", **{"ssl.ca.location": "/nowhere/ca.pem"}))


def producer_of(kafka, name):
    from confluent_kafka import Producer

    made = Producer({"bootstrap.servers": kafka.address, "transactional.id": name})
    made.init_transactions(30)
    return made


def test_transactions_of_others(kafka, tmp_path):
    """What is aborted is never read, what is open not yet, and what lies behind it neither."""
    topic = kafka.topic(1)
    kafka.write(topic, values(range(10)))
    committed, aborted, still_open = (producer_of(kafka, f"{topic}-{n}") for n in "cao")
    for producer, ids in ((committed, range(10, 20)), (aborted, range(100, 110))):
        producer.begin_transaction()
        for value in values(ids):
            producer.produce(topic, value)
        assert producer.flush(30) == 0
    aborted.abort_transaction(30)
    committed.commit_transaction(30)
    kafka.write(topic, values(range(20, 30)))
    still_open.begin_transaction()
    for value in values(range(30, 40)):
        still_open.produce(topic, value)
    assert still_open.flush(30) == 0
    kafka.write(topic, values(range(40, 50)))
    assert read(kafka.uri(topic), tmp_path / "one") == list(range(30))
    still_open.commit_transaction(30)
    assert read(kafka.uri(topic), tmp_path / "two") == list(range(50))


def test_compaction_leaves_gaps(kafka, tmp_path):
    """Only the last record of each key is left, at its offset; ranges begin, end and lie in gaps."""
    topic = kafka.topic(1, cleanup_policy="compact", min_cleanable_dirty_ratio=0.01, segment_ms=100, max_compaction_lag_ms=100)
    kafka.write(topic, values(range(1000)), key=lambda i: b"k%d" % (i % 100 if i < 990 else i))
    want = list(range(890, 1000))
    end = time.monotonic() + DEADLINE
    while [json.loads(v)["id"] for _, _, v in kafka.read(topic)][:110] != want:
        assert time.monotonic() < end
        kafka.write(topic, [b'{"id": -1}'], key=lambda _: b"rolls the segment")
    assert read(kafka.uri(topic), tmp_path / "all", to={0: 1000}) == want
    assert read(kafka.uri(topic), tmp_path / "from", from_={0: 500}, to={0: 895}) == list(range(890, 895))
    LocalTask(ghee.Input(kafka.uri(topic), from_={0: 100}, to={0: 800}, columns=["offset"]), preprocess=ghee.Stage(as_is, form="arrow"), output=tmp_path / "gap").run()
    assert read_ids(tmp_path / "gap", "offset").tolist() == []


def test_a_damaged_batch(kafka, tmp_path):
    """A bit of the broker's file has turned: told with its place, not read as something else."""
    topic = kafka.topic(1)
    for start in (0, 10, 20):
        kafka.write(topic, values(range(start, start + 10)))
    file = next(pathlib.Path(kafka.run).glob(f"data/{topic}-0/*.log"))
    data = file.read_bytes()
    with open(file, "r+b") as f:
        f.seek(data.index(b'{"id": 15}') + 7)
        f.write(b"6")
    with pytest.raises(CorruptError, match=f"the records at offset 1[0-9] of partition 0 of .*{topic} are damaged"):
        read(kafka.uri(topic), tmp_path / "out")
    assert read(kafka.uri(topic), tmp_path / "before", to={0: 10}) == list(range(10))
    assert read(kafka.uri(topic), tmp_path / "behind", from_={0: 20}) == list(range(20, 30))


def test_partitions_are_added_between_plan_and_resume(kafka, tmp_path, ghee_cli):
    """A job with an end keeps to its plan."""
    topic = kafka.topic(1)
    kafka.write(topic, values(range(2000)))
    (tmp_path / "job.yaml").write_text(json.dumps({"name": "grown", "input": {"uri": kafka.uri(topic), "format": "json"},
                                                   "preprocess": {"run": "f:gated"}, "output": {"uri": "out"}}))
    (tmp_path / "f.py").write_text("import os\ndef gated(b):\n    open(os.path.join(os.path.dirname(__file__), 'gate')).read()\n    return b\n")
    done = ghee_cli("run", "job.yaml")
    assert done.returncode == 13, done.stderr  # there is no gate
    kafka.grow(topic, 3)
    kafka.write(topic, values(range(2000, 2300)), partitions=3)
    (tmp_path / "gate").touch()
    done = ghee_cli("resume", "grown")
    assert done.returncode == 0, done.stderr
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(2000))


@pytest.mark.parametrize("to", [None, "never"])
def test_a_topic_without_records_tells_no_columns(kafka, tmp_path, to):
    job = LocalTask(ghee.Input(f"kafka://{kafka.address}/{kafka.topic(1)}", format="json", to=to), name="waits", preprocess=ghee.Stage(as_is, form="arrow"), output=tmp_path / "out")
    with pytest.raises(NotFoundError, match="no records yet, .*: send a record first, or say format: bytes"):
        job.run()
