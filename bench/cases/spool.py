"""Messages kept for users who are being moved: how many a second are taken durably, what others notice, and their release."""

import time

from bench import registries, watching
from bench.measure import cpu_us
from lab import Lab, record
from lab.ends import End

PAIRS = 1000  # users who are being moved; each is written to by one
OTHERS = 100  # users l0, l1 and so on of the legacy gateway, to whom somebody else writes all the time,
OTHERS_RATE = 500
HOLD_RATE = 20000  # at which it is seen what these notice
SETTINGS = {"log_level": "warning", "s2s.stanza_rate": 1000000, "s2s.stanza_burst": 1000000,
            "spool.messages_per_user": 100000, "spool.messages_per_hop": 1000000, "spool.messages": 1000000,
            "spool.move_time": 3600}
FIGURES = (("hold-rate", "messages", "second"), ("hold-cpu", "us CPU", "message"), ("release-rate", "messages", "second"),
           ("release-cpu", "us CPU", "message"), ("hold-p99-before", "ms", "message of others"),
           ("hold-p99-meanwhile", "ms", "message of others"), ("release-p99-meanwhile", "ms", "message of others"))


def run(session):
    results = []
    for _ in range(session.runs):
        with Lab(partner=None, pool=False, settings=SETTINGS) as lab:
            results.append(Trial(lab, 0.6 if session.quick else 1.5).result)
    for bench, unit, per in FIGURES:
        session.figure(bench, "poolbridge", [r[bench] for r in results], unit, per)
    for result in results:
        session.faults("hold", "poolbridge", **result["faults"])
    slowest = min(r["meanwhile-rate"] for r in results)
    if slowest < 0.9 * HOLD_RATE:
        session.note(f"{slowest:,.0f} messages a second were kept rather than {HOLD_RATE:,}, and the latency meanwhile is of that")
    session.goal("durable hold: at least 20,000 messages/s", "hold-rate", "poolbridge", at_least=20000)
    session.goal(f"p99 of others while {HOLD_RATE:,} a second are kept, beside before", "hold-p99-meanwhile", "poolbridge",
                 at_most=2, of=("hold-p99-before", "poolbridge"))


class Trial:
    """What one lab needed; seconds: how long each phase takes messages in."""

    def __init__(self, lab, seconds):
        self.pid, self.seconds, self.cpu = lab.bridge.process.pid, seconds, {}
        self.begins, self.ends = {}, {}
        users = [registries.address(number) for number in range(PAIRS)]
        lab.bridge.mark("moving", *users)
        self.traffic = watching.Traffic(lab, PAIRS, "inf")
        others = End(lab, "others", "peer", "o", OTHERS_RATE, domain="direct.test", remote="corp.test",
                     listen=lab.block.address("raw"), connect=lab.block.address("external"), pairs=OTHERS, to="l")
        others.wait_connected()
        others.say("start")
        self._phase("before", lambda: time.sleep(seconds))
        self._phase("saturated", self._keep)
        self.traffic.partner.say(f"rate {HOLD_RATE}")
        watching.catch_up(others)
        self._phase("meanwhile", self._keep)
        kept = lab.bridge.json("status")["spool"]["messages"]
        watching.catch_up(others)
        self._phase("release", lambda: self._release(lab, users))
        others.say("stop")
        watching.wait(others.is_idle)
        messages = record.read({end.name: end.record for end in (*self.traffic.ends, others)})
        others.close()
        self.traffic.close()
        self.result = self._figures(messages, kept)

    def _phase(self, name, act):
        self.begins[name], before = time.monotonic(), cpu_us([self.pid])
        act()
        self.ends[name], self.cpu[name] = time.monotonic(), cpu_us([self.pid]) - before

    def _keep(self):
        """Until the last of them is acknowledged: it is on disk."""
        self.traffic.start()
        time.sleep(self.seconds)
        self.traffic.partner.say("stop")
        watching.wait(self.traffic.partner.is_idle)

    def _release(self, lab, users):
        lab.bridge.mark("migrated", *users)
        self.traffic.settle([self.traffic.pool])

    def _p99(self, messages, phase):
        others = {key: m for key, m in messages.items() if key[0] == "o"}
        return watching.latency(others, range(OTHERS), self.begins[phase], self.ends[phase])[1]

    def _figures(self, messages, kept):
        held = [m for (flow, _, _), m in messages.items() if flow == "a"]
        if kept != len(held):
            raise AssertionError(f"{kept} of {len(held)} messages were kept")
        saturated = [m for m in held if m.sent < self.ends["saturated"]]
        paced = [m for m in held if m.sent >= self.ends["saturated"]]
        released = max(m.got[-1][0] for m in held) - self.begins["release"]
        return {"hold-rate": rate_of(saturated), "meanwhile-rate": rate_of(paced), "hold-cpu": self.cpu["saturated"] / len(saturated),
                "release-rate": kept / released, "release-cpu": self.cpu["release"] / kept,
                "hold-p99-before": self._p99(messages, "before"), "hold-p99-meanwhile": self._p99(messages, "meanwhile"),
                "release-p99-meanwhile": self._p99(messages, "release"), "faults": watching.faults(messages)}


def rate_of(messages):
    """Taken a second."""
    return len(messages) / (max(m.acked for m in messages) - min(m.sent for m in messages))
