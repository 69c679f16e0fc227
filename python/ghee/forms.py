# SPDX-License-Identifier: Apache-2.0
"""The forms in which a function takes and gives batches: numpy, arrow, pandas, rows, torch."""
from ghee._core.worker import columns_of
from ghee.errors import UserError


def _given(result):
    """Any of the accepted results as a mapping of columns; None is a batch without rows."""
    if result is None or isinstance(result, dict):
        return result
    if hasattr(result, "column_names"):  # pyarrow RecordBatch or Table
        columns = result.combine_chunks() if hasattr(result, "combine_chunks") else result
        return {n: _one_chunk(columns.column(k)) for k, n in enumerate(result.column_names)}
    if hasattr(result, "columns") and hasattr(result, "dtypes"):  # pandas DataFrame
        return {str(n): _series(result[n]) for n in result.columns}
    if isinstance(result, (list, tuple)) and all(isinstance(r, dict) for r in result):
        return _columns_of_rows(result)
    raise UserError(f"the function returned {type(result).__name__}: return a dict of columns (or Arrow, a DataFrame, a list of dicts)")


def _one_chunk(column):
    if not hasattr(column, "chunks"):
        return column
    import pyarrow

    return column.chunk(0) if column.num_chunks == 1 else pyarrow.concat_arrays(column.chunks) if column.num_chunks else pyarrow.array([], column.type)


def _series(series):
    import numpy as np

    if series.dtype.kind in "OUS" or str(series.dtype) in ("string", "str"):
        return series.astype(object).where(series.notna(), None).to_numpy()
    if series.hasnans and series.dtype.kind not in "fmM":
        return np.ma.MaskedArray(series.fillna(0).to_numpy(), mask=series.isna().to_numpy())
    return series.to_numpy()


def _columns_of_rows(rows):
    import numpy as np

    if not rows:
        return None
    names = list(rows[0])
    for k, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            raise UserError(f"row {k} has the keys {sorted(row)}, row 0 {sorted(names)}: all rows of a batch have the same")
    columns = {}
    for name in names:
        values = [row[name] for row in rows]
        missing = [v is None for v in values]
        if any(isinstance(v, (str, bytes, list, dict)) for v in values) or all(missing):
            column = np.empty(len(values), object)
            column[:] = values
        elif any(missing):
            known = next(v for v in values if v is not None)
            column = np.ma.MaskedArray([known if m else v for v, m in zip(values, missing)], mask=missing)
        else:
            column = np.asarray(values)
        columns[name] = column
    return columns


class _Exported:
    """Carries a batch to pyarrow."""

    def __init__(self, arrays):
        self.arrays = arrays

    def __arrow_c_array__(self, requested_schema=None):
        from ghee._core.worker import capsules_of

        return capsules_of(self.arrays)


def _arrow(arrays):
    import pyarrow

    return pyarrow.record_batch(_Exported(arrays))


def _pandas(arrays):
    return _arrow(arrays).to_pandas()


def _rows(arrays):
    return _arrow(arrays).to_pylist()


def _torch(arrays):
    import torch

    return {n: torch.from_numpy(v.copy()) if v.dtype.kind in "biuf" else v for n, v in columns_of(arrays).items()}


_OPEN = {"numpy": columns_of, "arrow": _arrow, "pandas": _pandas, "rows": _rows, "torch": _torch}


def of(form):
    """(batch → what the function gets, result → columns)."""
    return _OPEN[form], _given


def arrow(function):
    """Marks a function that takes a `pyarrow.RecordBatch`."""
    function.__ghee_form__ = "arrow"
    return function


def pandas(function):
    """Marks a function that takes a `pandas.DataFrame`."""
    function.__ghee_form__ = "pandas"
    return function


def rows(function):
    """Marks a function that takes a list of dicts, one a row."""
    function.__ghee_form__ = "rows"
    return function


def torch(function):
    """Marks a function that takes a dict of torch tensors."""
    function.__ghee_form__ = "torch"
    return function
