"""Presence: subscriptions by 1,000 to 100,000: memory each, how fast news go both ways, and how evenly they are refreshed.

Half of them are of contacts who watch users of a pool, the others of users who watch contacts; bench/watchers plays the
pool and the partner's server. News go in a closed loop, 200 under way: from the pool's NOTIFY to the contact's stanza
("told"), and from the contact's stanza to the NOTIFY at the user's endpoint ("notified").
"""

from bench.ends import Player
from bench.measure import cpu_us, resident_kib
from lab import Lab

PORT = 5060
SETTINGS = {"log_level": "warning", "s2s.stanza_rate": 1000000, "s2s.stanza_burst": 1000000, "presence.expires": 28800,
            "sip.queue_total": 100000}
# Half of what the pool grants lies between the first and the last refresh: 40 % to 80 % (presence_subscriber.c).
SPREAD = 0.4


class Rig:
    def __init__(self, pairs):
        self.lab = Lab(partner=None, pool=False, settings=SETTINGS)
        bridge, address = self.lab.bridge, self.lab.block.address
        bridge.ctl("domain", "set", "corp.test", "--phase", "migrated")
        bridge.ctl("partner", "set", "partner.test", "--tls", "none", "--proxy", f"{address('pool')}:{PORT}")
        self.crowd = Player(self.lab, "watchers", "watchers", listen=address("pool"), xmpp=address("external"),
                            sip=address("sip"), pairs=pairs)
        self.problems = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.crowd.close()
        self.lab.close()

    def resident(self):
        return resident_kib(self.lab.bridge.process.pid)

    def round(self, command):
        """News a second, and the CPU in us of each."""
        before = cpu_us([self.lab.bridge.process.pid])
        answer = self.crowd.ask(command, 300)
        self.problems = answer["problems"]
        return answer["told"] / answer["seconds"], (cpu_us([self.lab.bridge.process.pid]) - before) / answer["told"]


def run(session):
    sizes = (1000, 10000) if session.quick else (1000, 10000, 100000)
    # The most once only: it takes as long as all else.
    results = [grow(sizes[:-1] if run and not session.quick else sizes) for run in range(session.runs)]
    for bench, unit, per in (("memory-of-contacts", "KiB", "subscription of a contact"),
                             ("memory-of-users", "KiB", "subscription of a user"), ("memory", "KiB", "subscription"),
                             ("made", "subscriptions", "second"), ("told", "NOTIFYs in", "second"),
                             ("told-cpu", "us CPU", "NOTIFY in"), ("notified", "NOTIFYs out", "second"),
                             ("notified-cpu", "us CPU", "NOTIFY out")):
        for size in sizes:
            session.figure(f"presence-{bench}-{size}", "poolbridge", [result[size][bench] for result in results if size in result],
                           unit, per)
    session.faults("presence", "poolbridge", errors=sum(result["problems"] for result in results))
    for size in sizes[1:]:
        session.goal(f"a subscription, of {size:,}: at most 4 kB", f"presence-memory-{size}", "poolbridge", at_most=3.9)
    for bench in ("told-cpu", "notified-cpu"):
        session.goal(f"{bench}: with {sizes[-1]:,} as with {sizes[0]:,}", f"presence-{bench}-{sizes[-1]}", "poolbridge",
                     at_most=2, of=(f"presence-{bench}-{sizes[0]}", "poolbridge"))
    smoothness(session)


def grow(sizes):
    """{size: {figure: value}}, and the problems."""
    result, there = {}, 0
    with Rig(sizes[-1]) as rig:
        before, contacts, users = rig.resident(), 0, 0
        for size in sizes:
            half, at = (size - there) // 2, rig.resident()
            rate, _ = rig.round(f"watch {half}")
            contacts, at = contacts + rig.resident() - at, rig.resident()
            other, _ = rig.round(f"subscribe {half}")
            users, there = users + rig.resident() - at, size
            told, notified = rig.round("notify"), rig.round("present")
            result[size] = {"memory-of-contacts": contacts * 2 / size, "memory-of-users": users * 2 / size,
                            "memory": (rig.resident() - before) / size, "made": 2 / (1 / rate + 1 / other), "told": told[0],
                            "told-cpu": told[1], "notified": notified[0], "notified-cpu": notified[1]}
        result["problems"] = rig.problems
    return result


def smoothness(session):
    """All are made as fast as they can be; how evenly are they refreshed?"""
    size, granted = (1000, 20) if session.quick else (10000, 40)
    with Rig(size) as rig:
        rig.crowd.ask(f"grant {granted}")
        rig.round(f"watch {size}")
        answer = rig.crowd.ask(f"refreshes {granted}", granted + 60)
    session.figure("presence-refreshes", "poolbridge", [answer["busiest"] / (size / (SPREAD * granted))],
                   "times the mean", "busiest second", subscriptions=size)
    session.faults("presence-refreshes", "poolbridge", lost=max(size - answer["refreshes"], 0), errors=answer["problems"])
    session.goal("refreshes: the busiest second", "presence-refreshes", "poolbridge", at_most=1.5)
