# SPDX-License-Identifier: Apache-2.0
"""Every type through preprocess, predict and the sink, in every form: what goes in comes out."""
import datetime
import decimal

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pytest

import ghee
from ghee.task import LocalTask

DEC = decimal.Decimal
BIG = "12345678901234567890123456789012345.678"
LIST = pa.list_(pa.int32())
COLUMNS = {
    "bool": ([True, False, None], pa.bool_()),
    "float16": (np.array([1.5, 2, -3], np.float16), pa.float16()),
    "text": (["a", "żółć", None], pa.string()),
    "large_text": (["a", "", None], pa.large_string()),
    "binary": ([b"\x00\xff", b"", None], pa.binary()),
    "large_binary": ([b"\x00", b"", None], pa.large_binary()),
    "fixed_binary": ([b"abc", b"def", None], pa.binary(3)),
    "decimal": ([DEC("1.50"), DEC("-0.01"), None], pa.decimal128(9, 2)),
    "decimal_wide": ([DEC(BIG), DEC("0"), None], pa.decimal128(38, 3)),
    "decimal256": ([DEC("9" * 50), DEC("0"), None], pa.decimal256(60, 0)),
    "date32": ([datetime.date(1969, 12, 31), datetime.date(2024, 2, 29), None], pa.date32()),
    "date64": ([datetime.date(1969, 12, 31), datetime.date(2024, 2, 29), None], pa.date64()),
    "time32_s": ([datetime.time(1, 2, 3), datetime.time(0), None], pa.time32("s")),
    "time32_ms": ([datetime.time(1, 2, 3, 4000), datetime.time(0), None], pa.time32("ms")),
    "time64_us": ([datetime.time(1, 2, 3, 4), datetime.time(0), None], pa.time64("us")),
    "time64_ns": ([1, 2_000_000_000, None], pa.time64("ns")),
    "duration_ms": ([1, -2, None], pa.duration("ms")),
    "when_s": ([0, -1, None], pa.timestamp("s")),
    "when_ms": ([0, -1, None], pa.timestamp("ms", "UTC")),
    "when_us": ([0, 10**15, None], pa.timestamp("us", "Europe/Berlin")),
    "when_ns": ([1, 10**18, None], pa.timestamp("ns")),
    "list": ([[1, 2], [], None], LIST),
    "list_of_text": ([["a", None], [], None], pa.list_(pa.string())),
    "large_list": ([[1.5], [], None], pa.large_list(pa.float32())),
    "list_of_lists": ([[[1], []], [], None], pa.list_(LIST)),
    "list_with_nulls": ([[1, None], [], None], LIST),
    "fixed_list": ([[1, 2], [3, 4], [5, 6]], pa.list_(pa.float32(), 2)),
    "fixed_list_null": ([[1, 2], None, [5, 6]], pa.list_(pa.int16(), 2)),
    "struct": ([{"a": 1, "b": "x"}, {"a": None, "b": None}, None], pa.struct([("a", pa.int32()), ("b", pa.string())])),
    "list_of_structs": ([[{"a": 1}], [], None], pa.list_(pa.struct([("a", pa.int32())]))),
    "dictionary": (["x", "y", None], pa.dictionary(pa.int32(), pa.string())),
    "map": ([[("k", 1)], [], None], pa.map_(pa.string(), pa.int32())),
}
for bits in (8, 16, 32, 64):
    COLUMNS[f"int{bits}"] = ([-(1 << bits - 1), (1 << bits - 1) - 1, None], getattr(pa, f"int{bits}")())
    COLUMNS[f"uint{bits}"] = ([0, (1 << bits) - 1, None], getattr(pa, f"uint{bits}")())
for bits in (32, 64):
    COLUMNS[f"float{bits}"] = ([0.5, float("inf"), None], getattr(pa, f"float{bits}")())
ALL = pa.table({name: pa.array(values, kind) for name, (values, kind) in COLUMNS.items()})
PYTHON = [name for name in ALL.column_names if name != "time64_ns"]  # Python's time has no nanoseconds
READ = dict(format="ipc")


def through(tmp_path, table, preprocess, predict=None):
    """What a job makes of a table: its output as a table. The output's types must be those that were fixed by a first batch."""
    (tmp_path / "in").mkdir()
    with pa.ipc.new_file(tmp_path / "in" / "a.arrow", table.schema) as out:
        out.write_table(table)
    LocalTask(tmp_path / "in", preprocess=preprocess, predict=predict, output=ghee.Output(tmp_path / "out", format="ipc")).run()
    (path,) = [p for p in (tmp_path / "out").iterdir() if p.suffix in (".arrow", ".ipc", ".feather")]
    return pa.ipc.open_file(path).read_all()


