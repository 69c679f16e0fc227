# SPDX-License-Identifier: Apache-2.0
import harness
import ghee
from ghee_peer import files
from work import BATCH, COLUMNS, WORKERS, features


def preprocess(batch, ctx):
    return features(batch, ctx.params["ms"])


def train(batches, ctx):
    from fm import FM

    said = {"imported_s": harness.now() - harness.T0}
    harness.report = said.update  # consume says what it measured there
    harness.consume(batches, FM().step, ctx.params["want"])
    return said


if __name__ == "__main__":
    o = harness.opts(rows=0, ms=0)
    folder, want = harness.data("ratings", o.rows)
    task = ghee.task.LocalTask(ghee.Input(files(folder), columns=COLUMNS), preprocess=ghee.Stage(preprocess, workers=WORKERS, batch_size=BATCH, args={"ms": o.ms}),
                               train=ghee.Stage(train, batch_size=BATCH, args={"want": want}))
    said = task.run().value
    harness.report(**said, t_last=said["seconds"])
