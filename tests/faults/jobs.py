# SPDX-License-Identifier: Apache-2.0
"""The jobs that the kill storm torments, each run as a program of its own: `python jobs.py KIND WORKERS INPUT OUTPUT NAME ROWS TRANSPORT [resume]`.

Every row has an id. predict writes the ids; train counts them in its state, and each rank's counts in the end lie in OUTPUT."""
import os
import sys
import time

import numpy as np

import ghee

BATCH = 256


def slow(batch):
    time.sleep(0.004)
    return {"id": batch["id"], "x": batch["x"] * 2}


class Predict:
    def __call__(self, batch):
        time.sleep(0.002)
        return {"id": batch["id"], "score": batch["x"] + 1}


def post(batch):
    return {"id": batch["id"], "stars": np.round(batch["score"])}


def train(batches, ctx):
    counts = ctx.state if ctx.state is not None else np.zeros(ctx.params["rows"], np.int32)
    step = ctx.step
    for epoch in batches.epochs():
        for batch in epoch:
            step += 1
            if not batch.padding:
                np.add.at(counts, batch["id"], 1)
            time.sleep(0.002)
            if step % 7 == 0:
                ctx.checkpoint(counts)
    out = f"{ctx.params['out']}/{ctx.rank}.npy"
    with open(out + ".tmp", "wb") as f:
        np.save(f, counts)
    os.replace(out + ".tmp", out)
    return ctx.rank


def input_of(source, **more):
    return ghee.Input(source, format="json" if source.startswith("kafka:") else None, **more)


def task(kind, workers, source, out, name, rows, transport):
    first = ghee.Stage(slow, workers=workers[0], batch_size=BATCH)
    if kind == "predict":
        return ghee.task.LocalTask(input_of(source), preprocess=first, predict=ghee.Stage(Predict, workers=workers[1]),
                                   postprocess=ghee.Stage(post, workers=workers[2]),
                                   output=ghee.Output(out, target_file_size="64KiB"), name=name, max_crashes=0, transport=transport)
    stage = ghee.Stage(train, workers=workers[1], batch_size=BATCH, form="numpy", args={"rows": rows, "out": out})
    return ghee.task.LocalTask(input_of(source, epochs=2, shuffle=ghee.Shuffle(seed=5, window=2)), preprocess=first, train=stage, name=name,
                               max_crashes=0, transport=transport)


if __name__ == "__main__":
    kind, workers, source, out, name, rows, transport = sys.argv[1:8]
    job = task(kind, [int(w) for w in workers.split(",")], source, out, name, int(rows), transport)
    job.resume() if sys.argv[8:] == ["resume"] else job.run()
