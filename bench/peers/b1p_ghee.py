# SPDX-License-Identifier: Apache-2.0
import os

import harness
import ghee
from ghee_peer import files
from work import BATCH, COLUMNS, WORKERS, features, postprocess


def preprocess(batch, ctx):
    return features(batch, ctx.params["ms"])


class Predict:
    def __init__(self):
        from fm import FM

        self.model = FM()

    def __call__(self, b):
        return {"u": b["u"], "i": b["i"], "score": self.model.predict(b)}


def post(b):
    return {"u": b["u"], "i": b["i"], "stars": postprocess(b["score"])}


if __name__ == "__main__":
    o = harness.opts(rows=0, ms=0)
    folder, want = harness.data("ratings", o.rows)
    out = os.path.join(harness.output(), "scores")
    task = ghee.task.LocalTask(ghee.Input(files(folder), columns=COLUMNS), preprocess=ghee.Stage(preprocess, workers=WORKERS, batch_size=BATCH, args={"ms": o.ms}),
                               predict=ghee.Stage(Predict), postprocess=ghee.Stage(post), output=out)
    start = harness.now()
    done = task.run()
    harness.written(out, want, start + done.progress["first_batch_seconds"])
