# SPDX-License-Identifier: Apache-2.0
"""Jobs against a real S3 server, and what goes wrong there: each failure has its class, names the object and says what to do; nothing of
the job stays behind, in the bucket either."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import ghee
from conftest import ROOT, program, read_ids
from ghee.task import LocalTask
from storages import S3


def same(batch):
    return batch


def job(source, out, **more):
    return LocalTask(ghee.Input(source), preprocess=ghee.Stage(same, workers=2), output=ghee.Output(out, **more))


@pytest.fixture
def place(s3, request):
    """A prefix of the bucket for one test; nothing but its inputs and outputs may lie there in the end."""
    name = request.node.name.replace("[", "-").replace("]", "")
    yield name
    assert not [k for k in s3.names(name) if "/." in "/" + k], s3.names(name)
    assert not s3.uploads()


@pytest.fixture
def source(s3, ids, place):
    """5,000 ids on the server."""
    s3.put(ids(5_000), f"{place}/in")
    return s3.uri(f"{place}/in")


def fetched(s3, name, folder):
    s3.get(name, folder)
    return read_ids(folder)


def test_one_job(s3, place, source, tmp_path):
    out = s3.uri(f"{place}/out")
    result = job(source, out, target_file_size="16KiB").run()
    assert result.progress["rows_out"] == 5_000
    assert np.array_equal(fetched(s3, f"{place}/out", tmp_path / "got"), np.arange(5_000))
    names = s3.names(f"{place}/out")
    assert {"_SUCCESS", "_manifest.json"} < set(names) and len(names) > 3
    done = subprocess.run([program(), "verify", out], capture_output=True, text=True)
    assert done.returncode == 0 and "is whole" in done.stdout
    with pytest.raises(ghee.ExistsError, match="is there already"):
        job(source, out).run()
    job(source, out, mode="append").run()
    assert len(fetched(s3, f"{place}/out", tmp_path / "twice")) == 10_000
    job(source, out, mode="overwrite").run()
    assert np.array_equal(fetched(s3, f"{place}/out", tmp_path / "again"), np.arange(5_000))


def test_large_files_go_up_in_parts(s3, place, tmp_path):
    (tmp_path / "big").mkdir()
    rng = np.random.default_rng(1)
    pq.write_table(pa.table({"id": np.arange(3_000_000), "x": rng.random(3_000_000)}), tmp_path / "big" / "part.parquet")
    s3.put(tmp_path / "big", f"{place}/in")
    job(s3.uri(f"{place}/in"), s3.uri(f"{place}/out")).run()
    assert np.array_equal(fetched(s3, f"{place}/out", tmp_path / "got"), np.arange(3_000_000))
    assert max(p.stat().st_size for p in (tmp_path / "got").iterdir()) > 8 << 20


def test_text_is_read_ahead(s3, place, tmp_path):
    (tmp_path / "in").mkdir()
    rows = np.arange(400_000)
    pyarrow.csv.write_csv(pa.table({"id": rows, "x": rows / 2}), tmp_path / "in" / "all.csv")
    s3.put(tmp_path / "in", f"{place}/in")
    job(s3.uri(f"{place}/in"), tmp_path / "out").run()
    assert np.array_equal(read_ids(tmp_path / "out"), rows)


WRONG = [({"AWS_SECRET_ACCESS_KEY": "wrong"}, ghee.DeniedError, "AWS_SECRET_ACCESS_KEY"), ({"AWS_ACCESS_KEY_ID": "nobody"}, ghee.DeniedError, "AWS_ACCESS_KEY_ID"),
         ({"AWS_ACCESS_KEY_ID": ""}, ghee.DeniedError, "AWS_SECRET_ACCESS_KEY"), ({"AWS_PROFILE": "none"}, ghee.NotFoundError, "no profile"),
         ({"AWS_ENDPOINT_URL": "http://no-such-host.invalid"}, ghee.SystemIOError, "no-such-host.invalid"), ({"AWS_ENDPOINT_URL": "nothing"}, ghee.InvalidError, "http")]


@pytest.mark.parametrize("wrong, error, words", WRONG, ids=["secret", "key", "half", "profile", "host", "endpoint"])
def test_settings_that_are_wrong(s3, place, source, tmp_path, monkeypatch, wrong, error, words):
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(error, match=words):
        job(source, tmp_path / "out").run()
    with pytest.raises(error, match=words):  # known before any work is done
        job(tmp_path / "ids", s3.uri(f"{place}/out")).run()
    assert not (tmp_path / "out").exists()
    for name in wrong:
        monkeypatch.setenv(name, s3.env.get(name, "default"))


IN, OUT = {"input": {"uri": "s3://test/PLACE/in"}}, {"output": {"uri": "s3://test/PLACE/out"}}


@pytest.mark.parametrize("code, words, parts, env", [
    (5, "SignatureDoesNotMatch.*look at AWS_SECRET_ACCESS_KEY", IN, {"AWS_SECRET_ACCESS_KEY": "wrong"}),
    (5, "SignatureDoesNotMatch.*look at AWS_SECRET_ACCESS_KEY", OUT, {"AWS_SECRET_ACCESS_KEY": "wrong"}),
    (5, "AccessDenied.*ask whoever owns the bucket", {"input": {"uri": "s3://test;anonymous/PLACE/in"}}, {}),
    (4, "s3://no-such-bucket/in.*NoSuchBucket.*name of the bucket", {"input": {"uri": "s3://no-such-bucket/in"}}, {}),
    (4, "s3://no-such-bucket/out.*NoSuchBucket.*name of the bucket", {"output": {"uri": "s3://no-such-bucket/out"}}, {}),
    (4, "nothing at s3://test/PLACE/none .the job's input", {"input": {"uri": "s3://test/PLACE/none"}}, {}),
    (4, "no profile", IN, {"AWS_PROFILE": "none"}),
    (9, "PLACE/in.*Could not resolve.*4 tries; is the name of the host right", IN, {"AWS_ENDPOINT_URL": "http://no-such-host.invalid"}),
    (3, "PLACE/in.*/no/ca.pem.*has to be a PEM file", {"input": {"uri": "s3://test;ca=%2Fno%2Fca.pem/PLACE/in"}}, {"AWS_ENDPOINT_URL": "https://SERVER"}),
    (3, "stile.*there are endpoint", {"input": {"uri": "s3://test;stile=path/PLACE/in"}}, {}),
    (3, "has no option stile; there are endpoint", {"input": {"uri": "s3://test/PLACE/in", "options": {"stile": "path"}}}, {}),
    (3, "has no option key; there are endpoint", {"output": {"uri": "s3://test/PLACE/out", "options": {"key": "x"}}}, {}),
    (3, "/no/ca.pem.*has to be a PEM file", {"input": {"uri": "s3://test/PLACE/in", "options": {"ca": "/no/ca.pem"}}}, {"AWS_ENDPOINT_URL": "https://SERVER"})],
    ids=["secret in", "secret out", "listing", "bucket in", "bucket out", "prefix", "profile", "host", "authority", "option", "option in", "option out", "options"])
def test_what_the_program_says(s3, place, source, refused, code, words, parts, env):
    parts = json.loads(json.dumps(parts).replace("PLACE", place))
    env = {name: value.replace("SERVER", s3.env["AWS_ENDPOINT_URL"].partition("//")[2]) for name, value in env.items()}
    refused(code, words.replace("PLACE", place), options={"env": env}, **parts)
    assert not s3.names(f"{place}/out")


def test_a_bucket_that_is_a_host(s3, place, source, tmp_path, monkeypatch):
    """Virtual-host style; and with the wrong region, which the server puts right."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.env["AWS_ENDPOINT_URL"].replace("127.0.0.1", "localhost"))
    monkeypatch.setenv("AWS_REGION", "eu-nowhere-1")
    job(source.replace("s3://test/", "s3://test;style=virtual/"), s3.uri(f"{place}/out").replace("s3://test/", "s3://test;style=virtual/")).run()
    assert np.array_equal(fetched(s3, f"{place}/out", tmp_path / "got"), np.arange(5_000))


