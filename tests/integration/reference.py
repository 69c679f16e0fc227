# SPDX-License-Identifier: Apache-2.0
"""What the files of the public data sets hold, read without ghee: by pyarrow, by Python's csv and json, by what a data set ships with them.

`reference(case)` gives a verdict and a check. Verdicts: GOOD (must be read, equal), BAD (must be refused), EITHER (may be refused; equal if
read), FOREIGN (valid, but not in a format that ghee reads). The check takes what ghee read and says what differs, or None."""
import csv
import datetime
import gzip
import io
import json
import math
import pathlib
import re

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.orc
import pyarrow.parquet as pq

GOOD, BAD, EITHER, FOREIGN = "good", "bad", "either", "foreign"
csv.field_size_limit(1 << 30)


class Verdict:
    def __init__(self, kind, why="", check=lambda got: None):
        self.kind, self.why, self.check = kind, why, check


def same(got, want):
    """Equal values; an absent key of an object is null, a scalar among texts is its JSON text, all NaN are one."""
    if isinstance(want, dict) and isinstance(got, dict):
        return all(same(got.get(k), want.get(k)) for k in {*got, *want})
    if isinstance(want, (list, tuple)) and isinstance(got, (list, tuple)):
        return len(got) == len(want) and all(map(same, got, want))
    if isinstance(got, float) and isinstance(want, float) and math.isnan(got) and math.isnan(want):
        return True
    if isinstance(got, str) and isinstance(want, (bool, int, float)):
        return json.loads(got) == want
    if isinstance(got, bool) or isinstance(want, bool):
        return got is want
    return got == want


def first_difference(got, want):
    if got == want:
        return None
    for row, (g, w) in enumerate(zip(got, want)):
        if not same(g, w):
            return f"row {row}: {str(g)[:200]!r} in place of {str(w)[:200]!r}"
    return None if len(got) == len(want) else f"{len(got)} rows in place of {len(want)}"


# ---- columnar: pyarrow's reading ----

def plain_type(t):
    """The type that ghee has for an Arrow type: its storage, without dictionaries, views and narrow decimals."""
    if isinstance(t, pa.BaseExtensionType):
        return plain_type(t.storage_type)
    if pa.types.is_dictionary(t):
        return plain_type(t.value_type)
    if pa.types.is_struct(t):
        return pa.struct([pa.field(f.name, plain_type(f.type)) for f in t])
    if pa.types.is_map(t):
        return pa.map_(plain_type(t.key_type), plain_type(t.item_type))
    if pa.types.is_fixed_size_list(t):
        return pa.list_(plain_type(t.value_type), t.list_size)
    if pa.types.is_large_list(t):
        return pa.large_list(plain_type(t.value_type))
    if pa.types.is_list(t) or pa.types.is_list_view(t):
        return pa.list_(plain_type(t.value_type))
    if pa.types.is_decimal32(t) or pa.types.is_decimal64(t):
        return pa.decimal128(t.precision, t.scale)
    return {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}.get(t, t)


def column_difference(got, want):
    if plain_type(got.type) != plain_type(want.type):
        return f"type {got.type} in place of {want.type}"
    if len(got) != len(want):
        return f"{len(got)} rows in place of {len(want)}"
    if got.type == want.type and got.equals(want):
        return None
    return first_difference(values(got), values(want))


def values(column):
    """Python values, exact: times as numbers, as Python's hold neither nanoseconds nor all years."""
    t = column.type
    if isinstance(t, pa.BaseExtensionType):
        return values(pa.chunked_array([c.storage for c in column.chunks], type=t.storage_type))
    if pa.types.is_dictionary(t):
        return values(column.cast(t.value_type))
    if pa.types.is_timestamp(t) or pa.types.is_time64(t) or pa.types.is_duration(t) or pa.types.is_date64(t):
        return pa.chunked_array([c.view(pa.int64()) for c in column.chunks], type=pa.int64()).to_pylist()
    if pa.types.is_decimal(t) or pa.types.is_interval(t):
        return [None if v is None else str(v) for v in (pieces(column) if pa.types.is_interval(t) else column.to_pylist())]
    if pa.types.is_nested(t):
        return [nested(v) for c in column.chunks for v in [*c]]
    return column.to_pylist()


