# SPDX-License-Identifier: Apache-2.0
"""The forms in which a function takes and gives batches: numpy, arrow, pandas, rows, torch.

What goes in, by the Arrow type of a column (docs of `ghee.Stage` tell users):

    numpy   integers, floats, bool: arrays, read-only views where the memory is the same; timestamps: datetime64 of their unit, in UTC;
            dates: datetime64[D]; times of day and durations: timedelta64; text, bytes, decimals, lists (of arrays), structs and maps (dicts):
            object arrays with None where there is no value; fixed-size lists: arrays of one dimension more. Columns with nulls that
            are not objects are masked arrays.
    torch   numbers and bool as tensors (a null float is NaN, another null is refused), the rest as for numpy
    pandas, rows, arrow: a DataFrame (integers and bool with nulls in their nullable types), a list of dicts, a RecordBatch

What comes out keeps the type of a column that was handed through or has the same name and kind: zones of timestamps, precision of decimals,
widths inside lists."""
import sys
from typing import Any, Callable, TypeVar

from ghee._core.worker import capsules_of, columns_of, schema_of
from ghee.errors import UserError

F = TypeVar("F", bound=Callable[..., Any])


class _Exported:
    """Carries a batch to pyarrow."""

    def __init__(self, arrays):
        self.arrays = arrays

    def __arrow_c_array__(self, requested_schema=None):
        return capsules_of(self.arrays)

    def __arrow_c_schema__(self):
        return schema_of(self.arrays)


class _Column:
    """A pyarrow array with its field, whose metadata (shapes of tensors) goes along."""

    def __init__(self, field, array):
        self.field, self.array = field, array

    def __arrow_c_array__(self, requested_schema=None):
        return self.field.__arrow_c_schema__(), self.array.__arrow_c_array__()[1]


def _family(kind):
    from pyarrow import types

    families = (types.is_decimal, types.is_timestamp, types.is_date, types.is_time, types.is_duration, types.is_struct, types.is_map,
                lambda t: types.is_list(t) or types.is_large_list(t) or types.is_fixed_size_list(t),
                lambda t: types.is_string(t) or types.is_large_string(t),
                lambda t: types.is_binary(t) or types.is_large_binary(t) or types.is_fixed_size_binary(t))
    return next((k for k, is_one in enumerate(families) if is_one(kind)), None)


def _like(name, array, arrays):
    """A column for ghee, in the type that the input's column of that name has, where both are of one family and every value fits."""
    import pyarrow

    fields = pyarrow.schema(_Exported(arrays))
    at = fields.get_field_index(name)
    if at >= 0:
        field, family = fields.field(at), _family(array.type)
        if array.type == field.type:
            return _Column(field, array)
        if pyarrow.types.is_null(array.type) or family is not None and family == _family(field.type):
            try:
                return _Column(field, array.cast(field.type))
            except pyarrow.ArrowException:
                pass
    if pyarrow.types.is_decimal128(array.type):  # as wide as can be: other batches may have larger ones
        array = array.cast(pyarrow.decimal128(38, array.type.scale))
    return _Column(pyarrow.field(name, array.type), array)


def objects_column(name, values, arrays):
    """Python objects that are neither text nor bytes (lists, structs, decimals, dates) as an Arrow column of the batch's kind."""
    try:
        import pyarrow
    except ImportError:
        known = next(type(v).__name__ for v in values if v is not None)
        raise UserError(f"column {name} holds {known}: install pyarrow to return lists, structs, decimals and dates") from None
    fields = pyarrow.schema(_Exported(arrays)) if arrays is not None else pyarrow.schema([])
    at = fields.get_field_index(name)
    try:
        if at >= 0 and pyarrow.types.is_map(fields.field(at).type):
            values = [list(v.items()) if isinstance(v, dict) else v for v in values]
            return _Column(fields.field(at), pyarrow.array(values, fields.field(at).type))
        return _like(name, pyarrow.array([_item(v) for v in values]), arrays)
    except pyarrow.ArrowException as e:
        raise UserError(f"column {name} cannot be a column: {e}") from None


def _item(value):
    """Arrays of one dimension keep their type; others, and masked ones, are lists of lists."""
    if hasattr(value, "tolist") and (getattr(value, "ndim", 1) != 1 or hasattr(value, "mask")):
        return value.tolist()
    return value


def _given(result, arrays):
    """Any of the accepted results as a mapping of columns; None is a batch without rows."""
    if result is None or isinstance(result, dict):
        return result
    if hasattr(result, "column_names"):  # pyarrow RecordBatch or Table
        batch = result.combine_chunks() if hasattr(result, "combine_chunks") else result
        return {f.name: _Column(f, _one_chunk(batch.column(k))) for k, f in enumerate(batch.schema)}
    if hasattr(result, "columns") and hasattr(result, "dtypes"):  # pandas DataFrame
        return _of_frame(result, arrays)
    if isinstance(result, (list, tuple)) and all(isinstance(r, dict) for r in result):
        return _of_rows(result, arrays)
    raise UserError(f"the function returned {type(result).__name__}: return a dict of columns (or Arrow, a DataFrame, a list of dicts)")


