"""Who stands between XMPP and SIP in bench/cases/gateway.py: poolbridge, Kamailio in two roles, and the bare nta transaction.

A rig has a way: "to-sip" or "from-sip", a transport of SIP, and a mode: "pager", or "session" with one open session a
pair. Each has a source that writes numbered messages, and a sink that gets them; both write down when, so that what was
lost, doubled or overtaken is seen, and how long each took.
"""

import contextlib
import itertools
import os
import shutil
import statistics
import time

from bench.measure import children, cpu_us
from lab import Lab
from lab.bridge import BUILD
from lab.ends import End
from lab.inbox import WAIT, wait_polled
from lab.kamailio import PATH, TLS_CONFIG
from lab.record import Verdict, read

IN_FLIGHT = 1024
IN_FLIGHT_UDP = 64  # what fits into the receive buffer of a socket, as the system has it
SIZE = 290           # bytes of text: with its number 300
AS_FAST_AS_POSSIBLE = 2000000
POLL = 0.01
PEERS_PATIENCE = 5.0
NUMBERS = itertools.count(1)
XMPP_MODULE = "/usr/lib/x86_64-linux-gnu/kamailio/modules/xmpp.so"

KAMAILIO = """\
#!KAMAILIO
debug=-1
log_stderror=yes
children=2
tcp_children=2
tcp_accept_no_cl=yes
tcp_rd_buf_size=131072
auto_aliases=no
dns=no
rev_dns=no
alias="corp.test"
alias="partner.test"
listen=udp:{address}:5060
listen=tcp:{address}:5060
{tls}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
modparam("tm", "fr_timer", 30000)
{role}
"""
KAMAILIO_TLS = """\
enable_tls=yes
listen=tls:{address}:5061
loadmodule "tls.so"
modparam("tls", "config", "{config}")
"""
KAMAILIO_XMPP = """\
loadmodule "xmpp.so"
modparam("xmpp", "backend", "component")
modparam("xmpp", "xmpp_host", "{server}")
modparam("xmpp", "xmpp_port", 5347)
modparam("xmpp", "xmpp_password", "secret")
modparam("xmpp", "xmpp_domain", "corp.test")
modparam("xmpp", "gateway_domain", "partner.test")
modparam("xmpp", "gwmap", "corp.test=corp.test;partner.test=partner.test")
modparam("xmpp", "outbound_proxy", "{sink}")
request_route {{
    if (!t_newtran()) exit;
    if (xmpp_send_message())
        t_reply("200", "Accepted");
    else
        t_reply("404", "Not found");
}}
"""
KAMAILIO_RELAY = """\
request_route {{
    $du = "{sink}";
    t_relay();
}}
"""


class Trial:
    """What one run of one rig has shown."""

    def __init__(self, cpu, per_second, p50, p99):
        self.cpu, self.per_second, self.p50, self.p99 = cpu, per_second, p50, p99


class Nta(End):
    """bench/nta says what the other ends say, but keeps no log."""

    def start(self):
        words = [self._program] + [str(word) for option, value in self._options.items() for word in ("--" + option, value)]
        self.starts += 1
        self.process = self._lab.run(f"{self.name}-{self.starts}", words, on_line=lambda line: None)
        self.process.wait_line("^ready$")


