"""What a message costs as partners, streams, users and what is kept grow: it is to stay the same.

Messages of partners pass to the legacy gateway's users; bench/crowd plays both, in a closed loop. One dimension grows
at a time, the others stay small. The cost is the CPU of the daemon for a message, all that it does meanwhile included.
"""

from bench import registries
from bench.cases.streams import allow_files
from bench.ends import Player
from bench.measure import cpu_us
from lab import Lab, chart
from lab.inbox import WAIT, wait_polled

# Limits that would end what is to grow; everything else is as it comes.
SETTINGS = {"log_level": "warning", "s2s.stanza_rate": 1000000, "s2s.stanza_burst": 1000000, "s2s.streams": 50000,
            "s2s.streams_per_partner": 10000, "s2s.streams_per_address": 50000, "s2s.queue_stanzas": 50000,
            "s2s.queue_bytes": 67108864, "s2s.window_bytes": 67108864, "s2s.confirm_time": 60, "s2s.queue_time": 600,
            "spool.messages_per_user": 100000, "spool.bytes_per_user": 1073741824, "spool.messages_per_hop": 1000000,
            "spool.messages": 1000000}
USERS, WINDOW, CARRIERS = 100, 64, 10
FLAT = 2  # times the cost with the least, at most
LEAST = 100  # of what is kept and let go: with less, it is the two changes of the registry that cost


class Rig:
    """A lab with poolbridge and a crowd of so many partners, who are found without DNS; some streams of theirs."""

    def __init__(self, session, partners=1, streams=1, users=None):
        self.lab = Lab(partner=None, pool=False, settings=SETTINGS)
        bridge, address = self.lab.bridge, self.lab.block.address
        if users:
            bridge.stop()
            registries.copy(session, users, bridge.folder)
            bridge.start()
        bridge.sql("INSERT INTO partner (name, tls, proxy) WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n "
                   "WHERE i < ? - 1) SELECT 'p' || i || '.test', 'none', ? FROM n", partners, f"{address('legacy')}:5269")
        self.crowd = Player(self.lab, "crowd", "crowd", listen=address("legacy"), connect=address("external"),
                            domains=partners)
        self.faults = dict.fromkeys(("lost", "errors", "doubled", "disorder"), 0)
        self.open(streams)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.crowd.close()
        self.lab.close()

    def open(self, streams):
        answer = self.crowd.ask(f"open {streams}")
        self.faults["errors"] += answer["ended"]

    def cpu(self):
        return cpu_us([self.lab.bridge.process.pid])

    def pass_through(self, count, window=WINDOW, users=USERS, streams=1):
        """What a message costs, in us."""
        before = self.cpu()
        answer = self.crowd.ask(f"send {count} {window} {users} {streams}")
        self.note(answer, count)
        return (self.cpu() - before) / count

    def note(self, answer, count):
        self.faults["lost"] += count - answer["got"] - answer["errors"]
        for fault in ("errors", "doubled", "disorder"):
            self.faults[fault] += answer[fault]

    def mark_held(self, mark, users):
        self.lab.bridge.sql("INSERT INTO user (address, mark) WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n "
                            "WHERE i < ? - 1) SELECT 'h' || i || '@corp.test', ? FROM n WHERE true "
                            "ON CONFLICT (address) DO UPDATE SET mark = excluded.mark", users, mark)

    def throw(self, count, users):
        """To users who are being moved; returns when all are kept."""
        kept = self.kept()
        self.crowd.ask(f"throw {count} {users}")
        self.wait_kept(kept + count)

    def wait_kept(self, count):
        wait_polled(lambda: self.kept() == count, lambda: f"{self.kept()} messages are kept rather than {count}",
                    WAIT + count / 500, pause=0.1)

    def kept(self):
        return self.lab.bridge.json("status")["spool"]["messages"]


def partners(session):
    """One message at a time: with more under way, many partners would only mean smaller pieces."""
    most, count = (100, 500) if session.quick else (1000, 2000)
    with Rig(session, most, most) as rig:
        for size in sizes(1, most):
            rig.pass_through(size, streams=size)  # every link is there
            yield size, [rig.pass_through(count, window=1, streams=size) for _ in range(session.runs)], rig.faults


