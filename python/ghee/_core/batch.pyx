# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3
"""Arrow batches as NumPy arrays and back. Fixed-width columns share memory both ways; the others are converted value by value. A column that
comes back as it was handed out goes on as the Arrow column that it was."""
from decimal import Context, Decimal

from cpython.buffer cimport PyBUF_WRITABLE
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize, PyBytes_Size
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strlen

import numpy as np

from ghee._core.c cimport *
from ghee.errors import UserError, raise_status

# Arrow's one-letter formats and the NumPy type of the same memory.
FIXED = {"c": "i1", "C": "u1", "s": "i2", "S": "u2", "i": "i4", "I": "u4", "l": "i8", "L": "u8", "e": "f2", "f": "f4", "g": "f8"}
OF_NUMPY = {np.dtype(v).str[1:]: k for k, v in FIXED.items()}
UNITS = {"s": "s", "m": "ms", "u": "us", "n": "ns"}
OF_UNIT = {v: k for k, v in UNITS.items()}
TIMES = {"tts": "m8[s]", "ttm": "m8[ms]"}  # of 32 bits: copied
EXACT = Context(prec=100)  # decimals of 256 bits have 76 digits


cdef class Memory:
    """Bytes of a batch, which live as long as this does; what NumPy arrays are views of."""
    cdef const void *data
    cdef Py_ssize_t size
    cdef Arrays owner

    def __getbuffer__(self, Py_buffer *view, int flags):
        if flags & PyBUF_WRITABLE and not self.owner.writable:
            raise BufferError("the memory of a batch is read-only: copy the array first")
        view.buf = <void *>self.data
        view.len = self.size
        view.readonly = not self.owner.writable
        view.itemsize = 1
        view.format = NULL
        view.ndim = 1
        view.shape = &self.size if flags & 8 else NULL
        view.strides = NULL
        view.suboffsets = NULL
        view.internal = NULL
        view.obj = self
        Py_INCREF(self)
        Py_DECREF(self)

    def __releasebuffer__(self, Py_buffer *view):
        pass


cdef class Arrays:
    """Owner of one Arrow struct array and its schema."""
    def __dealloc__(self):
        if self.array.release != NULL:
            self.array.release(&self.array)
        if self.schema.release != NULL:
            self.schema.release(&self.schema)


cdef Arrays arrays_take(const ArrowSchema *schema, ArrowArray *array, bint writable):
    """Moves `array` in. The schema is copied by value without its release: it must outlive the result, or be moved in."""
    cdef Arrays arrays = Arrays.__new__(Arrays)
    arrays.schema = schema[0]
    arrays.schema.release = NULL
    arrays.array = array[0]
    array.release = NULL
    arrays.writable = writable
    return arrays


cdef view(Arrays owner, const void *data, Py_ssize_t size, dtype, Py_ssize_t start, Py_ssize_t count):
    cdef Memory memory
    if count == 0 or data == NULL:
        return np.zeros(count, dtype)
    memory = Memory.__new__(Memory)
    memory.data = data
    memory.size = size
    memory.owner = owner
    array = np.frombuffer(memory, dtype, count, start)
    return array


cdef bits(const void *data, int64_t offset, int64_t length):
    """Arrow bitmap as a bool array."""
    cdef int64_t first = offset // 8, size = (offset + length + 7) // 8 - first
    raw = np.frombuffer(PyBytes_FromStringAndSize(<const char *>data + first, size), np.uint8)
    return np.unpackbits(raw, bitorder="little")[offset % 8:offset % 8 + length].view(np.bool_)


cdef metadata(const ArrowSchema *schema):
    """Field metadata as a dict of str."""
    cdef const char *at = schema.metadata
    cdef int32_t n, size
    found = {}
    if at == NULL:
        return found
    memcpy(&n, at, 4)
    at += 4
    for _ in range(n):
        memcpy(&size, at, 4)
        key = PyBytes_FromStringAndSize(at + 4, size).decode()
        at += 4 + size
        memcpy(&size, at, 4)
        found[key] = PyBytes_FromStringAndSize(at + 4, size).decode("utf-8", "replace")
        at += 4 + size
    return found


cdef validity(const ArrowArray *array, int64_t offset, int64_t length):
    """None when every value is there."""
    if array.null_count == 0 or array.n_buffers == 0 or array.buffers[0] == NULL:
        return None
    there = bits(array.buffers[0], offset, length)
    return None if there.all() else there


