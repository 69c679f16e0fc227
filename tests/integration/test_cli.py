# SPDX-License-Identifier: Apache-2.0
"""The `ghee` program as its user meets it: help, words, JSON, exit codes, progress on terminals and elsewhere."""
import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios

import pytest

from conftest import jobs, left_over, open_gate, program

COMMANDS = ["run", "check", "explain", "status", "logs", "resume", "cancel", "verify"]


def run_on_terminal(columns, cwd, **env):
    """Everything that a gated job writes to a terminal so wide, and its exit code. The gate opens once all stages were shown."""
    os.mkfifo(cwd / "gate")
    gate_is_shut = True
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "GHEE_PYTHON": sys.executable, **env}
    process = subprocess.Popen([program(), "run", "job.yaml"], cwd=cwd, stdin=secondary, stdout=secondary, stderr=secondary, env=environment)
    os.close(secondary)
    shown = b""
    while True:
        try:
            part = os.read(primary, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
        if gate_is_shut and b"predict" in shown:
            open_gate(cwd)
            gate_is_shut = False
    os.close(primary)
    return shown.decode(), process.wait()


def test_help_has_examples(ghee_cli):
    help_of_all = ghee_cli("--help")
    assert help_of_all.returncode == 0 and "exit codes" in help_of_all.stdout
    for command in COMMANDS:
        assert f"  {command} " in help_of_all.stdout
        shown = ghee_cli(command, "--help")
        assert shown.returncode == 0 and f"  ghee {command}" in shown.stdout and "examples:" in shown.stdout


@pytest.mark.parametrize("arguments, words", [([], "usage"), (["frob"], "no command frob"), (["run"], "missing"), (["run", "--limt", "3", "x"], "--limt"),
                                              (["run", "--limit", "many", "x"], "whole number"), (["run", "a", "b"], "too many"),
                                              (["status", "--json=yes"], "no value"), (["logs", "--lines"], "lacks a value")])
def test_command_lines_that_make_no_sense(ghee_cli, arguments, words):
    done = ghee_cli(*arguments)
    assert done.returncode == 2 and words in done.stderr and not done.stdout


def test_life_of_a_job(ghee_cli, describe, ids, tmp_path, own_state):
    ids(1_000)
    describe(name="ratings", preprocess={"run": "f:loud", "workers": 2})
    assert ghee_cli("check", "job.yaml").stdout == "job.yaml is right\n"
    assert json.loads(ghee_cli("check", "--json", "job.yaml").stdout)["name"] == "ratings"
    assert "preprocess" in ghee_cli("explain", "job.yaml").stdout
    assert json.loads(ghee_cli("explain", "--json", "job.yaml").stdout)
    done = ghee_cli("run", "--json", "job.yaml")
    result = json.loads(done.stdout)
    assert done.returncode == 0 and result["rows_in"] == result["rows_out"] == 1_000 and result["name"] == "ratings"
    assert "\x1b" not in done.stderr and "done" in done.stderr
    assert re.search(r"^ratings +done +100 % +1000 +file:", ghee_cli("status").stdout, re.M)
    assert json.loads(ghee_cli("status", "--json").stdout)[0]["state"] == "done"
    one = ghee_cli("status", "ratings").stdout
    assert "state     done" in one and "1,000 rows" in one
    assert json.loads(ghee_cli("status", "--json", "ratings").stdout)["progress"]["rows_out"] == 1_000
    assert "preprocess-0: hello from" in ghee_cli("logs", "ratings").stdout + ghee_cli("logs", "--stage", "preprocess", "ratings").stdout
    assert "is whole" in ghee_cli("verify", "out").stdout
    assert json.loads(ghee_cli("verify", "--json", "out").stdout)["rows"] == 1_000
    (part,) = (tmp_path / "out").glob("part-0*.parquet") if len(list((tmp_path / "out").glob("*.parquet"))) == 1 else list((tmp_path / "out").glob("*.parquet"))[:1]
    part.write_bytes(part.read_bytes()[:-10])
    broken = ghee_cli("verify", "out")
    assert broken.returncode == 6 and part.name in broken.stderr
    assert ghee_cli("cancel", "ratings").stdout == "ratings is canceled\n"
    assert jobs(own_state) == [] and "no jobs" in ghee_cli("status").stdout


@pytest.mark.parametrize("command", ["status", "logs", "resume", "cancel"])
def test_a_job_that_is_not_there(ghee_cli, command):
    done = ghee_cli(command, "nobody")
    assert done.returncode == 4 and "there is no job nobody" in done.stderr and "ghee status" in done.stderr


@pytest.mark.parametrize("uri, words", [("gs://b/c", ["no storage for gs:", "file:, s3:, hdfs:", "kafka://"]), ("kafka://h:1/t", ["it is a topic"])])
def test_storages_that_are_none(ghee_cli, uri, words):
    done = ghee_cli("verify", uri)
    assert done.returncode == 18 and all(w in done.stderr for w in words)


def test_a_failed_job_stays_until_it_is_resumed_or_canceled(ghee_cli, describe, ids, tmp_path, own_state):
    ids(1_000)
    describe(name="bad", preprocess={"run": "f:raises"})
    failed = ghee_cli("run", "--quiet", "job.yaml")
    assert failed.returncode == 13 and "negative rating -3" in failed.stderr.splitlines()[0]
    assert "f.py" in failed.stderr and re.search(r"rows 0 to \d+ of file:.*part-0.parquet", failed.stderr)
    state = json.loads(ghee_cli("status", "--json", "bad").stdout)
    assert state["state"] == "failed" and state["status"] == "user" and "negative rating" in state["message"]
    for there in (False, True):  # an output, which may be what the job has published so far
        if there:
            ids(10, name="out")
        again = ghee_cli("run", "--quiet", "job.yaml")
        assert again.returncode == 8 and "ghee resume bad" in again.stderr and "ghee cancel bad" in again.stderr
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "f.py").write_text("def raises(b): return b\n")
    assert ghee_cli("resume", "--quiet", "bad").returncode == 0
    assert "is whole" in ghee_cli("verify", "out").stdout


