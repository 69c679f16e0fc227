# SPDX-License-Identifier: Apache-2.0
"""Progress of a job: live lines on a terminal and in Jupyter, plain lines elsewhere when asked for. The words are the C library's."""
import os
import sys


class Silent:
    """Nobody watches: only lines that matter to the user (warnings) go to stderr."""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def progress(self, report, words):
        """A report as a dict, and a function from a number of columns to its words."""

    def line(self, text):
        print(text, file=sys.stderr, flush=True)


class Lines(Silent):
    """A line when the phase changes, and every tenth of the job."""

    def __init__(self):
        self.last = None

    def progress(self, report, words):
        mark = (report["phase"], int(10 * report["fraction"]))
        if mark != self.last:
            self.last = mark
            print(words(0), file=sys.stderr, flush=True)


class Terminal(Silent):
    """Some lines that are drawn over themselves, and go away at the end."""

    def __enter__(self):
        from rich.console import Console
        from rich.live import Live

        self.console = Console(stderr=True)
        self.live = Live(console=self.console, refresh_per_second=5, transient=True)
        self.live.__enter__()
        return self

    def __exit__(self, *exc):
        self.live.__exit__(*exc)

    def progress(self, report, words):
        from rich.text import Text

        first, _, rest = words(max(self.console.width - 1, 20)).partition("\n")
        text = Text(first, no_wrap=True)
        if rest:
            text.append("\n" + rest, style="dim")
        self.live.update(text)

    def line(self, text):
        self.live.console.print(text, markup=False, highlight=False)


class Notebook(Silent):
    """One output that is updated, in Jupyter."""

    def __enter__(self):
        from IPython.display import display

        self.handle = display({"text/plain": "starting"}, raw=True, display_id=True)
        return self

    def progress(self, report, words):
        self.handle.update({"text/plain": words(100)}, raw=True)


class Told(Silent):
    """A function of the caller's gets each report."""

    def __init__(self, function):
        self.function = function

    def progress(self, report, text):
        self.function(report)


def _in_notebook():
    shell = sys.modules.get("IPython")
    shell = shell and shell.get_ipython()
    return shell is not None and shell.__class__.__name__ == "ZMQInteractiveShell"


def of(progress):
    """The display for `run(progress=…)`: None shows it where somebody watches."""
    if progress is False:
        return Silent()
    if callable(progress):
        return Told(progress)
    if _in_notebook():
        return Notebook()
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return Terminal()
    return Lines() if progress or sys.stderr.isatty() else Silent()
