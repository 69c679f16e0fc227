# SPDX-License-Identifier: Apache-2.0
import time

import pyarrow.parquet as pq

import ghee
import harness
from ghee_peer import files
from truth import failure, mark


def work(batch, ctx):
    mark()
    time.sleep(ctx.params["ms"] / 1000)
    return batch


if __name__ == "__main__":
    o = harness.opts(rows=0, ms=20, workers=4)
    folder, want = harness.data("ids", o.rows)

    def job():
        out = harness.output() + "/ids"
        ghee.task.LocalTask(files(folder), preprocess=ghee.Stage(work, workers=o.workers, batch_size=1024, args={"ms": o.ms}), output=out).run()
        yield pq.read_table(out)["id"].to_numpy()

    failure(job, o.rows)
