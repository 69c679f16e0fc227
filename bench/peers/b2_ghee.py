# SPDX-License-Identifier: Apache-2.0
import time

import pyarrow as pa
import pyarrow.parquet as pq

import ghee
import ghee_peer  # noqa: F401
import harness
from capped import CPUS, GPUS, PIECE, ROWS, Cap, gpu, load, transform


class LoadTransform:
    """A row names a piece of a load: a whole load at once would lie twice in memory, here and on its way."""

    k = None

    def __call__(self, b):
        k, at = int(b["k"][0]), int(b["at"][0])
        if k != self.k:
            self.x = None
            self.k, self.x = k, load(k)
        return {"x": transform(self.x[at:at + PIECE])}


def predict(b):
    return {"s": gpu(b["x"])}


def wait(b):
    time.sleep(0.1)
    return b


def job(rows, first, then):
    folder = harness.output()
    pq.write_table(pa.table(rows), folder + "/in.parquet", row_group_size=ROWS // PIECE)
    ghee.task.LocalTask(folder + "/in.parquet", preprocess=ghee.Stage(first, workers=CPUS, batch_size=1),
                        predict=ghee.Stage(then, workers=GPUS), output=folder + "/out", buffer="48MiB").run()
    return pq.read_table(folder + "/out")


if __name__ == "__main__":
    o = harness.opts(cap=1.0, tasks=160)
    cap, at = Cap(o.cap), range(0, ROWS, PIECE)
    with cap.idle():
        job({"k": [0] * 5 * CPUS}, wait, wait)
    cap.on()
    sums = job({"k": [k for k in range(o.tasks) for _ in at], "at": [*at] * o.tasks}, LoadTransform, predict)["s"]
    cap.report(sums.to_pylist(), o.tasks)