def pieces(column):
    return [s.as_py() for c in column.chunks for s in c]


def nested(scalar):
    """As `values`, for a value inside of a list, struct or map."""
    t = scalar.type
    if not scalar.is_valid:
        return None
    if pa.types.is_struct(t):
        return {t.field(i).name: nested(scalar[i]) for i in range(t.num_fields)}
    if pa.types.is_map(t):
        return [(nested(e[0]), nested(e[1])) for e in scalar.values]
    if pa.types.is_list(t) or pa.types.is_large_list(t) or pa.types.is_fixed_size_list(t) or pa.types.is_list_view(t):
        return [nested(v) for v in scalar.values]
    if pa.types.is_dictionary(t):
        return scalar.as_py()
    if pa.types.is_timestamp(t) or pa.types.is_time64(t) or pa.types.is_duration(t) or pa.types.is_date64(t):
        return scalar.value
    return scalar.as_py()


def table_difference(got, want):
    if got.column_names != want.column_names:
        return f"columns {got.column_names} in place of {want.column_names}"
    for name, g, w in zip(got.column_names, got.columns, want.columns):
        differs = column_difference(g, w)
        if differs:
            return f"column {name}: {differs}"
    return None if got.num_rows == want.num_rows else f"{got.num_rows} rows in place of {want.num_rows}"


def by_pyarrow(read):
    try:
        table = read()
        table.validate()
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, NotImplementedError) as e:
        return Verdict(BAD, f"pyarrow: {str(e).splitlines()[0] if str(e) else type(e).__name__}")
    try:
        table.validate(full=True)
        kind, why = GOOD, ""
    except pa.ArrowException as e:
        kind, why = EITHER, str(e).splitlines()[0]
    return Verdict(kind, why, lambda got: table_difference(got, table))


def parquet(path):
    return by_pyarrow(lambda: pq.ParquetFile(path, arrow_extensions_enabled=False).read(use_threads=False))


def ipc(path):
    if pathlib.Path(path).read_bytes()[:6] == b"ARROW1":
        return by_pyarrow(lambda: pa.ipc.open_file(path).read_all())
    return by_pyarrow(lambda: pa.ipc.open_stream(path).read_all())


def orc(path):
    return by_pyarrow(lambda: pa.orc.ORCFile(path).read())


# ---- text ----

def text_of(path):
    data = pathlib.Path(path).read_bytes()
    return data.decode("utf-8-sig")


def boolean(text):
    return {"true": True, "false": False}[text.lower()]


def meant(t, texts):
    """What a column of texts means as the type `t` that ghee has inferred; the empty text is null."""
    texts = [text or None for text in texts]
    if pa.types.is_timestamp(t):
        return instants(t, texts)
    convert = int if pa.types.is_integer(t) else float if pa.types.is_floating(t) else boolean if pa.types.is_boolean(t) else None
    convert = datetime.date.fromisoformat if pa.types.is_date32(t) else convert
    return [text and convert(text) for text in texts] if convert else texts


def instants(t, texts):
    """Numbers of the type's unit since 1970 in UTC; a text without a zone stands for UTC."""
    def cast(zone, holds):
        mine = pa.array([text if text and bool(re.fullmatch(r"[-\d]+([ T][\d:.]+)?", text)) == holds else None for text in texts], pa.string())
        return mine.cast(pa.timestamp(t.unit, zone)).cast(pa.int64())

    return pc.coalesce(cast(None, True), cast("UTC", False)).to_pylist()


def csv_difference(got, rows):
    header, rows = rows[0], rows[1:]
    if got.num_rows != len(rows) or got.num_columns != len(header):
        return f"{got.num_rows} rows × {got.num_columns} columns in place of {len(rows)} × {len(header)}"
    for i, (name, texts) in enumerate(zip(header, zip(*rows) if rows else [()] * len(header))):
        differs = text_difference(got.column(i), texts) if got.column_names[i] == name else f"named {got.column_names[i]}"
        if differs:
            return f"column {name}: {differs}"
    return None


