# SPDX-License-Identifier: Apache-2.0
"""What a user function may ask of ghee."""


class Context:
    """Given to functions that take `(batch, ctx)`, to classes whose `__init__` takes one, and to `train(batches, ctx)`.

    params   the stage's `args`
    worker   index of this worker in its stage, from 0;  workers: how many there are
    """

    def __init__(self, worker, params):
        self._worker = worker
        self.params = params
        self.worker, self.workers = worker.index, worker.count

    def reject(self, rows, reason):
        """Refuses rows of the batch in work, by index into it.

        Stops the job with `reason`, or, where the description says `on_reject: divert`, sends their file and row to the dead-letter
        output; leave them out of what you return."""
        try:
            rows = [int(r) for r in rows]
        except TypeError:
            rows = [int(rows)]
        self._worker.reject(rows, reason)