def read_as_stored(tmp_path, columns):
    """What ghee's reader and writer make of the types alone (dictionaries become values)."""
    folder = tmp_path / "plain"
    folder.mkdir()
    return through(folder, ALL.select(columns), ghee.arrow(lambda batch: batch))


def assert_same(left, right):
    assert left.schema.names == right.schema.names
    for name in right.schema.names:
        assert left.schema.field(name).type == right.schema.field(name).type, name
        assert left.column(name).cast(right.schema.field(name).type).combine_chunks().equals(right.column(name).combine_chunks()), name


def test_the_reader_and_the_writer_keep_types(tmp_path):
    stored = read_as_stored(tmp_path, ALL.column_names)
    for name, (_, kind) in COLUMNS.items():
        assert stored.schema.field(name).type == (pa.string() if name == "dictionary" else kind), name
    assert stored.to_pydict() == ALL.to_pydict()


@pytest.mark.parametrize("form", ["numpy", "arrow"])
def test_columns_that_are_handed_through_stay_exactly_what_they_are(tmp_path, form):
    same = ghee.Stage(lambda batch: batch, form=form)
    assert_same(through(tmp_path, ALL, same, same), read_as_stored(tmp_path, ALL.column_names))


def test_numpy_columns_that_are_made_anew_keep_kind_zone_and_precision(tmp_path):
    def copies(batch):
        return {n: v[np.arange(len(v))] for n, v in batch.items()}

    names = [n for n in ALL.column_names if n not in ("fixed_list_null", "large_text", "large_binary", "fixed_binary")]
    assert_same(through(tmp_path, ALL.select(names), copies, ghee.Stage(copies, form="numpy")), read_as_stored(tmp_path, names))


def test_text_made_anew_is_text(tmp_path):
    names = ["text", "large_text", "binary", "large_binary", "fixed_binary"]
    out = through(tmp_path, ALL.select(names), lambda batch: {n: v.copy() for n, v in batch.items()})
    assert [out.schema.field(n).type for n in names] == [pa.string(), pa.string(), pa.binary(), pa.binary(), pa.binary(3)]
    assert out.to_pydict() == ALL.select(names).to_pydict()


@pytest.mark.parametrize("form", ["rows", "pandas"])
def test_rows_and_frames_keep_values_and_kinds(tmp_path, form):
    names = [n for n in PYTHON if n not in ("map", "dictionary", "fixed_list", "fixed_list_null")]
    same = ghee.Stage(lambda batch: batch, form=form)
    out, stored = through(tmp_path, ALL.select(names), same, same), read_as_stored(tmp_path, names)
    for name in names:
        got, was = out.schema.field(name).type, stored.schema.field(name).type
        if form == "rows" and (pa.types.is_integer(was) or pa.types.is_floating(was)):
            assert got in (pa.int64(), pa.uint64(), pa.float64()), name  # Python has one width
        elif form == "pandas" and name.startswith("when"):
            assert got == was or got == pa.timestamp("ns", was.tz), name
        else:
            assert got == was, name
        assert out.column(name).to_pylist() == stored.column(name).to_pylist(), name


def test_what_numpy_functions_see(tmp_path):
    def look(batch):
        for name, values in batch.items():
            assert isinstance(values, np.ndarray) and len(values) == 3 and not values.flags.writeable, name
            if values.dtype != object and name not in ("float16", "fixed_list"):
                assert isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).reshape(3, -1)[:, 0].sum() == 1, name
                with pytest.raises(ValueError):
                    values[0] = np.ma.masked
        kinds = {n: batch[n].dtype.str[1:] for n in batch}
        for bits in (8, 16, 32, 64):
            assert kinds[f"int{bits}"] == f"i{bits // 8}" and kinds[f"uint{bits}"] == f"u{bits // 8}"
        assert kinds["float16"] == "f2" and kinds["float32"] == "f4" and kinds["bool"] == "b1"
        assert kinds["date32"] == "M8[D]" and kinds["date64"] == "M8[ms]" and kinds["when_us"] == "M8[us]" and kinds["when_s"] == "M8[s]"
        assert kinds["time32_s"] == "m8[s]" and kinds["time64_ns"] == "m8[ns]" and kinds["duration_ms"] == "m8[ms]"
        for name in ("text", "large_text", "binary", "decimal", "list", "struct", "list_of_lists", "dictionary", "map"):
            assert batch[name].dtype == object and batch[name][2] is None, name
        assert batch["text"][1] == "żółć" and batch["binary"][0] == b"\x00\xff" and batch["decimal"][1] == DEC("-0.01")
        assert batch["decimal_wide"][0] == DEC(BIG) and batch["decimal256"][0] == DEC("9" * 50)
        assert batch["list"][0].dtype == np.int32 and list(batch["list"][0]) == [1, 2] and not batch["list"][0].flags.writeable
        assert batch["struct"][0] == {"a": 1, "b": "x"} and batch["struct"][1] == {"a": None, "b": None} and batch["map"][0] == {"k": 1}
        assert batch["fixed_list"].shape == (3, 2) and batch["fixed_list"].dtype == np.float32 and batch["fixed_list_null"].shape == (3, 2)
        return None

    through_nothing(tmp_path, look)


