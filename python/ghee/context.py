# SPDX-License-Identifier: Apache-2.0
"""What a user function may ask of ghee."""
from typing import Any, Iterable, Mapping, Union


class Context:
    """Given to functions that take `(batch, ctx)`, to classes whose `__init__` takes one, and to `train(batches, ctx)`.

    params   the stage's `args`
    worker   index of this worker in its stage, from 0;  workers: how many there are
    """

    params: Mapping[str, Any]
    worker: int
    workers: int

    def __init__(self, worker: Any, params: Mapping[str, Any]) -> None:
        self._worker = worker
        self.params = params
        self.worker, self.workers = worker.index, worker.count

    def reject(self, rows: Union[int, Iterable[int]], reason: str) -> None:
        """Refuses rows of the batch in work, by index into it.

        Stops the job with `reason`, or, where the description says `on_reject: divert`, sends their file and row to the dead-letter
        output; leave them out of what you return."""
        try:
            indices = [int(r) for r in rows]  # type: ignore[union-attr]
        except TypeError:
            indices = [int(rows)]  # type: ignore[arg-type]
        self._worker.reject(indices, reason)