cdef masked(values, there):
    return values if there is None else np.ma.MaskedArray(values, mask=~there)


cdef objects(values, there):
    """A list of Python values as an object array, None where there is none."""
    column = np.empty(len(values), object)
    for i, value in enumerate(values):
        column[i] = value if there is None or there[i] else None
    return column


cdef texts(const ArrowArray *array, int64_t offset, int64_t length, bint large, bint binary, there):
    cdef const char *data = <const char *>array.buffers[2]
    cdef int64_t i, start, end
    column = np.empty(length, object)
    for i in range(length):
        if there is not None and not there[i]:
            continue
        if large:
            start, end = (<const int64_t *>array.buffers[1])[offset + i], (<const int64_t *>array.buffers[1])[offset + i + 1]
        else:
            start, end = (<const int32_t *>array.buffers[1])[offset + i], (<const int32_t *>array.buffers[1])[offset + i + 1]
        value = PyBytes_FromStringAndSize(data + start, end - start) if end > start else b""
        column[i] = value if binary else value.decode("utf-8", "surrogateescape")
    return column


cdef lists(Arrays owner, const ArrowSchema *schema, const ArrowArray *array, int64_t offset, int64_t length, bint large, there):
    cdef int64_t i, first, end
    values = []
    if length:
        if large:
            first, end = (<const int64_t *>array.buffers[1])[offset], (<const int64_t *>array.buffers[1])[offset + length]
        else:
            first, end = (<const int32_t *>array.buffers[1])[offset], (<const int32_t *>array.buffers[1])[offset + length]
        items = column(owner, schema.children[0], array.children[0], first, end - first)
        if not owner.writable:
            lock(items)
        for i in range(length):
            if large:
                start, stop = (<const int64_t *>array.buffers[1])[offset + i], (<const int64_t *>array.buffers[1])[offset + i + 1]
            else:
                start, stop = (<const int32_t *>array.buffers[1])[offset + i], (<const int32_t *>array.buffers[1])[offset + i + 1]
            values.append(items[start - first:stop - first])
    return objects(values, there)


cdef integers(const ArrowArray *array, int64_t offset, int64_t length, int width):
    """Little-endian integers of any width (decimals) as Python ints."""
    raw = PyBytes_FromStringAndSize(<const char *>array.buffers[1] + offset * width, length * width) if length else b""
    return [int.from_bytes(raw[k * width:(k + 1) * width], "little", signed=True) for k in range(length)]


cdef column(Arrays owner, const ArrowSchema *schema, const ArrowArray *array, int64_t offset, int64_t length):
    """`length` values of a column from `offset` (of the array's own offset)."""
    cdef const char *format = schema.format
    cdef int64_t at = array.offset + offset
    cdef int width
    kind = format.decode()
    if schema.dictionary != NULL:
        there = validity(array, at, length)
        codes = view(owner, array.buffers[1], (at + length) * np.dtype(FIXED[kind]).itemsize, FIXED[kind],
                     at * np.dtype(FIXED[kind]).itemsize, length)
        values = column(owner, schema.dictionary, array.dictionary, 0, array.dictionary.length)
        taken = np.asarray(values)[np.where(there, codes, 0) if there is not None else codes] if length and len(values) else np.zeros(length, object)
        return masked(taken, there) if taken.dtype != object else objects(list(taken), there)
    if kind == "n":
        return np.empty(length, object)
    there = validity(array, at, length)
    if kind in FIXED or kind[0] == "t" and kind[:2] != "ti":
        dtype = fixed_type(kind)
        size = dtype.itemsize
        values = view(owner, array.buffers[1], (at + length) * size, dtype, at * size, length)
        return masked(values.astype("M8[D]") if kind == "tdD" else values.astype(TIMES[kind]) if kind in TIMES else values, there)
    if kind == "b":
        return masked(bits(array.buffers[1], at, length), there) if length else np.zeros(0, np.bool_)
    if kind in "uUzZ":
        return texts(array, at, length, kind in "UZ", kind in "zZ", there)
    if kind[0] == "w":
        width = int(kind[2:])
        return masked(view(owner, array.buffers[1], (at + length) * width, f"V{width}", at * width, length), there)
    if kind[0] == "d":
        parts = [int(p) for p in kind[2:].split(",")]
        width, scale = (parts[2] if len(parts) > 2 else 128) // 8, parts[1]
        return objects([EXACT.scaleb(Decimal(v), -scale) for v in integers(array, at, length, width)], there)
    if kind.startswith("+w:"):
        n = int(kind[3:])
        items = column(owner, schema.children[0], array.children[0], at * n, length * n)
        shape = metadata(schema).get("ghee.shape")
        shape = tuple(int(s) for s in shape.split(",")) if shape else (n,)
        return masked_rows(items.reshape((length,) + shape), there)
    if kind in ("+l", "+L"):
        return lists(owner, schema, array, at, length, kind == "+L", there)
    if kind == "+m":
        pairs = lists(owner, schema, array, at, length, False, None)
        return objects([{p["key"]: p["value"] for p in map(entry, row)} for row in pairs], there)
    if kind == "+s":
        names = [schema.children[k].name.decode() for k in range(schema.n_children)]
        parts = [column(owner, schema.children[k], array.children[k], at, length) for k in range(schema.n_children)]
        return objects([{n: plain(p[r]) for n, p in zip(names, parts)} for r in range(length)], there)
    raise UserError(f"column {schema.name.decode()} has Arrow type {kind}, which cannot be a NumPy array: take `as: arrow`")