class Rig:
    is_peer = False

    def __init__(self, subject, way, transport, mode="pager"):
        self.subject, self.way, self.transport, self.mode = subject, way, transport, mode
        self._ends = contextlib.ExitStack()
        self._number = next(NUMBERS)
        self.window = IN_FLIGHT_UDP if transport == "udp" else IN_FLIGHT
        self.source = self.sink = self.server = None
        self._lost = 0

    def open(self, lab):
        self.lab = lab
        self.tally = os.path.join(lab.folder, f"tally-{self._number}")
        self._start()
        for end in (self.source, self.sink):
            self._ends.callback(end.process.kill)
            if isinstance(end, End) and "connect" in end._options:
                end.wait_connected()

    # ---- ends

    def _certificate(self, name):
        folder = os.path.join(self.lab.folder, f"{name}-{self._number}")
        os.makedirs(folder, exist_ok=True)
        return self.lab.sip_authority.make(folder, name)

    def _sip_end(self, address, server, **options):
        """A pool at an address, and where it connects to; by UDP it has to know that in any case."""
        options |= {"listen": address, "transport": self.transport, "pairs": self.window, "size": SIZE}
        if self.transport == "tls":
            options["tls"] = ",".join(self._certificate("pool.corp.test"))
        if self.way == "from-sip" or self.transport == "udp":
            options["connect"] = server
        if self.way == "to-sip":
            options["tally"] = self.tally
        elif self.mode == "session":
            options["sessions"] = True
        return End(self.lab, f"sip-{self._number}", "sippeer", "c", **options)

    def _xmpp_end(self, listen, **options):
        options |= {"listen": listen, "pairs": self.window, "size": SIZE, "window": self.window,
                    "domain": "partner.test", "remote": "corp.test", "no-sm": True}
        if self.way == "to-sip":
            options["tally"] = self.tally
        return End(self.lab, f"xmpp-{self._number}", "peer", "a", **options)

    def _set_ends(self, sip, xmpp):
        self.source, self.sink = (xmpp, sip) if self.way == "to-sip" else (sip, xmpp)

    # ---- runs

    def pids(self):
        return children(self.server.pid)

    def _got(self):
        return self.sink.status()["got"]

    def _wait(self, done):
        wait_polled(done, lambda: f"{self.subject}, {self.way}, {self.transport}: {self.source.status()} {self.sink.status()}",
                    pause=POLL)

    def _write(self, rate):
        self.source.say(f"rate {rate}")
        self.source.say("start")

    def _rest(self):
        """
        Returns when nothing is under way any more. What a peer has not delivered in some seconds it has lost: that is
        seen in faults(); poolbridge loses nothing.
        """
        self.source.say("stop")
        got, since = -1, time.monotonic()
        while True:
            status, before = self.source.status(), got
            got = self._got()
            behind = status["sent"] - status["errors"] - status["unknown"] - self._lost - got
            if behind <= 0 and status["waiting"] == 0:
                return
            if got != before:
                since = time.monotonic()
            elif self.is_peer and time.monotonic() - since > PEERS_PATIENCE:
                self._lost += behind
                return
            elif time.monotonic() - since > WAIT:
                raise AssertionError(f"{self.subject}, {self.way}, {self.transport}: {status} {self.sink.status()}")
            time.sleep(POLL)

    def saturate(self, seconds):
        """(CPU of a message in microseconds, messages a second)."""
        before = self._got()
        self._write(AS_FAST_AS_POSSIBLE)
        self._wait(lambda: self._got() - before >= 4 * self.window)
        cpu, count, start = cpu_us(self.pids()), self._got(), time.monotonic()
        time.sleep(seconds)
        cpu, count, took = cpu_us(self.pids()) - cpu, self._got() - count, time.monotonic() - start
        self._rest()
        return cpu / count, count / took

    def pace(self, rate, seconds):
        """(p50, p99) of what a message takes from source to sink, in microseconds."""
        start = time.monotonic()
        self._write(rate)
        time.sleep(seconds)
        self._rest()
        took = sorted(m.got[0][0] - m.sent for m in self._messages().values() if m.sent and m.sent > start and m.got)
        cuts = statistics.quantiles(took, n=100)
        return cuts[49] * 1e6, cuts[98] * 1e6

    def trial(self, seconds, rate, paced_seconds):
        cpu, per_second = self.saturate(seconds)
        return Trial(cpu, per_second, *(self.pace(rate, paced_seconds) if rate else (None, None)))

    def _messages(self):
        return read({"source": self.source.record, "sink": self.sink.record})

    def faults(self):
        verdict = Verdict(self._messages())
        return {"lost": len(verdict.lost), "doubled": len(verdict.doubled), "disorder": len(verdict.disorder),
                "errors": sum(m.error is not None or m.unknown is not None for m in verdict.messages.values())}

    def close(self):
        self._ends.close()


class Poolbridge(Rig):
    """The lab has it."""

    def __init__(self, way, transport, mode):
        super().__init__("poolbridge", way, transport, mode)

    def settings(self):
        return {"log_level": "warning", "s2s.stanza_rate": 1000000, "s2s.stanza_burst": 1000000,
                "sip.udp_remembered": 1000000, "sip.new_pool_mode": self.mode}

    def _start(self):
        address, bridge = self.lab.block.address, self.lab.bridge
        if self.transport == "udp":
            bridge.write_config(sip__new_pool=f"sip:{address('pool')}:5060;transport=udp")
        bridge.restart()
        bridge.ctl("domain", "set", "corp.test", "--phase", "migrated")
        self.server = bridge.process
        self._set_ends(self._sip_end(address("pool"), address("sip")),
                       self._xmpp_end(address("partner"), connect=address("external")))


