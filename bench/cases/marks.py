"""Marks: 100,000 users at once, how soon the daemon routes by them, and what messages of others notice of it."""

import os
import random
import sqlite3
import subprocess
import threading
import time

from bench import registries, watching
from lab import Lab

SETTINGS = {"log_level": "warning"}
PAIRS, RATE = 1000, 2000  # users who are written to all the time, and messages a second


def run(session):
    users, wave = (100000, 20000) if session.quick else (1000000, 100000)
    results = []
    for _ in range(session.runs):
        with Lab(partner=None, pool=False, settings=SETTINGS) as lab:
            results.append(_mark(session, lab, users, wave))
    subject, among = "poolbridge", f"{wave:,} users of {users:,}"
    for bench, unit in (("marks-time", "s"), ("marks-commit", "s"), ("marks-in-force", "s"), ("marks-p50-before", "ms"),
                        ("marks-p50-meanwhile", "ms"), ("marks-p99-before", "ms"), ("marks-p99-meanwhile", "ms")):
        session.figure(bench, subject, [r[bench] for r in results], unit, among)
    for result in results:
        session.faults("marks", subject, **result["faults"])
    session.goal(f"{among} marked: under 2 s", "marks-time", subject, at_most=2)
    session.goal("in force within 0.25 s of the commit", "marks-in-force", subject, at_most=0.25)


def _mark(session, lab, users, wave):
    bridge = lab.bridge
    bridge.stop()
    registries.copy(session, users, bridge.folder)
    bridge.start()
    # Of the legacy users, who have even numbers: a tenth of those who are written to, and others by chance.
    written_to = range(0, PAIRS // 5, 2)
    numbers = list(written_to) + random.Random(6).sample(range(PAIRS // 5, users, 2), wave - len(written_to))
    marked = set(numbers)
    path = os.path.join(lab.folder, "wave.txt")
    with open(path, "w", encoding="ascii") as out:
        out.writelines(registries.address(number) + "\n" for number in numbers)
    traffic = watching.Traffic(lab, PAIRS, RATE)
    traffic.start()
    time.sleep(watching.QUIET)
    commit = Commit(bridge)
    began = time.monotonic()
    subprocess.run([session.program("poolbridgectl"), "-c", bridge.config, "user", "mark", "migrated", "--from", path],
                   check=True, stdout=subprocess.DEVNULL)
    ended = time.monotonic()
    committed = commit.wait()
    traffic.write_to_all()  # the new way
    traffic.settle([traffic.legacy, traffic.pool])
    messages = traffic.messages()
    traffic.close()
    return _figures(messages, marked, began, committed, ended)


def _figures(messages, marked, began, committed, ended):
    of_wave = [m for (_, pair, _), m in messages.items() if pair in marked]
    ways = {m.got[0][1] for m in of_wave if m.got}
    if ways != {"legacy", "pool"}:
        raise AssertionError(f"messages for those who were marked went to {ways}")
    last_old = max(m.sent for m in of_wave if m.got and m.got[0][1] == "legacy")
    others = {pair for pair in range(PAIRS) if pair not in marked}
    before = watching.latency(messages, others, began - watching.QUIET + 0.5, began)
    meanwhile = watching.latency(messages, others, began, ended)
    return {"marks-time": ended - began, "marks-commit": committed - began, "marks-in-force": max(last_old - committed, 0),
            "marks-p50-before": before[0], "marks-p99-before": before[1], "marks-p50-meanwhile": meanwhile[0],
            "marks-p99-meanwhile": meanwhile[1], "faults": watching.faults(messages)}


class Commit:
    """When the registry is seen to have changed; looked at every millisecond."""

    def __init__(self, bridge):
        self._db = sqlite3.connect(os.path.join(bridge.folder, "registry.db"), check_same_thread=False)
        self._first = self._version()
        self._at = None
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _version(self):
        return self._db.execute("PRAGMA data_version").fetchone()[0]

    def _watch(self):
        deadline = time.monotonic() + 120
        while self._version() == self._first and time.monotonic() < deadline:
            time.sleep(0.001)
        self._at = time.monotonic()
        self._db.close()

    def wait(self):
        self._thread.join()
        return self._at
