# SPDX-License-Identifier: Apache-2.0
"""A real Kafka broker for tests: `with Broker() as broker`, topics, records in and out."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import uuid

from storages import SERVICES, CannotInstall

UP = SERVICES / "kafka"
ROWS_OF_RECORD = 500  # of Arrow


class Broker:
    """One broker of its own, its data in a folder of `on` (that of temporary files by default), gone at the end."""

    def __init__(self, on=None):
        self.run = tempfile.mkdtemp(prefix="ghee-kafka-", dir=on)
        self.run_env = {**os.environ, "KAFKA_RUN": self.run}

    def up(self):
        done = subprocess.run([str(UP / "up")], env=self.run_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode == 77:
            raise CannotInstall(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        self.address = done.stdout.strip()
        host, port = self.address.split(":")
        self.sasl_address, self.tls_address = f"{host}:{int(port) + 1}", f"{host}:{int(port) + 3}"
        self.ca = os.path.join(self.run, "ca.pem")

    def kill(self):
        """At once, as a power cut; `up` brings it back with its data, on the same port."""
        subprocess.run([str(UP / "down"), "-k"], env=self.run_env, check=True)

    @contextlib.contextmanager
    def held(self):
        """It answers nobody meanwhile, and its connections stay."""
        pid = int(pathlib.Path(self.run, "broker.pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run([str(UP / "down")], env=self.run_env, check=False)
        shutil.rmtree(self.run, ignore_errors=True)

    def uri(self, topic):
        return f"kafka://{self.address}/{topic}"

    def admin(self):
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self.address})

    def topic(self, partitions=1, **config):
        """A new topic; its name."""
        from confluent_kafka.admin import NewTopic

        name = f"t-{uuid.uuid4().hex[:12]}"
        config = {k.replace("_", "."): str(v) for k, v in config.items()}
        admin = self.admin()
        admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(60)
        return name

    def grow(self, topic, partitions):
        from confluent_kafka.admin import NewPartitions

        admin = self.admin()
        admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(60)

    def trim(self, topic, partition, before):
        """Removes the records before an offset, as retention does."""
        from confluent_kafka import TopicPartition

        admin = self.admin()
        for future in admin.delete_records([TopicPartition(topic, partition, before)]).values():
            future.result(60)

    def committed(self, group, topic):
        """Sum of the offsets that a group has committed."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.address, "group.id": group})
        partitions = consumer.list_topics(topic, 30).topics[topic].partitions
        found = consumer.committed([TopicPartition(topic, p) for p in partitions], 30)
        consumer.close()
        return sum(max(p.offset, 0) for p in found)

    def write(self, topic, values, partitions=None, partition=None, key=None, headers=None, timestamp=None):
        """Values (bytes) in order, to partitions by turns where their number is said, or to one."""
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.address, "enable.idempotence": True, "linger.ms": 5, "queue.buffering.max.messages": 2_000_000})
        for i, value in enumerate(values):
            more = {} if partitions is None else {"partition": i % partitions}
            if partition is not None:
                more["partition"] = partition
            if timestamp is not None:
                more["timestamp"] = timestamp(i)
            producer.produce(topic, value, key=key and key(i), headers=headers and headers(i), **more)
            producer.poll(0)
        assert producer.flush(60) == 0

    def partitions_of(self, keys, partitions):
        """What Kafka's own client makes of each key (text)."""
        command = f'. {UP / "env"}; exec "${{java[@]}}" {UP / "Partitions.java"} {partitions}'
        done = subprocess.run(["bash", "-c", command], env=self.run_env, input="".join(f"{k}\n" for k in keys), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [int(line) for line in done.stdout.split()]

    def read(self, topic):
        """All committed (partition, offset, value) of a topic."""
        return [(m.partition(), m.offset(), m.value()) for m in self.messages(topic)]

    def messages(self, topic):
        """All committed messages of a topic."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.address, "group.id": "tests", "isolation.level": "read_committed", "enable.auto.commit": False,
                             "auto.offset.reset": "earliest", "enable.partition.eof": True})
        partitions = consumer.list_topics(topic, 30).topics[topic].partitions
        consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
        ended, found = set(), []
        while len(ended) < len(partitions):
            for message in consumer.consume(10_000, 1.0):
                if message.error() is None:
                    found.append(message)
                else:
                    ended.add(message.partition())
        consumer.close()
        return found


class Topics(Broker):
    """As one of `storages`: each file of a folder of Parquet becomes a partition, its rows values of JSON, or batches of Arrow; and back."""

    env = {}

    def __init__(self, format="json"):
        super().__init__()
        self.format = format

    def __enter__(self):
        self.topics = {}
        return super().__enter__()

    def put(self, folder, name):
        import pyarrow.parquet as pq

        files = sorted(pathlib.Path(folder).glob("*.parquet"))
        self.topics[name] = self.topic(len(files))
        for partition, file in enumerate(files):
            self.write(self.topics[name], self.encode(pq.read_table(file)), partition=partition)

    def encode(self, table):
        import pyarrow as pa

        if self.format == "json":
            yield from (json.dumps(row).encode() for row in table.to_pylist())
            return
        for batch in table.to_batches(ROWS_OF_RECORD):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema) as writer:
                writer.write_batch(batch)
            yield sink.getvalue().to_pybytes()

    def uri(self, name):
        if name not in self.topics:
            self.topics[name] = self.topic(3)
        return super().uri(self.topics[name])

    def get(self, name, folder):
        import pyarrow as pa
        import pyarrow.parquet as pq

        values = [value for _, _, value in self.read(self.topics[name])]
        if self.format == "json":
            table = pa.Table.from_pylist([json.loads(value) for value in values])
        else:
            table = pa.concat_tables([pa.ipc.open_stream(value).read_all() for value in values])
        pq.write_table(table, pathlib.Path(folder) / "part-0.parquet")

    def names(self, name):
        return []

    def left(self, name):
        return []  # what is not committed is undone by the broker


TOPICS = {"kafka": Topics, "kafka-ipc": lambda: Topics("ipc")}
