"""Messages in numbers while something happens: who got them, how long it took, before it and meanwhile.

The ends are the partner, the legacy gateway and the new pool of lab.ends, with their logs.
"""

from lab import record
from lab.ends import End
from lab.inbox import wait_polled

QUIET = 2.0  # seconds of messages before anything happens


class Traffic:
    """
    A partner's users p0, p1, … who write to u0, u1, … of the local domain at a rate, through the lab's bridge, from start() on.
    legacy and pool get what is for them. size: bytes of text.
    """

    def __init__(self, lab, pairs, rate, size=200, **options):
        address = lab.block.address
        self.pairs = pairs
        self.legacy = End(lab, "legacy", "peer", domain="corp.test", remote="partner.test", listen=address("legacy"),
                          connect=address("internal"), pairs=1, **{"from": "u", "to": "p"})
        self.pool = End(lab, "pool", "sippeer", listen=address("pool"), pairs=1)
        self.partner = End(lab, "partner", "peer", "a", rate, domain="partner.test", remote="corp.test",
                           listen=address("partner"), connect=address("external"), pairs=pairs, size=size, **options)
        self.ends = [self.partner, self.legacy, self.pool]
        self.partner.wait_connected()

    def start(self):
        self.partner.say("start")

    def write_to_all(self):
        """Returns when everybody has been written to once more."""
        sent = self.partner.status()["sent"]
        wait(lambda: self.partner.status()["sent"] >= sent + self.pairs)

    def settle(self, ends, patience=60.0):
        """No more is made; returns when every message has been acknowledged, and these ends together have them all."""
        self.partner.say("stop")
        wait(lambda: self.partner.is_idle() and self._arrived(ends), patience,
             lambda: f"not all messages arrived: {[end.status() for end in self.ends]}")

    def _arrived(self, ends):
        return sum(end.status()["got"] for end in ends) >= self.partner.status()["sent"]

    def messages(self):
        """{(flow, pair, number): lab.record.Message}; got names the end."""
        return record.read({end.name: end.record for end in self.ends})

    def close(self):
        for end in self.ends:
            end.close()


def wait(condition, patience=60.0, story=lambda: "it never came to be"):
    wait_polled(condition, story, patience)


def catch_up(end):
    """Returns when all that it has sent so far is acknowledged."""
    sent = end.status()["sent"]
    wait(lambda: end.status()["acknowledged"] >= sent)


def faults(messages):
    """Keyword arguments for session.faults()."""
    verdict = record.Verdict(messages)
    return {"lost": len(verdict.lost) + len(verdict.open), "errors": sum(m.error is not None for m in messages.values()),
            "doubled": len(verdict.doubled) + len(verdict.both_sides), "disorder": len(verdict.disorder)}


def latency(messages, pairs, begin, end):
    """p50 and p99 in ms of those pairs' messages that were sent between the two times."""
    times = sorted(m.got[0][0] - m.sent for (_, pair, _), m in messages.items()
                   if pair in pairs and m.got and m.sent is not None and begin <= m.sent < end)
    if not times:
        raise AssertionError("no messages to measure")
    return tuple(times[min(int(len(times) * share), len(times) - 1)] * 1000 for share in (0.5, 0.99))
