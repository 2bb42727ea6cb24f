"""The short form of tests/ledger, and that its verdict finds what it is there to find."""

import json
import os
import subprocess
import sys

import pytest

from lab.bridge import TOP
from lab.record import Break, Verdict, read

SMALL = ("--rate", "300", "--pairs", "30", "--seed", "1")
RUNS = {
    "plain": ("--seconds", "6"),
    "kill": ("--kill", "3"),
    "legacy-cut": ("--fault", "legacy", "--how", "cut", "--for", "2"),
    "pool-kill": ("--fault", "pool", "--how", "kill", "--for", "2"),
}


@pytest.mark.parametrize("words", RUNS.values(), ids=RUNS.keys())
def test_ledger(words):
    done = subprocess.run([sys.executable, os.path.join(TOP, "tests", "ledger"), *words, *SMALL], capture_output=True,
                          text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["ok"] and verdict["moves"] > 5 and verdict["delivered"] > 500, verdict


# ---- the verdict

GOOD = ["1.0 s 1", "1.1 a 1", "1.05 g 1 legacy", "2.0 s 2", "2.1 a 2", "2.05 g 2 pool"]

# name: (further lines, breaks, defects, in the window)
CASES = {
    "good": ([], [], {}, {}),
    "lost": (["3.0 s 3", "3.1 a 3"], [], {"lost": 1}, {}),
    "lost in a crash all the same": (["3.0 s 3", "3.1 a 3"], [Break(3, 4, True)], {"lost": 1}, {}),
    "answered with an error": (["3.0 s 3", "3.1 e 3"], [], {"refused": 1}, {}),
    "answered with an error while something was away": (["3.0 s 3", "3.1 e 3"], [Break(2, 4, False)], {}, {}),
    "answered with an error soon behind a break": (["9.0 s 3", "9.1 e 3"], [Break(2, 4, False)], {}, {}),
    "answered with an error long behind a break": (["29.0 s 3", "29.1 e 3"], [Break(2, 4, False)], {"refused": 1}, {}),
    "answered with an error before a break": (["3.0 s 3", "3.1 e 3"], [Break(4, 5, True)], {"refused": 1}, {}),
    "taken over, then answered": (["3.0 s 3", "3.1 a 3", "9.0 e 3"], [], {"refused": 1}, {}),
    "answered and delivered": (["3.0 s 3", "3.1 e 3", "3.2 g 3 pool"], [],
                               {"errored_and_delivered": 1, "refused": 1}, {}),
    "answered and delivered by a silent end": (["3.0 s 3", "12.0 e 3", "14.0 g 3 pool"], [Break(3, 13, False)], {},
                                               {"errored_and_delivered": 1}),
    "answered, delivered by a silent end behind the next": (
        ["3.0 s 3", "12.0 e 3", "12.0 s 4", "13.5 a 4", "13.4 g 4 pool", "13.6 g 3 pool"], [Break(3, 13, False)], {},
        {"errored_and_delivered": 1}),
    "doubled": (["3.0 s 3", "3.1 a 3", "3.2 g 3 pool", "3.3 g 3 pool"], [], {"doubled": 1}, {}),
    "doubled over a crash": (["3.0 s 3", "6.1 a 3", "3.2 g 3 pool", "6.0 g 3 pool"], [Break(3.5, 5, True)], {},
                             {"doubled": 1}),
    "doubled long before a crash": (["3.0 s 3", "3.1 a 3", "3.2 g 3 pool", "3.3 g 3 pool"], [Break(9, 10, True)],
                                    {"doubled": 1}, {}),
    "doubled over a crash that came too late to excuse it": (["3.0 s 3", "3.1 a 3", "3.2 g 3 pool", "9.9 g 3 pool"],
                                                             [Break(9, 10, True)], {"doubled": 1}, {}),
    "both sides": (["3.0 s 3", "3.1 a 3", "3.2 g 3 pool", "3.3 g 3 legacy"], [], {"both_sides": 1}, {}),
    "both sides over a broken connection": (["3.0 s 3", "6.1 a 3", "3.2 g 3 pool", "6.0 g 3 legacy"],
                                            [Break(3.5, 5, False)], {"both_sides": 1}, {}),
    "both sides over a crash": (["3.0 s 3", "6.1 a 3", "3.2 g 3 pool", "6.0 g 3 legacy"], [Break(3.5, 5, True)], {},
                                {"doubled": 1}),
    "out of order": (["3.0 s 3", "3.0 s 4", "3.1 a 3", "3.1 a 4", "3.2 g 4 pool", "3.3 g 3 pool"], [], {"disorder": 1}, {}),
    "out of order on two sides": (["3.0 s 3", "3.0 s 4", "3.1 a 3", "3.1 a 4", "3.2 g 4 pool", "3.3 g 3 legacy"], [],
                                  {"disorder": 1}, {}),
    "overtaken in a crash, not acknowledged": (["3.0 s 3", "3.0 s 4", "6.0 a 3", "6.0 a 4", "5.2 g 4 pool", "5.3 g 3 pool"],
                                               [Break(4, 5, True)], {}, {"disorder": 1}),
    "overtaken in a crash, acknowledged": (["3.0 s 3", "3.0 s 4", "3.1 a 3", "6.0 a 4", "5.2 g 4 pool", "5.3 g 3 pool"],
                                           [Break(4, 5, True)], {"disorder": 1}, {}),
    "never answered": (["3.0 s 3"], [], {"open": 1}, {}),
}


@pytest.mark.parametrize("more, breaks, defects, window", CASES.values(), ids=CASES.keys())
def test_verdict(tmp_path, more, breaks, defects, window):
    records = {}
    for line in GOOD + more:
        at, note, number, *end = line.split()
        name = end[0] if end else "partner"
        records.setdefault(name, []).append(f"{round(float(at) * 1e6)} {note} a 0 {number} 1\n")
    for name, lines in records.items():
        records[name] = tmp_path / name
        records[name].write_text("".join(lines), encoding="ascii")
    document = Verdict(read(records), breaks).document()
    kinds = ("lost", "doubled", "both_sides", "disorder", "errored_and_delivered", "open", "refused")
    found = {name: document[name] for name in kinds if document[name]}
    assert (found, {name: count for name, count in document["in_window"].items() if count}) == (defects, window)
    assert document["ok"] == (not defects)


@pytest.mark.parametrize("share, refused", [(0, 2), (0.25, 1), (0.5, 0)])
def test_errors_have_a_ceiling(tmp_path, share, refused):
    """Two of four end in an error."""
    record = tmp_path / "partner"
    record.write_text("".join(f"{number}000000 s d 0 {number} 1\n{number}100000 {note} d 0 {number} 1\n"
                              for number, note in ((1, "e"), (2, "a"), (3, "e"), (4, "a"))), encoding="ascii")
    (tmp_path / "pool").write_text("2050000 g d 0 2 1\n4050000 g d 0 4 1\n", encoding="ascii")
    messages, due = read({"partner": record, "pool": tmp_path / "pool"}), round(4 * share)
    expected = [("d", 0, 1), ("d", 0, 3)][:due]
    for verdict in (Verdict(messages, due=lambda key, message: key in expected),
                    Verdict(messages, [Break(0, 9, False)], broken={"d": share})):
        assert (verdict.errors, verdict.ceilings, len(verdict.refused)) == ({"d": 2}, {"d": due}, refused)
        assert verdict.ok() == (refused == 0)
