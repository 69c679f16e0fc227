# SPDX-License-Identifier: Apache-2.0
"""Topics as outputs of a real broker: values, keys, partitions, headers, dead letters."""
import json
import pathlib
import sys

import numpy as np
import pyarrow as pa
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # tests/kafka.py

import ghee
from ghee.errors import InvalidError, LimitError, NotFoundError, SchemaError, UserError
from ghee.task import LocalTask


def as_is(batch):
    return batch


def rows_of(kafka, topic):
    return [json.loads(m.value()) for m in kafka.messages(topic)]


def put(ids, rows, kafka, function=as_is, workers=2, partitions=3, **output):
    """Rows of a folder through a function into a new topic; its name."""
    topic = kafka.topic(partitions)
    LocalTask(ids(rows), preprocess=ghee.Stage(function, form="arrow", workers=workers), output=ghee.Output(kafka.uri(topic), **output)).run()
    return topic


def test_streams_of_arrow(ids, kafka):
    """A batch a record, and more records where one would be too large."""
    topic = put(ids, 10_000, kafka, format="ipc")
    tables = [pa.ipc.open_stream(m.value()).read_all() for m in kafka.messages(topic)]
    assert sorted(np.concatenate([t["id"].to_numpy() for t in tables]).tolist()) == list(range(10_000))
    assert all(t.schema.equals(pa.schema({"id": pa.int64(), "x": pa.float64()}), check_metadata=False) for t in tables) and len(tables) < 100


def wide(batch):
    return pa.RecordBatch.from_pydict({"id": batch["id"], "text": ["%04d" % i * 12_500 for i in batch["id"].to_pylist()]})


def test_batches_larger_than_a_record_may_be(ids, kafka):
    topic = put(ids, 100, kafka, wide, format="ipc")
    values = [m.value() for m in kafka.messages(topic)]
    assert all(len(v) <= 1_000_000 for v in values) and len(values) >= 5
    tables = [pa.ipc.open_stream(v).read_all() for v in values]
    assert sorted(np.concatenate([t["id"].to_numpy() for t in tables]).tolist()) == list(range(100))
    assert all(int(t["text"][0].as_py()[:4]) == t["id"][0].as_py() for t in tables)


@pytest.mark.parametrize("format", ["json", "ipc"])
def test_a_row_larger_than_a_record_may_be(ids, kafka, format):
    def huge(batch):
        return pa.RecordBatch.from_pydict({"id": batch["id"][:1], "text": ["x" * 2_000_000]})

    with pytest.raises(LimitError, match="message.max.bytes"):
        put(ids, 10, kafka, huge, format=format)


def test_what_the_topic_takes_less_of(ids, kafka):
    """The broker's own limit, which only it knows."""
    topic = kafka.topic(1, max_message_bytes=2000)
    with pytest.raises(LimitError, match="max.message.bytes of the topic"):
        LocalTask(ids(10), preprocess=ghee.Stage(wide, form="arrow"), output=ghee.Output(kafka.uri(topic))).run()


def shapes(batch):
    i = batch["id"].to_numpy()
    return pa.RecordBatch.from_pydict({
        "id": i, "user": pa.array([None if k % 10 == 0 else f"user-{k % 97}" for k in i]), "shard": pa.array([None if k % 3 == 2 else int(k % 3) for k in i], pa.int16()),
        "trace": pa.array([b"\x00t%d" % k for k in i], pa.binary()), "source": pa.array(["é", "b"] * len(i)).slice(0, len(i)).dictionary_encode()})


def test_keys_partitions_headers(ids, kafka):
    topic = put(ids, 1000, kafka, shapes, key="user", partition="shard", headers=["trace", "source", "id"])
    messages = kafka.messages(topic)
    assert len(messages) == 1000
    for m in messages:
        headers = dict(m.headers())
        k = int(headers["id"])
        assert [name for name, _ in m.headers()] == ["trace", "source", "id"]
        assert headers["trace"] == b"\x00t%d" % k and headers["source"].decode() in ("é", "b")
        assert json.loads(m.value()) == {"user": m.key() and m.key().decode()}
        assert m.key() == (None if k % 10 == 0 else b"user-%d" % (k % 97))
        assert k % 3 == 2 or m.partition() == k % 3


