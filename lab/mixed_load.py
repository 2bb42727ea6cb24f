"""All that happens to a bridge in a long time, at once: messages both ways, sessions, presence, moves, and peers that misbehave.

Each kind of event is a function that is called at its own rate, in a thread of
its own. The peers are played by Python, but for two Prosodys: the partner's
server, by TLS, and the legacy gateway.
"""

import contextlib
import os
import queue
import random
import re
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter

from lab import Lab
from lab.bridge import CommandError
from lab.busy_pool import LOCAL, BusyPool
from lab.federation import Federation, Partner
from lab.inbox import wait_polled
from lab.raw_peer import HEADER, RawPeer

PARTNER = "raw.test"
RAW = Partner(PARTNER, policy=("--tls", "none", "--sasl", "none"), services=(("xmpp-server", 0, "raw", 5269),))
SETTINGS = {
    "log_level": "warning",
    "sip.new_pool_mode": "session",
    # Short, so that half an hour holds many lives of everything.
    "sip.session_time": 20, "presence.expires": 60, "s2s.establish_time": 10, "s2s.inactivity_time": 60,
    "s2s.keepalive_time": 20, "s2s.streams_per_address": 400,
}
USERS, MOVERS, CONTACTS = 200, 20, 40
RESET = b"\1\0\0\0\0\0\0\0"
TCP_REPAIR = 19  # linux/tcp.h: closed in this state, a socket is gone without a word to the other side
OUTBOX = 2000
HELD = 60  # connections that say nothing and are held
STANZA = re.compile(r"<(message|presence|iq|r|a|db:verify)\b([^>]*?)(?:/>|>(.*?)</\1>)", re.DOTALL)


def text_of(number):
    return f"{number:08d} " + "so may the outward shows be least themselves " * random.randint(1, 8)


class Traffic(RawPeer):
    """The partner's server: takes what comes, acknowledges it, and counts."""

    def __init__(self, lab):
        self.count, self.slow, self._mine, self.incoming = Counter(), threading.Event(), None, []
        self._outbox = queue.Queue(OUTBOX)
        self._sending = threading.Lock()
        super().__init__(lab, PARTNER)
        for work in (self._take_all, self._write_all):
            threading.Thread(target=work, daemon=True).start()

    def _take_all(self):
        while True:
            stream = self._streams.get()
            self.incoming = [other for other in self.incoming if other.heard is not None] + [stream]
            threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream):
        counted = 0
        with contextlib.suppress(OSError, AssertionError):
            stream._connection.settimeout(None)
            while True:
                self.slow.wait()
                more = stream._connection.recv(65536)
                if not more:
                    break
                stream.heard += more.decode()
                counted = self._take(stream, counted)
        stream.heard = None
        self._open = [other for other in self._open if other is not stream._connection]
        stream.close()

    def _take(self, stream, counted):
        answer, end = "", 0
        for found in STANZA.finditer(stream.heard):
            kind, attributes = found.group(1), dict(re.findall(r"([a-z]+)=['\"]([^'\"]*)['\"]", found.group(2)))
            end = found.end()
            counted += kind in ("message", "presence", "iq")
            answer += self._answer(stream, kind, attributes, counted)
        stream.heard = stream.heard[end:]
        if "</stream:stream>" in stream.heard:
            answer += "</stream:stream>"
        if answer:
            stream.send(answer)
        return counted

    def _answer(self, stream, kind, attributes, counted):
        if kind == "r":
            return f"<a xmlns='urn:xmpp:sm:3' h='{counted}'/>"
        if kind == "db:verify":
            return f"<db:verify from='{PARTNER}' to='{stream.local}' id='{attributes['id']}' type='valid'/>"
        self.count[f"{kind} {attributes.get('type', '')}".strip()] += 1
        if kind == "iq" and attributes.get("type") == "get":
            self.send(f"<iq type='result' id='{attributes['id']}' from='{attributes['to']}' to='{attributes['from']}'/>")
        elif kind == "presence" and attributes.get("type") in ("subscribe", "probe"):
            contact, user = attributes["to"].partition("/")[0], attributes["from"].partition("/")[0]
            approval = f"<presence type='subscribed' from='{contact}' to='{user}'/>" if attributes["type"] == "subscribe" else ""
            self.send(approval + f"<presence from='{contact}/x' to='{user}'><show>away</show></presence>")
        return ""

    # ---- what it sends

    def send(self, text):
        """Whoever reads never waits for who writes, as in any server. What is too much is counted and left."""
        try:
            self._outbox.put_nowait(text)
        except queue.Full:
            self.count["held back"] += 1

    def _write_all(self):
        while True:
            self._write(self._outbox.get())

    def _write(self, text):
        """On a stream of its own to the bridge, made when there is none."""
        with self._sending:
            try:
                if self._mine is None:
                    self._mine = self.connect(LOCAL)
                    self._mine.send("<enable xmlns='urn:xmpp:sm:3'/>")
                    threading.Thread(target=self._drain, args=(self._mine,), daemon=True).start()
                self._mine.send(text)
            except (OSError, AssertionError):
                self.count["streams lost"] += 1
                if self._mine is not None:
                    self._mine.break_off()
                self._mine = None

    @staticmethod
    def _drain(stream):
        stream._connection.settimeout(None)
        with contextlib.suppress(OSError):
            while stream._connection.recv(65536):
                pass

    def leave(self, how):
        """The sending stream ends: "close", "reset", "cut" in the middle of a stanza, or "vanish" without a word."""
        with self._sending:
            stream, self._mine = self._mine, None
            if stream is None:
                return
            with contextlib.suppress(OSError):
                if how == "close":
                    stream.send("</stream:stream>")
                    return
                if how == "cut":
                    stream.send(f"<message from='c1@{PARTNER}' to='u1@{LOCAL}'><body>cut")
                vanish(stream._connection) if how == "vanish" else stream.break_off()

    def drop_incoming(self):
        """The streams that the bridge has opened are reset."""
        for stream in self.incoming:
            with contextlib.suppress(OSError):
                stream._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                stream._connection.shutdown(socket.SHUT_RDWR)


