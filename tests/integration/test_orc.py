# SPDX-License-Identifier: Apache-2.0
"""ORC as pyarrow writes it, tables of random types in all codecs and encodings, read by ghee as pyarrow reads them."""
import decimal
import importlib.machinery
import importlib.util
import pathlib
import random

import pyarrow as pa
import pyarrow.orc
import pytest

HERE = pathlib.Path(__file__).resolve().parent
TABLES, DIGITS = 60, decimal.Context(prec=50)


def program():
    loader = importlib.machinery.SourceFileLoader("real_files", str(HERE / "real_files"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("real_files", loader))
    loader.exec_module(module)
    return module


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def some(self, n, make, data_type):
        nulls = self.random.choice([0, 0, 0.1, 0.9, 1])
        return pa.array([None if self.random.random() < nulls else make() for _ in range(n)], data_type)

    def numbers(self, bits):
        """Each of these habits is packed in another way."""
        r, least, most, at = self.random, -(1 << bits - 1), (1 << bits - 1) - 1, [0]

        def climb(most_step):
            at[0] = min(most, at[0] + r.randint(0, most_step))
            return at[0]

        return r.choice([lambda: r.randint(least, most), lambda: r.choice([0, 0, 0, 1, most, least]), lambda: climb(1), lambda: climb(5),
                         lambda: r.randint(0, min(most, 200)) if r.random() < 0.97 else r.randint(0, most), lambda: r.randint(-7, 7)])

    def texts(self):
        r = self.random
        words = ["".join(r.choice("abcäöü€😀") for _ in range(r.randrange(12))) for _ in range(20)]
        return r.choice([lambda: r.choice(words), lambda: str(r.random()), lambda: "x" * r.randrange(3000)])

    def decimals(self):
        r = self.random
        precision = r.randint(1, 38)
        scale = r.randint(0, precision)
        return lambda: decimal.Decimal(r.randint(1 - 10 ** precision, 10 ** precision - 1)).scaleb(-scale, DIGITS), pa.decimal128(precision, scale)

    def plain(self, n):
        r = self.random
        fraction = r.choice([1, 10 ** 3, 10 ** 6, 10 ** 9])
        made = {
            pa.bool_(): lambda: r.random() < 0.5, pa.float32(): lambda: r.gauss(0, 1), pa.float64(): lambda: r.gauss(0, 1), pa.string(): self.texts(),
            pa.int8(): self.numbers(8), pa.int16(): self.numbers(16), pa.int32(): self.numbers(32), pa.int64(): self.numbers(64),
            pa.binary(): lambda: r.randbytes(r.randrange(9)), pa.date32(): lambda: r.randint(-800_000, 800_000),
            pa.timestamp("ns"): lambda: r.randint(-9 * 10 ** 18, 9 * 10 ** 18) // fraction * fraction, pa.timestamp("ns", "UTC"): lambda: r.randint(0, 9 * 10 ** 18),
        }
        if r.random() < 0.1:
            return self.some(n, *self.decimals())
        data_type = r.choice(list(made))
        if pa.types.is_temporal(data_type):
            return self.some(n, made[data_type], pa.int32() if pa.types.is_date32(data_type) else pa.int64()).cast(data_type)
        return self.some(n, made[data_type], data_type)

    def column(self, n, depth=0):
        r, kind = self.random, self.random.choice(["plain"] * 3 + ["list", "struct", "map"] if depth < 3 else ["plain"])
        missing, offsets = pa.array([r.random() < 0.2 for _ in range(n)], pa.bool_()), [0]
        if kind == "plain":
            return self.plain(n)
        if kind == "struct":
            columns = [self.column(n, depth + 1) for _ in range(r.randint(1, 4))]
            return pa.StructArray.from_arrays(columns, names=[f"f{i}" for i in range(len(columns))], mask=missing)
        for gone in missing.to_pylist():
            offsets.append(offsets[-1] + (0 if gone else r.randrange(4)))
        values = self.column(offsets[-1], depth + 1)
        if kind == "list":
            return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, mask=missing)
        return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), pa.array([f"k{i % 50}" for i in range(offsets[-1])], pa.string()), values)

    def file(self, path):
        r, n = self.random, self.random.choice([0, 1, 7, 8, 9, 100, 511, 1000, 5000])
        table = pa.table({f"c{i}": self.column(n) for i in range(r.randint(1, 5))})
        pa.orc.write_table(table, path, compression=r.choice(["uncompressed", "zlib", "snappy", "lz4", "zstd"]), compression_block_size=r.choice([1 << 16, 1 << 18]),
                           stripe_size=r.choice([1 << 16, 1 << 26]), dictionary_key_size_threshold=r.choice([0, 1.0]), batch_size=r.choice([100, 1024]),
                           file_version=r.choice(["0.11", "0.12"]))


@pytest.mark.parametrize("seed", range(4))
def test_random_tables(tmp_path, seed):
    real_files = program()
    library, maker = real_files.load(real_files.ROOT / "build" / "release"), Maker(seed)
    for i in range(TABLES):
        maker.file(tmp_path / "a.orc")
        status, message, got = real_files.read(library, tmp_path / "a.orc", "orc")
        assert status == 0, f"table {i}: {message}"
        got.validate(full=True)
        assert got.equals(pa.orc.read_table(tmp_path / "a.orc")), f"table {i}"