def text_difference(column, texts):
    try:
        if column.equals(pa.chunked_array([pa.array([text or None for text in texts], pa.string()).cast(column.type)])):
            return None  # as pyarrow takes these texts for the type
    except pa.ArrowException:
        pass
    try:
        return first_difference(values(column), meant(column.type, texts))
    except (ValueError, KeyError) as e:
        return f"read as {column.type}: {e}"


def csv_file(path):
    """RFC 4180 as Python's reader takes it, strict; rows of one length, columns with names of their own."""
    try:
        rows = [row for row in csv.reader(io.StringIO(text_of(path), newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as e:
        return Verdict(BAD, str(e))
    if not rows:
        return Verdict(EITHER, "no header", lambda got: None if got.num_rows == 0 else "rows")
    uneven = [i for i, row in enumerate(rows) if len(row) != len(rows[0])]
    if uneven:
        return Verdict(BAD, f"record {uneven[0]} has {len(rows[uneven[0]])} fields, the header {len(rows[0])}")
    if len(set(rows[0])) != len(rows[0]):
        return Verdict(FOREIGN, "columns share a name")
    return Verdict(GOOD, "", lambda got: csv_difference(got, rows))


def spectrum(path):
    """csv-spectrum ships the values as JSON."""
    want = json.loads((pathlib.Path(path).parents[1] / "json" / pathlib.Path(path).with_suffix(".json").name).read_text())
    rows = [list(want[0])] + [list(row.values()) for row in want]
    return Verdict(GOOD, "", lambda got: csv_difference(got, rows))


def no_constant(name):
    raise ValueError(f"{name} is no JSON")


def loads(text):
    return json.loads(text, parse_constant=no_constant)


def documents(text):
    """The JSON documents that follow each other in `text`; ValueError when it is anything else."""
    decoder, at, found = json.JSONDecoder(parse_constant=no_constant), 0, []
    text = text.strip(" \t\r\n")
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
        while at < len(text) and text[at] in " \t\r\n":
            at += 1
    return found


def jsonl(path):
    try:
        text = text_of(path)
        lines = [line for line in text.split("\n") if line.strip(" \t\r")]
    except UnicodeDecodeError as e:
        return Verdict(BAD, str(e))
    try:
        rows = [loads(line) for line in lines]
    except (ValueError, RecursionError) as bad:
        try:
            documents(text)
        except (ValueError, RecursionError):
            return Verdict(BAD, str(bad))
        return Verdict(FOREIGN, "JSON documents, but not one a line")
    if not all(isinstance(row, dict) for row in rows):
        return Verdict(FOREIGN, "JSON lines, but not all of them objects")
    if not rows:
        return Verdict(EITHER, "no line", lambda got: None if got.num_rows == 0 else "rows")
    return Verdict(GOOD, "", lambda got: first_difference(got.to_pylist(), rows))


def suite(path):
    """The JSON test suite says by its names what must be accepted (y_), refused (n_), and what is open (i_, transform)."""
    name = pathlib.Path(path).name
    if name.startswith("n_"):
        return Verdict(BAD, "named n_")
    data = pathlib.Path(path).read_bytes()
    try:
        want = loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as e:
        return Verdict(EITHER, str(e))
    check = lambda got: first_difference(got.to_pylist(), [{"value": want}])  # noqa: E731
    return Verdict(GOOD if name.startswith("y_") else EITHER, "", check)


def suite_line(path, folder):
    """JSON lines hold objects: the document becomes the value of one. Line ends around and, where it is valid, inside of it are white space."""
    data = pathlib.Path(path).read_bytes()
    if not pathlib.Path(path).name.startswith("n_"):
        data = data.strip(b" \t\r\n").replace(b"\n", b" ")
    line = folder / pathlib.Path(path).name
    line.write_bytes(b'{"value": ' + data + b"}\n")
    return line


def unpacked(path, folder):
    out = folder / pathlib.Path(path).with_suffix("").name
    out.write_bytes(gzip.decompress(pathlib.Path(path).read_bytes()))
    return out