def vanish(connection):
    """As when the other machine lost its power: no FIN, no reset. Without the right to do that, a reset."""
    try:
        connection.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    except PermissionError:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


class MixedLoad:
    """rate: messages a second of the partner that is played. sent: how many stanzas and requests of each kind."""

    def __init__(self, rate, settings=None):
        self.rate, self.sent, self.problems = rate, Counter(), []
        self._stop, self._threads, self._held, self._number = threading.Event(), [], [], 0
        self.lab = Lab(pool=False, chaos=True, federation=Federation("dialback", [RAW]), settings=dict(SETTINGS, **(settings or {})))
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self):
        lab = self.lab
        for proxy in (lab.legacy_proxy, lab.pool_proxy):
            proxy.widen()
        lab.bridge.ctl("domain", "set", LOCAL, "--unlisted", "migrated")
        self.pool, self.peer = BusyPool(lab), Traffic(lab)
        self.peer.slow.set()
        # They are there so that the legacy gateway keeps nothing for later; the inboxes are not looked at.
        self.romeo, self.juliet = lab.legacy_user(), lab.partner_user()
        for user in (self.romeo, self.juliet):
            user.inbox.put = lambda item: None
        self._dialogs = []

    def warm_up(self):
        """What is made once, with the first message, is there before anything is measured."""
        number = self._next()
        self.juliet.send(self.romeo.address, text_of(number))
        self.romeo.send(self.juliet.address, text_of(number))
        self.pool.message("u1", f"c1@{PARTNER}", text_of(number))
        wait_polled(lambda: self.pool.count["MESSAGE 200"] > 0)

    # ---- what happens

    def _next(self):
        self._number += 1
        return self._number

    def _message(self):
        number = self._next()
        to = random.choice([f"u{number % USERS}", f"u{number % USERS}", f"m{number % MOVERS}", "romeo"])
        self.sent["message"] += 1
        self.peer.send(f"<message from='c{number % CONTACTS}@{PARTNER}/x' to='{to}@{LOCAL}' type='chat' id='k{number}'>"
                       f"<body>{text_of(number)}</body></message>")

    def _legacy_talk(self):
        self.sent["by TLS"] += 2
        self.juliet.send(random.choice(["romeo", "m1", "u7"]) + "@" + LOCAL, text_of(self._next()))
        self.romeo.send("juliet@partner.test", text_of(self._next()))

    def _from_pool(self):
        number = self._next()
        self.sent["from the pool"] += 1
        self.pool.message(f"u{number % USERS}", random.choice([f"c{number % CONTACTS}@{PARTNER}", "juliet@partner.test", f"romeo@{LOCAL}"]),
                          text_of(number))

    def _sessions(self):
        number = self._next()
        self.sent["session"] += 1
        self.pool.session(f"u{number % USERS}", f"c{number % CONTACTS}@{PARTNER}", cancel=number % 5 == 0)

    def _presence(self):
        number = self._next() % CONTACTS
        self.sent["presence"] += 1
        self.peer.send(f"<presence type='{random.choice(['subscribe', 'unsubscribe'])}' from='c{number}@{PARTNER}' to='u{number}@{LOCAL}'/>")
        self.peer.send(f"<presence from='c{number}@{PARTNER}/x' to='u{number + 1}@{LOCAL}'><show>away</show></presence>")
        if len(self._dialogs) > 10:
            self.pool.unsubscribe(self._dialogs.pop(0))
        self._dialogs.append(self.pool.subscribe(f"u{number}", f"c{number + 1}@{PARTNER}"))
        self.pool.change_presence()

    def _move(self):
        who = [f"m{number}@{LOCAL}" for number in random.sample(range(MOVERS), 3)]
        self.sent["move"] += 1
        self.lab.bridge.mark("moving", *who)
        self._stop.wait(random.uniform(0.2, 2))
        self.lab.bridge.mark(random.choice(["legacy", "migrated"]), *who)

    def _hop_trouble(self):
        proxy = random.choice([self.lab.legacy_proxy, self.lab.pool_proxy])
        self.sent["trouble of a next hop"] += 1
        way = random.choice(["reset", "stall", "slow", "refuse"])
        proxy.slow(2000) if way == "slow" else getattr(proxy, way)()
        self._stop.wait(random.uniform(0.5, 4))
        proxy.forward()

    def _partner_trouble(self):
        self.sent["trouble of the partner"] += 1
        way = random.choice(["close", "reset", "cut", "vanish", "drop", "slow", "pool"])
        if way == "drop":
            self.peer.drop_incoming()
        elif way == "pool":
            self.pool.reconnect()
        elif way == "slow":
            self.peer.slow.clear()
            self._stop.wait(random.uniform(0.5, 4))
            self.peer.slow.set()
        else:
            self.peer.leave(way)

    # ---- strangers

    def _connect(self, role="external", port=5269, source="stranger"):
        return socket.create_connection((self.lab.block.address(role), port), 10, source_address=(self.lab.block.address(source), 0))

    def _stranger(self):
        """Comes, says something or nothing, and is gone, or stays; one of many ways."""
        kind = random.choice([self._comes_and_goes, self._comes_and_goes, self._breaks_tls, self._garbage, self._half_of_sip, self._control])
        self.sent["stranger"] += 1
        connection = kind()
        end = random.choice(["close", "reset", "vanish", "hold"])
        if end == "hold":
            self._held.append(connection)
            if len(self._held) > HELD:
                self._held.pop(0).close()
        elif end == "vanish" and connection.family == socket.AF_INET:
            vanish(connection)
        else:
            if end == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.close()

    def _comes_and_goes(self):
        connection = self._connect()
        header = HEADER.format(f"from='partner.test' to='{LOCAL}'").encode()
        connection.sendall(header[:random.randint(0, len(header))])
        return connection

    def _garbage(self):
        connection = self._connect()
        connection.sendall(os.urandom(random.randint(1, 400)))
        return connection

    def _breaks_tls(self):
        """A handshake that ends after the first so many bytes of it."""
        connection = self._connect()
        connection.sendall(HEADER.format(f"from='partner.test' to='{LOCAL}'").encode())
        heard = b""
        while b"</stream:features>" not in heard:
            heard += connection.recv(4096) or b"</stream:features>"
        connection.sendall(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        connection.recv(4096)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(come, go, server_hostname=LOCAL)
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = go.read()
        connection.sendall(hello[:random.choice([5, 20, len(hello) // 2, len(hello)])])
        if random.random() < 0.3:
            connection.sendall(os.urandom(200))
        return connection

    def _half_of_sip(self):
        connection = self._connect("sip", 5060, "sipp")
        text = (f"MESSAGE sip:c1@{PARTNER} SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK{self._next()}\r\n"
                f"Max-Forwards: 70\r\nFrom: <sip:u1@{LOCAL}>;tag=1\r\nTo: <sip:c1@{PARTNER}>\r\nCall-ID: half{self._number}\r\n"
                "CSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: 400\r\n\r\nhalf")
        connection.sendall(text[:random.randint(1, len(text))].encode())
        return connection

    def _control(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        connection.connect(os.path.join(self.lab.bridge.folder, "registry.db.sock"))
        connection.sendall(random.choice([b"", b"{", b'{"command": "status"}\n', b"x" * 2000]))
        return connection

    # ---- the whole

    def start(self):
        rates = {self._message: self.rate, self._from_pool: self.rate / 4, self._legacy_talk: self.rate / 10, self._sessions: self.rate / 20,
                 self._presence: 2, self._move: 0.3, self._hop_trouble: 0.1, self._partner_trouble: 0.3, self._stranger: 10}
        for event, rate in rates.items():
            thread = threading.Thread(target=self._repeat, args=(event, rate), name=event.__name__, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _repeat(self, event, rate):
        due = time.monotonic()
        while not self._stop.is_set():
            try:
                event()
            except (OSError, TimeoutError, AssertionError, CommandError, subprocess.TimeoutExpired) as error:
                # Refused or broken off is what is asked for; how often is told at the end.
                self.sent[f"failed: {event.__name__[1:]}"] += 1
                if len(self.problems) < 20:
                    self.problems.append(f"{event.__name__}: {error!r}"[:300])
            due = max(due + random.expovariate(rate), time.monotonic() - 1)
            self._stop.wait(max(0, due - time.monotonic()))

    def stop(self):
        """Nobody does anything any more: nobody moves, every next hop is well, what was held is let go."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        self.peer.slow.set()
        for proxy in (self.lab.legacy_proxy, self.lab.pool_proxy):
            proxy.forward()
        self.lab.bridge.mark("migrated", *[f"m{number}@{LOCAL}" for number in range(MOVERS)])
        for connection in self._held:
            connection.close()
        self._held.clear()

    def close(self):
        self._stop.set()
        self.lab.close()