def _one_chunk(column):
    if not hasattr(column, "chunks"):
        return column
    import pyarrow

    return column.chunk(0) if column.num_chunks == 1 else pyarrow.concat_arrays(column.chunks) if column.num_chunks else pyarrow.array([], column.type)


def _of_frame(frame, arrays):
    import pyarrow

    columns = {}
    for name in frame.columns:
        try:
            values = pyarrow.array(frame[name], from_pandas=True)
        except pyarrow.ArrowException as e:
            raise UserError(f"column {name} cannot be a column: {e}") from None
        columns[str(name)] = _like(str(name), _one_chunk(values), arrays)
    return columns


def _of_values(values, was):
    """Python values as an Arrow array. pyarrow takes integers for int64 and times for microseconds; what was more before, and still is, stays."""
    import pyarrow

    if was == pyarrow.uint64() and all(v is None or v.__class__ is int and v >= 0 for v in values):
        return pyarrow.array(values, was)
    if was is not None and pyarrow.types.is_timestamp(was) and was.unit == "ns" and all(v is None or hasattr(v, "nanosecond") for v in values):
        return pyarrow.array(values, was)
    return pyarrow.array(values)


def _of_rows(rows, arrays):
    import pyarrow

    if not rows:
        return None
    for k, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            raise UserError(f"row {k} has the keys {sorted(row)}, row 0 {sorted(rows[0])}: all rows of a batch have the same")
    columns, fields = {}, pyarrow.schema(_Exported(arrays))
    for name in rows[0]:
        values, at = [row[name] for row in rows], fields.get_field_index(name)
        try:
            columns[name] = _like(name, _of_values(values, fields.field(at).type if at >= 0 else None), arrays)
        except (pyarrow.ArrowException, OverflowError) as e:
            raise UserError(f"column {name} cannot be a column: {e}") from None
    return columns


def _arrow(arrays):
    import pyarrow

    return pyarrow.record_batch(_Exported(arrays))


def _pandas(arrays):
    import pandas
    import pyarrow

    batch = _arrow(arrays)
    frame = batch.to_pandas()
    for k, field in enumerate(batch.schema):
        is_bool = pyarrow.types.is_boolean(field.type)
        if batch.column(k).null_count and (is_bool or pyarrow.types.is_integer(field.type)):
            kind = pandas.BooleanDtype() if is_bool else pandas.api.types.pandas_dtype(str(field.type).replace("uint", "UInt").replace("int", "Int", 1))
            frame[field.name] = batch.column(k).to_pandas(types_mapper={field.type: kind}.get)
    return frame


def _rows(arrays):
    return _arrow(arrays).to_pylist()


def tensors_of(columns, pin=False):
    """NumPy columns as torch tensors over the same memory; what torch has no type for stays."""
    torch = sys.modules.get("torch") or __import__("torch")
    tensors = {}
    for name, values in columns.items():
        if values.dtype.kind not in "biuf":
            tensors[name] = values
            continue
        if hasattr(values, "mask"):
            if values.dtype.kind != "f":
                raise UserError(f"column {name} has nulls, which a tensor of {values.dtype} cannot hold: fill them in a stage before, or say `as: numpy`")
            values = values.filled(float("nan"))
        tensors[name] = torch.from_numpy(values)
        if pin:
            tensors[name] = tensors[name].pin_memory()
    return tensors


def _torch(arrays):
    return tensors_of({n: v.copy() if v.dtype.kind in "biuf" else v for n, v in columns_of(arrays).items()})


_OPEN = {"numpy": columns_of, "arrow": _arrow, "pandas": _pandas, "rows": _rows, "torch": _torch}


def of(form):
    """(batch → what the function gets, (result, batch) → columns)."""
    return _OPEN[form], _given


def arrow(function: F) -> F:
    """Marks a function, or a class, whose batches are `pyarrow.RecordBatch`. All types come and go exactly as they are stored.

    >>> @ghee.arrow
    ... def keep_long(batch):
    ...     return batch.filter(pc.greater(pc.utf8_length(batch["text"]), 10))
    """
    function.__ghee_form__ = "arrow"  # type: ignore[attr-defined]
    return function


def pandas(function: F) -> F:
    """Marks a function, or a class, whose batches are `pandas.DataFrame` (a new one for each call). The index is not kept.

    >>> @ghee.pandas
    ... def features(df):
    ...     return df.assign(hour=df["when"].dt.hour)
    """
    function.__ghee_form__ = "pandas"  # type: ignore[attr-defined]
    return function


def rows(function: F) -> F:
    """Marks a function, or a class, whose batches are lists of dicts, one dict a row. Easy, and slow: about a microsecond a value.

    >>> @ghee.rows
    ... def clean(rows):
    ...     return [{**row, "text": row["text"].strip()} for row in rows if row["text"]]
    """
    function.__ghee_form__ = "rows"  # type: ignore[attr-defined]
    return function


def torch(function: F) -> F:
    """Marks a function, or a class, whose batches are dicts of torch tensors in memory of their own. train has this form by itself.

    >>> @ghee.torch
    ... class Predict:
    ...     def __init__(self, ctx): self.model = torch.jit.load(ctx.params["model"])
    ...     def __call__(self, batch): return {"score": self.model(batch["x"])}
    """
    function.__ghee_form__ = "torch"  # type: ignore[attr-defined]
    return function