def test_keys_choose_partitions_as_those_of_java(ids, kafka):
    topic = put(ids, 500, kafka, key="id", partitions=7)
    ours = {int(m.key()): m.partition() for m in kafka.messages(topic)}
    assert [ours[i] for i in range(500)] == kafka.partitions_of(range(500), 7)


@pytest.mark.parametrize("wrong, error, says", [
    ({"key": "none"}, SchemaError, "no column none, which output.key names"), ({"key": "x"}, SchemaError, "column x of type float64; it must be text"),
    ({"partition": "x"}, SchemaError, "must be whole numbers"), ({"partition": "id"}, NotFoundError, "has no partition [0-9]+"),
    ({"headers": ["id", "id"]}, InvalidError, "named twice"), ({"format": "ipc", "key": "id"}, InvalidError, "a record is a whole batch"),
    ({"mode": "append"}, InvalidError, "mode is for files")])
def test_columns_that_cannot_be(ids, kafka, wrong, error, says):
    with pytest.raises(error, match=says):
        put(ids, 100, kafka, workers=1, **wrong)


def test_a_number_that_is_no_partition(ids, kafka):
    with pytest.raises(UserError, match="has -1, which is no partition"):
        put(ids, 10, kafka, lambda b: pa.RecordBatch.from_pydict({"id": b["id"], "p": pa.array([-1] * b.num_rows)}), partition="p")


def odd_ones(batch, ctx):
    ctx.reject([i for i, k in enumerate(batch["id"]) if k % 100 == 50], "divides by fifty")
    return {"id": batch["id"][batch["id"] % 100 != 50]}


def test_dead_letters(kafka, tmp_path):
    """What cannot be read and what is refused, each once, beside the rows."""
    source, target, dead = kafka.topic(3), kafka.topic(2), kafka.topic(2)
    values = [json.dumps({"id": i}).encode() for i in range(3000)]
    values[7], values[1234] = b"{", b"[]"
    kafka.write(source, values, partitions=3)
    task = dict(input=ghee.Input(kafka.uri(source), format="json"), preprocess=ghee.Stage(odd_ones, workers=2), output=kafka.uri(target), on_reject="divert")
    result = LocalTask(**task, dead_letter=kafka.uri(dead)).run()
    refused = [i for i in range(3000) if i % 100 == 50]
    assert sorted(r["id"] for r in rows_of(kafka, target)) == [i for i in range(3000) if i not in (7, 1234, *refused)]
    letters = rows_of(kafka, dead)
    unread = sorted((d["partition"], d["offset"]) for d in letters if d["stage"] == "input")
    assert unread == sorted((i % 3, i // 3) for i in (7, 1234))
    assert len(letters) == 2 + len(refused) and all(d["reason"] == "divides by fifty" for d in letters if d["stage"] != "input")
    assert result.progress["rejected"] == len(letters) and result.progress["rows_out"] == 3000 - len(letters)
    with pytest.raises(NotFoundError, match="nowhere"):
        LocalTask(**task, dead_letter=kafka.uri("nowhere")).run()


@pytest.mark.parametrize("output, dead, says", [
    ("kafka://a:1/out", "dead", "dead_letter must be a topic"), ("out", "kafka://a:1/dead", "dead_letter must be a folder"),
    ("kafka://a:1/out", "kafka://b:1/dead", "of the same brokers"), ("kafka://a:1/out", "kafka://a:1/out", "are the same topic"),
    ("kafka://a:1/out", "kafka://a:1/in", "are the same topic")])
def test_dead_letters_that_cannot_be(output, dead, says):
    with pytest.raises(InvalidError, match=says):
        LocalTask("kafka://a:1/in", preprocess=as_is, output=output, on_reject="divert", dead_letter=dead).check()