def test_the_description_from_standard_input(ghee_cli, describe, ids):
    ids(100)
    assert ghee_cli("run", "--quiet", "--limit", "10", "-", input=describe().read_text()).returncode == 0


@pytest.mark.parametrize("columns", [30, 80, 200])
def test_live_lines_never_wrap(describe, ids, tmp_path, columns):
    ids(1_000)
    describe(predict={"run": "f:gated"})
    shown, code = run_on_terminal(columns, tmp_path, TERM="xterm-256color")
    assert code == 0
    live, _, result = shown.rpartition("\x1b[J")
    drawn = [re.sub("\x1b\\[[0-9;]*[A-Za-z]", "", line) for line in re.split("[\r\n]+", live)]
    assert any("preprocess x2" in line for line in drawn) and max(map(len, drawn)) < columns
    ups, lines = sum(map(int, re.findall("\x1b\\[(\\d+)A", shown))), live.count("\x1b[K")
    assert ups == lines  # every line that was drawn was taken back: nothing but the result stays
    assert "1000 rows in, 1000 rows out" in result


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colors_only_where_they_are_wanted(describe, ids, tmp_path, no_color):
    ids(1_000)
    describe(predict={"run": "f:gated"})
    shown, code = run_on_terminal(80, tmp_path, TERM="xterm", NO_COLOR=no_color)
    assert code == 0 and ("\x1b[2m" in shown) == (no_color == "")


def test_a_dumb_terminal_gets_plain_lines(describe, ids, tmp_path):
    ids(1_000)
    describe(predict={"run": "f:gated"})
    shown, code = run_on_terminal(80, tmp_path, TERM="dumb")
    assert code == 0 and "\x1b" not in shown and "done" in shown and "busy/starved/blocked %: preprocess" in shown


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("python, words", [("/no/such/python", "no program /no/such/python"), ("/bin/false", "code 1"), ("{strange}", "No module named 'ghee'")])
def test_a_python_without_ghee_is_told_the_remedy(ghee_cli, describe, ids, tmp_path, workers, python, words):
    strange = tmp_path / "strange"
    strange.write_text(f"#!/bin/sh\nexec {sys.executable} -I -S \"$@\"\n")
    strange.chmod(0o755)
    ids(100)
    describe(preprocess={"run": "f:same", "workers": workers})
    done = ghee_cli("run", "--quiet", "job.yaml", env={"GHEE_PYTHON": python.format(strange=strange)})
    assert done.returncode != 0 and words in done.stderr and "set GHEE_PYTHON" in done.stderr.splitlines()[0]


def test_quiet_is_quiet(ghee_cli, describe, ids, tmp_path):
    ids(100)
    describe()
    done = ghee_cli("run", "--quiet", "job.yaml")
    assert done.returncode == 0 and done.stderr == ""
    assert left_over(tmp_path) == ["out"]
