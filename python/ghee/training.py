# SPDX-License-Identifier: Apache-2.0
"""The inside of a train worker: batches by epoch and step, checkpoints, the torch.distributed group of the ranks.

torch is imported only where the stage's batches are torch tensors (`as: torch`, the default of train)."""
import os
from typing import Any, Dict, Iterator, Mapping, Sequence

from ghee.context import Context
from ghee.forms import tensors_of


class Batch(Dict[str, Any]):
    """Columns of one step. `padding` is True where this rank has run out of rows while others still have some: the rows are zeros
    and must not count; multiply the loss by `weight` (0.0 then, else 1.0)."""

    padding: bool = False

    @property
    def weight(self) -> float:
        return 0.0 if self.padding else 1.0


class Batches:
    """What `train` iterates: `for epoch in batches.epochs(): for batch in epoch: …`. Iterating it directly goes through all epochs."""

    epoch: int

    def __init__(self, worker: Any, form: str, device: Any) -> None:
        self._worker, self._form, self._device = worker, form, device
        self.epoch = 0

    def epochs(self) -> Iterator[Iterator[Batch]]:
        """Each epoch that is left; after a restart the first one goes on where the state was stored."""
        while (epoch := self._worker.train_epoch()) is not None:
            self.epoch = epoch
            yield self._steps()

    def __iter__(self) -> Iterator[Batch]:
        for epoch in self.epochs():
            yield from epoch

    def _steps(self) -> Iterator[Batch]:
        while (step := self._worker.train_next()) is not None:
            columns, padding = step
            batch = Batch(columns if self._form == "numpy" else tensors_of(columns, pin=self._device.type == "cuda"))
            batch.padding = padding
            yield batch


class TrainContext(Context):
    """Context of `train(batches, ctx)`.

    rank, world   this rank and how many there are; a torch.distributed group (gloo, NCCL on GPUs) is ready
    device        torch device of this rank
    state         what the last checkpoint stored on this rank, None at the start
    step          steps done when it was stored
    """

    rank: int
    world: int
    epochs: int
    step: int
    device: Any

    def __init__(self, worker: Any, params: Mapping[str, Any], begun: Sequence[Any], device: Any) -> None:
        super().__init__(worker, params)
        self.rank, self.world, _, self.epochs, self.step, self._state_path, _ = begun
        self.device = device
        self._state = None

    @property
    def state(self) -> Any:
        """What the last checkpoint stored on this rank, None at the start."""
        if self._state_path and self._state is None:
            self._state = load_value(self._state_path)
        return self._state

    def checkpoint(self, state: Any) -> None:
        """Stores `state` (anything that pickles) with the position in the data. Collective: every rank calls it at the same step. From
        the last checkpoint that all ranks stored a job goes on after a failure; what came after it is done again."""
        _save(state, self._worker.checkpoint_path())
        self._worker.checkpoint_commit()

    def log(self, **values: float) -> None:
        """Numbers for the log and the progress line: `ctx.log(loss=0.3)`."""
        for key, value in values.items():
            self._worker.log(key, float(value))


def _save(value, path):
    import cloudpickle

    with open(path, "wb") as f:
        cloudpickle.dump(value, f)


def load_value(path):
    """What `_save` wrote."""
    import cloudpickle

    with open(path, "rb") as f:
        return cloudpickle.load(f)


def _device(rank):
    import torch

    return torch.device("cuda", rank % torch.cuda.device_count()) if torch.cuda.is_available() else torch.device("cpu")


def _join(begun, device):
    """Makes the group of the ranks. Loopback unless the user named another interface."""
    from torch import distributed

    rank, world, rendezvous = begun[0], begun[1], begun[6]
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    store = distributed.FileStore(rendezvous, world)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", store=store, rank=rank, world_size=world)


def bind(worker, function, params):
    """What the C side calls for the whole training."""

    def run(value_path):
        begun = worker.train_begin()
        device = None
        if worker.form == "torch":
            device = _device(begun[0])
            if begun[1] > 1:
                _join(begun, device)
        context = TrainContext(worker, params, begun, device)
        value = function(Batches(worker, worker.form, device), context)
        if context.rank == 0 and value is not None:
            _save(value, value_path)

    return run
