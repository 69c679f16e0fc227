# SPDX-License-Identifier: Apache-2.0
"""Training: each row counts once an epoch, in a fixed order, on all ranks the same number of steps."""
import numpy as np
import pytest

import ghee
from ghee.task import LocalTask


def same(batch):
    return batch


def collect(batches, ctx):
    """Per epoch the ids in the order in which this rank got them, and the number of steps; every rank's in a file."""
    epochs, steps = [], []
    for epoch in batches.epochs():
        got = [(np.asarray(b["id"]), b.padding) for b in epoch]
        epochs.append(np.concatenate([i for i, padding in got if not padding] or [np.zeros(0, np.int64)]))
        steps.append(len(got))
    np.savez(f"{ctx.params['out']}/{ctx.rank}.npz", steps=steps, **{str(k): e for k, e in enumerate(epochs)})
    return ctx.rank


def run(source, out, world=1, epochs=1, workers=2, shuffle=None, function=same, batch_size=100, read_size=64):
    out.mkdir(exist_ok=True)
    LocalTask(ghee.Input(source, epochs=epochs, shuffle=shuffle), preprocess=ghee.Stage(function, workers=workers, batch_size=read_size),
              train=ghee.Stage(collect, workers=world, batch_size=batch_size, form="numpy", args={"out": str(out)})).run()
    return [np.load(out / f"{k}.npz") for k in range(world)]


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_each_id_once_an_epoch(ids, tmp_path, world):
    ranks = run(ids(10_007), tmp_path / "r", world, epochs=2)
    for epoch in "01":
        assert np.array_equal(np.sort(np.concatenate([r[epoch] for r in ranks])), np.arange(10_007))
    assert len({tuple(r["steps"]) for r in ranks}) == 1


def test_order_does_not_depend_on_workers(ids, tmp_path):
    source = ids(10_000)
    first = run(source, tmp_path / "a", workers=1, shuffle=ghee.Shuffle(seed=3, window=2))
    other = run(source, tmp_path / "b", workers=5, shuffle=ghee.Shuffle(seed=3, window=2))
    assert np.array_equal(first[0]["0"], other[0]["0"])


def test_rows_that_no_function_sees_come_in_the_same_order(ids, tmp_path):
    source = ids(10_000)
    first, other = (run(source, tmp_path / name, function=f, epochs=2, shuffle=ghee.Shuffle(seed=3, window=3)) for name, f in (("a", same), ("b", None)))
    for epoch in "01":
        assert np.array_equal(first[0][epoch], other[0][epoch])


def test_shuffle_differs_by_epoch_and_seed(ids, tmp_path):
    source = ids(10_000)
    a = run(source, tmp_path / "a", epochs=2, shuffle=ghee.Shuffle(seed=3))[0]
    b = run(source, tmp_path / "b", shuffle=ghee.Shuffle(seed=4))[0]
    assert not np.array_equal(a["0"], a["1"]) and not np.array_equal(a["0"], b["0"])
    assert not np.array_equal(a["0"], np.sort(a["0"]))


def test_shuffle_makes_do_with_the_buffer(ids, tmp_path):
    """Row groups of 160 kB and a buffer of 500 kB: fewer chunks are mixed than asked for, and nothing is lost."""

    def train(batches, ctx):
        return np.concatenate([b["id"] for b in batches])

    source = ids(100_000, files=10, group=10_000)
    task = LocalTask(ghee.Input(source, shuffle=ghee.Shuffle(seed=3)), preprocess=same, train=ghee.Stage(train, form="numpy"), buffer="500KiB")
    seen = task.run().value
    assert not np.array_equal(seen, np.sort(seen)) and np.array_equal(np.sort(seen), np.arange(100_000))
    with pytest.raises(ghee.LimitError, match="raise buffer"):
        LocalTask(ghee.Input(source, shuffle=ghee.Shuffle(seed=3)), preprocess=same, train=ghee.Stage(train, form="numpy"), buffer="300KiB").run()


def test_uneven_rows_give_even_steps(ids, tmp_path):
    def few(batch):
        return {"id": batch["id"][batch["id"] % 97 == 0]}

    ranks = run(ids(10_000), tmp_path / "r", 3, function=few, batch_size=8)
    assert np.array_equal(np.sort(np.concatenate([r["0"] for r in ranks])), np.arange(0, 10_000, 97))
    assert len({tuple(r["steps"]) for r in ranks}) == 1


def test_all_rows_dropped(ids, tmp_path):
    ranks = run(ids(1_000), tmp_path / "r", 2, function=lambda b: {"id": b["id"][:0]})
    assert all(len(r["0"]) == 0 for r in ranks)


def test_torch_ranks_have_a_group_and_a_value_comes_back(ids):
    def train(batches, ctx):
        import torch

        total = torch.zeros(1, dtype=torch.float64)
        for batch in batches:
            assert batch["x"].dtype == torch.float64
            batch["x"] += 0  # writable
            total += batch["x"].sum() * batch.weight
        torch.distributed.all_reduce(total)
        return total.item()

    result = LocalTask(ids(1_000), preprocess=same, train=ghee.Stage(train, workers=2, batch_size=50)).run()
    assert result.value == sum(range(1_000)) / 2


def test_train_without_preprocess(ids):
    def train(batches, ctx):
        return sum(int(b["id"].sum()) for b in batches)

    assert LocalTask(ids(1_000), train=ghee.Stage(train, form="numpy")).run().value == sum(range(1_000))


def test_resume_goes_on_in_the_middle_of_an_epoch(ids, tmp_path):
    seen = tmp_path / "seen"

    def train(batches, ctx):
        got = list(ctx.state or [])
        for batch in batches:
            got += batch["id"].tolist()
            if len(got) == 3_000:
                ctx.checkpoint(got)
            if len(got) == 5_000 and not seen.exists():
                seen.touch()
                raise RuntimeError("stop here once")
        return got

    task = LocalTask(ids(10_000), preprocess=ghee.Stage(same, workers=2), train=ghee.Stage(train, batch_size=100, form="numpy"), name="again")
    with pytest.raises(ghee.UserError, match="stop here once"):
        task.run()
    assert sorted(task.resume().value) == list(range(10_000))


def test_limit(ids):
    def train(batches, ctx):
        return [sum(len(b["id"]) for b in epoch) for epoch in batches.epochs()]

    task = LocalTask(ghee.Input(ids(100_000), epochs=2), preprocess=ghee.Stage(same, workers=2), train=ghee.Stage(train, form="numpy"))
    assert task.run(limit=5_500).value == [6_000, 6_000]  # whole row groups


@pytest.mark.parametrize("form", [ghee.arrow, ghee.pandas, ghee.rows])
def test_forms_that_train_cannot_have_are_refused_at_once(ids, form):
    @form
    def train(batches, ctx):
        pass

    with pytest.raises(ghee.InvalidError, match="train cannot have `as: .*`.*torch or numpy"):
        LocalTask(ids(100), train=train).check()


@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_forms_that_train_can_have(ids, form):
    def train(batches, ctx):
        return [type(b["id"]).__name__ for epoch in batches.epochs() for b in epoch]

    assert set(LocalTask(ids(100), train=ghee.Stage(train, form=form)).run().value) == {"ndarray" if form == "numpy" else "Tensor"}


def test_training_that_raises_says_where(ids):
    def train(batches, ctx):
        raise ValueError("no such luck")

    with pytest.raises(ghee.UserError, match="no such luck"):
        LocalTask(ids(100), train=ghee.Stage(train, form="numpy")).run()
