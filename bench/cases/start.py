"""Start: how long from exec until the daemon is ready, and its memory then, with few users and with many."""

import time

from bench import registries
from bench.measure import cpu_us, resident_kib
from lab import Lab

SETTINGS = {"log_level": "notice"}


def run(session):
    many = 100000 if session.quick else 1000000
    sizes = (1000, many)
    results = {users: [] for users in sizes}
    with Lab(partner=None, pool=False, settings=SETTINGS) as lab:
        for _ in range(session.runs):
            for users in sizes:
                results[users].append(_start(session, lab.bridge, users))
    for users in sizes:
        for number, (bench, unit) in enumerate((("start-time", "s"), ("start-cpu", "s"), ("start-memory", "MB"))):
            session.figure(bench, f"{users:,} users", [r[number] for r in results[users]], unit, "start")
    session.goal(f"start with {many:,} users: under 0.2 s", "start-time", f"{many:,} users", at_most=0.2)
    session.goal(f"resident memory with {many:,} users: under 40 MB", "start-memory", f"{many:,} users", at_most=40)


def _start(session, bridge, users):
    """Seconds until READY=1, CPU seconds and resident MB by then; twice, since the first start empties the copy's log."""
    bridge.stop()
    registries.copy(session, users, bridge.folder)
    bridge.start()
    bridge.stop()
    began = time.monotonic()
    bridge.start()
    seconds = time.monotonic() - began
    pid = bridge.process.pid
    return seconds, cpu_us([pid]) / 1e6, resident_kib(pid) / 1024
