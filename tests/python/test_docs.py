# SPDX-License-Identifier: Apache-2.0
"""The documents say what the code does: examples run, references are complete, links lead somewhere."""
import dataclasses
import inspect
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

import ghee
from conftest import read_ids
from ghee.errors import BY_STATUS, InternalError

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md")])
GHEE = shutil.which("ghee") or str(ROOT / "build/release/ghee")


def blocks(page, language):
    """The fenced blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)


def program(*arguments, **options):
    """Runs the program ghee; its Python is this one."""
    return subprocess.run([GHEE, *map(str, arguments)], env={**os.environ, "GHEE_PYTHON": sys.executable}, capture_output=True, text=True, **options)


def canonical(description, folder):
    done = program("check", "--json", "-", input=json.dumps(description), cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


# ---- README ----

def test_the_example_runs(tmp_path):
    example = blocks("README.md", "python")[0]
    assert len([line for line in example.splitlines() if line.strip()]) <= 15
    (tmp_path / "example.py").write_text(example)
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"file:{tmp_path}/scores"
    assert read_ids(tmp_path / "scores").tolist() == list(range(100_000))


def test_the_same_as_a_file_runs(tmp_path):
    functions = blocks("README.md", "python")[0].partition("with open")[0]
    (tmp_path / "shop.py").write_text(functions)
    (tmp_path / "job.yaml").write_text(blocks("README.md", "yaml")[0])
    (tmp_path / "orders.csv").write_text("id,amount\n" + "".join(f"{i},{i}\n" for i in range(1000)))
    done = program("run", "--quiet", "job.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_ids(tmp_path / "scores").tolist() == list(range(1000))


# ---- docs/udf.md ----

def test_the_function_in_c_runs(tmp_path):
    (tmp_path / "shop.c").write_text(blocks("docs/udf.md", "c")[0])
    (tmp_path / "job.yaml").write_text(blocks("docs/udf.md", "yaml")[0])
    (tmp_path / "orders.csv").write_text("id,amount\n" + "".join(f"{i},{i}\n" for i in range(1000)))
    command = blocks("docs/udf.md", "sh")[0].replace("python", sys.executable)
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    done = program("run", "--quiet", "job.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_ids(tmp_path / "scores").tolist() == list(range(1000))
    assert np.allclose(read_ids(tmp_path / "scores", "x"), np.log1p(np.arange(1000)))


# ---- docs/description.md ----


def described():
    """section → {key: default}, of the tables of the page."""
    found = {}
    for title, text in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", (ROOT / "docs/description.md").read_text(), re.M | re.S):
        rows = re.findall(r"^\| `([a-z_]+)` \| [^|]+ \| ([^|]+) \|", text, re.M)
        if rows:
            found[title.partition(":")[0]] = dict(rows)
    return found


def accepted():
    """section → keys, as the spec's reader knows them."""
    source = (ROOT / "src/plan/spec.c").read_text() + (ROOT / "src/plan/spec_log.c").read_text()
    known = {"read_all": "The job", "read_input": "input", "read_every": "input.every", "read_shuffle": "input.shuffle", "read_stage": "A stage", "read_output": "output"}
    found = {}
    for function, body in re.findall(r"^static ghee_status (\w+)\([^{]*\{(.*?)^\}", source, re.M | re.S):
        for keys in re.findall(r"known\[\] = \{(.*?)NULL\}", body, re.S):
            found[known[function]] = set(re.findall(r'"(\w+)"', keys))
    return found


def test_every_key_is_described():
    assert {section: set(keys) for section, keys in described().items()} == accepted()


def test_the_defaults_are_those(tmp_path):
    """A description that says every default of the page means the same as one that says none."""
    pages, given = described(), {}
    for section, keys in pages.items():
        literal = {k: re.fullmatch(r"`([^`]+)`", default.strip()) for k, default in keys.items()}
        given[section] = {k: json.loads(m[1]) if re.match(r'["\d{]|true|false', m[1]) and not m[1].endswith("iB") else m[1] for k, m in literal.items() if m}
    job, stage = given["The job"], given["A stage"]
    short = {"input": {"uri": "in"}, "predict": {"run": "m:f"}, "output": {"uri": "out"}}
    long = {**job, "input": {**given["input"], "uri": "in"}, "predict": {**stage, "run": "m:f"}, "output": {**given["output"], "uri": "out"}}
    assert len(job) >= 4 and len(stage) >= 6 and len(given["input"]) >= 4 and len(given["output"]) >= 3
    assert canonical(long, tmp_path) == canonical(short, tmp_path)
    short["input"]["shuffle"], long["input"]["shuffle"] = True, given["input.shuffle"]
    assert canonical(long, tmp_path) == canonical(short, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_descriptions_are_right(page, tmp_path):
    for text in blocks(page.relative_to(ROOT), "yaml"):
        done = program("check", "-", input=text, cwd=tmp_path)
        assert done.returncode == 0, done.stderr + text


# ---- docs/architecture.md, docs/errors.md ----

def test_layers_are_those_of_the_build():
    build = {}
    for layer, rest in re.findall(r"^ghee_layer\((\S+)(.*)\)$", (ROOT / "CMakeLists.txt").read_text(), re.M):
        deps = re.search(r"DEPS ([^)]*?)(?: LIBS|$)", rest)
        build[layer] = deps[1].split() if deps else []
    section = (ROOT / "docs/architecture.md").read_text().partition("## Layers")[2].partition("\n## ")[0]
    page = {layer: deps.split() for layer, deps in re.findall(r"^\| ([a-z/]+) \| [^|]+ \| ([a-z/ ]*)\|$", section, re.M) if layer != "layer"}
    assert page == build


def test_every_status_is_explained():
    header = (ROOT / "include/ghee/status.h").read_text()
    codes = {(int(n), name.lower()) for name, n in re.findall(r"^  GHEE_(\w+) = (\d+)\b", header, re.M)}
    page = re.findall(r"^\| (\d+) \| ([a-z_]+) \| (\w*)", (ROOT / "docs/errors.md").read_text(), re.M)
    assert {(int(n), name) for n, name, _ in page} == codes
    assert {int(n): error for n, _, error in page if int(n) not in (0, 130)} == \
        {n: BY_STATUS.get(n, InternalError).__name__ for n, _ in codes if n not in (0, 130)}


def test_versions_agree():
    assert program("--version").stdout.strip() == f"ghee {ghee.__version__}"


# ---- docs/protocol.md, docs/python.md ----

def test_every_message_is_described():
    body = re.search(r"typedef enum ghee_say \{(.*?)\} ghee_say;", (ROOT / "src/runtime/job/protocol.h").read_text(), re.S)[1]
    page = re.findall(r"^\| ([A-Z_]+(?:, [A-Z_]+)*) \|", (ROOT / "docs/protocol.md").read_text(), re.M)
    assert sorted(name for row in page for name in row.split(", ")) == sorted(re.findall(r"GHEE_SAY_(\w+)", body))


def test_every_field_of_the_package_is_described():
    page = dict(re.findall(r"^\| `(\w+)` \| `([a-z_, ]+)`", (ROOT / "docs/python.md").read_text(), re.M))
    for kind in (ghee.Input, ghee.Shuffle, ghee.Stage, ghee.Output):
        assert page[kind.__name__].split(", ") == [f.name for f in dataclasses.fields(kind)]
    call = blocks("docs/python.md", "python")[0].partition("LocalTask(")[2]
    signature = inspect.signature(ghee.task.LocalTask.__init__).parameters
    assert re.findall(r"(\w+)(?:=None)?[,)]", call) == [name for name in signature if name != "self"]