def test_what_is_not_there(s3, place, source, tmp_path):
    for uri in (s3.uri(f"{place}/none"), "s3://no-such-bucket/in"):
        with pytest.raises(ghee.NotFoundError, match=uri.split("/")[2]):
            job(uri, tmp_path / "out").run()
    with pytest.raises(ghee.NotFoundError, match="NoSuchBucket"):
        job(source, "s3://no-such-bucket/out").run()


def test_listing_denied(s3, place, source, tmp_path):
    with pytest.raises(ghee.DeniedError, match="AccessDenied|403"):
        job(source.replace("s3://test/", "s3://test;anonymous/"), tmp_path / "out").run()


@pytest.fixture
def user(s3, tmp_path, monkeypatch):
    """user(name, role): makes a user of the server, who is then the one of ~/.aws/credentials."""
    made = []

    def make(name, role):
        s3.admin("create-user", "--access", name, "--secret", name + "-secret", "--role", role)
        made.append(name)
        new = tmp_path / "new"
        new.write_text(f"[default]\naws_access_key_id = {name}\naws_secret_access_key = {name}-secret\n")
        new.rename(tmp_path / "credentials")

    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    yield make
    for name in made:  # no error where it is gone
        s3.admin("delete-user", "--access", name)


def test_a_user_without_rights(s3, place, source, tmp_path, user):
    user("stranger", "user")
    with pytest.raises(ghee.DeniedError, match="AccessDenied.*ask whoever owns the bucket"):
        job(source, tmp_path / "out").run()
    with pytest.raises(ghee.DeniedError, match="AccessDenied.*ask whoever owns the bucket"):
        job(tmp_path / "ids", s3.uri(f"{place}/out")).run()


