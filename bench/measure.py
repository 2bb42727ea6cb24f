"""What a case of bench/cases measures with: figures, faults and goals of one run, and what processes cost.

A figure is what one subject (poolbridge, a peer, the limit) needed in one bench; its value is the median of several
runs. A goal compares a figure with a number, or with another subject's figure of the same run, since ratios count.
"""

import json
import os
import statistics
import sys
import time

FAULTS = ("lost", "errors", "doubled", "disorder")


class Figure:
    def __init__(self, case, bench, subject, values, unit, per, more):
        self.case, self.bench, self.subject, self.unit, self.per, self.more = case, bench, subject, unit, per, more
        self.value, self.low, self.high = (rounded(f(values)) for f in (statistics.median, min, max))
        self.runs = len(values)

    def line(self):
        return {"bench": self.bench, "subject": self.subject, "value": self.value, "unit": self.unit, "per": self.per,
                "low": self.low, "high": self.high, "runs": self.runs, **self.more}


class Goal:
    """value is None where a figure was not taken, a peer's that is not installed for example."""

    def __init__(self, case, text, value, bound, is_upper, is_ratio):
        self.case, self.text, self.value, self.bound = case, text, value, bound
        self.is_upper, self.is_ratio = is_upper, is_ratio

    def is_met(self):
        return self.value is not None and (self.value <= self.bound if self.is_upper else self.value >= self.bound)

    def verdict(self):
        return "not measured" if self.value is None else "met" if self.is_met() else "not met"


class Session:
    """
    quick: few runs of small counts, for a look; runs: how often each figure is taken; build: the build folder;
    subjects: those that are wanted, None for all.
    """

    def __init__(self, quick, runs, build, subjects=None):
        self.quick, self.runs, self.build, self._subjects = quick, runs, build, subjects
        self.case = None
        self.figures, self.goals, self.charts, self.notes, self.faulty = {}, [], {}, [], []

    def program(self, *path):
        """Of the build folder: session.program("bench", "peer")."""
        return os.path.join(self.build, *path)

    def wants(self, subject):
        return self._subjects is None or subject.lower() in self._subjects

    def alternate(self, trials):
        """
        {subject: [result, ...]} of {subject: function}. One after the other, and again: A B C A B C, so that what else
        the machine does falls on all alike.
        """
        results = {subject: [] for subject in trials}
        for _ in range(self.runs):
            for subject, trial in trials.items():
                results[subject].append(trial())
        return results

    def figure(self, bench, subject, values, unit, per, **more):
        """values: one of each run."""
        figure = Figure(self.case, bench, subject, list(values), unit, per, more)
        self.figures[bench, subject] = figure
        say(figure.line())
        return figure

    def faults(self, bench, subject, lost=0, errors=0, doubled=0, disorder=0):
        """Messages of all runs that went wrong; any makes the whole run fail."""
        counts = dict(zip(FAULTS, (lost, errors, doubled, disorder)))
        if any(counts.values()):
            self.faulty.append((bench, subject, counts))
            say({"bench": bench, "subject": subject, **counts})

    def goal(self, text, bench, subject, at_most=None, at_least=None, of=None):
        """of: (bench, subject) of the figure that this one is divided by; without, the figure itself is judged."""
        mine, other = self.figures.get((bench, subject)), self.figures.get(of) if of else None
        value = None
        if mine and not of:
            value = mine.value
        elif mine and other and other.value:
            value = rounded(mine.value / other.value, 3)
        bound = at_least if at_most is None else at_most
        self.goals.append(Goal(self.case, text, value, bound, at_most is not None, of is not None))

    def chart(self, name, text):
        """text: SVG of lab.chart; goes into docs/performance-NAME.svg."""
        self.charts[name] = text

    def note(self, text):
        """What a reader of the figures should know, such as that a peer is not installed."""
        if (self.case, text) not in self.notes:
            self.notes.append((self.case, text))
            say({"note": text})


def say(line):
    print(json.dumps(line), flush=True)


def progress(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def rounded(value, digits=4):
    """To significant digits; whole numbers stay whole."""
    if abs(value) >= 10 ** (digits - 1):
        return round(value)
    return float(f"{value:.{digits}g}")


# --- what processes cost

def children(pid):
    """The processes below a process, and it."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as names:
        return [pid] + [below for name in names.read().split() for below in children(int(name))]


def cpu_us(pids):
    """CPU time that the processes have used so far, with all their threads, in microseconds."""
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids) / 1000


def resident_kib(*pids):
    return sum(_kib(f"/proc/{pid}/status", "VmRSS:") for pid in pids)


def pss_kib(*pids):
    """What is shared counts in parts: the fair sum for a server of many processes."""
    return sum(_kib(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in pids)


def _kib(path, name):
    with open(path, encoding="ascii") as lines:
        return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)