def entry(row):
    """A map's entry, whatever its two fields are called."""
    key, value = row.values()
    return {"key": key, "value": value}


def plain(value):
    return None if value is np.ma.masked else value


def masked_rows(values, there):
    return values if there is None else np.ma.MaskedArray(values, mask=np.broadcast_to((~there).reshape((-1,) + (1,) * (values.ndim - 1)), values.shape))


def fixed_type(kind):
    if kind in FIXED:
        return np.dtype(FIXED[kind])
    if kind == "tdm":
        return np.dtype("M8[ms]")
    if kind.startswith("ts"):
        return np.dtype(f"M8[{UNITS[kind[2]]}]")
    if kind.startswith("tD"):
        return np.dtype(f"m8[{UNITS[kind[2]]}]")
    if kind in ("ttu", "ttn"):
        return np.dtype(f"m8[{UNITS[kind[2]]}]")
    return np.dtype("i4")


cdef lock(values):
    """Nobody writes into what is shared, or was converted from it."""
    values.flags.writeable = False
    if isinstance(values, np.ma.MaskedArray):
        np.ma.getmaskarray(values).flags.writeable = False


cdef is_locked(values):
    return not values.flags.writeable and not (isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).flags.writeable)


cdef to_numpy(Arrays arrays):
    """Dict of columns, read-only unless the batch is the caller's own. Dates and times of 32 bits are copied; all else that is fixed-width is
    a view."""
    cdef int64_t k
    columns = {}
    for k in range(arrays.schema.n_children):
        columns[arrays.schema.children[k].name.decode()] = column(arrays, arrays.schema.children[k], arrays.array.children[k],
                                                                  arrays.array.offset, arrays.array.length)
    if not arrays.writable:
        for values in columns.values():
            lock(values)
    return columns


# ---- capsules ----

cdef void free_schema(object capsule) noexcept:
    cdef ArrowSchema *schema = <ArrowSchema *>PyCapsule_GetPointer(capsule, "arrow_schema")
    if schema.release != NULL:
        schema.release(schema)
    free(schema)


cdef void free_array(object capsule) noexcept:
    cdef ArrowArray *array = <ArrowArray *>PyCapsule_GetPointer(capsule, "arrow_array")
    if array.release != NULL:
        array.release(array)
    free(array)


cdef void borrowed(ArrowSchema *schema) noexcept:
    pass


cdef schema_capsule(Arrays arrays):
    """A copy of the schema, for __arrow_c_schema__."""
    cdef ArrowSchema *schema = <ArrowSchema *>calloc(1, sizeof(ArrowSchema))
    cdef ArrowSchema view = arrays.schema
    cdef ghee_error err
    if schema == NULL:
        raise MemoryError()
    view.release = borrowed  # the copy wants to see that it has not been released
    capsule = PyCapsule_New(schema, "arrow_schema", free_schema)
    check(ghee_schema_copy_arrow(&view, schema, &err), &err)
    return capsule


cdef to_capsules(Arrays arrays):
    """(schema, array) for __arrow_c_array__; the array is moved out, so this works once."""
    schema = schema_capsule(arrays)
    cdef ArrowArray *array = <ArrowArray *>calloc(1, sizeof(ArrowArray))
    if array == NULL:
        raise MemoryError()
    array[0] = arrays.array
    arrays.array.release = NULL
    return schema, PyCapsule_New(array, "arrow_array", free_array)