def streams(session):
    """Idle ones, trusted, beside the one that carries the messages."""
    most, count = (1000, 5000) if session.quick else (10000, 20000)
    with Rig(session) as rig:
        rig.pass_through(count)
        there = 1
        for size in sizes(1, most):
            rig.open(size - there)
            there = size
            yield size, [rig.pass_through(count) for _ in range(session.runs)], rig.faults


def users(session):
    """In the registry; messages to all of them, in no order that a cache would like."""
    most, count = (100000, 5000) if session.quick else (1000000, 20000)
    for size in sizes(1000, most):
        with Rig(session, users=size) as rig:
            rig.pass_through(count, users=size // 2)
            yield size, [rig.pass_through(count, users=size // 2) for _ in range(session.runs)], rig.faults


def queue(session):
    """Messages on the link to the legacy gateway that it has not acknowledged yet; 4,096 of a stream at most."""
    most, count = (1000, 5000) if session.quick else (10000, 20000)
    with Rig(session, streams=CARRIERS) as rig:
        for size in sizes(1, most):
            rig.crowd.ask(f"unproved {size}")
            rig.pass_through(size + count // 4, streams=CARRIERS)
            yield size, [rig.pass_through(count, streams=CARRIERS) for _ in range(session.runs)], rig.faults
        rig.crowd.ask("unproved 0")


def kept(session):
    """Pairs of users with a message that is kept, beside those whose messages pass, one at a time: time passes, too."""
    most, count = (10000, 2000) if session.quick else (100000, 5000)
    with Rig(session) as rig:
        rig.mark_held("moving", most)
        rig.pass_through(count, window=1)
        there = 0
        for size in sizes(1, most):
            rig.throw(size - there, size)
            there = size
            yield size, [rig.pass_through(count, window=1) for _ in range(session.runs)], rig.faults


def kept_for_one(session):
    """Messages that are kept for one user and let go, one after the other: a commit each."""
    with Rig(session) as rig:
        for size in sizes(10, 1000):
            yield size, [keep_and_release(rig, size, 1) for _ in range(session.runs)], rig.faults


def kept_for_many(session):
    """The same for as many users as messages."""
    with Rig(session) as rig:
        for size in sizes(10, 1000 if session.quick else 10000):
            yield size, [keep_and_release(rig, size, size) for _ in range(session.runs)], rig.faults


def keep_and_release(rig, count, users):
    rig.mark_held("moving", users)
    kept, before = rig.kept(), rig.cpu()
    rig.throw(count, users)
    rig.mark_held("legacy", users)
    rig.note(rig.crowd.ask(f"await {count}", 300), count)
    rig.wait_kept(kept)  # what has arrived leaves the file a little later
    return (rig.cpu() - before) / count


def sizes(least, most):
    size = least
    while size <= most:
        yield size
        size *= 10


RELEASED = {"kept-for-one": kept_for_one, "kept-for-many": kept_for_many}
DIMENSIONS = {"partners": partners, "streams": streams, "users": users, "queue": queue, "kept": kept, **RELEASED}


def run(session):
    allow_files()
    lines = {}
    for name, measure in DIMENSIONS.items():
        bench, points = f"growth-{name}", []
        for size, values, faults in measure(session):
            figure = session.figure(f"{bench}-{size}", "poolbridge", values, "us CPU", "message")
            points.append((size, figure.value))
            last = faults
        session.faults(bench, "poolbridge", **last)
        most, least = points[-1][0], points[0][0] if name not in RELEASED else LEAST
        session.goal(f"{name}: {most:,} cost as much as {least:,}", f"{bench}-{most}", "poolbridge", at_most=FLAT,
                     of=(f"{bench}-{least}", "poolbridge"))
        lines[name] = points
    session.chart("growth", chart.growth("The cost of a message as something else grows", "of them", [
        ("us of CPU, passed through", {name: lines[name] for name in ("partners", "streams", "users", "queue", "kept")}),
        ("us of CPU, kept and let go", {name: lines[name] for name in RELEASED})]))