def through_nothing(tmp_path, look):
    (tmp_path / "in").mkdir()
    pa.feather.write_feather(ALL, tmp_path / "in" / "a.arrow", compression="uncompressed")
    LocalTask(tmp_path / "in", preprocess=look, output=tmp_path / "out").run()


def test_a_dict_that_was_changed_is_not_handed_through_as_it_was(tmp_path):
    def change(batch):
        batch["struct"][0]["a"] = 7
        return {"struct": batch["struct"]}

    assert through(tmp_path, ALL.select(["struct"]), change)["struct"][0].as_py() == {"a": 7, "b": "x"}


def test_renamed_columns_keep_their_type(tmp_path):
    out = through(tmp_path, ALL, lambda b: {"at": b["when_us"], "price": b["decimal"]})
    assert out.schema.field("at").type == pa.timestamp("us", "Europe/Berlin") and out.schema.field("price").type == pa.decimal128(9, 2)


def test_nat_is_a_null(tmp_path):
    out = through(tmp_path, pa.table({"id": [1, 2]}), lambda b: {"when": np.array(["2020-01-01", "NaT"], "M8[ms]"), "day": np.array(["NaT", "2020-01-01"], "M8[D]")})
    assert out.column("when").to_pylist() == [datetime.datetime(2020, 1, 1), None] and out.column("day").to_pylist() == [None, datetime.date(2020, 1, 1)]
    assert out.schema.field("day").type == pa.date32()


def test_lists_of_unequal_lengths_and_new_decimals(tmp_path):
    def make(batch):
        return {"l": [[1, 2], [3], []], "d": [DEC("1.5"), None, DEC("10.25")], "a": [np.array([1, 2], np.int16), None, np.array([], np.int16)]}

    out = through(tmp_path, ALL.select(["int8"]), make)
    assert out.column("l").to_pylist() == [[1, 2], [3], []] and out.schema.field("a").type == pa.list_(pa.int16())
    assert out.schema.field("d").type == pa.decimal128(38, 2) and out.column("d").to_pylist() == [DEC("1.50"), None, DEC("10.25")]


def test_a_column_of_nulls_has_the_type_of_its_name(tmp_path):
    def empty(batch):
        return {"list": np.array([None] * 3, object), "text": np.array([None] * 3, object)}

    out = through(tmp_path, ALL.select(["list", "text"]), empty)
    assert out.schema.field("list").type == LIST and out.schema.field("text").type == pa.string()


def test_torch_tensors(tmp_path):
    def double(batch):
        import torch

        assert batch["x"].dtype == torch.float32 and torch.isnan(batch["x"][1]) and batch["f"].shape == (2, 2) and batch["flag"].dtype == torch.bool
        assert batch["text"].dtype == object
        return {"x": batch["x"] * 2, "f": batch["f"].to(torch.bfloat16), "flag": ~batch["flag"], "text": batch["text"]}

    table = pa.table({"x": pa.array([1, None], pa.float32()), "f": pa.array([[1, 2], [3, 4]], pa.list_(pa.float32(), 2)), "flag": [True, False],
                      "text": ["a", None]})
    out = through(tmp_path, table, ghee.torch(double))
    assert out["x"][0].as_py() == 2 and np.isnan(out["x"][1].as_py()) and out["f"].to_pylist() == [[1, 2], [3, 4]]
    assert out["flag"].to_pylist() == [False, True] and out["text"].to_pylist() == ["a", None]


def test_nulls_that_a_tensor_cannot_hold(tmp_path):
    with pytest.raises(ghee.UserError, match="column n has nulls.*fill them"):
        through(tmp_path, pa.table({"n": [1, None]}), ghee.torch(lambda batch: batch))


def test_tensors_keep_their_shape_in_all_forms(tmp_path):
    def make(batch):
        return {"m": np.arange(18, dtype=np.float32).reshape(3, 2, 3)}

    def look(batch):
        assert batch["m"].shape == (3, 2, 3)
        return batch

    for form in ("numpy", "arrow", "torch", "pandas", "rows"):
        folder = tmp_path / form
        folder.mkdir()
        (folder / "in").mkdir()
        pa.feather.write_feather(ALL.select(["int8"]), folder / "in" / "a.arrow", compression="uncompressed")
        LocalTask(folder / "in", preprocess=make, predict=ghee.Stage(lambda batch: batch, form=form), postprocess=look, output=folder / "out").run()
