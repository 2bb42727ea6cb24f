"""More than can be handled: it is slowed down at its source or answered, never piled up and never lost, and others go on."""

import re
import resource
import socket
import threading
import time
from collections import Counter

import pytest

from lab import bridge, inbox, watch
from lab.federation import Federation, Partner
from lab.process import WAIT
from lab.raw_peer import RawPeer
from lab.sip_user import SipUser

RAW = Partner("raw.test", policy=("--tls", "none", "--sasl", "none"), services=(("xmpp-server", 0, "raw", 5269),))
SINK = "tybalt@corp.test"


@pytest.fixture(autouse=True)
def lean(monkeypatch):
    """AddressSanitizer keeps what is freed, by default as much as would hide what is looked for."""
    monkeypatch.setitem(bridge.SANITIZERS, "ASAN_OPTIONS",
                        bridge.SANITIZERS["ASAN_OPTIONS"] + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=16")


def raw_lab(new_lab, **options):
    settings = {"log_level": "notice"} | options.pop("settings", {})
    return new_lab(pool=False, federation=Federation("plain", [RAW]), settings=settings, **options)


def status(lab):
    """It answers, whatever else goes on."""
    found = lab.bridge.json("status")
    assert found["running"]
    return found


def wait_status(lab, reached):
    """Ask until it is so; what is asked for comes by itself."""
    inbox.wait_polled(lambda: reached(status(lab)), lambda: status(lab))


def inbound(found, partner):
    return next(link for link in found["links"] if (link["remote"], link["direction"]) == (partner, "in"))


class Flood:
    """Messages on a raw stream, as fast as they are taken; .sent of them are out of our hands."""

    def __init__(self, peer, count, to, size=4000):
        self.stream, self.sent = peer.connect(), 0
        # What the kernel takes for us is not what poolbridge has taken.
        self.stream._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        self.stream._connection.settimeout(None)
        self._thread = threading.Thread(target=self._run, args=(count, to, size), daemon=True)
        self._thread.start()

    def _run(self, count, to, size):
        for number in range(count):
            self.stream.send(f"<message from='raw@raw.test' to='{to(number)}' type='chat' id='f{number}'>"
                             f"<body>flood {number}</body><x xmlns='urn:x:padding'>{'x' * size}</x></message>")
            self.sent = number + 1

    def wait(self):
        self._thread.join(4 * WAIT)
        assert not self._thread.is_alive(), f"only {self.sent} were taken"


def floods(user):
    return [item.body for item in user.inbox.history if (item.body or "").startswith("flood ")]


def play_pool(lab):
    """A user of the new pool, who is the pool as well: he takes what poolbridge sends there."""
    pool = SipUser(lab.loop, lab.block, SINK, (lab.block.address("sip"), 5060), "tcp", register=False,
                   host=lab.block.address("pool"))
    pool.where = "pool"
    lab.users.append(pool)
    return pool


def test_slow_gateway(new_lab):
    """
    The legacy gateway takes nothing: a partner that floods it is not read any more, memory stays as it is, and another
    partner reaches a user of the pool meanwhile. When it goes on, all of it arrives, in order.
    """
    count, size = 4000, 8000
    lab = raw_lab(new_lab, chaos=True, settings={"s2s.window_bytes": 262144})
    lab.bridge.write_config(sip__new_pool=f"sip:{lab.block.address('pool')}:5060;transport=tcp")
    lab.bridge.restart()
    romeo, juliet, peer, tybalt = lab.legacy_user(), lab.partner_user(), RawPeer(lab, "raw.test"), play_pool(lab)
    assert lab.deliver(juliet, romeo.address).by == "legacy"
    before = watch.sample(lab.bridge.process.pid)["rss"]
    lab.legacy_proxy.stall()
    flood = Flood(peer, count, lambda number: romeo.address, size)
    wait_status(lab, lambda found: inbound(found, "raw.test")["slowed"])
    assert lab.deliver(juliet, SINK).by == "pool"
    # 32 MB were to come; sanitizers take their share of what did.
    assert watch.sample(lab.bridge.process.pid)["rss"] - before < 16 * 1024
    assert flood.sent < count / 2
    assert inbound(status(lab), "raw.test")["slowed"]
    lab.legacy_proxy.widen()
    lab.legacy_proxy.reset()
    lab.legacy_proxy.forward()
    flood.wait()
    inbox.wait_until(lambda: len(floods(romeo)) >= count, timeout=6 * WAIT)
    assert floods(romeo) == [f"flood {number}" for number in range(count)]
    assert watch.sample(lab.bridge.process.pid)["rss"] - before < 16 * 1024
    peer.close()


def test_spool_limits(new_lab):
    """Too much for a user who is being moved: the sender is told; what was taken arrives, and others have room."""
    room, count = 50, 400
    lab = raw_lab(new_lab, settings={"spool.messages_per_user": room})
    romeo, benvolio = lab.legacy_user(), lab.legacy_user("benvolio@corp.test")
    peer = RawPeer(lab, "raw.test", sm=False)
    lab.bridge.mark("moving", romeo.address, benvolio.address)
    # Every tenth is for somebody else.
    flood = Flood(peer, count, lambda number: benvolio.address if number % 10 == 0 else romeo.address, size=100)
    flood.wait()
    answers = peer.accept()
    refused = [answers.wait(r"<message [^>]*id='f(\d+)'.*?<resource-constraint .*?</message>").group(1)
               for _ in range(count - count // 10 - room)]
    assert status(lab)["spool"]["messages"] == room + count // 10
    lab.bridge.mark("legacy", romeo.address, benvolio.address)
    inbox.wait_until(lambda: len(floods(romeo)) == room and len(floods(benvolio)) == count // 10, timeout=2 * WAIT)
    assert floods(benvolio) == [f"flood {number}" for number in range(0, count, 10)]
    taken = [int(body.split()[1]) for body in floods(romeo)]
    assert taken == sorted(taken)
    assert sorted(taken + [int(number) for number in refused]) == [n for n in range(count) if n % 10 != 0]
    peer.close()


class SipFlood:
    """
    SIP MESSAGEs of a pool, all at once. Those that are refused with Retry-After go out again after that time; by UDP,
    what is not answered is repeated. answers: {status: how often}.
    """

    REPEAT = 0.5  # timer T1

    def __init__(self, lab, transport, count):
        self._here, self._there = lab.block.address("sipp"), (lab.block.address("sip"), 5060)
        self.transport, self.waiting, self.answers = transport, dict.fromkeys(range(count), 0), Counter()
        self.busy, self.not_before = threading.Event(), {}
        if transport == "tcp":
            self._socket = socket.create_connection(self._there, WAIT, source_address=(self._here, 0))
        else:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.bind((self._here, 5060))
            self._socket.connect(self._there)
        self._rest = b""

    def _request(self, number, attempt):
        body = f"flood {number}"
        return (f"MESSAGE sip:c{number}@raw.test SIP/2.0\r\n"
                f"Via: SIP/2.0/{self.transport.upper()} {self._here}:5060;branch=z9hG4bKflood{number}-{attempt}\r\nMax-Forwards: 70\r\n"
                f"From: <sip:tybalt@corp.test>;tag=f{number}\r\nTo: <sip:c{number}@raw.test>\r\n"
                f"Call-ID: flood{number}@{self._here}\r\nCSeq: {attempt + 1} MESSAGE\r\nContent-Type: text/plain\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}").encode()

    def _take(self, number, head):
        code = int(head[8:11])
        self.answers[code] += 1
        if number not in self.waiting:
            return  # the answer to a repeated one
        if code == 200:
            del self.waiting[number]
            return
        after = re.search(rb"(?i)\r\nRetry-After: (\d+)", head)
        assert code in (500, 503) and after, head.decode()
        self.busy.set()
        self.waiting[number] += 1
        self.not_before[number] = int(after.group(1))

    def _read(self):
        """What has come, until nothing does for a while."""
        self._socket.settimeout(self.REPEAT)
        try:
            while len(self.not_before) < len(self.waiting):
                self._rest += self._socket.recv(65536)
                while b"\r\n\r\n" in self._rest:
                    head, _, self._rest = self._rest.partition(b"\r\n\r\n")
                    self._take(int(re.search(rb"flood(\d+)@", head).group(1)), head)
        except TimeoutError:
            return

    def run(self):
        while self.waiting:
            if len(self.not_before) == len(self.waiting):
                # All of them are to wait.
                threading.Event().wait(max(self.not_before.values()))
                self.not_before.clear()
            ready = [number for number in self.waiting if number not in self.not_before]
            for number in ready:
                self._socket.sendall(self._request(number, self.waiting[number]))
            self._read()
            # TCP loses nothing: only by UDP is anything sent twice.
            while self.transport == "tcp" and any(n in self.waiting and n not in self.not_before for n in ready):
                self._read()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_sip_flood(new_lab, transport):
    """
    The partner is slow: as many requests of the pool wait as may; the others get 503 and a time. Who keeps to that gets
    all through, each once.
    """
    count = 80
    lab = raw_lab(new_lab, settings={"sip.queue_total": 40})
    peer = RawPeer(lab, "raw.test")
    flood = SipFlood(lab, transport, count)
    failures = []

    def run():
        try:
            flood.run()
        except BaseException as error:  # told below
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    stream = peer.accept()
    assert flood.busy.wait(WAIT), failures
    assert status(lab)["gateway"]["sip"]["waiting"] <= 40
    heard = Counter()
    stream._connection.settimeout(0.2)
    counted, end = 0, time.monotonic() + 4 * WAIT
    while thread.is_alive():
        assert time.monotonic() < end, f"{len(flood.waiting)} wait, of {flood.answers}"
        try:
            more = stream._connection.recv(65536)
            assert more, "the stream has ended"
            stream.heard += more.decode()
        except TimeoutError:
            pass
        while match := re.search(r"<(message|presence|iq|r)\b.*?(?:</\1>|/>)", stream.heard, re.DOTALL):
            stream.heard = stream.heard[match.end():]
            if match.group(1) == "r":
                stream.send(f"<a xmlns='urn:xmpp:sm:3' h='{counted}'/>")
                continue
            counted += 1
            heard.update(re.findall(r"<body>(flood \d+)</body>", match.group(0)))
    assert not failures, failures
    assert heard == Counter(f"flood {number}" for number in range(count))
    assert flood.answers[503] > 0 and flood.answers[200] >= count
    peer.close()


def test_udp_is_remembered_within_bounds(new_lab):
    """Of requests by UDP, each of which is remembered for half a minute, as many are taken as may; others get 503 and a time."""
    lab = raw_lab(new_lab, settings={"sip.udp_remembered": 100})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as pool:
        pool.bind((lab.block.address("sipp"), 5060))
        pool.connect((lab.block.address("sip"), 5060))
        pool.settimeout(WAIT)
        answers = Counter()
        for number in range(150):
            pool.send((f"OPTIONS sip:{lab.block.address('sip')}:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {lab.block.address('sipp')}:5060;"
                       f"branch=z9hG4bKu{number}\r\nMax-Forwards: 70\r\nFrom: <sip:tybalt@corp.test>;tag=u\r\n"
                       f"To: <sip:{lab.block.address('sip')}>\r\nCall-ID: u{number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n").encode())
            head = pool.recv(65536)
            answers[int(head[8:11]), b"Retry-After: 5\r\n" in head] += 1
    assert answers == {(200, False): 100, (503, True): 50}


def heard_of(connection):
    """All that comes until the other side ends the connection."""
    try:
        return connection.recv(4096)
    except ConnectionResetError:
        return b""


def test_out_of_descriptors(new_lab):
    """No descriptor is left: what there is goes on, status answers, nothing spins, and afterwards all is as before."""
    lab = raw_lab(new_lab)
    juliet, romeo = lab.partner_user(), lab.legacy_user()
    assert lab.deliver(juliet, romeo.address).by == "legacy"
    pid = lab.bridge.process.pid
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    room = max(watch.numbers_open(pid)) + 4
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (room, usual[1]))
    strangers = [socket.create_connection((lab.block.address("external"), 5269), WAIT, source_address=(lab.block.address("stranger"), 0))
                 for _ in range(20)]
    lab.bridge.process.wait_line("accept-failed listener=.*5269")
    # A pool's connections cannot be taken either: they are closed, not left for the loop to turn around.
    pools = [socket.create_connection((lab.block.address("sip"), 5060), WAIT, source_address=(lab.block.address("sipp"), 0))
             for _ in range(5)]
    for pool in pools:
        assert not heard_of(pool)
    assert lab.bridge.process.wait_line("accept-failed listener=sip")
    for _ in range(5):
        assert status(lab)["links"]
        assert lab.deliver(juliet, romeo.address).by == "legacy"
    for connection in strangers + pools:
        connection.close()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
    # One pause of the listener for each second at most: a loop that spins would have said so thousands of times.
    assert sum("accept-failed" in line for line in lab.bridge.process.lines) < 60
    assert lab.deliver(lab.partner_user("rosaline@partner.test"), romeo.address).by == "legacy"
    peer = RawPeer(lab, "raw.test")
    peer.connect().close()
    peer.close()


@pytest.fixture
def many_descriptors():
    """Enough for the streams of strangers at both ends; the daemon inherits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(hard, STRANGERS + 2000)  # more than the hard limit: as root
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


STRANGERS, CEILING = 10000, 40  # KiB for each; with sanitizers
STRANGER = ("<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
            "xmlns:stream='http://etherx.jabber.org/streams' from='partner.test' to='corp.test' version='1.0'>").encode()


def strangers_of(lab, count):
    """So many streams that have said who they are and prove nothing, all of them answered."""
    streams = []
    for number in range(count):
        stream = socket.create_connection((lab.block.address("external"), 5269), WAIT,
                                          source_address=(f"127.79.{number // 250}.{number % 250 + 1}", 0))
        stream.sendall(STRANGER)
        heard = b""
        while b"</stream:features>" not in heard:
            more = stream.recv(4096)
            assert more, f"number {number}: {heard}"
            heard += more
        streams.append(stream)
    return streams


def test_ten_thousand_strangers(new_lab, many_descriptors):
    """Streams that prove nothing, all open at once: memory stays below a ceiling, a partner gets through, and none is left behind."""
    lab = raw_lab(new_lab, settings={"s2s.streams": 30000, "s2s.streams_unauthenticated": 15000, "s2s.establish_time": 600})
    juliet, romeo = lab.partner_user(), lab.legacy_user()
    assert lab.deliver(juliet, romeo.address).by == "legacy"
    pid = lab.bridge.process.pid
    before = watch.sample(pid)
    streams = strangers_of(lab, STRANGERS)
    now = watch.sample(pid)
    # A link of ours may have ended meanwhile.
    assert now["descriptors"] - before["descriptors"] > STRANGERS - 10
    assert now["rss"] - before["rss"] < STRANGERS * CEILING
    assert lab.deliver(lab.partner_user("rosaline@partner.test"), romeo.address).by == "legacy"
    for stream in streams:
        stream.close()
    wait_status(lab, lambda _: watch.sample(pid)["descriptors"] < before["descriptors"] + 10)
