# SPDX-License-Identifier: Apache-2.0
"""The demo: makes ratings of MovieLens-20M's shape, trains a factorization machine on them, predicts every pair, writes Parquet.

    python demo.py --rows 2000000

Its last line is `demo: rows_in=… rows_out=… rmse=… rmse_of_mean=… train_idle=…% seconds=…`."""
import argparse
import glob
import os
import shutil
import tempfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import fm

USERS, ITEMS, FILES = 138_493, 27_278, 16


def make_ratings(folder, rows):
    """Popularity like a power law, ratings from hidden tastes plus noise, so that there is something to learn."""
    rng = np.random.default_rng(20)
    users, items = USERS * rows // 20_000_263 + 200, ITEMS * rows // 20_000_263 + 200
    popular = np.cumsum(1 / (np.arange(items) + 30.0) ** 1.1)
    user_bias, item_bias = rng.normal(0, 0.4, users), rng.normal(0, 0.5, items)
    user_taste, item_taste = rng.normal(0, 0.35, (users, 4)), rng.normal(0, 0.6, (items, 4))
    for k in range(FILES):
        first, last = k * rows // FILES, (k + 1) * rows // FILES
        n = last - first
        user = rng.integers(0, users, n)
        item = np.minimum(np.searchsorted(popular, rng.random(n) * popular[-1]), items - 1)
        rating = 3.5 + user_bias[user] + item_bias[item] + (user_taste[user] * item_taste[item]).sum(1) + rng.normal(0, 0.7, n)
        table = pa.table({"id": np.arange(first, last), "user": user.astype(np.int32), "item": item.astype(np.int32),
                          "rating": (np.clip(np.round(rating * 2), 1, 10) / 2).astype(np.float32), "ts": rng.integers(789_652_009, 1_427_784_002, n)})
        pq.write_table(table, f"{folder}/part-{k:02}.parquet", compression="zstd", row_group_size=65_536)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=2_000_000)
    p.add_argument("--epochs", type=int, default=1)
    o = p.parse_args()
    folder = tempfile.mkdtemp(prefix="ghee-demo-")
    try:
        os.mkdir(folder + "/ratings")
        make_ratings(folder + "/ratings", o.rows)
        start = time.monotonic()
        trained, scored = fm.main(folder + "/ratings", folder + "/scores", epochs=o.epochs)
        seconds = time.monotonic() - start
        table = pa.concat_tables([pq.read_table(f, columns=["id", "score", "rating"]) for f in glob.glob(folder + "/scores/*.parquet")])
        score, rating = table["score"].to_numpy(), table["rating"].to_numpy()
        rmse, of_mean = np.sqrt(np.mean((score - rating) ** 2)), rating.std()
        if len(np.unique(table["id"].to_numpy())) != o.rows:
            raise SystemExit(f"demo: {o.rows} rows went in, {len(np.unique(table['id'].to_numpy()))} different ones came out")
        idle = next(s["starved"] for s in trained.progress["stages"] if s["name"] == "train")
        print(f"demo: rows_in={o.rows} rows_out={table.num_rows} rmse={rmse:.4f} rmse_of_mean={of_mean:.4f} train_idle={100 * idle:.1f}% seconds={seconds:.1f}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
