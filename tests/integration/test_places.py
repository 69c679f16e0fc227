# SPDX-License-Identifier: Apache-2.0
"""Jobs whose input, output and dead letters lie in one another are refused by `check` and by `run`, and no file is touched."""
import json
import os
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ghee
from ghee.task import LocalTask


def tree(folder):
    return {str(p.relative_to(folder)): os.readlink(p) if p.is_symlink() else p.is_file() and p.read_bytes() for p in sorted(folder.rglob("*"))
            if "__pycache__" not in p.parts and p.name not in ("f.py", "job.yaml")}


@pytest.fixture
def data(tmp_path):
    """data/pq and data/pq2 of two files each; lnk and data/lnk lead to data/pq."""
    for name in ("pq", "pq2"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for k in range(2):
            pq.write_table(pa.table({"id": [k, 10 + k]}), tmp_path / "data" / name / f"f{k}.parquet")
    (tmp_path / "lnk").symlink_to("data/pq")
    (tmp_path / "data" / "lnk").symlink_to("pq")
    return tmp_path


CASES = [
    ("data/pq/f0.parquet", "data/pq", None, r"output file:\S+/data/pq holds the input file:\S+/data/pq/f0.parquet"),
    ("data/pq", "data", None, "output .*holds the input"),
    ("data/pq", "data/pq", None, "same place"),
    ("data/pq2/*.parquet", "data/pq2", None, "output .*holds the input"),
    ("data/pq", "lnk", None, "same place as the input .*by a symbolic link"),
    ("data/pq", "data/pq/out", None, "next run reads"),
    ("data/pq", "out", "out", "dead_letter .*same place as the output"),
    ("data/pq", "out", "out/dead", "dead_letter .*lies in the output"),
    ("data/pq", "all/out", "all", "dead_letter .*holds the output"),
    ("data/pq", "out", "lnk", "dead_letter .*same place as the input .*by a symbolic link"),
    ("data/pq", "out", "data", "dead_letter .*holds the input"),
    ("data/pq", "out", "data/pq/dead", "dead_letter .*lies in the input"),
]


@pytest.mark.parametrize("mode", ["error", "overwrite", "append"])
@pytest.mark.parametrize("source, output, dead, words", CASES)
def test_places_in_one_another(data, ghee_cli, describe, source, output, dead, words, mode):
    more = {"on_reject": "divert", "dead_letter": dead} if dead else {}
    describe(input={"uri": source}, output={"uri": output, "mode": mode}, **more)
    before = tree(data)
    for command in (["check"], ["run", "--quiet"]):
        done = ghee_cli(*command, "job.yaml")
        first = done.stderr.partition("\n")[0]
        assert done.returncode == 3, done
        assert re.search(words, first) and first.endswith("name a folder apart from it"), first
        assert tree(data) == before


def test_places_beside_one_another(data):
    """Folders beside the input, of names that begin alike, and one that the wildcards do not reach."""
    for source, output, dead in [("lnk", "data/pqx", None), ("data/pq", "data/pq3", "data/pq4"), ("data/pq/*.parquet", "data/pq/out", "data/pq/dead")]:
        LocalTask(data / source, preprocess=lambda b, ctx: ctx.reject([0], "no") or {"id": b["id"][1:]} if dead else b, output=ghee.Output(data / output, mode="overwrite"),
                  on_reject="divert" if dead else "stop", dead_letter=dead and data / dead).run()
        assert (data / output / "_manifest.json").exists()
        assert not dead or json.loads(next((data / dead).glob("*.jsonl")).read_text().splitlines()[0])["row"] == 0
    assert [pq.read_table(data / "data" / "pq" / f"f{k}.parquet")["id"].to_pylist() for k in range(2)] == [[0, 10], [1, 11]]


def test_a_link_is_no_second_file(data):
    before = tree(data)
    for uris in (["data/pq", "data/lnk"], ["data/pq2", "data/pq", "lnk/f1.parquet"]):
        with pytest.raises(ghee.InvalidError, match="one file, by a symbolic link, and in the input twice"):
            LocalTask([data / u for u in uris], preprocess=lambda b: b, output=data / "out").run()
        assert tree(data) == before
    os.link(data / "data/pq/f0.parquet", data / "data/pq2/hard.parquet")
    LocalTask([data / "data/pq", data / "data/pq2"], preprocess=lambda b: b, output=data / "out").run()
    assert pq.read_table(data / "out").num_rows == 10


def test_overwrite_takes_only_what_a_job_has_made(data, refused):
    task = dict(input={"uri": "data/pq"}, output={"uri": "data/pq2", "mode": "overwrite"})
    before = tree(data)
    refused(8, "data/pq2 holds files but no _manifest.json", "f0.parquet.*mode: overwrite would remove them", left=["data", "lnk"], **task)
    assert tree(data) == before
    for k in range(2):
        (data / "data/pq2" / f"f{k}.parquet").unlink()
    for _ in range(2):  # an empty folder, then an output
        LocalTask(data / "data/pq", preprocess=lambda b: b, output=ghee.Output(data / "data/pq2", mode="overwrite")).run()
    assert pq.read_table(data / "data/pq2").num_rows == 4
