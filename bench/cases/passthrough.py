"""Messages passed through: partner to legacy gateway, plain and TLS, with and without XEP-0198; CPU and latency.

300-byte messages between 100 pairs of users. At saturation 1024 are under way; at a fixed rate it is the latency that
is measured. Peers have half of the way each time, see bench/rigs.py, and are measured with what they can: of them,
only Prosody has XEP-0198 between servers.
"""

import itertools
import statistics

from bench.measure import FAULTS, cpu_us, progress, resident_kib, rounded
from bench.rigs import rigs
from lab import chart

SATURATED_SECONDS, WARM = 1.5, 10000
RATES = {500: 3.0, 5000: 1.5}  # seconds at each
# How many times less a message must cost than with each peer, one hop of it; and how the limit may be exceeded.
AHEAD = {"jabberd2": 5, "ejabberd": 8, "Prosody": 20}
LIMIT = {"plain": 2.0, "tls": 2.5}
NAMES = {"plain": "plain", "tls": "TLS"}
WITH_SM = ("poolbridge", "limit", "Prosody in", "Prosody out")
NUMBERS = itertools.count(1)  # of flows, for names of files


class Trial:
    """What one subject needed in one run of one variant."""

    def __init__(self, session, rig, secure, sm, rates):
        pids = rig.pids()
        part = 0.3 if session.quick else 1.0
        flow = rig.flow(f"{'tls' if secure else 'plain'}{'-sm' if sm else ''}-{next(NUMBERS)}", secure, sm)
        warm = flow.send(WARM if not session.quick else WARM // 2)
        count = int(warm["got"] / warm["seconds"] * SATURATED_SECONDS * part)
        before = cpu_us(pids)
        self.reports = [flow.send(max(count, 5000))]
        self.cpu = (cpu_us(pids) - before) / self.reports[0]["got"]
        self.per_second = self.reports[0]["got"] / self.reports[0]["seconds"]
        self.memory = resident_kib(*pids) / 1024
        self.latency = {}
        for rate in rates:
            report = flow.send(int(rate * RATES[rate] * part), rate)
            if report["got"] / report["seconds"] < 0.9 * rate:
                session.note(f"{rig.subject} has passed on {report['got'] / report['seconds']:,.0f} a second rather than {rate:,}")
            self.reports.append(report)
            self.latency[rate] = report["p50_us"], report["p99_us"]
        self.reports.append(warm)
        self.faults = {name: sum(report[name] for report in self.reports) for name in FAULTS}
        # What came besides what the reports tell came a second time.
        self.faults["doubled"] += flow.close() - sum(report["got"] + report["doubled"] for report in self.reports)


def measure(session, found, bench, secure, sm, rates):
    """One variant, all subjects in turn."""
    progress(bench)
    results = session.alternate({rig.subject: lambda rig=rig: Trial(session, rig, secure, sm, rates) for rig in found})

    def figures(name, value_of, unit, per):
        floor = statistics.median(map(value_of, results["limit"])) if "limit" in results else None
        for subject, trials in results.items():
            values = [value_of(trial) for trial in trials]
            more = {"limits": rounded(statistics.median(values) / floor, 3)} if floor and subject != "limit" else {}
            session.figure(name, subject, values, unit, per, **more)

    figures(bench, lambda trial: trial.cpu, "us CPU", "message")
    figures(f"{bench}-rate", lambda trial: trial.per_second, "messages", "second")
    for rate in rates:
        for part, name in enumerate(("p50", "p99")):
            figures(f"{bench}-{rate}-{name}", lambda trial: trial.latency[rate][part], "us", f"message, at {rate:,} a second")
    for subject, trials in results.items():
        session.faults(bench, subject, **{name: sum(trial.faults[name] for trial in trials) for name in FAULTS})
    return results


def run(session):
    with rigs(session) as found:
        ours = [rig for rig in found if rig.subject in ("poolbridge", "limit")]
        rates = {} if session.quick else RATES  # the quick run takes latency by TLS alone
        measure(session, ours if session.quick else found, "passthrough-plain", False, False, rates)
        results = measure(session, found, "passthrough-tls", True, False, RATES)
        for subject, trials in results.items():
            session.figure("passthrough-memory", subject, [trial.memory for trial in trials], "MiB", "server, at saturation")
        with_sm = [rig for rig in found if rig.subject in WITH_SM]
        measure(session, with_sm, "passthrough-plain-sm", False, True, rates)
        measure(session, with_sm, "passthrough-tls-sm", True, True, rates)
    declare_goals(session)
    draw(session)


def declare_goals(session):
    for peer, times in AHEAD.items():
        for way in ("in", "out"):
            session.goal(f"CPU of a message, TLS, beside {peer}'s one hop {way}", "passthrough-tls", "poolbridge",
                         at_most=1 / times, of=("passthrough-tls", f"{peer} {way}"))
    for variant, times in LIMIT.items():
        session.goal(f"CPU of a message, {NAMES[variant]}, beside the limit", f"passthrough-{variant}", "poolbridge",
                     at_most=times, of=(f"passthrough-{variant}", "limit"))
    for variant in LIMIT:
        session.goal(f"XEP-0198 and custody, {NAMES[variant]}, beside without", f"passthrough-{variant}-sm", "poolbridge",
                     at_most=1.3, of=(f"passthrough-{variant}", "poolbridge"))
    for variant, rate, way in itertools.product(LIMIT, RATES, ("in", "out")):
        bench = f"passthrough-{variant}-{rate}-p99"
        session.goal(f"p99 at {rate:,} a second, {NAMES[variant]}, beside jabberd2's one hop {way}", bench, "poolbridge",
                     at_most=0.5, of=(bench, f"jabberd2 {way}"))


def draw(session):
    benches = {"passthrough-plain": "plain", "passthrough-tls": "TLS", "passthrough-tls-sm": "TLS and XEP-0198"}
    groups = [(title, {figure.subject: figure.value for (bench, _), figure in session.figures.items() if bench == name})
              for name, title in benches.items()]
    session.chart("passthrough", chart.bars("CPU of the server under test for one message", "us", groups))
