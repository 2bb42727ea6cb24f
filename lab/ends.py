"""Playing ends (bench/peer, bench/sippeer): numbered messages at a rate, each end a process with a log.

What happened to each message is read from the logs afterwards: lab.record.
"""

import json
import os
import signal
import time

from lab import certificates
from lab.bridge import BUILD
from lab.kamailio import Kamailio
from lab.process import WAIT
from lab.prosody import Prosody

SECRET = "between a component and its server"

INCARNATION = 1000000  # numbers of messages of an end that was killed and started again begin here, and so on


class End:
    """flow: the letter of the messages that it sends, at a rate; see bench/peer --help for the options."""

    def __init__(self, lab, name, program, flow=None, rate=0, **options):
        self._lab, self.name, self.flow, self.rate = lab, name, flow, rate
        self._program = os.path.join(BUILD, "bench", program)
        self._options = options
        self.record = os.path.join(lab.folder, name + ".record")
        self.starts = 0
        self.making = False
        self.start()

    def start(self):
        words = [self._program, "--log", self.record, "--rate", self.rate, "--first", self.starts * INCARNATION + 1]
        if self.flow:
            words += ["--flow", self.flow]
        for option, value in self._options.items():
            words += ["--" + option] + ([] if value is True else [value])
        self.starts += 1
        self.process = self._lab.run(f"{self.name}-{self.starts}", words, on_line=lambda line: None)
        self.process.wait_line("^ready$")
        if self.making:
            self.say("start")

    def say(self, command):
        if command in ("start", "stop"):
            self.making = command == "start"
        self.process.write(command)

    def status(self):
        mark = self.process.mark()
        self.say("status")
        return json.loads(self.process.wait_line(r"^\{.*\}$", after=mark).group(0))

    def is_idle(self):
        return self.status()["waiting"] == 0

    def wait_connected(self):
        deadline = time.monotonic() + WAIT
        while not self.status()["connected"]:
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name} is not connected\n{self.process.tail()}")
            time.sleep(0.05)

    # ---- ways to break

    def kill(self, seconds):
        """kill -9, and a new one in its place afterwards."""
        self.process.kill()
        time.sleep(seconds)
        self.start()

    def stall(self, seconds):
        self.process.signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.signal(signal.SIGCONT)

    def cut(self, seconds):
        """Every connection is cut in mid-message, again and again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.say("cut")
            time.sleep(min(1.0, seconds / 3))

    def refuse(self, seconds):
        self.say(f"refuse {seconds}")
        time.sleep(seconds)

    def blackhole(self, seconds):
        self.say(f"blackhole {seconds}")
        time.sleep(seconds)

    def close(self):
        self.say("quit")
        status = self.process.wait()
        if status != 0:
            raise AssertionError(f"{self.name} ended with {status}\n{self.process.tail()}")


class Ends:
    """
    The partner and the legacy gateway of a lab without servers, and both pools. Flows: a from the partner's users pN to
    the local users uN, b back from the legacy gateway, c from the new pool's to the partner's, d from the new pool's
    users vN to uN, wherever those live.
    """

    FLOWS = ("a", "b", "c", "d")

    def __init__(self, lab, rates, pairs, tls=False):
        address = lab.block.address
        xmpp = {"pairs": pairs} | ({"tls": ",".join(certificates.make(lab.folder, "ends.test"))} if tls else {})
        self.partner = End(lab, "partner", "peer", "a", rates["a"], domain="partner.test", remote="corp.test",
                           listen=address("partner"), connect=address("external"), **xmpp)
        self.legacy = End(lab, "legacy", "peer", "b", rates["b"], domain="corp.test", remote="partner.test",
                          listen=address("legacy"), connect=address("internal"), **dict(xmpp, **{"from": "u", "to": "p"}))
        self.pool = End(lab, "pool", "sippeer", "c", rates["c"], listen=address("pool"), connect=address("sip"),
                        pairs=pairs)
        # Another process at the same pool's address.
        self.colleagues = End(lab, "colleagues", "sippeer", "d", rates["d"], listen=address("pool"), deaf=True,
                              connect=address("sip"), pairs=pairs, **{"from": "v@corp.test", "to": "u@corp.test"})
        self.legacy_pool = End(lab, "legacy-pool", "sippeer", listen=address("legacy-pool"), pairs=1)
        self.all = [self.partner, self.legacy, self.pool, self.colleagues, self.legacy_pool]

    def say(self, command):
        for end in self.all:
            end.say(command)

    def close(self):
        for end in self.all:
            end.close()


class RealEnds(Ends):
    """
    Behind real servers: two Prosody, whose components the partner's and the legacy gateway's users are, and a Kamailio,
    where the pool's users are registered. It delivers among its own users by itself, so there is no flow d; what
    poolbridge relays to the legacy pool, which is that Kamailio, comes back and is refused. A message counts as
    acknowledged when the component has written it: these servers are to lose nothing.
    """

    def __init__(self, lab, rates, pairs):
        address = lab.block.address
        smacks = ("smacks", "resend")
        self._servers = [
            Prosody(lab, "partner", ("front.test",), (), lab.outside, "optional", components={"partner.test": SECRET},
                    modules=smacks),
            Prosody(lab, "legacy", ("front.test",), (), lab.inside, "optional", components={"corp.test": SECRET},
                    modules=smacks),
            Kamailio(lab, ("corp.test",), legacy="legacy-pool")]
        self.partner = End(lab, "partner-users", "peer", "a", rates["a"], domain="partner.test", remote="corp.test",
                           listen=address("partner"), connect=f"{address('partner')}:5347", component=SECRET, pairs=pairs)
        self.legacy = End(lab, "legacy-users", "peer", "b", rates["b"], domain="corp.test", remote="partner.test",
                          listen=address("legacy"), connect=f"{address('legacy')}:5347", component=SECRET, pairs=pairs,
                          **{"from": "u", "to": "p"})
        self.pool = End(lab, "pool-users", "sippeer", "c", rates["c"], listen=address("sipp"), connect=address("pool"),
                        register=True, pairs=pairs)
        self.all = [self.partner, self.legacy, self.pool]
        for end in self.all:
            end.wait_connected()

    def close(self):
        super().close()
        for server in self._servers:
            server.stop()
