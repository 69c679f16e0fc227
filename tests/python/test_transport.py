# SPDX-License-Identifier: Apache-2.0
"""Whole jobs over each transport give the same."""
import time

import numpy as np
import pytest

import ghee
from conftest import read_ids
from ghee.task import LocalTask

TRANSPORTS = ["shm", "zmq"]


def double(batch):
    return {"id": batch["id"], "x": batch["x"] * 2}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_predict(ids, tmp_path, transport):
    LocalTask(ids(20_000), preprocess=ghee.Stage(double, workers=3, batch_size=256), predict=ghee.Stage(double, workers=2),
              postprocess=ghee.Stage(double, workers=2), output=tmp_path / "out", transport=transport).run()
    assert np.array_equal(read_ids(tmp_path / "out"), np.arange(20_000))
    assert np.array_equal(read_ids(tmp_path / "out", "x"), np.arange(20_000) * 4.0)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("world", [1, 3])
def test_train(ids, tmp_path, transport, world):
    def train(batches, ctx):
        got = [np.concatenate([b["id"] for b in epoch if not b.padding]) for epoch in batches.epochs()]
        np.save(f"{ctx.params['out']}/{ctx.rank}.npy", np.stack([np.bincount(g, minlength=10_000) for g in got]))

    LocalTask(ghee.Input(ids(10_000), epochs=2, shuffle=ghee.Shuffle(seed=2)), preprocess=ghee.Stage(double, workers=3, batch_size=200),
              train=ghee.Stage(train, workers=world, batch_size=300, form="numpy", args={"out": str(tmp_path)}), transport=transport).run()
    assert (sum(np.load(tmp_path / f"{k}.npy") for k in range(world)) == 1).all()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_batches_larger_than_any_buffer(tmp_path, ids, transport):
    def widen(batch):
        return {"id": batch["id"], "wide": np.repeat(batch["x"][:, None], 500, 1)}

    def narrow(batch):
        assert (batch["wide"] == batch["wide"][:, :1]).all()
        return {"id": batch["id"], "x": batch["wide"][:, 499]}

    LocalTask(ids(4_000), preprocess=ghee.Stage(widen, workers=2, batch_size=1_000), predict=ghee.Stage(narrow, workers=2),
              output=tmp_path / "out", buffer="1MiB", transport=transport).run()
    assert np.array_equal(read_ids(tmp_path / "out", "x"), np.arange(4_000) / 2)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_train_function_may_take_its_time_before_the_first_batch(ids, transport):
    def train(batches, ctx):
        time.sleep(6)  # longer than any handshake may take
        return sum(len(b["id"]) for epoch in batches.epochs() for b in epoch)

    assert LocalTask(ids(1_000), preprocess=ghee.Stage(double, workers=2), train=ghee.Stage(train, batch_size=100, form="numpy"),
                     transport=transport).run().value == 1_000


def test_another_transport_is_refused(ids, tmp_path):
    with pytest.raises(ghee.GheeError, match="transport"):
        LocalTask(ids(10), preprocess=double, output=tmp_path / "out", transport="smoke").run()
