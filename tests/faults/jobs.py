# SPDX-License-Identifier: Apache-2.0
"""The jobs that the fault tests torment, each run as a program of its own: `python jobs.py JSON [resume]`, see storm.py.

Every row has an id. predict writes the ids; train counts them by epoch in its state, and each rank's counts in the end lie in the output."""
import json
import os
import sys
import time

import numpy as np

import ghee


def slow(batch):
    time.sleep(0.004)
    return {"id": batch["id"], "x": batch["x"] * 2}


class Predict:
    def __call__(self, batch):
        time.sleep(0.002)
        return {"id": batch["id"], "score": batch["x"] + 1}


def post(batch):
    return {"id": batch["id"], "stars": np.round(batch["score"])}


def post_in_parts(batch):
    return {**post(batch), "part": batch["id"] % 5}


def train(batches, ctx):
    counts = ctx.state if ctx.state is not None else np.zeros((ctx.epochs, ctx.params["rows"]), np.uint8)
    step = ctx.step
    for epoch in batches.epochs():
        for batch in epoch:
            step += 1
            if not batch.padding:
                np.add.at(counts[batches.epoch], batch["id"], 1)
            time.sleep(0.002)
            if step % ctx.params["checkpoint"] == 0:
                ctx.checkpoint(counts)
    out = f"{ctx.params['out']}/{ctx.rank}.npy"
    with open(out + ".tmp", "wb") as f:
        np.save(f, counts)
    os.replace(out + ".tmp", out)
    return ctx.rank


def input_of(source, **more):
    return ghee.Input(source, format="json" if source.startswith("kafka:") else None, **more)


def output_of(out, partitioned, sorted):
    how = {"sort_by": ["id"]} if sorted else {}
    if partitioned:
        return ghee.Output(out, target_file_size="16KiB", partition_by=["part"], mode="overwrite_partitions", **how)
    return ghee.Output(out, target_file_size=None if out.startswith("kafka:") else "64KiB", **how)


def task(kind, workers, source, out, name, rows, epochs, batch, checkpoint, transport, partitioned=False, sorted=False, filtered=False):
    first = ghee.Stage(slow, workers=workers[0], batch_size=batch)
    which = {"filter": f"id < {rows}"} if filtered else {}
    if kind == "predict":
        return ghee.task.LocalTask(input_of(source, **which), preprocess=first, predict=ghee.Stage(Predict, workers=workers[1]),
                                   postprocess=ghee.Stage(post_in_parts if partitioned else post, workers=workers[2]), output=output_of(out, partitioned, sorted),
                                   name=name, max_crashes=0, transport=transport)
    if workers[0] % 2:  # no function: shuffled rows go straight to the ranks
        first = ghee.Stage(workers=workers[0], batch_size=batch)
    stage = ghee.Stage(train, workers=workers[1], batch_size=batch, form="numpy", args={"rows": rows, "out": out, "checkpoint": checkpoint})
    return ghee.task.LocalTask(input_of(source, epochs=epochs, shuffle=ghee.Shuffle(seed=5, window=2), **which), preprocess=first, train=stage,
                               name=name, max_crashes=0, transport=transport)


if __name__ == "__main__":
    job = task(**json.loads(sys.argv[1]))
    job.resume() if sys.argv[2:] == ["resume"] else job.run()
