# SPDX-License-Identifier: Apache-2.0
"""Topics as inputs, read from a real broker."""
import json
import pathlib
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # tests/kafka.py

import ghee
from conftest import read_ids
from ghee.errors import ChangedError, CorruptError, DeniedError, InvalidError, NotFoundError
from ghee.task import LocalTask


def as_is(batch):
    return batch


def numbers(batch):
    return {"id": batch["id"], "x": batch["x"] * 2}


def lines(rows, start=0):
    return [json.dumps({"id": i, "x": i / 2}).encode() for i in range(start, start + rows)]


def table(folder):
    return pq.read_table(sorted(pathlib.Path(folder).glob("*.parquet")))


def test_json_values_become_columns(kafka, tmp_path):
    topic = kafka.topic(4)
    kafka.write(topic, lines(10_007), partitions=4)
    result = LocalTask(ghee.Input(kafka.uri(topic), format="json"), preprocess=ghee.Stage(numbers, workers=3), output=tmp_path / "out").run()
    assert result.progress["rows_out"] == 10_007
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(10_007))
    assert np.array_equal(read_ids(tmp_path / "out", "x"), np.arange(10_007).astype(float))


def test_records_as_bytes(kafka, tmp_path):
    topic = kafka.topic(2)
    kafka.write(topic, [b"v%d" % i for i in range(100)], partitions=2, key=lambda i: None if i % 10 == 0 else b"k%d" % i,
                headers=lambda i: [("a", b"1"), ("a", None)] if i == 4 else [], timestamp=lambda i: 1_700_000_000_000 + i)
    LocalTask(ghee.Input(kafka.uri(topic)), preprocess=ghee.Stage(as_is, form="arrow"), output=tmp_path / "out").run()
    got = table(tmp_path / "out").sort_by("timestamp")
    assert got.column_names == ["key", "value", "headers", "partition", "offset", "timestamp"]
    assert [str(t) for t in got.schema.types] == ["binary", "binary", "list<item: struct<key: string, value: binary>>", "int32", "int64", "timestamp[ms, tz=UTC]"]
    assert got["value"].to_pylist() == [b"v%d" % i for i in range(100)]
    assert got["key"].to_pylist() == [None if i % 10 == 0 else b"k%d" % i for i in range(100)]
    assert got["partition"].to_pylist() == [i % 2 for i in range(100)] and got["offset"].to_pylist() == [i // 2 for i in range(100)]
    assert got["headers"].to_pylist()[3:6] == [[], [{"key": "a", "value": b"1"}, {"key": "a", "value": None}], []]
    assert got["timestamp"].cast("int64").to_pylist() == [1_700_000_000_000 + i for i in range(100)]


def test_filter(kafka, tmp_path):
    topic = kafka.topic(2)
    kafka.write(topic, lines(1_000), partitions=2, key=lambda i: None if i % 10 == 0 else b"k%d" % i)
    LocalTask(ghee.Input(kafka.uri(topic), format="json", metadata=["offset"], columns=["id"], filter="x >= 100 and _offset < 400"),
              preprocess=ghee.Stage(as_is, workers=2, batch_size=64), output=tmp_path / "json").run()
    assert np.array_equal(read_ids(tmp_path / "json"), np.arange(200, 800))
    LocalTask(ghee.Input(kafka.uri(topic), columns=["value"], filter="partition = 1 and key in ('k7', 'k8', 'k9') or key is null and \"offset\" < 10"),
              preprocess=ghee.Stage(as_is, form="arrow"), output=tmp_path / "bytes").run()
    got = table(tmp_path / "bytes")
    assert got.column_names == ["value"]
    assert sorted(json.loads(v)["id"] for v in got["value"].to_pylist()) == [0, 7, 9, 10]
    with pytest.raises(NotFoundError, match='"idd".*"id" meant'):
        LocalTask(ghee.Input(kafka.uri(topic), format="json", filter="idd = 1"), preprocess=as_is, output=tmp_path / "none").run()


def test_metadata_beside_json(kafka, tmp_path):
    topic = kafka.topic(1)
    kafka.write(topic, lines(50) + [None])
    task = LocalTask(ghee.Input(kafka.uri(topic), format="json", metadata=["offset", "timestamp"], metadata_prefix="kafka_", columns=["kafka_offset", "id"]),
                     preprocess=ghee.Stage(as_is, form="arrow"), output=tmp_path / "out")
    task.run()
    got = table(tmp_path / "out")
    assert got.column_names == ["kafka_offset", "id"]
    assert sorted(got.to_pylist(), key=lambda r: r["kafka_offset"]) == [{"kafka_offset": i, "id": i if i < 50 else None} for i in range(51)]


@pytest.mark.parametrize("bounds, want", [
    ({"from_": {0: 10}, "to": {0: 20}}, range(10, 20)), ({"from_": {0: 95}}, range(95, 100)), ({"to": {0: 5}}, range(5)),
    ({"from_": 1_700_000_040_000, "to": "2023-11-14T22:14:10Z"}, range(40, 50)), ({"from_": "latest"}, range(0)), ({}, range(100))])
def test_bounds(kafka, tmp_path, bounds, want):
    topic = kafka.topic(1)
    kafka.write(topic, [b"%d" % i for i in range(100)], timestamp=lambda i: 1_700_000_000_000 + i * 1000)
    LocalTask(ghee.Input(kafka.uri(topic), columns=["offset"], **bounds), preprocess=ghee.Stage(as_is, form="arrow"), output=tmp_path / "out").run()
    assert read_ids(tmp_path / "out", "offset").tolist() == list(want)


def test_values_that_are_no_json(kafka, tmp_path):
    topic = kafka.topic(2)
    bad = {3: b"", 77: b"{\"id\": 1", 78: b"{\"id\": 2}{}", 500: b"[1]", 902: b"\xff\xfe", 903: b"{\"id\": 1, \"x\": [}", 9000: b"{\"id\": \"x\", \"x\": 1}"}
    values = lines(10_000)
    for i, value in bad.items():
        values[i] = value
    kafka.write(topic, values, partitions=2)
    task = dict(input=ghee.Input(kafka.uri(topic), format="json", metadata=["offset", "partition"]), preprocess=ghee.Stage(as_is, form="arrow", workers=2))
    with pytest.raises(CorruptError) as stopped:
        LocalTask(**task, output=tmp_path / "none").run()
    assert topic in str(stopped.value) and "offset" in str(stopped.value) and "partition" in str(stopped.value)
    LocalTask(**task, output=tmp_path / "out", on_reject="divert", dead_letter=tmp_path / "dead").run()
    got = table(tmp_path / "out").to_pylist()
    assert sorted(r["id"] for r in got) == [i for i in range(10_000) if i not in bad]
    assert all(r["id"] == r["_offset"] * 2 + r["_partition"] for r in got)
    dead = [json.loads(line) for f in (tmp_path / "dead").glob("*.jsonl") for line in f.read_text().splitlines()]
    assert sorted(d["offset"] * 2 + d["partition"] for d in dead) == sorted(bad)
    assert all(d["reason"] and topic in d["file"] for d in dead)


def stream(table, codec=None, batch_rows=None):
    """A table as a stream of Arrow IPC, of one batch or more."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_table(table, batch_rows)
    return sink.getvalue().to_pybytes()


def ids_table(start, rows):
    ids = np.arange(start, start + rows)
    return pa.table({"id": ids, "x": ids / 2, "name": pa.array([None if i % 7 == 0 else f"n{i}" for i in ids], pa.string())})


def test_streams_of_arrow(kafka, tmp_path):
    """Records of one batch, of several, of none, compressed, and tombstones; more rows in one than a batch may have."""
    topic = kafka.topic(2)
    sizes = [1, 20_000, 7, 0, 3000, 512, 1, 9999]
    starts = np.cumsum([0, *sizes])
    values = [stream(ids_table(start, rows), ["zstd", "lz4", None][i % 3], 100 if i % 2 else None) for i, (start, rows) in enumerate(zip(starts, sizes))]
    kafka.write(topic, values + [None], partitions=2)
    counted = kafka.topic(1)

    def check(batch):
        assert batch.num_rows <= 4096
        return batch

    LocalTask(ghee.Input(kafka.uri(topic), format="ipc", metadata=["offset", "partition"]), preprocess=ghee.Stage(check, form="arrow", workers=2, batch_size=4096),
              output=tmp_path / "out").run()
    got = table(tmp_path / "out").sort_by("id")
    assert got.drop_columns(["_partition", "_offset"]).equals(ids_table(0, starts[-1]))
    record = np.repeat(np.arange(len(sizes)), sizes)
    assert got["_partition"].to_pylist() == (record % 2).tolist() and got["_offset"].to_pylist() == (record // 2).tolist()
    LocalTask(ghee.Input(kafka.uri(topic), format="ipc", columns=["x", "_offset"], metadata=["offset"]), preprocess=ghee.Stage(as_is, form="arrow"), output=tmp_path / "x").run()
    assert table(tmp_path / "x").column_names == ["x", "_offset"] and np.array_equal(read_ids(tmp_path / "x", "x"), np.arange(starts[-1]) / 2)
    LocalTask(ghee.Input(kafka.uri(topic), format="ipc", columns=["_offset"], metadata=["offset"]), preprocess=ghee.Stage(as_is, form="arrow"), output=tmp_path / "o").run()
    assert np.array_equal(read_ids(tmp_path / "o", "_offset"), np.sort(record // 2))
    with pytest.raises(NotFoundError, match="has no records"):
        LocalTask(ghee.Input(kafka.uri(counted), format="ipc"), preprocess=as_is, output=tmp_path / "none").run()


def test_values_that_are_no_arrow(kafka, tmp_path):
    """Damaged, of other columns, of other types: named or put aside as whole records; what casts without loss is read."""
    topic = kafka.topic(1)
    whole = stream(ids_table(0, 100))
    narrow = ids_table(100, 50).set_column(0, "id", pa.array(np.arange(100, 150), pa.int32()))
    bad = [b"", b"no arrow", whole[: len(whole) // 2], stream(pa.table({"id": [1]})), stream(ids_table(0, 3).set_column(0, "id", pa.array(["a", "b", "c"])))]
    kafka.write(topic, [whole, *bad, stream(narrow)])
    task = dict(input=ghee.Input(kafka.uri(topic), format="ipc"), preprocess=ghee.Stage(as_is, form="arrow"))
    with pytest.raises(CorruptError, match="the value at offset 1 of partition 0 .* cannot be read as Arrow IPC"):
        LocalTask(**task, output=tmp_path / "none").run()
    result = LocalTask(**task, output=tmp_path / "out", on_reject="divert", dead_letter=tmp_path / "dead").run()
    assert table(tmp_path / "out").equals(ids_table(0, 150))
    dead = [json.loads(line) for f in (tmp_path / "dead").glob("*.jsonl") for line in f.read_text().splitlines()]
    assert [d["offset"] for d in dead] == list(range(1, 1 + len(bad))) and all(d["reason"] for d in dead)
    assert result.progress["rejected"] == len(bad)


def test_lines_break_inside_of_values(kafka, tmp_path):
    topic = kafka.topic(1)
    kafka.write(topic, [json.dumps({"id": i, "x": {"y": [i, "}{\\\" \\n"]}}, indent=1).encode() for i in range(300)])
    LocalTask(ghee.Input(kafka.uri(topic), format="json"), preprocess=ghee.Stage(as_is, form="arrow"), output=tmp_path / "out").run()
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(300))


def test_what_is_not_there(kafka, tmp_path):
    with pytest.raises(NotFoundError, match="no-such-topic"):
        LocalTask(kafka.uri("no-such-topic"), preprocess=as_is, output=tmp_path / "out").run()
    topic = kafka.topic(1)
    with pytest.raises(NotFoundError, match="asks for offset 7 .* offsets 0 to 0"):
        LocalTask(ghee.Input(kafka.uri(topic), from_={0: 7}), preprocess=as_is, output=tmp_path / "out").run()
    with pytest.raises(NotFoundError, match="has no records"):
        LocalTask(ghee.Input(kafka.uri(topic), format="json"), preprocess=as_is, output=tmp_path / "out").run()
    with pytest.raises(InvalidError, match="is no topic"):
        LocalTask(f"kafka://{kafka.address}", preprocess=as_is, output=tmp_path / "out").run()


@pytest.fixture(scope="module")
def topics(kafka):
    """One with five records, and one that takes only small ones."""
    topic, small = kafka.topic(1), kafka.topic(1, max_message_bytes=200)
    kafka.write(topic, [b'{"id": 1}'] * 5)
    return topic, small


SASL = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "ghee", "sasl.password": "${KAFKA_PASSWORD}", "timeout": "2"}


@pytest.mark.parametrize("code, words, parts", [
    (4, "kafka://ADDRESS/nowhere.*is the name right", {"input": {"uri": "kafka://ADDRESS/nowhere"}}),
    (4, "kafka://ADDRESS/nowhere.*is the name right", {"output": {"uri": "kafka://ADDRESS/nowhere"}}),
    (4, "asks for offset 7 of partition 0 of kafka://ADDRESS/TOPIC, which has offsets 0 to 5", {"input": {"uri": "kafka://ADDRESS/TOPIC", "from": {"0": 7}}}),
    (5, "kafka://SASL/TOPIC.*[Aa]uthentication failed.*check security.protocol", {"input": {"uri": "kafka://SASL/TOPIC", "options": SASL}}),
    (5, "kafka://SASL/TOPIC.*[Aa]uthentication failed.*check security.protocol", {"output": {"uri": "kafka://SASL/TOPIC", "options": SASL}}),
    (9, "kafka://127.0.0.1:1/TOPIC.*refused.*check that the brokers are up", {"input": {"uri": "kafka://127.0.0.1:1/TOPIC", "options": {"timeout": "2"}}}),
    (9, "no-such-host.invalid.*resolve.*check that the brokers are up", {"input": {"uri": "kafka://no-such-host.invalid:9/TOPIC", "options": {"timeout": "2"}}}),
    (11, "kafka://ADDRESS/SMALL.*too large; raise message.max.bytes", {"output": {"uri": "kafka://ADDRESS/SMALL"}}),
    (11, "kafka://ADDRESS/TOPIC.*too large; raise message.max.bytes", {"output": {"uri": "kafka://ADDRESS/TOPIC", "format": "json", "options": {"message.max.bytes": "1000"}}})],
    ids=["topic in", "topic out", "offsets", "password in", "password out", "port", "host", "large for the topic", "large for the client"])
def test_what_the_program_says(kafka, topics, tmp_path, refused, code, words, parts):
    topic, small = topics
    (tmp_path / "ids").mkdir()
    pq.write_table(pa.table({"id": [1], "x": ["y" * 5000]}), tmp_path / "ids" / "part.parquet")
    names = {"ADDRESS": kafka.address, "SASL/": f"{kafka.sasl_address}/", "TOPIC": topic, "SMALL": small}
    text = json.dumps(parts)
    for name, is_now in names.items():
        text, words = text.replace(name, is_now), words.replace(name, is_now)
    refused(code, words, options={"env": {"KAFKA_PASSWORD": "wrong"}}, **json.loads(text))
    assert len(kafka.read(topic)) == 5 and kafka.read(small) == []


def test_passwords(kafka, tmp_path, monkeypatch, own_state):
    topic = kafka.topic(1)
    kafka.write(topic, [b"x"] * 10)
    uri = f"kafka://{kafka.sasl_address}/{topic}"
    options = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "ghee", "sasl.password": "${KAFKA_PASSWORD}"}

    def task(out, **more):
        return LocalTask(ghee.Input(uri, options={**options, **more}, columns=["offset"]), preprocess=ghee.Stage(as_is, form="arrow"), output=tmp_path / out, name=out)

    with pytest.raises(InvalidError, match="must not stand in a description"):
        task("clear", **{"sasl.password": "right"}).run()
    monkeypatch.setenv("KAFKA_PASSWORD", "wrong-and-secret")
    with pytest.raises(DeniedError) as denied:
        task("wrong").run()
    assert "wrong-and-secret" not in str(denied.value) and "sasl" in str(denied.value).lower()
    monkeypatch.setenv("KAFKA_PASSWORD", "right")
    task("right").run()
    assert read_ids(tmp_path / "right", "offset").tolist() == list(range(10))
    stored = [f for f in own_state.rglob("*") if f.is_file()]
    assert stored and not any(b"wrong-and-secret" in f.read_bytes() for f in stored)
