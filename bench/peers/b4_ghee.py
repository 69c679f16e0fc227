# SPDX-License-Identifier: Apache-2.0
import ghee
import harness
from ghee_peer import files
from harness import T0, now
from shuffle import BATCH, WINDOWS

GROUP = 4096  # rows of a row group


def train(batches, ctx):
    speed, first = [], None
    for epoch in batches.epochs():
        start, n = now(), 0
        for batch in epoch:
            first = first or now()
            n += len(batch["x"])
        assert n == ctx.params["rows"], f"{n} rows"
        speed.append(n / (now() - start))
    return max(speed[1:]), first


def measure(window):
    shuffle = ghee.Shuffle(seed=1, window=window // GROUP) if window else None
    task = ghee.task.LocalTask(ghee.Input(files(folder), columns=["x"], shuffle=shuffle, epochs=3), preprocess=ghee.Stage(workers=2, batch_size=BATCH),
                               train=ghee.Stage(train, batch_size=BATCH, form="numpy", args={"rows": o.rows}), buffer="3GiB")
    return task.run().value


if __name__ == "__main__":
    o = harness.opts(rows=0)
    folder, want = harness.data("rows4k", o.rows)
    speed, first = {}, None
    for name, window in WINDOWS.items():
        speed[name], begun = measure(window)
        first = first or begun
    harness.report(seconds=o.rows / speed["none"], time_to_first_batch_s=first - T0, GB_per_s=speed["none"] * 4096 / 1e9,
                   **{f"rows_per_s_{k}": round(v) for k, v in speed.items()},
                   **{f"ratio_{k}": v / speed["none"] for k, v in speed.items() if k != "none"})