def test_keys_that_are_renewed_meanwhile(s3, place, source, tmp_path, user):
    """The job goes on with those that are in the profile file when the old ones are refused."""
    user("early", "admin")

    def meanwhile():
        user("late", "admin")
        s3.admin("delete-user", "--access", "early")

    run_meanwhile(tmp_path, waiting_job(source, s3.uri(f"{place}/out"), tmp_path), meanwhile)
    assert np.array_equal(fetched(s3, f"{place}/out", tmp_path / "got"), np.arange(5_000))


def test_a_server_that_stalls(s3, place, source, tmp_path):
    """It answers nothing from one report to the next, and then what it was asked."""
    seen = []

    def stall(progress):
        if len(seen) < 2:
            s3.signal([signal.SIGSTOP, signal.SIGCONT][len(seen)])
            seen.append(progress["rows_out"])

    try:
        job(source, s3.uri(f"{place}/out")).run(progress=stall)
    finally:
        s3.signal(signal.SIGCONT)
    assert len(seen) == 2
    assert np.array_equal(fetched(s3, f"{place}/out", tmp_path / "got"), np.arange(5_000))


def gated(folder):
    """A function that waits, at its first batch, until the test has done what it wants to do meanwhile."""

    def wait(batch):
        ready, go = folder / "ready", folder / "go"
        if not go.exists():
            ready.touch()
            threading.Event().wait(0.05)
            while not go.exists():
                threading.Event().wait(0.01)
        return batch

    return wait


def run_meanwhile(folder, task, meanwhile):
    """Runs the task; once a batch is in its function, does `meanwhile`, then lets it go on."""
    failure = []

    def other():
        while not (folder / "ready").exists():
            threading.Event().wait(0.01)
        try:
            meanwhile()
        except BaseException as e:
            failure.append(e)
        (folder / "go").touch()

    thread = threading.Thread(target=other)
    thread.start()
    try:
        return task.run()
    finally:
        (folder / "ready").touch()
        thread.join()
        assert not failure, failure


def waiting_job(source, out, folder, **more):
    return LocalTask(ghee.Input(source), preprocess=ghee.Stage(gated(folder), workers=1, buffer="1MiB"), output=ghee.Output(out), **more)


@pytest.mark.parametrize("what", ["replaced", "deleted"])
def test_changed_while_read(s3, place, tmp_path, what):
    """The last of many files, far ahead of what is read before the first batch is through."""
    (tmp_path / "in").mkdir()
    for k in range(40):
        part = np.arange(k * 20_000, (k + 1) * 20_000)
        pq.write_table(pa.table({"id": part, "x": np.random.default_rng(k).random(20_000)}), tmp_path / "in" / f"part-{k:02}.parquet", row_group_size=5_000)
    s3.put(tmp_path / "in", f"{place}/in")
    last = f"/test/{place}/in/part-39.parquet"

    def meanwhile():
        s3.curl(last, *(["-X", "DELETE"] if what == "deleted" else ["-T", str(tmp_path / "in" / "part-00.parquet")]))

    with pytest.raises((ghee.ChangedError, ghee.NotFoundError), match="part-39"):
        run_meanwhile(tmp_path, waiting_job(s3.uri(f"{place}/in"), tmp_path / "out", tmp_path), meanwhile)
    assert not (tmp_path / "out").exists()


def test_server_restarts_meanwhile(s3, place, source, tmp_path):
    def meanwhile():
        s3.kill()
        s3.up()

    run_meanwhile(tmp_path, waiting_job(source, s3.uri(f"{place}/out"), tmp_path), meanwhile)
    assert np.array_equal(fetched(s3, f"{place}/out", tmp_path / "got"), np.arange(5_000))


def test_two_jobs_one_place(s3, place, source, tmp_path):
    """Both have begun when the place was empty; one publishes, the other is told."""
    out, told = s3.uri(f"{place}/out"), []

    def meanwhile():
        job(source, out).run()

    with pytest.raises((ghee.ExistsError, ghee.BusyError)) as told:
        run_meanwhile(tmp_path, waiting_job(source, out, tmp_path), meanwhile)
    assert f"{place}/out" in str(told.value)
    assert np.array_equal(fetched(s3, f"{place}/out", tmp_path / "got"), np.arange(5_000))


def begin_upload(s3, key):
    """An unfinished upload, as a killed worker leaves it; its id."""
    return s3.curl(f"/test/{key}?uploads=", "-X", "POST").partition("<UploadId>")[2].partition("<")[0]


