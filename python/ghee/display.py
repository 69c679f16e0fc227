# SPDX-License-Identifier: Apache-2.0
"""Progress of a job: a live line on a terminal and in Jupyter, plain lines elsewhere when asked for."""
import sys


def _count(n):
    return f"{n:,}"


def _time(seconds):
    seconds = int(seconds)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}" if seconds >= 3600 else f"{seconds // 60}:{seconds % 60:02}"


def summary(p):
    """One line for a progress report."""
    parts = [p["phase"]]
    if p["rows_total"] > 0:
        parts.append(f"{100 * p['fraction']:.0f} %")
    parts.append(f"{_count(p['rows_in'])} rows")
    if p["rows_per_second"] > 0:
        parts.append(f"{_count(int(p['rows_per_second']))} rows/s")
    if p["epochs"] > 1:
        parts.append(f"epoch {p['epoch'] + 1} of {p['epochs']}")
    parts.append(_time(p["seconds"]))
    if p["left_seconds"] >= 0 and p["phase"] == "running":
        parts.append(f"{_time(p['left_seconds'])} left")
    stages = ", ".join(f"{s['name']} {100 * s['busy']:.0f}/{100 * s['starved']:.0f}/{100 * s['blocked']:.0f}" for s in p["stages"])
    if stages and p["phase"] == "running":
        parts.append(f"busy/starved/blocked %: {stages}")
    return "  ".join(parts)


class Silent:
    """Nobody watches: only lines that matter to the user (warnings) go to stderr."""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def progress(self, p):
        pass

    def line(self, text):
        print(text, file=sys.stderr, flush=True)


class Lines(Silent):
    """A line when the phase changes, and every tenth of the job."""

    def __init__(self):
        self.last = None

    def progress(self, p):
        mark = (p["phase"], int(10 * p["fraction"]))
        if mark != self.last:
            self.last = mark
            print(summary(p), file=sys.stderr, flush=True)


class Terminal(Silent):
    """One line that is rewritten, and the verdict under it."""

    def __enter__(self):
        from rich.console import Console
        from rich.live import Live

        self.console = Console(stderr=True)
        self.live = Live(console=self.console, refresh_per_second=5, transient=False)
        self.live.__enter__()
        return self

    def __exit__(self, *exc):
        self.live.__exit__(*exc)

    def progress(self, p):
        from rich.text import Text

        text = Text(summary(p))
        if p["verdict"]:
            text.append("\n" + p["verdict"], style="dim")
        self.live.update(text)

    def line(self, text):
        self.live.console.print(text, markup=False, highlight=False)


class Notebook(Silent):
    """One output that is updated, in Jupyter."""

    def __enter__(self):
        from IPython.display import display

        self.handle = display({"text/plain": "starting"}, raw=True, display_id=True)
        return self

    def progress(self, p):
        text = summary(p) + ("\n" + p["verdict"] if p["verdict"] else "")
        self.handle.update({"text/plain": text}, raw=True)


def _in_notebook():
    shell = sys.modules.get("IPython")
    shell = shell and shell.get_ipython()
    return shell is not None and shell.__class__.__name__ == "ZMQInteractiveShell"


def of(progress):
    """The display for `run(progress=…)`: None shows it where somebody watches."""
    if progress is False:
        return Silent()
    if _in_notebook():
        return Notebook()
    if sys.stderr.isatty():
        return Terminal()
    return Lines() if progress else Silent()
