# SPDX-License-Identifier: Apache-2.0
import numpy as np

import ghee
import harness
from ghee_peer import files
from truth import truth


def consume(batches, ctx):
    ids = np.concatenate([b["id"] for b in batches if not b.padding])
    np.save(f"{ctx.params['out']}/{ctx.rank}", ids)


if __name__ == "__main__":
    o = harness.opts(rows=0, consumers=3)
    folder, want = harness.data("ids", o.rows)
    out = harness.output()
    ghee.task.LocalTask(ghee.Input(files(folder), shuffle=True),
                        train=ghee.Stage(consume, workers=o.consumers, batch_size=1000, form="numpy", args={"out": out})).run()
    truth([np.load(f"{out}/{k}.npy") for k in range(o.consumers)], o.rows)
