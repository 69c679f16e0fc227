# SPDX-License-Identifier: Apache-2.0
"""Figures: our value, the best peer's, the aim and whether it holds; and how each is found in the lines of the peers' harness."""
import dataclasses
import statistics
from typing import Optional


@dataclasses.dataclass
class Figure:
    bench: str
    case: str
    value: Optional[float]           # None: the run failed
    unit: str
    peer: Optional[str] = None
    peer_value: Optional[float] = None
    aim: Optional[str] = None        # "<= 800", ">= 0.9", "== 0"
    load: float = 0.0                # of the machine when the measuring began

    @property
    def ratio(self):
        return self.value / self.peer_value if self.value is not None and self.peer_value else None

    @property
    def holds(self):
        if self.aim is None:
            return None
        how, than = self.aim.split()
        if self.value is None:
            return False
        return {"<=": self.value <= float(than), ">=": self.value >= float(than), "==": self.value == float(than)}[how]

    def line(self):
        return {**dataclasses.asdict(self), "ratio": self.ratio, "holds": self.holds}


def table(figures):
    """As text, one block a benchmark."""
    head = ["", "ours", "", "peer", "", "ratio", "aim", "holds"]
    number = lambda v: "-" if v is None else f"{v:.4g}"
    text = []
    for bench in dict.fromkeys(f.bench for f in figures):
        rows = [head] + [[f.case, number(f.value), f.unit, number(f.peer_value), f.peer or "", number(f.ratio), f.aim or "",
                          {None: "", True: "yes", False: "NO"}[f.holds]] for f in figures if f.bench == bench]
        widths = [max(len(r[k]) for r in rows) for k in range(len(head))]
        text += [bench, *("  " + "  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip() for r in rows), ""]
    return "\n".join(text)


class Lines:
    """Medians over the harness's lines. A run that failed has an error and no numbers."""

    def __init__(self, bench, lines):
        self.bench, self.lines = bench, lines

    def cases(self, key):
        return list(dict.fromkeys(x["params"][key] for x in self.lines if key in x["params"]))

    def all(self, peer, **params):
        return [x for x in self.lines if x["peer"] == peer and params.items() <= x["params"].items()]

    def of(self, peer, key, **params):
        value = key if callable(key) else lambda x: x.get(key)
        values = [v for v in map(value, self.all(peer, **params)) if v is not None]
        return statistics.median(values) if values else None

    def figure(self, case, key, unit, aim=None, better=min, theirs=True, **params):
        """Ours beside the best peer's; `single`, the yardstick, is no peer."""
        peers = dict.fromkeys(x["peer"] for x in self.lines if x["peer"] not in ("ghee", "single"))
        found = {p: v for p in peers if theirs and (v := self.of(p, key, **params)) is not None}
        best = better(found, key=found.get) if found else None
        return Figure(self.bench, case, self.of("ghee", key, **params), unit, best, found.get(best), aim)


def at_most(value):
    return None if value is None else f"<= {value:.4g}"


def at_least(value):
    return f">= {value:.4g}"


def _alone(single):
    """Seconds that the trainer alone needs with its imports: the one plain process without the waiting for its input."""
    if "idle_share" not in single:
        return None
    first = single["time_to_first_batch_s"]
    return first + (single["seconds"] - first) * (1 - single["idle_share"])


def times(factor, value):
    return None if value is None else factor * value


def _after_imports(line):
    return line["time_to_first_batch_s"] - line["imported_s"] if "imported_s" in line else None


def train_job(lines):
    for ms in lines.cases("ms"):
        say = lambda what, key, unit, aim=None, **more: lines.figure(f"train, {ms} ms: {what}", key, unit, aim, ms=ms, **more)
        yield say("wall", "seconds", "s", at_most(times(1.05, lines.of("single", _alone, ms=ms))))
        yield say("CPU of all processes", "cpu_seconds", "s", at_most(times(1.15, lines.of("single", "cpu_seconds", ms=ms))))
        yield say("peak memory of all processes", "peak_rss_MB", "MB", at_most(800))
        yield say("first batch, imports included", "time_to_first_batch_s", "s")
        yield say("first batch after the imports", _after_imports, "s", at_most(1), theirs=False)
        yield say("the trainer waits", "idle_share", "share", at_most(0.02))
        yield say("each row once", lambda x: float(x.get("ok", False)), "share of runs", "== 1", better=max)


def predict_job(lines):
    stage = 9.5 / 13.0  # what predict alone takes of the time of the one plain process
    for ms in lines.cases("ms"):
        say = lambda what, key, unit, aim=None, **more: lines.figure(f"predict, {ms} ms: {what}", key, unit, aim, ms=ms, **more)
        yield say("wall", "seconds", "s", at_most(times(1.05 * stage, lines.of("single", "seconds", ms=0))))
        yield say("CPU of all processes", "cpu_seconds", "s", at_most(times(1.15, lines.of("single", "cpu_seconds", ms=ms))))
        yield say("peak memory of all processes", "peak_rss_MB", "MB", at_most(800))
        yield say("first batch, imports included", "time_to_first_batch_s", "s")
        yield say("each row once", lambda x: float(x.get("ok", False)), "share of runs", "== 1", better=max)


def start(lines):
    for n in lines.cases("workers"):
        say = lambda what, key, aim=None, **more: lines.figure(f"{n} workers: {what}", key, "s", aim, workers=n, **more)
        yield say("first batch, imports included", "time_to_first_batch_s")
        yield say("first batch after the imports", _after_imports, at_most(0.5), theirs=False)
        yield say("last batch to exit", "exit_s", at_most(0.2))


def shuffle(lines):
    yield lines.figure("unshuffled", "GB_per_s", "GB/s", better=max)
    for window in ("64MB", "256MB"):
        yield lines.figure(f"window of {window}: rate over unshuffled", f"ratio_{window}", "share", ">= 0.9", max)


def memory(lines):
    caps = lines.cases("cap")
    for cap in caps:
        yield lines.figure(f"cap {cap} GB: time over ideal", lambda x: x["times_ideal"] if x.get("ok") else None, "x",
                           at_most(1.1) if cap == min(caps) else None, cap=cap)
        yield lines.figure(f"cap {cap} GB: runs that failed or lost a process", lambda x: float(not x.get("ok") or x["oom_kills"] > 0), "share of runs",
                           "== 0", cap=cap)


def _wrong(line):
    return line["lost"] + line["duplicated"] if "lost" in line else None


def truth(lines):
    yield lines.figure("3 consumers: rows lost or doubled", _wrong, "rows", "== 0")
    yield lines.figure("3 consumers: rate", "rows_per_s", "rows/s", better=max)


def faults(lines):
    yield lines.figure("one of 4 workers killed: rows lost or doubled", _wrong, "rows", "== 0")
    yield lines.figure("one of 4 workers killed: the job ended", lambda x: float(x.get("ended", False)), "share of runs", "== 1", better=max)
    yield lines.figure("one of 4 workers killed: time lost", "seconds_lost", "s")
