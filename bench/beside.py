# SPDX-License-Identifier: Apache-2.0
"""The peers' harness ($GHEE_PEERS, default ../shared/peers) with our programs among the peers': runs of both, interleaved, as its JSON lines."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PEERS = pathlib.Path(os.environ.get("GHEE_PEERS", HERE.parent.parent / "shared" / "peers")).resolve()
ENVIRONMENTS = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "peers"
VENV = HERE.parent / ".venv"


class Missing(Exception):
    """Something that measuring needs is not here."""


def _overlay(folder):
    """The harness as it is, but for `run`, which learns one more peer: links otherwise."""
    for name in ("common", "gen.py"):
        (folder / name).symlink_to(PEERS / name)
    (folder / "bench").mkdir()
    for program in [*(PEERS / "bench").glob("*.py"), *(HERE / "peers").glob("*.py")]:
        (folder / "bench" / program.name).symlink_to(program)
    source = (PEERS / "run").read_text().rstrip()
    if not source.endswith("\nmain()"):
        raise Missing(f"{PEERS}/run has changed: its last line is not main()")
    ours = sorted(p.name.split("_")[0] for p in (HERE / "peers").glob("b*_ghee.py"))
    known = [f'PLAN["{b}"] = PLAN["{b}"][:4] + ("ghee " + PLAN["{b}"][4],)' for b in ours]
    known += [f'VENV["ghee"] = VENV[""] = {str(VENV)!r}', 'ENV["XDG_STATE_HOME"] = "/tmp/ghee-bench-state"', "import harness", 'harness.DIST["ghee"] = ""']
    (folder / "run").write_text("\n".join([source[:-len("main()")], *known, "main()", ""]))


def _compile():
    """As the peers' environments: no run of ours pays for compiling Python."""
    done = VENV / "compiled"
    if not done.exists() or done.stat().st_mtime < (VENV / "requirements.done").stat().st_mtime:
        subprocess.run([VENV / "bin" / "python", "-m", "compileall", "-q", "-j", "0", VENV / "lib", HERE.parent / "python"], stdout=subprocess.DEVNULL)
        done.touch()


def installed():
    """True where the peers' environments are."""
    return (ENVIRONMENTS / "main" / "bin" / "python").exists()


def data(kind, rows):
    """Folder of a data set of the harness, made if it is not there."""
    _harness()
    subprocess.run([VENV / "bin" / "python", PEERS / "gen.py", kind, str(rows)], check=True, stdout=sys.stderr)
    return ENVIRONMENTS / "data" / f"{kind}-{rows}"


def _harness():
    if not (PEERS / "run").exists():
        raise Missing(f"there is no harness at {PEERS}: set GHEE_PEERS")


def run(bench, peers, *, quick, repeat, settings=()):
    """The lines of one benchmark of the harness; `peers` empty: ours and, where they are installed, all others."""
    _harness()
    peers = peers or ([] if installed() else ["ghee"])
    _compile()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ghee-bench-"))
    try:
        _overlay(folder)
        out = folder / "lines"
        command = [sys.executable, str(folder / "run"), bench, *peers, "--repeat", str(repeat), "--out", str(out), *["--smoke"] * quick]
        command += [word for s in settings for word in ("--set", s)]
        code = subprocess.run(command, stdout=sys.stderr).returncode
        if code or not out.exists():
            raise Missing(f"{bench}: the harness ended with {code}")
        return [json.loads(line) for line in out.read_text().splitlines()]
    finally:
        shutil.rmtree(folder)
