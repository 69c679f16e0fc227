# SPDX-License-Identifier: Apache-2.0
import ghee
import ghee_peer  # noqa: F401
import harness
from harness import T0, now


def same(batch):
    return batch


def train(batches, ctx):
    return [now() for _ in batches]


if __name__ == "__main__":
    imported, o, folder = now(), harness.opts(workers=2), harness.output()
    for k in range(o.workers):
        with open(f"{folder}/{k}.csv", "w") as f:
            f.write(f"k\n{k}\n")
    task = ghee.task.LocalTask(folder, preprocess=ghee.Stage(same, workers=o.workers), train=ghee.Stage(train, form="numpy", batch_size=1))
    stamps = task.run().value
    harness.report(seconds=stamps[-1] - T0, time_to_first_batch_s=stamps[0] - T0, imported_s=imported - T0, t_last=stamps[-1] - T0)