# ---- Python to Arrow ----

cdef void drop(void *owner) noexcept nogil:
    with gil:
        Py_DECREF(<object>owner)


cdef check(ghee_status status, ghee_error *err):
    if status:
        raise_status(status, err.message.decode("utf-8", "replace"))


cdef add_fixed(ghee_builder *builder, bytes name, values, bytes format, there, shape):
    cdef ghee_error err
    cdef int64_t dims[32]
    cdef int64_t nulls = 0
    cdef const void *bitmap = NULL
    cdef int n = len(shape)
    if n > 32:
        raise UserError(f"column {name.decode()} has {n} dimensions, more than 32")
    for k in range(n):
        dims[k] = shape[k]
    owner = (values, None)
    if there is not None:
        packed = np.packbits(there, bitorder="little")
        nulls = len(there) - int(there.sum())
        owner = (values, packed)
        bitmap = <const void *><size_t>packed.ctypes.data
    Py_INCREF(owner)
    check(ghee_builder_add_fixed(builder, name, format, len(values), <const void *><size_t>values.ctypes.data, bitmap, nulls,
                                 dims, n, drop, <void *>owner, &err), &err)


cdef add_texts(ghee_builder *builder, bytes name, values, there):
    cdef ghee_error err
    cdef bytes raw
    binary = next((isinstance(v, (bytes, bytearray, memoryview)) for v in values if v is not None), False)
    check(ghee_builder_begin_text(builder, name, binary, &err), &err)
    for i, value in enumerate(values):
        if value is None or there is not None and not there[i]:
            check(ghee_builder_append_null(builder, &err), &err)
            continue
        if isinstance(value, str) and not binary:
            raw = value.encode("utf-8", "surrogateescape")
        elif isinstance(value, (bytes, bytearray, memoryview)) and binary:
            raw = bytes(value)
        else:
            raise UserError(f"column {name.decode()}, row {i}: {type(value).__name__} among {'bytes' if binary else 'text'}: "
                            "a column is of one type; return Arrow for lists and structs")
        check(ghee_builder_append_text(builder, PyBytes_AsString(raw), PyBytes_Size(raw), &err), &err)
    check(ghee_builder_end_text(builder, &err), &err)


cdef add_arrow(ghee_builder *builder, bytes name, value):
    cdef ghee_error err
    schema, array = value.__arrow_c_array__()
    check(ghee_builder_add_arrow(builder, name, <ArrowSchema *>PyCapsule_GetPointer(schema, "arrow_schema"),
                                 <ArrowArray *>PyCapsule_GetPointer(array, "arrow_array"), &err), &err)


cdef add_objects(ghee_builder *builder, bytes name, values, there, Arrays source):
    """Object columns: text and bytes here, the rest through pyarrow where it is installed."""
    known = next((v for v in values if v is not None), None)
    if isinstance(known, (str, bytes, bytearray, memoryview)) or known is None and index_of(source, name) < 0:
        return add_texts(builder, name, values, there)
    items = list(values) if there is None else [v if ok else None for v, ok in zip(values, there)]
    from ghee.forms import objects_column

    add_arrow(builder, name, objects_column(name.decode(), items, source))


cdef index_of(Arrays source, bytes name):
    """Number of the batch's column of that name, -1 for none."""
    if source is not None:
        for k in range(source.schema.n_children):
            if source.schema.children[k].name == name:
                return k
    return -1


cdef bint holds_dicts(const ArrowSchema *schema):
    """Structs and maps are handed out as dicts, which a function may change."""
    cdef int64_t k
    if schema.format[0] == b"+" and schema.format[1] in b"sm":
        return True
    for k in range(schema.n_children):
        if holds_dicts(schema.children[k]):
            return True
    return False


cdef void drop_shared(ArrowArray *array) noexcept nogil:
    with gil:
        Py_DECREF(<object>array.private_data)
    array.release = NULL


cdef add_shared(ghee_builder *builder, bytes name, Arrays source, int64_t k):
    """Column k of the batch once more, over the same memory."""
    cdef ArrowSchema schema
    cdef ArrowArray array = source.array.children[k][0]
    cdef ghee_error err
    check(ghee_schema_copy_arrow(source.schema.children[k], &schema, &err), &err)
    if array.null_count != 0 and array.length != source.array.length:
        array.null_count = -1
    array.offset += source.array.offset
    array.length = source.array.length
    array.private_data = <void *>source
    array.release = drop_shared
    Py_INCREF(source)
    check(ghee_builder_add_arrow(builder, name, &schema, &array, &err), &err)


