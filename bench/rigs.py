"""What stands between the two playing ends of a message that is passed through: poolbridge, the limit, or a peer.

Through poolbridge and the limit a message goes from one server to another. Peers relay for nobody: a message goes from
a server to a component of theirs ("in"), or from a component to a server ("out"), which is half of the way.
"""

import contextlib
import itertools
import os

from bench.ends import Player
from bench.measure import children
from lab import Lab, certificates
from lab.ejabberd import Ejabberd
from lab.inbox import wait_polled
from lab.jabberd2 import Jabberd2
from lab.prosody import Prosody

SECRET = "between a component and its server"
PAIRS, LENGTH, WINDOW = 100, 300, 1024
FRONT = ("front.test",)  # a domain of the peer's own, for its certificate
FIRST = itertools.count(1, 10 ** 7)
# Limits on how fast a partner may send are off, as they are for the peers; everything else is as it comes.
SETTINGS = {"log_level": "notice", "s2s.stanza_rate": 1000000, "s2s.stanza_burst": 1000000, "s2s.backoff_min": 0.1}


class Flow:
    """
    Two ends, connected; send() has the one send to the other. is_settled: what has passed through is forgotten there,
    and will not be sent once more when the ends are gone.
    """

    def __init__(self, lab, name, sender, receiver, is_settled=lambda: True):
        self._is_settled = is_settled
        common = {"pairs": PAIRS, "tally": os.path.join(lab.folder, f"{name}.tally")}
        common["first"] = next(FIRST)  # two messages that are the same are one message, so no number comes twice
        self.receiver = Player(lab, f"{name}-to", "peer", **receiver, **common)
        self.sender = Player(lab, f"{name}-from", "peer", **sender, **common, length=LENGTH, window=WINDOW)
        for end, options in ((self.receiver, receiver), (self.sender, sender)):
            if "connect" in options:
                wait_polled(lambda: end.ask("status")["connected"], lambda: f"{end.process.name} is not connected")

    def send(self, count, rate="inf"):
        """rate: a second; without, as many as the window allows. What became of them, see meter_say()."""
        self.sender.process.write(f"rate {rate}")
        return self.sender.ask(f"start {count}")

    def close(self):
        """How many messages the receiver has got in all."""
        wait_polled(self._is_settled, lambda: "messages that were passed through are still kept")
        got = self.receiver.ask("status")["got"]
        self.sender.close()
        self.receiver.close()
        return got


class Rig:
    """One subject. flow(name, secure, sm): a Flow through it; pids(): of its processes."""

    def __init__(self, subject, lab):
        self.subject, self.lab = subject, lab
        self._files = ",".join(certificates.make(lab.folder, "ends.test"))

    def _at(self, role):
        return self.lab.block.address(role)

    def _partner(self, secure, sm, connect=None):
        return self._server("partner", "partner.test", "corp.test", "p", "u", connect, secure, sm)

    def _server(self, role, domain, remote, sender, to, connect, secure, sm):
        options = {"domain": domain, "remote": remote, "listen": self._at(role), "from": sender, "to": to}
        return options | ({"connect": connect} if connect else {}) | ({} if sm else {"no-sm": True}) | \
            ({"tls": self._files} if secure else {})

    def close(self):
        self.lab.close()


class BridgeRig(Rig):
    """The partner's server to the legacy gateway, by users who are marked as the legacy pool's."""

    def __init__(self):
        super().__init__("poolbridge", Lab(partner=None, pool=False, settings=SETTINGS))
        self.lab.bridge.mark("legacy", *(f"u{n}@corp.test" for n in range(PAIRS)))

    def flow(self, name, secure, sm):
        return Flow(self.lab, name, self._partner(secure, sm, self._at("external")),
                    self._server("legacy", "corp.test", "partner.test", "u", "p", self._at("internal"), secure, sm),
                    self._is_settled)

    def _is_settled(self):
        links = [link for link in self.lab.bridge.json("status")["links"] if link["direction"] != "in"]
        return not any(link["queued"] or link["unconfirmed"] for link in links)

    def pids(self):
        return [self.lab.bridge.process.pid]


class LimitRig(Rig):
    def __init__(self):
        super().__init__("limit", Lab(partner=None, bridge=False, pool=False))
        self._limit = Player(self.lab, "limit", "limit", listen=self._at("external"), connect=self._at("legacy"),
                             tls=self._files)

    def flow(self, name, secure, sm):
        return Flow(self.lab, name, self._partner(secure, sm, self._at("external")),
                    self._server("legacy", "corp.test", "partner.test", "u", "p", None, secure, sm))

    def pids(self):
        return [self._limit.process.pid]


class PeerRig(Rig):
    """way: "in" or "out"; both are of one server, whose way is told apart by the subject."""

    def __init__(self, server, way):
        self._server_rig, self.way = server, way
        super().__init__(f"{server.name} {way}", server.lab)

    def flow(self, name, secure, sm):
        component = {"domain": "corp.test", "remote": "partner.test", "listen": self._at("front"), "from": "u", "to": "p",
                     "connect": f"{self._at('legacy')}:5347", "component": SECRET}
        if self.way == "in":
            return Flow(self.lab, name, self._partner(secure, sm, self._at("legacy")), component)
        return Flow(self.lab, name, component, self._partner(secure, sm))

    def pids(self):
        return self._server_rig.pids()

    def close(self):
        pass


class Server:
    """A peer: Prosody, ejabberd or jabberd2, with corp.test as its component."""

    def __init__(self, name):
        self.name, self.lab = name, Lab(partner=None, bridge=False, pool=False)
        try:
            self._server = self._start(name.lower())
        except BaseException:
            self.lab.close()
            raise

    def _start(self, kind):
        lab, components = self.lab, {"corp.test": SECRET}
        if kind == "prosody":
            return Prosody(lab, "legacy", FRONT, (), lab.outside, "optional", components=components, modules=("smacks",),
                           log="info")
        if kind == "ejabberd":
            hosts = {"xmpp.partner.test": lab.block.address("partner")}
            return Ejabberd(lab, "legacy", FRONT, hosts, lab.outside, "optional", components=components)
        return Jabberd2(lab, "legacy", FRONT, (), lab.outside, "optional", components=components)

    def pids(self):
        processes = getattr(self._server, "processes", None) or [self._server.process]
        return [pid for process in processes for pid in children(process.pid)]

    def close(self):
        self._server.stop()
        self.lab.close()


PEERS = ("Prosody", "ejabberd", "jabberd2")


@contextlib.contextmanager
def rigs(session):
    """All that are installed and wanted, running side by side."""
    with contextlib.ExitStack() as ends:
        found = []
        for subject, make in (("poolbridge", BridgeRig), ("limit", LimitRig)):
            if session.wants(subject):
                found.append(make())
                ends.callback(found[-1].close)
        for name in filter(session.wants, PEERS):
            try:
                server = Server(name)
            except FileNotFoundError as error:
                session.note(f"{name} is left out: {error}")
                continue
            ends.callback(server.close)
            found += [PeerRig(server, "in"), PeerRig(server, "out")]
        yield found