class Kamailio(Rig):
    """With its xmpp module, as the component of a server that the source or sink plays."""

    is_peer = True

    def __init__(self, way, transport):
        super().__init__("Kamailio xmpp", way, transport)

    def _sink_uri(self, address):
        return f"sip:{address}:{5061 if self.transport == 'tls' else 5060};transport={self.transport}"

    def _run(self, address, role):
        folder = os.path.join(self.lab.folder, f"kamailio-{self._number}")
        os.makedirs(folder, exist_ok=True)
        tls = ""
        if self.transport == "tls":
            certificate, key = self._certificate("kamailio.corp.test")
            with open(os.path.join(folder, "tls.cfg"), "w", encoding="utf-8") as out:
                out.write(TLS_CONFIG.format(certificate=certificate, key=key, ca=self.lab.sip_authority.pem))
            tls = KAMAILIO_TLS.format(address=address, config=out.name)
        with open(os.path.join(folder, "kamailio.cfg"), "w", encoding="utf-8") as out:
            out.write(KAMAILIO.format(address=address, tls=tls, role=role))
        # It keeps a transaction for 5 seconds, and the memory with it.
        self.server = self.lab.run(f"kamailio-{self._number}", [
            shutil.which("kamailio", path=PATH), "-DD", "-E", "-f", out.name, "-m", "3000", "-M", "32", "-w", folder,
            "-Y", folder], env={"LD_PRELOAD": os.path.join(BUILD, "bench", "kamailio_xmpp.so")})

    def _start(self):
        address, pool, server = (self.lab.block.user_address() for _ in range(3))
        xmpp = self._xmpp_end(f"{server}:5347", host=True)
        if self.transport == "udp":
            sip = self._sip_end(pool, address)
        self._run(address, KAMAILIO_XMPP.format(server=server, sink=self._sink_uri(pool)))
        self._ends.callback(self.server.kill)
        if self.transport != "udp":
            sip = self._sip_end(pool, address)
        self._set_ends(sip, xmpp)
        self._wait(lambda: xmpp.status()["connected"])


class Relay(Kamailio):
    """Kamailio as a plain stateful relay, SIP to SIP: what a gateway costs without the other protocol."""

    def __init__(self, transport):
        Rig.__init__(self, "Kamailio relay", "from-sip", transport)

    def _start(self):
        address, source, sink = (self.lab.block.user_address() for _ in range(3))
        self._run(address, KAMAILIO_RELAY.format(sink=self._sink_uri(sink)))
        self._ends.callback(self.server.kill)
        self.source = self._sip_end(source, address)
        more = {"connect": address} if self.transport == "udp" else {}
        if self.transport == "tls":
            more = {"tls": ",".join(self._certificate("pool.corp.test"))}
        self.sink = End(self.lab, f"sink-{self._number}", "sippeer", listen=sink, transport=self.transport,
                        pairs=self.window, **more)


class Floor(Rig):
    """bench/nta, which sends or which answers."""

    def __init__(self, way, transport):
        super().__init__("nta", way, transport)

    def _start(self):
        address, pool = (self.lab.block.user_address() for _ in range(2))
        options = {"listen": address, "transport": self.transport, "pairs": self.window, "size": SIZE}
        if self.way == "to-sip":
            nta = Nta(self.lab, f"nta-{self._number}", "nta", connect=pool, **options)
            self.source, self.sink = nta, self._sip_end(pool, address)
        else:
            nta = Nta(self.lab, f"nta-{self._number}", "nta", **options)
            self.source, self.sink = self._sip_end(pool, address), nta
        self.server = nta.process

    def pace(self, rate, seconds):
        """It has one speed."""
        return None, None

    def faults(self):
        source, sink = self.source.status(), self.sink.status()
        return {"lost": source["acknowledged"] - sink["got"], "errors": source["errors"]}


def rigs_of(way, transport, mode):
    found = [Poolbridge(way, transport, mode)]
    if mode == "pager" and os.path.exists(XMPP_MODULE):
        found.append(Kamailio(way, transport))
    if mode == "pager" and way == "from-sip" and shutil.which("kamailio", path=PATH):
        found.append(Relay(transport))
    if mode == "pager" and transport != "tls":
        found.append(Floor(way, transport))
    return found


@contextlib.contextmanager
def opened(way, transport, mode):
    """The rigs of one bench, running."""
    found = rigs_of(way, transport, mode)
    with Lab(partner=None, pool=False, sip_tls=transport == "tls", settings=found[0].settings()) as lab, \
            contextlib.ExitStack() as stack:
        for rig in found:
            stack.callback(rig.close)
            rig.open(lab)
        yield found