cdef plain_array(bytes name, value):
    """What NumPy makes of a column that is not Arrow."""
    if hasattr(value, "detach") and hasattr(value, "numpy"):
        value = value.detach().cpu()
        return (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    try:
        return np.asarray(value)
    except ValueError:  # lists of unequal lengths
        return objects(list(value), None)


cdef add_column(ghee_builder *builder, bytes name, value, Arrays source):
    cdef ghee_error err
    cdef const uint8_t *valid = NULL
    if hasattr(value, "__arrow_c_array__"):
        return add_arrow(builder, name, value)
    there = None
    if isinstance(value, np.ma.MaskedArray):
        there = ~np.ma.getmaskarray(value)
        value = value.data
        if there.ndim > 1:
            raise UserError(f"column {name.decode()}: a tensor column cannot be masked")
        there = None if there.all() else np.ascontiguousarray(there)
    values = plain_array(name, value)
    if values.ndim == 0:
        raise UserError(f"column {name.decode()} is a single {type(value).__name__}: return one value for each row")
    kind, shape = values.dtype.kind, values.shape[1:]
    if kind == "O":
        return add_objects(builder, name, values, there, source)
    if kind in "US":
        return add_texts(builder, name, values.tolist(), there)
    if kind == "b" and not shape:
        values = np.ascontiguousarray(values).view(np.uint8)
        if there is not None:
            there = there.view(np.uint8)
            valid = <const uint8_t *><size_t>there.ctypes.data
        return check(ghee_builder_add_bool(builder, name, len(values), <const uint8_t *><size_t>values.ctypes.data, valid, &err), &err)
    if kind == "b":
        values = values.view(np.uint8)
    if kind in "mM" and not shape:
        missing = np.isnat(values)
        if missing.any():
            there = ~missing if there is None else there & ~missing
    format = arrow_format(name, values, format_of(source, index_of(source, name)) if not shape else "")
    values = np.ascontiguousarray(values, fixed_type(format.decode()) if kind in "mM" else values.dtype.newbyteorder("="))
    add_fixed(builder, name, values, format, there, shape)


cdef format_of(Arrays source, int64_t k):
    return (<bytes>source.schema.children[k].format).decode() if k >= 0 else ""


def arrow_format(name, values, was):
    """Arrow format of a NumPy type; `was` is the format of the batch's column of that name: its zone and kind are kept."""
    kind = values.dtype.kind
    if kind in "iuf" and values.dtype.str[1:] in OF_NUMPY:
        return OF_NUMPY[values.dtype.str[1:]].encode()
    if kind == "b":
        return b"C"
    if kind == "V" and values.dtype.names is None and values.dtype.itemsize:
        return f"w:{values.dtype.itemsize}".encode()
    unit = np.datetime_data(values.dtype)[0] if kind in "mM" else None
    if unit == "D" and kind == "M":
        return b"tdD"
    if unit in OF_UNIT:
        letter = OF_UNIT[unit]
        if kind == "m":
            return ("tt" if was == "tt" + letter else "tD").encode() + letter.encode()
        return was.encode() if was.startswith(f"ts{letter}:") or was == "tdm" and unit == "ms" else f"ts{letter}:".encode()
    raise UserError(f"column {name.decode()} has NumPy type {values.dtype}, which has no column type: convert it "
                    "(dates: astype('M8[s]'), complex numbers: two columns)")


cdef void from_columns(object columns, Arrays source, object given, ArrowSchema *out_schema, ArrowArray *out) except *:
    """A mapping of columns as one struct array. `source` is the batch that the function got, and `given` what its columns were handed out as."""
    cdef ghee_builder *builder = NULL
    cdef ghee_error err
    handed = {id(values): k for k, values in enumerate(given.values())}
    check(ghee_builder_new(&builder, &err), &err)
    try:
        for name, value in columns.items():
            k = handed.get(id(value), -1)
            if k >= 0 and is_locked(value) and not holds_dicts(source.schema.children[k]):
                add_shared(builder, str(name).encode(), source, k)
            else:
                add_column(builder, str(name).encode(), value, source)
        check(ghee_builder_finish(builder, out_schema, out, &err), &err)
    finally:
        ghee_builder_free(builder)