def test_uploads_of_a_killed_job_are_aborted(s3, place, source, own_state):
    """They are gone when its next run has published; those of a job nobody came back for are left alone for a day."""
    out, stranger = s3.uri(f"{place}/out"), f"{place}/.out.ghee-stranger/part-0.parquet"
    done = subprocess.run([sys.executable, "-c", KILLED.format(source=source, out=out)], env={**os.environ, "PYTHONPATH": str(ROOT / "python")}, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    job_id = (own_state / "ghee" / "jobs" / "killed" / "id").read_text().strip()
    begin_upload(s3, f"{place}/.out.ghee-{job_id}/part-9.parquet")
    upload = begin_upload(s3, stranger)
    assert len(s3.uploads()) >= 2
    LocalTask(ghee.Input(source), preprocess=ghee.Stage(same), output=ghee.Output(out), name="killed").resume()
    assert s3.uploads() == [stranger]
    s3.curl(f"/test/{stranger}?uploadId={upload}", "-X", "DELETE")


KILLED = """
import contextlib, os, signal
import ghee
def kill(batch):
    with contextlib.suppress(ProcessLookupError):  # a worker that its dying coordinator still started may live on in the next run
        if "CLIENT" in os.environ:
            os.kill(int(os.environ["CLIENT"]), signal.SIGKILL)
    return batch
os.environ["CLIENT"] = str(os.getpid())
ghee.task.LocalTask(ghee.Input({source!r}), preprocess=ghee.Stage(kill), output=ghee.Output({out!r}), name="killed").run()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="needs root for a file system of its own")
def test_disk_of_the_server_is_full(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"id": np.arange(1_500_000), "x": np.random.default_rng(1).random(1_500_000)}), tmp_path / "in" / "part.parquet")
    at = S3()
    data = pathlib.Path(at.folder, "data")
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", data], check=True)
    try:
        with at:
            for name, value in at.env.items():
                monkeypatch.setenv(name, value)
            with pytest.raises(ghee.NoSpaceError, match="make room"):
                job(tmp_path / "in", at.uri("out")).run()
            assert at.names("out") == at.left("out") == []
            subprocess.run(["umount", "-l", data], check=True)
    finally:
        subprocess.run(["umount", "-l", data], capture_output=True)


def test_options_of_the_description(s3, place, source, tmp_path, monkeypatch):
    """They are taken as those of a URI are, go before the environment, and count for dead letters too."""
    def some(batch, ctx):
        for row in range(0, len(batch["id"]), 2):
            ctx.reject(row, "even")
        return {name: column[1::2] for name, column in batch.items()}

    options = {"endpoint": "${PLACE_OF_S3}", "style": "path", "anonymous": False}
    monkeypatch.setenv("PLACE_OF_S3", s3.env["AWS_ENDPOINT_URL"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://no-such-host.invalid")
    LocalTask(ghee.Input(source, options=options), preprocess=ghee.Stage(some, workers=2), output=ghee.Output(s3.uri(f"{place}/out"), options=options),
              on_reject="divert", dead_letter=s3.uri(f"{place}/dead")).run()
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.env["AWS_ENDPOINT_URL"])
    assert len(fetched(s3, f"{place}/out", tmp_path / "got")) == 2_500
    s3.get(f"{place}/dead", tmp_path / "dead")
    assert sum(len(f.read_text().splitlines()) for f in (tmp_path / "dead").glob("*.jsonl")) == 2_500


def test_own_authority(s3_server, ids, tmp_path, monkeypatch):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", "/CN=ghee", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    with S3(cert=(cert, key)) as at:
        for name, value in at.env.items():
            monkeypatch.setenv(name, value)
        assert at.env["AWS_ENDPOINT_URL"].startswith("https:")
        with pytest.raises(ghee.DeniedError, match="certificate"):
            job(ids(1_000), at.uri("out")).run()
        monkeypatch.setenv("AWS_CA_BUNDLE", str(cert))
        job(tmp_path / "ids", at.uri("out")).run()
        monkeypatch.delenv("AWS_CA_BUNDLE")
        LocalTask(ghee.Input(at.uri("out"), options={"ca": str(cert)}), preprocess=same, output=tmp_path / "back").run()
    assert np.array_equal(read_ids(tmp_path / "back"), np.arange(1_000))


def test_a_server_that_is_away_is_talked_of(ghee_cli, describe):
    """What is tried again and again is said while it is, but for --quiet."""
    describe(input={"uri": "s3://test/in", "options": {"endpoint": "http://127.0.0.1:1", "anonymous": True}})
    loud, quiet = ghee_cli("run", "job.yaml"), ghee_cli("run", "--quiet", "job.yaml")
    assert loud.returncode == quiet.returncode == 9
    assert re.search("ghee: HEAD 127.0.0.1:1/test/in failed: .*; still trying\n", loud.stderr)
    assert "still trying" not in quiet.stderr and quiet.stderr.count("\n") == 1
